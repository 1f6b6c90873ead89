//! Why a connection is closed, as a close frame says it.
//!
//! # Spec
//!
//! RFC 6455, section 7.4.1.

/// What the connection was for is done.
pub const NORMAL_CLOSURE: u16 = 1000;
/// This end goes away: the server shuts down.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A text message is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// The peer goes beyond what is allowed.
pub const POLICY_VIOLATION: u16 = 1008;
/// A message is too big, or in too many pieces.
pub const MESSAGE_TOO_BIG: u16 = 1009;
/// The server met something that it did not expect.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server has no room for this peer at the moment; registered with IANA, not in RFC 6455.
pub const TRY_AGAIN_LATER: u16 = 1013;
