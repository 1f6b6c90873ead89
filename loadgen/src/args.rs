//! What was typed: the command line, before it means anything.
//!
//! Numbers take `k` and `m` (`--clients 10k`), times take units (`500ms`, `20s`,
//! `2m`; a bare number is seconds). What the arguments mean together is decided
//! in [`crate::options`].

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::transport::Mix;

/// Drives a Socket.IO chat with many clients and reports true latencies and every lost, duplicated or reordered delivery.
///
/// Without a URL, loadgen starts parlor's own server beside itself and measures that. All clients
/// join their rooms first; then some speak and all listen, on a schedule that never waits for answers.
#[derive(Clone, Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, disable_help_flag = true, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Server, as http://HOST:PORT or http://HOST:PORT/NAMESPACE; without it, the embedded server.
    pub(crate) url: Option<String>,

    /// Clients to connect.
    #[arg(short, long, value_name = "N", default_value = "1000", value_parser = count)]
    pub(crate) clients: u32,

    /// Rooms that the clients are spread over [default: one for each 10 clients].
    #[arg(short = 'R', long, value_name = "N", value_parser = count)]
    pub(crate) rooms: Option<u32>,

    /// Messages per second, of all clients together [default: one for each 5 clients].
    #[arg(short, long, value_name = "MSGS_PER_S", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// How long messages are sent, once all clients have joined.
    #[arg(short, long, value_name = "TIME", default_value = "20s", value_parser = time)]
    pub(crate) duration: Duration,

    /// Connects are spread over this time [default: 5s, or 1s for each 500 clients if that is longer].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) ramp: Option<Duration>,

    /// Share of each room that speaks (at least one client does).
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = percent)]
    pub(crate) speakers: f64,

    /// How messages follow each other.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) arrivals: Arrivals,

    /// Bytes of text in each message.
    #[arg(long, value_name = "BYTES", default_value = "128", value_parser = count)]
    pub(crate) size: u32,

    /// Send messages without asking for an acknowledgement.
    #[arg(long)]
    pub(crate) no_ack: bool,

    /// Seed of the schedule: who is in which room, who speaks when.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How packets travel: websocket, polling, upgrade (from polling to a WebSocket, as stock
    /// clients do by default), or a mix by weight, such as websocket=1,polling=1,upgrade=8.
    #[arg(long, value_name = "MIX", default_value = "websocket")]
    pub(crate) transport: Mix,

    /// Path of the Engine.IO endpoint.
    #[arg(long, default_value = "/socket.io/")]
    pub(crate) path: String,

    /// Namespace to connect to [default: the URL's path].
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Auth payload of each CONNECT, a JSON object.
    #[arg(long, value_name = "JSON")]
    pub(crate) auth: Option<String>,

    /// Give up on a client that has not joined after this time.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,

    /// Let clients whose connection breaks come back, as stock clients do (after 0.5 to 1.5 s, then
    /// later and later). For a restart, a drain, a rolling upgrade: members of a room owe each other
    /// messages only while the chat's `hello` names the same server to both.
    #[arg(long)]
    pub(crate) reconnect: bool,

    /// Wait this long after the last message for what is outstanding.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) drain: Duration,

    /// Threads for the clients [default: by the number of deliveries per second].
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) threads: Option<u32>,

    /// Write the complete report as JSON to this file; `-` is stdout, instead of the summary.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// No progress on stderr.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print this help.
    #[arg(short, long, action = ArgAction::HelpShort)]
    help: Option<bool>,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all delivered, 2 usage, 3 cannot connect, 4 lost, duplicated or reordered deliveries,
5 invalid run (loadgen fell behind, or clients could not stay connected or come back), 130 and 143 stopped by a signal.
Ctrl-C ends a run early, with the report of what was measured.";

