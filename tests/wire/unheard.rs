//! Peers that are not read for a while, since what they have sent waits for handlers.

use std::time::Duration;

use parlor::{Ack, Config, Io, Limits, Rates, Socket};

use crate::client::{Seen, UPGRADE, Wire};
use crate::embedded::{Embedded, echo};
use crate::poller::{Poller, send};
use crate::process::now;

/// A slow event takes longer than interval and timeout together.
const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(300);
const SLOW: Duration = Duration::from_millis(1_000);

/// How much earlier than it is something may look, since clocks start at different moments.
const EARLY: Duration = Duration::from_millis(5);

fn config() -> Config {
    let limits = Limits { ping_interval: INTERVAL, ping_timeout: TIMEOUT, ..Limits::default() };
    Config { limits, events_waiting_max: 1, allow_eio3: true, ..Config::default() }
}

fn with_rooms(io: &mut Io) {
    let chat = io.of("/");
    chat.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        ack.send(socket.join(&room).await.is_ok());
    });
    chat.on("count", async |socket: Socket, (room,): (String,), ack: Ack| {
        ack.send(socket.namespace().to(&room).fetch_sockets().await.len());
    });
    chat.on("slow", async |_: Socket, (times,): (u32,), ack: Ack| {
        tokio::time::sleep(SLOW * times).await;
        ack.send(());
    });
}

fn socket(server: &Embedded) -> Wire {
    let mut wire = Wire::open(server.address).1;
    wire.send_text("40");
    let connected = wire.text();
    assert!(connected.starts_with("40{\"sid\":"), "{connected}");
    wire
}

#[test]
fn who_answers_each_ping_lives_on_while_its_events_wait() {
    let server = Embedded::start(config(), with_rooms);
    let mut wire = socket(&server);
    for id in 1..=3 {
        wire.send_text(&format!("42{id}[\"slow\",1]"));
    }
    let mut pings = 0;
    for id in 1..=3 {
        loop {
            match wire.text().as_str() {
                "2" => wire.send_text("3"),
                text => break assert_eq!(text, format!("43{id}[]")),
            }
            pings += 1;
        }
        assert!(pings >= 2, "a client gives up who does not ping");
    }
}

#[test]
fn a_pong_that_is_posted_behind_waiting_events_counts() {
    let server = Embedded::start(config(), |io| io.raw(slow_echo));
    let poller = Poller::begin(server.address);
    poller.posts("4a");
    // Answered when the handler of the first is done; a client posts nothing meanwhile.
    let mut held = Wire::dial(server.address);
    let kind = "Content-Type: text/plain;charset=UTF-8\r\n";
    send(&mut held, "POST", &poller.target(), kind, b"4b");
    let mut pings = 0;
    loop {
        match poller.got().as_str() {
            "2" => pings += 1,
            text => break assert_eq!(text, "4a"),
        }
    }
    assert!(pings >= 2, "a client gives up who does not ping");
    assert_eq!(held.response().status, 200);
    poller.posts("3");
    let mut heard = poller.got();
    while heard.ends_with('2') {
        poller.posts("3");
        heard = poller.got();
    }
    assert!(heard.ends_with("4b"), "{heard}");
}

async fn slow_echo(connection: parlor::RawConnection, message: parlor::RawMessage) {
    tokio::time::sleep(SLOW).await;
    echo(connection, message).await;
}

#[test]
fn a_client_that_pings_lives_on_while_its_events_wait() {
    let server = Embedded::start(config(), |io| io.raw(slow_echo));
    let mut wire = Wire::dial(server.address);
    let target = "/socket.io/?EIO=3&transport=websocket";
    wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    assert_eq!(wire.response().status, 101);
    assert!(wire.text().starts_with("0{\"sid\":"));
    ["4a", "4b", "2"].iter().for_each(|text| wire.send_text(text));
    // The ping may have been read before the events were too many.
    let heard = [wire.text(), wire.text()];
    assert!(heard.iter().all(|text| ["4a", "3"].contains(&text.as_str())), "{heard:?}");
    wire.send_text("2");
    assert_eq!(wire.text(), "3", "it lives");
}

#[test]
fn who_is_read_at_its_rate_is_pinged_meanwhile() {
    let rates = Rates { bytes_per_second: 10_000, ..Rates::default() };
    let config = Config { limits: Limits { rates, ..config().limits }, ..Config::default() };
    let server = Embedded::echo(config);
    let mut wire = Wire::open(server.address).1;
    // Worth three seconds: the answers to the pings lie behind them.
    wire.send_text(&format!("4{}", "x".repeat(40_000)));
    wire.send_text("4last");
    let (mut pings, started) = (0, now());
    loop {
        match wire.text().as_str() {
            "2" => {
                pings += 1;
                wire.send_text("3");
            }
            "4last" => break,
            echoed => assert_eq!(echoed.len(), 40_001),
        }
    }
    assert!(started.elapsed() > INTERVAL + TIMEOUT, "it was not held back");
    assert!(pings >= 2, "a client gives up who does not ping");
}

#[test]
fn who_is_silent_is_closed_once_its_events_are_handled() {
    let server = Embedded::start(config(), with_rooms);
    let started = now();
    let mut wire = socket(&server);
    wire.send_text("421[\"slow\",1]");
    wire.send_text("42[\"count\",\"nobody\"]");
    let end = loop {
        let seen = wire.next();
        if !["2", "431[]"].iter().any(|text| seen == Seen::Text((*text).to_owned())) {
            break seen;
        }
    };
    let waited = started.elapsed();
    assert!(matches!(end, Seen::Close(_) | Seen::End), "{end:?}");
    assert!(waited + EARLY >= SLOW + TIMEOUT, "closed after {waited:?}, without its patience");
}

#[test]
fn who_goes_while_its_events_wait_is_not_kept_for_them() {
    let server = Embedded::start(config(), with_rooms);
    let (mut other, mut wire) = (socket(&server), socket(&server));
    wire.send_text("421[\"join\",\"a\"]");
    assert_eq!(wire.text(), "431[true]");
    let started = now();
    wire.send_text("42[\"slow\",20]");
    wire.send_text("42[\"slow\",20]");
    drop(wire);
    loop {
        other.send_text("427[\"count\",\"a\"]");
        let mut answer = other.text();
        while answer == "2" {
            other.send_text("3");
            answer = other.text();
        }
        if answer == "437[0]" {
            break;
        }
        assert_eq!(answer, "437[1]");
        assert!(started.elapsed() < SLOW * 20, "a ghost while its handler ran");
        std::thread::sleep(Duration::from_millis(20));
    }
}
