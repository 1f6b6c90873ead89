//! parlor: a chat room engine that speaks Socket.IO.
pub mod app;
pub mod chat;
pub mod engineio;
pub mod hub;
pub mod net;
pub mod room;
pub mod server;
pub mod shard;
pub mod socketio;
pub mod websocket;

pub use app::{Ack, Admission, Io, Namespace, Raw, Refusal, Socket};
pub use hub::{Limits, Reason};
pub use server::{Config, run_shard, serve};
