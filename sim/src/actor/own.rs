//! A client of somebody's own application: it says what its plan says, whatever that
//! means, and writes down what it hears.

use parlor::socketio::Args;
use serde_json::Value;

use super::{Actor, Ask, Emit};
use crate::history::{Event, SocketId};
use crate::plan::Say;

impl Actor {
    /// Whether a socket lives only once the server has said hello, as the chat does.
    pub(crate) fn is_greeted(&self) -> bool {
        self.plan.application.is_none()
    }

    /// CONNECT was answered: a new socket lives. Returns what it says first.
    pub(crate) fn handle_connect(&mut self, sid: &str) -> Vec<Emit> {
        let socket = self.stage.admit(sid);
        self.socket = Some(socket);
        let (client, sid, server) = (self.id, sid.to_owned(), String::new());
        self.stage.record(Event::Connected { socket, client, sid, server });
        let mut emits = Vec::new();
        for say in self.opening.clone() {
            emits.extend(self.call(&say));
        }
        let unanswered = self.unanswered.clone();
        emits.extend(unanswered.iter().map(|(&number, say)| self.say(socket, number, say)));
        emits
    }

    /// Says something, or remembers to say it if it is to be answered whatever happens.
    pub(super) fn call(&mut self, say: &Say) -> Option<Emit> {
        if self.socket.is_none() && !say.retries {
            return None;
        }
        let number = self.number();
        if say.retries {
            self.unanswered.insert(number, say.clone());
        }
        Some(self.say(self.socket?, number, say))
    }

    fn say(&self, socket: SocketId, number: u64, say: &Say) -> Emit {
        let (name, args) = (say.name.clone(), say.args.clone());
        self.stage.record(Event::Said { socket, number, name, args });
        let asks = say.ack.then_some(Ask::Call { number });
        Emit { json: say.json(), attachments: Vec::new(), asks }
    }

    pub(super) fn hear(&self, socket: SocketId, args: &Args<'_>) {
        let name = args.event().into_owned();
        let args = args.elements().skip(1).map(value).collect();
        self.stage.record(Event::Heard { socket, name, args });
    }

    pub(super) fn reply(&mut self, socket: SocketId, number: u64, args: &Args<'_>) {
        self.unanswered.remove(&number);
        let args = args.elements().map(value).collect();
        self.stage.record(Event::Replied { socket, number, args });
    }
}

/// Both sides' parsers have seen it before; what is still no JSON is kept as a text.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::from(json))
}
