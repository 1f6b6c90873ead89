//! WebSocket: the opening handshake and frames, as bytes in and bytes out.
//!
//! This is not a connection: nothing here reads, writes, waits or remembers a
//! peer beyond the message it is in the middle of. Extensions (compression) and
//! subprotocols are not spoken; a peer that uses one all the same breaks the
//! protocol.
//!
//! # Guarantees
//!
//! * Whatever the bytes, [`Decoder`] neither panics nor holds more than twice
//!   the permitted message size; it never allocates by a declared length.
//! * How the bytes are cut into reads changes neither the messages nor the error.
//! * A message that lies complete in the input costs no allocation and no copy.
//!
//! # Spec
//!
//! RFC 6455.

pub mod close_code;
mod decoder;
mod frame;
mod handshake;
mod mask;

pub use decoder::{Decoder, FRAGMENTS_MAX, Message};
pub use frame::{FrameError, Opcode, Role, encode, encode_close, frames};
pub use handshake::{
    HEADERS_MAX, HandshakeError, REQUEST_BYTES_MAX, Request, accept_key, decode_accept,
    decode_query, decode_request, encode_accept, encode_request,
};
