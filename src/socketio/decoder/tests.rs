//! Tables for the packet decoder: one for each rule of the specification, of
//! our policy for malformed input, and for each advisory that concerns it.

use std::borrow::Cow;

use super::*;
use crate::socketio::json::JsonError;
use crate::socketio::{Args, ID_MAX, Kind, RESERVED_EVENTS};

#[test]
fn idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn packets_of_the_spec() {
    for (text, incoming) in [
        ("0", connect("/", None)),
        ("0{}", connect("/", Some("{}"))),
        ("0/,{}", connect("/", Some("{}"))),
        ("0/admin,{\"a\":1}", connect("/admin", Some("{\"a\":1}"))),
        ("0/admin,", connect("/admin", None)),
        ("0/admin", connect("/admin", None)),
        ("0/a?b=c/ü", connect("/a?b=c/ü", None)),
        ("1", Incoming::Disconnect { namespace: "/".into() }),
        ("1/admin,", Incoming::Disconnect { namespace: "/admin".into() }),
        ("2[\"foo\"]", event("/", None, "[\"foo\"]")),
        ("2/admin,12[\"\"]", event("/admin", Some(12), "[\"\"]")),
        ("2 [ \"foo\" ] ", event("/", None, "[ \"foo\" ]")),
        ("2007[\"foo\"]", event("/", Some(7), "[\"foo\"]")),
        ("3/admin,13[]", ack("/admin", 13, "[]")),
        ("30[{}]", ack("/", 0, "[{}]")),
        ("4{\"message\":\"no\"}", connect_error("{\"message\":\"no\"}")),
        ("4\"no\"", connect_error("\"no\"")),
    ] {
        assert_eq!(decode(text), Ok(Some(incoming)), "{text}");
    }
}

#[test]
fn binary_event_waits_for_its_attachments() {
    let mut decoder = Decoder::new();
    let json = r#"["b",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
    let limits = Limits::default();
    assert_eq!(decoder.text(&format!("52-/x,3{json}"), &limits), Ok(None));
    assert_eq!(decoder.binary(b"zero", &limits), Ok(None));
    assert!(decoder.is_pending());
    let attachments = vec![Bytes::from_static(b"zero"), Bytes::new()];
    let args = Args::new(json, attachments);
    let complete = Incoming::Event { namespace: "/x".into(), id: Some(3), args };
    assert_eq!(decoder.binary(b"", &limits), Ok(Some(complete)));
    assert!(!decoder.is_pending());
}

#[test]
fn binary_ack_waits_for_its_attachment() {
    let mut decoder = Decoder::new();
    let json = r#"[{"_placeholder":true,"num":0}]"#;
    assert_eq!(decoder.text(&format!("61-7{json}"), &Limits::default()), Ok(None));
    let args = Args::new(json, vec![Bytes::from_static(b"zero")]);
    let complete = Incoming::Ack { namespace: "/".into(), id: 7, args };
    assert_eq!(decoder.binary(b"zero", &Limits::default()), Ok(Some(complete)));
}

/// CVE-2024-38355: an event of this name ended Node's process.
#[test]
fn error_is_an_ordinary_event_name() {
    assert_eq!(decode("2[\"error\"]"), Ok(Some(event("/", None, "[\"error\"]"))));
}

