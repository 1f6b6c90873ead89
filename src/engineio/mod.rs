//! Engine.IO: packets, the handshake's answer, and the heartbeat.
//!
//! Over WebSocket a packet is one text frame, and a binary message is a bare
//! binary frame. This is not a session: who may send what when is decided
//! elsewhere.
//!
//! # Spec
//!
//! Engine.IO protocol, revision 4.

mod heartbeat;
mod open;
mod packet;

pub use heartbeat::{Beat, Heartbeat};
pub use open::Open;
pub use packet::{DecodeError, Packet};
