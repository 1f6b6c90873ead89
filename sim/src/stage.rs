//! What all hosts of one world share: the history they write, and what was sent.
//!
//! Hosts of a simulated network run on one thread, one after the other, so this
//! needs no lock. It is also where the truth about messages is kept: a delivery is
//! intact if it is what the ledger says was sent.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::history::{Event, History, MessageId, SocketId};

/// What all hosts of one world share.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    history: RefCell<History>,
    /// Hosts take turns within a step, so a host's clock may be behind what is
    /// already written; a history's times do not go back.
    last_us: Cell<u64>,
    ledger: RefCell<BTreeMap<MessageId, Body>>,
    sockets: RefCell<BTreeMap<String, SocketId>>,
    /// When the run began, where all hosts share one clock; turmoil has its own.
    zero: Cell<Option<Instant>>,
}

/// A message as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) json: String,
    pub(crate) attachments: Vec<Bytes>,
}

impl Body {
    /// How long it is, all in all.
    pub(crate) fn bytes(&self) -> u64 {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        (self.json.len() + attachments) as u64
    }
}

impl Stage {
    /// The run begins now, on the one clock that all hosts share.
    pub(crate) fn begin(&self) {
        self.zero.set(Some(Instant::now()));
    }

    /// How long the run has lasted, by the current host's clock.
    pub(crate) fn elapsed(&self) -> Duration {
        match self.zero.get() {
            Some(zero) => zero.elapsed(),
            None => turmoil::sim_elapsed().expect("called by a simulated host"),
        }
    }

    /// Writes down what happened on the current host, now.
    pub(crate) fn record(&self, event: Event) {
        self.record_at(micros(self.elapsed()), event);
    }

    /// Writes down what happened at a moment.
    pub(crate) fn record_at(&self, at_us: u64, event: Event) {
        let at_us = at_us.max(self.last_us.get());
        self.last_us.set(at_us);
        self.history.borrow_mut().push(at_us, event);
    }

    /// A new socket: its number in this run.
    pub(crate) fn admit(&self, sid: &str) -> SocketId {
        let mut sockets = self.sockets.borrow_mut();
        let socket = SocketId(u32::try_from(sockets.len()).expect("few connections"));
        let previous = sockets.insert(sid.to_owned(), socket);
        assert!(previous.is_none(), "the server gave {sid} to two sockets");
        socket
    }

    /// The socket that has this id.
    pub(crate) fn socket(&self, sid: &str) -> Option<SocketId> {
        self.sockets.borrow().get(sid).copied()
    }

    /// Remembers what is about to be sent.
    pub(crate) fn enter(&self, message: MessageId, body: Body) {
        self.ledger.borrow_mut().insert(message, body);
    }

    /// Whether this is, byte for byte, what was sent. None if nothing was.
    pub(crate) fn is_intact(&self, message: MessageId, body: &Body) -> Option<bool> {
        self.ledger.borrow().get(&message).map(|sent| sent == body)
    }

    /// Shows the history so far.
    pub(crate) fn read<T>(&self, reader: impl FnOnce(&History) -> T) -> T {
        reader(&self.history.borrow())
    }

    /// The history so far, which is then empty.
    pub(crate) fn take_history(&self) -> History {
        self.history.take()
    }
}

/// Whole microseconds; a run is far shorter than what 64 bits hold.
pub(crate) fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).expect("a run is shorter than 500,000 years")
}
