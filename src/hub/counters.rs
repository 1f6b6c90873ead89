//! What limits and policies have done, counted since the shard began.
//!
//! Only counting: what is dropped, refused or closed is decided elsewhere.

use super::TurnedAway;

/// What was dropped, refused and closed because of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that a connection did not get.
    pub dropped: Drops,
    /// Events that came too fast, and were not handled.
    pub events_refused: u64,
    /// Connections closed because events came too fast.
    pub event_floods: u64,
    /// How often a connection was not read for a while, since it sent too much.
    pub pauses: u64,
    /// Connections turned away since the server had as many as it may.
    pub turned_away_full: u64,
    /// Connections turned away since their address began them too fast.
    pub turned_away_too_fast: u64,
    /// Connections turned away since their address had as many as it may.
    pub turned_away_too_many: u64,
    /// Connections that could not be accepted: no descriptors were left, say.
    pub accepts_failed: u64,
    /// Connections closed because too much was waiting for them.
    pub slow_readers: u64,
}

impl Counters {
    /// Counts a connection that was turned away.
    pub fn turn_away(&mut self, why: TurnedAway) {
        let counter = match why {
            TurnedAway::Full => &mut self.turned_away_full,
            TurnedAway::TooFast => &mut self.turned_away_too_fast,
            TurnedAway::TooMany => &mut self.turned_away_too_many,
        };
        *counter += 1;
    }
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
