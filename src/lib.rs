//! parlor: a chat room engine that speaks Socket.IO.
pub mod check;
pub mod engineio;
pub mod net;
pub mod socketio;
pub mod websocket;
