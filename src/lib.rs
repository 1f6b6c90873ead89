//! parlor: a chat room engine that speaks Socket.IO.
pub mod engineio;
pub mod net;
pub mod socketio;
pub mod websocket;

#[cfg(test)]
mod mutation;
