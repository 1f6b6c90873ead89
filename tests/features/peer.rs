//! One socket over a raw WebSocket: packets of Socket.IO as they are.

use std::collections::VecDeque;

use parlor::room::{ShardId, Sid};
use serde_json::{Value, json};

use crate::client::{Seen, Wire, binary_frame};

/// A packet of Socket.IO.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    /// Its type, the digit of the protocol.
    pub(crate) kind: char,
    pub(crate) namespace: String,
    pub(crate) id: Option<u64>,
    /// Null if there is none.
    pub(crate) json: Value,
    pub(crate) attachments: Vec<Vec<u8>>,
}

/// One socket of one namespace, on a connection of its own.
pub(crate) struct Peer {
    wire: Wire,
    namespace: &'static str,
    pub(crate) id: String,
    /// Where its connection is.
    pub(crate) shard: ShardId,
    asked: u64,
    /// Events that came while an answer was awaited.
    inbox: VecDeque<Packet>,
}

impl Peer {
    /// Enters a namespace; the error is the server's.
    pub(crate) fn connect(
        mut wire: Wire,
        namespace: &'static str,
        auth: &Value,
    ) -> Result<Self, Value> {
        let auth = if auth.is_null() { String::new() } else { auth.to_string() };
        wire.send_text(&format!("40{}{auth}", prefix(namespace)));
        let inbox = VecDeque::new();
        let (id, shard) = (String::new(), ShardId(0));
        let mut peer = Self { wire, namespace, id, shard, asked: 0, inbox };
        let answer = peer.read().expect("an answer to CONNECT");
        assert_eq!(answer.namespace, namespace);
        match answer.kind {
            '0' => {
                let sid = answer.json["sid"].as_str().and_then(Sid::parse);
                let sid = sid.unwrap_or_else(|| panic!("20 characters of base64url: {answer:?}"));
                (peer.id, peer.shard) = (sid.to_string(), sid.shard());
                Ok(peer)
            }
            '4' => Err(answer.json),
            _ => panic!("no answer to CONNECT: {answer:?}"),
        }
    }

    /// Emits an event, `["name",arg,..]`.
    pub(crate) fn emit(&mut self, event: &Value) {
        self.send('2', None, event, &[]);
    }

    /// Emits an event and waits for the answer.
    pub(crate) fn ask(&mut self, event: &Value) -> Value {
        let id = self.begin(event);
        self.answer_to(id)
    }

    /// Emits an event that wants an answer; returns its number.
    pub(crate) fn begin(&mut self, event: &Value) -> u64 {
        self.asked += 1;
        self.send('2', Some(self.asked), event, &[]);
        self.asked
    }

    /// The answer to what was begun; events that come before it are kept.
    pub(crate) fn answer_to(&mut self, id: u64) -> Value {
        let answer = self.packet_to(id);
        assert_eq!(answer.kind, '3', "{answer:?}");
        answer.json
    }

    /// The same, with its attachments.
    pub(crate) fn packet_to(&mut self, id: u64) -> Packet {
        loop {
            let packet = self.read().expect("an answer comes before the end");
            match packet.kind {
                '3' | '6' if packet.id == Some(id) => return packet,
                '2' | '5' => self.inbox.push_back(packet),
                _ => panic!("an event or the answer to {id} was expected: {packet:?}"),
            }
        }
    }

    /// Answers an event of the server.
    pub(crate) fn answer(&mut self, event: &Packet, args: &Value) {
        self.send('3', event.id, args, &[]);
    }

    /// Sends any packet.
    pub(crate) fn send(&mut self, kind: char, id: Option<u64>, json: &Value, binary: &[&[u8]]) {
        let count = if binary.is_empty() { String::new() } else { format!("{}-", binary.len()) };
        let id = id.map_or_else(String::new, |id| id.to_string());
        self.wire.send_text(&format!("4{kind}{count}{}{id}{json}", prefix(self.namespace)));
        binary.iter().for_each(|bytes| self.wire.send(&binary_frame(bytes)));
    }

