//! What a session makes of the messages of a server.

use std::sync::Arc;
use std::time::Instant;

use crate::engineio::{Open, Packet};
use crate::socketio::{Args, Incoming, Kind};
use crate::websocket::{Message, Opcode, encode_close};

use super::namespace::{Membership, Namespace};
use super::session::{Core, State, Turn};
use super::{CloseReason, Event, Outgoing, ProtocolError, Recovery};

impl Core {
    pub(super) fn handle_message(
        &mut self,
        message: Message<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        match (message, &self.state) {
            (Message::Close(_), State::Closing(_)) => self.end(CloseReason::Client),
            // Whatever else arrives now was sent to somebody who has left.
            (_, State::Closing(_) | State::Closed(_)) => {}
            (Message::Close(code), _) => {
                self.fail(CloseReason::WebSocketClosed(code), turn.out);
            }
            (Message::Ping(payload), _) => self.frame(Opcode::Pong, &[payload], turn.out),
            (Message::Pong(_), _) => {}
            (Message::Text(text), _) => self.handle_packet(Packet::decode(text)?, turn)?,
            (Message::Binary(bytes), State::Open { .. }) => {
                if let Some(incoming) = self.packets.binary(bytes, &self.options.limits)? {
                    self.handle_incoming(incoming, turn)?;
                }
            }
            (Message::Binary(_), State::Opening | State::Upgrading(_)) => {
                return Err(ProtocolError::NotOpen);
            }
        }
        Ok(())
    }

    fn handle_packet(
        &mut self,
        packet: Packet<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        match (packet, &mut self.state) {
            (Packet::Close, _) => self.fail(CloseReason::EngineClosed, turn.out),
            (Packet::Noop, _) => {}
            (Packet::Pong(_) | Packet::Upgrade, _) => return Err(ProtocolError::WrongDirection),
            (Packet::Open(json), State::Opening) => self.open(&Open::decode(json)?, turn),
            (Packet::Open(_), _) => return Err(ProtocolError::OpenTwice),
            (Packet::Message(text), State::Open { .. }) => {
                if let Some(incoming) = self.packets.text(text, &self.options.limits)? {
                    self.handle_incoming(incoming, turn)?;
                }
            }
            (Packet::Ping(data), State::Open { silence_max, dead_at }) => {
                *dead_at = turn.now + *silence_max;
                self.pongs = self.pongs.saturating_add(1);
                self.frame(Opcode::Text, &[b"3", data.as_bytes()], turn.out);
            }
            (Packet::Message(_) | Packet::Ping(_), _) => return Err(ProtocolError::NotOpen),
        }
        Ok(())
    }

    fn open(&mut self, open: &Open, turn: &mut Turn<'_>) {
        let silence_max = open.ping_interval + open.ping_timeout;
        self.state = State::Open { silence_max, dead_at: turn.now + silence_max };
        self.phases.opened_at = Some(turn.now);
        for index in 0..self.namespaces.len() {
            let name = Arc::clone(&self.namespaces[index].name);
            self.send_connect(&name, turn.out);
        }
        self.tell(Event::Opened { open }, turn);
    }

    fn handle_incoming(
        &mut self,
        incoming: Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        let (Incoming::Ack { namespace, .. }
        | Incoming::Connect { namespace, .. }
        | Incoming::ConnectError { namespace, .. }
        | Incoming::Disconnect { namespace }
        | Incoming::Event { namespace, .. }) = &incoming;
        let Some(index) = self.position(namespace) else {
            return Err(ProtocolError::UnknownNamespace(namespace.to_string()));
        };
        match &self.namespaces[index].state {
            Membership::Connected => self.handle_connected(index, incoming, turn),
            Membership::Connecting(_) => self.handle_connecting(index, incoming, turn),
            Membership::Leaving => {
                self.handle_leaving(index, &incoming, turn);
                Ok(())
            }
            // The server may not know yet that we have left.
            Membership::Left => Ok(()),
        }
    }

    fn handle_connected(
        &mut self,
        index: usize,
        incoming: Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        match incoming {
            Incoming::Ack { namespace, id, args } => {
                if id < self.ack_next {
                    self.tell(Event::Ack { namespace: &namespace, id, args }, turn);
                }
            }
            Incoming::Connect { namespace, .. } | Incoming::ConnectError { namespace, .. } => {
                return Err(ProtocolError::ConnectTwice(namespace.into_owned()));
            }
            Incoming::Disconnect { namespace } => self.put_out(index, &namespace, turn),
            Incoming::Event { namespace, id, args } => {
                self.hear(index, &namespace, id, args, turn);
            }
        }
        Ok(())
    }

    fn handle_connecting(
        &mut self,
        index: usize,
        incoming: Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        match incoming {
            Incoming::Ack { .. } => {}
            Incoming::Connect { namespace, data } => {
                let answer = connect_answer(data.as_deref())?;
                self.enter(index, &namespace, answer, turn);
            }
            Incoming::ConnectError { namespace, data } => {
                self.namespaces[index].state = Membership::Left;
                let refused = Event::Refused { namespace: &namespace, data: data.as_deref() };
                self.tell(refused, turn);
                self.close_if_abandoned(CloseReason::Refused, turn.now, turn.out);
            }
            Incoming::Disconnect { namespace } => self.put_out(index, &namespace, turn),
            Incoming::Event { id, args, .. } => {
                let options = Arc::clone(&self.options);
                if let Membership::Connecting(connecting) = &mut self.namespaces[index].state {
                    connecting.keep(id, args, &options)?;
                }
            }
        }
        Ok(())
    }

