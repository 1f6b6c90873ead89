//! Who connections come from, and what one address may do.
//!
//! What is known of an address is kept for as long as it has a connection or
//! owes time; of those that only owe time a bounded number is kept. A shard
//! counts its own connections alone: see [`Rates`] for what that means.

use std::collections::BTreeMap;
use std::time::Instant;

use super::bucket::{Bucket, Rate};
use super::limits::Rates;

/// Who a connection comes from: an address of IPv4, or of IPv6 the network of
/// 64 bits that one subscriber has for himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// All of it.
    V4([u8; 4]),
    /// The first half.
    V6([u8; 8]),
}

impl Default for Address {
    /// That of nobody.
    fn default() -> Self {
        Self::V4([0; 4])
    }
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// The server has as many as it may.
    Full,
    /// Its address has as many as it may.
    TooMany,
    /// Its address begins them faster than it may.
    TooFast,
}

/// Addresses without a connection of which something is known.
const IDLE_MAX: usize = 16_384;

/// What is known of addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    connections: Option<Rate>,
    pub(super) events: Option<Rate>,
    pub(super) bytes: Option<Rate>,
    /// No limit, if 0.
    connections_max: usize,
    known: BTreeMap<Address, Known>,
    /// How many of `known` have no connection.
    idle: usize,
}

/// What is known of one address.
#[derive(Debug, Default)]
pub(super) struct Known {
    connections: usize,
    began: Bucket,
    pub(super) events: Bucket,
    pub(super) bytes: Bucket,
}

impl Known {
    fn owes_nothing(&self, now: Instant) -> bool {
        [&self.began, &self.events, &self.bytes].into_iter().all(|bucket| bucket.is_full(now))
    }
}

impl Addresses {
    /// For one of so many shards.
    pub(super) fn new(rates: &Rates, connections_max: usize, shards: u8) -> Self {
        let rate = |per_second| Rate::new(per_second, rates.burst).map(|rate| rate.share(shards));
        Self {
            connections: rate(rates.address_connections_per_second),
            events: rate(rates.address_events_per_second),
            bytes: rate(rates.address_bytes_per_second as u64),
            connections_max: connections_max.div_ceil(shards.into()),
            known: BTreeMap::new(),
            idle: 0,
        }
    }

    /// Addresses of which something is known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known of an address that has a connection, if anything matters.
    pub(super) fn known(&mut self, address: Address) -> Option<&mut Known> {
        self.known.get_mut(&address)
    }

    /// A connection begins; each is followed by one [`leave`](Self::leave) if it is let in.
    ///
    /// # Errors
    ///
    /// [`TurnedAway`] if it may not.
    pub(super) fn enter(&mut self, address: Address, now: Instant) -> Result<(), TurnedAway> {
        if self.is_indifferent() {
            return Ok(());
        }
        self.make_room(now);
        let known = self.known.entry(address).or_insert_with(|| {
            self.idle += 1;
            Known::default()
        });
        if self.connections_max > 0 && known.connections >= self.connections_max {
            Err(TurnedAway::TooMany)
        } else if self.connections.is_some_and(|rate| !known.began.take(1, rate, now)) {
            Err(TurnedAway::TooFast)
        } else {
            known.connections += 1;
            self.idle -= usize::from(known.connections == 1);
            Ok(())
        }
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, address: Address, now: Instant) {
        let Some(known) = self.known.get_mut(&address) else { return };
        known.connections -= 1;
        if known.connections > 0 {
            return;
        }
        if known.owes_nothing(now) {
            self.known.remove(&address);
        } else {
            self.idle += 1;
        }
    }

    /// Whether nothing depends on addresses.
    fn is_indifferent(&self) -> bool {
        let rates = [self.connections, self.events, self.bytes];
        self.connections_max == 0 && rates.iter().all(Option::is_none)
    }

    /// Forgets those who owe nothing; if they are still too many, all without a connection.
    fn make_room(&mut self, now: Instant) {
        if self.idle < IDLE_MAX {
            return;
        }
        self.known.retain(|_, known| known.connections > 0 || !known.owes_nothing(now));
        let idle = |known: &&Known| known.connections == 0;
        self.idle = self.known.values().filter(idle).count();
        // Half, so that this is seldom.
        if self.idle > IDLE_MAX / 2 {
            self.known.retain(|_, known| known.connections > 0);
            self.idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(number: usize) -> Address {
        Address::V6((number as u64).to_be_bytes())
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may() {
        let mut addresses = Addresses::new(&Rates::default(), 2, 1);
        let now = start();
        for _ in 0..3 {
            assert_eq!(addresses.enter(address(1), now), Ok(()));
            assert_eq!(addresses.enter(address(1), now), Ok(()));
            assert_eq!(addresses.enter(address(1), now), Err(TurnedAway::TooMany));
            assert_eq!(addresses.enter(address(2), now), Ok(()));
            addresses.leave(address(2), now);
            addresses.leave(address(1), now);
            assert_eq!(addresses.enter(address(1), now), Ok(()));
            addresses.leave(address(1), now);
            addresses.leave(address(1), now);
            assert_eq!((addresses.len(), addresses.idle), (0, 0));
        }
    }

    #[test]
    fn an_address_begins_connections_as_fast_as_it_may_whether_they_last_or_not() {
        let burst = Duration::from_secs(1);
        let rates = Rates { address_connections_per_second: 2, burst, ..Rates::default() };
        let mut addresses = Addresses::new(&rates, 0, 1);
        let start = start();
        let mut enter = |ms| {
            let now = start + Duration::from_millis(ms);
            let entered = addresses.enter(address(1), now);
            if entered.is_ok() {
                addresses.leave(address(1), now);
            }
            entered
        };
        let too_fast = Err(TurnedAway::TooFast);
        let seen: Vec<_> = [0, 0, 0, 499, 500, 501, 1500, 1500, 1500].map(&mut enter).into();
        assert_eq!(
            seen,
            [Ok(()), Ok(()), too_fast, too_fast, Ok(()), too_fast, Ok(()), Ok(()), too_fast]
        );
    }

    #[test]
    fn shards_have_a_part_each() {
        let mut addresses = Addresses::new(&Rates::default(), 5, 2);
        let now = start();
        let entered = (0..9).filter(|_| addresses.enter(address(1), now).is_ok()).count();
        assert_eq!(entered, 3);
    }

    #[test]
    fn addresses_that_come_and_go_are_forgotten() {
        let rates = Rates { address_connections_per_second: 1, ..Rates::default() };
        // All in a moment, so that each owes time; and one by one, so that few do.
        for step in [Duration::ZERO, Duration::from_secs(1)] {
            let mut addresses = Addresses::new(&rates, 0, 1);
            let mut now = start();
            assert_eq!(addresses.enter(address(0), now), Ok(()));
            for number in 1..3 * IDLE_MAX {
                now += step;
                assert_eq!(addresses.enter(address(number), now), Ok(()));
                addresses.leave(address(number), now);
                assert!(addresses.idle <= IDLE_MAX && addresses.len() == addresses.idle + 1);
            }
            addresses.leave(address(0), now + Duration::from_secs(9));
            assert_eq!(addresses.len(), addresses.idle);
        }
    }

    #[test]
    fn without_limits_nothing_is_known() {
        let mut addresses = Addresses::new(&Rates::default(), 0, 4);
        for number in 0..1000 {
            assert_eq!(addresses.enter(address(number % 3), start()), Ok(()));
        }
        assert_eq!(addresses.len(), 0);
        addresses.leave(address(1), start());
    }
}
