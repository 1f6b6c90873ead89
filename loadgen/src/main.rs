//! loadgen: drives a Socket.IO chat with many clients and reports what is true.
//!
//! ```text
//! args -> options -> preflight -> run -+-> fleet (a thread each) -> client -+-> report -> summary
//!                                      |     schedule, chat, message       |            JSON
//!                                      +-> embedded server (a child)       +-> recorder, accounting
//! ```
//!
//! Pure, and so tested without a runtime: `options`, `schedule`, `message`, `chat`,
//! `recorder`, `accounting`, `verdict`, `report`, `summary`. What is true of a run:
//!
//! * every latency counts from the time the schedule intended, never from the
//!   time at which loadgen got round to it;
//! * every pair of message and recipient is accounted for, by the same checkers
//!   that judge the simulation;
//! * loadgen reports its own lag, and declares a run invalid rather than blame
//!   the server for it.

mod accounting;
mod alarm;
mod args;
mod attack;
mod chat;
mod client;
mod embedded;
mod fleet;
mod message;
mod options;
mod preflight;
mod progress;
mod readiness;
mod recorder;
mod report;
mod resources;
mod run;
mod schedule;
mod summary;
mod talk;
mod target;
mod transport;
mod verdict;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::args::Command;
use crate::options::Options;
use crate::report::Report;

const EXIT_USAGE: u8 = 2;
const EXIT_CANNOT_CONNECT: u8 = 3;
const EXIT_VIOLATION: u8 = 4;
const EXIT_INVALID: u8 = 5;
const EXIT_SIGINT: u8 = 130;
const EXIT_SIGTERM: u8 = 143;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err((text, 0)) => return say(&text, 0),
        Err((error, code)) => return fail(&error, code),
    };
    match args.command {
        Some(Command::Attack(attack)) => {
            return match attack::run(&attack) {
                Ok(account) => say(&account, 0),
                Err(error) => fail(&error, EXIT_USAGE),
            };
        }
        Some(Command::EmbeddedServer(embedded)) => {
            return match embedded::serve(embedded) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string(), EXIT_CANNOT_CONNECT),
            };
        }
        None => {}
    }
    let options = match Options::try_from(args) {
        Ok(options) => options,
        Err(error) => return fail(&error.to_string(), EXIT_USAGE),
    };
    let json = options.json.clone();
    // Opened before the run: half an hour later is too late to learn that it cannot be.
    let file =
        match json.as_deref().filter(|path| *path != Path::new("-")).map(std::fs::File::create) {
            Some(Err(error)) => {
                return fail(
                    &format!("--json cannot be written: {error}; name another file"),
                    EXIT_USAGE,
                );
            }
            Some(Ok(file)) => Some(file),
            None => None,
        };
    match run::run(options) {
        Ok(report) => publish(&report, json.is_some() && file.is_none(), file),
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
}

/// The report in every form that was asked for. JSON on stdout stands alone.
fn publish(report: &Report, json_on_stdout: bool, file: Option<std::fs::File>) -> ExitCode {
    if let Some(Err(error)) = file.map(|mut file| file.write_all(report.json().as_bytes())) {
        return fail(&format!("--json could not be written: {error}"), EXIT_USAGE);
    }
    let colours = takes_colours(&std::io::stdout());
    let text = if json_on_stdout { report.json() } else { summary::render(report, colours) };
    say(&text, report.verdict.exit_code)
}

/// Whether colours are wanted: <https://no-color.org>.
fn takes_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints `text`. A reader that has gone is no failure of the run.
fn say(text: &str, code: u8) -> ExitCode {
    let mut stdout = std::io::stdout();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
    ExitCode::from(code)
}

#[expect(clippy::print_stderr, reason = "what is wrong goes to stderr")]
fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("loadgen: {error}");
    ExitCode::from(code)
}
