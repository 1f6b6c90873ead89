//! `parlor`: the chat rooms as a server.

mod settings;

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use parlor::tls::{Identity, TlsListener};
use parlor::{chat, net, serve, serve_with};
use rand_core::{Rng, SeedableRng};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Options, Request, Tls};

const EXIT_SETTINGS: u8 = 2;

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
            run(*options, identity).await
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

async fn run(options: Options, identity: Option<Identity>) -> Result<(), String> {
    // Registered before the ready line: who reads it may send a signal at once.
    let shutdown = stopped(signal(SignalKind::interrupt()), signal(SignalKind::terminate()))?;
    net::raise_descriptor_limit();
    let listen = options.listen;
    let listeners = net::listen_shards(listen, options.shards(), options.share_address)
        .map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = listeners[0].local_addr().map_err(|error| format!("no address: {error}"))?;
    let config = options.config();
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let app = chat::app(options.namespaces(), server);
    let Some(identity) = identity else {
        announce("http", address);
        return serve(listeners, config, app, shutdown).await.map_err(|error| error.to_string());
    };
    let (identities, shown) = watch::channel(identity);
    let reload = run_reload(hangups()?, options.tls, identities);
    announce("https", address);
    let wrap = move |listener| TlsListener::new(listener, shown.clone());
    let served = serve_with(listeners, wrap, config, app, shutdown);
    // Only the server ends.
    tokio::select! {
        biased;
        () = reload => Ok(()),
        served = served => served.map_err(|error| error.to_string()),
    }
}

fn hangups() -> Result<Signal, String> {
    signal(SignalKind::hangup()).map_err(|error| format!("can not listen for signals: {error}"))
}

/// Shows new connections what is in the files, after each of `hangups`.
async fn run_reload(mut hangups: Signal, tls: Tls, identities: watch::Sender<Identity>) {
    loop {
        if hangups.recv().await.is_none() {
            // There can be no more of them.
            return std::future::pending().await;
        }
        match tls.identity() {
            Ok(Some(identity)) => {
                identities.send_replace(identity);
                tracing::info!("new connections are shown the certificate as it is now");
            }
            Ok(None) => {}
            Err(error) => tracing::error!("the certificate stays as it was: {error}"),
        }
    }
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
fn announce(scheme: &str, address: SocketAddr) {
    println!("listening on {scheme}://{address}");
}
