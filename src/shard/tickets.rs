//! Who waits for the outcome of what was asked of the hub.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Core;
use crate::hub::exchange::Reply;
use crate::hub::{Outcome, Ticket};

/// The outcomes that are awaited.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: u64,
    open: BTreeMap<Ticket, State>,
}

#[derive(Debug)]
enum State {
    Collecting(Option<Waker>, Replies),
    Open(Option<Waker>),
    Resolved(Outcome),
}

/// The answers to a broadcast, as far as they have come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replies {
    /// How many there will be; not known at first.
    pub expected: Option<usize>,
    /// In the order in which they came.
    pub replies: Vec<Reply>,
}

impl Replies {
    fn are_complete(&self) -> bool {
        self.expected.is_some_and(|expected| self.replies.len() >= expected)
    }
}

impl Tickets {
    pub(super) fn issue(&mut self) -> Ticket {
        self.next += 1;
        self.open.insert(Ticket(self.next), State::Open(None));
        Ticket(self.next)
    }

    /// As [`issue`](Self::issue), for a broadcast that is to be answered.
    pub(super) fn issue_collecting(&mut self) -> Ticket {
        self.next += 1;
        self.open.insert(Ticket(self.next), State::Collecting(None, Replies::default()));
        Ticket(self.next)
    }

    /// Notes an outcome; one that nobody waits for any more is dropped.
    pub(super) fn resolve(&mut self, ticket: Ticket, outcome: Outcome) {
        match self.open.get_mut(&ticket) {
            Some(State::Collecting(_, replies)) => {
                if let Outcome::Expecting(expected) = outcome {
                    replies.expected = Some(expected);
                }
                self.wake_if_complete(ticket);
            }
            Some(state @ State::Open(_)) => {
                if let State::Open(Some(waker)) = std::mem::replace(state, State::Resolved(outcome))
                {
                    waker.wake();
                }
            }
            Some(State::Resolved(_)) | None => {}
        }
    }

    /// Notes one answer to a broadcast.
    pub(super) fn replied(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(State::Collecting(_, replies)) = self.open.get_mut(&ticket) {
            replies.replies.push(reply);
            self.wake_if_complete(ticket);
        }
    }

    fn wake_if_complete(&mut self, ticket: Ticket) {
        if let Some(State::Collecting(waker, replies)) = self.open.get_mut(&ticket)
            && replies.are_complete()
            && let Some(waker) = waker.take()
        {
            waker.wake();
        }
    }

    fn poll(&mut self, ticket: Ticket, cx: &Context<'_>) -> Poll<Outcome> {
        match self.open.get_mut(&ticket) {
            Some(State::Open(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(State::Collecting(..)) | None => Poll::Ready(Outcome::Gone),
            Some(State::Resolved(_)) => match self.open.remove(&ticket) {
                Some(State::Resolved(outcome)) => Poll::Ready(outcome),
                Some(State::Collecting(..) | State::Open(_)) | None => unreachable!("just seen"),
            },
        }
    }

    fn poll_replies(&mut self, ticket: Ticket, cx: &Context<'_>) -> Poll<()> {
        match self.open.get_mut(&ticket) {
            Some(State::Collecting(waker, replies)) if !replies.are_complete() => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(()),
        }
    }

    fn take_replies(&mut self, ticket: Ticket) -> Replies {
        match self.open.get_mut(&ticket) {
            Some(State::Collecting(_, replies)) => std::mem::take(replies),
            Some(State::Open(_) | State::Resolved(_)) | None => Replies::default(),
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

    /// Waits for every answer to the broadcast that this ticket was for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the answers that have come are still there for
    /// [`take_replies`](Self::take_replies).
    pub async fn all_replies(&self) {
        poll_fn(|cx| self.core.with_tickets(|tickets| tickets.poll_replies(self.ticket, cx))).await;
    }

    /// The answers that have come so far.
    pub fn take_replies(&self) -> Replies {
        self.core.with_tickets(|tickets| tickets.take_replies(self.ticket))
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
