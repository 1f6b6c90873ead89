//! The bytes on the wire, against a server in a process of its own.
//!
//! Two-sided scripts over real sockets: what the server must answer, and what
//! it must refuse and with which code. Nothing here uses the engine's code.
//!
//! # Spec
//!
//! RFC 6455; Engine.IO protocol, revision 4; Socket.IO protocol, revision 5.

mod client;
mod frames;
mod handshake;
mod packets;
#[path = "../support/process.rs"]
mod process;
mod random;
mod server;
mod stop;
mod time;
