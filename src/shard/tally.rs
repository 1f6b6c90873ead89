//! Numbers that the threads of all shards change.
//!
//! All that shards share by memory, apart from the queues between them, is a
//! [`Tally`]. The memory order is relaxed throughout: nothing but the number
//! itself is read on its account. What that takes for granted is checked in all
//! interleavings of the threads, with `loom`.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What is taken and given back, by any thread.
#[derive(Debug, Default)]
pub(super) struct Tally<N = AtomicUsize>(N);

impl<N: Number> Tally<N> {
    /// Takes so many, whatever there is.
    pub(super) fn take(&self, units: usize) {
        self.0.add(units);
    }

    /// Takes one if fewer than `max` are taken; 0 is no limit.
    pub(super) fn take_one_of(&self, max: usize) -> bool {
        self.0.update(|taken| (max == 0 || taken < max).then_some(taken + 1))
    }

    /// Gives so many back. Of those who do, exactly one hears that as many as
    /// `bound` were taken and no longer are.
    pub(super) fn give_back(&self, units: usize, bound: usize) -> bool {
        let before = self.0.subtract(units);
        before >= bound && before - units < bound
    }

    /// Whether at least so many are taken.
    pub(super) fn has_reached(&self, bound: usize) -> bool {
        self.0.value() >= bound
    }
}

/// A number in memory that threads share.
pub(super) trait Number {
    /// Adds.
    fn add(&self, count: usize);
    /// Subtracts; says what it was before.
    fn subtract(&self, count: usize) -> usize;
    /// Makes of it what `change` says, if anything; says whether it did.
    fn update(&self, change: impl FnMut(usize) -> Option<usize>) -> bool;
    /// What it is.
    fn value(&self) -> usize;
}

macro_rules! number {
    ($atomic:ty) => {
        impl Number for $atomic {
            fn add(&self, count: usize) {
                self.fetch_add(count, Ordering::Relaxed);
            }

            fn subtract(&self, count: usize) -> usize {
                self.fetch_sub(count, Ordering::Relaxed)
            }

            fn update(&self, change: impl FnMut(usize) -> Option<usize>) -> bool {
                self.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
            }

            fn value(&self) -> usize {
                self.load(Ordering::Relaxed)
            }
        }
    };
}

number!(AtomicUsize);

#[cfg(test)]
mod tests {
    use loom::sync::{Arc, Notify};
    use loom::thread;

    use super::*;

    number!(loom::sync::atomic::AtomicUsize);

    type Shared = Tally<loom::sync::atomic::AtomicUsize>;

    fn shared() -> Arc<Shared> {
        Arc::new(Tally(loom::sync::atomic::AtomicUsize::new(0)))
    }

    /// Returns what was taken, and tells the shard to go on if that says so.
    fn returns(tally: &Shared, units: usize, bound: usize, resume: &Notify) {
        if tally.give_back(units, bound) {
            resume.notify();
        }
    }

    /// A shard over its budget waits in its inbox; a wake-up that is lost would
    /// leave it there, which loom calls a deadlock.
    fn goes_on(bound: usize, own: usize, others: [usize; 2]) {
        loom::model(move || {
            let tally = shared();
            let resume = Arc::new(Notify::new());
            others.iter().for_each(|units| tally.take(*units));
            let threads = others.map(|units| {
                let (tally, resume) = (Arc::clone(&tally), Arc::clone(&resume));
                thread::spawn(move || returns(&tally, units, bound, &resume))
            });
            // Its clients ask for something meanwhile, which is done at once.
            tally.take(own);
            returns(&tally, own, bound, &resume);
            while tally.has_reached(bound) {
                resume.wait();
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(!tally.has_reached(1), "all was given back");
        });
    }

    #[test]
    fn who_is_over_its_budget_always_goes_on() {
        goes_on(1, 1, [1, 1]);
        goes_on(2, 3, [1, 2]);
    }

    #[test]
    fn no_more_are_taken_than_may_be() {
        loom::model(|| {
            let tally = shared();
            let take = |tally: &Shared| {
                let taken = tally.take_one_of(2);
                assert!(!tally.has_reached(3));
                usize::from(taken)
            };
            let threads = [(); 2].map(|()| {
                let tally = Arc::clone(&tally);
                thread::spawn(move || take(&tally))
            });
            let taken =
                take(&tally) + threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>();
            assert_eq!(taken, 2, "two of three, whoever is late");
        });
    }

    #[test]
    fn who_finds_it_full_may_have_what_is_given_back() {
        loom::model(|| {
            let tally = shared();
            assert!(tally.take_one_of(1));
            let other = Arc::clone(&tally);
            let other = thread::spawn(move || {
                other.give_back(1, usize::MAX);
            });
            let early = tally.take_one_of(1);
            other.join().unwrap();
            assert!(early || tally.take_one_of(1));
            assert!(!tally.take_one_of(1));
        });
    }
}
