//! A Socket.IO client: the simulation and `loadgen` both speak through it.
//!
//! ```text
//! Client       dials, backs off, dials again; commands by a Handle     (driver)
//!     |
//! Connection   one session, its streams, the bytes not yet written     (driver)
//!     |
//! Session      bytes and `now` in; bytes and events out                (pure)
//!     |
//! Polling      while it polls: requests, answers, the WebSocket's probe (pure)
//! ```
//!
//! It is not a port of the JavaScript client: nothing is buffered while there is
//! no connection. It does keep that client's manners where a server can see them: what
//! is sent when, what ends a connection, how long to wait before the next one, and who
//! it says it was: see [`Recovery`].
//!
//! # Guarantees
//!
//! * Whatever a server sends, a client neither panics nor holds more than its
//!   configured limits; what breaks the protocol closes the connection for a
//!   reason that has a name.
//! * How the bytes are cut into reads changes no event.
//! * The same seed, the same bytes and the same times give the same bytes back.
//! * An idle connection holds no buffer, unless it polls: once a WebSocket has taken
//!   over, it costs what one costs that began with a WebSocket.
//!
//! # Spec
//!
//! Engine.IO protocol v4, Socket.IO protocol v5, RFC 6455.

mod backoff;
mod connection;
mod driver;
mod handle;
mod http;
mod incoming;
mod namespace;
mod options;
mod outgoing;
mod polling;
mod ports;
mod random;
mod reason;
mod recovery;
mod scratch;
mod session;
mod tap;
mod transports;

pub use backoff::{Backoff, BackoffOptions};
pub use connection::Connection;
pub use driver::{Client, ClientOptions, Notice, NoticeHandler};
pub use handle::{ACKS_MAX, AckError, COMMANDS_MAX, CommandError, Handle, PendingAck};
pub use http::HttpError;
pub use options::{Join, Options, Transport};
pub use outgoing::{NotConnected, Outgoing, args};
pub use random::Random;
pub use reason::{CloseReason, ProtocolError};
pub use recovery::Recovery;
pub use scratch::Scratch;
pub use session::{Event, Handler, Phases, Session};
pub use tap::{Passing, Tap, Way};

#[cfg(test)]
mod testing;
