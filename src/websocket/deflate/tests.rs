//! Tables for offers, hand-made messages, and round trips against flate2.

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{Read, Write};

use super::*;
use crate::mutation::{mutate, mutations};

const MAX: usize = 1000;

fn agreed(offers: &[&str]) -> Option<&'static str> {
    agree(offers.iter().copied())
}

#[test]
fn an_offer_that_can_be_met_is_accepted() {
    for offer in [
        "permessage-deflate",
        // Browsers and the stock client.
        "permessage-deflate; client_max_window_bits",
        "Permessage-Deflate;client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits = \"8\"",
        "permessage-deflate; server_no_context_takeover ; client_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
        "other; a=\"permessage-deflate, \\\" ;\", permessage-deflate",
    ] {
        assert_eq!(agreed(&[offer]), Some(ACCEPTED), "{offer}");
    }
    let names_window = "permessage-deflate; server_max_window_bits=15";
    assert_eq!(agreed(&[names_window]), Some(ACCEPTED_WITH_WINDOW));
}

#[test]
fn an_offer_that_can_not_be_met_is_declined() {
    for offer in [
        "",
        ",;=\"",
        "permessage-bzip2",
        "permessage-deflate-2",
        "permessage-deflate; unknown",
        "permessage-deflate; unknown=1",
        "permessage-deflate;",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=14",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=015",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "other; a=\", permessage-deflate\"",
    ] {
        assert_eq!(agreed(&[offer]), None, "{offer}");
    }
}

#[test]
fn the_first_offer_that_can_be_met_wins() {
    let small = "permessage-deflate; server_max_window_bits=9";
    let named = "permessage-deflate; server_max_window_bits=15";
    let list = format!("{small}, {named}, permessage-deflate");
    assert_eq!(agreed(&[&list]), Some(ACCEPTED_WITH_WINDOW));
    assert_eq!(agreed(&[small, "permessage-deflate", named]), Some(ACCEPTED), "of several lines");
}

/// RFC 7692, section 7.2.3.
#[test]
fn messages_of_the_rfc_examples() {
    let hello: &[u8] = b"Hello";
    for (name, payload) in [
        ("one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..]),
        ("a stored block", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
        ("a last block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        ("a last block alone", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        (
            "two blocks",
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ),
    ] {
        assert_eq!(inflate(payload, 5).as_deref(), Ok(hello), "{name}");
        assert_eq!(inflate(payload, 4), Err(too_long(5, 4)), "{name}, one byte too long");
    }
    assert_eq!(inflate(&[0x00], 0), Ok(vec![]), "an empty message");
}

#[test]
fn what_is_cut_damaged_or_followed_by_something_is_refused() {
    let whole = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let mut rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a block type that is reserved", vec![0x06, 0x00]),
        ("lengths that do not agree", vec![0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48]),
        ("a reference to before the beginning", vec![0x02, 0x04, 0x00]),
        ("the tail left on", [&whole[..], &TAIL].concat()),
        ("behind a last block, a byte", [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x01].into()),
        (
            "behind a last block, another",
            [&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &whole].concat(),
        ),
    ];
    rows.extend((1..whole.len()).map(|cut| ("cut", whole[..cut].to_vec())));
    // Cut to one byte of five, it would be complete with the four of the tail.
    let cuts = (2..stored.len()).filter(|cut| *cut != 6);
    rows.extend(cuts.map(|cut| ("a stored block, cut", stored[..cut].to_vec())));
    for (name, payload) in rows {
        let refused = inflate(&payload, MAX);
        assert_eq!(refused, Err(FrameError::Compression), "{name}: {payload:02x?}");
    }
    assert_eq!(FrameError::Compression.close_code(), 1007);
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = Deflater::default().deflate(&vec![0; 10 << 20]).unwrap();
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    assert_eq!(inflate(&bomb, MAX), Err(too_long(MAX + 1, MAX)));
    let held = inflate(&bomb, 10 << 20).unwrap();
    assert_eq!((held.len(), held.capacity()), (10 << 20, (10 << 20) + 1));
    assert_eq!(inflate(&bomb, (10 << 20) - 1), Err(too_long(10 << 20, (10 << 20) - 1)));
    assert_eq!(too_long(2, 1).close_code(), 1009);
}

#[test]
fn what_has_no_pattern_is_not_compressed() {
    let noise: Vec<u8> =
        (0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(Deflater::default().deflate(&noise[..64]), None);
    assert_eq!(Deflater::default().deflate(b""), None);
}

proptest! {
    #[test]
    fn what_is_compressed_is_what_flate2_reads(messages in vec(message(), 1..4)) {
        let mut deflater = Deflater::default();
        for message in messages {
            let compressed = deflater.deflate(&message);
            prop_assert_eq!(&compressed, &Deflater::default().deflate(&message), "no memory");
            let Some(compressed) = compressed else { continue };
            prop_assert!(compressed.len() < message.len());
            let mut read = Vec::new();
            DeflateDecoder::new(&[&compressed[..], &END].concat()[..]).read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, &message);
            prop_assert_eq!(inflate(&compressed, message.len()), Ok(message));
        }
    }

    /// Whatever the level, and with a flush in the middle or without.
    #[test]
    fn what_flate2_writes_is_inflated(message in message(), level in 0_u32..=9, cut in 0_usize..5000) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        let (first, rest) = message.split_at(cut.min(message.len()));
        encoder.write_all(first).unwrap();
        encoder.flush().unwrap();
        encoder.write_all(rest).unwrap();
        encoder.flush().unwrap();
        let payload = encoder.get_ref().strip_suffix(&TAIL).unwrap();
        prop_assert_eq!(inflate(payload, message.len()), Ok(message.clone()));
        if let Some(limit) = message.len().checked_sub(1) {
            prop_assert_eq!(inflate(payload, limit), Err(too_long(limit + 1, limit)));
        }
        let last = encoder.finish().unwrap();
        prop_assert_eq!(inflate(&last, message.len()), Ok(message));
    }

    #[test]
    fn damaged_messages_are_harmless(message in message(), damage in mutations()) {
        let mut payload = Deflater::default().deflate(&message).unwrap_or(message);
        mutate(&mut payload, &damage);
        if let Ok(read) = inflate(&payload, MAX) {
            prop_assert!(read.len() <= MAX && read.capacity() <= MAX + 1);
        }
    }
}

/// Words that repeat, or noise.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec("[a-d]{1,4}", 0..800).prop_map(|words| words.concat().into_bytes()),
        vec(any::<u8>(), 0..2000),
    ]
}

fn too_long(len_bytes: usize, max_bytes: usize) -> FrameError {
    FrameError::MessageTooLong { len_bytes: len_bytes as u64, max_bytes }
}
