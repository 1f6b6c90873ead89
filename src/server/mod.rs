//! The driver: sockets and time, around the pure engine.
//!
//! [`run_shard`] is one shard's whole life, one `!Send` future that owns all
//! of its tasks and streams: one task accepts, one ends ticks and writes, each
//! connection has one, and each session that polls has one. [`serve`] puts
//! shards on threads of their own; a simulation runs them where it likes.
//!
//! ```text
//!  accept --> connection --+-- WebSocket --> session --> Core (hub, outbox) --> ticker
//!                          |                 ^  |         ^     (writes, timer)  |  |
//!                          +-- HTTP --> POST-+  handlers--+                      |  |
//!                                       GET <------------------------------------+  |
//!                                       WebSocket <---------------------------------+
//! ```
//!
//! # Guarantees
//!
//! * A connection that is idle owns no buffer: reads go through one buffer of
//!   the shard, and bytes that a peer does not take are kept only then.
//! * A broadcast is encoded once; each connection is written to once per tick.
//! * What waits for a peer that does not read is bounded in bytes and in packets;
//!   at the bound events are dropped or the peer is closed, as the namespace's
//!   [`Policy`](crate::Policy) says. It delays nobody.
//! * A server that is told to end lets its sessions go one by one, each after
//!   all that it had been promised: see [`serve`].

mod backlog;
mod compression;
mod config;
mod connection;
mod cookie;
mod cors;
mod departures;
mod drain;
mod encoding;
mod handshake;
mod http;
mod http_stream;
mod polling;
mod rejection;
mod serve;
mod session;
mod shard;
mod snapshot;
mod streams;
mod ticker;
mod upgrade;
mod visit;
mod wire;

pub use config::{Config, Cookie, Cors, Origins, SameSite};
pub use serve::{ServeError, serve, serve_with};
pub use shard::run_shard;
