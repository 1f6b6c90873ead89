//! One connection of a client, from the first byte to the last.
//!
//! This is the protocol and nothing else: no socket, no clock, no randomness but a
//! seed. Bytes and the time come in; bytes to send and events go out. What the
//! handler of an event says goes into the same bytes, in the order said. What is
//! particular to long-polling is in [`polling`](super::polling).
//!
//! ```text
//!            HTTP 101          open packet
//! Upgrading ---------> Opening ----------> Open ------> Closing --------> Closed
//!     |                   |                 |  we close    |  the server     ^
//!     |                   |                 |              |  closes too     |
//!     +-------------------+-----------------+--------------+-----------------+
//!                      errors, timeouts, the end of the stream
//! ```
//!
//! Long-polling begins with Opening.
//!
//! # Spec
//!
//! Engine.IO protocol v4, Socket.IO protocol v5, RFC 6455.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engineio::Open;
use crate::socketio::{self, Args};
use crate::websocket::{self, Role, decode_accept, encode_request};

use super::namespace::{Connecting, Membership, Namespace};
use super::polling::{Polling, Port};
use super::tap::{Outlet, Passing, Tap, Way};
use super::{CloseReason, Join, Options, Outgoing, ProtocolError, Random, Recovery, Transport};

/// Something that a server said, or what it means.
#[derive(Debug)]
pub enum Event<'a> {
    /// The server answers an event of ours.
    ///
    /// Only ids that were given out arrive here, but as often as the server likes: the
    /// session does not remember which were answered.
    Ack {
        /// Where the event was sent.
        namespace: &'a str,
        /// What [`Outgoing::emit_with_ack`] returned.
        id: u64,
        /// The answer.
        args: Args<'a>,
    },
    /// The server let us into a namespace.
    Connected {
        /// Which one.
        namespace: &'a str,
        /// Our id there.
        sid: &'a str,
        /// Whether the server took us for who we said we were: we are in the rooms that we
        /// were in, and what we have missed follows.
        recovered: bool,
    },
    /// The server put us out of a namespace.
    Disconnected {
        /// Which one.
        namespace: &'a str,
    },
    /// The server emits an event.
    Event {
        /// Where.
        namespace: &'a str,
        /// What to pass to [`Outgoing::ack`], if the server wants an answer.
        id: Option<u64>,
        /// Its name and arguments.
        args: Args<'a>,
    },
    /// The Engine.IO session is open; no namespace is joined yet.
    Opened {
        /// What the server says of itself.
        open: &'a Open,
    },
    /// The server did not let us into a namespace.
    Refused {
        /// Which one.
        namespace: &'a str,
        /// Why: a JSON object or string; of Node an object with a `message`.
        data: Option<&'a str>,
    },
}

/// Hears the events of a session, and may answer.
pub type Handler<'h> = dyn FnMut(Event<'_>, &mut Outgoing<'_>) + 'h;

/// When the phases of connecting were over.
#[derive(Clone, Copy, Debug)]
pub struct Phases {
    /// The stream was there, and the handshake was sent.
    pub stream_at: Instant,
    /// The open packet had arrived.
    pub opened_at: Option<Instant>,
    /// CONNECT was answered for all namespaces asked for until then.
    pub connected_at: Option<Instant>,
    /// A WebSocket took over from long-polling.
    pub upgraded_at: Option<Instant>,
}

/// One connection, without its streams.
#[derive(Debug)]
pub struct Session {
    frames: websocket::Decoder,
    /// Only while the session polls.
    pub(super) polling: Option<Box<Polling>>,
    pub(super) core: Core,
}

/// All of a session but its frames, which may lend a message while it is handled.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: Arc<Options>,
    pub(super) random: Random,
    pub(super) state: State,
    /// Whether frames are for the queue, and have no mask; else they are for a WebSocket.
    pub(super) is_polling: bool,
    pub(super) namespaces: Vec<Namespace>,
    pub(super) ack_next: u64,
    pub(super) packets: socketio::Decoder,
    pub(super) phases: Phases,
    pub(super) pongs: u32,
    pub(super) tap: Outlet,
}

#[derive(Debug)]
pub(super) enum State {
    Upgrading(Box<Upgrading>),
    Opening,
    Open { silence_max: Duration, dead_at: Instant },
    Closing(Box<(CloseReason, Instant)>),
    Closed(Box<CloseReason>),
}

