//! One Engine.IO connection as the hub sees it: its heartbeat, and which namespaces it is in.

use std::time::Instant;

use super::exchange::Claimed;
use super::rates::Meter;
use super::{Address, ConnId, NamespaceId};
use crate::engineio::{Heartbeat, Revision};
use crate::room::SocketKey;
use crate::socketio;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Which revision of Engine.IO the client speaks.
    pub revision: Revision,
    /// Whether the client may go over to a WebSocket: it polls.
    pub may_upgrade: bool,
    /// Whether its messages are the application's own, not Socket.IO's.
    pub is_raw: bool,
    /// Who it comes from.
    pub address: Address,
}

impl Default for Opening {
    /// As a WebSocket of today's clients.
    fn default() -> Self {
        let (revision, address) = (Revision::V4, Address::default());
        Self { revision, may_upgrade: false, is_raw: false, address }
    }
}

/// One Engine.IO connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) revision: Revision,
    /// Its messages are the application's own, not Socket.IO's.
    pub(super) is_raw: bool,
    pub(super) phase: Phase,
    /// Whether it is read: not while it has said more than is worked at.
    pub(super) heard: bool,
    /// Whether that was so at all times since it was last pinged, or excused.
    pub(super) heard_since: bool,
    /// How fast it is, if there is a limit.
    pub(super) meter: Option<Box<Meter>>,
    pub(super) heartbeat: Heartbeat,
    pub(super) decoder: socketio::Decoder,
    /// None before its first packet.
    pub(super) parser: Option<socketio::Parser>,
    pub(super) memberships: Vec<(NamespaceId, Membership)>,
    attempts: u32,
    /// Sessions that the client wants back, by namespace.
    #[expect(clippy::box_collection, reason = "eight bytes in each connection of every server")]
    pub(super) claims: Option<Box<Vec<(NamespaceId, Claimed)>>>,
    /// Names asked for, of which the application has not said yet what they are.
    pub(super) finding: Vec<Box<str>>,
}

/// How far a connection has come.
///
/// ```text
/// Fresh --CONNECT admitted--> Live --close, error, silence--> Closing --transport gone--> (removed)
///   |                                                            ^
///   +---- connect_timeout, error --------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not in any namespace yet; ends at this instant if that stays so.
    Fresh(Instant),
    /// In a namespace, or was.
    Live,
    /// To be closed; nothing from it counts any more.
    Closing,
}

/// A connection's standing in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// The application has not answered this attempt.
    Asked(u32),
    /// Let in by the application; the namespace's home has still to hear of it.
    Entering(SocketKey),
    /// Connected.
    Joined(SocketKey),
    /// The server put it out: what the client sent before it heard of that is ignored.
    PutOut,
}

impl Connection {
    /// Looks for a namespace of this name no longer; false if it did not.
    pub(super) fn give_up_finding(&mut self, name: &str) -> bool {
        let before = self.finding.len();
        self.finding.retain(|asked| **asked != *name);
        self.finding.len() < before
    }

    pub(super) fn new(
        id: ConnId,
        opening: Opening,
        connect_by: Instant,
        heartbeat: Heartbeat,
    ) -> Self {
        Self {
            id,
            revision: opening.revision,
            is_raw: opening.is_raw,
            phase: if opening.is_raw { Phase::Live } else { Phase::Fresh(connect_by) },
            heard: true,
            heard_since: true,
            meter: None,
            heartbeat,
            decoder: socketio::Decoder::new(),
            parser: None,
            memberships: Vec::new(),
            attempts: 0,
            claims: None,
            finding: Vec::new(),
        }
    }

    /// Notes the session that the client wants back.
    pub(super) fn claim(&mut self, namespace: NamespaceId, claimed: Claimed) {
        let claims = self.claims.get_or_insert_default();
        claims.retain(|claim| claim.0 != namespace);
        claims.push((namespace, claimed));
    }

    /// Takes the session that the client wants back.
    pub(super) fn take_claim(&mut self, namespace: NamespaceId) -> Option<Claimed> {
        let claims = self.claims.as_mut()?;
        let at = claims.iter().position(|claim| claim.0 == namespace)?;
        let (_, claimed) = claims.swap_remove(at);
        if claims.is_empty() {
            self.claims = None;
        }
        Some(claimed)
    }

    pub(super) fn membership(&self, namespace: NamespaceId) -> Option<Membership> {
        self.memberships.iter().find(|entry| entry.0 == namespace).map(|entry| entry.1)
    }

    /// The number of the next attempt to get into a namespace.
    pub(super) fn next_attempt(&mut self) -> u32 {
        self.attempts = self.attempts.wrapping_add(1);
        self.attempts
    }

    pub(super) fn set(&mut self, namespace: NamespaceId, membership: Option<Membership>) {
        self.memberships.retain(|entry| entry.0 != namespace);
        if let Some(membership) = membership {
            // Nearly all connections are in one namespace, or in few.
            self.memberships.reserve_exact(1);
            self.memberships.push((namespace, membership));
        }
    }

    /// When something of this connection is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Fresh(connect_by) => Some(connect_by.min(self.heartbeat.deadline())),
            Phase::Live => Some(self.heartbeat.deadline()),
            Phase::Closing => None,
        }
    }
}
