//! One namespace of a connection, as its client knows it.
//!
//! ```text
//!             CONNECT answered
//! Connecting -----------------> Connected
//!   |  ^  | CONNECT_ERROR           | DISCONNECT, of either side
//!   |  |  v                         v
//!   |  +-Left <---------------------+
//!   |     ^
//!   v     | CONNECT answered: DISCONNECT
//! Leaving-+
//! ```

use std::sync::Arc;
use std::time::Instant;

use crate::socketio::Args;

use super::{Options, ProtocolError, Recovery};

/// The most events that may arrive before the answer to CONNECT.
pub(super) const EARLY_EVENTS_MAX: usize = 1000;

/// A namespace that was asked for on this connection.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) name: Arc<str>,
    pub(super) state: Membership,
    /// Who we are there, if the server lets us come back as that.
    pub(super) recovery: Option<Box<Recovery>>,
}

/// Whether we are in a namespace.
#[derive(Debug)]
pub(super) enum Membership {
    Connected,
    Connecting(Box<Connecting>),
    /// Left before CONNECT was answered. A server takes a DISCONNECT only after its
    /// answer, and a second CONNECT not at all.
    Leaving,
    Left,
}

/// What is kept until CONNECT is answered.
#[derive(Debug)]
pub(super) struct Connecting {
    /// Kept until the session is open and CONNECT can be sent.
    pub(super) auth: Option<Box<str>>,
    /// When the answer must be there.
    pub(super) until: Instant,
    /// What has arrived before the answer: some servers let an application emit while it
    /// decides. `None` if we were in this namespace before, since it may then have
    /// been sent to our former self.
    early: Option<Vec<(Option<u64>, Args<'static>)>>,
    early_bytes: usize,
}

impl Connecting {
    pub(super) fn new(auth: Option<Box<str>>, until: Instant, is_return: bool) -> Box<Self> {
        let early = if is_return { None } else { Some(Vec::new()) };
        Box::new(Self { auth, until, early, early_bytes: 0 })
    }

    /// Keeps an event for [`into_early`](Self::into_early).
    pub(super) fn keep(
        &mut self,
        id: Option<u64>,
        args: Args<'_>,
        options: &Options,
    ) -> Result<(), ProtocolError> {
        let Some(early) = &mut self.early else { return Ok(()) };
        let bytes_max = options.limits.packet_bytes_max;
        let bytes = args.json().len() + args.attachments().iter().map(|a| a.len()).sum::<usize>();
        self.early_bytes = self.early_bytes.saturating_add(bytes);
        if early.len() == EARLY_EVENTS_MAX || self.early_bytes > bytes_max {
            return Err(ProtocolError::EarlyEvents { events_max: EARLY_EVENTS_MAX, bytes_max });
        }
        early.push((id, args.into_owned()));
        Ok(())
    }

    /// What was kept, in the order of arrival.
    pub(super) fn into_early(self) -> Vec<(Option<u64>, Args<'static>)> {
        self.early.unwrap_or_default()
    }
}
