//! Engine.IO and Socket.IO packets: what is refused, and what only looks odd.

use serde_json::json;

use crate::client::{Seen, Wire, binary_frame, text_frame};
use crate::server::Server;

fn text(text: &str) -> Vec<u8> {
    text_frame(text)
}

/// A head packet and `count` attachments.
fn with_binary(head: &str, count: usize) -> Vec<u8> {
    [text_frame(head), binary_frame(b"bytes").repeat(count)].concat()
}

fn placeholders(count: u32) -> String {
    (0..count).map(|number| format!(",{{\"_placeholder\":true,\"num\":{number}}}")).collect()
}

#[test]
fn engine_packets_in_the_wrong_place_are_refused() {
    let server = Server::start(&[]);
    let rows = [
        ("an empty packet", text(""), 1002),
        ("an unknown type", text("7"), 1002),
        ("an unknown type, later", text("9[\"a\"]"), 1002),
        ("no digit", text("hello"), 1002),
        ("not even ASCII", text("é"), 1002),
        ("white space", text(" 42[\"a\"]"), 1002),
        ("open, which the server sends", text("0{\"sid\":\"x\"}"), 1002),
        ("ping, which the server sends", text("2"), 1002),
        ("a probe outside of an upgrade", text("2probe"), 1002),
        ("upgrade on a WebSocket", text("5"), 1002),
        ("noop, which the server sends", text("6"), 1002),
        ("binary that nothing announced", binary_frame(b"bytes"), 1002),
        ("empty binary that nothing announced", binary_frame(b""), 1002),
    ];
    server.refuses(Wire::chat, &rows);
    server.refuses(|address| Wire::open(address).1, &rows);
}

#[test]
fn connecting_wrongly_is_refused() {
    let server = Server::start(&["--namespace", "/other"]);
    let rows = [
        ("data that is an array", text("40[]"), 1002),
        ("data that is a string", text("40\"token\""), 1002),
        ("data that is null", text("40null"), 1002),
        ("data that is a number", text("401"), 1002),
        ("data that is no JSON", text("40{"), 1002),
        ("data with something behind it", text("40{}x"), 1002),
        ("an event before CONNECT", text("42[\"echo\"]"), 1002),
        ("an ack before CONNECT", text("431[]"), 1002),
        ("a disconnect before CONNECT", text("41"), 1002),
        ("CONNECT_ERROR, which the server sends", text("44{\"message\":\"no\"}"), 1002),
        ("no namespace that may be", text("40other,"), 1002),
    ];
    server.refuses(|address| Wire::open(address).1, &rows);
    let rows = [
        ("a second CONNECT", text("40"), 1002),
        ("a second CONNECT with data", text("40{}"), 1002),
        ("CONNECT_ERROR, which the server sends", text("44{\"message\":\"no\"}"), 1002),
        ("an event for a namespace never joined", text("42/other,[\"echo\"]"), 1002),
        ("an event for a namespace that is not there", text("42/unknown,[\"echo\"]"), 1002),
        ("an ack for a namespace never joined", text("43/other,1[]"), 1002),
        ("a disconnect from a namespace never joined", text("41/other,"), 1002),
    ];
    server.refuses(Wire::chat, &rows);
}

#[test]
fn event_names_are_strings_that_are_not_reserved() {
    let server = Server::start(&[]);
    let rows = [
        ("no name", text("42[]"), 1002),
        ("a number", text("42[1]"), 1002),
        ("null", text("42[null,\"echo\"]"), 1002),
        ("true", text("42[true]"), 1002),
        ("an array", text("42[[\"echo\"]]"), 1002),
        ("an object (CVE-2023-32695)", text("42[{\"toString\":\"foo\"}]"), 1002),
        ("attachment as name", with_binary("451-[{\"_placeholder\":true,\"num\":0}]", 1), 1002),
        ("connect", text("42[\"connect\"]"), 1002),
        ("connect_error", text("42[\"connect_error\"]"), 1002),
        ("disconnect", text("42[\"disconnect\"]"), 1002),
        ("disconnecting", text("42[\"disconnecting\"]"), 1002),
        ("newListener", text("42[\"newListener\"]"), 1002),
        ("removeListener", text("42[\"removeListener\"]"), 1002),
        ("a reserved name, escaped", text("42[\"\\u0063onnect\"]"), 1002),
        (
            "a reserved name with binary",
            with_binary("451-[\"disconnect\",{\"_placeholder\":true,\"num\":0}]", 1),
            1002,
        ),
    ];
    server.refuses(Wire::chat, &rows);
}

