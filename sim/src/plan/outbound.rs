//! How much the engine may keep for a client that does not read.

use serde::{Deserialize, Serialize};

use super::Plan;

/// What may wait for one client, and what is done at one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Packets that may wait.
    pub packets_max: u32,
    /// Bytes that may wait.
    pub bytes_max: u32,
    /// What is done at one more.
    pub policy: Policy,
}

impl Outbound {
    /// Whether nothing may wait at all.
    pub(super) fn is_empty(self) -> bool {
        self.packets_max == 0 || self.bytes_max == 0
    }
}

/// What is done with a client that does not read, or with what is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Its connection is closed.
    Disconnect,
    /// It does not get the new event.
    DropNewest,
    /// It does not get those that have waited longest.
    DropOldest,
}

impl Policy {
    /// Whether events are lost that were accepted.
    pub fn drops(self) -> bool {
        match self {
            Self::Disconnect => false,
            Self::DropNewest | Self::DropOldest => true,
        }
    }
}

impl Plan {
    /// Whether it lets anything go wrong, or lets the server close who is only a little slow.
    pub(crate) fn disturbs(&self) -> bool {
        !self.faults.is_empty() || self.server.outbound.is_some()
    }
}
