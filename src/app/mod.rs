//! The application's side: Socket.IO's own words, in Rust's manner.
//!
//! An application is a function that registers handlers on an [`Io`]; each
//! shard calls it once. Handlers belong to a namespace and are registered
//! once, not per socket. They run on the shard's thread, one event of a socket
//! at a time, and may await.
//!
//! ```
//! use parlor::{Ack, Io, Socket};
//!
//! fn app(io: &mut Io) {
//!     let chat = io.of("/");
//!     chat.on_connection(async |socket: Socket| socket.emit("hello", "world"));
//!     chat.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
//!         let members = socket.join(&room).await;
//!         ack.send(members.is_ok());
//!     });
//!     chat.on("say", async |socket: Socket, (room, text): (String, String)| {
//!         socket.to(&room).emit("said", text); // everybody there but the sender
//!     });
//! }
//! ```
//!
//! # Guarantees
//!
//! * Events of one socket are handled in the order it sent them, one at a
//!   time, also when handlers await. Acks that a handler awaits do not wait in
//!   that queue.
//! * Arguments are parsed before a handler runs; what does not parse is
//!   answered with `{"ok":false,"error":".."}`, as the ack if one is wanted,
//!   else as the event `error_message`.
//! * A disconnect drops the events that wait, fails the acks that are awaited,
//!   and runs `on_disconnect` after the handler in progress.
//! * A handler that panics ends its own connection and nothing else.

mod ack;
mod args;
mod dispatch;
mod emit;
mod engine;
mod fallback;
mod handle;
mod handler;
mod io;
mod listeners;
mod observer;
mod outgoing;
mod raw;
mod socket;
mod unpanicked;

pub use ack::{Ack, refusal};
pub use args::{FromArgs, Raw, ToArgs};
pub(crate) use dispatch::Dispatch;
pub use emit::{Emitter, RemoteSocket, Unanswered};
pub use engine::Engine;
pub(crate) use fallback::FallbackBody;
pub(crate) use handle::run_calls;
pub use handle::{
    FoundSocket, HANDLE_ANSWERS_MAX, HANDLE_CALLS_MAX, Handle, HandleEmitter, HandleError,
};
pub use handler::Handler;
pub use io::{Admission, Io, Namespace, Refusal};
pub(crate) use observer::Look;
pub use observer::{Observation, Observer};
pub use raw::RawConnection;
pub use socket::{AckError, Socket, ToSocket};
