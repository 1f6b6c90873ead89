//! WebSocket: the opening handshake and frames, as bytes in and bytes out.
//!
//! This is not a connection: nothing here reads, writes, waits or remembers a
//! peer beyond the message it is in the middle of. Of extensions only compression
//! (permessage-deflate) is spoken, by servers, and without a context; subprotocols
//! are not. A peer that uses what was not agreed on breaks the protocol.
//!
//! # Guarantees
//!
//! * Whatever the bytes, [`Decoder`] neither panics nor holds more than twice
//!   the permitted message size, thrice where messages may be compressed; it
//!   never allocates by a declared length.
//! * How the bytes are cut into reads changes neither the messages nor the error.
//! * A message that lies complete in the input costs no allocation and no copy,
//!   unless it is compressed.
//!
//! # Spec
//!
//! RFC 6455; RFC 7692.

pub mod close_code;
mod decoder;
mod deflate;
mod frame;
mod handshake;
mod mask;

pub use decoder::{Decoder, FRAGMENTS_MAX, Message};
pub use deflate::{Deflater, agree, inflate};
pub use frame::{FrameError, Opcode, Role, encode, encode_close, encode_compressed, frames};
pub use handshake::{
    HEADERS_MAX, HandshakeError, REQUEST_BYTES_MAX, Request, accept_key, decode_accept,
    decode_query, decode_request, encode_accept, encode_request,
};