/// What to do instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Be the clients that nobody wants: slow, deaf, flooding, talking nonsense, resetting, storming.
    /// For servers on this machine, beside a run that measures how the good ones fare.
    Attack(Attack),
    /// Serve the chat on a free loopback port until stdin ends: what a run without a URL starts.
    #[command(hide = true)]
    EmbeddedServer(Embedded),
}

/// What attackers are told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Attack {
    /// Server on this machine, as http://127.0.0.1:PORT.
    pub(crate) url: String,

    /// How long.
    #[arg(short, long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(crate) duration: Duration,

    /// The part of one core that all attackers together may use.
    #[arg(long, value_name = "PERCENT", default_value = "25%", value_parser = percent)]
    pub(crate) cpu: f64,

    /// Seed of the noise.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What the embedded server is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Embedded {
    /// Path of the Engine.IO endpoint.
    #[arg(long)]
    pub(crate) path: String,

    /// Namespace to serve the chat on.
    #[arg(long)]
    pub(crate) namespace: String,
}

/// How messages follow each other. Neither kind has synchronised ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrivals {
    /// Evenly spaced, speakers taking turns.
    Constant,
    /// Random gaps, as of many independent people; they cannot fall in step with anything periodic in the server.
    #[default]
    Poisson,
}

/// Reads the command line.
///
/// # Errors
///
/// One line that says what to do, and the exit code: help and version are
/// not failures, but end the program too.
pub(crate) fn parse<I: Iterator<Item = std::ffi::OsString>>(
    typed: I,
) -> Result<Args, (String, u8)> {
    Args::try_parse_from(typed).map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            (rendered(&error), 0)
        } else {
            (one_line(&error), crate::EXIT_USAGE)
        }
    })
}

fn rendered(help: &clap::Error) -> String {
    let text = help.render();
    if crate::takes_colours(&std::io::stdout()) {
        text.ansi().to_string()
    } else {
        text.to_string()
    }
}

/// clap explains itself over five lines; the first and the tip are what helps.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let suggestion =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().find_map(|kind| {
            match error.get(kind) {
                Some(ContextValue::String(one)) => Some(one.clone()),
                Some(ContextValue::Strings(several)) => several.first().cloned(),
                _ => None,
            }
        });
    match suggestion {
        Some(suggestion) => format!("{what}; did you mean {suggestion}?"),
        None => format!("{what}; see loadgen --help"),
    }
}

fn count(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let number = digits.parse::<f64>().unwrap_or(f64::NAN) * factor;
    if !(0.0..=f64::from(u32::MAX)).contains(&number) || number.fract() != 0.0 {
        return Err("write a whole number, such as 500, 10k or 1m".to_owned());
    }
    Ok(number as u32)
}

fn rate(text: &str) -> Result<f64, String> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() => Ok(rate),
        _ => count(text)
            .map(f64::from)
            .map_err(|_| "write messages per second, such as 0.5, 200 or 10k".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("write a share above 0% and up to 100%, such as 20%".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_s = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let seconds = number.parse::<f64>().unwrap_or(f64::NAN) * unit_s;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "write a time, such as 500ms, 20s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, number) in
            [("7", Some(7)), ("10k", Some(10_000)), ("1.5K", Some(1500)), ("1m", Some(1_000_000))]
        {
            assert_eq!(count(text).ok(), number, "{text}");
        }
        for text in ["", "k", "-1", "1.5", "ten", "1e30", "5g", "ä"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_units() {
        for (text, ms) in [
            ("20", 20_000),
            ("20s", 20_000),
            ("1.5s", 1500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "1 s", "nan", "inf"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_may_be_fractions() {
        for (text, hz) in [("0.5", 0.5), ("200/s", 200.0), ("10k", 10_000.0), ("10k/s", 10_000.0)] {
            assert_eq!(rate(text), Ok(hz), "{text}");
        }
        assert!(rate("fast").is_err() && rate("inf").is_err());
    }

    #[test]
    fn arguments_are_consistent_with_themselves() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
