//! What the command line means: one run, with nothing left to decide.

use std::path::PathBuf;
use std::time::Duration;

use crate::args::Args;
use crate::schedule::Plan;
use crate::target::{Target, TargetError};
use crate::transport::Mix;

/// A client costs a few kilobytes; more than this is a typing error.
const CLIENTS_MAX: u32 = 1_000_000;
const RATE_HZ_MAX: f64 = 1_000_000.0;
const BODY_BYTES_MAX: u32 = 512 * 1024;
const THREADS_MAX: u32 = 256;
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// One thread takes about a hundred thousand deliveries a second; past half
/// of that a second one is worth its core.
const DELIVERIES_PER_THREAD_HZ: f64 = 50_000.0;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The server, or none for the embedded one.
    pub(crate) target: Option<Target>,
    /// Who is where and speaks when.
    pub(crate) plan: Plan,
    /// How each client is set up.
    pub(crate) session: Session,
    /// Connects are spread over this time.
    pub(crate) ramp: Duration,
    /// A client that has not joined after this time has failed.
    pub(crate) timeout: Duration,
    /// How long to wait for what is outstanding after the last message.
    pub(crate) drain: Duration,
    /// Threads that carry clients.
    pub(crate) threads: u32,
    /// Where the complete report goes.
    pub(crate) json: Option<PathBuf>,
    /// No progress.
    pub(crate) quiet: bool,
}

/// How each client is set up.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// How packets travel.
    pub(crate) transport: Mix,
    /// Path of the Engine.IO endpoint.
    pub(crate) path: String,
    /// Namespace to connect to.
    pub(crate) namespace: String,
    /// Auth payload of CONNECT: a JSON object.
    pub(crate) auth: Option<String>,
    /// Whether messages ask for an acknowledgement.
    pub(crate) ack: bool,
    /// Bytes of text in each message.
    pub(crate) body_bytes: u32,
    /// Whether a client whose connection breaks comes back.
    pub(crate) reconnect: bool,
}

/// Why the arguments do not make a run. Each says what to write instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("--auth is not a JSON object; write one such as '{{\"token\":\"secret\"}}'")]
    Auth,
    #[error("--size {0} is over {BODY_BYTES_MAX} bytes; ask for less")]
    BodyBytes(u32),
    #[error("--clients {0} is not possible; ask for 1 to {CLIENTS_MAX}")]
    Clients(u32),
    #[error("--namespace {0:?} does not start with a slash; write /{0}")]
    Namespace(String),
    #[error("--path {0:?} does not start with a slash; write /{0}")]
    Path(String),
    #[error(
        "--rate {0} is not possible; ask for more than 0 and at most {RATE_HZ_MAX} messages per second"
    )]
    Rate(f64),
    #[error(
        "--rooms {rooms} for --clients {clients} would leave rooms empty; ask for 1 to {clients} rooms"
    )]
    Rooms { rooms: u32, clients: u32 },
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(
        "--threads {threads} is not possible; ask for 1 to {max}, as a room stays on one thread"
    )]
    Threads { threads: u32, max: u32 },
    #[error("--{0} must be longer than 0 and at most 24h")]
    Time(&'static str),
}

impl TryFrom<Args> for Options {
    type Error = OptionsError;

    fn try_from(args: Args) -> Result<Self, OptionsError> {
        let clients = args.clients;
        if !(1..=CLIENTS_MAX).contains(&clients) {
            return Err(OptionsError::Clients(clients));
        }
        let rooms = args.rooms.unwrap_or_else(|| clients.div_ceil(10));
        if !(1..=clients).contains(&rooms) {
            return Err(OptionsError::Rooms { rooms, clients });
        }
        let rate_hz = args.rate.unwrap_or_else(|| f64::from(clients) / 5.0);
        if !(rate_hz > 0.0 && rate_hz <= RATE_HZ_MAX) {
            return Err(OptionsError::Rate(rate_hz));
        }
        let ramp = args.ramp.unwrap_or_else(|| {
            Duration::from_secs(5).max(Duration::from_secs_f64(f64::from(clients) / 500.0))
        });
        for (name, time) in [("duration", args.duration), ("timeout", args.timeout)] {
            if time.is_zero() || time > TIME_MAX {
                return Err(OptionsError::Time(name));
            }
        }
        for (name, time) in [("ramp", ramp), ("drain", args.drain)] {
            if time > TIME_MAX {
                return Err(OptionsError::Time(name));
            }
        }
        let plan = Plan {
            seed: args.seed,
            clients,
            rooms,
            rate_hz,
            duration: args.duration,
            arrivals: args.arrivals,
            speakers: args.speakers,
        };
        Ok(Self {
            threads: threads(args.threads, &plan)?,
            target: args.url.as_deref().map(Target::parse).transpose()?,
            session: session(&args)?,
            plan,
            ramp,
            timeout: args.timeout,
            drain: args.drain,
            json: args.json,
            quiet: args.quiet,
        })
    }
}

