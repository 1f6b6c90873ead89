//! One text packet: a digit for its type, then data.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Packet encoding".

/// A packet in a text frame, or one of several in a polling payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The session ends.
    Close,
    /// Data for the layer above.
    Message(&'a str),
    /// Nothing; ends a poll during an upgrade.
    Noop,
    /// The server's answer to the handshake: the JSON of an [`Open`](super::Open).
    Open(&'a str),
    /// To be answered with a pong of the same data.
    Ping(&'a str),
    /// The answer to a ping.
    Pong(&'a str),
    /// The client goes over to this transport.
    Upgrade,
}

/// Why text from a peer is not an Engine.IO packet.
///
/// Every variant is the peer's fault. The caller must close the transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No packet type.
    #[error("empty packet")]
    Empty,
    /// The data of an open packet is not what the specification asks for.
    #[error("bad open packet: {0}")]
    Open(String),
    /// Data after a type that has none.
    #[error("{len_bytes} bytes of data in a packet of type {kind}, which has none")]
    UnexpectedData {
        /// The packet's type.
        kind: char,
        /// How much follows it.
        len_bytes: usize,
    },
    /// A type that the specification does not define.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
}

impl<'a> Packet<'a> {
    /// Decodes one text packet.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if `text` is empty, starts with anything but `0` to `6`,
    /// or has data where there is none to be. The caller must close the transport.
    ///
    /// # Spec
    ///
    /// Engine.IO protocol v4, "Packet encoding".
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let kind = text.chars().next().ok_or(DecodeError::Empty)?;
        let data = &text[kind.len_utf8()..];
        let bare = |packet| match data.len() {
            0 => Ok(packet),
            len_bytes => Err(DecodeError::UnexpectedData { kind, len_bytes }),
        };
        match kind {
            '0' => Ok(Self::Open(data)),
            '1' => bare(Self::Close),
            '2' => Ok(Self::Ping(data)),
            '3' => Ok(Self::Pong(data)),
            '4' => Ok(Self::Message(data)),
            '5' => bare(Self::Upgrade),
            '6' => bare(Self::Noop),
            unknown => Err(DecodeError::UnknownType(unknown)),
        }
    }

    /// Appends this packet to `out`.
    pub fn encode(&self, out: &mut String) {
        let (kind, data) = match *self {
            Self::Close => ('1', ""),
            Self::Message(data) => ('4', data),
            Self::Noop => ('6', ""),
            Self::Open(data) => ('0', data),
            Self::Ping(data) => ('2', data),
            Self::Pong(data) => ('3', data),
            Self::Upgrade => ('5', ""),
        };
        out.push(kind);
        out.push_str(data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engineio::Open;
    use crate::mutation::{mutate_text, mutations};

    proptest! {
        /// Any text is refused, or is exactly what its packet is encoded to.
        #[test]
        fn any_text_is_refused_or_goes_both_ways(text in "[0-7]?\\PC{0,10}") {
            if let Ok(packet) = Packet::decode(&text) {
                let mut encoded = String::new();
                packet.encode(&mut encoded);
                prop_assert_eq!(encoded, text);
            }
        }

        #[test]
        fn damaged_open_packets_are_harmless(damage in mutations()) {
            let json = r#"{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}"#;
            if let Ok(open) = Open::decode(&mutate_text(json, &damage)) {
                prop_assert_eq!(Open::decode(&open.encode()), Ok(open));
            }
        }
    }

    #[test]
    fn every_packet_type_of_the_spec_goes_both_ways() {
        for (text, packet) in [
            ("0{}", Packet::Open("{}")),
            ("1", Packet::Close),
            ("2", Packet::Ping("")),
            ("2probe", Packet::Ping("probe")),
            ("3probe", Packet::Pong("probe")),
            ("4", Packet::Message("")),
            ("4hello", Packet::Message("hello")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
        ] {
            assert_eq!(Packet::decode(text), Ok(packet), "{text:?}");
            let mut encoded = String::new();
            packet.encode(&mut encoded);
            assert_eq!(encoded, text);
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let data = |kind, len_bytes| DecodeError::UnexpectedData { kind, len_bytes };
        for (text, error) in [
            ("", DecodeError::Empty),
            ("7", DecodeError::UnknownType('7')),
            ("b4AAAA", DecodeError::UnknownType('b')),
            ("é", DecodeError::UnknownType('é')),
            ("１", DecodeError::UnknownType('１')),
            ("1bye", data('1', 3)),
            ("5probe", data('5', 5)),
            ("6 ", data('6', 1)),
        ] {
            assert_eq!(Packet::decode(text), Err(error), "{text:?}");
        }
    }
}
