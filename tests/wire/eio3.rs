//! Clients of Engine.IO protocol v3 and of Socket.IO 2.

use std::time::Duration;

use parlor::{Ack, Admission, Config, Io, Raw, Refusal, Socket};
use serde_json::json;

use crate::client::{Seen, UPGRADE, Wire, binary_frame};
use crate::embedded::Embedded;
use crate::poller::{Poller, request};

fn echo() -> Embedded {
    Embedded::echo(Config::default())
}

/// A WebSocket of revision 3, and its open packet.
fn websocket(server: &Embedded, query: &str) -> Wire {
    let mut wire = Wire::dial(server.address);
    let target = format!("/socket.io/?EIO=3&transport=websocket{query}");
    wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    assert_eq!(wire.response().status, 101);
    let open = wire.text();
    assert!(open.starts_with("0{\"sid\":"), "{open}");
    wire
}

#[test]
fn revision_3_is_served_only_where_it_is_allowed() {
    let server = Embedded::start(Config::default(), |io| {
        io.of("/");
    });
    for transport in ["polling", "websocket"] {
        let target = format!("/socket.io/?EIO=3&transport={transport}");
        let upgrade = if transport == "websocket" { UPGRADE.concat() } else { String::new() };
        let response = request(server.address, "GET", &target, &upgrade, b"");
        assert_eq!(response.status, 400);
        assert_eq!(response.text(), r#"{"code":5,"message":"Unsupported protocol version"}"#);
    }
}

#[test]
fn payloads_count_utf_16() {
    let server = echo();
    let (poller, rest) = Poller::begin_v3(server.address, "&b64=1");
    assert_eq!(rest, "", "a raw server says nothing by itself");
    poller.posts("6:4hello10:b4AQIDBA==2:4\u{20ac}3:4\u{1f680}");
    assert_eq!(poller.got(), "6:4hello10:b4AQIDBA==2:4\u{20ac}3:4\u{1f680}");
}

#[test]
fn bytes_are_sent_as_they_are_to_who_takes_them() {
    let server = echo();
    let (poller, _) = Poller::begin_v3(server.address, "");
    let octets = b"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04";
    let response = poller.post_as("application/octet-stream", octets);
    assert_eq!((response.status, response.text()), (200, "ok"));
    let response = poller.get();
    assert_eq!(response.body, octets);
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    poller.posts("2:4a");
    assert_eq!(poller.got(), "2:4a", "text alone is sent as text");
}

#[test]
fn what_is_no_payload_ends_the_session() {
    let server = echo();
    for (kind, body) in [
        ("text/plain", &b"abc"[..]),
        ("text/plain", b"9:4a"),
        ("text/plain", b"2:3a"),
        ("text/plain", b"1:3"),
        ("text/plain", b"6:b2AAAA"),
        ("application/octet-stream", b"6:4hello"),
        ("application/octet-stream", b"\x01\x01\xff\x02"),
    ] {
        let (poller, _) = Poller::begin_v3(server.address, "");
        assert_eq!(poller.post_as(kind, body).status, 400, "{body:?}");
        poller.is_over();
    }
}

#[test]
fn the_client_pings_and_every_packet_is_a_sign_of_life() {
    let mut config = Config::default();
    config.limits.ping_interval = Duration::from_millis(300);
    config.limits.ping_timeout = Duration::from_millis(200);
    let server = Embedded::echo(config);
    let mut wire = websocket(&server, "");
    let (poller, _) = Poller::begin_v3(server.address, "");
    for _ in 0..3 {
        wire.send_text("2");
        assert_eq!(wire.text(), "3");
        std::thread::sleep(Duration::from_millis(350));
        wire.send_text("4alive");
        assert_eq!(wire.text(), "4alive", "the server does not ping");
        poller.posts("6:2probe");
        assert_eq!(poller.got(), "6:3probe");
    }
    let silent_since = crate::process::now();
    wire.send_text("4last");
    assert_eq!(wire.text(), "4last");
    assert!(matches!(wire.next(), Seen::End | Seen::Close(_)));
    let silent = silent_since.elapsed();
    assert!(silent >= Duration::from_millis(495), "closed after {silent:?}");
    assert!(silent <= Duration::from_millis(2000), "closed only after {silent:?}");
    poller.is_over();
}

#[test]
fn binary_frames_have_their_type_in_front() {
    let server = echo();
    let mut wire = websocket(&server, "");
    wire.send(&binary_frame(&[4, 1, 2, 3]));
    assert_eq!(wire.next(), Seen::Binary(vec![4, 1, 2, 3]));
    wire.send_text("b4AQID");
    assert_eq!(wire.next(), Seen::Binary(vec![4, 1, 2, 3]));
    let mut text_alone = websocket(&server, "&b64=1");
    text_alone.send_text("b4AQID");
    assert_eq!(text_alone.text(), "b4AQID");
    for bytes in [&[][..], &[3, 1], b"4"] {
        let mut wire = websocket(&server, "");
        wire.send(&binary_frame(bytes));
        assert_eq!(wire.next(), Seen::Close(Some(1002)), "{bytes:?}");
    }
}

#[test]
fn an_upgrade_keeps_the_spelling() {
    let server = echo();
    for (query, binary) in
        [("", Seen::Binary(vec![4, 1, 2, 3])), ("&b64=1", Seen::Text("b4AQID".to_owned()))]
    {
        let (poller, _) = Poller::begin_v3(server.address, query);
        let mut waiting = poller.poll();
        let mut socket = poller.websocket();
        std::thread::sleep(Duration::from_millis(50));
        socket.send_text("2probe");
        assert_eq!(socket.text(), "3probe");
        assert_eq!(waiting.response().text(), "1:6");
        poller.posts("6:b4AQID");
        socket.send_text("5");
        assert_eq!(socket.next(), binary, "queued");
        socket.send(&binary_frame(&[4, 1, 2, 3]));
        assert_eq!(socket.next(), binary, "sent");
    }
}

fn chat(io: &mut Io) {
    let root = io.of("/");
    root.on_connection(async |socket: Socket| socket.emit("hello", 1));
    root.on("echo", async |_: Socket, raw: Raw, ack: Ack| {
        ack.send_json(
            &format!("[{}]", raw.arguments().collect::<Vec<_>>().join(",")),
            raw.0.attachments(),
        );
    });
    let admin = io.of("/admin");
    admin.on_admission(async |admission: Admission| match admission.auth["token"].as_str() {
        Some("a b") => Ok(()),
        Some("data") => Err(Refusal { message: "no".to_owned(), data: json!({ "why": 1 }) }),
        Some(_) | None => Err(Refusal::new("no \"token\"")),
    });
    admin.on_connection(async |socket: Socket| socket.emit("welcome", ()));
}

/// Socket.IO protocol v4, as the clients of Socket.IO 2 speak it.
#[test]
fn an_old_client_is_in_the_root_without_asking_and_gets_no_ids() {
    let server = Embedded::start(Config { allow_eio3: true, ..Config::default() }, chat);
    let mut wire = websocket(&server, "");
    assert_eq!(wire.text(), "40");
    assert_eq!(wire.text(), "42[\"hello\",1]");
    wire.send_text("427[\"echo\",{\"a\":[1]}]");
    assert_eq!(wire.text(), "437[{\"a\":[1]}]");
    wire.send_text("451-8[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    wire.send(&binary_frame(&[4, 9]));
    assert_eq!(wire.text(), "461-8[{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(wire.next(), Seen::Binary(vec![4, 9]));
    for (connect, answer) in [
        ("40/nowhere", "44/nowhere,\"Invalid namespace\""),
        ("40/nowhere?a=b,", "44/nowhere,\"Invalid namespace\""),
        ("40/admin", "44/admin,\"no \\\"token\\\"\""),
        ("40/admin?token=c,", "44/admin,\"no \\\"token\\\"\""),
        ("40/admin?token=data,", "44/admin,{\"why\":1}"),
        ("40/admin?x=1&token=a%20b,", "40/admin,"),
    ] {
        wire.send_text(connect);
        assert_eq!(wire.text(), answer, "{connect}");
    }
    assert_eq!(wire.text(), "42/admin,[\"welcome\"]");
    wire.send_text("41/admin?token=a%20b,");
    wire.send_text("429[\"echo\"]");
    assert_eq!(wire.text(), "439[]");
}

#[test]
fn an_old_client_that_polls_hears_the_same() {
    let server = Embedded::start(Config { allow_eio3: true, ..Config::default() }, chat);
    let (poller, mut heard) = Poller::begin_v3(server.address, "");
    while !heard.ends_with("]") {
        heard += &poller.got();
    }
    assert_eq!(heard, "2:4013:42[\"hello\",1]");
}

#[test]
fn a_new_client_still_asks_and_gets_its_id() {
    let server = Embedded::start(Config { allow_eio3: true, ..Config::default() }, chat);
    let mut wire = Wire::open(server.address).1;
    wire.send_text("40/admin?token=a%20b,");
    assert_eq!(wire.text(), "44/admin?token=a%20b,{\"message\":\"Invalid namespace\"}");
    wire.send_text("40");
    assert!(wire.text().starts_with("40{\"sid\":\""));
}
