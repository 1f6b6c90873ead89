//! Random ids from a seeded cryptographic generator.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::room::{IdSource, ShardId};

/// Ids that nobody can guess who does not know the seed.
#[derive(Debug)]
pub struct Ids {
    random: ChaCha12Rng,
    shard: ShardId,
}

impl Ids {
    /// Ids from `seed` for one shard; the same seed gives the same ids.
    pub fn new(seed: [u8; 32], shard: ShardId) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        random.set_stream(shard.0.into());
        Self { random, shard }
    }
}

impl IdSource for Ids {
    fn random(&mut self) -> [u8; 15] {
        let mut bytes = [0; 15];
        self.random.fill_bytes(&mut bytes);
        bytes[14] = self.shard.0;
        bytes
    }
}
