//! What is different for clients of Socket.IO 2 (Engine.IO protocol v3).
//!
//! * They are in `/` without asking, and CONNECT carries no ids.
//! * They ask for other namespaces by `/name?query`, and the query is what
//!   newer clients send as auth payload.
//! * A refusal is any JSON, a string as a rule.
//! * They ping; see [`Heartbeat`](crate::engineio::Heartbeat).
//!
//! # Spec
//!
//! Socket.IO protocol v4; Engine.IO protocol v3.

use std::borrow::Cow;
use std::time::Instant;

use serde_json::Value;

use super::{Actions, ConnId, Hub};
use crate::engineio::Revision;
use crate::websocket::decode_query;

impl Hub {
    pub(super) fn revision(&self, conn: ConnId) -> Revision {
        self.connection(conn).map_or(Revision::V4, |connection| connection.revision)
    }

    /// Asks for `/` in the client's place.
    pub(super) fn connect_to_root(&mut self, conn: ConnId, actions: &mut Actions) {
        let asked = self.connect(conn, "/", None, actions);
        debug_assert!(asked.is_ok(), "a fresh connection is in no namespace");
    }

    /// Every packet shows that a client that pings is alive.
    pub(super) fn note_sign_of_life(&mut self, conn: ConnId, now: Instant) {
        let silence_max = self.limits.silence_max();
        let Some(connection) = self.open_connection(conn) else { return };
        if connection.revision == Revision::V3 {
            let previous = connection.deadline();
            connection.heartbeat.handle_packet(now, silence_max);
            self.schedule(conn, previous);
        }
    }

    /// A refusal (an object with `message` and perhaps `data`) as this client expects it.
    pub(super) fn refusal_for<'a>(&self, conn: ConnId, json: &'a str) -> Cow<'a, str> {
        match self.revision(conn) {
            Revision::V3 => {
                let mut refusal: Value = serde_json::from_str(json).unwrap_or_default();
                let key = if refusal["data"].is_null() { "message" } else { "data" };
                Cow::Owned(refusal[key].take().to_string())
            }
            Revision::V4 => Cow::Borrowed(json),
        }
    }
}

/// A namespace's name without the query that old clients put behind it.
pub(super) fn name(revision: Revision, namespace: &str) -> &str {
    match revision {
        Revision::V3 => namespace.split_once('?').map_or(namespace, |(name, _)| name),
        Revision::V4 => namespace,
    }
}

/// The query behind an old client's namespace, as an auth payload.
pub(super) fn query_auth(revision: Revision, namespace: &str) -> Option<String> {
    let (_, query) = match revision {
        Revision::V3 => namespace.split_once('?')?,
        Revision::V4 => return None,
    };
    let pairs = decode_query(query).into_iter();
    let auth: serde_json::Map<_, _> =
        pairs.map(|(key, value)| (key, Value::String(value))).collect();
    Some(Value::Object(auth).to_string())
}
