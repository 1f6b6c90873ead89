//! Long-polling: what each request is answered with, and what ends a session.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use parlor::Config;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::client::{Wire, reset};
use crate::embedded::Embedded;
use crate::poller::{Poller, request, send};
use crate::server::Server;

fn echo() -> Embedded {
    Embedded::echo(Config::default())
}

/// A server whose first ping is never seen here, or at once.
fn echo_with_heartbeat(interval_ms: u64, timeout_ms: u64) -> Embedded {
    let mut config = Config::default();
    config.limits.ping_interval = Duration::from_millis(interval_ms);
    config.limits.ping_timeout = Duration::from_millis(timeout_ms);
    Embedded::echo(config)
}

fn code(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).expect("an error is JSON")["code"].take()
}

#[test]
fn the_open_packet_offers_a_websocket_and_has_exactly_the_keys_of_the_protocol() {
    let server = Server::start(&["--ping-interval", "12345ms", "--ping-timeout", "6789ms"]);
    let poller = Poller::begin(server.address);
    assert_eq!(
        poller.open,
        json!({
            "sid": poller.sid, "upgrades": ["websocket"],
            "pingInterval": 12345, "pingTimeout": 6789, "maxPayload": 1_000_000,
        })
    );
}

#[test]
fn messages_go_both_ways_in_order_and_text_and_bytes_alike() {
    let server = echo();
    let poller = Poller::begin(server.address);
    poller.posts("4a\x1ebAQIDBA==\x1e4\u{20ac}");
    assert_eq!(poller.got(), "4a\x1ebAQIDBA==\x1e4\u{20ac}");
    let mut waiting = poller.poll();
    poller.posts("4b");
    let response = waiting.response();
    assert_eq!(response.text(), "4b");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

/// Whoever asks again over another connection would go on with a gap.
#[test]
fn an_answer_that_breaks_off_ends_its_session() {
    let server = echo();
    let poller = Poller::begin(server.address);
    // More than the sockets between here and there hold.
    let long = format!("4{}", "x".repeat(900_000));
    (0..4).for_each(|_| poller.posts(&long));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a size");
    socket.connect(&server.address.into()).expect("the server listens");
    let mut stream = TcpStream::from(socket);
    let head = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", poller.target());
    stream.write_all(head.as_bytes()).expect("written");
    stream.read_exact(&mut [0; 100]).expect("the answer begins");
    assert_eq!(poller.post(b"4on").status, 200, "the session is there until its answer is not");
    reset(stream);
    let mut tries = 0..50;
    while tries.next().is_some() && poller.post(b"4late").status == 200 {
        std::thread::sleep(Duration::from_millis(100));
    }
    poller.is_over();
}

#[test]
fn an_answer_that_arrives_ends_nothing_when_its_connection_breaks_later() {
    let server = echo();
    let poller = Poller::begin(server.address);
    poller.posts("4a");
    let mut wire = poller.poll();
    assert_eq!(wire.response().text(), "4a");
    wire.reset();
    poller.posts("4b");
    assert_eq!(poller.got(), "4b");
}

#[test]
fn a_chat_runs_over_polling() {
    let server = Server::start(&[]);
    let poller = Poller::begin(server.address);
    poller.posts("40");
    let connected = got_packets(&poller, 2);
    let (connect, hello) = connected.split_once('\x1e').expect("CONNECT, and hello behind it");
    assert!(connect.starts_with("40{\"sid\":"), "{connect}");
    assert!(hello.starts_with("42[\"hello\""), "{hello}");
    poller.posts("421[\"echo\",1]\x1e422[\"join\",\"room\"]");
    assert_eq!(got_packets(&poller, 2), "431[1]\x1e432[{\"members\":1,\"ok\":true}]");
    let mut other = Wire::chat(server.address);
    other.send_text("421[\"join\",\"room\"]");
    other.text();
    let mut waiting = poller.poll();
    other.send_text("42[\"message\",{\"room\":\"room\",\"body\":\"hi\"}]");
    let heard = waiting.response();
    assert!(heard.text().contains("\"body\":\"hi\""), "{}", heard.text());
}

/// So many packets, in as many polls as it takes: what another shard has to say comes later.
fn got_packets(poller: &Poller, count: usize) -> String {
    let mut packets = poller.got();
    while packets.split('\x1e').count() < count {
        packets = format!("{packets}\x1e{}", poller.got());
    }
    packets
}

#[test]
fn a_second_poll_ends_both_and_the_session() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut first = poller.poll();
    std::thread::sleep(Duration::from_millis(50));
    let second = poller.get();
    assert_eq!((second.status, code(&second.body)), (400, json!(3)));
    assert_eq!(first.response().text(), "1");
    poller.is_over();
}

