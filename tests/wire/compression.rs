//! permessage-deflate: who gets it, what is compressed, and what is refused.

use std::io::Write;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use parlor::Config;
use parlor::websocket::inflate;

use crate::client::{Response, TARGET, UPGRADE, Wire, binary_frame, frame, text_frame};
use crate::embedded::Embedded;
use crate::poller::Poller;
use crate::server::Server;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const ON: [&str; 4] = ["--websocket-compression", "true", "--max-payload-bytes", "100000"];

fn config() -> Config {
    Config { websocket_compression: true, ..Config::default() }
}

/// A request for a WebSocket with this header, and its answer.
pub(crate) fn offer(server: SocketAddr, target: &str, header: &str) -> (Wire, Response) {
    let mut wire = Wire::dial(server);
    let head = format!("GET {target} HTTP/1.1\r\n{}{header}\r\n", UPGRADE.concat());
    wire.send(head.as_bytes());
    let response = wire.response();
    assert_eq!(response.status, 101, "{}", response.head);
    (wire, response)
}

/// A client that has agreed on compression, its open packet read.
pub(crate) fn agreed(server: SocketAddr) -> Wire {
    let (mut wire, response) = offer(server, TARGET, OFFER);
    assert_eq!(response.header("sec-websocket-extensions"), Some(AGREED));
    assert!(wire.text().starts_with("0{"));
    wire
}

/// The next frame is a compressed one, of this opcode; what it says.
pub(crate) fn inflated(wire: &mut Wire, opcode: u8) -> Vec<u8> {
    let (first, payload) = wire.raw_frame();
    assert_eq!(first, 0xc0 | opcode, "a compressed frame");
    inflate(&payload, 1 << 20).expect("it is compressed well")
}

/// A message as it travels compressed.
pub(crate) fn deflated(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory takes everything");
    encoder.flush().expect("memory takes everything");
    let mut payload = encoder.get_ref().clone();
    payload.truncate(payload.len() - 4);
    payload
}

fn long(name: &str) -> String {
    format!("4{}", name.repeat(2000 / name.len()))
}

#[test]
fn compression_is_off_unless_it_is_switched_on_and_offered() {
    let off = Server::start(&[]);
    let (_, response) = offer(off.address, TARGET, OFFER);
    assert_eq!(response.header("sec-websocket-extensions"), None);
    let on = Server::start(&ON);
    let small = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n";
    for header in ["", small] {
        let (mut wire, response) = offer(on.address, TARGET, header);
        assert_eq!(response.header("sec-websocket-extensions"), None, "{header}");
        assert!(wire.text().starts_with("0{"));
    }
    agreed(on.address);
}

#[test]
fn messages_from_the_threshold_on_are_compressed_and_what_comes_may_be() {
    let server = Embedded::echo(config());
    let mut wire = agreed(server.address);
    let (short, exact) = ("4".repeat(1023), "4".repeat(1024));
    wire.send_text(&short);
    assert_eq!(wire.text(), short);
    wire.send_text(&exact);
    assert_eq!(inflated(&mut wire, 1), exact.as_bytes());
    wire.send(&frame(0xc1, &deflated(b"4short")));
    assert_eq!(wire.text(), "4short");
    let whole = deflated(long("two").as_bytes());
    let (first, rest) = whole.split_at(whole.len() / 2);
    wire.send(&[frame(0x41, first), frame(0x89, b""), frame(0x80, rest)].concat());
    assert_eq!(wire.raw_frame(), (0x8a, vec![]), "a ping between fragments is answered");
    assert_eq!(inflated(&mut wire, 1), long("two").as_bytes());
    wire.send(&binary_frame(&[7; 5000]));
    assert_eq!(inflated(&mut wire, 2), [7; 5000]);
}

