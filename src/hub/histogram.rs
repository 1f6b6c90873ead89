//! How long things took, in buckets that a scrape can add up.
//!
//! Only counting, in constant space and without a clock of its own. For latencies
//! that are to be reported as percentiles there are better means (`loadgen` has
//! them); a server that runs for months needs sums that never shrink.

use std::time::Duration;

/// Bounds of the buckets, in microseconds, inclusive: 1, 2.5, 5 in each decade.
const BOUNDS_US: [u64; 20] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 60_000_000,
];

/// A histogram of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By bucket; the last one has no bound.
    counts: [u64; BOUNDS_US.len() + 1],
    nanos: u64,
}

impl Histogram {
    /// Counts one that took so long.
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| bound * 1000 < nanos);
        self.counts[at] += 1;
        self.nanos = self.nanos.saturating_add(nanos);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all took together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Each bound, and how many took at most so long.
    pub fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS_US.iter().zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((Duration::from_micros(*bound), *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_the_first_bucket_that_takes_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 10, 11, 60_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        histogram.record(Duration::from_nanos(10_001));
        histogram.record(Duration::from_secs(61));
        let up_to: Vec<u64> = histogram.up_to().map(|(_, count)| count).collect();
        assert_eq!(up_to[..3], [2, 4, 4]);
        assert_eq!(up_to[18..], [4, 5]);
        assert_eq!(histogram.count(), 6, "the one beyond all bounds too");
        assert_eq!(histogram.sum(), Duration::from_nanos(121_000_031_001));
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn a_sum_that_is_too_large_stays_the_largest() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        histogram.record(Duration::MAX);
        assert_eq!((histogram.count(), histogram.sum()), (2, Duration::from_nanos(u64::MAX)));
    }
}