#[test]
fn arguments_are_one_json_array() {
    let server = Server::start(&[]);
    let nested =
        |depth: usize| format!("42[\"a\",{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let rows = [
        ("nothing", text("42"), 1002),
        ("nothing but an id", text("421"), 1002),
        ("an object", text("42{\"0\":\"echo\"}"), 1002),
        ("a string", text("42\"echo\""), 1002),
        ("not ended", text("42[\"echo\""), 1002),
        ("a string not ended", text("42[\"echo"), 1002),
        ("something behind", text("42[\"echo\"]x"), 1002),
        ("two arrays", text("42[\"echo\"][\"echo\"]"), 1002),
        ("a comma too many", text("42[\"echo\",]"), 1002),
        ("a comma missing", text("42[\"echo\" 1]"), 1002),
        ("single quotes", text("42['echo']"), 1002),
        ("NaN", text("42[\"echo\",NaN]"), 1002),
        ("Infinity", text("42[\"echo\",-Infinity]"), 1002),
        ("a leading zero", text("42[\"echo\",01]"), 1002),
        ("a leading plus", text("42[\"echo\",+1]"), 1002),
        ("a number that ends in a point", text("42[\"echo\",1.]"), 1002),
        ("an exponent without digits", text("42[\"echo\",1e]"), 1002),
        ("a key that is no string", text("42[\"echo\",{1:2}]"), 1002),
        ("an object not ended", text("42[\"echo\",{\"a\":1]"), 1002),
        ("a bracket of the other kind", text("42[\"echo\"}"), 1002),
        ("an unknown escape", text("42[\"\\x41\"]"), 1002),
        ("an escape not ended", text("42[\"\\u12\"]"), 1002),
        ("a line break inside of a string", text("42[\"a\nb\"]"), 1002),
        ("a comment", text("42[/**/\"echo\"]"), 1002),
        ("a byte order mark", text("42\u{feff}[\"echo\"]"), 1002),
        ("nested 129 deep", text(&nested(129)), 1002),
        ("nested 100,000 deep", text(&nested(100_000)), 1002),
        ("open brackets only", text(&format!("42{}", "[".repeat(500_000))), 1002),
    ];
    server.refuses(Wire::chat, &rows);
    let mut wire = Wire::chat(server.address);
    wire.send_text(&nested(128));
    wire.echoes("128 deep is served");
}

#[test]
fn packet_heads_are_read_strictly() {
    let server = Server::start(&[]);
    let digits = "9".repeat(30);
    let rows = [
        ("no type", text("4"), 1002),
        ("type 7", text("47[\"echo\"]"), 1002),
        ("type 9", text("49"), 1002),
        ("no digit", text("4x[\"echo\"]"), 1002),
        ("an id above 2^53", text("429007199254740993[\"echo\"]"), 1002),
        ("an id above 2^64", text(&format!("42{digits}[\"echo\"]")), 1002),
        ("a negative id", text("42-1[\"echo\"]"), 1002),
        ("an ack without an id", text("43[]"), 1002),
        ("an ack whose id is no number", text("43x[]"), 1002),
        ("an ack id above 2^53", text("439007199254740993[]"), 1002),
        ("an ack that is no array", text("431{}"), 1002),
        ("disconnect with data", text("41[1]"), 1002),
    ];
    server.refuses(Wire::chat, &rows);
    let mut wire = Wire::chat(server.address);
    wire.send_text("429007199254740992[\"echo\",\"largest id\"]");
    assert_eq!(wire.text(), "439007199254740992[\"largest id\"]");
    wire.send_text("420[\"echo\",\"smallest id\"]");
    assert_eq!(wire.text(), "430[\"smallest id\"]");
}

