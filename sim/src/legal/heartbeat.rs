//! Pings: one at a time, unless the server leaves its client unread.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Heartbeat".

use std::time::Duration;

use super::Illegal;

/// Whether a ping may come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heartbeat {
    is_awaited: bool,
    /// When the last pong left. It is nowhere else at that moment.
    said_at: Option<Duration>,
}

impl Heartbeat {
    pub(super) fn hear_ping(&mut self, at: Duration) -> Result<(), Illegal> {
        if self.is_awaited || self.said_at == Some(at) {
            return Err(Illegal::new("pinged again before it had the answer to its last ping"));
        }
        self.is_awaited = true;
        Ok(())
    }

    pub(super) fn say_pong(&mut self, at: Duration) {
        (self.is_awaited, self.said_at) = (false, Some(at));
    }
}
