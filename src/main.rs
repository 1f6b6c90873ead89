//! `parlor`: the chat rooms as a server.

mod operator;
mod settings;
mod signals;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use parlor::admin::Admin;
use parlor::{Io, Observer, chat, net, serve};
use rand_core::{Rng, SeedableRng};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Options, Request};
use crate::signals::{Signal, Signals};

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
            match run(*options).await {
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

/// Serves until a signal ends it; returns the second one, if that came before all had gone.
async fn run(options: Options) -> Result<Option<Signal>, String> {
    // Registered before the ready line: who reads it may send a signal at once.
    let signals =
        Signals::listen().map_err(|error| format!("can not listen for signals: {error}"))?;
    net::raise_descriptor_limit();
    if options.admin().is_some_and(|admin| options.namespaces().contains(&admin.namespace)) {
        return Err("the namespace /admin is either for the chat or for operators".to_owned());
    }
    let listen = options.listen;
    let listeners = net::listen_shards(listen, options.shards(), options.share_address)
        .map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = listeners[0].local_addr().map_err(|error| format!("no address: {error}"))?;
    let config = options.config();
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let observer = Observer::new(usize::from(options.shards()));
    let operator = match options.metrics {
        None => None,
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|error| format!("can not listen on {address} for metrics: {error}"))?,
        ),
    };
    announce(address);
    let mut operators = JoinSet::new();
    if let Some(listener) = operator {
        announce_metrics(listener.local_addr().map_err(|error| format!("no address: {error}"))?);
        operators.spawn(operator::run(listener, observer.clone()));
    }
    let admin = options.admin().map(|config| Admin::new(config, &observer));
    let chat = chat::app(options.namespaces(), server);
    let app = move |io: &mut Io| {
        io.observe(&observer);
        chat(io);
        admin.iter().for_each(|admin| admin.attach(io));
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    // Who has been served to the end needs no signal.
    tokio::select! {
        biased;
        served = serve(listeners, config, app, shutdown) => {
            served.map(|()| None).map_err(|error| error.to_string())
        }
        insisted = insist(signals, stop) => Ok(Some(insisted)),
    }
}

/// Says at the first signal that the server is to end; returns with the second:
/// who sends that does not want to wait.
async fn insist(mut signals: Signals, stop: oneshot::Sender<()>) -> Signal {
    signals.next().await;
    drop(stop);
    signals.next().await
}

#[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}

#[expect(clippy::print_stdout, reason = "port 0 picks one, and scripts have to know it")]
fn announce_metrics(address: SocketAddr) {
    println!("metrics on http://{address}/metrics");
}
