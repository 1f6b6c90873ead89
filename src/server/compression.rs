//! Compression of what goes to WebSockets: once, however many hear it.
//!
//! What a message becomes is remembered until the tick has ended, by the message
//! itself: so it does not matter from where in the tick it comes, alone or among
//! others, in a first write or in the rest of one. Short messages and control
//! frames stay as they are, and so does what would not become shorter.
//!
//! # Spec
//!
//! RFC 7692, section 6.1.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::websocket::{Deflater, Opcode, encode, encode_compressed, frames};

/// What is remembered at most, in bytes: twice what a tick holds, as messages
/// and what they become are both remembered.
const KNOWN_BYTES_MAX: usize = 16 << 20;

/// Compresses frames of one shard.
#[derive(Debug)]
pub(super) struct Compressor {
    /// Shorter messages are not worth it.
    bytes_min: usize,
    /// Exists once something was compressed: it is large.
    deflater: Option<Box<Deflater>>,
    /// What a message becomes; nothing, if it stays as it is.
    known: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    known_bytes: usize,
}

impl Compressor {
    /// Compresses messages of `bytes_min` bytes and more.
    pub(super) fn new(bytes_min: usize) -> Self {
        Self { bytes_min, deflater: None, known: BTreeMap::new(), known_bytes: 0 }
    }

    /// These frames, the messages of some length among them compressed.
    ///
    /// The same frames become the same bytes, whatever others there are.
    pub(super) fn frames<'a>(&mut self, bytes: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        // A frame is longer than its message.
        if bytes.len() <= self.bytes_min
            || !frames(&bytes).any(|(opcode, payload)| self.is_worth_it(opcode, payload))
        {
            return bytes;
        }
        let mut out = Vec::with_capacity(bytes.len());
        for (opcode, payload) in frames(&bytes) {
            let compressed =
                if self.is_worth_it(opcode, payload) { self.deflate(payload) } else { None };
            match compressed {
                None => encode(opcode, &[payload], None, &mut out),
                Some(compressed) => encode_compressed(opcode, &compressed, &mut out),
            }
        }
        Cow::Owned(out)
    }

    /// Forgets what messages became: the tick has ended.
    pub(super) fn forget(&mut self) {
        if !self.known.is_empty() {
            (self.known, self.known_bytes) = (BTreeMap::new(), 0);
        }
    }

    fn is_worth_it(&self, opcode: Opcode, payload: &[u8]) -> bool {
        match opcode {
            Opcode::Binary | Opcode::Text => payload.len() >= self.bytes_min,
            Opcode::Close | Opcode::Continuation | Opcode::Ping | Opcode::Pong => false,
        }
    }

    fn deflate(&mut self, payload: &[u8]) -> Option<Cow<'_, [u8]>> {
        if !self.known.contains_key(payload) {
            let deflater = self.deflater.get_or_insert_default();
            let compressed = deflater.deflate(payload);
            let bytes = payload.len() + compressed.as_ref().map_or(0, Vec::len);
            if self.known_bytes + bytes > KNOWN_BYTES_MAX {
                return compressed.map(Cow::Owned);
            }
            self.known_bytes += bytes;
            self.known.insert(payload.into(), compressed.map(Vec::into_boxed_slice));
        }
        let known = self.known.get(payload)?;
        known.as_deref().map(Cow::Borrowed)
    }
}

