//! The operators' namespace, looked at as the stock Admin UI does: the npm
//! client, and every event that the page hears or sends.
//!
//! The same checks run against a stock server with `@socket.io/admin-ui` first:
//! one that fails there is wrong, whatever it says about parlor.

use std::process::Command;
use std::thread;

use crate::node::node;
use crate::process::{Process, address};
use crate::suite::run_suite;

/// Of "secret", at the lowest cost.
const PASSWORD_HASH: &str = "$2a$04$s6wa2z9Bs1dt.mllNxnq7ev5Ia5nZ0qfMWCs/tl2DVJnPSc5YXYde";

/// Mode, whether operators may only look, and how many checks there are for that.
const KINDS: [(&str, bool, u32); 3] =
    [("development", false, 17), ("development", true, 14), ("production", false, 7)];

fn stock(mode: &str, read_only: bool) -> Option<Command> {
    let mut server = node("admin-server.mjs")?;
    server.args(["--username", "operator", "--password-hash", PASSWORD_HASH, "--mode", mode]);
    server.args(read_only.then_some("--read-only"));
    Some(server)
}

fn parlor(shards: &str, mode: &str, read_only: bool) -> Command {
    let mut server = Command::new(env!("CARGO_BIN_EXE_parlor"));
    server.args(["--listen", "127.0.0.1:0", "--shards", shards, "--admin-mode", mode]);
    server.args(["--admin-username", "operator", "--admin-password-hash", PASSWORD_HASH]);
    server.args(["--admin-read-only", &read_only.to_string()]);
    server
}

/// The checks, to be run against a server that has said where it is.
fn checks(server: &mut Process) -> Option<Command> {
    let url = format!("http://{}", address(&server.line()));
    let mut suite = node("admin-suite.mjs")?;
    suite.args([&url, "--username", "operator", "--password", "secret"]);
    Some(suite)
}

fn look(mut server: Process, mode: &str, read_only: bool, name: &str, count: u32) {
    let Some(mut suite) = checks(&mut server) else { return };
    suite.args(["--mode", mode]).args(read_only.then_some("--read-only"));
    run_suite(&mut suite, name, count);
}

#[test]
fn the_checks_hold_against_a_stock_server() {
    thread::scope(|scope| {
        for (mode, read_only, count) in KINDS {
            scope.spawn(move || {
                let Some(mut server) = stock(mode, read_only) else { return };
                let server = Process::start(&mut server);
                look(server, mode, read_only, &format!("a stock server, {mode}"), count);
            });
        }
    });
}

#[test]
fn the_admin_ui_sees_and_does_on_parlor_what_it_does_on_a_stock_server() {
    for shards in ["1", "4"] {
        thread::scope(|scope| {
            for (mode, read_only, count) in KINDS {
                scope.spawn(move || {
                    let server = Process::start(&mut parlor(shards, mode, read_only));
                    look(server, mode, read_only, &format!("{shards} shards, {mode}"), count);
                });
            }
        });
    }
}

#[test]
fn operators_cost_no_more_than_they_may() {
    for shards in ["1", "4"] {
        let mut server = parlor(shards, "development", false);
        server.args(["--limits-outbound-bytes-max", "100kB"]);
        let mut server = Process::start(&mut server);
        let Some(mut suite) = checks(&mut server) else { return };
        suite.args(["--mode", "development", "--bounds"]);
        run_suite(&mut suite, &format!("{shards} shards"), 3);
    }
}

#[test]
fn there_is_no_such_namespace_unless_a_password_is_set() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_parlor"));
    server.args(["--listen", "127.0.0.1:0", "--admin-mode", "development"]);
    let mut server = Process::start(&mut server);
    let Some(mut suite) = checks(&mut server) else { return };
    let mut suite = Process::start(suite.args(["--only", "the password lets in"]));
    assert_eq!(suite.line(), "FAIL  the password lets in");
    assert!(suite.line().contains("Invalid namespace"));
}
