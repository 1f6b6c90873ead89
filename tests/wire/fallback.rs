//! An application's own HTTP beside Socket.IO, on the same port: an axum router.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::{Extension, Router, routing};
use http_body_util::BodyExt;
use parlor::{Config, Io, Socket};

use crate::client::{Seen, UPGRADE, Wire};
use crate::embedded::Embedded;
use crate::poller::{Poller, request, send};

/// Bytes of a body that `/whole` takes.
const BODY_BYTES_MAX: usize = 1000;

fn site(io: &mut Io) {
    let site = Router::new()
        .route("/", routing::get(async || "a site"))
        .route("/address", routing::get(address))
        .route("/panic", routing::get(async || -> &str { panic!("on purpose") }))
        .route("/panic-in-body", routing::get(async || Body::new(Panics)))
        .route("/slow", routing::get(async || -> &str { std::future::pending().await }))
        .route("/first", routing::post(first))
        .route("/whole", routing::post(async |body: Bytes| body.len().to_string()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    io.fallback(site);
    io.of("/").on_connection(async |socket: Socket| socket.emit("hello", "world"));
}

async fn address(Extension(address): Extension<SocketAddr>) -> String {
    address.ip().to_string()
}

/// Answers once the beginning of the body is there.
async fn first(mut body: Body) -> Bytes {
    let frame = body.frame().await.expect("a frame").expect("it is read");
    frame.into_data().expect("data")
}

struct Panics;

impl hyper::body::Body for Panics {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        panic!("on purpose")
    }
}

fn server() -> Embedded {
    Embedded::start(Config::default(), site)
}

fn serves(server: &Embedded) {
    assert_eq!(request(server.address, "GET", "/", "", b"").text(), "a site");
    Wire::chat(server.address);
}

#[test]
fn one_connection_serves_the_application_and_socket_io_in_turn() {
    let server = server();
    let mut wire = Wire::dial(server.address);
    for _ in 0..3 {
        send(&mut wire, "GET", "/", "", b"");
        let response = wire.response();
        assert_eq!((response.status, response.text()), (200, "a site"));
        send(&mut wire, "GET", "/socket.io/?EIO=4&transport=polling", "", b"");
        assert!(wire.response().text().starts_with("0{\"sid\":"));
        send(&mut wire, "GET", "/nothing", "", b"");
        assert_eq!(wire.response().status, 404);
    }
    let target = "/socket.io/?EIO=4&transport=websocket";
    wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    assert!(wire.head().starts_with("HTTP/1.1 101 "));
    assert!(wire.text().starts_with("0{"));
    wire.send_text("40");
    assert!(wire.text().starts_with("40{"));
    assert_eq!(wire.text(), "42[\"hello\",\"world\"]");
}

#[test]
fn the_application_is_told_the_address_of_the_client() {
    let server = server();
    assert_eq!(request(server.address, "GET", "/address", "", b"").text(), "127.0.0.1");
}

#[test]
fn a_body_streams_into_the_application_within_its_own_bound() {
    let server = server();
    for (length, status) in [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)] {
        let response = request(server.address, "POST", "/whole", "", &vec![b'x'; length]);
        assert_eq!(response.status, status, "{length} bytes");
    }
    let mut wire = Wire::dial(server.address);
    // More is announced than is sent: who waits for all of it waits for ever.
    wire.send(b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    assert_eq!(wire.response().text(), "begin");
}

#[test]
fn a_panic_of_the_application_ends_one_connection_at_most() {
    let server = server();
    let poller = Poller::begin(server.address);
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/panic", "", b"");
    let response = wire.response();
    assert_eq!((response.status, response.header("connection")), (500, Some("close")));
    assert_eq!(wire.next(), Seen::End);
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/panic-in-body", "", b"");
    // The answer is broken off: how much of its head came first is not promised.
    wire.finish();
    while wire.read_more() {}
    serves(&server);
    poller.posts("40");
}

#[test]
fn a_slow_application_holds_up_nobody() {
    let server = server();
    let mut slow: Vec<Wire> = (0..20).map(|_| Wire::dial(server.address)).collect();
    slow.iter_mut().for_each(|wire| send(wire, "GET", "/slow", "", b""));
    serves(&server);
}