#[test]
fn a_second_post_ends_both_and_the_session() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut waiting = poller.poll();
    let mut first = Wire::dial(server.address);
    let head =
        format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n4he", poller.target());
    first.send(head.as_bytes());
    std::thread::sleep(Duration::from_millis(50));
    let second = poller.post(b"4b");
    assert_eq!((second.status, code(&second.body)), (400, json!(3)));
    assert_eq!(waiting.response().text(), "1");
    first.send(b"ll");
    assert_eq!(first.response().status, 400);
    poller.is_over();
}

#[test]
fn a_poll_that_is_broken_off_ends_the_session() {
    let server = echo();
    let poller = Poller::begin(server.address);
    drop(poller.poll());
    std::thread::sleep(Duration::from_millis(50));
    poller.is_over();
}

#[test]
fn a_post_that_is_broken_off_ends_the_session() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut wire = Wire::dial(server.address);
    let head =
        format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n4", poller.target());
    wire.send(head.as_bytes());
    std::thread::sleep(Duration::from_millis(50));
    drop(wire);
    assert_eq!(poller.get().status, 400);
}

#[test]
fn a_close_packet_ends_the_poll_with_a_noop() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut waiting = poller.poll();
    std::thread::sleep(Duration::from_millis(50));
    poller.posts("1");
    assert_eq!(waiting.response().text(), "6");
    poller.is_over();
}

#[test]
fn the_server_closes_after_what_it_said() {
    let server = echo();
    let poller = Poller::begin(server.address);
    poller.posts("4last words\x1e4close");
    // A stock client would handle what comes along with the close only after it.
    assert_eq!(poller.got(), "4last words");
    assert_eq!(poller.got(), "1");
    poller.is_over();
    let waiting = Poller::begin(server.address);
    let mut poll = waiting.poll();
    waiting.posts("4close");
    assert_eq!(poll.response().text(), "1");
}

#[test]
fn what_is_no_packet_ends_the_session() {
    let server = echo();
    let big = format!("4{}", "x".repeat(999_999));
    Poller::begin(server.address).posts(&big);
    for body in [
        &b"abc"[..],
        b"",
        b"4a\x1e",
        b"4a\x1ebAA*A",
        b"4\xff",
        b"0{}",
        b"2",
        b"3probe",
        b"5",
        b"6",
        b"7",
    ] {
        let poller = Poller::begin(server.address);
        let mut waiting = poller.poll();
        std::thread::sleep(Duration::from_millis(20));
        let response = poller.post(body);
        assert_eq!((response.status, code(&response.body)), (400, json!(3)), "{body:?}");
        // What came before it may have been echoed.
        let said = waiting.response();
        assert!(said.text() == "1" || said.text().starts_with("4a"), "{body:?}: {}", said.text());
        poller.is_over();
    }
}

/// CVE-2026-59725.
#[test]
fn bytes_are_no_payload_of_revision_4_and_end_the_session() {
    let server = echo();
    for kind in ["application/octet-stream", "Application/Octet-Stream; a=b"] {
        let poller = Poller::begin(server.address);
        let response = poller.post_as(kind, b"4a");
        assert_eq!((response.status, code(&response.body)), (400, json!(3)));
        poller.is_over();
    }
}

#[test]
fn a_body_over_the_limit_is_refused_while_it_comes() {
    let server = echo();
    let rest = "x".repeat(999_990);
    let length = |length: usize| format!("Content-Length: {length}\r\n\r\n");
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n4{rest}\r\n", rest.len() + 1);
    for (name, head, body) in [
        ("by what it says", length(1_000_001), "4".to_owned()),
        ("by a lot", length(usize::MAX / 4), "4".to_owned()),
        ("by what comes", chunked, "ff\r\nmore than is allowed".to_owned() + &"x".repeat(240)),
    ] {
        let poller = Poller::begin(server.address);
        let mut wire = Wire::dial(server.address);
        wire.send(
            format!("POST {} HTTP/1.1\r\nHost: h\r\n{head}{body}", poller.target()).as_bytes(),
        );
        assert_eq!(wire.response().status, 413, "{name}");
        poller.is_over();
    }
}

#[test]
fn a_poll_with_only_a_ping_pending_is_two() {
    let server = echo_with_heartbeat(100, 2000);
    let poller = Poller::begin(server.address);
    for _ in 0..3 {
        assert_eq!(poller.got(), "2");
        poller.posts("3");
    }
}

