//! What limits and policies have done, counted since the shard began.
//!
//! Only counting: what is dropped, refused or closed is decided elsewhere.

/// What was dropped, refused and closed because of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that a connection did not get.
    pub dropped: Drops,
    /// Connections closed because too much was waiting for them.
    pub slow_readers: u64,
}

/// Packets that a connection did not get, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By [`Policy::DropNewest`](super::Policy::DropNewest).
    pub newest: u64,
    /// By [`Policy::DropOldest`](super::Policy::DropOldest).
    pub oldest: u64,
    /// Volatile ones, for a peer that took nothing at the moment.
    pub volatile: u64,
}

impl std::ops::AddAssign for Drops {
    fn add_assign(&mut self, more: Self) {
        self.newest += more.newest;
        self.oldest += more.oldest;
        self.volatile += more.volatile;
    }
}
