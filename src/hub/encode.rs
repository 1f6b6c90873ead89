//! Packets to frames, in the words of each recipient's parser.
//!
//! A message to many is encoded once for all who have the same parser; nearly
//! always that is everybody.

use super::connection::Connection;
use super::{Action, Actions, ConnId, Hub, Loss, Payload};
use crate::socketio::{self, Kind, Parser, msgpack};
use crate::websocket::{Opcode, encode};

/// How the arguments of a stamped message end: an object, then the array.
pub(super) const STAMPED_END: &str = "}]";

/// One packet to be encoded.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) kind: Kind,
    /// The namespace's name.
    pub(super) namespace: &'a str,
    pub(super) id: Option<u64>,
    pub(super) payload: Payload<'a>,
    /// Replaces the last two characters of the arguments, if there is any.
    pub(super) stamp: &'a [&'a str],
    /// A further argument, from which a client that comes back goes on.
    pub(super) offset: Option<&'a str>,
}

impl<'a> Outgoing<'a> {
    /// An event without an ack or a stamp.
    pub(super) fn event(namespace: &'a str, payload: Payload<'a>) -> Self {
        Self { kind: Kind::Event, namespace, id: None, payload, stamp: &[], offset: None }
    }
}

impl Hub {
    /// Which parser a connection's client has, as far as it has said.
    fn parser(&self, conn: ConnId) -> Parser {
        self.connection(conn).and_then(|connection| connection.parser).unwrap_or_default()
    }

    /// Notes which parser a client has, by its first packet; says whether `parser` is it.
    pub(super) fn speaks(&mut self, conn: ConnId, parser: Parser) -> bool {
        let Some(connection) = self.open_connection(conn) else { return false };
        let is_first = connection.parser.is_none();
        let known = *connection.parser.get_or_insert(parser);
        self.in_msgpack += usize::from(is_first && known == Parser::MessagePack);
        known == parser
    }

    /// A connection has gone: if it was the last one of its parser, nobody encodes for that.
    pub(super) fn forget_parser(&mut self, connection: &Connection) {
        self.in_msgpack -= usize::from(connection.parser == Some(Parser::MessagePack));
    }

    /// Encodes a packet for one connection, behind what [`Actions::bytes`] holds.
    pub(super) fn encode_for(&self, conn: ConnId, packet: Outgoing<'_>, actions: &mut Actions) {
        actions.encode(self.parser(conn), packet);
    }

    /// Sends a packet to one connection.
    pub(super) fn send_to(&self, conn: ConnId, packet: Outgoing<'_>, actions: &mut Actions) {
        let start = actions.bytes.len();
        self.encode_for(conn, packet, actions);
        actions.push_send(start, [conn], Loss::Never);
    }

    /// Sends one packet that is neither an event nor an ack; `json` may be empty.
    pub(super) fn send_packet(
        &self,
        kind: Kind,
        namespace: &str,
        json: &str,
        to: ConnId,
        actions: &mut Actions,
    ) {
        let payload = Payload { json, attachments: &[] };
        self.send_to(to, Outgoing { kind, ..Outgoing::event(namespace, payload) }, actions);
    }

    /// Sends a packet to the recipients since `first` in [`Actions::recipients`].
    pub(super) fn send_to_many(
        &self,
        first: usize,
        packet: Outgoing<'_>,
        loss: Loss,
        actions: &mut Actions,
    ) {
        let frame = actions.bytes.len();
        if self.in_msgpack == 0 {
            if actions.recipients.len() > first {
                actions.encode(Parser::Json, packet);
            }
            return actions.finish_send(frame, first, loss);
        }
        let (json, msgpack): (Vec<ConnId>, Vec<ConnId>) =
            actions.recipients.drain(first..).partition(|&conn| self.parser(conn) == Parser::Json);
        for (parser, to) in [(Parser::Json, json), (Parser::MessagePack, msgpack)] {
            if !to.is_empty() {
                let frame = actions.bytes.len();
                actions.encode(parser, packet);
                actions.push_send(frame, to, loss);
            }
        }
    }
}

impl Actions {
    /// Sends one Engine.IO text packet, given in parts.
    pub(super) fn send_text(&mut self, parts: &[&str], to: ConnId) {
        let frame = self.bytes.len();
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        encode(Opcode::Text, &parts, None, &mut self.bytes);
        self.push_send(frame, [to], Loss::Never);
    }

    /// Encodes a packet, each frame complete, all of them adjacent.
    fn encode(&mut self, parser: Parser, packet: Outgoing<'_>) {
        let Outgoing { kind, namespace, id, payload, stamp, offset } = packet;
        let stamp = if stamp.is_empty() { &[][..] } else { &stamp[..stamp.len() - 1] };
        let (cut, end) = match (stamp.is_empty(), offset.is_none()) {
            (true, true) => (0, [""; 4]),
            (true, false) => (1, [",\"", offset.unwrap_or_default(), "\"]", ""]),
            (false, true) => (STAMPED_END.len(), [STAMPED_END, "", "", ""]),
            (false, false) => (STAMPED_END.len(), ["}", ",\"", offset.unwrap_or_default(), "\"]"]),
        };
        let json = &payload.json[..payload.json.len() - cut];
        if parser == Parser::MessagePack {
            let json = format!("{json}{}{}", stamp.concat(), end.concat());
            let json = (!json.is_empty()).then_some(&*json);
            let mut body = Vec::new();
            msgpack::encode(kind, namespace, id, json, payload.attachments, &mut body);
            return encode(Opcode::Binary, &[&body], None, &mut self.bytes);
        }
        let mut head = String::new();
        socketio::encode_head(kind, payload.attachments.len(), namespace, id, &mut head);
        let mut parts: [&[u8]; 12] = [&[]; 12];
        parts[0] = b"4";
        parts[1] = head.as_bytes();
        parts[2] = json.as_bytes();
        for (part, text) in parts[3..].iter_mut().zip(stamp.iter().chain(&end)) {
            *part = text.as_bytes();
        }
        encode(Opcode::Text, &parts, None, &mut self.bytes);
        for attachment in payload.attachments {
            encode(Opcode::Binary, &[attachment], None, &mut self.bytes);
        }
    }

    /// Ends a `Send` of the bytes since `frame`; without recipients there is none.
    pub(super) fn push_send(
        &mut self,
        frame: usize,
        to: impl IntoIterator<Item = ConnId>,
        loss: Loss,
    ) {
        let first = self.recipients.len();
        self.recipients.extend(to);
        self.finish_send(frame, first, loss);
    }

    /// As [`push_send`](Self::push_send), with the recipients since `first` already there.
    pub(super) fn finish_send(&mut self, frame: usize, first: usize, loss: Loss) {
        if self.recipients.len() == first {
            self.bytes.truncate(frame);
        } else {
            let (frame, to) = (frame..self.bytes.len(), first..self.recipients.len());
            self.list.push(Action::Send { frame, to, loss });
        }
    }
}
