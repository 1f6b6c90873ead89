//! Stock Socket.IO code against parlor: the npm client through the whole chat
//! protocol, over every transport, and the one of Socket.IO 2 through much of it.
//!
//! The same suite runs against a stock Node server first: a check that fails
//! there is wrong, whatever it says about parlor.

#[path = "stock_clients/admin.rs"]
mod admin;
#[path = "support/node.rs"]
mod node;
#[path = "support/process.rs"]
mod process;
#[path = "support/suite.rs"]
mod suite;

use std::process::Command;
use std::thread;

use node::node;
use process::{PATIENCE, Process, address};
use suite::run_suite;

/// The namespace that every server here serves besides `/`.
const NAMESPACE: &str = "/other";

/// What the clients of the suite speak, in order of their preference; the last
/// is the default of the stock client, which goes over from the one to the other.
const TRANSPORTS: [&str; 3] = ["websocket", "polling", "polling,websocket"];

/// How many shards a server of ours has: one, and more than these clients need.
const SHARDS: [&str; 2] = ["1", "4"];

fn parlor(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--namespace", NAMESPACE]);
    command
}

fn chat_server(port: u16) -> Option<Command> {
    let mut command = node("chat-server.mjs")?;
    command.args(["--port", &port.to_string(), "--namespace", NAMESPACE]);
    Some(command)
}

#[test]
fn the_suite_holds_against_a_stock_server() {
    side_by_side(TRANSPORTS, |transports| {
        if let Some(mut server) = chat_server(0) {
            run_chat_suite(Process::start(&mut server), transports, "a stock server");
        }
    });
}

#[test]
fn stock_clients_chat_on_parlor() {
    for shards in SHARDS {
        side_by_side(TRANSPORTS, |transports| {
            let server = Process::start(parlor(0).args(["--shards", shards]));
            run_chat_suite(server, transports, &format!("{shards} shards"));
        });
    }
}

#[test]
fn stock_clients_of_socket_io_2_chat_on_parlor() {
    side_by_side(SHARDS, |shards| {
        let arguments = ["--http-allow-eio3", "true", "--shards", shards];
        let mut server = Process::start(parlor(0).args(arguments));
        let url = format!("http://{}", address(&server.line()));
        let Some(mut client) = node("old-client.mjs") else { return };
        let mut client = Process::start(client.args([&url, "--namespace", NAMESPACE]));
        while client.line() != "all is well" {}
        assert!(client.wait(PATIENCE).expect("the client is done").success());
    });
}

#[test]
fn a_stock_client_compresses_and_is_compressed_for() {
    let cases = [("websocket", "1"), ("polling,websocket", "1"), ("polling,websocket", "4")];
    side_by_side(cases, |(transports, shards)| {
        let options = ["--websocket-compression", "true", "--shards", shards];
        let mut server = Process::start(parlor(0).args(options));
        let url = format!("http://{}", address(&server.line()));
        let Some(mut client) = node("compression-client.mjs") else { return };
        let mut client = Process::start(client.args([&url, transports]));
        assert_eq!(client.line(), "all is well", "{transports}, {shards} shards");
        assert!(client.wait(PATIENCE).expect("the client is done").success());
    });
}

#[test]
fn a_stock_client_whose_connection_breaks_misses_nothing() {
    let recovery = ["--recovery-enabled", "true"];
    let cases = [
        ("websocket", "json", "1"),
        ("polling", "json", "2"),
        ("polling,websocket", "json", "3"),
        ("websocket", "msgpack", "4"),
        ("polling,websocket", "msgpack", "1"),
    ];
    side_by_side(cases, |(transports, parser, shards)| {
        let mut server = Process::start(parlor(0).args(recovery).args(["--shards", shards]));
        let url = format!("http://{}", address(&server.line()));
        let Some(mut client) = node("recovery-client.mjs") else { return };
        let client = client.args([&url, transports]).env("PARSER", parser);
        let mut client = Process::start(client);
        let (line, name) = (client.line(), format!("{transports}, {parser}, {shards} shards"));
        assert!(line.starts_with("recovered 12 times"), "{name}: {line}");
        assert!(client.wait(PATIENCE).expect("the client is done").success());
    });
}

#[test]
fn a_stock_client_survives_a_restart_of_a_stock_server() {
    survive_a_restart(chat_server);
}

#[test]
fn a_stock_client_survives_a_restart_of_parlor() {
    survive_a_restart(|port| Some(parlor(port)));
}

#[test]
fn stock_clients_go_over_to_a_second_server_on_the_same_address() {
    for transports in ["websocket", "polling,websocket"] {
        let shared = |port| {
            let mut server = parlor(port);
            server.args(["--share-address", "true", "--drain-window", "2s"]);
            Process::start(&mut server)
        };
        let mut first = shared(0);
        let address = address(&first.line());
        let Some(mut clients) = node("drain-client.mjs") else { return };
        let clients = clients.arg(format!("http://{address}")).env("TRANSPORTS", transports);
        let mut clients = Process::start(clients);
        assert_eq!(clients.line(), "connected");
        let mut second = shared(address.port());
        second.line();
        first.signal("TERM");
        let status = first.wait(PATIENCE).expect("the server ends when all have gone");
        assert!(status.success(), "{transports}: {status}");
        let moved = clients.line();
        assert_eq!(clients.line(), "nothing was lost", "{transports}: {moved}");
        assert!(clients.wait(PATIENCE).expect("the clients are done").success());
    }
}

/// Runs all cases at once: they wait more than they work.
fn side_by_side<Case: Send>(cases: impl IntoIterator<Item = Case>, run: impl Fn(Case) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| run(case));
        }
    });
}

fn run_chat_suite(mut server: Process, transports: &str, name: &str) {
    let url = format!("http://{}", address(&server.line()));
    let Some(mut suite) = node("chat-suite.mjs") else { return };
    let suite = suite.args([&url, "--namespace", NAMESPACE]).env("TRANSPORTS", transports);
    run_suite(suite, &format!("socket.io-client 4 over {transports}, {name}"), 51);
}

fn survive_a_restart(server: impl Fn(u16) -> Option<Command>) {
    let Some(mut first) = server(0) else { return };
    let mut first = Process::start(&mut first);
    let address = address(&first.line());
    let Some(mut client) = node("restart-client.mjs") else { return };
    let mut client = Process::start(client.arg(format!("http://{address}")));
    assert_eq!(client.line(), "connected");
    first.signal("TERM");
    let status = first.wait(PATIENCE).expect("the server ends when asked to");
    assert!(status.success(), "server {} ended with {status}", first.id());
    assert_eq!(client.line(), "disconnected");
    let mut second = Process::start(&mut server(address.port()).expect("it started before"));
    second.line();
    assert_eq!(client.line(), "connected to another server");
    assert!(client.wait(PATIENCE).expect("the client is done").success());
}
