//! The stock clients against the same application, over every transport, one
//! list of checks for all of them (those of Python in their own language).

use std::process::Command;
use std::thread;
use std::time::Duration;

use parlor::Config;

use crate::node::node;
use crate::python::python;
use crate::server::Server;
use crate::suite::run_suite;

/// What clients speak, in order of their preference; the last is the default of
/// the stock clients, which go over from the one to the other.
const TRANSPORTS: [&str; 3] = ["websocket", "polling", "polling,websocket"];

/// How many shards a server has: one, and more than these clients need.
const SHARDS: [u8; 2] = [1, 4];

/// Runs a suite of at least as many checks over every transport, side by side.
fn run(client: &str, suite: impl Fn() -> Option<Command> + Sync, checks: u32) {
    let mut config = Config { allow_eio3: true, ..Config::default() };
    // The Python client's end over polling waits at times for its last poll, hence for a ping.
    config.limits.ping_interval = Duration::from_millis(300);
    for shards in SHARDS {
        thread::scope(|scope| {
            for transports in TRANSPORTS {
                let (config, suite) = (&config, &suite);
                scope.spawn(move || {
                    let Some(mut suite) = suite() else { return };
                    // Its own: checks speak to whole namespaces.
                    let server = Server::start(shards, config.clone());
                    let url = format!("http://{}", server.address);
                    let suite = suite.arg(url).env("TRANSPORTS", transports);
                    let name = format!("{client} over {transports}, {shards} shards");
                    run_suite(suite, &name, checks);
                });
            }
        });
    }
}

fn feature_suite(variable: &str, value: &str) -> Option<Command> {
    let mut suite = node("feature-suite.mjs")?;
    suite.env(variable, value);
    Some(suite)
}

#[test]
fn the_stock_client_finds_its_features() {
    run("socket.io-client 4", || feature_suite("PARSER", "json"), 15);
}

#[test]
fn the_stock_client_with_messagepack_finds_its_features() {
    run("socket.io-client 4 with MessagePack", || feature_suite("PARSER", "msgpack"), 15);
}

#[test]
fn the_stock_client_of_socket_io_2_finds_its_features() {
    run("socket.io-client 2", || feature_suite("CLIENT", "2"), 14);
}

#[test]
fn the_python_client_finds_its_features() {
    run("python-socketio", || python("features.py"), 9);
}
