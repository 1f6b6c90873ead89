//! Engine.IO without Socket.IO: messages as they are.

use std::fmt;
use std::rc::Rc;

use super::handler::Run;
use crate::hub::{ConnId, Event, RawMessage, Reason};
use crate::shard::Core;
use crate::websocket::{Opcode, close_code, encode};

/// A handle to one Engine.IO connection of an application without namespaces;
/// see [`Io::raw`](super::Io::raw).
///
/// Cloning is cheap, and what is sent to a connection that has gone is dropped.
#[derive(Clone)]
pub struct RawConnection {
    core: Rc<Core>,
    conn: ConnId,
}

pub(super) type OnMessage = Box<dyn Fn(RawConnection, RawMessage) -> Run>;

impl RawConnection {
    pub(super) fn new(core: Rc<Core>, conn: ConnId) -> Self {
        Self { core, conn }
    }

    /// Names the connection within its shard.
    pub fn id(&self) -> ConnId {
        self.conn
    }

    /// Sends a text message.
    pub fn send_text(&self, text: &str) {
        self.send(Opcode::Text, &[b"4", text.as_bytes()]);
    }

    /// Sends a binary message.
    pub fn send_binary(&self, bytes: &[u8]) {
        self.send(Opcode::Binary, &[bytes]);
    }

    /// Closes the connection, after what was sent.
    pub fn close(&self) {
        let (conn, close_code) = (self.conn, close_code::NORMAL_CLOSURE);
        let reason = Reason::ServerNamespaceDisconnect;
        self.core.handle(Event::Close { conn, close_code, reason });
    }

    fn send(&self, opcode: Opcode, parts: &[&[u8]]) {
        let mut frame = Vec::new();
        encode(opcode, parts, None, &mut frame);
        self.core.send_frame(self.conn, &frame);
    }
}

impl fmt::Debug for RawConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawConnection").field("conn", &self.conn).finish_non_exhaustive()
    }
}
