//! From the first byte to the first packets.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Seen, TARGET, UPGRADE, Wire};
use crate::process::now;
use crate::server::Server;

#[test]
fn the_open_packet_has_exactly_the_keys_of_the_protocol() {
    let server = Server::start(&["--ping-interval", "12345ms", "--ping-timeout", "6789ms"]);
    let (open, _wire) = Wire::open(server.address);
    let sid = open["sid"].as_str().expect("a session id").to_owned();
    assert_eq!(
        open,
        json!({ "sid": sid, "upgrades": [], "pingInterval": 12345, "pingTimeout": 6789, "maxPayload": 1_000_000 })
    );
    assert_eq!(sid.len(), 20, "an id is as long as a Node server's: {sid}");
    assert_ne!(Wire::open(server.address).0["sid"], open["sid"]);
}

#[test]
fn the_answer_to_connect_is_the_sid_alone() {
    let server = Server::start(&[]);
    for connect in ["40", "40{}", "40{\"token\":\"t\"}", "40/,", "40/,{\"a\":[1]}"] {
        let (open, mut wire) = Wire::open(server.address);
        wire.send_text(connect);
        let answer = wire.text();
        let answer: Value =
            serde_json::from_str(answer.strip_prefix("40").expect("a CONNECT")).expect("JSON");
        let sid = answer["sid"].as_str().expect("a session id").to_owned();
        assert_eq!(answer, json!({ "sid": sid }), "{connect}");
        assert_eq!(sid.len(), 20, "{sid}");
        assert_ne!(open["sid"], answer["sid"], "the id of the transport stays secret");
        let hello: Value =
            serde_json::from_str(wire.text().strip_prefix("42").expect("an event")).expect("JSON");
        assert_eq!(hello[0], "hello");
        assert_eq!(hello[1]["id"], answer["sid"]);
    }
}

#[test]
fn a_client_in_a_hurry_sends_before_it_is_answered() {
    let server = Server::start(&[]);
    let mut wire = Wire::dial(server.address);
    let mut bytes = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).into_bytes();
    bytes.extend(crate::client::text_frame("40"));
    bytes.extend(crate::client::text_frame("421[\"echo\",7]"));
    for piece in bytes.chunks(7) {
        wire.send(piece);
    }
    let answered = wire.everything_until(|bytes| bytes.ends_with(b"431[7]"));
    assert!(answered.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn an_unknown_namespace_is_refused_and_the_connection_stays() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    for name in ["/unknown", "/__proto__", "/é"] {
        wire.send_text(&format!("40{name},"));
        assert_eq!(wire.text(), format!("44{name},{{\"message\":\"Invalid namespace\"}}"));
        wire.send_text(&format!("40{name}"));
        assert_eq!(wire.text(), format!("44{name},{{\"message\":\"Invalid namespace\"}}"));
    }
    wire.echoes("still here");
}