#[test]
fn what_is_compressed_badly_is_refused() {
    let server = Server::start(&ON);
    let bomb = deflated(&[b'4'; 100_001]);
    let hello = deflated(b"42[\"unheard\"]");
    let rows = [
        ("a bomb", frame(0xc1, &bomb), 1009),
        ("a bomb in fragments", [frame(0x41, &bomb[..9]), frame(0x80, &bomb[9..])].concat(), 1009),
        ("cut", frame(0xc1, &hello[..hello.len() - 3]), 1007),
        ("damaged", frame(0xc1, b"\xff\xff\xff"), 1007),
        ("nothing", frame(0xc1, b""), 1007),
        ("with its tail", frame(0xc1, &[&hello[..], &[0, 0, 0xff, 0xff]].concat()), 1007),
        ("not UTF-8", frame(0xc1, &deflated(b"42[\"\xff\"]")), 1007),
        ("RSV1 in a ping", frame(0xc9, b""), 1002),
        ("RSV1 in a continuation", [frame(0x41, &hello), frame(0xc0, b"")].concat(), 1002),
        ("RSV2", frame(0xe1, &hello), 1002),
    ];
    let chat = |address| {
        let mut wire = agreed(address);
        wire.send_text("40");
        assert!(wire.text().starts_with("40"));
        assert!(wire.text().starts_with("42[\"hello\""));
        wire
    };
    server.refuses(chat, &rows);
    // Not agreed on, although others may.
    server.refuses(Wire::chat, &[("RSV1", frame(0xc1, &hello), 1002)]);
}

#[test]
fn a_broadcast_reaches_each_as_it_agreed() {
    let server = Server::start(&ON);
    let join = |mut wire: Wire| {
        wire.send_text("40");
        while !wire.text().starts_with("42[\"hello\"") {}
        wire.send_text("421[\"join\",\"r\"]");
        assert!(wire.text().starts_with("431"));
        wire
    };
    let mut speaker = join(agreed(server.address));
    let mut compressed: Vec<_> = (0..3).map(|_| join(agreed(server.address))).collect();
    let mut plain = join(Wire::open(server.address).1);
    let body = "word ".repeat(1000);
    let message = format!("42[\"message\",{{\"room\":\"r\",\"body\":\"{body}\"}}]");
    for _ in 0..3 {
        speaker.send(&frame(0xc1, &deflated(message.as_bytes())));
        let heard = plain.text();
        assert!(heard.contains(&body));
        for wire in &mut compressed {
            assert_eq!(inflated(wire, 1), heard.as_bytes());
        }
    }
}

#[test]
fn an_upgrade_brings_compression_along_also_to_another_shard() {
    for shards in [1, 4] {
        let server = Embedded::start_on(shards, config(), |io| io.raw(crate::embedded::echo));
        // The kernel deals connections as it likes: some begin elsewhere.
        for _ in 0..8 {
            let poller = Poller::begin(server.address);
            let target = poller.target().replace("polling", "websocket");
            let (mut wire, response) = offer(server.address, &target, OFFER);
            assert_eq!(response.header("sec-websocket-extensions"), Some(AGREED));
            wire.send(&frame(0xc1, &deflated(b"2probe")));
            assert_eq!(wire.text(), "3probe");
            assert_eq!(poller.got(), "6");
            poller.posts(&long("queued"));
            wire.send(&[text_frame("5"), frame(0xc1, &deflated(long("sent").as_bytes()))].concat());
            assert_eq!(inflated(&mut wire, 1), long("queued").as_bytes());
            assert_eq!(inflated(&mut wire, 1), long("sent").as_bytes());
        }
    }
}

/// As clients do whose first request on the connection was another one.
#[test]
fn a_connection_that_was_used_for_http_may_agree_too() {
    let server = Embedded::echo(config());
    let mut wire = Wire::dial(server.address);
    let head = format!("{}{OFFER}", UPGRADE.concat());
    wire.send(b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(wire.response().status, 404);
    wire.send(format!("GET {TARGET} HTTP/1.1\r\n{head}\r\n").as_bytes());
    assert_eq!(wire.response().header("sec-websocket-extensions"), Some(AGREED));
    assert!(wire.text().starts_with("0{"));
    wire.send(&frame(0xc1, &deflated(long("x").as_bytes())));
    assert_eq!(inflated(&mut wire, 1), long("x").as_bytes());
}

#[test]
fn old_clients_are_compressed_for_too() {
    let server = Embedded::echo(config());
    let target = TARGET.replace("EIO=4", "EIO=3");
    let (mut wire, response) = offer(server.address, &target, OFFER);
    assert_eq!(response.header("sec-websocket-extensions"), Some(AGREED));
    assert!(wire.text().starts_with("0{"));
    wire.send(&frame(0xc2, &deflated(&[4; 3000])));
    assert_eq!(inflated(&mut wire, 2), [4; 3000], "with the type in front");
}