#[derive(Debug)]
pub(super) struct Upgrading {
    key: [u8; 16],
    /// The first bytes of the answer, while it is incomplete.
    head: Vec<u8>,
}

/// What comes with the bytes that are handled now.
pub(super) struct Turn<'t> {
    pub(super) now: Instant,
    pub(super) out: &'t mut Vec<u8>,
    pub(super) handler: &'t mut Handler<'t>,
}

impl Session {
    /// Begins a session on a new stream, and joins these namespaces once it is open. A
    /// session that polls appends nothing to `out`: its ports do.
    ///
    /// The keys of handshakes and all masks follow from `seed`.
    ///
    /// # Panics
    ///
    /// If a line break in the options would begin another header.
    pub fn new(
        options: Arc<Options>,
        joins: impl IntoIterator<Item = Join>,
        seed: u64,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Self {
        let until = now + options.connect_timeout;
        let namespaces = joins.into_iter().map(|join| Namespace {
            name: join.namespace,
            state: Membership::Connecting(Connecting::new(join.auth, until, false)),
            recovery: join.recovery.map(Box::new),
        });
        let mut namespaces: Vec<_> = namespaces.collect();
        namespaces.shrink_to_fit();
        let mut core = Core {
            options,
            random: Random::new(seed),
            state: State::Opening,
            is_polling: true,
            namespaces,
            ack_next: 0,
            packets: socketio::Decoder::new(),
            phases: Phases {
                stream_at: now,
                opened_at: None,
                connected_at: None,
                upgraded_at: None,
            },
            pongs: 0,
            tap: Outlet::default(),
        };
        let polling = match core.options.transport {
            Transport::Polling | Transport::PollingThenUpgrade => {
                Some(Box::new(Polling::new(&core)))
            }
            Transport::WebSocket => {
                core.begin_websocket(out);
                None
            }
        };
        Self { frames: websocket::Decoder::new(Role::Client), polling, core }
    }

    /// Shows all that passes from now on to `tap`.
    #[must_use]
    pub fn with_tap(mut self, tap: Box<dyn Tap>) -> Self {
        self.core.tap = Outlet::new(tap);
        self
    }

    /// Takes bytes of the server's WebSocket, which may be changed in place, and appends
    /// what is to be sent to `out`.
    pub fn handle_bytes(
        &mut self,
        input: &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
        handler: &mut Handler<'_>,
    ) {
        let mut turn = Turn { now, out, handler };
        let handled = match &self.core.state {
            State::Closed(_) => return,
            State::Upgrading(_) => self.handle_head(input, &mut turn),
            State::Closing(_) | State::Open { .. } | State::Opening => {
                self.handle_frames(input, &mut turn).map_err(CloseReason::from)
            }
        };
        if let Err(reason) = handled {
            self.core.fail(reason, turn.out);
        }
    }

    /// Takes bytes that came to a port while the session polls. Once the probe is the
    /// transport, returns what goes to its stream first.
    pub(super) fn handle_port(
        &mut self,
        port: Port,
        input: &[u8],
        now: Instant,
        handler: &mut Handler<'_>,
    ) -> Option<Vec<u8>> {
        let mut polling = self.polling.take()?;
        let (core, mut out) = (&mut self.core, Vec::new());
        let mut turn = Turn { now, out: &mut out, handler };
        let taken = match port {
            Port::Get => polling.take_get(input, core, &mut turn),
            Port::Post => polling.take_post(input, core, now),
            Port::Probe => {
                polling.take_probe(input, core, now);
                Ok(())
            }
        };
        if let Err(reason) = taken {
            core.end(reason);
        }
        if !polling.is_upgraded() {
            self.polling = Some(polling);
            return None;
        }
        let (frames, first) = polling.into_websocket();
        self.frames = frames;
        Some(first)
    }

    /// The stream of a port could not be opened, or is no more.
    pub(super) fn lose_port(&mut self, port: Port, reason: CloseReason, now: Instant) {
        if let Some(polling) = &mut self.polling {
            polling.lose(port, reason, &mut self.core, now);
        }
    }

    /// Queues what was said while the session polls.
    pub(super) fn queue(&mut self, bytes: &[u8], now: Instant) {
        if let Some(polling) = &mut self.polling {
            polling.push(bytes, &mut self.core, now);
        }
    }

    /// The stream is no more, for this reason.
    pub fn handle_end(&mut self, reason: CloseReason) {
        self.core.end(reason);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Some(polling) = &mut self.polling {
            polling.handle_timeout(&mut self.core, now);
        }
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let reason = match self.core.state {
            State::Open { dead_at, .. } if now >= dead_at => CloseReason::PingTimeout,
            State::Open { .. }
            | State::Opening
            | State::Upgrading(_)
            // A reason of its own goes before this one.
            | State::Closing(_)
            | State::Closed(_) => CloseReason::ConnectTimeout,
        };
        self.core.fail(reason, out);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if at all.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.core.state {
            State::Upgrading(_) | State::Opening => {
                Some(self.core.phases.stream_at + self.core.options.connect_timeout)
            }
            State::Open { dead_at, .. } => {
                let untils =
                    self.core.namespaces.iter().filter_map(|namespace| match &namespace.state {
                        Membership::Connecting(connecting) => Some(connecting.until),
                        Membership::Connected | Membership::Leaving | Membership::Left => None,
                    });
                let probe = self.polling.as_ref().and_then(|polling| polling.deadline());
                untils.chain(probe).chain([*dead_at]).min()
            }
            State::Closing(closing) => Some(closing.1),
            State::Closed(_) => None,
        }
    }

    /// A moment in which to say something unasked.
    pub fn outgoing<'a>(&'a mut self, now: Instant, out: &'a mut Vec<u8>) -> Outgoing<'a> {
        Outgoing { core: &mut self.core, out, now }
    }

    /// Why the session has ended, if it has: nothing more comes in or goes out, except
    /// what was appended so far.
    pub fn closed(&self) -> Option<&CloseReason> {
        match &self.core.state {
            State::Closed(reason) => Some(reason),
            State::Closing(_) | State::Open { .. } | State::Opening | State::Upgrading(_) => None,
        }
    }

    /// Whether it is still open which transport the session is going to have.
    pub fn is_upgrading(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.is_upgrading())
    }

