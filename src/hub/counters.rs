//! What has happened, counted since the shard began.
//!
//! Only counting: what is sent, dropped, refused or closed is decided elsewhere.

use super::{Histogram, Reason, TurnedAway};

/// What was sent and received, and what was dropped, refused and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions that began with a WebSocket.
    pub opened_websocket: u64,
    /// Sessions that began with long-polling.
    pub opened_polling: u64,
    /// Sessions that went over from long-polling to a WebSocket.
    pub upgraded: u64,
    /// Sessions that ended, by why.
    pub closed: Closes,
    /// Events of clients, as far as they were not refused.
    pub events_in: u64,
    /// Events sent to clients of this shard; one to many is one.
    pub events_out: u64,
    /// Events handed to connections; one to many is as many.
    pub deliveries: u64,
    /// Bytes of WebSocket frames and of posted payloads.
    pub bytes_in: u64,
    /// Bytes of WebSocket frames, and of what became the answers to polls.
    pub bytes_out: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// How long handlers took, from their start to their end.
    pub handler_time: Histogram,
    /// How long ticks took: from what caused one to the last write.
    pub tick_length: Histogram,
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

/// Sessions that ended, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closes([u64; Reason::ALL.len()]);

impl Closes {
    /// Counts one more.
    pub fn add(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// Every reason, and how many sessions ended for it.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0)
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

impl Drops {
    /// Those that a policy has dropped: who lost one has missed something.
    pub fn by_policy(&self) -> u64 {
        self.newest + self.oldest
    }
}

impl std::ops::AddAssign for Drops {
    fn add_assign(&mut self, more: Self) {
        self.newest += more.newest;
        self.oldest += more.oldest;
        self.volatile += more.volatile;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_by_itself() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            let mut closes = Closes::default();
            closes.add(reason);
            let counts: Vec<u64> = closes.iter().map(|(_, count)| count).collect();
            assert_eq!((counts.iter().sum::<u64>(), counts[at]), (1, 1), "{reason:?}");
        }
    }
}
