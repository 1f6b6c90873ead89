//! Random choices for generators: a seeded ChaCha8 stream behind a few words.
//!
//! The stream and what is drawn from it are fixed by this file alone, so that a
//! seed gives the same plan whatever versions the `rand` crates have.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded source of choices.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `low` to `high`, both included.
    ///
    /// # Panics
    ///
    /// If `low` is above `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} is above {high}");
        let span = u128::from(high - low) + 1;
        // The high half of a product: unbiased up to span / 2^64, and it fits.
        let drawn = (u128::from(self.bits()) * span) >> 64;
        low + u64::try_from(drawn).expect("below a span of 64 bits")
    }

    /// An index below `count`.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    pub fn index(&mut self, count: usize) -> usize {
        assert!(count > 0, "nothing to choose from");
        let last = u64::try_from(count - 1).expect("usize has at most 64 bits");
        usize::try_from(self.between(0, last)).expect("below a usize")
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// An index into `weights`, each as likely as its weight.
    ///
    /// # Panics
    ///
    /// If all weights are zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.between(1, weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left <= weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the draw is at most the sum of all weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut dice = Dice::new(42);
        let drawn: Vec<u64> = (0..6).map(|_| dice.between(0, 999)).collect();
        assert_eq!(drawn, [348, 285, 493, 367, 825, 67]);
    }

    #[test]
    fn bounds_are_reached_and_kept() {
        let mut dice = Dice::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| dice.between(3, 5)).collect();
        for value in 3..=5 {
            assert!(drawn.contains(&value));
        }
        assert!(drawn.iter().all(|value| (3..=5).contains(value)));
        assert_eq!(Dice::new(2).between(7, 7), 7);
        Dice::new(3).between(0, u64::MAX);
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn() {
        let mut dice = Dice::new(4);
        let drawn: Vec<usize> = (0..300).map(|_| dice.weighted(&[0, 2, 0, 1])).collect();
        assert!(drawn.contains(&1) && drawn.contains(&3));
        assert!(!drawn.contains(&0) && !drawn.contains(&2));
    }
}
