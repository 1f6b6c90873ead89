//! What a client is told before it connects.

use std::sync::Arc;
use std::time::Duration;

use crate::socketio::Limits;

use super::Recovery;

/// How a client's packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// In HTTP requests and their answers.
    Polling,
    /// In HTTP requests, until a WebSocket beside them has taken over: what stock clients
    /// do unless they are told otherwise. If there can be no WebSocket, it stays polling.
    PollingThenUpgrade,
    /// Over a WebSocket from the first packet on: one stream and the fewest round trips.
    /// The default here, where a program knows its server; polling is for browsers
    /// behind proxies that they do not know.
    #[default]
    WebSocket,
}

/// What all connections of a client have in common, and those of many clients.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `Host` header.
    pub host: String,
    /// The path of the server's Socket.IO endpoint, with a slash at both ends.
    pub path: String,
    /// How packets travel.
    pub transport: Transport,
    /// More headers for the handshake, and for all requests of one that polls.
    pub headers: Vec<(String, String)>,
    /// From a stream (for a namespace joined later: from its CONNECT) to the
    /// server's answer to CONNECT.
    pub connect_timeout: Duration,
    /// How long the server may take to close its end after we have closed ours.
    pub close_timeout: Duration,
    /// What the server may send at most.
    pub limits: Limits,
    /// The most bytes that may wait for a stream that does not take them.
    pub backlog_bytes_max: usize,
    /// The most bytes in the server's answer to one HTTP request.
    pub answer_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            path: "/socket.io/".to_owned(),
            transport: Transport::default(),
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            backlog_bytes_max: 1024 * 1024,
            answer_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A namespace to join, and what to say there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its name; shared, since thousands of clients join the same one.
    pub namespace: Arc<str>,
    /// The text of a JSON object: who we are.
    pub auth: Option<Box<str>>,
    /// Who we were there, if we want to be taken for that again.
    pub recovery: Option<Recovery>,
}

impl Join {
    /// Joins `namespace` without saying who we are.
    ///
    /// # Panics
    ///
    /// If the name does not begin with a slash, or has a comma.
    pub fn new(namespace: impl Into<Arc<str>>) -> Self {
        let namespace = namespace.into();
        assert!(namespace.starts_with('/') && !namespace.contains(','), "{namespace:?}");
        Self { namespace, auth: None, recovery: None }
    }

    /// Says who we are: the text of a JSON object.
    #[must_use]
    pub fn with_auth(self, json: impl Into<Box<str>>) -> Self {
        Self { auth: Some(json.into()), ..self }
    }

    /// Says who we were. Whether the server takes us for that, the answer says.
    #[must_use]
    pub fn with_recovery(self, recovery: Recovery) -> Self {
        Self { recovery: Some(recovery), ..self }
    }
}
