//! What browsers get, in a browser: parlor's own page, and the stock client that it serves.
//!
//! What is sent where, byte for byte, is shown beside the code (`src/page`).
//! `PICTURES=FOLDER` keeps pictures of the page for people to look at.

#[path = "support/node.rs"]
mod node;
#[expect(dead_code, reason = "of tests that look into processes; these need a part of it")]
#[path = "support/process.rs"]
mod process;

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use node::node;
use process::{PATIENCE, Process, address};

const STOCK_CLIENT: &str = "tests/clients/node_modules/socket.io/client-dist/socket.io.min.js";

fn parlor(port: u16, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.args(["--listen", &format!("127.0.0.1:{port}")]).args(options);
    command
}

#[test]
fn two_tabs_chat_and_survive_a_restart_and_the_stock_client_is_served() {
    let Some(mut client) = node("page-client.mjs").filter(|_| has_chromium()) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(STOCK_CLIENT);
    let script = script.to_str().expect("a path of text");
    let options = ["--page-client-script", script, "--ping-interval", "200ms"];
    let mut first = Process::start(&mut parlor(0, &options));
    let address = address(&first.line());
    client.arg(format!("http://{address}")).args(env::var_os("PICTURES"));
    let mut client = Process::start(&mut client);
    assert_eq!(client.line(), "ready for a restart");
    first.signal("TERM");
    assert!(first.wait(PATIENCE).expect("the server ends when asked to").success());
    assert_eq!(client.line(), "disconnected");
    let mut second = Process::start(&mut parlor(address.port(), &options));
    second.line();
    assert_eq!(client.line(), "all is well");
    assert!(client.wait(PATIENCE).expect("the client is done").success());
}

fn has_chromium() -> bool {
    let there = Command::new("chromium").arg("--version").output().is_ok();
    let ci = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(there || !ci, "chromium must be there when CI=true");
    if !there {
        // Written past the capture of test output; nobody reads it if it cannot be written.
        let _ = writeln!(std::io::stderr(), "skipped: there is no chromium here");
    }
    there
}

#[test]
fn the_page_is_there_unless_it_is_turned_off() {
    for (options, page, script) in [
        (&[][..], "200 OK", "404 Not Found"),
        (&["--page-enabled", "false"], "404 Not Found", "404 Not Found"),
        (&["--page-client-script", "Cargo.toml", "--path", "/live"], "200 OK", "200 OK"),
    ] {
        let mut server = Process::start(&mut parlor(0, options));
        let address = address(&server.line());
        let answer = get(address, "/");
        assert!(answer.starts_with(&format!("HTTP/1.1 {page}\r\n")), "{options:?}: {answer}");
        let policy = "content-security-policy: default-src 'none'; script-src 'self';";
        assert_eq!(answer.contains(policy), page == "200 OK", "{answer}");
        let path = if script == "200 OK" { "/live/" } else { "/socket.io/" };
        if page == "200 OK" {
            assert!(answer.contains(&format!("content=\"{path}\"")), "{answer}");
        }
        let answer = get(address, &format!("{path}socket.io.js"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {script}\r\n")), "{options:?}: {answer}");
    }
}

#[test]
fn a_script_that_is_not_there_is_said_at_the_start() {
    let output = parlor(0, &["--page-client-script", "/not/there.js"]).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with("parlor: can not read /not/there.js: "), "{error}");
}

fn get(server: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("the server accepts");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer
}
