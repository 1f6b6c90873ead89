//! How many connections there are, and may be.
//!
//! The total is counted for all shards of a server together; what an address
//! has, by each shard for itself.

use std::fmt;
use std::rc::Rc;

use super::Core;
use super::tally::Tally;
use crate::hub::{Address, TurnedAway};

/// How many connections the shards of a server have together.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: Tally,
}

impl Seats {
    /// Takes one of `max`, if there is one left; 0 is no limit.
    pub(super) fn take(&self, max: usize) -> bool {
        self.taken.take_one_of(max)
    }

    pub(super) fn give_back(&self) {
        // Nobody waits for a seat.
        self.taken.give_back(1, usize::MAX);
    }
}

/// The place of one connection among those that may be; given back when dropped.
pub struct Seat {
    core: Rc<Core>,
    address: Address,
}

impl Seat {
    /// A place for a connection from `address`.
    ///
    /// # Errors
    ///
    /// [`TurnedAway`] if there is none; that is counted.
    pub fn take(core: &Rc<Core>, address: Address) -> Result<Self, TurnedAway> {
        core.let_in(address)?;
        Ok(Self { core: Rc::clone(core), address })
    }

    /// Who it is for.
    pub fn address(&self) -> Address {
        self.address
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.let_go(self.address);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::mesh;
    use super::*;
    use crate::hub::{Counters, Limits};

    /// Two shards with these limits.
    fn shards(limits: &Limits) -> Vec<Rc<Core>> {
        let now = || tokio::time::Instant::now().into_std();
        let core = |exchange| Core::new(exchange, limits.clone(), &["/"], [7; 32], now, None);
        mesh(2).into_iter().map(core).collect()
    }

    #[test]
    fn the_total_is_that_of_all_shards_and_what_is_over_it_is_counted() {
        let shards = shards(&Limits { connections_max: Some(3), ..Limits::default() });
        let take = |shard: usize| Seat::take(&shards[shard], Address::default());
        let mut seats = [0, 1, 1].map(|shard| take(shard).unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!(take(0).unwrap_err(), TurnedAway::Full);
        drop(seats.pop());
        drop(take(0).unwrap());
        seats.extend(take(0));
        assert_eq!(take(1).unwrap_err(), TurnedAway::Full);
        let counted = Counters { turned_away_full: 1, ..Counters::default() };
        assert_eq!([shards[0].counters(), shards[1].counters()], [counted; 2]);
    }

    #[test]
    fn who_is_turned_away_for_its_address_takes_no_seat_from_others() {
        let limits = Limits {
            connections_max: Some(3),
            connections_per_address_max: 2,
            ..Limits::default()
        };
        let shards = shards(&limits);
        let (one, other) = (Address::V4([1; 4]), Address::V4([2; 4]));
        let _seats = [one, other].map(|address| Seat::take(&shards[0], address).unwrap());
        for _ in 0..9 {
            assert_eq!(Seat::take(&shards[0], one).unwrap_err(), TurnedAway::TooMany);
        }
        assert!(Seat::take(&shards[1], one).is_ok(), "each shard has its part");
        assert_eq!(shards[0].counters().turned_away_too_many, 9);
    }

    #[test]
    fn there_are_as_many_seats_as_may_be_taken() {
        let seats = Seats::default();
        assert_eq!([seats.take(2), seats.take(2), seats.take(2)], [true, true, false]);
        seats.give_back();
        assert_eq!([seats.take(2), seats.take(2)], [true, false]);
        assert!(seats.take(0), "no limit");
    }
}
