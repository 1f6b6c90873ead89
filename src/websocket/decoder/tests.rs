//! Tables for the frame decoder: one for each rule of RFC 6455 that a peer may
//! break, and for each advisory that concerns it.

use super::*;
use crate::websocket::{encode, encode_close};

const MAX: usize = 1000;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// "Hello", compressed: the example of RFC 7692, section 7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn compressed_message_may_come_whole_or_in_fragments_with_pings_between() {
    let mut input = [
        frame(0xc1, Some(KEY), &HELLO),
        frame(0x41, Some(KEY), &HELLO[..3]),
        frame(0x89, Some(KEY), b"p"),
        frame(0x00, Some(KEY), b""),
        frame(0x80, Some(KEY), &HELLO[3..]),
        frame(0x81, Some(KEY), b"plain"),
        frame(0xc2, Some(KEY), &HELLO),
    ]
    .concat();
    for chunk in [1, 2, 5, input.len()] {
        let mut decoder = Decoder::new(Role::Server).with_deflate(true);
        let mut seen = Vec::new();
        for mut chunk in input.clone().chunks_mut(chunk) {
            while let (taken, Some(message)) = decoder.decode(chunk, 7).unwrap() {
                let message = format!("{message:?}");
                seen.push((message, decoder.inflated_bytes()));
                chunk = &mut chunk[taken..];
            }
        }
        let hello = || ("Text(\"Hello\")".to_owned(), 5);
        let expected = [
            hello(),
            ("Ping([112])".to_owned(), 0),
            hello(),
            ("Text(\"plain\")".to_owned(), 0),
            ("Binary([72, 101, 108, 108, 111])".to_owned(), 5),
        ];
        assert_eq!(seen, expected);
        assert_eq!(decoder.decode(&mut [], MAX), Ok((0, None)));
        assert_eq!(decoder.heap_bytes(), 0);
    }
    let refused = Decoder::new(Role::Server).with_deflate(true).decode(&mut input, 6).map(drop);
    assert_eq!(refused, Err(FrameError::MessageTooLong { len_bytes: 7, max_bytes: 6 }));
}

#[test]
fn compression_where_it_may_not_be_is_refused_with_1002() {
    for (name, bytes) in [
        ("a ping", frame(0xc9, Some(KEY), b"")),
        ("a close", frame(0xc8, Some(KEY), b"")),
        ("a continuation", [frame(0x41, Some(KEY), &HELLO), frame(0xc0, Some(KEY), b"")].concat()),
        ("RSV2", frame(0xe1, Some(KEY), &HELLO)),
        ("RSV3", frame(0xd1, Some(KEY), &HELLO)),
    ] {
        let mut bytes = bytes;
        let mut decoder = Decoder::new(Role::Server).with_deflate(true);
        assert_eq!(decoder.decode(&mut bytes, MAX), Err(FrameError::ReservedBits), "{name}");
    }
    let not_agreed = frame(0xc1, Some(KEY), &HELLO);
    assert_eq!(refusal(Role::Server, &not_agreed), (FrameError::ReservedBits, 1002));
}

#[test]
fn idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 24);
}

#[test]
fn whole_frame_is_decoded_in_place_without_memory() {
    let mut input = frame(0x81, Some(KEY), b"hello");
    input.push(0x81);
    let bytes = input.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server);
    let Ok((11, Some(Message::Text(text)))) = decoder.decode(&mut input, MAX) else {
        panic!("a complete frame is a message");
    };
    assert_eq!(text, "hello");
    assert!(bytes.contains(&text.as_ptr()), "the text was copied");
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn message_of_fragments_with_a_ping_between_them() {
    let fragments = [
        frame(0x01, None, b"Hel"),
        frame(0x89, None, b"p"),
        frame(0x80, None, b"lo"),
        frame(0x88, None, b""),
    ];
    let mut input = fragments.concat();
    let mut decoder = Decoder::new(Role::Client);
    assert_eq!(decoder.decode(&mut input, MAX), Ok((8, Some(Message::Ping(b"p")))));
    assert_eq!(decoder.decode(&mut input[8..], MAX), Ok((4, Some(Message::Text("Hello")))));
    assert_eq!(decoder.decode(&mut input[12..], MAX), Ok((2, Some(Message::Close(None)))));
}

#[test]
fn memory_of_a_message_is_freed_by_the_next_call() {
    let mut input = frame(0x82, Some(KEY), &[7; 500]);
    let mut decoder = Decoder::new(Role::Server);
    assert_eq!(decoder.decode(&mut input[..300], MAX), Ok((300, None)));
    assert_eq!(decoder.decode(&mut input[300..], MAX), Ok((208, Some(Message::Binary(&[7; 500])))));
    assert_eq!(decoder.decode(&mut [], MAX), Ok((0, None)));
    assert_eq!(decoder.heap_bytes(), 0);
}

