//! What a server is to be like.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::hub::{Limits, Policy};

/// What a server is to be like. [`Config::default`] suits a public chat.
#[derive(Clone)]
pub struct Config {
    /// Bounds and times of the protocol.
    pub limits: Limits,
    /// The path that Socket.IO is served under, with both slashes.
    pub path: String,
    /// Bytes that may wait for a peer that does not read; at one more the policy applies.
    pub outbound_bytes_max: usize,
    /// Packets that may wait for a peer that does not read; at one more the policy applies.
    pub outbound_packets_max: usize,
    /// The policy of each namespace that has none of its own.
    pub policy: Policy,
    /// Events of one connection that may wait for handlers; from there on it is not read,
    /// and not blamed for silence.
    pub events_waiting_max: usize,
    /// How long a closing connection may take to accept what is pending.
    pub close_timeout: Duration,
    /// Within how long the sessions of a server that is to end are to be connected
    /// elsewhere. They are told to go one by one, so that they do not all come back
    /// at the same moment, the last one 1.5 s before the end (at half of a window
    /// shorter than 3 s): so long a stock client takes at most. Zero: all at once.
    pub drain_window: Duration,
    /// Whether clients of Socket.IO 2 (Engine.IO protocol v3) are served too.
    pub allow_eio3: bool,
    /// Which other sites' pages may use long-polling; none, if not set.
    pub cors: Option<Cors>,
    /// A cookie with the Engine.IO id, for load balancers; none, if not set.
    pub cookie: Option<Cookie>,
    /// Whether answers to polls are compressed for who accepts it, from 1 KiB on.
    pub http_compression: bool,
    /// Whether messages of WebSockets are compressed for who accepts it
    /// (permessage-deflate, without a context).
    pub websocket_compression: bool,
    /// Shorter messages of WebSockets, in bytes, are not compressed.
    pub websocket_compression_threshold_bytes: usize,
    /// How long an HTTP connection may be idle between two requests.
    pub keep_alive_timeout: Duration,
    /// How long a WebSocket may take to become the transport of a polling session.
    pub upgrade_timeout: Duration,
    /// Whether the request that a connection began with is kept for the application;
    /// it costs what its text does, a browser's about half a kilobyte.
    pub keep_handshake: bool,
    /// Tells the time of day, for handshakes.
    pub time_of_day: fn() -> SystemTime,
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
            outbound_bytes_max: 4 << 20,
            outbound_packets_max: 16_384,
            policy: Policy::Disconnect,
            events_waiting_max: 1024,
            close_timeout: Duration::from_secs(2),
            drain_window: Duration::ZERO,
            allow_eio3: false,
            cors: None,
            cookie: None,
            http_compression: true,
            websocket_compression: false,
            websocket_compression_threshold_bytes: 1024,
            keep_alive_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            keep_handshake: true,
            time_of_day,
            seed,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a simulation sets a clock of its own")]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// Which pages of other sites may speak to the server over HTTP.
///
/// Browsers do not ask for WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// From where.
    pub origins: Origins,
    /// Whether they may send cookies; not allowed to [`Origins::Any`].
    pub credentials: bool,
}

/// The sites that pages may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All of them.
    Any,
    /// These alone, each written as browsers do: `https://chat.example.com`.
    These(Vec<String>),
}

/// A cookie with the Engine.IO id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// The path that it is sent for.
    pub path: String,
    /// Whether scripts of the page can not read it.
    pub http_only: bool,
    /// When it is sent along with requests of other sites' pages.
    pub same_site: SameSite,
    /// How long it is kept; for the browser's session, if not set.
    pub max_age: Option<Duration>,
}

/// When a cookie is sent along with requests of other sites' pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// When such a page links here.
    Lax,
    /// Always; over TLS only.
    None,
    /// Never.
    Strict,
}

impl Default for Cookie {
    /// As Node's servers have it.
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: "/".to_owned(),
            http_only: true,
            same_site: SameSite::Lax,
            max_age: None,
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
