//! Engine.IO: packets and payloads, the handshake's answer, the heartbeat, and
//! one session's transports.
//!
//! Over WebSocket a packet is one text frame, and a binary message is a bare
//! binary frame. Over long-polling many packets make one [`payload`]. What the
//! messages mean is decided elsewhere.
//!
//! # Spec
//!
//! Engine.IO protocol, revision 4, and revision 3 for old clients.

mod heartbeat;
mod open;
mod packet;
pub mod payload;
pub mod session;

pub use heartbeat::{Beat, Heartbeat};
pub use open::{Greeting, Open};
pub use packet::{DecodeError, Packet};

/// A revision of the protocol: `EIO` in a client's query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// Of Socket.IO 1 and 2: the client pings.
    V3,
    /// Of Socket.IO 3 and later: the server pings.
    V4,
}
