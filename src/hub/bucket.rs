//! Token buckets: so much a second on average, and so much at once.
//!
//! A bucket is one instant, the one at which it will be full again; what is in
//! it at any moment follows from that. Time is handed in, in whole nanoseconds.
//!
//! # Guarantees
//!
//! * In any span of time no more is taken than the burst and what the rate lets
//!   in during that span. Only [`Bucket::spend`] may take more than there is:
//!   once, and nothing further until that is paid for.
//! * What is in the bucket may always be taken.

use std::num::NonZero;
use std::time::{Duration, Instant};

const SECOND_NS: u128 = 1_000_000_000;

/// How much may happen in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZero<u64>,
    /// At least one.
    burst: u64,
}

impl Rate {
    /// So much a second; what is not used is saved up for as long as `burst`
    /// says. None, which is no limit, for 0.
    pub fn new(per_second: u64, burst: Duration) -> Option<Self> {
        let per_second = NonZero::new(per_second)?;
        let saved = u128::from(per_second.get()) * burst.as_nanos() / SECOND_NS;
        let burst = u64::try_from(saved).unwrap_or(u64::MAX).max(1);
        Some(Self { per_second, burst })
    }

    /// The part that one of several shards has, rounded up.
    #[must_use]
    pub fn share(self, shards: u8) -> Self {
        let shards = u64::from(shards);
        let per_second = NonZero::new(self.per_second.get().div_ceil(shards));
        let per_second = per_second.unwrap_or(NonZero::<u64>::MIN);
        Self { per_second, burst: self.burst.div_ceil(shards) }
    }

    /// How much may happen at once.
    pub fn burst(self) -> u64 {
        self.burst
    }

    /// How long it takes until so much may happen, rounded up.
    fn time(self, count: u64) -> Duration {
        let ns = (u128::from(count) * SECOND_NS).div_ceil(self.per_second.get().into());
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// What may happen of something, for one who does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Full, if that is past, or never was.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes `count` if there is as much; of more than the burst there never is.
    pub fn take(&mut self, count: u64, rate: Rate, now: Instant) -> bool {
        let is_there = count <= rate.burst && self.ready_at(count, rate, now) <= now;
        if is_there {
            self.spend(count, rate, now);
        }
        is_there
    }

    /// Takes `count`, although there may be less.
    pub fn spend(&mut self, count: u64, rate: Rate, now: Instant) {
        self.full_at = Some(self.full_at(now) + rate.time(count));
    }

    /// How much there is.
    pub fn available(&self, rate: Rate, now: Instant) -> u64 {
        let missing = self.full_at(now) - now;
        let there = rate.time(rate.burst).saturating_sub(missing).as_nanos();
        let there = there * u128::from(rate.per_second.get()) / SECOND_NS;
        u64::try_from(there).unwrap_or(u64::MAX).min(rate.burst)
    }

    /// When there will be `count`, if nothing is taken; of more than the burst,
    /// when the bucket will be full.
    pub fn ready_at(&self, count: u64, rate: Rate, now: Instant) -> Instant {
        let spare = rate.time(rate.burst).saturating_sub(rate.time(count));
        let full_at = self.full_at(now);
        full_at.checked_sub(spare).unwrap_or(now).max(now)
    }

    /// Whether nothing is missing.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at(now) <= now
    }