/// CVE-2022-21676: a frame with reserved bits right after the upgrade.
#[test]
fn reserved_bits_are_refused_with_1002() {
    for bit in [0x10, 0x20, 0x40] {
        assert_eq!(refusal(Role::Server, &[0x81 | bit]), (FrameError::ReservedBits, 1002));
        assert_eq!(refusal(Role::Server, &[0x89 | bit, 0x80]), (FrameError::ReservedBits, 1002));
    }
}

#[test]
fn undefined_opcodes_are_refused_with_1002() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let unknown = (FrameError::OpcodeUnknown(opcode), 1002);
        assert_eq!(refusal(Role::Server, &[0x80 | opcode]), unknown);
    }
}

#[test]
fn a_client_must_mask_and_a_server_must_not() {
    let missing = (FrameError::MaskMissing, 1002);
    let unexpected = (FrameError::MaskUnexpected, 1002);
    for first in [0x81, 0x82, 0x88, 0x89, 0x8a] {
        assert_eq!(refusal(Role::Server, &frame(first, None, b"")), missing);
        assert_eq!(refusal(Role::Client, &frame(first, Some(KEY), b"")), unexpected);
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_1007() {
    for payload in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"] {
        let whole = frame(0x81, None, payload);
        assert_eq!(refusal(Role::Client, &whole), (FrameError::Utf8, 1007), "{payload:x?}");
        for at in 0..=payload.len() {
            let halves = [frame(0x01, None, &payload[..at]), frame(0x80, None, &payload[at..])];
            assert_eq!(refusal(Role::Client, &halves.concat()), (FrameError::Utf8, 1007));
        }
    }
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let text = "aé€😀";
    for at in 0..=text.len() {
        let halves =
            [frame(0x01, None, &text.as_bytes()[..at]), frame(0x80, None, &text.as_bytes()[at..])];
        let mut input = halves.concat();
        let mut decoder = Decoder::new(Role::Client);
        let len = input.len();
        assert_eq!(decoder.decode(&mut input, MAX), Ok((len, Some(Message::Text(text)))));
    }
}

#[test]
fn binary_may_be_any_bytes() {
    let mut input = frame(0x82, None, b"\xff\x00");
    let mut decoder = Decoder::new(Role::Client);
    assert_eq!(decoder.decode(&mut input, MAX), Ok((4, Some(Message::Binary(b"\xff\x00")))));
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [8, 9, 10] {
        let fragmented = (FrameError::ControlFragmented, 1002);
        assert_eq!(refusal(Role::Client, &[opcode]), fragmented);
        for len in [126, 127] {
            let long = (FrameError::ControlTooLong, 1002);
            assert_eq!(refusal(Role::Client, &[0x80 | opcode, len]), long);
        }
    }
    let mut longest = frame(0x89, None, &[7; 125]);
    let ping = Decoder::new(Role::Client).decode(&mut longest, 0).map(|(taken, _)| taken);
    assert_eq!(ping, Ok(127), "the limit on messages does not concern control frames");
}

#[test]
fn fragments_come_in_order() {
    let nothing = (FrameError::ContinuationOfNothing, 1002);
    let inside = (FrameError::DataInsideMessage, 1002);
    let begin = frame(0x01, None, b"a");
    let end = frame(0x80, None, b"b");
    assert_eq!(refusal(Role::Client, &end), nothing);
    assert_eq!(refusal(Role::Client, &frame(0x00, None, b"")), nothing);
    assert_eq!(refusal(Role::Client, &[&begin[..], &end, &end].concat()), nothing);
    for first in [0x01, 0x02, 0x81, 0x82] {
        let second = [begin.clone(), frame(first, None, b"c")].concat();
        assert_eq!(refusal(Role::Client, &second), inside);
    }
}

#[test]
fn close_codes_are_those_that_may_travel() {
    for code in 0..=u16::MAX {
        let mut input = Vec::new();
        encode_close(code, None, &mut input);
        let decoded = Decoder::new(Role::Client).decode(&mut input, MAX).map(|(_, close)| {
            assert_eq!(close, Some(Message::Close(Some(code))));
        });
        let may_travel = match code {
            ..1000 | 1004..=1006 | 1015..3000 | 5000.. => Err(FrameError::CloseCode(code)),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(()),
        };
        assert_eq!(decoded, may_travel, "{code}");
    }
    let half = (FrameError::ClosePayload, 1002);
    assert_eq!(refusal(Role::Client, &frame(0x88, None, &[3])), half);
    let reason = frame(0x88, None, &[0x03, 0xe8, 0xff]);
    assert_eq!(refusal(Role::Client, &reason), (FrameError::Utf8, 1007));
}

/// CVE-2026-48779: memory exhaustion from very many tiny fragments.
#[test]
fn a_message_has_at_most_so_many_fragments() {
    let mut input = frame(0x01, None, b"");
    for _ in 2..FRAGMENTS_MAX {
        input.extend(frame(0x00, None, b""));
        input.extend(frame(0x8a, None, b""));
    }
    let at_the_bound = [&input[..], &frame(0x80, None, b"end")].concat();
    assert_eq!(outcome(Role::Client, &at_the_bound, MAX).last(), Some(&Ok("Text(\"end\")".into())));

    let beyond = [&input[..], &frame(0x00, None, b""), &frame(0x00, None, b"")].concat();
    let too_many = FrameError::TooManyFragments { max: FRAGMENTS_MAX };
    assert_eq!(refusal(Role::Client, &beyond), (too_many, 1009));
}

#[test]
fn lengths_are_written_in_the_fewest_bytes() {
    for (len, bytes) in [
        (0, &[0x82, 126, 0, 0][..]),
        (125, &[0x82, 126, 0, 125]),
        (126, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 126]),
        (0xffff, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
    ] {
        let error = (FrameError::LengthNotMinimal(len), 1002);
        assert_eq!(refusal(Role::Client, bytes), error);
    }
    let top_bit = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(refusal(Role::Client, &top_bit), (FrameError::LengthTopBit, 1002));
    assert_eq!(refusal(Role::Client, &[&[0x82, 127], &[0xff; 8][..]].concat()).1, 1002);
}

#[test]
fn message_over_the_limit_is_refused_at_its_header() {
    let too_long = |len_bytes| (FrameError::MessageTooLong { len_bytes, max_bytes: MAX }, 1009);
    let at_the_bound = frame(0x82, None, &[0; MAX]);
    assert!(outcome(Role::Client, &at_the_bound, MAX).pop().unwrap().is_ok());
    let beyond = frame(0x82, None, &[0; MAX + 1]);
    assert_eq!(refusal(Role::Client, &beyond), too_long(1001));
    assert_eq!(refusal(Role::Client, &beyond[..4]), too_long(1001), "the header suffices");
    let huge = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(refusal(Role::Client, &huge), too_long(u64::MAX >> 1));

    let begin = frame(0x02, None, &[0; 600]);
    let fits = [&begin[..], &frame(0x80, None, &[0; 400])].concat();
    assert!(outcome(Role::Client, &fits, MAX).pop().unwrap().is_ok());
    let beyond = [&begin[..], &frame(0x80, None, &[0; 401])[..4]].concat();
    assert_eq!(refusal(Role::Client, &beyond), too_long(1001));
}

#[test]
fn nothing_is_allocated_by_a_declared_length() {
    const MEGABYTE: usize = 1 << 20;
    let declared = [&[0x82, 0xff][..], &(MEGABYTE as u64).to_be_bytes(), &KEY].concat();
    let mut decoder = Decoder::new(Role::Server);
    assert_eq!(decoder.decode(&mut declared.clone(), MEGABYTE), Ok((14, None)));
    assert!(decoder.heap_bytes() < 256, "{} bytes", decoder.heap_bytes());
    assert_eq!(decoder.decode(&mut [0; 100], MEGABYTE), Ok((100, None)));
    assert!(decoder.heap_bytes() < 512, "{} bytes", decoder.heap_bytes());
}

/// The error in `bytes` and its close code, which do not depend on how the bytes
/// are cut.
fn refusal(role: Role, bytes: &[u8]) -> (FrameError, u16) {
    let whole = outcome(role, bytes, bytes.len());
    assert_eq!(whole, outcome(role, bytes, 1), "cut into single bytes");
    let error = whole.into_iter().find_map(Result::err).expect("must be refused");
    let code = error.close_code();
    (error, code)
}

/// All messages in `bytes`, which arrive in chunks of a size, up to the first error.
fn outcome(role: Role, bytes: &[u8], chunk: usize) -> Vec<Result<String, FrameError>> {
    let mut decoder = Decoder::new(role);
    let mut messages = Vec::new();
    for mut chunk in bytes.to_vec().chunks_mut(chunk.max(1)) {
        loop {
            match decoder.decode(chunk, MAX) {
                Ok((taken, Some(message))) => {
                    messages.push(Ok(format!("{message:?}")));
                    chunk = &mut chunk[taken..];
                }
                Ok((taken, None)) => {
                    assert_eq!(taken, chunk.len());
                    break;
                }
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            }
        }
    }
    messages
}

/// A frame with this first byte, which [`encode`] alone cannot make.
pub(super) fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(Opcode::Binary, &[payload], mask, &mut bytes);
    bytes[0] = first;
    bytes
}
