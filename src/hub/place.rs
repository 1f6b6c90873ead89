//! Which shards and which namespaces there are: names that all shards share.

use crate::room::ShardId;

/// Which of how many shards a hub is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// This one.
    pub shard: ShardId,
    /// How many there are, at least one.
    pub shards: u8,
    /// Known to the server's shards alone.
    pub secret: u64,
}

impl Place {
    /// The only shard of a server.
    pub const ALONE: Self = Self { shard: ShardId(0), shards: 1, secret: 0 };

    /// The home of a namespace with this number.
    pub(super) fn home(self, number: u64) -> ShardId {
        let shard = number % u64::from(self.shards);
        ShardId(u8::try_from(shard).expect("less than the number of shards"))
    }
}

/// Names one namespace of the server, on every shard alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespaceId(u64);

impl NamespaceId {
    /// None that there is: nobody registers so many.
    pub(super) const NONE: Self = Self(u64::MAX);

    /// Bits below the number of the template.
    const HASH_BITS: u32 = 48;

    /// The namespace that was registered as number `at`, from 0.
    ///
    /// # Panics
    ///
    /// If there are 2^15 or more.
    pub fn registered(at: usize) -> Self {
        assert!(at < 1 << 15, "fewer than 2^15 namespaces are registered");
        Self((at as u64) << Self::HASH_BITS)
    }

    /// The namespace with this hash that was made of a template.
    pub(super) fn of_template(at: usize, hash: u64) -> Self {
        let Self(template) = Self::registered(at);
        let made = 1 << 63;
        Self(made | template | hash >> (64 - Self::HASH_BITS))
    }

    /// Which registration its handlers are of.
    pub fn template(self) -> usize {
        let at = (self.0 >> Self::HASH_BITS) & 0x7fff;
        usize::try_from(at).expect("fifteen bits")
    }

    /// The hash of its name, if it was made of a template.
    pub(super) fn made(self) -> Option<u64> {
        (self.0 >> 63 == 1).then_some(self.0 & ((1 << Self::HASH_BITS) - 1))
    }
}
