//! Random ids from a seeded cryptographic generator.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::room::IdSource;

/// Ids that nobody can guess who does not know the seed.
#[derive(Debug)]
pub struct Ids(ChaCha12Rng);

impl Ids {
    /// Ids from `seed`; the same seed gives the same ids.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }
}

impl IdSource for Ids {
    fn random(&mut self) -> [u8; 15] {
        let mut bytes = [0; 15];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
