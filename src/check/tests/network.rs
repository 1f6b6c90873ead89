//! A clock, a queue of events, and dice.

use std::collections::BTreeMap;

/// Numbers that look random and depend on the seed alone (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Mostly short, sometimes long.
    pub(super) fn delay(&mut self) -> u64 {
        let longest = if self.percent(10) { 200 } else { 20 };
        1 + self.below(longest)
    }
}

/// Events to come, in the order of their times; at one time, in the order made.
pub(super) struct Queue<E> {
    events: BTreeMap<(u64, u64), E>,
    made: u64,
    pub(super) now: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { events: BTreeMap::new(), made: 0, now: 0 }
    }

    pub(super) fn push(&mut self, at: u64, event: E) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