    /// What another connection is to say in this namespace to go on where this one is, or
    /// was when it ended; none if the server can not be asked for that.
    pub fn recovery(&self, namespace: &str) -> Option<&Recovery> {
        let index = self.core.position(namespace)?;
        self.core.namespaces[index].recovery.as_deref()
    }

    /// How often the server has pinged, and was answered.
    pub fn pongs(&self) -> u64 {
        self.core.pongs.into()
    }

    /// When the phases of connecting were over.
    pub fn phases(&self) -> Phases {
        self.core.phases
    }

    /// What all connections of this kind have in common.
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Waits for the end of the answer's head; what follows it are frames.
    fn handle_head(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<(), CloseReason> {
        let State::Upgrading(upgrading) = &mut self.core.state else { return Ok(()) };
        let mut bytes = std::mem::take(&mut upgrading.head);
        bytes.extend_from_slice(input);
        match decode_accept(&bytes, upgrading.key).map_err(CloseReason::Handshake)? {
            Some(head_len) => {
                self.core.state = State::Opening;
                Ok(self.handle_frames(&mut bytes[head_len..], turn)?)
            }
            None => {
                upgrading.head = bytes;
                Ok(())
            }
        }
    }

    fn handle_frames(
        &mut self,
        input: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        let message_bytes_max = self.core.options.limits.packet_bytes_max.saturating_add(1);
        let mut at = 0;
        loop {
            let (taken, message) = self.frames.decode(&mut input[at..], message_bytes_max)?;
            at += taken;
            let Some(message) = message else { return Ok(()) };
            self.core.tap.tell(Passing::Heard { way: Way::WebSocket, message });
            self.core.handle_message(message, turn)?;
            if matches!(self.core.state, State::Closed(_)) {
                return Ok(());
            }
        }
    }
}

impl Core {
    fn begin_websocket(&mut self, out: &mut Vec<u8>) {
        let key = self.random.next_key();
        let options = &self.options;
        let target = format!("{}?EIO=4&transport=websocket", options.path);
        encode_request(&options.host, &target, key, &options.headers, out);
        self.is_polling = false;
        self.state = State::Upgrading(Box::new(Upgrading { key, head: Vec::new() }));
    }
}

#[cfg(test)]
mod tests;
