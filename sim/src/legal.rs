//! Legality: an automaton for each connection of a client, which says what a server may
//! do next, and rejects what it may not. The guarantee `protocol_legal`.
//!
//! It is fed all that a [tap](parlor::client::Tap) on a client shows. A client forgives
//! much of what is judged here, as stock clients do: it keeps events that come before the
//! answer to CONNECT, and ignores what comes after DISCONNECT. So a server may break the
//! protocol for years, until a client comes that does not.
//!
//! ```text
//! what passes --+-- transports: open packet, probe, upgrade, close   (transports)
//!               +-- pings and pongs                                  (heartbeat)
//!               +-- packets and their attachments                    (here)
//!               +-- CONNECT and DISCONNECT of each namespace         (memberships)
//!               +-- acks                                             (acks)
//! ```
//!
//! This is pure. It is not a decoder: what is no packet at all, the client itself
//! complains of. It knows the protocol's own parser, not MessagePack.
//!
//! # Guarantees
//!
//! * What it rejects, no network can have caused: it only knows of what has arrived and
//!   what was sent. The one exception names since when the network must have been well:
//!   see [`Illegal::since`].
//! * It holds one entry for each namespace that its client has asked for, and one for each
//!   answer that the client waits for, up to a [bound](acks::AWAITED_MAX).
//! * After what it rejects first, it rejects nothing more of that connection.
//!
//! # Spec
//!
//! Engine.IO protocol v4; Socket.IO protocol v5.

pub mod acks;
mod head;
mod heartbeat;
mod memberships;
mod transports;

use std::time::Duration;

use parlor::client::{Passing, Way};
use parlor::engineio::Packet;
use parlor::websocket::Message;

use acks::Acks;
use head::{Head, Kind};
use heartbeat::Heartbeat;
use memberships::Memberships;
use transports::Transports;

/// What is known of a connection when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether it begins with long-polling: then a GET is under way.
    pub polls: bool,
    /// How long a poll may be held, at most, once the server has answered a probe.
    pub release_max: Duration,
    /// Whether the server may leave what the client says unread for so long that it pings
    /// on. A ping says nothing then of what it has heard before.
    pub pings_on: bool,
}

/// What a server must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Illegal {
    /// What it was, in words that follow "the server".
    pub what: String,
    /// If it is something that did not come in time: since when it could have. The network
    /// may be to blame if something was wrong with it since then.
    pub since: Option<Duration>,
}

impl Illegal {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), since: None }
    }
}

/// One connection of a client, as its server has to treat it.
#[derive(Clone, Debug)]
pub struct Legality {
    /// Something was rejected.
    is_over: bool,
    pings_on: bool,
    transports: Transports,
    heartbeat: Heartbeat,
    /// How many attachments of the last packet are still to come.
    attachments: u64,
    memberships: Memberships,
    acks: Acks,
}

impl Legality {
    /// A connection that begins at `at`.
    pub fn new(terms: Terms, at: Duration) -> Self {
        Self {
            is_over: false,
            pings_on: terms.pings_on,
            transports: Transports::new(terms, at),
            heartbeat: Heartbeat::default(),
            attachments: 0,
            memberships: Memberships::default(),
            acks: Acks::default(),
        }
    }

    /// Takes what passes at `at`.
    ///
    /// # Errors
    ///
    /// What the server must not do. Nothing is rejected after that.
    pub fn handle(&mut self, at: Duration, passing: Passing<'_>) -> Result<(), Illegal> {
        if self.is_over {
            return Ok(());
        }
        let handled = self.transports.handle_time(at).and_then(|()| self.pass(at, passing));
        self.is_over = handled.is_err();
        handled
    }

    fn pass(&mut self, at: Duration, passing: Passing<'_>) -> Result<(), Illegal> {
        match passing {
            Passing::Answered => self.transports.handle_answered(),
            Passing::Asked => self.transports.handle_asked(at),
            Passing::Heard { way, message } => return self.hear(at, way, message),
            Passing::ProbeGone => self.transports.handle_probe_gone(),
            Passing::Said { way, message } => self.say(at, way, message),
        }
        Ok(())
    }

    fn hear(&mut self, at: Duration, way: Way, message: Message<'_>) -> Result<(), Illegal> {
        self.transports.hear(at, way, message)?;
        match (way, message) {
            // That was all there is to a probe; frames of control are the WebSocket's own.
            (Way::Probe, _) | (_, Message::Close(_) | Message::Ping(_) | Message::Pong(_)) => {
                Ok(())
            }
            (Way::Polling | Way::WebSocket, Message::Binary(_)) => self.hear_binary(),
            (Way::Polling | Way::WebSocket, Message::Text(text)) => self.hear_text(at, text),
        }
    }

    fn hear_binary(&mut self) -> Result<(), Illegal> {
        match self.attachments.checked_sub(1) {
            None => Err(Illegal::new("sent bytes that no packet has announced")),
            Some(rest) => {
                self.attachments = rest;
                Ok(())
            }
        }
    }

    fn hear_text(&mut self, at: Duration, text: &str) -> Result<(), Illegal> {
        if self.attachments > 0 {
            let missing = self.attachments;
            let shown = short(text);
            return Err(Illegal::new(format!(
                "sent {shown} between a packet and its attachments, {missing} of which are missing"
            )));
        }
        // The client says what is wrong with anything else.
        let Ok(packet) = Packet::decode(text) else { return Ok(()) };
        self.transports.hear_packet(&packet)?;
        match packet {
            Packet::Message(text) => self.hear_message(text),
            Packet::Ping(_) if self.pings_on => Ok(()),
            Packet::Ping(_) => {
                self.heartbeat.hear_ping(at)?;
                self.memberships.hear_ping();
                Ok(())
            }
            Packet::Close | Packet::Noop | Packet::Open(_) => Ok(()),
            Packet::Pong(_) | Packet::Upgrade => {
                Err(Illegal::new(format!("sent {}, which only clients send", short(text))))
            }
        }
    }

    fn hear_message(&mut self, text: &str) -> Result<(), Illegal> {
        let Some(Head { kind, attachments, namespace, id }) = Head::decode(text) else {
            return Ok(());
        };
        self.attachments = attachments;
        self.memberships.hear(kind, namespace)?;
        match (kind, id) {
            (Kind::Ack, Some(id)) => self.acks.hear(id, namespace),
            (Kind::Connect, _) => {
                self.acks.forget(namespace);
                Ok(())
            }
            (Kind::Ack | Kind::ConnectError | Kind::Disconnect | Kind::Event, _) => Ok(()),
        }
    }

    fn say(&mut self, at: Duration, way: Way, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        self.transports.say(at, way, text);
        let Ok(packet) = Packet::decode(text) else { return };
        match packet {
            Packet::Message(text) => self.say_message(text),
            Packet::Pong(_) => {
                self.heartbeat.say_pong(at);
                self.memberships.say_pong();
            }
            Packet::Close | Packet::Noop | Packet::Open(_) | Packet::Ping(_) | Packet::Upgrade => {}
        }
    }

    fn say_message(&mut self, text: &str) {
        let Some(Head { kind, namespace, id, .. }) = Head::decode(text) else { return };
        self.memberships.say(kind, namespace);
        if let (Kind::Event, Some(id)) = (kind, id) {
            self.acks.ask(id, namespace);
        }
    }
}

/// The beginning of a packet, for people.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
