//! `parlor`: the chat rooms as a server.

mod front;
mod operator;
mod page;
mod program;
mod settings;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Options, Request};

const EXIT_SETTINGS: u8 = 2;

/// Gives back to the system what a flood of slow readers took: the usual
/// allocator keeps a server as large as it has ever been.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match settings::read(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Help(help)) => printed(help.print()),
        Ok(Request::Print(text)) => printed(io::stdout().write_all(text.as_bytes())),
        Ok(Request::Serve { options, identity, ignored }) => {
            log(&options);
            if !ignored.is_empty() {
                tracing::warn!("not settings: {}; see parlor --help", ignored.join(", "));
            }
            match program::run(*options, identity).await {
                Ok(Some(signal)) => return ExitCode::from(signal.exit_code()),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            }
        }
        Err(error) => return fail(&error.to_string(), ExitCode::from(EXIT_SETTINGS)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

fn printed(result: io::Result<()>) -> Result<(), String> {
    match result {
        // Who has seen enough may go.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| format!("can not print: {error}")),
    }
}

#[expect(clippy::print_stderr, reason = "one line for a person, not for a log")]
fn fail(error: &str, code: ExitCode) -> ExitCode {
    eprintln!("parlor: {error}");
    code
}

fn log(options: &Options) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&options.log.filter))
        .with_writer(io::stderr);
    match options.log.format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
}
