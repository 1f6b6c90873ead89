//! What a server is to be like.

use std::fmt;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use crate::hub::Limits;

/// What a server is to be like. [`Config::default`] suits a public chat.
#[derive(Clone)]
pub struct Config {
    /// Bounds and times of the protocol.
    pub limits: Limits,
    /// The path that Socket.IO is served under, with both slashes.
    pub path: String,
    /// Threads that share the connections; by default one for each core.
    pub shards: usize,
    /// Bytes that may wait for a peer that does not read; one more and it is closed.
    pub outbound_bytes_max: usize,
    /// Events of one connection that may wait for handlers; from there on it is not read.
    pub events_waiting_max: usize,
    /// How long a closing connection may take to accept what is pending.
    pub close_timeout: Duration,
    /// What ids are made from. The default is fresh from the operating system;
    /// who sets it in production makes its sessions guessable.
    pub seed: [u8; 32],
}

impl Default for Config {
    fn default() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system has randomness");
        Self {
            limits: Limits::default(),
            path: "/socket.io/".to_owned(),
            shards: thread::available_parallelism().map_or(1, NonZero::get),
            outbound_bytes_max: 4 << 20,
            events_waiting_max: 1024,
            close_timeout: Duration::from_secs(2),
            seed,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the seed: session ids follow from it.
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
