//! `parlor`: the chat rooms as a server.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
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

    /// Threads that share the connections; by default one for each core.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    shards: Option<u8>,

    /// Let another parlor listen on the same address, to take over from it.
    #[arg(long)]
    reuse_port: bool,

    /// Namespace to serve the chat on, besides `/`; may be repeated.
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,

    /// Path that Socket.IO is served under.
    #[arg(long, default_value = "/socket.io/")]
    path: String,

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
    let shards = args.shards.unwrap_or_else(shards_by_default);
    let listeners = net::listen_shards(listen, shards, args.reuse_port)
        .map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = listeners[0].local_addr().map_err(|error| format!("no address: {error}"))?;
    let config = config(&args);
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let namespaces = std::iter::once("/".to_owned()).chain(args.namespace).collect();
    announce(address);
    serve(listeners, config, chat::app(namespaces, server), shutdown)
        .await
        .map_err(|error| error.to_string())
}

fn shards_by_default() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u8::try_from(cores).unwrap_or(u8::MAX)
}

fn config(args: &Args) -> Config {
    let mut config = Config {
        path: args.path.clone(),
        outbound_bytes_max: args.outbound_bytes_max,
        ..Config::default()
    };
    config.limits.ping_interval = Duration::from_millis(args.ping_interval_ms);
    config.limits.ping_timeout = Duration::from_millis(args.ping_timeout_ms);
    config.limits.connect_timeout = Duration::from_millis(args.connect_timeout_ms);
    config.limits.max_payload = args.max_payload_bytes;
    config
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
