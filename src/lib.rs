//! parlor: a chat room engine that speaks Socket.IO.
pub mod check;
pub mod net;
