//! Who waits for the outcome of what was asked of the hub.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Core;
use crate::hub::{Outcome, Ticket};

/// The outcomes that are awaited.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: u64,
    open: BTreeMap<Ticket, State>,
}

#[derive(Debug)]
enum State {
    Open(Option<Waker>),
    Resolved(Outcome),
}

impl Tickets {
    pub(super) fn issue(&mut self) -> Ticket {
        self.next += 1;
        self.open.insert(Ticket(self.next), State::Open(None));
        Ticket(self.next)
    }

    /// Notes an outcome; one that nobody waits for any more is dropped.
    pub(super) fn resolve(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(state) = self.open.get_mut(&ticket)
            && let State::Open(Some(waker)) = std::mem::replace(state, State::Resolved(outcome))
        {
            waker.wake();
        }
    }

    fn poll(&mut self, ticket: Ticket, cx: &Context<'_>) -> Poll<Outcome> {
        match self.open.remove(&ticket) {
            Some(State::Resolved(outcome)) => Poll::Ready(outcome),
            Some(State::Open(_)) => {
                self.open.insert(ticket, State::Open(Some(cx.waker().clone())));
                Poll::Pending
            }
            None => Poll::Ready(Outcome::Gone),
        }
    }

    fn forget(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

/// Resolves to the outcome of something that has been asked of the hub already.
///
/// # Cancel safety
///
/// Dropping it gives up the outcome, not what was asked for.
#[must_use = "it is done either way, but only awaiting it tells when and how"]
#[derive(Debug)]
pub struct Waiting {
    core: Rc<Core>,
    ticket: Ticket,
}

impl Waiting {
    pub(super) fn new(core: Rc<Core>, ticket: Ticket) -> Self {
        Self { core, ticket }
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.core.with_tickets(|tickets| tickets.poll(self.ticket, cx))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.core.with_tickets(|tickets| tickets.forget(self.ticket));
    }
}
