//! The heartbeat and the time limits, as a client sees them.
//!
//! What must not come early is asserted sharply, what must not come late with
//! slack: this machine may be busy.

use std::time::Duration;

use crate::client::{Seen, Wire, frame};
use crate::process::now;
use crate::server::Server;

const INTERVAL: Duration = Duration::from_millis(600);
const TIMEOUT: Duration = Duration::from_millis(400);
const HEARTBEAT: [&str; 4] = ["--ping-interval", "600ms", "--ping-timeout", "400ms"];

/// How much later than asked something may be seen here.
const SLACK: Duration = Duration::from_millis(1500);

/// How much earlier than it is something may look, since clocks start at different moments.
const EARLY: Duration = Duration::from_millis(5);

#[test]
fn the_first_ping_comes_after_the_interval_and_not_at_once() {
    let server = Server::start(&HEARTBEAT);
    let started = now();
    let mut wire = Wire::chat(server.address);
    assert_eq!(wire.text(), "2");
    let waited = started.elapsed();
    assert!(waited + EARLY >= INTERVAL, "a ping after {waited:?}");
    assert!(waited <= INTERVAL + SLACK, "a ping only after {waited:?}");
}

#[test]
fn the_next_ping_comes_an_interval_after_the_pong() {
    let server = Server::start(&HEARTBEAT);
    let mut wire = Wire::chat(server.address);
    for _ in 0..3 {
        assert_eq!(wire.text(), "2");
        std::thread::sleep(TIMEOUT / 2);
        wire.send_text("3");
        let answered = now();
        let next = wire.text();
        let waited = answered.elapsed();
        assert_eq!(next, "2");
        assert!(waited + EARLY >= INTERVAL, "the next ping came {waited:?} after the pong");
        wire.send_text("3");
    }
}

#[test]
fn a_silent_peer_is_closed_after_interval_and_timeout_and_not_before() {
    let server = Server::start(&HEARTBEAT);
    for (name, noise) in [("quiet", None), ("busy but deaf", Some("42[\"unheard\"]"))] {
        let started = now();
        let mut wire = Wire::chat(server.address);
        assert_eq!(wire.text(), "2");
        // Only a pong is an answer to a ping.
        noise.into_iter().for_each(|noise| wire.send_text(noise));
        let seen = wire.next();
        let waited = started.elapsed();
        assert!(matches!(seen, Seen::Close(_) | Seen::End), "{name}: {seen:?}");
        assert!(waited + EARLY >= INTERVAL + TIMEOUT, "{name}: closed after {waited:?}");
        assert!(waited <= INTERVAL + TIMEOUT + SLACK, "{name}: closed only after {waited:?}");
    }
    server.serves();
}

#[test]
fn a_pong_nobody_asked_for_moves_nothing() {
    let server = Server::start(&["--ping-interval", "2000ms", "--ping-timeout", "400ms"]);
    let started = now();
    let mut wire = Wire::chat(server.address);
    std::thread::sleep(Duration::from_millis(1800));
    wire.send_text("3");
    assert_eq!(wire.text(), "2");
    let waited = started.elapsed();
    assert!(waited < Duration::from_millis(3700), "the ping came only after {waited:?}");
}

#[test]
fn a_peer_that_answers_lives_on() {
    let server = Server::start(&["--ping-interval", "50ms", "--ping-timeout", "2000ms"]);
    let mut wire = Wire::chat(server.address);
    for _ in 0..20 {
        assert_eq!(wire.text(), "2");
        wire.send_text("3");
    }
    wire.echoes("alive");
}

#[test]
fn a_pong_of_websocket_is_no_pong_of_engine_io() {
    let server = Server::start(&["--ping-interval", "100ms", "--ping-timeout", "200ms"]);
    let mut wire = Wire::chat(server.address);
    assert_eq!(wire.text(), "2");
    wire.send(&frame(0x8a, b""));
    assert!(matches!(wire.next(), Seen::Close(_) | Seen::End));
}

#[test]
fn without_a_connect_the_connection_is_closed() {
    let server = Server::start(&["--connect-timeout", "500ms"]);
    let mut connected = Wire::chat(server.address);
    let started = now();
    let nowhere = Wire::open(server.address).1;
    let mut refused = Wire::open(server.address).1;
    refused.send_text("40/unknown,");
    assert_eq!(refused.text(), "44/unknown,{\"message\":\"Invalid namespace\"}");
    for mut wire in [nowhere, refused] {
        let seen = wire.next();
        let waited = started.elapsed();
        assert!(matches!(seen, Seen::Close(_) | Seen::End), "{seen:?}");
        assert!(waited + EARLY >= Duration::from_millis(500), "closed after {waited:?}");
        assert!(waited <= Duration::from_millis(500) + SLACK, "closed only after {waited:?}");
    }
    std::thread::sleep(Duration::from_millis(200));
    connected.echoes("in time");
}