#[test]
fn the_headers_of_an_upgrade_may_be_written_in_many_ways() {
    let server = Server::start(&[]);
    for (name, request) in [
        (
            "lower case",
            upgrade_with("Upgrade", "upgrade: websocket\r\n")
                .replace("Sec-WebSocket", "sec-websocket"),
        ),
        ("a list", upgrade_with("Connection", "Connection: keep-alive, Upgrade\r\n")),
        ("capitals", upgrade_with("Upgrade", "Upgrade: WebSocket\r\n")),
        ("no space", upgrade_with("Sec-WebSocket-Version", "Sec-WebSocket-Version:13\r\n")),
        (
            "an offer",
            upgrade_with("Host", "Host: h\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
        ),
        (
            "other parameters",
            format!("GET {TARGET}&t=abc&x=%26%3D HTTP/1.1\r\n{}\r\n", UPGRADE.concat()),
        ),
    ] {
        let mut wire = Wire::dial(server.address);
        wire.send(request.as_bytes());
        let answered =
            wire.everything_until(|bytes| bytes.windows(4).any(|four| four == b"\r\n\r\n"));
        let answered = String::from_utf8_lossy(&answered).to_ascii_lowercase();
        assert!(answered.starts_with("http/1.1 101 "), "{name}: {answered}");
        assert!(
            !answered.contains("sec-websocket-extensions"),
            "{name}: no extension is spoken here"
        );
    }
}

/// A good upgrade with the header `name` written as `line`.
fn upgrade_with(name: &str, line: &str) -> String {
    let of_name = |header: &&str| header.split(':').next() == Some(name);
    let headers: Vec<&str> =
        UPGRADE.iter().map(|header| if of_name(header) { line } else { header }).collect();
    assert!(headers.contains(&line), "{name} is a header of the upgrade");
    format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", headers.concat())
}

/// As Node answers them (npm socket.io 4.8).
#[test]
fn wrong_requests_get_the_errors_of_a_node_server() {
    let server = Server::start(&[]);
    let unknown = (0, "Transport unknown");
    let session = (1, "Session ID unknown");
    let method = (2, "Bad handshake method");
    let request = (3, "Bad request");
    let version = (5, "Unsupported protocol version");
    let upgrade = UPGRADE.concat();
    for (line, headers, (code, message)) in [
        ("GET /socket.io/", "Host: h\r\n", unknown),
        ("GET /socket.io/?EIO=4", &upgrade, unknown),
        ("GET /socket.io/?EIO=4&transport=", &upgrade, unknown),
        ("GET /socket.io/?EIO=4&transport=Websocket", &upgrade, unknown),
        ("GET /socket.io/?EIO=4&transport=__proto__", &upgrade, unknown),
        ("PUT /socket.io/?EIO=4&transport=polling", "Host: h\r\n", method),
        ("POST /socket.io/?EIO=4&transport=polling", "Host: h\r\n", method),
        ("GET /socket.io/?EIO=4&transport=polling&sid=unknown", "Host: h\r\n", session),
        ("POST /socket.io/?EIO=4&transport=polling&sid=unknown", "Host: h\r\n", session),
        ("GET /socket.io/?transport=polling", "Host: h\r\n", version),
        ("GET /socket.io/?EIO=3&transport=polling", "Host: h\r\n", version),
        ("GET /socket.io/?EIO=4&transport=polling", &upgrade, request),
        ("GET /socket.io/?EIO=4&transport=websocket&sid=unknown", &upgrade, session),
        ("GET /socket.io/?EIO=4&transport=websocket&sid=__proto__", &upgrade, session),
        ("POST /socket.io/?EIO=4&transport=websocket", "Host: h\r\n", method),
        ("POST /socket.io/?EIO=4&transport=websocket", &upgrade, method),
        ("GET /socket.io/?EIO=4&transport=websocket", "Host: h\r\n", request),
        ("GET /socket.io/?transport=websocket", &upgrade, version),
        ("GET /socket.io/?EIO=3&transport=websocket", &upgrade, version),
        ("GET /socket.io/?EIO=5&transport=websocket", &upgrade, version),
        ("GET /socket.io/?EIO=44&transport=websocket", &upgrade, version),
    ] {
        let mut wire = Wire::dial(server.address);
        wire.send(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes());
        let response = wire.response();
        assert_eq!(response.status, 400, "{line}");
        assert!(
            response.head.to_ascii_lowercase().contains("content-type: application/json"),
            "{}",
            response.head
        );
        let body: Value = serde_json::from_slice(&response.body).expect("the body is JSON");
        assert_eq!(body, json!({ "code": code, "message": message }), "{line}");
    }
    server.serves();
}

#[test]
fn what_is_no_upgrade_is_refused() {
    let server = Server::start(&[]);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    for (name, request, statuses) in [
        ("no key", upgrade_with("Sec-WebSocket-Key", ""), &[400][..]),
        ("short key", upgrade_with("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ=\r\n"), &[400]),
        ("no base64", upgrade_with("Sec-WebSocket-Key", "Sec-WebSocket-Key: !\r\n"), &[400]),
        (
            "version 12",
            upgrade_with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 12\r\n"),
            &[400, 426],
        ),
        ("no version", upgrade_with("Sec-WebSocket-Version", ""), &[400, 426]),
        ("another upgrade", upgrade_with("Upgrade", "Upgrade: h2c\r\n"), &[400]),
        ("no upgrade", upgrade_with("Upgrade", ""), &[400]),
        ("no connection", upgrade_with("Connection", ""), &[400]),
        ("another path", get("/nothing"), &[404]),
        ("a path below", get("/socket.io/deeper?EIO=4&transport=websocket"), &[404]),
        ("a bad escape (CVE-2023-31125)", get("/socket.io/?EIO=%zz&transport=%ff%fe"), &[400]),
        ("a target that is no path", get("http://[::1/?EIO=4"), &[400, 404]),
    ] {
        let status = status(&server, request.as_bytes());
        assert!(statuses.contains(&status), "{name}: {status}");
    }
    server.serves();
}

#[test]
fn a_flood_of_headers_is_refused() {
    let server = Server::start(&[]);
    let get = |headers: &str| format!("GET {TARGET} HTTP/1.1\r\n{}{headers}\r\n", UPGRADE.concat());
    let many =
        |count: usize| (0..count).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    let long = "x".repeat(1 << 20);
    for (name, request, statuses) in [
        ("many (CVE-2024-37890)", get(&many(2000)), &[400, 431][..]),
        ("one hundred and one", get(&many(101)), &[400, 431]),
        ("a long one (CVE-2023-43669)", get(&format!("X: {long}\r\n")), &[400, 431]),
        ("a long name", get(&format!("{long}: x\r\n")), &[400, 431]),
        ("a long target", format!("GET /{long} HTTP/1.1\r\n"), &[400, 414, 431]),
        ("a long method", long, &[400, 431]),
    ] {
        let status = status(&server, request.as_bytes());
        assert!(statuses.contains(&status), "{name}: {status}");
    }
    server.serves();
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Server::start(&[]);
    for (name, bytes) in [
        ("words", &b"garbage\r\n\r\n"[..]),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("binary", &[0xff; 4096]),
        ("NUL", &[0; 4096]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n"),
        ("a header without a colon", b"GET / HTTP/1.1\r\nnonsense\r\n\r\n"),
        ("a NUL in a header", b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"),
    ] {
        assert_eq!(status(&server, bytes), 400, "{name}");
    }
    server.serves();
}

/// The status of the answer to these bytes, behind which the server closes.
fn status(server: &Server, bytes: &[u8]) -> u16 {
    let mut wire = Wire::dial(server.address);
    wire.send(bytes);
    wire.response().status
}

#[test]
fn a_handshake_that_never_ends_is_closed() {
    let server = Server::start(&["--connect-timeout", "500ms"]);
    let started = now();
    let mut silent = Wire::dial(server.address);
    let mut slow = Wire::dial(server.address);
    slow.send(b"GET /socket.io/?EIO=4");
    let mut dribbling = Wire::dial(server.address);
    // One byte at a time is no progress that buys more time.
    for byte in
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nX: ".iter().chain([b'x'; 60].iter())
    {
        dribbling.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(10));
    }
    for (name, wire) in
        [("silent", &mut silent), ("slow", &mut slow), ("dribbling", &mut dribbling)]
    {
        let said = String::from_utf8_lossy(&wire.everything()).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{name}: {said}");
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
    server.serves();
}

#[test]
fn a_peer_that_goes_away_during_the_handshake_leaves_no_trace() {
    let server = Server::start(&[]);
    let request = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    for length in (0..=request.len()).step_by(5) {
        Wire::dial(server.address).send(&request.as_bytes()[..length]);
        let mut finishing = Wire::dial(server.address);
        finishing.send(&request.as_bytes()[..length]);
        finishing.finish();
        finishing.everything();
    }
    server.serves();
}

#[test]
fn nothing_but_the_open_packet_comes_before_connect() {
    let server = Server::start(&[]);
    let (_, mut wire) = Wire::open(server.address);
    // The answer to this is the first thing the server has to say.
    wire.send(&crate::client::frame(0x89, b"anything else?"));
    assert_eq!(wire.next(), Seen::Pong(b"anything else?".to_vec()));
}
