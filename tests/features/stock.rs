//! The stock clients against the same application, over every transport.

use std::process::Command;
use std::time::Duration;

use parlor::Config;

use crate::node::node;
use crate::python::python;
use crate::server::{Server, on_shards, on_shards_with};
use crate::suite::run_suite;

/// What clients speak, in order of their preference; the last is the default of
/// the stock clients, which go over from the one to the other.
const TRANSPORTS: [&str; 3] = ["websocket", "polling", "polling,websocket"];

fn run_over(server: &Server, suite: Option<Command>, transports: &str, parser: &str, checks: u32) {
    let Some(mut suite) = suite else { return };
    suite.arg(format!("http://{}", server.address));
    suite.env("TRANSPORTS", transports).env("PARSER", parser);
    let name = format!("{transports}, {parser}, {} shards", server.shards);
    run_suite(&mut suite, &name, checks);
}

#[test]
fn the_stock_client_finds_its_features() {
    on_shards(|server| {
        for transports in TRANSPORTS {
            run_over(server, node("feature-suite.mjs"), transports, "json", 14);
        }
    });
}

#[test]
fn the_stock_client_with_messagepack_finds_its_features() {
    on_shards(|server| {
        for transports in TRANSPORTS {
            run_over(server, node("feature-suite.mjs"), transports, "msgpack", 14);
        }
    });
}

#[test]
fn the_python_client_finds_its_features() {
    let mut config = Config::default();
    // Its end over polling waits at times for its last poll, hence for a ping.
    config.limits.ping_interval = Duration::from_millis(300);
    on_shards_with(&config, |server| {
        for transports in TRANSPORTS {
            run_over(server, python("features.py"), transports, "json", 8);
        }
    });
}