fn threads(typed: Option<u32>, plan: &Plan) -> Result<u32, OptionsError> {
    let max = THREADS_MAX.min(plan.rooms);
    let Some(threads) = typed else {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        let wanted = (plan.deliveries_hz() / DELIVERIES_PER_THREAD_HZ).ceil() as u32;
        // One core is for the server, or for whatever else there is.
        return Ok(wanted.clamp(1, cores.saturating_sub(1).clamp(1, max)));
    };
    if !(1..=max).contains(&threads) {
        return Err(OptionsError::Threads { threads, max });
    }
    Ok(threads)
}

fn session(args: &Args) -> Result<Session, OptionsError> {
    if args.size > BODY_BYTES_MAX {
        return Err(OptionsError::BodyBytes(args.size));
    }
    if !args.path.starts_with('/') {
        return Err(OptionsError::Path(args.path.clone()));
    }
    let namespace = match (&args.namespace, &args.url) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(url)) => Target::parse(url)?.namespace,
        (None, None) => "/".to_owned(),
    };
    if !namespace.starts_with('/') {
        return Err(OptionsError::Namespace(namespace));
    }
    if let Some(auth) = &args.auth {
        let object: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(auth);
        object.map_err(|_| OptionsError::Auth)?;
    }
    Ok(Session {
        transport: args.transport.clone(),
        path: args.path.clone(),
        namespace,
        auth: args.auth.clone(),
        ack: !args.no_ack,
        body_bytes: args.size,
        reconnect: args.reconnect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(typed: &str) -> Result<Options, OptionsError> {
        let words = std::iter::once("loadgen").chain(typed.split_whitespace());
        Options::try_from(crate::args::parse(words.map(Into::into)).expect("it parses"))
    }

    #[test]
    fn defaults_follow_the_number_of_clients() {
        for (typed, rooms, rate_hz, ramp_s) in
            [("", 100, 200.0, 5), ("--clients 10k", 1000, 2000.0, 20), ("--clients 1", 1, 0.2, 5)]
        {
            let options = options(typed).unwrap();
            assert_eq!(options.plan.rooms, rooms, "{typed}");
            assert_eq!(options.plan.rate_hz, rate_hz, "{typed}");
            assert_eq!(options.ramp, Duration::from_secs(ramp_s), "{typed}");
        }
    }

    #[test]
    fn namespace_comes_from_the_url_unless_it_is_named() {
        for (typed, namespace) in [
            ("http://a", "/"),
            ("http://a/x", "/x"),
            ("http://a/x --namespace /y", "/y"),
            ("--namespace /z", "/z"),
        ] {
            assert_eq!(options(typed).unwrap().session.namespace, namespace, "{typed}");
        }
    }

    #[test]
    fn values_at_a_bound_pass_and_one_past_it_do_not() {
        for (at, past) in [
            ("--clients 1", "--clients 0"),
            ("--clients 1m", "--clients 1000001"),
            ("--clients 5 --rooms 5", "--clients 5 --rooms 6"),
            ("--clients 5 --rooms 1", "--clients 5 --rooms 0"),
            ("--rate 0.001", "--rate 0"),
            ("--rate 1m", "--rate 1000001"),
            ("--size 524288", "--size 524289"),
            ("--threads 1", "--threads 0"),
            ("--clients 20 --rooms 2 --threads 2", "--clients 20 --rooms 2 --threads 3"),
            ("--duration 1ms", "--duration 0"),
            ("--duration 24h", "--duration 25h"),
            ("--ramp 0", "--ramp 25h"),
            ("--drain 0", "--drain 25h"),
            ("--timeout 1ms", "--timeout 0s"),
        ] {
            assert!(options(at).is_ok(), "{at}");
            assert!(options(past).is_err(), "{past}");
        }
    }
}
