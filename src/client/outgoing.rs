//! What a client can say: to a namespace, or by leaving one.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use crate::socketio::{Kind, encode_head};
use crate::websocket::{Opcode, encode};

use super::namespace::{Connecting, Membership, Namespace};
use super::session::{Core, State};
use super::tap::Way;
use super::{CloseReason, Join};

/// Nothing was sent: the namespace is not, or no longer, connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("namespace is not connected")]
pub struct NotConnected;

/// One moment of a session in which something can be sent.
///
/// Arguments are the text of a JSON array, which begins with the event's name except
/// in an ack, and go out as they are; [`args`] makes one. Placeholders in it must number
/// all the attachments, as in [`Args::new`](crate::socketio::Args::new).
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(super) core: &'a mut Core,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) now: Instant,
}

impl Outgoing<'_> {
    /// Answers an event of the server that carried this id.
    ///
    /// # Errors
    ///
    /// [`NotConnected`]; the server does not wait for the answer any more.
    pub fn ack(
        &mut self,
        namespace: &str,
        id: u64,
        json: &str,
        attachments: &[Bytes],
    ) -> Result<(), NotConnected> {
        self.check_connected(namespace)?;
        self.core.packet(Kind::Ack, namespace, Some(id), json, attachments, self.out);
        Ok(())
    }

    /// Closes the connection gracefully: leaves all namespaces, then says so to the
    /// WebSocket.
    ///
    /// Nothing is heard after this call. The session has ended once the server has
    /// closed its end too, or has had the time for it.
    pub fn close(&mut self) {
        for index in 0..self.core.namespaces.len() {
            self.leave(index);
        }
        self.core.begin_close(CloseReason::Client, self.now, self.out);
    }

    /// Joins a namespace, one left before included. One that is connected, or being
    /// connected, is left alone; if it was left so early that the first CONNECT is not
    /// answered yet, that one and its `auth` stand.
    pub fn connect(&mut self, join: Join) {
        let until = self.now + self.core.options.connect_timeout;
        let Join { namespace: name, auth, recovery } = join;
        let recovery = recovery.map(Box::new);
        let known = self.core.namespaces.iter_mut().find(|namespace| namespace.name == name);
        match known {
            Some(Namespace {
                state: Membership::Connected | Membership::Connecting(_), ..
            }) => {
                return;
            }
            Some(namespace) if matches!(namespace.state, Membership::Leaving) => {
                namespace.state = Membership::Connecting(Connecting::new(None, until, false));
                return;
            }
            Some(namespace) => {
                namespace.state = Membership::Connecting(Connecting::new(auth, until, true));
                namespace.recovery = recovery;
            }
            None => {
                let state = Membership::Connecting(Connecting::new(auth, until, false));
                self.core.namespaces.push(Namespace { name: Arc::clone(&name), state, recovery });
            }
        }
        if matches!(self.core.state, State::Open { .. }) {
            self.core.send_connect(&name, self.out);
        }
    }

    /// Leaves a namespace. Nothing of it is heard after this call. Leaving the last
    /// one closes the connection.
    pub fn disconnect(&mut self, namespace: &str) {
        if let Some(index) = self.core.position(namespace) {
            self.leave(index);
            self.core.close_if_abandoned(CloseReason::Client, self.now, self.out);
        }
    }

    /// Emits an event.
    ///
    /// # Errors
    ///
    /// [`NotConnected`]: nothing is kept for later.
    pub fn emit(
        &mut self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
    ) -> Result<(), NotConnected> {
        self.check_connected(namespace)?;
        self.core.packet(Kind::Event, namespace, None, json, attachments, self.out);
        Ok(())
    }

    /// Emits an event that the server is to answer with an ack of the returned id.
    /// Ids count up from 0 over all namespaces of a connection.
    ///
    /// # Errors
    ///
    /// [`NotConnected`]: nothing is kept for later.
    pub fn emit_with_ack(
        &mut self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
    ) -> Result<u64, NotConnected> {
        self.check_connected(namespace)?;
        let id = self.core.ack_next;
        self.core.ack_next += 1;
        self.core.packet(Kind::Event, namespace, Some(id), json, attachments, self.out);
        Ok(id)
    }

    /// Whether something can be emitted to this namespace now.
    pub fn is_connected(&self, namespace: &str) -> bool {
        self.check_connected(namespace).is_ok()
    }

    /// The time that the driver gave with the bytes.
    pub fn now(&self) -> Instant {
        self.now
    }

    fn check_connected(&self, namespace: &str) -> Result<(), NotConnected> {
        match (&self.core.state, self.core.position(namespace)) {
            (State::Open { .. }, Some(index))
                if matches!(self.core.namespaces[index].state, Membership::Connected) =>
            {
                Ok(())
            }
            _ => Err(NotConnected),
        }
    }

    fn leave(&mut self, index: usize) {
        let is_open = matches!(self.core.state, State::Open { .. });
        let namespace = &self.core.namespaces[index];
        let state = match namespace.state {
            Membership::Connected if is_open => {
                let name = Arc::clone(&namespace.name);
                self.core.packet(Kind::Disconnect, &name, None, "", &[], self.out);
                Membership::Left
            }
            Membership::Connecting(_) if is_open => Membership::Leaving,
            Membership::Leaving => Membership::Leaving,
            Membership::Connected | Membership::Connecting(_) | Membership::Left => {
                Membership::Left
            }
        };
        self.core.namespaces[index].state = state;
    }
}

impl Core {
    /// Appends one packet with its attachments, which are adjacent on the wire.
    pub(super) fn packet(
        &mut self,
        kind: Kind,
        namespace: &str,
        id: Option<u64>,
        json: &str,
        attachments: &[Bytes],
        out: &mut Vec<u8>,
    ) {
        let mut head = "4".to_owned();
        encode_head(kind, attachments.len(), namespace, id, &mut head);
        self.frame(Opcode::Text, &[head.as_bytes(), json.as_bytes()], out);
        for attachment in attachments {
            self.frame(Opcode::Binary, &[attachment], out);
        }
    }

    pub(super) fn frame(&mut self, opcode: Opcode, parts: &[&[u8]], out: &mut Vec<u8>) {
        // What is queued is told when it leaves.
        if !self.is_polling {
            self.tap.tell_said(Way::WebSocket, opcode, parts);
        }
        let mask = (!self.is_polling).then(|| self.random.next_mask());
        encode(opcode, parts, mask, out);
    }
}

/// The arguments of an event: its name, then the elements of `values`, which is a
/// tuple, an array or a slice.
///
/// # Errors
///
/// Whatever `values` itself fails with.
///
/// # Panics
///
/// If `values` is not written as a JSON array.
pub fn args(event: &str, values: &impl Serialize) -> serde_json::Result<String> {
    let values = serde_json::to_string(values)?;
    let values = values.strip_prefix('[').expect("arguments are a tuple, an array or a slice");
    let separator = if values == "]" { "" } else { "," };
    Ok(format!("[{}{separator}{values}", serde_json::to_string(event)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_the_name() {
        let nothing: [u8; 0] = [];
        assert_eq!(args("a", &nothing).unwrap(), r#"["a"]"#);
        assert_eq!(args("a\"", &("b",)).unwrap(), r#"["a\"","b"]"#);
        assert_eq!(args("a", &("b", 1, [true])).unwrap(), r#"["a","b",1,[true]]"#);
    }
}
