//! What a message carries so that it is recognised wherever it arrives.
//!
//! Nothing is stored for a message that is under way. Its id says which run, whom,
//! which one and when; its body follows from sender and number. What comes from
//! another run, or from people, does not carry this run's nonce.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The id of a message: `nonce.client.number.intended.sent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The sender.
    pub(crate) client: u32,
    /// Counts the sender's messages.
    pub(crate) number: u32,
    /// When it was to be sent, in microseconds on the run's clock.
    pub(crate) intended_us: u64,
    /// When it was sent, on the same clock.
    pub(crate) sent_us: u64,
}

/// Tells one run's traffic from everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(u32);

impl Nonce {
    /// From the operating system: two runs with one seed differ in this alone.
    pub(crate) fn random() -> Self {
        Self(getrandom::u32().expect("the operating system has randomness"))
    }

    /// The id that `signature` makes.
    pub(crate) fn sign(self, signature: Signature) -> impl fmt::Display {
        let Signature { client, number, intended_us, sent_us } = signature;
        fmt::from_fn(move |f| write!(f, "{self}.{client}.{number}.{intended_us}.{sent_us}"))
    }

    /// Reads an id; none if it is not of this run.
    pub(crate) fn read(self, id: &str) -> Option<Signature> {
        let mut fields = id.split('.');
        if u32::from_str_radix(fields.next()?, 16) != Ok(self.0) {
            return None;
        }
        let signature = Signature {
            client: fields.next()?.parse().ok()?,
            number: fields.next()?.parse().ok()?,
            intended_us: fields.next()?.parse().ok()?,
            sent_us: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(signature)
    }

    /// The name of a room: two runs against one server do not meet.
    pub(crate) fn room(self, room: u32) -> String {
        format!("loadgen-{self}-{room}")
    }

    /// Reads the name of a room; none if it is not of this run.
    pub(crate) fn room_number(self, name: &str) -> Option<u32> {
        let (nonce, room) = name.strip_prefix("loadgen-")?.split_once('-')?;
        (u32::from_str_radix(nonce, 16) == Ok(self.0)).then(|| room.parse().ok())?
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Bodies: pieces of one text, so that neither sending nor comparing makes one.
pub(crate) struct Bodies {
    text: String,
    bytes: usize,
}

/// A body begins at one of so many places.
const PLACES: usize = 4096;
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz 01234";

impl Bodies {
    /// The bodies of a run, of so many bytes each.
    pub(crate) fn new(nonce: Nonce, bytes: u32) -> Self {
        let bytes = bytes as usize;
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(nonce.0));
        let letter = || char::from(LETTERS[(random.next_u32() % 32) as usize]);
        Self { text: std::iter::repeat_with(letter).take(PLACES + bytes).collect(), bytes }
    }

    /// What `client` says in its message of that number. Needs no escape in JSON.
    pub(crate) fn body(&self, client: u32, number: u32) -> &str {
        let mixed =
            (u64::from(client) << 32 | u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = (mixed >> 52) as usize;
        &self.text[place..place + self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn id_is_read_as_it_was_signed(nonce: u32, client: u32, number: u32, intended_us: u64, sent_us: u64) {
            let signature = Signature { client, number, intended_us, sent_us };
            let id = Nonce(nonce).sign(signature).to_string();
            prop_assert_eq!(Nonce(nonce).read(&id), Some(signature));
            prop_assert_eq!(Nonce(nonce ^ 1).read(&id), None);
        }

        #[test]
        fn what_anybody_else_writes_is_not_ours(id in "\\PC{0,40}") {
            prop_assert_eq!(Nonce(0x1234_5678).read(&id), None);
        }
    }

    #[test]
    fn room_is_read_by_its_name() {
        let nonce = Nonce(0xbeef);
        assert_eq!(nonce.room_number(&nonce.room(12)), Some(12));
        for name in [
            "",
            "12",
            "loadgen-12",
            "loadgen-0000beef-",
            "loadgen-0000beee-12",
            "loadgen-0000beef-1-2",
        ] {
            assert_eq!(nonce.room_number(name), None, "{name}");
        }
    }

    #[test]
    fn id_with_a_field_more_or_less_is_not_ours() {
        let nonce = Nonce(7);
        assert!(nonce.read("00000007.1.2.3.4").is_some());
        for id in
            ["00000007.1.2.3", "00000007.1.2.3.4.5", "00000007.1.2.3.", "00000007.1.2.x.4", "7"]
        {
            assert_eq!(nonce.read(id), None, "{id}");
        }
    }

    #[test]
    fn bodies_have_their_size_and_differ_between_messages() {
        for bytes in [0, 1, 128, 5000] {
            let bodies = Bodies::new(Nonce(1), bytes);
            for number in 0..1000 {
                assert_eq!(bodies.body(9, number).len(), bytes as usize);
            }
        }
        let bodies = Bodies::new(Nonce(1), 128);
        let different: std::collections::BTreeSet<_> =
            (0..100).map(|number| bodies.body(3, number)).collect();
        assert!(different.len() > 95, "{}", different.len());
    }
}
