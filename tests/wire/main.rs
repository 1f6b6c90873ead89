//! The bytes on the wire, against a server in a process of its own (or, for the
//! application's side, a thread).
//!
//! Two-sided scripts over real sockets: what the server must answer, and what
//! it must refuse and with which code. Only `application` uses the library, to
//! have applications of its own.
//!
//! # Spec
//!
//! RFC 6455; Engine.IO protocol, revision 4; Socket.IO protocol, revision 5.

mod application;
mod client;
mod frames;
mod handshake;
mod packets;
#[path = "../support/process.rs"]
mod process;
mod random;
mod server;
mod settings;
mod stop;
mod time;
