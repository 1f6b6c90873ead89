//! Payloads: the examples of the specifications, and properties.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::{mutate, mutations};

#[test]
fn payloads_of_the_specs_go_both_ways() {
    let hello = Message::Text("4hello");
    let bytes = Message::Binary(Cow::Borrowed(&[1, 2, 3, 4]));
    for (format, messages, body) in [
        (Format::V4, vec![hello.clone()], &b"4hello"[..]),
        (Format::V4, vec![hello.clone(), bytes.clone()], b"4hello\x1ebAQIDBA=="),
        (Format::V3Text, vec![hello.clone(), bytes.clone()], b"6:4hello10:b4AQIDBA=="),
        (Format::V3Text, vec![Message::Text("4\u{20ac}")], b"2:4\xe2\x82\xac"),
        (Format::V3Text, vec![Message::Text("4\u{1f680}")], b"3:4\xf0\x9f\x9a\x80"),
        (
            Format::V3Octets,
            vec![hello, bytes],
            b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04",
        ),
        (
            Format::V3Octets,
            vec![Message::Text("4\u{20ac} and so on")],
            b"\x00\x01\x04\xff4\xe2\x82\xac and so on",
        ),
    ] {
        let mut encoded = Vec::new();
        encode(format, messages.clone(), &mut encoded);
        assert_eq!(encoded, body, "{messages:?}");
        assert_eq!(decode_all(format, body), Ok(owned(messages)));
    }
}

#[test]
fn what_is_no_payload_is_refused() {
    use PayloadError::{Binary, Empty, Length, Utf8};
    for (format, body, error) in [
        (Format::V4, &b""[..], Empty),
        (Format::V4, b"\x1e", Empty),
        (Format::V4, b"4a\x1e", Empty),
        (Format::V4, b"4a\x1e\x1e4b", Empty),
        (Format::V4, b"b*", Binary),
        (Format::V4, b"4\xff", Utf8),
        (Format::V3Text, b"", Length),
        (Format::V3Text, b"abc", Length),
        (Format::V3Text, b":", Length),
        (Format::V3Text, b"-1:4", Length),
        (Format::V3Text, b"1", Length),
        (Format::V3Text, b"3:4a", Length),
        (Format::V3Text, b"2:4a2", Length),
        (Format::V3Text, b"99999999999:4", Length),
        (Format::V3Text, b"9999999999:4", Length),
        (Format::V3Text, b"2:4\xf0\x9f\x9a\x80", Length),
        (Format::V3Text, b"2:4\xff\xff\xff\xff", Length),
        (Format::V3Text, b"1:b", Binary),
        (Format::V3Text, b"6:b2AAAA", Binary),
        (Format::V3Octets, b"", Empty),
        (Format::V3Octets, b"\x02\x01\xff4", Length),
        (Format::V3Octets, b"\x00\xff4", Length),
        (Format::V3Octets, b"\x00\x01", Length),
        (Format::V3Octets, b"\x00\x02\xff4", Length),
        (Format::V3Octets, b"\x00\x0a\xff4aaaaaaaaa", Length),
        (Format::V3Octets, b"\x01\x01\xff\x02", Binary),
        (Format::V3Octets, b"\x00\x02\xff4\xff", Utf8),
    ] {
        assert_eq!(decode_all(format, body), Err(error), "{format:?} {body:?}");
    }
}

#[test]
fn an_empty_packet_of_revision_3_means_nothing() {
    assert_eq!(decode_all(Format::V3Text, b"0:"), Ok(Vec::new()));
    assert_eq!(decode_all(Format::V3Text, b"0:1:20:"), Ok(owned(vec![Message::Text("2")])));
    assert_eq!(decode_all(Format::V3Octets, b"\x00\x00\xff"), Ok(Vec::new()));
}

#[test]
fn padding_may_be_missing() {
    let bytes = Message::Binary(Cow::Borrowed(&[1, 2, 3, 4]));
    assert_eq!(decode_all(Format::V4, b"bAQIDBA"), Ok(owned(vec![bytes])));
}

/// What was decoded before something that is no packet is as good as any.
#[test]
fn packets_before_a_bad_one_are_decoded() {
    let mut payload = Payload::new(Format::V4, b"4a\x1eb*\x1e4b".to_vec());
    assert_eq!(payload.decode(), Ok(Some(Message::Text("4a"))));
    assert_eq!(payload.decode(), Err(PayloadError::Binary));
    assert_eq!(payload.decode(), Ok(None), "nothing comes behind an error");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_itself(
        messages in vec(message(), 1..6),
        format in formats(),
    ) {
        let mut body = Vec::new();
        encode(format, messages.clone(), &mut body);
        prop_assert_eq!(decode_all(format, &body), Ok(owned(messages)));
    }

    /// Damaged, it is refused, or decoded to no more than lies in it.
    #[test]
    fn damaged_payloads_are_harmless(
        messages in vec(message(), 1..6),
        format in formats(),
        damage in mutations(),
    ) {
        let mut body = Vec::new();
        encode(format, messages, &mut body);
        mutate(&mut body, &damage);
        if let Ok(decoded) = decode_all(format, &body) {
            let bytes: usize = decoded.iter().map(|message| match message {
                Message::Binary(data) => data.len(),
                Message::Text(text) => text.len(),
            }).sum();
            prop_assert!(bytes <= body.len());
            prop_assert!(decoded.len() <= body.len());
            let mut again = Vec::new();
            encode(format, decoded.clone(), &mut again);
            if !decoded.is_empty() {
                prop_assert_eq!(decode_all(format, &again), Ok(decoded));
            }
        }
    }

    #[test]
    fn single_messages_of_revision_3_are_harmless(bytes in vec(any::<u8>(), 0..20), text in "b?[0-6]?\\PC{0,9}") {
        let _ = decode_v3_octets(&bytes);
        let _ = decode_v3_text(&text);
    }
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::V3Text), Just(Format::V3Octets), Just(Format::V4)]
}

/// Texts that are leaked, which makes them as static as literals.
fn message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        "[0-6][a-z:0-9\u{20ac}\u{1f680}]{0,12}"
            .prop_map(|text: String| Message::Text(Box::leak(text.into_boxed_str()))),
        vec(any::<u8>(), 0..12).prop_map(|data| Message::Binary(Cow::Owned(data))),
    ]
}

fn decode_all(format: Format, body: &[u8]) -> Result<Vec<Message<'static>>, PayloadError> {
    let mut payload = Payload::new(format, body.to_vec());
    let mut messages = Vec::new();
    while let Some(message) = payload.decode()? {
        messages.extend(owned(vec![message]));
    }
    Ok(messages)
}

fn owned(messages: Vec<Message<'_>>) -> Vec<Message<'static>> {
    let own = |message| match message {
        Message::Binary(data) => Message::Binary(Cow::Owned(data.into_owned())),
        Message::Text(text) => Message::Text(Box::leak(text.to_owned().into_boxed_str())),
    };
    messages.into_iter().map(own).collect()
}