#[test]
fn a_silent_poller_is_closed_and_told_so() {
    let server = echo_with_heartbeat(100, 200);
    let poller = Poller::begin(server.address);
    assert_eq!(poller.got(), "2");
    assert_eq!(poller.got(), "1");
    poller.is_over();
}

#[test]
fn unknown_methods_are_refused_and_the_session_stays() {
    let server = echo();
    let poller = Poller::begin(server.address);
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = request(server.address, method, &poller.target(), "", b"");
        assert_eq!(response.status, 405, "{method}");
    }
    poller.posts("4still here");
    assert_eq!(poller.got(), "4still here");
}

#[test]
fn a_session_speaks_the_revision_it_began_with() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let other = poller.target().replace("EIO=4", "EIO=3");
    for (method, target) in [
        ("GET", other.clone()),
        ("POST", other),
        ("GET", poller.target().replace("EIO=4&", "")),
        ("GET", poller.target().replace("polling", "websocket")),
    ] {
        let response = request(server.address, method, &target, "", b"4a");
        assert_eq!((response.status, code(&response.body)), (400, json!(3)), "{method} {target}");
    }
    assert_eq!(poller.ask_for_websocket(3).response().status, 400);
    poller.posts("4still here");
    assert_eq!(poller.got(), "4still here");
}

#[test]
fn who_does_not_poll_is_closed_when_too_much_waits() {
    let server = Embedded::echo(Config { outbound_bytes_max: 100_000, ..Config::default() });
    let poller = Poller::begin(server.address);
    let body = format!("4{}", "x".repeat(40_000));
    poller.posts(&body);
    poller.posts(&body);
    let response = poller.post(body.as_bytes());
    assert!(matches!(response.status, 200 | 400), "{}", response.status);
    std::thread::sleep(Duration::from_millis(50));
    poller.is_over();
}

#[test]
fn the_answer_to_a_post_waits_for_handlers_that_lag() {
    let config = Config { events_waiting_max: 2, ..Config::default() };
    let server = Embedded::echo(config);
    let poller = Poller::begin(server.address);
    let started = crate::process::now();
    // The first is being handled, two wait: the fourth must wait outside.
    poller.posts("4slow\x1e4b\x1e4c\x1e4d");
    assert!(started.elapsed() >= Duration::from_millis(250), "it was held back");
    let started = crate::process::now();
    poller.posts("4slow\x1e4f");
    assert!(started.elapsed() < Duration::from_millis(250), "it was not held back");
    let mut heard = poller.got();
    while !heard.ends_with('f') {
        heard = format!("{heard}\x1e{}", poller.got());
    }
    assert_eq!(heard, "4slow\x1e4b\x1e4c\x1e4d\x1e4slow\x1e4f");
}

#[test]
fn many_requests_share_a_connection() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut wire = Wire::dial(server.address);
    for number in 0..20 {
        let body = format!("4{number}");
        send(&mut wire, "POST", &poller.target(), "", body.as_bytes());
        assert_eq!(wire.response().text(), "ok");
        send(&mut wire, "GET", &poller.target(), "", b"");
        assert_eq!(wire.response().text(), body);
    }
}

/// The end of one connection must not touch another that has its place by now.
#[test]
fn connections_that_come_and_go_do_not_touch_each_other() {
    let server = echo();
    for round in 0..50 {
        let mut others: Vec<Wire> = (0..5).map(|_| Wire::dial(server.address)).collect();
        others.iter_mut().for_each(|other| send(other, "GET", "/", "", b""));
        others.iter_mut().for_each(|other| assert_eq!(other.response().status, 404));
        let mut beginning: Vec<Wire> = Vec::new();
        for other in others {
            let mut wire = Wire::dial(server.address);
            send(&mut wire, "GET", "/socket.io/?EIO=4&transport=polling", "", b"");
            beginning.push(wire);
            drop(other);
        }
        for wire in &mut beginning {
            assert!(wire.response().text().starts_with("0{"), "round {round}");
        }
    }
}

/// A place is free again only when the last handler has ended.
#[test]
fn a_handler_that_outlives_its_connection_keeps_its_place() {
    let server = echo();
    for _ in 0..5 {
        let mut slow = Wire::open(server.address).1;
        slow.send_text("4slow");
        slow.send_text("4and then");
        std::thread::sleep(Duration::from_millis(20));
        drop(slow);
        std::thread::sleep(Duration::from_millis(20));
        let mut next = Wire::open(server.address).1;
        next.send_text("4undisturbed");
        assert_eq!(next.text(), "4undisturbed");
    }
}
