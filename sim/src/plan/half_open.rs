//! What may become of a client's upgrade.

use serde::{Deserialize, Serialize};

/// How an upgrade stays half open: the server has answered the probe, and the client does
/// not hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HalfOpen {
    /// The WebSocket is closed instead.
    Closed,
    /// The WebSocket stays open until the client gives it up.
    Silent,
}
