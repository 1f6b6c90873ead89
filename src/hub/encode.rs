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

/// The decimal digits of a number, without a place on the heap: every message has some.
pub(super) struct Digits {
    bytes: [u8; Self::MAX],
    start: usize,
}

impl Digits {
    /// Those of 2^64 - 1.
    const MAX: usize = 20;

    pub(super) fn new(mut number: u64) -> Self {
        let (mut bytes, mut start) = ([b'0'; Self::MAX], Self::MAX - 1);
        bytes[start] += (number % 10) as u8;
        while number >= 10 {
            number /= 10;
            start -= 1;
            bytes[start] += (number % 10) as u8;
        }
        Self { bytes, start }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).expect("made of ASCII only")
    }
}

/// One packet to be encoded.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) kind: Kind,
    /// The namespace's name.
    pub(super) namespace: &'a str,
    pub(super) id: Option<u64>,
    pub(super) payload: Payload<'a>,
    /// A key and its number, put behind what the object that ends the arguments has.
    pub(super) stamp: Option<[&'a str; 2]>,
    /// A further argument, from which a client that comes back goes on.
    pub(super) offset: Option<&'a str>,
}

impl<'a> Outgoing<'a> {
    /// An event without an ack or a stamp.
    pub(super) fn event(namespace: &'a str, payload: Payload<'a>) -> Self {
        Self { kind: Kind::Event, namespace, id: None, payload, stamp: None, offset: None }
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
    pub(super) fn send_text<const N: usize>(&mut self, parts: [&str; N], to: ConnId) {
        let frame = self.bytes.len();
        encode(Opcode::Text, &parts.map(str::as_bytes), None, &mut self.bytes);
        self.push_send(frame, [to], Loss::Never);
    }

    /// Encodes a packet, each frame complete, all of them adjacent.
    fn encode(&mut self, parser: Parser, packet: Outgoing<'_>) {
        let Outgoing { kind, namespace, id, payload, stamp, offset } = packet;
        let (cut, end) = match (stamp, offset) {
            (None, None) => (0, [""; 3]),
            (None, Some(offset)) => (1, [",\"", offset, "\"]"]),
            (Some(_), None) => (STAMPED_END.len(), [STAMPED_END, "", ""]),
            (Some(_), Some(offset)) => (STAMPED_END.len(), ["},\"", offset, "\"]"]),
        };
        let json = &payload.json[..payload.json.len() - cut];
        let ([key, number], [end, offset, last]) = (stamp.unwrap_or_default(), end);
        if parser == Parser::MessagePack {
            let json = [json, key, number, end, offset, last].concat();
            let json = (!json.is_empty()).then_some(&*json);
            let mut body = Vec::new();
            msgpack::encode(kind, namespace, id, json, payload.attachments, &mut body);
            return encode(Opcode::Binary, &[&body], None, &mut self.bytes);
        }
        self.head.clear();
        self.head.push('4');
        socketio::encode_head(kind, payload.attachments.len(), namespace, id, &mut self.head);
        let parts = [&*self.head, json, key, number, end, offset, last].map(str::as_bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 7, 9, 10, 99, 100, 12_345, u64::MAX / 10, u64::MAX] {
            assert_eq!(Digits::new(number).as_str(), number.to_string());
        }
    }
}
