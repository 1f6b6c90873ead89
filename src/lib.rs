//! parlor: a chat room engine that speaks Socket.IO.
//!
//! Socket.IO protocol v5 over Engine.IO protocol v4, on WebSockets and HTTP
//! long-polling (and the revisions before, for old clients): namespaces over one
//! connection, rooms that sockets join, leave and switch between, `emit` and
//! `on` on both sides, acks, broadcasts to everybody else. [`serve`] runs an
//! application (a function that registers handlers on an [`Io`]); [`chat`] is
//! a ready one. [`client`] is the other side, [`check`] says whether what
//! clients saw is what the engine promises.
//!
//! # The data path
//!
//! ```text
//!        bytes in                                          bytes out
//!           |                                                  ^
//!  server   | session: reads into the shard's buffer,          | ticker: one write per
//!           v or takes what was posted                         | session and tick
//!  websocket  frames -> messages                       outbox  | a frame once, references
//!  engineio   packets, payloads, heartbeat, transports         | for each recipient
//!  socketio   packets, attachments                             |
//!           |                                                  |
//!           v                                                  |
//!  hub        namespaces, who is connected -----> Send --------+
//!  room       who is in which room                  one complete frame for all
//!           |            ^
//!           v Notify     | join, leave, emit, broadcast, ack: plain calls
//!  app        handlers of the application (chat is one)
//! ```
//!
//! # Layers
//!
//! Each module uses only those above it.
//!
//! * pure (bytes, events and `now` in; bytes and actions out): [`room`],
//!   [`engineio`], [`socketio`], [`websocket`], [`hub`], [`metrics`], [`check`]
//! * drivers (they await): [`net`], [`tls`], [`shard`], [`app`], [`server`], [`client`]
//! * applications: [`chat`], [`admin`]
//!
//! # Invariants
//!
//! * Every state has one owner and lives on one thread; none is behind a lock.
//! * The order in which a namespace's home shard handles events is the order
//!   that all members of its rooms see, whichever shard they are on.
//! * Whatever a peer sends, it can only end its own connection.

pub mod engineio;
pub mod room;
pub mod socketio;
pub mod websocket;

pub mod hub;

pub mod metrics;

pub mod check;

pub mod net;

pub mod tls;

pub mod shard;

pub mod app;

pub mod server;

pub mod client;

pub mod chat;

pub mod admin;

pub use app::{Ack, Admission, Io, Namespace, Observer, Raw, RawConnection, Refusal, Socket};
pub use hub::{Accepted, Limits, Policy, RatePolicy, Rates, RawMessage, Reason, Step};
pub use server::{Config, ServeError, run_shard, serve, serve_with};
pub use shard::{Exchange, Witness};

#[cfg(test)]
mod mutation;
