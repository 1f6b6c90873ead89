//! `parlor`: the chat rooms as a server.

mod page;
mod settings;

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use parlor::{Io, chat, net, serve};
use rand_core::{Rng, SeedableRng};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::page::Page;
use crate::settings::{LogFormat, Options, Request};

const EXIT_SETTINGS: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match settings::read(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Help(help)) => printed(help.print()),
        Ok(Request::Print(text)) => printed(io::stdout().write_all(text.as_bytes())),
        Ok(Request::Serve { options, ignored }) => {
            log(&options);
            if !ignored.is_empty() {
                tracing::warn!("not settings: {}; see parlor --help", ignored.join(", "));
            }
            run(*options).await
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

async fn run(options: Options) -> Result<(), String> {
    // Registered before the ready line: who reads it may send a signal at once.
    let shutdown = stopped(signal(SignalKind::interrupt()), signal(SignalKind::terminate()))?;
    net::raise_descriptor_limit();
    let listen = options.listen;
    let listeners = net::listen_shards(listen, options.shards(), options.share_address)
        .map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = listeners[0].local_addr().map_err(|error| format!("no address: {error}"))?;
    let config = options.config();
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let page =
        Page::new(&config.path, options.page.enabled, options.page.client_script.as_deref())?;
    let chat = chat::app(options.namespaces(), server);
    let app = move |io: &mut Io| {
        io.fallback(page.clone());
        chat(io);
    };
    announce(address);
    serve(listeners, config, app, shutdown).await.map_err(|error| error.to_string())
}

/// Resolves when a person or a supervisor wants the server to end.
fn stopped(
    interrupt: io::Result<Signal>,
    terminate: io::Result<Signal>,
) -> Result<impl Future<Output = ()>, String> {
    let failed = |error| format!("can not listen for signals: {error}");
    let (mut interrupt, mut terminate) = (interrupt.map_err(failed)?, terminate.map_err(failed)?);
    Ok(async move {
        // Either will do; the order does not matter.
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}
