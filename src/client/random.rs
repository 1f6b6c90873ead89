//! Keys, masks and jitter from a seed.
//!
//! Not for secrets: a mask keeps a script in a browser from choosing the bytes on
//! the wire, and here nobody but the owner of the process writes such a script.
//!
//! # Spec
//!
//! Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).

/// The SplitMix64 generator: eight bytes of state, one per connection.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next number from 0 to 1, without 1.
    pub fn next_unit(&mut self) -> f64 {
        // A double holds 53 bits exactly.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The key of a WebSocket handshake.
    pub(super) fn next_key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        key[8..].copy_from_slice(&self.next_u64().to_be_bytes());
        key
    }

    /// The mask of one WebSocket frame.
    pub(super) fn next_mask(&mut self) -> [u8; 4] {
        ((self.next_u64() >> 32) as u32).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_that_of_the_reference_implementation() {
        let mut random = Random::new(1_234_567);
        let first =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first.map(|_| random.next_u64()), first);
    }

    #[test]
    fn units_fill_the_range_and_leave_out_one() {
        let mut random = Random::new(1);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let unit = random.next_unit();
            assert!((0.0..1.0).contains(&unit));
            tenths[(unit * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (850..1150).contains(&count)), "{tenths:?}");
    }
}