/// CVE-2023-32695: an event whose name is an object.
#[test]
fn event_names_are_strings() {
    for name in ["{\"toString\":\"foo\"}", "1", "null", "true", "[\"a\"]", "", "\"\\ud800\""] {
        assert_eq!(decode(&format!("2[{name}]")), Err(DecodeError::EventName), "{name}");
    }
    // Elsewhere half a surrogate pair does no harm.
    assert!(decode(r#"2["a","\ud800"]"#).is_ok());
}

#[test]
fn reserved_event_names_are_refused_however_they_are_written() {
    for name in RESERVED_EVENTS {
        assert_eq!(decode(&format!("2[\"{name}\"]")), Err(DecodeError::EventName), "{name}");
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        assert_eq!(decode(&format!("2[\"{escaped}\"]")), Err(DecodeError::EventName));
        assert!(decode(&format!("2[\"{name}s\"]")).is_ok());
        assert!(decode(&format!("30[\"{name}\"]")).is_ok(), "an ack has no name");
    }
}

/// CVE-2026-69185: a count of 0 left Node's parser waiting for ever.
#[test]
fn attachment_count_of_zero_is_refused() {
    let error = Err(DecodeError::AttachmentCount { max: 10 });
    for text in ["50-[\"e\"]", "60-1[]", "500-[\"e\"]"] {
        assert_eq!(decode(text), error, "{text}");
    }
}

/// CVE-2026-33151: attachments without limit.
#[test]
fn attachment_count_is_capped() {
    let announce = |count: usize| {
        let placeholder = |num| format!(r#",{{"_placeholder":true,"num":{num}}}"#);
        format!("5{count}-[\"e\"{}]", (0..count).map(placeholder).collect::<String>())
    };
    assert_eq!(decode(&announce(10)), Ok(None));
    let error = Err(DecodeError::AttachmentCount { max: 10 });
    assert_eq!(decode(&announce(11)), error);
    for text in ["59999999-[\"e\"]", "599999999999999999999-[\"e\"]", "5[\"e\"]", "51[\"e\"]", "5-"]
    {
        assert_eq!(decode(text), error, "{text}");
    }
    let limits = Limits { attachments_max: u32::MAX, ..Limits::default() };
    assert_eq!(Decoder::new().text(&announce(128), &limits), Ok(None));
    let error = Err(DecodeError::AttachmentCount { max: 128 });
    assert_eq!(Decoder::new().text(&announce(129), &limits), error);
}

#[test]
fn placeholders_match_the_count() {
    for (text, announced) in [
        (r#"51-["e"]"#, 1),
        (r#"51-["e",{"_placeholder":true,"num":1}]"#, 1),
        (r#"52-["e",{"_placeholder":true,"num":0}]"#, 2),
        (r#"51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#, 1),
        (r#"2["e",{"_placeholder":true,"num":0}]"#, 0),
        (r#"0{"_placeholder":true,"num":0}"#, 0),
    ] {
        assert_eq!(decode(text), Err(DecodeError::Placeholders { announced }), "{text}");
    }
    for num in ["\"splice\"", "\"__proto__\"", "-1", "0.5", "1e9"] {
        let text = format!(r#"51-["e",{{"_placeholder":true,"num":{num}}}]"#);
        let error = decode(&text);
        assert!(matches!(error, Err(DecodeError::Json(JsonError::Placeholder { .. }))), "{text}");
    }
}

#[test]
fn text_while_attachments_are_awaited_is_refused() {
    let mut decoder = awaiting_one();
    assert_eq!(decoder.text("2[\"a\"]", &Limits::default()), Err(DecodeError::AttachmentsMissing));
    assert!(!decoder.is_pending(), "what was kept is freed");
}

#[test]
fn bytes_that_were_not_announced_are_refused() {
    let unexpected = Err(DecodeError::AttachmentUnexpected);
    assert_eq!(Decoder::new().binary(b"", &Limits::default()), unexpected);
    let mut decoder = awaiting_one();
    assert!(decoder.binary(b"a", &Limits::default()).is_ok());
    assert_eq!(decoder.binary(b"b", &Limits::default()), unexpected);
}

/// CVE-2026-48804: attachments pile up.
#[test]
fn packet_is_limited_with_all_its_attachments() {
    let json = r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let text = format!("52-{json}");
    let limits = Limits { packet_bytes_max: text.len() + 100, ..Limits::default() };
    for (sizes, fits) in [([50, 50], true), ([100, 0], true), ([50, 51], false), ([101, 0], false)]
    {
        let mut decoder = Decoder::new();
        decoder.text(&text, &limits).unwrap();
        let first = decoder.binary(&vec![0; sizes[0]], &limits).map(drop);
        let both = first.and_then(|()| decoder.binary(&vec![0; sizes[1]], &limits));
        let error =
            DecodeError::TooLong { len_bytes: text.len() + 101, max_bytes: text.len() + 100 };
        assert_eq!(both.map(|packet| packet.is_some()), if fits { Ok(true) } else { Err(error) });
        assert!(!decoder.is_pending());
    }
    let limits = Limits { packet_bytes_max: 6, ..limits };
    assert!(Decoder::new().text("2[\"ab\"]", &limits).is_err());
    assert!(Decoder::new().text("2[\"a\"]", &limits).is_ok());
}

#[test]
fn ids_are_where_they_belong_and_exact_in_javascript() {
    assert!(decode(&format!("2{ID_MAX}[\"a\"]")).is_ok());
    for text in [
        &format!("2{}[\"a\"]", ID_MAX + 1),
        "218446744073709551616[\"a\"]",
        "3[]",
        "3/admin,[]",
        "01",
        "05{}",
        "1/admin,1",
        "47{}",
    ] {
        assert_eq!(decode(text), Err(DecodeError::Id), "{text}");
    }
}

#[test]
fn data_has_the_shape_that_the_type_asks_for() {
    for (text, kind) in [
        ("0[]", Kind::Connect),
        ("0null", Kind::Connect),
        ("0\"a\"", Kind::Connect),
        ("0/x,true", Kind::Connect),
        ("1{}", Kind::Disconnect),
        ("1[]", Kind::Disconnect),
        ("2", Kind::Event),
        ("2{}", Kind::Event),
        ("2\"a\"", Kind::Event),
        ("2/admin[\"a\"]", Kind::Event),
        ("35", Kind::Ack),
        ("35{}", Kind::Ack),
        ("4[]", Kind::ConnectError),
        ("4null", Kind::ConnectError),
    ] {
        assert_eq!(decode(text), Err(DecodeError::Payload(kind)), "{text}");
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    for text in ["", "7", "9[\"a\"]", "a", "é", "-1", " 2[\"a\"]", "\0"] {
        assert_eq!(decode(text), Err(DecodeError::UnknownType), "{text}");
    }
    for text in ["2x", "2[\"a\"", "2[\"a\"]]", "2-1[\"a\"]", "2 ", "2admin,[\"a\"]", "51-1-[\"a\"]"]
    {
        let error = decode(text);
        assert!(matches!(error, Err(DecodeError::Json(JsonError::Syntax { .. }))), "{text}");
    }
}

#[test]
fn json_is_limited_in_depth() {
    let nested = |depth: usize| format!("2[\"a\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    assert!(decode(&nested(127)).is_ok());
    let error = DecodeError::Json(JsonError::TooDeep { depth_max: 128 });
    assert_eq!(decode(&nested(128)), Err(error));
}

fn decode(text: &str) -> Result<Option<Incoming<'_>>, DecodeError> {
    Decoder::new().text(text, &Limits::default())
}

fn awaiting_one() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.text(r#"51-["b",{"_placeholder":true,"num":0}]"#, &Limits::default()).unwrap();
    decoder
}

fn connect<'a>(namespace: &'a str, data: Option<&'a str>) -> Incoming<'a> {
    Incoming::Connect { namespace: namespace.into(), data: data.map(Cow::Borrowed) }
}

fn connect_error(data: &str) -> Incoming<'_> {
    Incoming::ConnectError { namespace: "/".into(), data: Some(data.into()) }
}

fn event<'a>(namespace: &'a str, id: Option<u64>, json: &'a str) -> Incoming<'a> {
    Incoming::Event { namespace: namespace.into(), id, args: Args::new(json, vec![]) }
}

fn ack<'a>(namespace: &'a str, id: u64, json: &'a str) -> Incoming<'a> {
    Incoming::Ack { namespace: namespace.into(), id, args: Args::new(json, vec![]) }
}
