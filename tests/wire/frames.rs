//! WebSocket frames: what RFC 6455 asks for, and what it forbids.

use crate::client::{Seen, Wire, binary_frame, frame, header, text_frame};
use crate::server::Server;

/// The flag that says how many bytes one message may have.
const MAX_PAYLOAD: [&str; 2] = ["--max-payload-bytes", "1000"];

#[test]
fn frames_that_break_the_protocol_are_refused() {
    let server = Server::start(&MAX_PAYLOAD);
    // In order but for its frame, so that only the frame can be what is refused.
    let harmless = b"42[\"unheard\"]";
    let fragment = |first: u8| frame(first, b"4");
    let text = |bytes: &[u8]| frame(0x81, bytes);
    let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes()[..], reason].concat());
    // With its mask key, which is the last part of a header.
    let declares = |first: u8, length: u64| [header(first, 0x80, length), vec![0; 4]].concat();
    let unmasked = [header(0x81, 0, harmless.len() as u64), harmless.to_vec()].concat();
    let mut rows = vec![
        ("not masked", unmasked, 1002),
        ("a control frame that is not masked", header(0x89, 0, 0), 1002),
        ("RSV1 (compressed)", frame(0xc1, harmless), 1002),
        ("RSV2 (CVE-2022-21676)", frame(0xa1, harmless), 1002),
        ("RSV3 (CVE-2022-21676)", frame(0x91, harmless), 1002),
        ("all reserved bits", frame(0xf1, harmless), 1002),
        ("RSV1 in a control frame", frame(0xc9, b""), 1002),
        ("a continuation of nothing", frame(0x80, harmless), 1002),
        ("an open continuation of nothing", frame(0x00, harmless), 1002),
        ("text inside of a message", [fragment(0x01), text(b"3")].concat(), 1002),
        ("binary inside of a message", [fragment(0x01), binary_frame(b"x")].concat(), 1002),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a close in fragments", frame(0x08, b""), 1002),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
        ("a close of 126 bytes", close(1000, &[b'x'; 124]), 1002),
        ("a ping that declares 2^62 bytes", declares(0x89, 1 << 62), 1002),
        ("a close of one byte", frame(0x88, &[3]), 1002),
        ("a length with the top bit set", declares(0x81, 1 << 63), 1002),
        ("text that is not UTF-8", text(b"42[\"\xff\"]"), 1007),
        ("an overlong form", text(b"42[\"\xc0\xaf\"]"), 1007),
        ("a surrogate", text(b"42[\"\xed\xa0\x80\"]"), 1007),
        ("text that ends inside a character", text(b"42[\"\xf0\x9f"), 1007),
        (
            "a fragmented text that is not UTF-8",
            [frame(0x01, b"42[\"\xff"), frame(0x80, b"\"]")].concat(),
            1007,
        ),
        ("a reason that is not UTF-8", close(1000, b"\xff"), 1007),
        ("one byte above maxPayload", text(&[b'4'; 1001]), 1009),
        ("one byte above maxPayload, binary", binary_frame(&[4; 1001]), 1009),
        (
            "above maxPayload in two fragments",
            [frame(0x01, &[b'4'; 600]), frame(0x80, &[b'4'; 401])].concat(),
            1009,
        ),
        ("2^62 bytes declared, none sent", declares(0x81, 1 << 62), 1009),
        ("4 GiB declared, none sent", declares(0x82, 1 << 32), 1009),
        ("a declared rest", [frame(0x01, &[b'4'; 900]), declares(0x80, 101)].concat(), 1009),
        (
            "endless empty fragments (CVE-2026-48779)",
            [frame(0x01, b"4"), frame(0x00, b"").repeat(100_000)].concat(),
            1009,
        ),
    ];
    let opcodes: Vec<(String, Vec<u8>)> = (3..8)
        .chain(11..16)
        .map(|opcode| (format!("opcode {opcode}"), frame(0x80 | opcode, harmless)))
        .collect();
    rows.extend(opcodes.iter().map(|(name, bytes)| (name.as_str(), bytes.clone(), 1002)));
    let codes: Vec<(String, Vec<u8>)> =
        [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
            .map(|code| (format!("close code {code}"), close(code, b"why")))
            .into();
    rows.extend(codes.iter().map(|(name, bytes)| (name.as_str(), bytes.clone(), 1002)));
    server.refuses(Wire::chat, &rows);
    // The same before anybody knows who this is.
    server.refuses(|address| Wire::open(address).1, &rows);
}

#[test]
fn messages_up_to_the_limit_are_served() {
    let server = Server::start(&MAX_PAYLOAD);
    let mut wire = Wire::chat(server.address);
    let word = "x".repeat(1000 - "421[\"echo\",\"\"]".len());
    wire.echoes(&word);
    let whole = format!("421[\"echo\",\"{word}\"]");
    let (first, rest) = whole.split_at(500);
    wire.send(&[frame(0x01, first.as_bytes()), frame(0x80, rest.as_bytes())].concat());
    assert_eq!(wire.text(), format!("431[\"{word}\"]"));
}

#[test]
fn a_message_may_come_in_many_fragments_with_pings_between() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    let packet = "421[\"echo\",\"é🌍\"]".as_bytes();
    for (place, byte) in packet.iter().enumerate() {
        let last = if place + 1 == packet.len() { 0x80 } else { 0 };
        let opcode = if place == 0 { 1 } else { 0 };
        wire.send(&frame(last | opcode, &[*byte]));
        wire.send(&frame(0x89, &[place as u8]));
    }
    for place in 0..packet.len() - 1 {
        assert_eq!(
            wire.next(),
            Seen::Pong(vec![place as u8]),
            "a ping inside of a message is answered at once"
        );
    }
    assert_eq!(wire.text(), "431[\"é🌍\"]");
    assert_eq!(wire.next(), Seen::Pong(vec![packet.len() as u8 - 1]));
    // A fragment may be empty, also the last one.
    wire.send(&[frame(0x01, b""), frame(0x00, b"421[\"echo\",8]"), frame(0x80, b"")].concat());
    assert_eq!(wire.text(), "431[8]");
}

#[test]
fn bytes_may_arrive_one_by_one() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    let long = "y".repeat(300);
    for byte in
        [text_frame("421[\"echo\",1]"), text_frame(&format!("422[\"echo\",\"{long}\"]"))].concat()
    {
        wire.send(&[byte]);
    }
    assert_eq!(wire.text(), "431[1]");
    assert_eq!(wire.text(), format!("432[\"{long}\"]"));
}

#[test]
fn pings_are_answered_and_pongs_ignored() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    for payload in [&b""[..], b"payload", &[0xff; 125]] {
        wire.send(&frame(0x89, payload));
        assert_eq!(wire.next(), Seen::Pong(payload.to_vec()));
    }
    wire.send(&frame(0x8a, b"nobody asked"));
    wire.echoes("still here");
}

#[test]
fn a_close_is_answered_and_the_stream_ends() {
    let server = Server::start(&[]);
    for payload in [&b""[..], b"\x03\xe8", b"\x03\xe9going away", b"\x0f\xa0private", b"\x03\xf4"] {
        let mut wire = Wire::chat(server.address);
        // What comes behind a close does not count.
        wire.send(&[frame(0x88, payload), text_frame("421[\"echo\",1]")].concat());
        let seen = wire.next();
        assert!(matches!(seen, Seen::Close(_)), "{payload:?}: {seen:?}");
        assert_eq!(wire.next(), Seen::End);
    }
    server.serves();
}
