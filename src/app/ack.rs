//! The answer to an event.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::args::{ToArgs, ack_json};
use super::emit::emit_to;
use crate::hub::{Event, Payload, SocketId};
use crate::shard::Core;

/// Answers one event. Of several answers (several handlers may listen to an
/// event) the first one counts; if the client wants no answer, nothing is sent.
#[derive(Debug)]
pub struct Ack {
    core: Rc<Core>,
    socket: SocketId,
    /// Emptied by the first answer.
    id: Rc<Cell<Option<u64>>>,
}

impl Ack {
    pub(super) fn new(core: Rc<Core>, socket: SocketId, id: Option<u64>) -> Self {
        Self { core, socket, id: Rc::new(Cell::new(id)) }
    }

    /// Another handle for the same answer.
    pub(super) fn share(&self) -> Self {
        Self { core: Rc::clone(&self.core), socket: self.socket, id: Rc::clone(&self.id) }
    }

    /// Whether the client waits for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.get().is_some()
    }

    /// Answers with `args`.
    pub fn send(self, args: impl ToArgs) {
        self.send_json(&ack_json(&args), args.attachments());
    }

    /// Answers with a JSON array as it is, and what its placeholders stand for.
    pub fn send_json(self, json: &str, attachments: &[Bytes]) {
        if let Some(id) = self.id.take() {
            self.core.handle(Event::Ack {
                socket: self.socket,
                id,
                payload: Payload { json, attachments },
            });
        }
    }

    /// Answers that what was asked for is refused; without an ack by the event `error_message`.
    pub fn refuse(self, error: &str) {
        if self.is_wanted() {
            self.send(refusal(error));
        } else {
            emit_to(&self.core, self.socket, "error_message", &refusal(error), false);
        }
    }
}

/// How a refusal looks on the wire.
pub fn refusal(error: &str) -> Value {
    json!({ "ok": false, "error": error })
}
