//! How long to wait before the next attempt to connect.
//!
//! The rule is that of socket.io-client, so that a storm of reconnects in a test
//! is the storm that a server sees in production: the n-th delay is `base =
//! initial * factor^n`, plus or minus up to `jitter * base`, and at most `max`.
//!
//! As there, jitter is lost where even the earliest delay would be over `max`:
//! with the defaults from the fifth attempt on, always 5 s.

use std::time::Duration;

use super::Random;

/// The parameters of the rule; the default is that of socket.io-client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffOptions {
    /// The first delay, before jitter.
    pub initial: Duration,
    /// The longest delay, jitter included.
    pub max: Duration,
    /// By how much each delay exceeds the one before; at least 1.
    pub factor: f64,
    /// How far a delay may be off, as a part of itself, from 0 to 1.
    pub jitter: f64,
}

impl Default for BackoffOptions {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(5),
            factor: 2.0,
            jitter: 0.5,
        }
    }
}

/// The attempts since the last success.
#[derive(Clone, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    attempts: i32,
}

impl Backoff {
    /// No attempt so far.
    ///
    /// # Panics
    ///
    /// If `factor` is below 1 or `jitter` is not from 0 to 1.
    pub fn new(options: BackoffOptions) -> Self {
        assert!(options.factor >= 1.0, "factor {}", options.factor);
        assert!((0.0..=1.0).contains(&options.jitter), "jitter {}", options.jitter);
        Self { options, attempts: 0 }
    }

    /// How long to wait now, in whole milliseconds: at least `initial * (1 - jitter)`,
    /// at most `max`.
    pub fn next_delay(&mut self, random: &mut Random) -> Duration {
        let BackoffOptions { initial, max, factor, jitter } = self.options;
        let max_ms = max.as_millis() as f64;
        let base_ms = initial.as_millis() as f64 * factor.powi(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let unit = random.next_unit();
        if base_ms * (1.0 - jitter) >= max_ms {
            // Also keeps infinity out of what follows, unless jitter is 1.
            return max;
        }
        let deviation_ms = (unit * jitter * base_ms).floor();
        // One draw decides how far and, by its first decimal, in which direction.
        let earlier = ((unit * 10.0) as u32).is_multiple_of(2);
        let delay_ms = if earlier { base_ms - deviation_ms } else { base_ms + deviation_ms };
        // The smaller of NaN and a number is the number.
        Duration::from_millis(delay_ms.min(max_ms) as u64)
    }

    /// The next attempt is the first again. To be called once a connection stands.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delays_ms(seed: u64, options: BackoffOptions, count: usize) -> Vec<u128> {
        let mut random = Random::new(seed);
        let mut backoff = Backoff::new(options);
        (0..count).map(|_| backoff.next_delay(&mut random).as_millis()).collect()
    }

    #[test]
    fn without_jitter_delays_double_up_to_the_longest() {
        let options = BackoffOptions { jitter: 0.0, ..BackoffOptions::default() };
        assert_eq!(delays_ms(1, options, 5), [1000, 2000, 4000, 5000, 5000]);
    }

    #[test]
    fn success_begins_anew() {
        let mut random = Random::new(1);
        let options = BackoffOptions { jitter: 0.0, ..BackoffOptions::default() };
        let mut backoff = Backoff::new(options);
        let mut next = |backoff: &mut Backoff| backoff.next_delay(&mut random).as_secs();
        assert_eq!([next(&mut backoff), next(&mut backoff)], [1, 2]);
        backoff.reset();
        assert_eq!([next(&mut backoff), next(&mut backoff)], [1, 2]);
    }

    #[test]
    fn jitter_goes_both_ways_and_fills_its_range() {
        let first: Vec<_> =
            (0..1000).map(|seed| delays_ms(seed, BackoffOptions::default(), 1)[0]).collect();
        assert!(first.iter().all(|delay| (500..=1500).contains(delay)));
        assert!(first.iter().any(|&delay| delay < 600) && first.iter().any(|&delay| delay > 1400));
        // 60% of the draws have an even first decimal in the half that matters.
        let earlier = first.iter().filter(|&&delay| delay < 1000).count();
        assert!((400..600).contains(&earlier), "{earlier} of 1000 earlier");
    }

    #[test]
    fn from_the_fifth_attempt_on_a_delay_is_the_longest() {
        for seed in 0..100 {
            let delays = delays_ms(seed, BackoffOptions::default(), 2000);
            assert!(delays[4..].iter().all(|&delay| delay == 5000), "seed {seed}");
        }
    }

    proptest! {
        #[test]
        fn every_delay_is_within_the_bounds(
            seed: u64,
            initial_ms in 0_u64..10_000,
            max_ms in 0_u64..100_000,
            factor in 1.0..1e9,
            jitter in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0],
        ) {
            let options = BackoffOptions {
                initial: Duration::from_millis(initial_ms),
                max: Duration::from_millis(max_ms),
                factor,
                jitter,
            };
            let least = (initial_ms as f64 * (1.0 - jitter)).floor().min(max_ms as f64) as u128;
            for delay in delays_ms(seed, options, 100) {
                prop_assert!((least..=u128::from(max_ms)).contains(&delay), "{delay}");
            }
        }
    }
}
