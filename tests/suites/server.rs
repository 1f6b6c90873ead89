//! The server that the official protocol suites ask for, on port 3000.
//!
//! `cargo run --example suite-server -- engine.io` (or `engine.io-v3`, or
//! `socket.io`); the script `run` beside this file does it all.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use parlor::{Ack, Admission, Config, Io, Raw, RawConnection, RawMessage, Socket, net, serve};
use serde_json::json;

/// A server for one of the official suites.
#[derive(Debug, Parser)]
struct Args {
    /// Which suite.
    suite: Suite,

    /// Port to listen on, of every interface and both families.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// Threads that share the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    shards: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Suite {
    /// Engine.IO protocol v4: echoes messages.
    #[value(name = "engine.io")]
    Engine,
    /// Engine.IO protocol v3: the same.
    #[value(name = "engine.io-v3")]
    EngineV3,
    /// Socket.IO protocol v5.
    #[value(name = "socket.io")]
    Socket,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "for the script that runs it")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, args.port));
    let listeners = match net::listen_shards(address, args.shards, false) {
        Ok(listeners) => listeners,
        Err(error) => {
            eprintln!("suite-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on http://localhost:{}", args.port);
    let app = move |io: &mut Io| match args.suite {
        Suite::Engine | Suite::EngineV3 => io.raw(echo),
        Suite::Socket => socketio(io),
    };
    let stopped = async { drop(tokio::signal::ctrl_c().await) };
    match serve(listeners, config(args.suite), app, stopped).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("suite-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config(suite: Suite) -> Config {
    let mut config = Config { allow_eio3: true, ..Config::default() };
    config.path = match suite {
        Suite::Engine | Suite::EngineV3 => "/engine.io/".to_owned(),
        Suite::Socket => "/socket.io/".to_owned(),
    };
    config.limits.ping_interval = Duration::from_millis(300);
    config.limits.ping_timeout = Duration::from_millis(200);
    config.limits.max_payload = 1_000_000;
    config.limits.connect_timeout = Duration::from_secs(1);
    config
}

async fn echo(connection: RawConnection, message: RawMessage) {
    match message {
        RawMessage::Binary(bytes) => connection.send_binary(&bytes),
        RawMessage::Text(text) => connection.send_text(&text),
    }
}

fn socketio(io: &mut Io) {
    for name in ["/", "/custom"] {
        // An admission that does not wait is followed by its connection.
        let auths = Rc::new(RefCell::new(VecDeque::new()));
        let admitted = Rc::clone(&auths);
        let namespace = io.of(name);
        namespace.on_admission(async move |admission: Admission| {
            let auth = if admission.auth.is_null() { json!({}) } else { admission.auth };
            admitted.borrow_mut().push_back(auth);
            Ok(())
        });
        namespace.on_connection(async move |socket: Socket| {
            let auth = auths.borrow_mut().pop_front().unwrap_or_default();
            socket.emit("auth", auth);
        });
        namespace.on("message", async |socket: Socket, raw: Raw| {
            socket.emit("message-back", raw);
        });
        namespace.on("message-with-ack", async |_: Socket, raw: Raw, ack: Ack| {
            ack.send(raw);
        });
    }
}
