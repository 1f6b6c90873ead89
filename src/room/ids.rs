//! Names of sockets: the key that the engine uses, the id that the world sees.

use std::fmt;

/// Names one shard of the server: a thread that owns some of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardId(pub u8);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one socket of one namespace, for ever.
///
/// The index is reused once the socket has gone, the generation never is, so
/// that nothing meant for a socket can reach its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketKey {
    /// The shard that has the socket's connection.
    pub shard: ShardId,
    /// Place in the namespace's table of sockets on that shard.
    pub index: u32,
    /// Counts the sockets of the namespace on that shard; unique there.
    pub generation: u32,
}

/// A public id: 20 characters of base64url, 15 random bytes.
///
/// Used for the Socket.IO id of a socket and for the Engine.IO session id.
/// Twenty is what Node's servers use, and their adapters tell private rooms
/// from others by that length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid([u8; Self::LEN]);

impl Sid {
    /// Characters of an id.
    pub const LEN: usize = 20;

    /// Spells 15 random bytes.
    pub fn new(random: [u8; 15]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = [0; Self::LEN];
        for (three, four) in random.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            for (place, character) in four.iter_mut().enumerate() {
                *character = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            }
        }
        Self(text)
    }

    /// Reads an id that somebody presents; `None` if it can not be one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        bytes.iter().all(known).then_some(Self(bytes))
    }

    /// The shard that made this id: its last byte says so, and a request for a
    /// session finds its way by it. An id that somebody made up names any shard.
    pub fn shard(&self) -> ShardId {
        let value = |character: u8| match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        let [.., high, low] = self.0;
        ShardId(value(high) << 6 | value(low))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII only")
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where fresh ids come from; handed in, so that a simulation can repeat them.
///
/// In production this must be a cryptographic generator seeded by the
/// operating system: who guesses a session id owns the session.
pub trait IdSource {
    /// Fifteen bytes that were never returned before, the last of which is the
    /// shard's number.
    fn random(&mut self) -> [u8; 15];

    /// A fresh id.
    fn sid(&mut self) -> Sid {
        Sid::new(self.random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_the_base64url_of_its_bytes() {
        assert_eq!(Sid::new([0; 15]).as_str(), "AAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Sid::new([255; 15]).as_str(), "____________________");
        assert_eq!(Sid::new(*b"fifteen bytes!!").as_str(), "ZmlmdGVlbiBieXRlcyEh");
    }

    #[test]
    fn id_names_its_shard() {
        for shard in [0, 1, 63, 64, 200, 255] {
            let mut bytes = *b"fifteen bytes!!";
            bytes[14] = shard;
            assert_eq!(Sid::new(bytes).shard(), ShardId(shard));
        }
    }

    #[test]
    fn only_twenty_characters_of_the_alphabet_are_an_id() {
        assert!(Sid::parse("ZmlmdGVlbiBieXRlcyEh").is_some());
        for text in [
            "",
            "ZmlmdGVlbiBieXRlcyE",
            "ZmlmdGVlbiBieXRlcyEh0",
            "ZmlmdGVlbiBieXRlcy==",
            "é234567890123456789",
        ] {
            assert_eq!(Sid::parse(text), None, "{text:?}");
        }
    }
}
