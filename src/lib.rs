//! parlor: a chat room engine that speaks Socket.IO.
//!
//! Socket.IO protocol v5 over Engine.IO protocol v4, on WebSockets and HTTP
//! long-polling (and the revisions before, for old clients): namespaces over one
//! connection, rooms that sockets join, leave and switch between, `emit` and
//! `on` on both sides, acks, broadcasts to everybody else. [`serve`] runs an
//! application (a function that registers handlers on an [`Io`]); [`chat`] is
//! a ready one. [`client`] is the other side, [`check`] says whether what
//! clients saw is what the engine promises.
//!
//! # A first server
//!
//! ```
//! use parlor::{Ack, Config, Io, Socket};
//!
//! fn app(io: &mut Io) {
//!     let chat = io.of("/");
//!     chat.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
//!         ack.send(socket.join(&room).await.is_ok());
//!     });
//!     chat.on("say", async |socket: Socket, (room, text): (String, String)| {
//!         socket.to(&room).emit("said", text); // everybody there but the sender
//!     });
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let address = "127.0.0.1:3000".parse()?;
//! #   let mut address: std::net::SocketAddr = address;
//! #   address.set_port(0);
//!     let listeners = parlor::net::listen_shards(address, 2, false)?;
//!     let stop = async { drop(tokio::signal::ctrl_c().await) };
//! #   drop(stop);
//! #   let address = listeners[0].local_addr()?;
//! #   let stop = async move {
//! #       use std::io::{Read, Write};
//! #       let mut stream = std::net::TcpStream::connect(address).expect("it listens");
//! #       let request = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: a\r\n\r\n";
//! #       stream.write_all(request.as_bytes()).expect("it reads");
//! #       let (mut answer, mut part) = (Vec::new(), [0; 1024]);
//! #       while !String::from_utf8_lossy(&answer).contains("0{\"sid\":") {
//! #           let length = stream.read(&mut part).expect("it answers");
//! #           assert_ne!(length, 0, "no handshake");
//! #           answer.extend(&part[..length]);
//! #       }
//! #   };
//!     Ok(parlor::serve(listeners, Config::default(), app, stop).await?)
//! }
//! ```
//!
//! What it may rely on has a name for each promise: [`guide::guarantees`].
//! [`guide::socket_io`] has Socket.IO's server calls and what they are called
//! here, [`guide::socketioxide`] is for who comes from there.
//!
//! # The data path
//!
//! Each shard is one thread with all of this; the kernel deals connections to
//! the shards.
//!
//! ```text
//!        bytes in: TCP or TLS                              bytes out
//!           |                                                  ^
//!  server   | session: reads into the shard's buffer           | ticker: writes each
//!           |  or HTTP: a POST's body                          |  WebSocket once a tick,
//!           v                                                  |  or answers a poll
//!  websocket  frames -> messages                       outbox  | a frame once, references
//!  engineio   packets, payloads, heartbeat, transports         |  for each recipient
//!  socketio   packets, attachments (JSON or MessagePack)       |
//!           |                                                  |
//!           v                                                  |
//!  hub        namespaces, who is connected -----> Send --------+
//!  room       who is in which room                  one complete frame for all
//!           |            ^      \
//!           v Notify     |       +--- Exchange ---> hubs of other shards: a namespace
//!           |            |                          has its order from one of them
//!           |            | join, leave, emit, broadcast, ack: plain calls
//!  app        handlers of the application (chat is one)
//! ```
//!
//! # Layers
//!
//! Each module uses only those above it.
//!
//! * pure (bytes, events and `now` in; bytes and actions out): [`room`],
//!   [`engineio`], [`socketio`], [`websocket`], [`hub`], [`metrics`], [`check`]
//! * drivers (they await): [`net`], [`tls`], [`shard`], [`app`], [`server`], [`client`]
//! * applications: [`chat`], [`admin`]
//! * pages without code: [`guide`]
//!
//! # Invariants
//!
//! * Every state has one owner and lives on one thread; none is behind a lock.
//! * The order in which a namespace's home shard handles events is the order
//!   that all members of its rooms see, whichever shard they are on.
//! * Whatever a peer sends, it can only end its own connection.

pub mod engineio;
pub mod room;
pub mod socketio;
pub mod websocket;

pub mod hub;

pub mod metrics;

pub mod check;

pub mod net;

pub mod tls;

pub mod shard;

pub mod app;

pub mod server;

pub mod client;

pub mod chat;

pub mod admin;

pub mod guide;

pub use app::{Ack, Admission, Io, Namespace, Observer, Raw, RawConnection, Refusal, Socket};
pub use hub::{Accepted, Limits, Policy, RatePolicy, Rates, RawMessage, Reason, Step};
pub use server::{Config, ServeError, run_shard, serve, serve_with};
pub use shard::{Exchange, Witness};

#[cfg(test)]
mod mutation;
