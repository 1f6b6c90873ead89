//! Messages that the stock client and the stock server have sent to one another, and
//! single rules.

use bytes::Bytes;

use super::*;
use crate::socketio::json::JsonError;
use crate::socketio::{DecodeError, Decoder, ID_MAX, Incoming, Kind, Limits};

type Captured = (&'static str, &'static str, &'static [&'static [u8]]);

/// Captured from `socket.io-client` 4.8 and `socket.io` 4.8 with `socket.io-msgpack-parser`
/// 3.0.2 as parser: the message, and what the default parser makes of the same packet.
const CAPTURED: [Captured; 12] = [
    ("83a47479706500a464617461d40000a36e7370a12f", "0", &[]),
    (
        "83a47479706500a46461746181a5746f6b656ea174a36e7370a62f61646d696e",
        r#"0/admin,{"token":"t"}"#,
        &[],
    ),
    (
        "83a47479706500a46461746182a3736964b4524478575f73506d302d77473779536e41414141\
         a3706964d40000a36e7370a12f",
        r#"0{"sid":"RDxW_sPm0-wG7ySnAAAA"}"#,
        &[],
    ),
    (
        "83a47479706502a46461746194a26869cb3ff8000000000000c0c401ffa36e7370a62f61646d696e",
        r#"51-/admin,["hi",1.5,null,{"_placeholder":true,"num":0}]"#,
        &[b"\xff"],
    ),
    (
        "84a47479706502a46461746192a361736ba2c3a9a2696400a36e7370a62f61646d696e",
        r#"2/admin,0["ask","é"]"#,
        &[],
    ),
    (
        "83a47479706504a46461746181a76d657373616765a26e6fa36e7370a32f6e6f",
        r#"4/no,{"message":"no"}"#,
        &[],
    ),
    (
        "85a47479706502a46461746192a17181a1619b01ffd0dfd1ff7fd2ffff7fffd3ffffffff7fffffff\
         cc80cd0100ce00010000cf0000000100000000cf001fffffffffffffa76f7074696f6e7381a8636f\
         6d7072657373c3a2696400a36e7370a62f61646d696e",
        r#"2/admin,0["q",{"a":[1,-1,-33,-129,-32769,-2147483649,128,256,65536,4294967296,9007199254740991]}]"#,
        &[],
    ),
    ("84a47479706503a2696400a46461746191a2c3a9a36e7370a62f61646d696e", r#"3/admin,0["é"]"#, &[]),
    (
        "84a2696400a47479706503a4646174619281a1619b01ffd0dfd1ff7fd2ffff7fffd3ffffffff7fff\
         ffffcc80cd0100ce00010000cf0000000100000000cf001fffffffffffffc4020102a36e7370a62f\
         61646d696e",
        r#"61-/admin,0[{"a":[1,-1,-33,-129,-32769,-2147483649,128,256,65536,4294967296,9007199254740991]},{"_placeholder":true,"num":0}]"#,
        &[b"\x01\x02"],
    ),
    (
        "84a47479706502a46461746195a178d70000000174876e807bd4000085a175d40000a16ec0a166cb\
         3fb999999999999aa174c3a26162c702000708a8f09f98800a225c01a76f7074696f6e7381a8636f\
         6d7072657373c3a36e7370a12f",
        r#"51-["x","2020-09-13T12:26:40.123Z",null,{"n":null,"f":0.1,"t":true,"ab":{"_placeholder":true,"num":0}},"😀\n\"\\\u0001"]"#,
        &[b"\x07\x08"],
    ),
    ("82a47479706501a36e7370a12f", "1", &[]),
    ("82a47479706501a36e7370a62f61646d696e", "1/admin,", &[]),
];

#[test]
fn captured_packets_are_those_that_the_default_parser_sends() {
    for (hex, text, attachments) in CAPTURED {
        let mut decoder = Decoder::new();
        let mut expected = decoder.text(text, &Limits::default());
        for attachment in attachments {
            assert_eq!(expected, Ok(None));
            expected = decoder.binary(attachment, &Limits::default());
        }
        assert_eq!(decode(&bytes(hex), &Limits::default()).map(Some), expected, "{text}");
    }
}

/// What the stock server sends whose members come in the same order.
#[test]
fn packets_are_encoded_as_the_stock_server_does() {
    let attachments = [Bytes::from_static(b"\xff")];
    let json = r#"["hi",1.5,null,{"_placeholder":true,"num":0}]"#;
    for (captured, kind, namespace, id, json, attachments) in [
        (1, Kind::Connect, "/admin", None, Some(r#"{"token":"t"}"#), &[][..]),
        (3, Kind::Event, "/admin", None, Some(json), &attachments),
        (4, Kind::Event, "/admin", Some(0), Some(r#" [ "ask" , "\u00e9" ] "#), &[]),
        (5, Kind::ConnectError, "/no", None, Some(r#"{"message":"no"}"#), &[]),
        (10, Kind::Disconnect, "/", None, None, &[]),
        (11, Kind::Disconnect, "/admin", None, None, &[]),
    ] {
        let mut out = b"before".to_vec();
        encode(kind, namespace, id, json, attachments, &mut out);
        let (hex, text, _) = CAPTURED[captured];
        assert_eq!(out, [b"before", &*bytes(hex)].concat(), "{text}");
    }
}

#[test]
fn data_are_encoded_in_the_smallest_form() {
    for (json, hex) in [
        ("127", "7f"),
        ("128", "cc80"),
        ("255", "ccff"),
        ("256", "cd0100"),
        ("65535", "cdffff"),
        ("65536", "ce00010000"),
        ("4294967295", "ceffffffff"),
        ("4294967296", "cf0000000100000000"),
        ("18446744073709551615", "cfffffffffffffffff"),
        ("18446744073709551616", "cb43f0000000000000"),
        ("-1", "ff"),
        ("-32", "e0"),
        ("-33", "d0df"),
        ("-128", "d080"),
        ("-129", "d1ff7f"),
        ("-32768", "d18000"),
        ("-32769", "d2ffff7fff"),
        ("-2147483648", "d280000000"),
        ("-2147483649", "d3ffffffff7fffffff"),
        ("-9223372036854775808", "d38000000000000000"),
        ("-9223372036854775809", "cbc3e0000000000000"),
        ("0", "00"),
        ("-0", "cb8000000000000000"),
        ("1.0", "cb3ff0000000000000"),
        ("1e2", "cb4059000000000000"),
        ("1e999", "cb7ff0000000000000"),
        ("[]", "90"),
        ("{}", "80"),
        (r#"{"":[{}]}"#, "81a09180"),
        (r#" [ true , false,null ] "#, "93c3c2c0"),
        (r#""\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00""#, "ad225c2f080c0a0d0941f09f9880"),
        // Half a pair, alone, before something else, twice, and the wrong way round.
        (r#""\ud83d""#, "a3efbfbd"),
        (r#""\ud83dx""#, "a4efbfbd78"),
        (r#""\ud83d\u0041""#, "a4efbfbd41"),
        (r#""\ud83d\ud83d\ude00""#, "a7efbfbdf09f9880"),
        (r#""\ude00\ud83d""#, "a6efbfbdefbfbd"),
    ] {
        assert_eq!(encoded_data(json, &[]), bytes(hex), "{json}");
    }
}

#[test]
fn lengths_are_encoded_in_the_smallest_form() {
    for (len, text, binary, array, map) in [
        (0, "a0", "c400", "90", "80"),
        (15, "af", "c40f", "9f", "8f"),
        (16, "b0", "c410", "dc0010", "de0010"),
        (31, "bf", "c41f", "dc001f", "de001f"),
        (32, "d920", "c420", "dc0020", "de0020"),
        (255, "d9ff", "c4ff", "dc00ff", "de00ff"),
        (256, "da0100", "c50100", "dc0100", "de0100"),
        (65535, "daffff", "c5ffff", "dcffff", "deffff"),
        (65536, "db00010000", "c600010000", "dd00010000", "df00010000"),
    ] {
        let content = "x".repeat(len);
        let expected = [&*bytes(text), content.as_bytes()].concat();
        assert_eq!(encoded_data(&format!("\"{content}\""), &[]), expected);
        let expected = [&*bytes(binary), content.as_bytes()].concat();
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        assert_eq!(encoded_data(placeholder, &[content.into()]), expected);
        let expected = [&*bytes(array), &vec![7; len]].concat();
        assert_eq!(encoded_data(&format!("[{}]", vec!["7"; len].join(",")), &[]), expected);
        let expected = [&*bytes(map), &[0xa0, 7].repeat(len)].concat();
        let members = vec!["\"\":7"; len].join(",");
        assert_eq!(encoded_data(&format!("{{{members}}}"), &[]), expected);
        // What comes before a head that grows stays where it is.
        let expected = [b"\x91\x92\x01", &*expected].concat();
        assert_eq!(encoded_data(&format!("[[1,{{{members}}}]]"), &[]), expected);
    }
}

#[test]
fn heads_may_grow_on_every_level() {
    let json = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,".repeat(120) + "{}" + &"]".repeat(120);
    let level = [0xdc, 0, 16].into_iter().chain(1..=15).collect::<Vec<_>>();
    assert_eq!(encoded_data(&json, &[]), [&*level.repeat(120), &[0x80]].concat());
}

#[test]
fn data_are_decoded_as_javascript_writes_them() {
    for (hex, json) in [
        ("c0", "null"),
        ("c2", "false"),
        ("c3", "true"),
        ("d40000", "null"),
        ("d40001", "null"),
        ("82a175d40000a17601", r#"{"v":1}"#),
        ("82a17601a175d40000", r#"{"v":1}"#),
        ("81a175d40000", "{}"),
        ("82a16101a16102", r#"{"a":1,"a":2}"#),
        ("a0", r#""""#),
        ("a922085c2f0c0a0d091f", r#""\"\b\\/\f\n\r\t\u001f""#),
        ("a47fe280a8", "\"\u{7f}\u{2028}\""),
        ("d901e2", ""),
        ("d903e282ac", r#""€""#),
        ("da000161", r#""a""#),
        ("db0000000161", r#""a""#),
        ("dc0001c0", "[null]"),
        ("dd00000001c0", "[null]"),
        ("de0001a0c0", r#"{"":null}"#),
        ("df00000001a0c0", r#"{"":null}"#),
        ("ca3fc00000", "1.5"),
        ("cacb189680", "-10000000"),
        ("cb0000000000000000", "0"),
        ("cb8000000000000000", "0"),
        ("cb3ff0000000000000", "1"),
        ("cb0000000000000001", "5e-324"),
        ("cb3eb0c6f7a0b5ed8d", "0.000001"),
        ("cb3e7ad7f29abcaf48", "1e-7"),
        ("cb444b1ae4d6e2ef50", "1e+21"),
        ("cb4415af1d78b58c40", "100000000000000000000"),
        ("cbffefffffffffffff", "-1.7976931348623157e+308"),
        ("cb7ff8000000000000", "null"),
        ("cb7ff0000000000000", "null"),
        ("cbfff0000000000000", "null"),
        ("ca7fc00000", "null"),
        ("cfffffffffffffffff", "18446744073709551615"),
        ("d38000000000000000", "-9223372036854775808"),
        ("d0ff", "-1"),
        ("d70000000174876e807b", r#""2020-09-13T12:26:40.123Z""#),
        ("d7007fffffffffffffff", "null"),
    ] {
        let decoded = decode_data(hex);
        if json.is_empty() {
            assert!(matches!(decoded, Err(DecodeError::MessagePack { .. })), "{hex}");
        } else {
            assert_eq!(decoded, Ok((format!("[{json}]"), vec![])), "{hex}");
        }
    }
}

#[test]
fn binary_data_are_attachments_in_order() {
    for hex in ["c403616263", "c50003616263", "c600000003616263", "c70300616263", "c8000300616263"]
        .into_iter()
        .chain(["c90000000300616263"])
    {
        let json = r#"[[{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]]"#;
        let expected = (json.to_owned(), vec![Bytes::from("abc"), Bytes::new()]);
        assert_eq!(decode_data(&format!("9281a162{hex}c400")), Ok(expected), "{hex}");
    }
}

#[test]
fn what_is_no_messagepack_that_we_accept_is_refused() {
    for hex in [
        "c1",
        // Other exts: by length, and by type.
        "d5000000",
        "d60000000000",
        "d80000000000000000000000000000000000",
        "d40100",
        "d4ff00",
        "d7ff0000000000000000",
        "d7010000000000000000",
        "c70101ff",
        "c70cff000000000000000000000000",
        // No UTF-8.
        "a1ff",
        "a3eda080",
        "a2c080",
        "81a1ff00",
        // Names that are no strings.
        "810000",
        "81c0c0",
        "81c40161c0",
        "81d40000c0",
    ] {
        let error = decode_data(hex);
        assert!(matches!(error, Err(DecodeError::MessagePack { .. })), "{hex}: {error:?}");
    }
}

#[test]
fn neither_more_nor_less_than_a_map_is_a_message() {
    let packet = bytes(CAPTURED[6].0);
    assert!(decode(&packet, &Limits::default()).is_ok());
    for len in 0..packet.len() {
        let error = decode(&packet[..len], &Limits::default());
        assert!(matches!(error, Err(DecodeError::MessagePack { .. })), "{len}: {error:?}");
    }
    let longer = [&*packet, &[0xc0]].concat();
    let error = DecodeError::MessagePack { at: packet.len() };
    assert_eq!(decode(&longer, &Limits::default()), Err(error));
    for hex in ["c0", "90", "a474797065", "00", "94a474797065", "dfffffffff", "ddffffffff"] {
        let error = decode(&bytes(hex), &Limits::default());
        assert!(matches!(error, Err(DecodeError::MessagePack { .. })), "{hex}: {error:?}");
    }
}

/// Nothing is allocated by a count: most of these would need more than all memory.
#[test]
fn counts_that_lie_are_refused() {
    for hex in ["ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff00", "dcffff"] {
        for depth in [0, 100] {
            let nested = "ddffffffff".repeat(depth) + hex;
            let error = decode_data(&nested);
            assert!(matches!(error, Err(DecodeError::MessagePack { .. })), "{hex}: {error:?}");
        }
    }
}

/// Otherwise a peer could have its own map taken for somebody else's attachment.
#[test]
fn map_that_looks_like_a_placeholder_is_refused() {
    let key = "ac5f706c616365686f6c646572";
    for hex in [
        format!("82{key}c3a36e756d00"),
        format!("82a36e756d00{key}c3"),
        format!("81{key}c3"),
        format!("81a16181{key}c3"),
        format!("9281a16181{key}c3c40161"),
        format!("82a36e756d00{}c3", key.replacen("ac", "d90c", 1)),
        format!("82a36e756d00{}c3", key.replacen("ac", "db0000000c", 1)),
    ] {
        let error = decode_data(&hex);
        let placeholder = |error| matches!(error, DecodeError::Json(JsonError::Placeholder { .. }));
        assert!(error.clone().is_err_and(placeholder), "{hex}: {error:?}");
    }
    for value in ["c2", "01", "c0", "d40000", "a474727565"] {
        assert!(decode_data(&format!("81{key}{value}")).is_ok(), "{value}");
    }
}

#[test]
fn members_that_nobody_knows_are_dropped_but_sound() {
    let members = |options: &str| {
        let packet = ["84", TYPE_EVENT, "a178", options, "a46461746191a165", NSP_ROOT].concat();
        decode(&bytes(&packet), &Limits::default())
    };
    let event = decode(
        &bytes(&["83", TYPE_EVENT, "a46461746191a165", NSP_ROOT].concat()),
        &Limits::default(),
    );
    assert!(event.is_ok());
    for options in ["c0", "d40000", "81a161c40100", "9192c3c2", "a161"] {
        assert_eq!(members(options), event, "{options}");
    }
    for options in ["c1", "81c0c0", "a1ff", "d50000"] {
        assert!(members(options).is_err(), "{options}");
    }
    assert!(members(&("91".repeat(128) + "c0")).is_ok());
    assert!(members(&("91".repeat(129) + "c0")).is_err());
}

#[test]
fn last_of_two_members_with_one_name_counts() {
    let hex = [
        "88",
        "a474797065a178",
        TYPE_EVENT,
        "a46461746192a165c40100",
        "a46461746191a166",
        "a2696403",
        "a26964d40000",
        NSP_ROOT,
        "a36e7370a22f61",
    ];
    // A wrong one is not made good by one that follows.
    assert_eq!(decode(&bytes(&hex.concat()), &Limits::default()), Err(DecodeError::UnknownType));
    let hex = hex.concat().replacen("88a474797065a178", "87", 1);
    let text = r#"2/a,["f"]"#;
    let expected = Decoder::new().text(text, &Limits::default()).map(Option::unwrap);
    assert_eq!(decode(&bytes(&hex), &Limits::default()), expected);
}

#[test]
fn members_are_what_the_packet_asks_for() {
    for (packet, error) in [
        (["a46461746190", NSP_ROOT, ""], DecodeError::UnknownType),
        (["a474797065ff", NSP_ROOT, ""], DecodeError::UnknownType),
        (["a47479706505", NSP_ROOT, ""], DecodeError::UnknownType),
        (["a474797065a132", NSP_ROOT, ""], DecodeError::UnknownType),
        (["a474797065c0", NSP_ROOT, ""], DecodeError::UnknownType),
        (["a474797065cf0000000100000000", NSP_ROOT, ""], DecodeError::UnknownType),
        ([TYPE_EVENT, "a46461746191a165", ""], DecodeError::Namespace),
        ([TYPE_EVENT, "a46461746191a165", "a36e7370c0"], DecodeError::Namespace),
        ([TYPE_EVENT, "a46461746191a165", "a36e737000"], DecodeError::Namespace),
        ([TYPE_EVENT, "a46461746191a165", "a36e7370a0"], DecodeError::Namespace),
        ([TYPE_EVENT, "a46461746191a165", "a36e7370a161"], DecodeError::Namespace),
        ([TYPE_EVENT, "a46461746191a165", "a36e7370a32f2c61"], DecodeError::Namespace),
        ([TYPE_EVENT, NSP_ROOT, ""], DecodeError::Payload(Kind::Event)),
        ([TYPE_EVENT, NSP_ROOT, "a464617461c0"], DecodeError::Payload(Kind::Event)),
        ([TYPE_EVENT, NSP_ROOT, "a46461746180"], DecodeError::Payload(Kind::Event)),
        ([TYPE_EVENT, NSP_ROOT, "a464617461c400"], DecodeError::Payload(Kind::Event)),
        ([TYPE_EVENT, NSP_ROOT, "a46461746190"], DecodeError::EventName),
        ([TYPE_EVENT, NSP_ROOT, "a4646174619101"], DecodeError::EventName),
        ([TYPE_EVENT, NSP_ROOT, "a46461746191c40161"], DecodeError::EventName),
        ([TYPE_EVENT, NSP_ROOT, "a46461746191a7636f6e6e656374"], DecodeError::EventName),
        (["a47479706503", NSP_ROOT, "a46461746190"], DecodeError::Id),
        (["a47479706500", NSP_ROOT, "a26964cc00"], DecodeError::Id),
        (["a47479706500", NSP_ROOT, "a46461746190"], DecodeError::Payload(Kind::Connect)),
        (["a47479706500", NSP_ROOT, "a464617461a161"], DecodeError::Payload(Kind::Connect)),
        (["a47479706500", NSP_ROOT, "a46461746181a161c400"], DecodeError::Payload(Kind::Connect)),
        (["a47479706501", NSP_ROOT, "a46461746180"], DecodeError::Payload(Kind::Disconnect)),
        (["a47479706504", NSP_ROOT, "a46461746190"], DecodeError::Payload(Kind::ConnectError)),
    ] {
        let members = packet.iter().filter(|member| !member.is_empty()).count();
        let hex = format!("8{members}{}", packet.concat());
        assert_eq!(decode(&bytes(&hex), &Limits::default()), Err(error), "{hex}");
    }
    // As clients send them that have no `undefined`.
    for (absent, text) in [
        (["a47479706500", NSP_ROOT, "a464617461c0"], "0"),
        (["a47479706501", NSP_ROOT, "a464617461c0"], "1"),
        (["a47479706501", NSP_ROOT, "a464617461d40000"], "1"),
        (["a47479706504", NSP_ROOT, "a464617461c0"], "4"),
        (["a47479706504", NSP_ROOT, "a464617461a161"], "4\"a\""),
    ] {
        let expected = Decoder::new().text(text, &Limits::default()).map(Option::unwrap);
        let hex = format!("83{}", absent.concat());
        assert_eq!(decode(&bytes(&hex), &Limits::default()), expected, "{hex}");
    }
}

#[test]
fn ids_are_exact_in_javascript() {
    let with = |id: &str| {
        let hex = ["84", TYPE_EVENT, "a46461746191a165", "a26964", id, NSP_ROOT].concat();
        decode(&bytes(&hex), &Limits::default())
    };
    for (hex, expected) in [
        ("00", Some(0)),
        ("cf0020000000000000", Some(ID_MAX)),
        ("d37fffffffffffffff", None),
        ("cf0020000000000001", None),
        ("cfffffffffffffffff", None),
        ("ff", None),
        ("cb3ff0000000000000", None),
        ("a131", None),
        ("c3", None),
        ("90", None),
    ] {
        match with(hex) {
            Ok(Incoming::Event { id, .. }) => assert_eq!(id, expected, "{hex}"),
            other => {
                assert_eq!((other.err(), expected), (Some(DecodeError::Id), None), "{hex}");
            }
        }
    }
    for hex in ["c0", "d40000"] {
        assert!(matches!(with(hex), Ok(Incoming::Event { id: None, .. })), "{hex}");
    }
}

#[test]
fn packets_are_limited() {
    let is_ok = |content: &str, limits: &Limits| decode(&event(content), limits).map(drop);
    let limits = Limits::default();
    // The arguments are the first level; an attachment is one too, as in JSON.
    for (content, levels) in [("91", 127), ("81a161", 127)] {
        let too_deep = Err(JsonError::TooDeep { depth_max: 128 }.into());
        assert_eq!(is_ok(&(content.repeat(levels) + "c0"), &limits), Ok(()));
        assert_eq!(is_ok(&(content.repeat(levels) + "90"), &limits), too_deep);
        assert_eq!(is_ok(&(content.repeat(levels) + "80"), &limits), too_deep);
        assert_eq!(is_ok(&(content.repeat(levels) + "c400"), &limits), too_deep);
        assert_eq!(is_ok(&(content.repeat(levels - 1) + "c400"), &limits), Ok(()));
    }
    assert_eq!(is_ok(&("9a".to_owned() + &"c400".repeat(10)), &limits), Ok(()));
    let too_many = Err(DecodeError::AttachmentCount { max: 10 });
    assert_eq!(is_ok(&("9b".to_owned() + &"c400".repeat(11)), &limits), too_many);
    let unlimited = Limits { attachments_max: u32::MAX, ..limits };
    assert_eq!(is_ok(&("dc0080".to_owned() + &"c400".repeat(128)), &unlimited), Ok(()));
    let too_many = Err(DecodeError::AttachmentCount { max: 128 });
    assert_eq!(is_ok(&("dc0081".to_owned() + &"c400".repeat(129)), &unlimited), too_many);
}

#[test]
fn packet_is_limited_as_it_is_and_as_json() {
    // The message is longer than its JSON, or the other way round: escapes, names, floats,
    // placeholders with what they stand for.
    for content in ["a161", "a101", "93c3c3c3", "cb3fb999999999999a", "c403616263"] {
        let message = event(content);
        let Ok(Incoming::Event { args, .. }) = decode(&message, &Limits::default()) else {
            panic!("{content} is no argument")
        };
        let binary: usize = args.attachments().iter().map(Bytes::len).sum();
        let max_bytes = message.len().max(args.json().len() + binary);
        let limited = |packet_bytes_max| {
            decode(&message, &Limits { packet_bytes_max, ..Limits::default() }).map(drop)
        };
        assert_eq!(limited(max_bytes), Ok(()), "{content}");
        let error = limited(max_bytes - 1);
        assert!(matches!(error, Err(DecodeError::TooLong { .. })), "{content}: {error:?}");
    }
}

#[test]
#[should_panic(expected = "no data of a packet")]
fn data_without_their_attachment_are_a_bug_of_ours() {
    encoded_data(r#"[{"_placeholder":true,"num":0}]"#, &[]);
}

const TYPE_EVENT: &str = "a47479706502";
const NSP_ROOT: &str = "a36e7370a12f";

/// An event with one argument.
fn event(content: &str) -> Vec<u8> {
    bytes(&["83", TYPE_EVENT, "a46461746192a165", content, NSP_ROOT].concat())
}

/// The JSON of an ack's data with one argument, and the attachments.
fn decode_data(hex: &str) -> Result<(String, Vec<Bytes>), DecodeError> {
    let hex = ["84a47479706503", "a2696400", "a46461746191", hex, NSP_ROOT].concat();
    let Incoming::Ack { args, .. } = decode(&bytes(&hex), &Limits::default())? else {
        panic!("{hex} is no ack")
    };
    Ok((args.json().to_owned(), args.attachments().to_vec()))
}

/// What is made of the data alone.
fn encoded_data(json: &str, attachments: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(Kind::Event, "/", None, Some(json), attachments, &mut out);
    let (head, tail) = (bytes("83a47479706502a464617461"), bytes("a36e7370a12f"));
    let data = out.strip_prefix(&*head).and_then(|out| out.strip_suffix(&*tail));
    data.expect("head and tail are there").to_vec()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}
