//! Every feature of Socket.IO that parlor serves has a test named for it here.
//!
//! All is seen from outside, over real sockets: raw WebSockets, and the stock
//! clients. The server is the library's, within this process, with one
//! application that uses all of the features (`app`); every test runs it with
//! one shard, two, and eight, and its sockets are on several of them.
//!
//! Not here: bytes that break the protocol, and transports other than the
//! stock clients use (`tests/wire`); what many clients may rely on whatever
//! happens (the simulation).

mod acks;
mod app;
mod binary;
#[expect(dead_code, reason = "of the wire tests; these need a part of it")]
#[path = "../wire/client.rs"]
mod client;
mod connecting;
mod emitting;
mod ending;
mod handle;
mod listening;
#[path = "../support/node.rs"]
mod node;
mod order;
mod peer;
#[expect(dead_code, reason = "of tests with processes; these need a part of it")]
#[path = "../support/process.rs"]
mod process;
#[path = "../support/python.rs"]
mod python;
mod remote;
mod rooms;
mod server;
mod stock;
#[path = "../support/suite.rs"]
mod suite;
