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

/// What is done with an event that comes too fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RatePolicy {
    /// The connection is closed, with [`Reason::EventFlood`](super::Reason::EventFlood).
    Disconnect,
    /// It is not handled, and answered with `{"ok":false,"error":"too fast"}`: as
    /// the ack if one is wanted, else as the event `error_message`. A message of
    /// a connection without Socket.IO is not handled, and that is all.
    #[default]
    Refuse,
}

/// How fast clients may be. Nothing is limited unless it is set; 0 is no limit.
///
/// A connection is on one shard, so that its own rates are exact. An address may
/// have connections on several: each shard lets it have its part of the rate,
/// rounded up. So all of its connections together may be faster than the rate
/// by less than one a second (and one more at once) for each shard, and they
/// are held to less than the rate if they are on few of the shards: with a
/// single connection, to one shard's part.
#[derive(Clone, Debug)]
pub struct Rates {
    /// How long what is not used is saved up: so much of each rate may come at once.
    pub burst: Duration,
    /// Events of one connection.
    pub events_per_second: u64,
    /// Bytes of one connection; it is not read while it is over that.
    pub bytes_per_second: usize,
    /// Connections that one address begins: over TCP, and besides those the
    /// sessions that begin with long-polling.
    pub address_connections_per_second: u64,
    /// Events of all connections of one address.
    pub address_events_per_second: u64,
    /// Bytes of all connections of one address.
    pub address_bytes_per_second: usize,
    /// What is done with an event over either rate.
    pub policy: RatePolicy,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            burst: Duration::from_secs(2),
            events_per_second: 0,
            bytes_per_second: 0,
            address_connections_per_second: 0,
            address_events_per_second: 0,
            address_bytes_per_second: 0,
            policy: RatePolicy::Refuse,
        }
    }
}

/// Bounds and times of one server. Every one of them has a default that suits a public chat.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Attachments of one packet.
    pub attachments_max: u32,
    /// Connections in total, those that carry polls and the sessions that poll
    /// counted each; 0 is no limit. If not set, `serve` lets in as many as there
    /// are descriptors for, and a shard by itself everybody.
    pub connections_max: Option<usize>,
    /// Connections of one address, counted in the same way; 0 is no limit. Each
    /// shard lets in its part, rounded up.
    pub connections_per_address_max: usize,
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
    /// How fast clients may be.
    pub rates: Rates,
    /// Rooms that one socket may be in at a time; as many may it watch.
    pub rooms_per_socket_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attachments_max: 10,
            connections_max: None,
            connections_per_address_max: 0,
            connect_timeout: Duration::from_secs(45),
            acks_in_flight_max: 1_000,
            max_payload: 1_000_000,
            namespaces_per_connection_max: 16,
            recovery: None,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            rates: Rates::default(),
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
