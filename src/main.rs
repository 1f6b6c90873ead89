//! `parlor`: the chat rooms as a server.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use parlor::server::{Cors, Origins};
use parlor::{Config, chat, net, serve};
use rand_core::{Rng, SeedableRng};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A chat room server that speaks Socket.IO.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Namespace to serve the chat on, besides `/`; may be repeated.
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,

    /// Path that Socket.IO is served under.
    #[arg(long, default_value = "/socket.io/")]
    path: String,

    /// Serve clients of Socket.IO 2 (Engine.IO protocol v3) too.
    #[arg(long)]
    allow_eio3: bool,

    /// Site whose pages may use long-polling, such as https://chat.example.com; may be repeated.
    /// `*` means every site, without credentials.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,

    /// Time from a pong to the next ping, in milliseconds.
    #[arg(long, default_value_t = 25_000, value_name = "MS")]
    ping_interval_ms: u64,

    /// Time that a client has to answer a ping, in milliseconds.
    #[arg(long, default_value_t = 20_000, value_name = "MS")]
    ping_timeout_ms: u64,

    /// Time that a client has to connect to a namespace, in milliseconds.
    #[arg(long, default_value_t = 45_000, value_name = "MS")]
    connect_timeout_ms: u64,

    /// Largest message that a client may send, in bytes.
    #[arg(long, default_value_t = 1_000_000, value_name = "BYTES")]
    max_payload_bytes: usize,

    /// Bytes that may wait for a client that does not read, before it is closed.
    #[arg(long, default_value_t = 4 << 20, value_name = "BYTES")]
    outbound_bytes_max: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("PARLOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "one line for a person, not for a log")]
fn complain(error: &str) {
    eprintln!("parlor: {error}");
}

async fn run(args: Args) -> Result<(), String> {
    if let Some(name) = args.namespace.iter().find(|name| !name.starts_with('/')) {
        return Err(format!("a namespace begins with a slash: try --namespace /{name}"));
    }
    // Registered before the ready line: who reads it may send a signal at once.
    let shutdown = stopped(signal(SignalKind::interrupt()), signal(SignalKind::terminate()))?;
    net::raise_descriptor_limit();
    let listen = args.listen;
    let listener =
        net::listen(listen).map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("no address: {error}"))?;
    let config = config(&args);
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let namespaces = std::iter::once("/".to_owned()).chain(args.namespace).collect();
    announce(address);
    serve(listener, config, chat::app(namespaces, server), shutdown)
        .await
        .map_err(|error| error.to_string())
}

fn config(args: &Args) -> Config {
    let mut config = Config {
        path: args.path.clone(),
        outbound_bytes_max: args.outbound_bytes_max,
        allow_eio3: args.allow_eio3,
        cors: cors(&args.cors_origin),
        ..Config::default()
    };
    config.limits.ping_interval = Duration::from_millis(args.ping_interval_ms);
    config.limits.ping_timeout = Duration::from_millis(args.ping_timeout_ms);
    config.limits.connect_timeout = Duration::from_millis(args.connect_timeout_ms);
    config.limits.max_payload = args.max_payload_bytes;
    config
}

/// Who may use long-polling from another site's page; nobody, if nobody is named.
fn cors(origins: &[String]) -> Option<Cors> {
    if origins.is_empty() {
        return None;
    }
    let any = origins.iter().any(|origin| origin == "*");
    let origins = if any { Origins::Any } else { Origins::These(origins.to_vec()) };
    Some(Cors { origins, credentials: !any })
}

/// Resolves when a person or a supervisor wants the server to end.
fn stopped(
    interrupt: std::io::Result<Signal>,
    terminate: std::io::Result<Signal>,
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
