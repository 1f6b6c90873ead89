//! How fast clients may be, and how many: each limit at its bound and one past it.
//!
//! Time is real here. What must not come early is asserted sharply; what is to
//! be refused for coming too fast, only if the machine was fast enough.

use std::process::Command;
use std::time::Duration;

use parlor::{Ack, Config, Io, RatePolicy, Rates, Socket};
use serde_json::Value;

use crate::client::{Seen, TARGET, UPGRADE, Wire, frame};
use crate::compression;
use crate::embedded::Embedded;
use crate::poller::{Poller, send};
use crate::process::{Process, address, now};

/// Answers what it hears: by the ack, or by the same event.
fn echo(io: &mut Io) {
    io.of("/").on("echo", async |socket: Socket, (word,): (Value,), ack: Ack| {
        if ack.is_wanted() {
            return ack.send(word);
        }
        socket.emit("echo", word);
    });
}

const TOO_FAST: &str = r#"{"ok":false,"error":"too fast"}"#;

/// With these rates, nothing of which is saved up for longer than a second.
fn with_rates(rates: Rates) -> Config {
    let mut config = Config::default();
    config.limits.rates = Rates { burst: Duration::from_secs(1), ..rates };
    config
}

fn joined(server: &Embedded) -> Wire {
    let mut wire = Wire::open(server.address).1;
    wire.send_text("40");
    assert!(wire.text().starts_with("40{"));
    wire
}

#[test]
fn as_many_events_as_may_come_at_once_are_handled_and_one_more_is_refused() {
    for rates in [
        Rates { events_per_second: 5, ..Rates::default() },
        Rates { address_events_per_second: 5, ..Rates::default() },
    ] {
        let server = Embedded::start(with_rates(rates), echo);
        let mut wire = joined(&server);
        let started = now();
        for number in 0..5 {
            wire.send_text(&format!("42{number}[\"echo\",{number}]"));
            assert_eq!(wire.text(), format!("43{number}[{number}]"));
        }
        wire.send_text("426[\"echo\",6]");
        wire.send_text("42[\"echo\",7]");
        let (answer, event) = (wire.text(), wire.text());
        // On a machine that stands still for so long nothing is too fast.
        if started.elapsed() < Duration::from_millis(200) {
            assert_eq!(answer, format!("436[{TOO_FAST}]"));
            assert_eq!(event, format!("42[\"error_message\",{TOO_FAST}]"));
        }
        std::thread::sleep(Duration::from_millis(210));
        wire.send_text("428[\"echo\",8]");
        assert_eq!(wire.text(), "438[8]", "the rate goes on");
    }
}

#[test]
fn an_address_has_one_rate_for_all_its_connections_and_a_connection_its_own() {
    for (rates, handled) in [
        (Rates { address_events_per_second: 6, ..Rates::default() }, 6..=8),
        (Rates { events_per_second: 6, ..Rates::default() }, 18..=20),
    ] {
        let server = Embedded::start(with_rates(rates), echo);
        let mut wires = [(); 3].map(|()| joined(&server));
        let mut count = 0;
        for _ in 0..8 {
            for wire in &mut wires {
                wire.send_text("421[\"echo\",1]");
                count += u32::from(wire.text() == "431[1]");
            }
        }
        assert!(handled.contains(&count), "{count} are not {handled:?}");
    }
}

#[test]
fn who_is_too_fast_is_closed_if_that_is_the_policy() {
    let policy = RatePolicy::Disconnect;
    let server = Embedded::start(
        with_rates(Rates { events_per_second: 2, policy, ..Rates::default() }),
        echo,
    );
    let (mut wire, mut other) = (joined(&server), joined(&server));
    for number in 0..2 {
        wire.send_text(&format!("42{number}[\"echo\",{number}]"));
        assert_eq!(wire.text(), format!("43{number}[{number}]"));
    }
    (0..3).for_each(|_| wire.send_text("42[\"echo\",3]"));
    let mut seen = wire.next();
    while matches!(seen, Seen::Text(_)) {
        seen = wire.next();
    }
    assert_eq!(seen, Seen::Close(Some(1008)));
    other.send_text("420[\"echo\",0]");
    assert_eq!(other.text(), "430[0]");
}

#[test]
fn messages_without_socket_io_have_rates_too() {
    let server = Embedded::echo(with_rates(Rates { events_per_second: 3, ..Rates::default() }));
    let mut wire = Wire::open(server.address).1;
    for number in 0..9 {
        wire.send_text(&format!("4{number}"));
    }
    for number in 0..3 {
        assert_eq!(wire.text(), format!("4{number}"));
    }
    std::thread::sleep(Duration::from_millis(400));
    wire.send_text("4later");
    let mut heard = wire.text();
    while heard.len() == 2 {
        heard = wire.text();
    }
    assert_eq!(heard, "4later");
}

