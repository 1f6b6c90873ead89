//! How long something lay readable before loadgen read it.
//!
//! A thread looks for readable sockets in cycles:
//!
//! ```text
//!   look ---> run some tasks ---> look ---> run some tasks ---> look, wait ---> ...
//!    |                             |
//!    +-- became readable in here --+-- noticed: the task is woken -- the task runs
//!    |<------------------- it has lain at most so long ------------------->|
//! ```
//!
//! Each client's waker notes the look before the one that woke it, or, if the thread
//! was waiting with nothing to do, the moment itself. That errs on the side against
//! loadgen. It does not see a thread that the system itself leaves without a core:
//! the lag in sending does (see [`crate::alarm`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use tokio::time::Instant;

/// The cycles of one thread. Written and read by that thread alone; atomic only
/// because a waker could go anywhere.
#[derive(Debug)]
pub(crate) struct Cycles {
    zero: Instant,
    looked_us: AtomicU64,
    is_waiting: AtomicBool,
}

impl Cycles {
    /// Cycles on the clock that begins at `zero`.
    pub(crate) fn new(zero: Instant) -> Self {
        Self { zero, looked_us: AtomicU64::new(0), is_waiting: AtomicBool::new(false) }
    }

    /// The thread has just looked, and runs tasks now.
    pub(crate) fn begin(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
        self.looked_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// The thread has nothing to do, and waits.
    pub(crate) fn wait(&self) {
        self.is_waiting.store(true, Ordering::Relaxed);
    }

    /// What is noticed now cannot have been readable before this.
    fn readable_since_us(&self) -> u64 {
        if self.is_waiting.load(Ordering::Relaxed) {
            self.now_us()
        } else {
            self.looked_us.load(Ordering::Relaxed)
        }
    }

    fn now_us(&self) -> u64 {
        self.zero.elapsed().as_micros() as u64
    }
}

/// A task's waker that notes when it is used.
#[derive(Debug)]
pub(crate) struct NotingWaker {
    note: Arc<Note>,
    waker: Waker,
}

#[derive(Debug)]
struct Note {
    cycles: Arc<Cycles>,
    task: Waker,
    /// Of the first wake since the task last ran.
    readable_since_us: AtomicU64,
}

/// No wake yet.
const NEVER: u64 = u64::MAX;

impl NotingWaker {
    /// Wakes the task of `cx`.
    pub(crate) fn new(cycles: &Arc<Cycles>, cx: &Context<'_>) -> Self {
        let note = Arc::new(Note {
            cycles: Arc::clone(cycles),
            task: cx.waker().clone(),
            readable_since_us: AtomicU64::new(NEVER),
        });
        Self { waker: Waker::from(Arc::clone(&note)), note }
    }

    /// Whether this wakes the task of `cx`.
    pub(crate) fn is_for(&self, cx: &Context<'_>) -> bool {
        self.note.task.will_wake(cx.waker())
    }

    /// The context for what the task does now, and since when what it finds
    /// readable can have been so; none if it was not woken for that.
    pub(crate) fn take(&self) -> (Context<'_>, Option<u64>) {
        let since_us = self.note.readable_since_us.swap(NEVER, Ordering::Relaxed);
        (Context::from_waker(&self.waker), Some(since_us).filter(|&since_us| since_us != NEVER))
    }
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.readable_since_us.fetch_min(self.cycles.readable_since_us(), Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_busy_thread_notices_may_have_lain_since_the_look_before_its_first_wake() {
        let cycles = Arc::new(Cycles::new(Instant::now()));
        let waker = NotingWaker::new(&cycles, &Context::from_waker(Waker::noop()));
        let wake = waker.take().0.waker().clone();
        tokio::time::advance(Duration::from_micros(100)).await;
        cycles.begin();
        tokio::time::advance(Duration::from_micros(50)).await;
        wake.wake_by_ref();
        tokio::time::advance(Duration::from_micros(50)).await;
        cycles.begin();
        wake.wake_by_ref();
        assert_eq!(waker.take().1, Some(100));
        assert_eq!(waker.take().1, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_wait_was_not_readable_before() {
        let cycles = Arc::new(Cycles::new(Instant::now()));
        let waker = NotingWaker::new(&cycles, &Context::from_waker(Waker::noop()));
        cycles.begin();
        cycles.wait();
        tokio::time::advance(Duration::from_secs(7)).await;
        waker.take().0.waker().wake_by_ref();
        assert_eq!(waker.take().1, Some(7_000_000));
    }
}