    /// Sends a text frame as it is.
    pub(crate) fn say(&mut self, text: &str) {
        self.wire.send_text(text);
    }

    /// Sends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// Events that came while an answer was awaited.
    pub(crate) fn kept(&mut self) -> Vec<Value> {
        self.inbox.drain(..).map(|packet| packet.json).collect()
    }

    /// The next packet; none at the end of the connection.
    pub(crate) fn packet(&mut self) -> Option<Packet> {
        self.inbox.pop_front().or_else(|| self.read())
    }

    /// The next packet, which must be an event: name, arguments, number.
    pub(crate) fn event(&mut self) -> Packet {
        let packet = self.packet().expect("an event comes before the end");
        assert!(matches!(packet.kind, '2' | '5'), "an event was expected: {packet:?}");
        packet
    }

    /// All events that came so far: those that were accepted before the call
    /// are among them, and nothing else has come.
    pub(crate) fn heard(&mut self) -> Vec<Value> {
        assert_eq!(self.ask(&json!(["fence"])), json!([]), "a round trip by the order");
        self.kept()
    }

    /// Waits for the end of the connection: what came before it, and its code, if it was closed.
    pub(crate) fn end(&mut self) -> (Vec<Packet>, Option<u16>) {
        let mut packets: Vec<Packet> = self.inbox.drain(..).collect();
        loop {
            match self.wire.next() {
                Seen::Text(text) => packets.extend(self.parse(&text)),
                Seen::Close(code) => return (packets, code),
                Seen::End => return (packets, None),
                Seen::Binary(_) | Seen::Ping(_) | Seen::Pong(_) => {}
            }
        }
    }

    /// Waits for the close of the connection, by the server, as the next thing. A
    /// connection that goes on is not waited for: it answers.
    pub(crate) fn ends(&mut self) {
        self.say(&format!("40{}", prefix(self.namespace)));
        assert_eq!(self.wire.next(), Seen::Close(Some(1000)), "the connection goes on");
    }

    fn read(&mut self) -> Option<Packet> {
        loop {
            match self.wire.next() {
                Seen::Text(text) => {
                    if let Some(packet) = self.parse(&text) {
                        return Some(packet);
                    }
                }
                Seen::Close(_) | Seen::End => return None,
                other @ (Seen::Binary(_) | Seen::Ping(_) | Seen::Pong(_)) => {
                    panic!("a packet was expected: {other:?}")
                }
            }
        }
    }

    /// A packet; none if it was a ping, which is answered.
    fn parse(&mut self, text: &str) -> Option<Packet> {
        if text == "2" {
            self.wire.send_text("3");
            return None;
        }
        let rest = text.strip_prefix('4').unwrap_or_else(|| panic!("a message: {text}"));
        let kind = rest.chars().next().unwrap_or_else(|| panic!("a packet: {text}"));
        let (count, rest) = match kind {
            '5' | '6' => rest[1..].split_once('-').unwrap_or_else(|| panic!("a count: {text}")),
            _ => ("0", &rest[1..]),
        };
        let (namespace, rest) = match rest.split_once(',') {
            Some((name, after)) if name.starts_with('/') => (name, after),
            _ => ("/", rest),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, rest) = rest.split_at(digits);
        let json = if rest.is_empty() { Ok(Value::Null) } else { serde_json::from_str(rest) };
        let count: usize = count.parse().expect("a count of attachments");
        let attachments = (0..count).map(|_| self.attachment()).collect();
        Some(Packet {
            kind,
            namespace: namespace.to_owned(),
            id: id.parse().ok(),
            json: json.unwrap_or_else(|error| panic!("{text}: {error}")),
            attachments,
        })
    }

    /// The frames of one packet are adjacent, whatever else is under way.
    fn attachment(&mut self) -> Vec<u8> {
        let seen = self.wire.next();
        let Seen::Binary(bytes) = seen else { panic!("an attachment was expected: {seen:?}") };
        bytes
    }
}

/// What goes before the arguments of a packet.
fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}