#[cfg(test)]
impl Compressor {
    /// How many messages are remembered.
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Decoder, Message, Role, encode_close, inflate};

    /// What a client reads, and whether the frame was a compressed one.
    fn read(mut bytes: Vec<u8>) -> Vec<(String, bool)> {
        let mut decoder = Decoder::new(Role::Client).with_deflate(true);
        let (mut seen, mut rest) = (Vec::new(), &mut bytes[..]);
        while let Some(&first) = rest.first() {
            let (taken, message) = decoder.decode(rest, 1 << 20).unwrap();
            let message = message.unwrap();
            let text = match message {
                Message::Text(text) => text.to_owned(),
                Message::Binary(_) | Message::Close(_) | Message::Ping(_) | Message::Pong(_) => {
                    format!("{message:?}")
                }
            };
            seen.push((text, first & 0x40 != 0));
            rest = &mut rest[taken..];
        }
        seen
    }

    fn text(payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(Opcode::Text, &[payload.as_bytes()], None, &mut out);
        out
    }

    #[test]
    fn only_what_is_long_enough_is_compressed_and_all_keeps_its_order() {
        let mut compressor = Compressor::new(100);
        let (long, short) = ("4x".repeat(50), "4x".repeat(49) + "4");
        let mut bytes = [text(&short), text(&long), text(&short), text(&long)].concat();
        encode_close(1000, None, &mut bytes);
        let seen = read(compressor.frames(bytes.into()).into_owned());
        let close = "Close(Some(1000))".to_owned();
        let expected = [
            (short.clone(), false),
            (long.clone(), true),
            (short, false),
            (long, true),
            (close, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(compressor.known(), 1, "once, however often it comes");
        compressor.forget();
        assert_eq!((compressor.known(), compressor.known_bytes), (0, 0));
    }

    #[test]
    fn control_frames_are_never_compressed() {
        let mut compressor = Compressor::new(0);
        let mut bytes = Vec::new();
        encode(Opcode::Pong, &[&[b'x'; 125]], None, &mut bytes);
        encode(Opcode::Ping, &[&[b'x'; 125]], None, &mut bytes);
        assert_eq!(compressor.frames(Cow::Borrowed(&bytes)), bytes);
    }

    #[test]
    fn what_has_nothing_to_compress_is_not_copied() {
        let mut compressor = Compressor::new(100);
        let bytes = text("4short").repeat(100);
        assert!(matches!(compressor.frames(Cow::Borrowed(&bytes)), Cow::Borrowed(_)));
    }

    #[test]
    fn what_would_not_become_shorter_stays_as_it_is() {
        let mut compressor = Compressor::new(1);
        let bytes = text("4a");
        assert_eq!(compressor.frames(Cow::Borrowed(&bytes)), bytes);
        assert_eq!(compressor.known(), 1, "not tried again for the next one");
    }

    #[test]
    fn what_is_remembered_of_a_message_is_not_said_for_another_one() {
        let mut compressor = Compressor::new(10);
        // As long, and the same at both ends.
        let messages = ["ab", "cd"].map(|middle| format!("4{0}{middle}{0}", "x".repeat(100)));
        let bytes = messages.each_ref().map(|message| text(message)).concat();
        let seen = read(compressor.frames(bytes.into()).into_owned());
        assert_eq!(seen, messages.map(|message| (message, true)));
        assert_eq!(compressor.known(), 2);
    }

    /// The rest of a write that was taken in part is spelled anew, packet by packet.
    #[test]
    fn frames_become_the_same_alone_and_among_others_remembered_or_not() {
        let mut compressor = Compressor::new(10);
        let one = |n: u32| text(&format!("4{n}{}", "ab\"c".repeat(n as usize * 7)));
        let packets: Vec<_> = (0..9).map(one).collect();
        let together = compressor.frames(packets.concat().into()).into_owned();
        let mut alone = Vec::new();
        for packet in &packets {
            compressor.forget();
            alone.extend_from_slice(&compressor.frames(Cow::Borrowed(packet)));
        }
        assert_eq!(together, alone);
    }

    #[test]
    fn what_does_not_fit_into_memory_is_compressed_all_the_same() {
        let mut compressor = Compressor::new(10);
        compressor.known_bytes = KNOWN_BYTES_MAX;
        let bytes = text(&"4x".repeat(50));
        let seen = read(compressor.frames(Cow::Borrowed(&bytes)).into_owned());
        assert_eq!(seen, [("4x".repeat(50), true)]);
        assert_eq!(compressor.known(), 0);
        let payload = Deflater::default().deflate("4x".repeat(50).as_bytes()).unwrap();
        assert_eq!(inflate(&payload, 100).unwrap(), "4x".repeat(50).as_bytes());
    }
}