/// How long it takes until `count` messages of `bytes` are all answered.
fn time_for(server: &Embedded, count: u32, bytes: usize) -> Duration {
    let mut wire = joined(server);
    let started = now();
    let body = "x".repeat(bytes);
    (0..count).for_each(|number| wire.send_text(&format!("42{number}[\"echo\",\"{body}\"]")));
    for number in 0..count {
        let mut answer = wire.text();
        while answer == "2" {
            // It comes behind all that was sent before: the server has to wait for it.
            wire.send_text("3");
            answer = wire.text();
        }
        assert_eq!(answer, format!("43{number}[\"{body}\"]"));
    }
    started.elapsed()
}

#[test]
fn who_sends_too_many_bytes_is_read_as_fast_as_it_may_and_nothing_is_lost() {
    for rates in [
        Rates { bytes_per_second: 50_000, ..Rates::default() },
        Rates { address_bytes_per_second: 50_000, ..Rates::default() },
    ] {
        let mut config = with_rates(rates);
        // Shorter than it takes: who is not read can not answer a ping.
        config.limits.ping_interval = Duration::from_millis(100);
        config.limits.ping_timeout = Duration::from_millis(300);
        let server = Embedded::start(config, echo);
        let took = time_for(&server, 4, 10_000);
        assert!(took < Duration::from_millis(700), "a burst takes no time: {took:?}");
        std::thread::sleep(Duration::from_millis(900));
        let took = time_for(&server, 10, 10_000);
        assert!(took > Duration::from_millis(950), "twice the burst takes a second: {took:?}");
        assert!(took < Duration::from_millis(3000), "{took:?}");
    }
}

#[test]
fn who_posts_too_many_bytes_waits_for_the_answer() {
    let server = Embedded::echo(with_rates(Rates { bytes_per_second: 20_000, ..Rates::default() }));
    let poller = Poller::begin(server.address);
    let body = format!("4{}", "x".repeat(19_999));
    let started = now();
    poller.posts(&body);
    poller.posts("4and");
    poller.posts("4more");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(150), "the bucket is empty: {took:?}");
    assert!(took < Duration::from_millis(2000), "{took:?}");
    assert_eq!(poller.got(), format!("{body}\x1e4and\x1e4more"));
}

/// A rate of bytes would be none if a few of them could stand for many.
#[test]
fn what_comes_compressed_is_charged_for_what_it_says() {
    let rates = Rates { bytes_per_second: 20_000, ..Rates::default() };
    let config = Config { websocket_compression: true, ..with_rates(rates) };
    let server = Embedded::echo(config);
    let mut wire = compression::agreed(server.address);
    // A few dozen bytes, that say a fifth of a second's more than may come at once.
    let body = format!("4{}", "x".repeat(23_999));
    let started = now();
    wire.send(&frame(0xc1, &compression::deflated(body.as_bytes())));
    assert_eq!(compression::inflated(&mut wire, 1), body.as_bytes());
    wire.send_text("4and");
    assert_eq!(wire.text(), "4and");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(150), "it has to be made up for: {took:?}");
}

/// The status that a new connection gets for a session that begins with polling.
fn begun(server: &Embedded) -> (u16, Wire) {
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", BEGIN, "", b"");
    (wire.response().status, wire)
}

const BEGIN: &str = "/socket.io/?EIO=4&transport=polling";

/// The status that a new connection gets for a WebSocket.
fn upgraded(server: &Embedded) -> (u16, Wire) {
    let mut wire = Wire::dial(server.address);
    wire.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    (wire.response().status, wire)
}

