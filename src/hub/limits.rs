//! What a peer may make the engine hold, and how long it may take.

use std::time::Duration;

use super::NamespaceId;
use super::journal::Recovery;

/// What is done when a packet is to be sent to a peer for which as much waits
/// already as may.
///
/// A namespace has one. What is dropped are whole events, with their
/// attachments; an event that asks for an ack, an ack, and what the protocol
/// itself says are never dropped. They make room for themselves by dropping
/// what may be; where there is nothing to drop, the connection is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The connection is closed, with [`Reason::SlowReader`](super::Reason::SlowReader).
    #[default]
    Disconnect,
    /// The new event is dropped.
    DropNewest,
    /// The events that have waited longest are dropped, as many as it takes.
    DropOldest,
}

/// Whether a packet may be dropped for a peer that does not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Not at all.
    Never,
    /// As the policy of this namespace says.
    Policy(NamespaceId),
    /// As soon as anything waits for the peer; else as the namespace's policy says.
    Volatile(NamespaceId),
}

impl Loss {
    /// Of an event of this namespace.
    pub(super) fn of_event(namespace: NamespaceId, volatile: bool) -> Self {
        if volatile { Self::Volatile(namespace) } else { Self::Policy(namespace) }
    }
}

/// Bounds and times of one server. Every one of them has a default that suits a public chat.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Attachments of one packet.
    pub attachments_max: u32,
    /// Without a CONNECT in this time the connection is closed; the HTTP handshake has as long.
    pub connect_timeout: Duration,
    /// Acks that one socket may owe at a time; one more and the oldest is given up.
    pub acks_in_flight_max: usize,
    /// Bytes of one message from a peer (`maxPayload` of the handshake).
    pub max_payload: usize,
    /// Namespaces that one connection may be in at a time.
    pub namespaces_per_connection_max: usize,
    /// Whether and how clients can come back to their sessions; not at all, if not set.
    pub recovery: Option<Recovery>,
    /// From one pong to the next ping.
    pub ping_interval: Duration,
    /// From a ping to the end of a peer that does not answer.
    pub ping_timeout: Duration,
    /// Rooms that one socket may be in at a time; as many may it watch.
    pub rooms_per_socket_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attachments_max: 10,
            connect_timeout: Duration::from_secs(45),
            acks_in_flight_max: 1_000,
            max_payload: 1_000_000,
            namespaces_per_connection_max: 16,
            recovery: None,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            rooms_per_socket_max: 1_000,
        }
    }
}

impl Limits {
    /// Depth of nested JSON, as deep as serde_json goes.
    pub const JSON_DEPTH_MAX: u32 = 128;

    /// How long a client that pings by itself may be silent.
    pub(super) fn silence_max(&self) -> Duration {
        self.ping_interval + self.ping_timeout
    }

    /// What the packet decoder needs to know.
    pub(super) fn socketio(&self) -> crate::socketio::Limits {
        crate::socketio::Limits {
            attachments_max: self.attachments_max,
            json_depth_max: Self::JSON_DEPTH_MAX,
            packet_bytes_max: self.max_payload,
        }
    }
}