#[test]
fn attachments_are_announced_and_used_exactly_once() {
    let server = Server::start(&["--max-payload-bytes", "100000"]);
    let event = |count: &str, rest: &str| format!("45{count}-[\"echo\"{rest}]");
    let odd = |num: &str| event("1", &format!(",{{\"_placeholder\":true,\"num\":{num}}}"));
    let half =
        [text(&event("10", &placeholders(10))), binary_frame(&[0; 50_000]).repeat(10)].concat();
    let rows = [
        ("count 0 (CVE-2026-69185)", with_binary(&event("0", ""), 1), 1002),
        ("count 0 without binary", text(&event("0", "")), 1002),
        ("ack with count 0", text("460-1[]"), 1002),
        ("count 11, one above the cap", with_binary(&event("11", &placeholders(11)), 11), 1002),
        ("count 9999999 (CVE-2026-33151)", text(&event("9999999", "")), 1002),
        ("count of 30 digits", text(&event(&"9".repeat(30), "")), 1002),
        ("no count", text("45-[\"echo\"]"), 1002),
        ("no dash", text("451[\"echo\"]"), 1002),
        ("a negative count", text("45-1-[\"echo\"]"), 1002),
        ("a count with a fraction", text("451.5-[\"echo\"]"), 1002),
        ("num is a name (CVE-2022-2421)", with_binary(&odd("\"splice\""), 1), 1002),
        ("num is out of range", with_binary(&odd("1"), 1), 1002),
        ("num is negative", with_binary(&odd("-1"), 1), 1002),
        ("num has a fraction", with_binary(&odd("0.5"), 1), 1002),
        ("num is a digit in quotes", with_binary(&odd("\"0\""), 1), 1002),
        ("num is null", with_binary(&odd("null"), 1), 1002),
        ("num is huge", with_binary(&odd("18446744073709551616"), 1), 1002),
        ("no num", with_binary(&event("1", ",{\"_placeholder\":true}"), 1), 1002),
        (
            "a placeholder without binary",
            text("42[\"echo\",{\"_placeholder\":true,\"num\":0}]"),
            1002,
        ),
        ("no placeholder", with_binary(&event("1", ""), 1), 1002),
        ("one placeholder for two", with_binary(&event("2", &placeholders(1)), 2), 1002),
        ("two placeholders for one", with_binary(&event("1", &placeholders(1).repeat(2)), 1), 1002),
        ("a number used twice", with_binary(&event("2", &placeholders(1).repeat(2)), 2), 1002),
        ("text while binary is pending", [text(&odd("0")), text("42[\"echo\"]")].concat(), 1002),
        ("a head while binary is pending", text(&odd("0")).repeat(2), 1002),
        ("CONNECT while binary is pending", [text(&odd("0")), text("40/other,")].concat(), 1002),
        ("binary behind the last one", with_binary(&event("1", &placeholders(1)), 2), 1002),
        (
            "not a namespace of ours",
            with_binary("451-/other,[\"echo\",{\"_placeholder\":true,\"num\":0}]", 1),
            1002,
        ),
        ("more bytes than maxPayload in all", half, 1009),
    ];
    server.refuses(Wire::chat, &rows);
}

#[test]
fn ten_attachments_in_any_order_are_served() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    let order = [9, 3, 0, 1, 8, 2, 7, 4, 6, 5];
    let json: String =
        order.iter().map(|num| format!(",{{\"_placeholder\":true,\"num\":{num}}}")).collect();
    wire.send(&text(&format!("4510-7[\"echo\"{json}]")));
    for number in 0..10 {
        wire.send(&binary_frame(&[number; 3]));
    }
    let head = wire.text();
    let json = head.strip_prefix("4610-7").unwrap_or_else(|| panic!("a binary ack: {head}"));
    let json: serde_json::Value = serde_json::from_str(json).expect("the arguments are JSON");
    let sent: Vec<Vec<u8>> = (0..10)
        .map(|_| {
            let seen = wire.next();
            let Seen::Binary(bytes) = seen else {
                panic!("attachments come right behind their head: {seen:?}")
            };
            bytes
        })
        .collect();
    let arrived: Vec<u8> = (0..10)
        .map(|place| {
            assert_eq!(json[place]["_placeholder"], json!(true));
            sent[json[place]["num"].as_u64().expect("a number") as usize][0]
        })
        .collect();
    assert_eq!(arrived, order);
    wire.echoes("and text again");
}

