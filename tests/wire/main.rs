//! The bytes on the wire, against a server in a process of its own (or, for the
//! application's side, a thread).
//!
//! Two-sided scripts over real sockets: what the server must answer, and what
//! it must refuse and with which code. `application` and the tests of transports
//! use the library, to have applications and configurations of their own.
//!
//! # Spec
//!
//! RFC 6455; RFC 7692; Engine.IO protocol, revisions 4 and 3; Socket.IO protocol, revisions
//! 5 and 4.

mod application;
mod attacker;
mod client;
mod compression;
mod eio3;
mod embedded;
mod fallback;
mod frames;
mod handshake;
mod http;
mod limits;
mod operator;
mod packets;
mod poller;
mod polling;
#[path = "../support/process.rs"]
mod process;
mod random;
mod rates;
mod server;
mod settings;
mod stop;
mod time;
mod tls;
mod tunnel;
mod unheard;
mod upgrade;