/// Waits until a WebSocket is granted.
fn served_again(server: &Embedded) {
    let started = now();
    while upgraded(server).0 != 101 {
        assert!(started.elapsed() < Duration::from_secs(5), "nobody is let in any more");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn as_many_connections_as_there_may_be_and_one_more_is_told_so() {
    let mut total = Config::default();
    total.limits.connections_max = Some(4);
    let mut of_address = Config::default();
    of_address.limits.connections_per_address_max = 4;
    for (config, refusal) in [(total, 503), (of_address, 429)] {
        let server = Embedded::echo(config);
        let mut granted: Vec<Wire> = Vec::new();
        for _ in 0..4 {
            let (status, wire) = upgraded(&server);
            assert_eq!(status, 101);
            granted.push(wire);
        }
        for _ in 0..40 {
            let (status, mut wire) = upgraded(&server);
            assert_eq!(status, refusal);
            assert_eq!(wire.everything(), b"", "it is closed");
            assert_eq!(begun(&server).0, refusal);
        }
        for wire in &mut granted {
            wire.text();
            wire.send_text("4undisturbed");
            assert_eq!(wire.text(), "4undisturbed");
        }
        granted.pop();
        served_again(&server);
    }
}

#[test]
fn sessions_that_poll_count_beside_the_connections_that_carry_them() {
    let mut config = Config::default();
    config.limits.connections_max = Some(4);
    let server = Embedded::echo(config);
    // One connection, as many sessions as there is room for.
    let mut wire = Wire::dial(server.address);
    let mut begin = || {
        send(&mut wire, "GET", BEGIN, "", b"");
        let response = wire.response();
        (response.status, response.text().split('"').nth(3).map(str::to_owned))
    };
    let begun: Vec<_> = (0..5).map(|_| begin()).collect();
    assert_eq!(begun.iter().map(|begun| begun.0).collect::<Vec<_>>(), [200, 200, 200, 503, 503]);
    let target = format!("{BEGIN}&sid={}", begun[0].1.as_ref().expect("a session's id"));
    send(&mut wire, "POST", &target, "", b"1");
    assert_eq!(wire.response().text(), "ok");
    let started = now();
    let mut again = 503;
    while again == 503 && started.elapsed() < Duration::from_secs(5) {
        send(&mut wire, "GET", BEGIN, "", b"");
        again = wire.response().status;
    }
    assert_eq!(again, 200, "who has gone has left a seat");
}

#[test]
fn a_session_that_goes_over_to_a_websocket_has_one_seat() {
    let mut config = Config::default();
    config.limits.connections_max = Some(6);
    let server = Embedded::echo(config);
    let mut kept = Vec::new();
    for _ in 0..4 {
        let poller = Poller::begin(server.address);
        let mut websocket = poller.websocket();
        websocket.send_text("2probe");
        assert_eq!(websocket.text(), "3probe");
        websocket.send_text("5");
        websocket.send_text("4over");
        assert_eq!(websocket.text(), "4over");
        // Until the server has seen that its first connection was closed.
        std::thread::sleep(Duration::from_millis(50));
        kept.push(websocket);
    }
    assert_eq!((upgraded(&server).0, kept.len()), (101, 4));
}

#[test]
fn an_address_that_begins_connections_too_fast_is_told_so() {
    let rates = Rates { address_connections_per_second: 4, ..Rates::default() };
    let server = Embedded::echo(with_rates(rates));
    let started = now();
    let statuses: Vec<u16> = (0..6).map(|_| upgraded(&server).0).collect();
    let polled = begun(&server).0;
    if started.elapsed() < Duration::from_millis(250) {
        assert_eq!(statuses, [101, 101, 101, 101, 429, 429]);
        assert_eq!(polled, 429);
    }
    std::thread::sleep(Duration::from_millis(260));
    assert_eq!(upgraded(&server).0, 101, "the rate goes on");
}

#[test]
fn who_says_nothing_when_there_is_no_room_takes_none_from_others() {
    let mut config = Config { close_timeout: Duration::from_millis(300), ..Config::default() };
    config.limits.connections_max = Some(2);
    let server = Embedded::echo(config);
    let granted: Vec<Wire> = (0..2).map(|_| upgraded(&server).1).collect();
    let silent: Vec<Wire> = (0..100).map(|_| Wire::dial(server.address)).collect();
    for mut wire in silent {
        assert_eq!(wire.everything(), b"", "closed, at once or after a while");
    }
    assert_eq!(upgraded(&server).0, 503);
    drop(granted);
    served_again(&server);
}

#[test]
fn running_out_of_descriptors_stops_nobody_for_good() {
    let script = "ulimit -n 40; exec \"$0\" --listen 127.0.0.1:0 --shards 1 --limits-connections-max 0 --log-filter off";
    let mut command = Command::new("sh");
    let mut process = Process::start(command.args(["-c", script, env!("CARGO_BIN_EXE_parlor")]));
    let address = address(&process.line());
    let mut first = Wire::chat(address);
    let crowd: Vec<Wire> = (0..80).map(|_| Wire::dial(address)).collect();
    std::thread::sleep(Duration::from_millis(200));
    first.echoes("served although there is no room");
    drop(crowd);
    // Those who waited outside come in, and go.
    Wire::chat(address).echoes("served again");
    first.echoes("all the while");
}

#[test]
fn by_default_there_are_fewer_connections_than_descriptors() {
    let script = "ulimit -n 60; exec \"$0\" --listen 127.0.0.1:0 --shards 1 --log-filter off";
    let mut command = Command::new("sh");
    let mut process = Process::start(command.args(["-c", script, env!("CARGO_BIN_EXE_parlor")]));
    let address = address(&process.line());
    let granted: Vec<Wire> = (0..30).map(|_| Wire::open(address).1).collect();
    for _ in 0..50 {
        let mut wire = Wire::dial(address);
        wire.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
        assert_eq!(wire.response().status, 503);
    }
    drop(granted);
}