#[test]
fn what_only_looks_odd_is_served() {
    let server = Server::start(&[]);
    let mut wire = Wire::chat(server.address);
    for packet in [
        "42[\"error\"]",
        "42[\"error\",{\"message\":\"CVE-2024-38355\"}]",
        "42[\"\"]",
        "42[\"nobody listens\",1,2,3]",
        "42[\"__proto__\"]",
        "42[\"Connect\"]",
        "4377[\"an ack that nobody awaits\"]",
        "439007199254740992[]",
        "3",
        "42[ \"nobody\" , { \"a\" : [ ] } ] ",
        "42[\"\\u0000\\ud83c\\udf0d\"]",
        "42/,[\"the namespace may be written out\"]",
    ] {
        wire.send_text(packet);
        wire.send_text("421[\"echo\",\"next\"]");
        assert_eq!(wire.next(), Seen::Text("431[\"next\"]".to_owned()), "after {packet}");
    }
    for _ in 0..20 {
        wire.send(&with_binary("451-[\"nobody listens\",{\"_placeholder\":true,\"num\":0}]", 1));
        wire.send(&with_binary("461-5[{\"num\":0,\"_placeholder\":true}]", 1));
    }
    wire.echoes("after binary");
}

#[test]
fn json_comes_back_as_it_was_written() {
    let server = Server::start(&[]);
    let (mut speaker, mut listener) = (Wire::chat(server.address), Wire::chat(server.address));
    for (id, wire) in [(1, &mut speaker), (2, &mut listener)] {
        wire.send_text("421[\"join\",\"room\"]");
        let ack = wire.text();
        let ack =
            serde_json::from_str::<serde_json::Value>(ack.strip_prefix("431").expect("an ack"))
                .expect("JSON");
        assert_eq!(ack, json!([{ "ok": true, "members": id }]));
    }
    for body in [
        "1.0",
        "-0",
        "1e400",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "1E+2",
        "\"\\u0041\\/\\ud83c\\udf0d\"",
        "{\"b\":1,\"a\":2,\"b\":3}",
        "\"\\ud800\"",
    ] {
        speaker.send_text(&format!("427[\"echo\",{body}]"));
        assert_eq!(speaker.text(), format!("437[{body}]"));
        speaker.send_text(&format!("42[\"message\",{{\"room\":\"room\",\"body\":{body}}}]"));
        let heard = listener.text();
        assert!(heard.contains(&format!("\"body\":{body}")), "{body}: {heard}");
    }
}

#[test]
fn a_second_connect_at_once_is_refused_although_the_first_may_be_answered() {
    let server = Server::start(&["--namespace", "/other"]);
    let mut wire = Wire::chat(server.address);
    wire.send(&text("40/other,").repeat(2));
    let mut end = wire.next();
    while let Seen::Text(answer) = &end {
        assert!(answer.starts_with("40/other,") || answer.starts_with("42/other,"), "{answer}");
        end = wire.next();
    }
    assert_eq!(end, Seen::Close(Some(1002)));
    server.serves();
}

#[test]
fn who_says_goodbye_is_let_go() {
    let server = Server::start(&["--namespace", "/other"]);
    let mut wire = Wire::chat(server.address);
    wire.send_text("1");
    assert!(matches!(wire.next(), Seen::Close(_) | Seen::End));
    let mut wire = Wire::chat(server.address);
    wire.send(&[text("40/other,"), text("41")].concat());
    assert!(wire.text().starts_with("40/other,"));
    assert!(wire.text().starts_with("42/other,[\"hello\""));
    wire.send_text("42/other,1[\"echo\",\"one namespace left\"]");
    assert_eq!(wire.text(), "43/other,1[\"one namespace left\"]");
    server.serves();
}
