//! How a session's packets are spelled on its transports.
//!
//! Within the engine every packet is a whole WebSocket frame of revision 4: a
//! text frame, or the bare bytes of a binary message. A poller gets them as a
//! payload, and an old client's binary messages have a type in front.

use std::borrow::Cow;

use crate::engineio::Revision;
use crate::engineio::payload::{
    Format, Message, PayloadError, decode_v3_octets, decode_v3_text, encode, encode_text,
};
use crate::websocket::{self, Opcode, frames};

/// How one session's packets are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Revision 3, with bytes as they are.
    V3,
    /// Revision 3 for a client that takes text alone.
    V3Base64,
    /// Revision 4.
    V4,
}

impl Wire {
    pub(super) fn new(revision: Revision, base64: bool) -> Self {
        match revision {
            Revision::V3 if base64 => Self::V3Base64,
            Revision::V3 => Self::V3,
            Revision::V4 => Self::V4,
        }
    }

    pub(super) fn revision(self) -> Revision {
        match self {
            Self::V3 | Self::V3Base64 => Revision::V3,
            Self::V4 => Revision::V4,
        }
    }

    /// How a body is spelled that a client posts.
    pub(super) fn posted(self, octets: bool) -> Format {
        match self {
            Self::V3 | Self::V3Base64 if octets => Format::V3Octets,
            Self::V3 | Self::V3Base64 => Format::V3Text,
            Self::V4 => Format::V4,
        }
    }

    /// The payload of the packets in `bytes` (frames as within the engine), and
    /// behind them `last`; and whether it is bytes instead of text.
    pub(super) fn payload(self, bytes: &[u8], last: Option<&str>) -> (Vec<u8>, bool) {
        let is_binary = |message: &Message<'_>| matches!(message, Message::Binary(_));
        let format = match self {
            Self::V3 if packets(bytes).any(|message| is_binary(&message)) => Format::V3Octets,
            Self::V3 | Self::V3Base64 => Format::V3Text,
            Self::V4 => Format::V4,
        };
        let mut body = Vec::with_capacity(bytes.len());
        encode(format, packets(bytes).chain(last.map(Message::Text)), &mut body);
        (body, format == Format::V3Octets)
    }

    /// Frames as they go to this client's WebSocket.
    pub(super) fn frames(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        let base64 = match self {
            Self::V3 => false,
            Self::V3Base64 => true,
            Self::V4 => return Cow::Borrowed(bytes),
        };
        let mut out = Vec::with_capacity(bytes.len());
        for (opcode, payload) in frames(bytes) {
            match opcode {
                Opcode::Binary if base64 => {
                    let mut text = Vec::new();
                    encode_text(&Message::Binary(Cow::Borrowed(payload)), "b4", &mut text);
                    websocket::encode(Opcode::Text, &[&text], None, &mut out);
                }
                Opcode::Binary => websocket::encode(opcode, &[&[4], payload], None, &mut out),
                Opcode::Close
                | Opcode::Continuation
                | Opcode::Ping
                | Opcode::Pong
                | Opcode::Text => {
                    websocket::encode(opcode, &[payload], None, &mut out);
                }
            }
        }
        Cow::Owned(out)
    }

    /// A text message of this client's WebSocket.
    pub(super) fn text(self, text: &str) -> Result<Message<'_>, PayloadError> {
        match self {
            Self::V3 | Self::V3Base64 => decode_v3_text(text),
            Self::V4 => Ok(Message::Text(text)),
        }
    }

    /// A binary message of this client's WebSocket.
    pub(super) fn binary(self, bytes: &[u8]) -> Result<Message<'_>, PayloadError> {
        match self {
            Self::V3 | Self::V3Base64 => decode_v3_octets(bytes),
            Self::V4 => Ok(Message::Binary(Cow::Borrowed(bytes))),
        }
    }
}

/// Whether there is something for a poller among `bytes` (frames as within the engine).
pub(super) fn has_packets(bytes: &[u8]) -> bool {
    packets(bytes).next().is_some()
}

/// The packets among `bytes`; frames that concern a WebSocket alone are none.
fn packets(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    frames(bytes).filter_map(|(opcode, payload)| match opcode {
        Opcode::Binary => Some(Message::Binary(Cow::Borrowed(payload))),
        Opcode::Close | Opcode::Continuation | Opcode::Ping | Opcode::Pong => None,
        Opcode::Text => {
            Some(Message::Text(str::from_utf8(payload).expect("text frames are made of text")))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued() -> Vec<u8> {
        let mut bytes = Vec::new();
        websocket::encode(Opcode::Text, &[b"4hello"], None, &mut bytes);
        websocket::encode(Opcode::Binary, &[&[1, 2, 3, 4]], None, &mut bytes);
        websocket::encode_close(1000, None, &mut bytes);
        bytes
    }

    #[test]
    fn a_queue_becomes_a_payload_without_what_is_websocket_alone() {
        for (wire, body) in [
            (Wire::V4, (b"4hello\x1ebAQIDBA==\x1e1".to_vec(), false)),
            (Wire::V3Base64, (b"6:4hello10:b4AQIDBA==1:1".to_vec(), false)),
            (
                Wire::V3,
                (b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04\x00\x01\xff1".to_vec(), true),
            ),
        ] {
            assert_eq!(wire.payload(&queued(), Some("1")), body, "{wire:?}");
        }
        assert_eq!(Wire::V3.payload(&[], Some("6")), (b"1:6".to_vec(), false));
    }

    #[test]
    fn binary_frames_of_old_clients_have_a_type() {
        assert_eq!(&*Wire::V4.frames(&queued()), queued());
        let spelled = |wire: Wire| {
            let bytes = wire.frames(&queued()).into_owned();
            let all: Vec<_> = frames(&bytes).map(|(code, bytes)| (code, bytes.to_vec())).collect();
            all
        };
        assert_eq!(spelled(Wire::V3)[1], (Opcode::Binary, vec![4, 1, 2, 3, 4]));
        assert_eq!(spelled(Wire::V3Base64)[1], (Opcode::Text, b"b4AQIDBA==".to_vec()));
        assert_eq!(spelled(Wire::V3).len(), 3);
    }
}
