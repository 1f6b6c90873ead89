//! What is HTTP's alone: other sites, cookies, compression, slow peers, limits.

use std::io::Read;
use std::time::Duration;

use flate2::read::{GzDecoder, ZlibDecoder};
use parlor::Config;
use parlor::server::{Cookie, Cors, Origins};

use crate::client::{Seen, UPGRADE, Wire};
use crate::embedded::Embedded;
use crate::poller::{Poller, request, send};

const BEGIN: &str = "/socket.io/?EIO=4&transport=polling";

fn cors(origins: Origins, credentials: bool) -> Embedded {
    Embedded::echo(Config { cors: Some(Cors { origins, credentials }), ..Config::default() })
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";

#[test]
fn other_sites_are_not_allowed_unless_configured() {
    let server = Embedded::echo(Config::default());
    let response = request(server.address, "GET", BEGIN, "Origin: https://a.example\r\n", b"");
    assert_eq!(response.status, 200);
    assert_eq!(response.header(ALLOW_ORIGIN), None);
    let preflight = request(server.address, "OPTIONS", BEGIN, "Origin: https://a.example\r\n", b"");
    assert_eq!((preflight.status, preflight.header(ALLOW_ORIGIN)), (400, None));
}

#[test]
fn sites_that_are_named_are_allowed_and_no_others() {
    let site = "https://a.example";
    let server = cors(Origins::These(vec![site.to_owned()]), true);
    for (method, status) in [("GET", 200), ("OPTIONS", 204), ("PUT", 400)] {
        for (origin, allowed) in [
            (site, Some(site)),
            ("https://b.example", None),
            ("https://a.example.b.example", None),
            ("http://a.example", None),
            ("null", None),
        ] {
            let headers = format!("Origin: {origin}\r\nAccess-Control-Request-Headers: x-a\r\n");
            let response = request(server.address, method, BEGIN, &headers, b"");
            assert_eq!(response.status, status, "{method} {origin}");
            assert_eq!(response.header(ALLOW_ORIGIN), allowed, "{method} {origin}");
            assert_eq!(response.header(ALLOW_CREDENTIALS), allowed.map(|_| "true"));
            assert!(
                response.head.to_ascii_lowercase().contains("vary: origin"),
                "{}",
                response.head
            );
            let preflight = allowed.filter(|_| method == "OPTIONS");
            let methods = response.header("access-control-allow-methods");
            assert_eq!(methods, preflight.map(|_| "GET,POST"));
            let headers = response.header("access-control-allow-headers");
            assert_eq!(headers, preflight.map(|_| "x-a"));
        }
    }
}

#[test]
fn any_site_may_be_allowed_and_never_with_credentials() {
    let server = cors(Origins::Any, true);
    let response = request(server.address, "GET", BEGIN, "Origin: https://a.example\r\n", b"");
    assert_eq!(response.header(ALLOW_ORIGIN), Some("*"));
    assert_eq!(response.header(ALLOW_CREDENTIALS), None);
}

#[test]
fn a_cookie_names_the_session_in_its_first_answer_alone() {
    let server = Embedded::echo(Config::default());
    let response = request(server.address, "GET", BEGIN, "", b"");
    assert_eq!(response.header("set-cookie"), None, "off by default");
    let config = Config { cookie: Some(Cookie::default()), ..Config::default() };
    let server = Embedded::echo(config);
    let response = request(server.address, "GET", BEGIN, "", b"");
    let sid = response.text().split('"').nth(3).expect("a sid");
    let expected = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(response.header("set-cookie"), Some(&*expected));
    let poller = Poller::begin(server.address);
    poller.posts("4a");
    assert_eq!(poller.get().header("set-cookie"), None);
}

#[test]
fn long_answers_are_compressed_for_who_accepts_it() {
    let server = Embedded::echo(Config::default());
    let long = format!("4{}", "parlor ".repeat(200));
    for (accepted, sent, encoding) in [
        ("gzip, deflate, br", &*long, Some("gzip")),
        ("deflate", &long, Some("deflate")),
        ("br", &long, None),
        ("gzip", "4short", None),
    ] {
        let poller = Poller::begin(server.address);
        poller.posts(sent);
        let headers = format!("Accept-Encoding: {accepted}\r\n");
        let response = request(server.address, "GET", &poller.target(), &headers, b"");
        assert_eq!(response.header("content-encoding"), encoding, "{accepted}");
        let mut text = String::new();
        match encoding {
            Some("gzip") => GzDecoder::new(&*response.body).read_to_string(&mut text),
            Some(_) => ZlibDecoder::new(&*response.body).read_to_string(&mut text),
            None => (&*response.body).read_to_string(&mut text),
        }
        .expect("it is what its header says");
        assert_eq!(text, sent);
    }
    let plain = Embedded::echo(Config { http_compression: false, ..Config::default() });
    let poller = Poller::begin(plain.address);
    poller.posts(&long);
    let response =
        request(plain.address, "GET", &poller.target(), "Accept-Encoding: gzip\r\n", b"");
    assert_eq!((response.header("content-encoding"), response.text()), (None, &*long));
}

#[test]
fn other_paths_are_not_found() {
    let server = Embedded::echo(Config::default());
    for (method, path) in [("GET", "/"), ("GET", "/socket.io/deeper"), ("POST", "/socket.iox/")] {
        assert_eq!(request(server.address, method, path, "", b"").status, 404, "{path}");
    }
}

#[test]
fn slow_requests_are_ended() {
    let mut config = Config::default();
    config.limits.connect_timeout = Duration::from_millis(300);
    let server = Embedded::echo(config);
    let started = crate::process::now();
    // A body that never comes.
    let poller = Poller::begin(server.address);
    let mut body = Wire::dial(server.address);
    let head =
        format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n4a", poller.target());
    body.send(head.as_bytes());
    assert_eq!(body.response().status, 408);
    poller.is_over();
    // A head that never ends, on a connection that was served before.
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/", "", b"");
    assert_eq!(wire.response().status, 404);
    wire.send(b"GET / HTTP/1.1\r\nX: ");
    let rest = String::from_utf8_lossy(&wire.everything()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_idle_connection_is_closed_and_a_waiting_poll_is_not() {
    let config = Config { keep_alive_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Embedded::echo(config);
    let poller = Poller::begin(server.address);
    let mut waiting = poller.poll();
    let mut idle = Wire::dial(server.address);
    send(&mut idle, "GET", "/", "", b"");
    let response = idle.response();
    assert_eq!(response.status, 404);
    assert_eq!(response.header("keep-alive"), Some("timeout=0"), "whole seconds");
    assert!(idle.everything().is_empty());
    std::thread::sleep(Duration::from_millis(300));
    poller.posts("4patience");
    assert_eq!(waiting.response().text(), "4patience");
}

#[test]
fn heads_have_limits_on_a_kept_connection_too() {
    let server = Embedded::echo(Config::default());
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    let long = format!("X: {}\r\n", "x".repeat(100_000));
    for headers in [many, long] {
        let mut wire = Wire::dial(server.address);
        send(&mut wire, "GET", "/", "", b"");
        assert_eq!(wire.response().status, 404);
        send(&mut wire, "GET", "/", &headers, b"");
        assert_eq!(wire.response().status, 431);
    }
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let server = Embedded::echo(Config::default());
    let poller = Poller::begin(server.address);
    let mut wire = Wire::dial(server.address);
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n", poller.target());
    for piece in format!("{head}4hello").as_bytes().chunks(13) {
        wire.send(piece);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(wire.response().text(), "ok");
    assert_eq!(poller.got(), "4hello");
}

#[test]
fn the_end_of_the_server_ends_polls_and_idle_connections() {
    let server = Embedded::echo(Config::default());
    let poller = Poller::begin(server.address);
    let mut waiting = poller.poll();
    let mut idle = Wire::dial(server.address);
    send(&mut idle, "GET", "/", "", b"");
    idle.response();
    let mut wire = Wire::dial(server.address);
    let target = "/socket.io/?EIO=4&transport=websocket";
    wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    assert_eq!(wire.response().status, 101);
    wire.text();
    std::thread::sleep(Duration::from_millis(50));
    let started = crate::process::now();
    let ended = std::thread::spawn(move || drop(server));
    assert_eq!(waiting.response().text(), "1");
    assert_eq!(wire.next(), Seen::Close(Some(1001)));
    drop(wire);
    // As long as there are sessions, their requests may come on any connection.
    assert!(idle.everything().is_empty());
    drop((waiting, idle));
    ended.join().expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(1));
}
