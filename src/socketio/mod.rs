//! Socket.IO: packets of all namespaces of one connection, with their binary
//! attachments.
//!
//! Arguments stay JSON text: they are checked here once, and parsed only by who
//! wants to know what they say. This is not a peer: which namespaces are joined
//! and which acks are awaited is known elsewhere.
//!
//! # Guarantees
//!
//! * Whatever a peer sends, [`Decoder`] neither panics nor holds more than
//!   [`Limits`] permits, takes linear time, and allocates nothing by a declared count.
//! * In decoded [`Args`], the JSON is well-formed and no deeper than permitted,
//!   and its placeholders name each attachment exactly once.
//!
//! # Spec
//!
//! Socket.IO protocol, revision 5.

mod args;
mod decoder;
pub mod json;
pub mod msgpack;
mod packet;

pub use args::Args;
pub use decoder::{Decoder, Limits};
pub use packet::{DecodeError, ID_MAX, Incoming, Kind, RESERVED_EVENTS, encode_head};

/// How a client writes packets: its first one shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parser {
    /// The protocol's own: text, with binary attachments beside it.
    #[default]
    Json,
    /// One binary message for each packet: `socket.io-msgpack-parser`.
    MessagePack,
}