    /// The answer to CONNECT finds nobody.
    fn handle_leaving(&mut self, index: usize, incoming: &Incoming<'_>, turn: &mut Turn<'_>) {
        match incoming {
            Incoming::Connect { namespace, .. } => {
                self.packet(Kind::Disconnect, namespace, None, "", &[], turn.out);
            }
            Incoming::ConnectError { .. } | Incoming::Disconnect { .. } => {}
            Incoming::Ack { .. } | Incoming::Event { .. } => return,
        }
        self.namespaces[index].state = Membership::Left;
    }

    /// CONNECT was answered: says so, and then what came too early.
    fn enter(&mut self, index: usize, namespace: &str, answer: Answer, turn: &mut Turn<'_>) {
        let Answer { sid, pid } = answer;
        let recovered = Recovery::handle_answer(&mut self.namespaces[index].recovery, pid);
        let state = &mut self.namespaces[index].state;
        let before = std::mem::replace(state, Membership::Connected);
        let connecting =
            |namespace: &Namespace| matches!(namespace.state, Membership::Connecting(_));
        if self.phases.connected_at.is_none() && !self.namespaces.iter().any(connecting) {
            self.phases.connected_at = Some(turn.now);
        }
        self.tell(Event::Connected { namespace, sid: &sid, recovered }, turn);
        let Membership::Connecting(connecting) = before else { return };
        for (id, args) in connecting.into_early() {
            // The handler may have left meanwhile.
            let outgoing = Outgoing { core: self, out: turn.out, now: turn.now };
            if outgoing.is_connected(namespace) {
                self.hear(index, namespace, id, args, turn);
            }
        }
    }

    /// An event has arrived, and somebody hears it.
    fn hear(
        &mut self,
        index: usize,
        namespace: &str,
        id: Option<u64>,
        args: Args<'_>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(recovery) = &mut self.namespaces[index].recovery {
            recovery.handle_event(&args);
        }
        self.tell(Event::Event { namespace, id, args }, turn);
    }

    fn put_out(&mut self, index: usize, namespace: &str, turn: &mut Turn<'_>) {
        self.namespaces[index].state = Membership::Left;
        self.tell(Event::Disconnected { namespace }, turn);
        self.close_if_abandoned(CloseReason::ServerDisconnected, turn.now, turn.out);
    }

    fn tell(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        (turn.handler)(event, &mut Outgoing { core: self, out: turn.out, now: turn.now });
    }

    pub(super) fn position(&self, namespace: &str) -> Option<usize> {
        self.namespaces.iter().position(|known| &*known.name == namespace)
    }

    /// Sends CONNECT for a namespace that is not connected yet, with what it is to be
    /// told there.
    pub(super) fn send_connect(&mut self, namespace: &str, out: &mut Vec<u8>) {
        let Some(index) = self.position(namespace) else { return };
        let Membership::Connecting(connecting) = &mut self.namespaces[index].state else { return };
        let auth = connecting.auth.take().unwrap_or_default();
        let json = match &self.namespaces[index].recovery {
            Some(recovery) => recovery.connect_json(&auth),
            None => auth.into(),
        };
        self.packet(Kind::Connect, namespace, None, &json, &[], out);
    }

    /// Closes the connection if there is no namespace left to use it.
    pub(super) fn close_if_abandoned(
        &mut self,
        reason: CloseReason,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let left = |namespace: &Namespace| {
            matches!(namespace.state, Membership::Leaving | Membership::Left)
        };
        if self.namespaces.iter().all(left) {
            self.begin_close(reason, now, out);
        }
    }

    /// Says that we are done, and waits for the server to say so too.
    pub(super) fn begin_close(&mut self, reason: CloseReason, now: Instant, out: &mut Vec<u8>) {
        match self.state {
            State::Closed(_) | State::Closing(_) => {}
            State::Upgrading(_) => self.end(reason),
            // There is nobody yet to say it to.
            State::Opening if self.is_polling => self.end(reason),
            State::Open { .. } if self.is_polling => {
                self.frame(Opcode::Text, &[b"1"], out);
                let until = now + self.options.close_timeout;
                self.state = State::Closing(Box::new((reason, until)));
            }
            State::Open { .. } | State::Opening => {
                encode_close(CloseReason::Client.close_code(), Some(self.random.next_mask()), out);
                let until = now + self.options.close_timeout;
                self.state = State::Closing(Box::new((reason, until)));
            }
        }
    }

    /// Ends the session at once; where there is a WebSocket, with a close frame.
    pub(super) fn fail(&mut self, reason: CloseReason, out: &mut Vec<u8>) {
        let is_websocket = !self.is_polling;
        if is_websocket && matches!(self.state, State::Open { .. } | State::Opening) {
            encode_close(reason.close_code(), Some(self.random.next_mask()), out);
        }
        self.end(reason);
    }

    pub(super) fn end(&mut self, reason: CloseReason) {
        let reason = match std::mem::replace(&mut self.state, State::Opening) {
            State::Closed(first) => *first,
            State::Closing(closing) => closing.0,
            State::Open { .. } | State::Opening | State::Upgrading(_) => reason,
        };
        self.state = State::Closed(Box::new(reason));
    }
}

/// The answer to CONNECT: our id in the namespace, and the private one of our session there.
#[derive(serde::Deserialize)]
struct Answer {
    sid: String,
    #[serde(default)]
    pid: Option<Box<str>>,
}

fn connect_answer(data: Option<&str>) -> Result<Answer, ProtocolError> {
    let answer = data.and_then(|json| serde_json::from_str(json).ok());
    answer.ok_or(ProtocolError::ConnectData)
}