    fn full_at(&self, now: Instant) -> Instant {
        self.full_at.map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn rate(per_second: u64, burst: u64) -> Rate {
        Rate { per_second: NonZero::new(per_second).unwrap(), burst }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (start, rate) = (start(), rate(10, 3));
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::default();
        let taken: Vec<bool> = [0, 0, 0, 0, 99, 100, 100, 199, 250, 299, 300]
            .map(|ms| bucket.take(1, rate, at(ms)))
            .into();
        let expected = [true, true, true, false, false, true, false, false, true, false, true];
        assert_eq!(taken, expected);
        assert_eq!((bucket.available(rate, at(399)), bucket.available(rate, at(400))), (0, 1));
        assert_eq!((bucket.is_full(at(599)), bucket.is_full(at(600))), (false, true));
        assert_eq!(bucket.available(rate, at(10_000)), 3, "not more than a burst is saved up");
    }

    #[test]
    fn what_is_spent_beyond_what_there_is_has_to_be_paid_for() {
        let (start, rate) = (start(), rate(1000, 500));
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::default();
        bucket.spend(2500, rate, at(0));
        assert_eq!(bucket.available(rate, at(2000)), 0);
        assert_eq!(bucket.ready_at(1, rate, at(0)), at(2001));
        assert_eq!(bucket.ready_at(500, rate, at(0)), at(2500));
        assert_eq!(bucket.ready_at(9999, rate, at(0)), at(2500), "as much as there ever is");
    }

    #[test]
    fn rates_are_made_of_what_people_write() {
        assert_eq!(Rate::new(0, Duration::from_secs(1)), None);
        assert_eq!(Rate::new(5, Duration::from_secs(2)), Some(rate(5, 10)));
        assert_eq!(Rate::new(5, Duration::from_millis(1)), Some(rate(5, 1)), "one at least");
        assert_eq!(rate(5, 10).share(2), rate(3, 5));
        assert_eq!(rate(1, 1).share(255), rate(1, 1));
        assert_eq!(rate(5, 10).share(1), rate(5, 10));
        // The slowest and the fastest neither overflow nor stand still.
        for rate in [rate(1, u64::from(u32::MAX)), rate(1 << 40, 1 << 41)] {
            let (mut bucket, now) = (Bucket::default(), start());
            assert!(!bucket.take(rate.burst + 1, rate, now), "never more than the burst");
            assert!(bucket.take(rate.burst, rate, now) && !bucket.take(1, rate, now));
        }
    }

    /// The same, slowly: every take there was; one more is let in if no span
    /// that ends with it has too much in it.
    fn model_takes(taken: &[(u64, u64)], count: u64, rate: Rate, now_ns: u64) -> bool {
        let starts = taken.iter().map(|&(at_ns, _)| at_ns).chain([now_ns]);
        starts.into_iter().all(|from_ns| {
            let inside = taken.iter().filter(|&&(at_ns, _)| at_ns >= from_ns);
            let inside: u64 = inside.map(|&(_, count)| count).sum::<u64>() + count;
            let allowed = u128::from(rate.burst) * SECOND_NS
                + u128::from(rate.per_second.get()) * u128::from(now_ns - from_ns);
            u128::from(inside) * SECOND_NS <= allowed
        })
    }

    proptest! {
        /// A bucket lets in exactly what keeps every span within burst and rate.
        #[test]
        fn a_bucket_agrees_with_the_model(
            // Such that one takes a whole number of nanoseconds.
            per_second in prop_oneof![Just(1), Just(4), Just(10), Just(1000), Just(1_000_000)],
            burst in 1..6_u64,
            steps in vec((0..8_u64, 1..4_u64), 1..60),
        ) {
            let (start, rate) = (start(), rate(per_second, burst));
            let (mut bucket, mut taken, mut now_ns) = (Bucket::default(), Vec::new(), 0);
            for (quarters, count) in steps {
                now_ns += quarters * 250_000_000 / per_second;
                let now = start + Duration::from_nanos(now_ns);
                let expected = model_takes(&taken, count, rate, now_ns);
                prop_assert_eq!(bucket.available(rate, now) >= count, expected);
                prop_assert_eq!(bucket.take(count, rate, now), expected);
                if expected {
                    taken.push((now_ns, count));
                }
            }
        }

        /// At any rate, no span has more in it than burst and rate allow, to the nanosecond.
        #[test]
        fn no_span_has_too_much(
            per_second in 1..2_000_000_u64,
            burst in 1..1000_u64,
            steps in vec((0..2_000_000_000_u64, 1..1000_u64), 1..40),
        ) {
            let (start, rate) = (start(), rate(per_second, burst));
            let (mut bucket, mut taken, mut now_ns) = (Bucket::default(), Vec::new(), 0_u64);
            for (wait_ns, count) in steps {
                now_ns += wait_ns;
                if bucket.take(count, rate, start + Duration::from_nanos(now_ns)) {
                    taken.push((now_ns, count));
                }
            }
            for (first, &(from_ns, _)) in taken.iter().enumerate() {
                let mut inside = 0;
                for &(at_ns, count) in &taken[first..] {
                    inside += count;
                    let span_ns = u128::from(at_ns - from_ns) + 1;
                    let allowed = u128::from(burst) * SECOND_NS + u128::from(per_second) * span_ns;
                    prop_assert!(u128::from(inside) * SECOND_NS <= allowed);
                }
            }
        }
    }
}
