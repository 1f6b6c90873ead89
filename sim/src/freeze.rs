//! Stalled processes: a host that does not run for a while, although its machine does.
//!
//! What arrives meanwhile waits in the kernel, timers are late, and all of it is
//! found at once when the process goes on: as with SIGSTOP, or a machine that pages.
//!
//! For who goes on, its clock has jumped: the clocks here are tokio's, which are monotonic
//! and are not stopped with a host. That is the only jump there is to simulate. tokio's clock
//! never goes back, nothing in the engine asks for the time of day to decide anything, and
//! a monotonic clock that stops while its machine sleeps shows its programs no jump: for
//! them it is the network that held everything back.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::shaped::Pace;

/// Whether one host is stalled, and how fast it reads.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    /// Of its streams.
    pub(crate) pace: Pace,
    is_frozen: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Switch {
    /// Stalls the host, or lets it go on; whether that is another state than before.
    pub(crate) fn set(&self, is_frozen: bool) -> bool {
        let has_changed = self.is_frozen.replace(is_frozen) != is_frozen;
        if has_changed && let Some(waker) = self.waker.take() {
            waker.wake();
        }
        has_changed
    }
}

/// A future that makes no progress while its host is stalled.
pub(crate) struct Freezable<T> {
    switch: Rc<Switch>,
    inner: Pin<Box<T>>,
}

/// Puts a future under a switch. What it spawns is not: it has to bring a set of its own.
pub(crate) fn freezable<T: Future>(switch: Rc<Switch>, inner: T) -> Freezable<T> {
    Freezable { switch, inner: Box::pin(inner) }
}

impl<T: Future> Future for Freezable<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        if self.switch.is_frozen.get() {
            self.switch.waker.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        self.inner.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_future_goes_on_where_it_was() {
        let switch = Rc::new(Switch::default());
        let polls = Rc::new(Cell::new(0));
        let seen = Rc::clone(&polls);
        let inner = std::future::poll_fn(move |_| {
            seen.set(seen.get() + 1);
            Poll::<()>::Pending
        });
        let mut future = Box::pin(freezable(Rc::clone(&switch), inner));
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || future.as_mut().poll(&mut cx);
        assert!(poll().is_pending());
        assert!(switch.set(true) && !switch.set(true));
        assert!(poll().is_pending());
        assert_eq!(polls.get(), 1);
        assert!(switch.set(false));
        assert!(poll().is_pending());
        assert_eq!(polls.get(), 2);
    }

    #[test]
    fn who_is_let_go_on_is_woken() {
        let switch = Rc::new(Switch::default());
        switch.set(true);
        let mut future = Box::pin(freezable(Rc::clone(&switch), async {}));
        let counter = std::sync::Arc::new(Counter::default());
        let waker = Waker::from(std::sync::Arc::clone(&counter));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        switch.set(false);
        assert_eq!(counter.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[derive(Default)]
    struct Counter(std::sync::atomic::AtomicU32);

    impl std::task::Wake for Counter {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
