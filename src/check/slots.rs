//! A set of a room's slots. Each slot is a client that is a member, was one, or
//! asked to be.
//!
//! One word for a room of up to 64, a bitmap for more, and for a message that
//! everybody has heard the few who have not.

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slots {
    /// Slots below 64.
    Few(u64),
    Many(Box<Many>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Many {
    /// All below `len`, but for the `missing`, which are sorted.
    AllBut {
        len: u32,
        missing: Vec<u32>,
    },
    Words(Vec<u64>),
}

impl Slots {
    pub(super) const EMPTY: Self = Self::Few(0);

    /// An empty set with room for the slots below `len`.
    pub(super) fn with_room_for(len: usize) -> Self {
        if len <= 64 {
            Self::EMPTY
        } else {
            Self::Many(Box::new(Many::Words(vec![0; len.div_ceil(64)])))
        }
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        match self {
            Self::Few(word) => slot < 64 && word & (1 << slot) != 0,
            Self::Many(many) => match &**many {
                Many::AllBut { len, missing } => {
                    slot < *len && missing.binary_search(&slot).is_err()
                }
                Many::Words(words) => {
                    words.get(slot as usize / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
                }
            },
        }
    }

    /// Adds `slot`; says whether it is new.
    pub(super) fn insert(&mut self, slot: u32) -> bool {
        let is_new = !self.contains(slot);
        if is_new {
            self.set(slot, true);
        }
        is_new
    }

    /// Takes `slot` out; says whether it was in.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let was_in = self.contains(slot);
        if was_in {
            self.set(slot, false);
        }
        was_in
    }

    fn set(&mut self, slot: u32, on: bool) {
        match self {
            Self::Few(word) if slot < 64 && on => *word |= 1 << slot,
            Self::Few(word) if slot < 64 => *word &= !(1 << slot),
            Self::Few(_) => self.words_mut(slot)[slot as usize / 64] |= 1 << (slot % 64),
            Self::Many(_) => {
                let word = &mut self.words_mut(slot)[slot as usize / 64];
                if on { *word |= 1 << (slot % 64) } else { *word &= !(1 << (slot % 64)) }
            }
        }
    }

    /// The set as a bitmap that has a word for `slot`.
    fn words_mut(&mut self, slot: u32) -> &mut Vec<u64> {
        if !matches!(self, Self::Many(many) if matches!(**many, Many::Words(_))) {
            let mut words = Vec::new();
            for slot in self.iter() {
                words.resize(words.len().max(slot as usize / 64 + 1), 0);
                words[slot as usize / 64] |= 1 << (slot % 64);
            }
            *self = Self::Many(Box::new(Many::Words(words)));
        }
        let Self::Many(many) = self else { unreachable!("made so above") };
        let Many::Words(words) = &mut **many else { unreachable!("made so above") };
        words.resize(words.len().max(slot as usize / 64 + 1), 0);
        words
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(word) => *word == 0,
            Self::Many(many) => match &**many {
                Many::AllBut { len, missing } => *len as usize == missing.len(),
                Many::Words(words) => words.iter().all(|&word| word == 0),
            },
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Few(word) => word.count_ones().into(),
            Self::Many(many) => match &**many {
                Many::AllBut { len, missing } => u64::from(*len) - missing.len() as u64,
                Many::Words(words) => words.iter().map(|word| u64::from(word.count_ones())).sum(),
            },
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.end()).filter(|&slot| self.contains(slot))
    }

    /// One past the greatest slot there may be.
    fn end(&self) -> u32 {
        match self {
            Self::Few(word) => 64 - word.leading_zeros(),
            Self::Many(many) => match &**many {
                Many::AllBut { len, .. } => *len,
                Many::Words(words) => words.len() as u32 * 64,
            },
        }
    }

    /// Takes less memory if nearly all slots below `len` are in.
    pub(super) fn compress(&mut self, len: usize) {
        let Self::Many(many) = self else { return };
        let Many::Words(words) = &**many else { return };
        let last = words
            .iter()
            .rposition(|&word| word != 0)
            .map_or(0, |i| i * 64 + 64 - words[i].leading_zeros() as usize);
        let len = len.max(last);
        let missing_bytes = (len - self.count() as usize) * size_of::<u32>();
        if missing_bytes < self.bytes() / 2 {
            let missing = (0..len as u32).filter(|&slot| !self.contains(slot)).collect();
            *self = Self::Many(Box::new(Many::AllBut { len: len as u32, missing }));
        }
    }

    /// What it takes on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(_) => 0,
            Self::Many(many) => {
                size_of::<Many>()
                    + match &**many {
                        Many::AllBut { missing, .. } => missing.capacity() * size_of::<u32>(),
                        Many::Words(words) => words.capacity() * size_of::<u64>(),
                    }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Compress(usize),
        Insert(u32),
        Remove(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..200u32).prop_map(Step::Insert),
            2 => (0..200u32).prop_map(Step::Remove),
            1 => (100..200usize).prop_map(Step::Compress),
        ]
    }

    proptest! {
        /// However it is stored, it is the set it should be.
        #[test]
        fn slots_are_a_set(full in any::<bool>(), len in 0..200usize, steps in proptest::collection::vec(step(), 0..300)) {
            let mut slots = Slots::with_room_for(len);
            let mut model = BTreeSet::new();
            for slot in 0..if full { len as u32 } else { 0 } {
                slots.insert(slot);
                model.insert(slot);
            }
            for step in steps {
                match step {
                    Step::Compress(len) => slots.compress(len),
                    Step::Insert(slot) => prop_assert_eq!(slots.insert(slot), model.insert(slot)),
                    Step::Remove(slot) => prop_assert_eq!(slots.remove(slot), model.remove(&slot)),
                }
                prop_assert_eq!(slots.count(), model.len() as u64);
                prop_assert_eq!(slots.is_empty(), model.is_empty());
            }
            prop_assert!(slots.iter().eq(model));
        }
    }

    #[test]
    fn a_message_heard_by_nearly_all_takes_little() {
        let mut slots = Slots::with_room_for(10_000);
        (1..10_000).for_each(|slot| assert!(slots.insert(slot)));
        let bytes_before = slots.bytes();
        slots.compress(10_000);
        assert!(bytes_before > 1_250 && slots.bytes() < 100, "{bytes_before} -> {}", slots.bytes());
        assert!(
            !slots.contains(0)
                && slots.contains(1)
                && slots.contains(9_999)
                && !slots.contains(10_000)
        );
    }
}
