use super::*;
use crate::websocket::encode;

const MAX: usize = 1000;

#[test]
fn idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 24);
}

#[test]
fn whole_frame_is_decoded_in_place() {
    let mut input = Vec::new();
    encode(Opcode::Text, &[b"hello"], Some([1, 2, 3, 4]), &mut input);
    input.push(0x81);
    let mut decoder = Decoder::new(Role::Server);
    assert_eq!(decoder.decode(&mut input, MAX), Ok((11, Some(Message::Text("hello")))));
    assert!(decoder.partial.is_none());
}

#[test]
fn message_of_fragments_with_a_ping_between_them() {
    let mut input =
        [&[0x01, 3, b'H', b'e', b'l'][..], &[0x89, 1, b'p'], &[0x80, 2, b'l', b'o'], &[0x88, 0]]
            .concat();
    let mut decoder = Decoder::new(Role::Client);
    assert_eq!(decoder.decode(&mut input, MAX), Ok((8, Some(Message::Ping(b"p")))));
    assert_eq!(decoder.decode(&mut input[8..], MAX), Ok((4, Some(Message::Text("Hello")))));
    assert_eq!(decoder.decode(&mut input[12..], MAX), Ok((2, Some(Message::Close(None)))));
    assert_eq!(decoder.decode(&mut [], MAX), Ok((0, None)));
    assert!(decoder.partial.is_none());
}
