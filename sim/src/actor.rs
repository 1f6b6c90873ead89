//! A client's part in the play: what it says for each operation of its plan, and
//! what it writes down of what it hears.
//!
//! Pure but for the history it writes: operations and packets in, calls out. The
//! driver in [`world`](crate::world) carries them over a real client connection.

mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;

use bytes::Bytes;
use parlor::socketio::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::history::{Call, Change, Event, MessageId, SocketId};
use crate::plan::{Act, Client, Namespace, Plan, Say};
use crate::stage::{Body, Stage};
use crate::whereabouts::Whereabouts;

/// Something to emit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Emit {
    /// A JSON array: the event's name and its arguments.
    pub(crate) json: String,
    /// What its placeholders stand for.
    pub(crate) attachments: Vec<Bytes>,
    /// What its ack is about; none if none is asked for.
    pub(crate) asks: Option<Ask>,
}

/// What an ack is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Call { number: u64 },
    Echo { number: u64 },
    Join { room: String },
    Leave { room: String },
    Message { number: u64 },
    Switch { from: String, to: String },
    Unwatch { room: String },
    Watch { room: String },
}

/// One client of a plan.
pub(crate) struct Actor {
    plan: Rc<Plan>,
    stage: Rc<Stage>,
    id: u32,
    namespace: Namespace,
    rejoins: bool,
    /// Its living connection.
    socket: Option<SocketId>,
    /// What it is, or was last, and its id there.
    last: Option<(SocketId, String)>,
    whereabouts: Whereabouts,
    wants_connection: bool,
    is_reassuring: bool,
    /// The rooms it wants to be in.
    wanted: BTreeSet<usize>,
    next_number: u64,
    /// What it says over every connection, and in the quiet phase.
    opening: Vec<Say>,
    probe: Vec<Say>,
    /// What it says again until it is answered, by number.
    unanswered: BTreeMap<u64, Say>,
}

/// The argument of the chat's `hello`.
#[derive(Deserialize)]
struct Hello {
    id: String,
    server: String,
}

/// The argument of the chat's `message`.
#[derive(Deserialize)]
struct Envelope<'a> {
    room: String,
    from: String,
    seq: Option<u64>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Who a body says it is.
#[derive(Deserialize)]
struct Claim {
    by: u32,
    number: u64,
}

/// The argument of the chat's `typing`.
#[derive(Deserialize)]
struct Typing {
    room: String,
    from: String,
}

/// The argument of the chat's `presence`.
#[derive(Deserialize)]
struct Changes {
    room: String,
    changes: Vec<(char, String)>,
}

/// How many there are, or who.
#[derive(Deserialize)]
#[serde(untagged)]
enum Members {
    Count(#[expect(dead_code, reason = "of interest to people only")] u64),
    List(Vec<Member>),
}

#[derive(Deserialize)]
struct Member {
    id: String,
}

/// The argument of an ack of the chat.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    seq: Option<u64>,
    error: Option<String>,
    members: Option<Members>,
}

impl Actor {
    pub(crate) fn new(plan: Rc<Plan>, client: &Client, stage: Rc<Stage>) -> Self {
        Self {
            plan,
            stage,
            id: client.id,
            namespace: client.namespace,
            rejoins: client.rejoins,
            socket: None,
            last: None,
            whereabouts: Whereabouts::default(),
            // Who shares a connection comes to it later.
            wants_connection: client.over.is_none(),
            is_reassuring: false,
            wanted: BTreeSet::new(),
            next_number: 0,
            opening: client.opening.clone(),
            probe: client.probe.clone(),
            unanswered: BTreeMap::new(),
        }
    }

    /// Whether it wants to be connected.
    pub(crate) fn wants_connection(&self) -> bool {
        self.wants_connection
    }

    /// Whether it is connected, as far as it knows.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// From now on, until it has said what it wants, it asks for an echo over every
    /// connection that it has: its answer shows that it lives in both directions.
    pub(crate) fn reassure(&mut self) -> Option<Emit> {
        self.is_reassuring = true;
        self.reassurance()
    }

    fn reassurance(&mut self) -> Option<Emit> {
        let socket = self.socket.filter(|_| self.is_reassuring)?;
        Some(self.echo(socket))
    }

    /// The chat has said hello: a new socket lives. Returns what it says first.
    pub(crate) fn handle_hello(&mut self, args: &Args<'_>) -> Vec<Emit> {
        let hello: Option<Hello> =
            args.elements().nth(1).and_then(|json| serde_json::from_str(json).ok());
        let Some(Hello { id, server }) = hello else {
            panic!("hello is not what the chat protocol says: {}", args.json());
        };
        if let Some(socket) = self.socket {
            self.stage.record(Event::Foreign { socket, what: "a second hello".to_owned() });
            return Vec::new();
        }
        let socket = self.stage.admit(&id);
        self.socket = Some(socket);
        self.last = Some((socket, id.clone()));
        self.whereabouts = Whereabouts::default();
        if !self.rejoins {
            self.wanted.clear();
        }
        self.stage.record(Event::Connected { socket, client: self.id, sid: id, server });
        self.begin(socket, self.wanted.iter().copied().collect())
    }

    /// The server takes it for who it was: it is where it was, and joins only the rooms of
    /// which it does not know that. If it never heard a hello as that one, it will now.
    pub(crate) fn handle_return(&mut self, sid: &str) -> Vec<Emit> {
        let Some((socket, _)) = self.last.as_ref().filter(|(_, last)| last == sid) else {
            return Vec::new();
        };
        let socket = *socket;
        self.socket = Some(socket);
        self.stage.record(Event::Recovered { socket, client: self.id });
        let mut rooms: Vec<usize> = self.wanted.iter().copied().collect();
        rooms.retain(|&room| !self.whereabouts.are_in(&self.room(room)));
        self.begin(socket, rooms)
    }

    /// What it says first over a connection.
    fn begin(&mut self, socket: SocketId, rooms: Vec<usize>) -> Vec<Emit> {
        let joins: Vec<Emit> = rooms.into_iter().map(|room| self.join(socket, room)).collect();
        joins.into_iter().chain(self.reassurance()).collect()
    }

    /// Its connection has ended, or it ends it itself now.
    pub(crate) fn handle_end(&mut self, reason: &str) {
        if let Some(socket) = self.socket.take() {
            self.stage.record(Event::Ended { socket, reason: reason.to_owned() });
        }
        self.whereabouts.interrupt();
    }

    /// Its connection has gone over to a WebSocket. Whether it lives, so that it counts.
    pub(crate) fn handle_upgrade(&self) -> bool {
        if let Some(socket) = self.socket {
            self.stage.record(Event::Upgraded { socket });
        }
        self.socket.is_some()
    }

    /// Its connection will not go over to a WebSocket, though the server is ready. Whether it
    /// lives, so that it counts.
    pub(crate) fn handle_half_open(&self) -> bool {
        if let Some(socket) = self.socket {
            self.stage.record(Event::HalfOpened { socket });
        }
        self.socket.is_some()
    }

    /// Polls of its connection were cancelled on their way; `answered` of them with messages.
    pub(crate) fn handle_cancelled(&self, answered: bool) {
        if let Some(socket) = self.socket {
            self.stage.record(Event::PollCancelled { socket, answered });
        }
    }

    /// It has answered a ping.
    pub(crate) fn handle_ping(&self) {
        if let Some(socket) = self.socket {
            self.stage.record(Event::Ponged { socket });
        }
    }

    /// Its connection, or an attempt at one, ended as only a server can end it.
    pub(crate) fn handle_expulsion(&self, reason: &str) {
        let reason = reason.to_owned();
        self.stage.record(Event::Expelled { client: self.id, reason });
    }

    /// Remembers what an operation makes it want, then says what it says, if connected.
    /// Ending and making connections is the driver's work.
    pub(crate) fn act(&mut self, act: &Act) -> Option<Emit> {
        self.want(act);
        if let Act::Call(say) = act {
            return self.call(say);
        }
        let socket = self.socket?;
        match *act {
            Act::Call(_) | Act::Disconnect | Act::Drop | Act::Reconnect | Act::Vanish => None,
            Act::Echo => Some(self.echo(socket)),
            Act::Join { room } => Some(self.join(socket, room)),
            Act::Leave { room } => Some(self.leave(socket, room)),
            Act::Message { room, ack, bytes, attachments } => {
                Some(self.message(socket, room, ack, bytes, attachments))
            }
            Act::Typing { room } => Some(self.typing(socket, room)),
            // Also a switch that the server will refuse.
            Act::Switch { from, to } => Some(self.switch(socket, from, to)),
            Act::Unwatch { room } => Some(self.unwatch(socket, room)),
            Act::Watch { room } => Some(self.watch(socket, room)),
        }
    }

    /// It wants no connection any more.
    pub(crate) fn part(&mut self) {
        self.wants_connection = false;
    }

    /// What it wants after all its operations, written down.
    pub(crate) fn wish(&mut self) {
        self.is_reassuring = false;
        let rooms = self.wanted.iter().map(|&room| self.room(room)).collect();
        let is_connected = self.wants_connection;
        self.stage.record(Event::Wish { client: self.id, is_connected, rooms });
    }

    /// One message to each room it wants to be in, to see who hears it.
    pub(crate) fn probe(&mut self) -> Vec<Emit> {
        let Some(socket) = self.socket else { return Vec::new() };
        let rooms: Vec<usize> = self.wanted.iter().copied().collect();
        let mut emits: Vec<Emit> =
            rooms.into_iter().map(|room| self.message(socket, room, true, 0, 0)).collect();
        for say in self.probe.clone() {
            emits.extend(self.call(&say));
        }
        emits
    }

    /// An event of the server.
    pub(crate) fn handle_event(&mut self, args: &Args<'_>) {
        let Some(socket) = self.socket else { return };
        if !self.is_greeted() {
            return self.hear(socket, args);
        }
        let event = match args.event().as_ref() {
            "message" => self.delivery(socket, args),
            "presence" => self.notice(socket, args),
            "typing" => self.hint(socket, args),
            // A message without an ack was refused; there is nothing to tell which.
            "error_message" => return,
            _ => None,
        };
        let foreign = || Event::Foreign { socket, what: args.json().to_owned() };
        self.stage.record(event.unwrap_or_else(foreign));
    }

    /// The server's answer to something it asked.
    pub(crate) fn handle_ack(&mut self, ask: Ask, args: &Args<'_>) {
        let Some(socket) = self.socket else { return };
        if let Ask::Call { number } = ask {
            return self.reply(socket, number, args);
        }
        if let Ask::Echo { number } = ask {
            let expected = format!("[{number}]");
            let event = if args.json() == expected {
                Event::Answered { socket, number }
            } else {
                Event::Foreign { socket, what: args.json().to_owned() }
            };
            return self.stage.record(event);
        }
        let reply: Option<Reply> =
            args.elements().next().and_then(|json| serde_json::from_str(json).ok());
        self.note_answer(&ask, reply.as_ref().is_some_and(|reply| reply.ok));
        let event = match reply {
            None => Event::Foreign { socket, what: args.json().to_owned() },
            Some(Reply { ok: true, seq, members, .. }) => accepted(socket, ask, seq, members),
            Some(Reply { error, .. }) => {
                let error = error.unwrap_or_default();
                refused(socket, ask, error)
            }
        };
        self.stage.record(event);
    }

    fn note_answer(&mut self, ask: &Ask, is_granted: bool) {
        let mut note = |room, is_in| self.whereabouts.answer(room, is_granted.then_some(is_in));
        match ask {
            Ask::Join { room } => note(room, true),
            Ask::Leave { room } => note(room, false),
            Ask::Switch { from, to } => {
                note(from, false);
                note(to, true);
            }
            Ask::Call { .. }
            | Ask::Echo { .. }
            | Ask::Message { .. }
            | Ask::Unwatch { .. }
            | Ask::Watch { .. } => {}
        }
    }

    fn want(&mut self, act: &Act) {
        let remembers = self.socket.is_some() || self.rejoins;
        match *act {
            Act::Disconnect => self.wants_connection = false,
            Act::Reconnect => self.wants_connection = true,
            Act::Join { room } if remembers => {
                self.wanted.insert(room);
            }
            Act::Leave { room } => {
                self.wanted.remove(&room);
            }
            Act::Switch { from, to } => {
                if self.wanted.remove(&from) {
                    self.wanted.insert(to);
                }
            }
            Act::Call(_)
            | Act::Drop
            | Act::Echo
            | Act::Join { .. }
            | Act::Message { .. }
            | Act::Typing { .. }
            | Act::Unwatch { .. }
            | Act::Vanish
            | Act::Watch { .. } => {}
        }
    }

    /// What histories call a room.
    fn room(&self, room: usize) -> String {
        self.namespace.qualified(&self.plan.rooms[room])
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn echo(&mut self, socket: SocketId) -> Emit {
        let number = self.number();
        self.stage.record(Event::Asked { socket, number });
        call(&serde_json::json!(["echo", number]), Ask::Echo { number })
    }

    fn join(&mut self, socket: SocketId, room: usize) -> Emit {
        let (name, room) = (&self.plan.rooms[room], self.room(room));
        self.whereabouts.ask(&room);
        self.stage.record(Event::JoinSent { socket, room: room.clone() });
        call(&serde_json::json!(["join", name]), Ask::Join { room })
    }

    fn leave(&mut self, socket: SocketId, room: usize) -> Emit {
        let (name, room) = (&self.plan.rooms[room], self.room(room));
        self.whereabouts.ask(&room);
        self.stage.record(Event::LeaveSent { socket, room: room.clone() });
        call(&serde_json::json!(["leave", name]), Ask::Leave { room })
    }

    fn switch(&mut self, socket: SocketId, from: usize, to: usize) -> Emit {
        let names = [&self.plan.rooms[from], &self.plan.rooms[to]];
        let (from, to) = (self.room(from), self.room(to));
        self.whereabouts.ask(&from);
        self.whereabouts.ask(&to);
        self.stage.record(Event::SwitchSent { socket, from: from.clone(), to: to.clone() });
        call(&serde_json::json!(["switch", names[0], names[1]]), Ask::Switch { from, to })
    }

    fn typing(&self, socket: SocketId, room: usize) -> Emit {
        let json = serde_json::json!(["typing", &self.plan.rooms[room]]).to_string();
        self.stage.record(Event::TypingSent { socket, room: self.room(room) });
        Emit { json, attachments: Vec::new(), asks: None }
    }

    fn watch(&mut self, socket: SocketId, room: usize) -> Emit {
        let (name, room) = (&self.plan.rooms[room], self.room(room));
        self.stage.record(Event::WatchSent { socket, room: room.clone() });
        call(&serde_json::json!(["watch", name]), Ask::Watch { room })
    }

    fn unwatch(&mut self, socket: SocketId, room: usize) -> Emit {
        let (name, room) = (&self.plan.rooms[room], self.room(room));
        self.stage.record(Event::UnwatchSent { socket, room: room.clone() });
        call(&serde_json::json!(["unwatch", name]), Ask::Unwatch { room })
    }

    fn message(
        &mut self,
        socket: SocketId,
        room: usize,
        ack: bool,
        bytes: u32,
        attachments: u8,
    ) -> Emit {
        let number = self.number();
        let message = MessageId { by: socket, number };
        let body = body(message, bytes, attachments);
        let name = serde_json::to_string(&self.plan.rooms[room]).expect("a string is JSON");
        let room = self.room(room);
        let json = format!("[\"message\",{{\"room\":{name},\"body\":{}}}]", body.json);
        let emit = Emit {
            json,
            attachments: body.attachments.clone(),
            asks: ack.then_some(Ask::Message { number }),
        };
        let bytes = body.bytes();
        self.stage.enter(message, body);
        self.stage.record(Event::Sent { message, room, attachments, bytes });
        emit
    }

    fn delivery(&self, socket: SocketId, args: &Args<'_>) -> Option<Event> {
        let envelope: Envelope<'_> = serde_json::from_str(args.elements().nth(1)?).ok()?;
        let claim: Claim = serde_json::from_str(envelope.body.get()).ok()?;
        let message = MessageId { by: SocketId(claim.by), number: claim.number };
        let body =
            Body { json: envelope.body.get().to_owned(), attachments: args.attachments().to_vec() };
        let intact = self.stage.is_intact(message, &body)?;
        let from = self.stage.socket(&envelope.from);
        let seq = envelope.seq;
        let room = self.namespace.qualified(&envelope.room);
        Some(Event::Delivered { socket, room, message, from, seq, intact })
    }

    fn hint(&self, socket: SocketId, args: &Args<'_>) -> Option<Event> {
        let Typing { room, from } = serde_json::from_str(args.elements().nth(1)?).ok()?;
        let (room, from) = (self.namespace.qualified(&room), self.stage.socket(&from));
        Some(Event::TypingHeard { socket, room, from })
    }

    fn notice(&self, socket: SocketId, args: &Args<'_>) -> Option<Event> {
        let Changes { room, changes } = serde_json::from_str(args.elements().nth(1)?).ok()?;
        let change = |(sign, sid)| match sign {
            '+' => Some(Change(true, sid)),
            '-' => Some(Change(false, sid)),
            _ => None,
        };
        let changes = changes.into_iter().map(change).collect::<Option<_>>()?;
        let room = self.namespace.qualified(&room);
        Some(Event::Notice { socket, room, changes })
    }
}

fn call(json: &serde_json::Value, ask: Ask) -> Emit {
    Emit { json: json.to_string(), attachments: Vec::new(), asks: Some(ask) }
}

/// A body that says which message it is, and whose every byte follows from that.
fn body(message: MessageId, bytes: u32, attachments: u8) -> Body {
    let by = message.by.0;
    let number = message.number;
    let mut json = format!("{{\"by\":{by},\"number\":{number}");
    if bytes > 0 {
        write!(json, ",\"filling\":\"{}\"", filling(message, 0, bytes)).expect("a string grows");
    }
    if attachments > 0 {
        let places: Vec<String> = (0..attachments)
            .map(|place| format!("{{\"_placeholder\":true,\"num\":{place}}}"))
            .collect();
        write!(json, ",\"files\":[{}]", places.join(",")).expect("a string grows");
    }
    json.push('}');
    let files = (1..=u32::from(attachments)).map(|file| filling(message, file, bytes).into());
    Body { json, attachments: files.collect() }
}

/// Letters that differ from message to message, so that bytes out of place show.
fn filling(message: MessageId, part: u32, bytes: u32) -> String {
    let mut state = message.number ^ u64::from(message.by.0) << 32 ^ u64::from(part) << 48;
    let letter = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let offset = u8::try_from((state >> 33) % 26).expect("below 26");
        char::from(b'a' + offset)
    };
    (0..bytes).map(letter).collect()
}

fn accepted(socket: SocketId, ask: Ask, seq: Option<u64>, members: Option<Members>) -> Event {
    match ask {
        Ask::Call { number } | Ask::Echo { number } => Event::Answered { socket, number },
        Ask::Join { room } => Event::JoinAcked { socket, room },
        Ask::Leave { room } => Event::LeaveAcked { socket, room },
        Ask::Message { number } => Event::Acked { message: MessageId { by: socket, number }, seq },
        Ask::Switch { from, to } => Event::SwitchAcked { socket, from, to },
        Ask::Unwatch { room } => Event::Unwatched { socket, room },
        Ask::Watch { room } => match members {
            Some(Members::List(members)) => {
                let members = members.into_iter().map(|member| member.id).collect();
                Event::Watched { socket, room, members }
            }
            Some(Members::Count(_)) | None => {
                Event::Foreign { socket, what: "a watch without a list of members".to_owned() }
            }
        },
    }
}

fn refused(socket: SocketId, ask: Ask, error: String) -> Event {
    let call = match ask {
        // An echo is never refused: this answer is none of ours.
        Ask::Call { .. } | Ask::Echo { .. } => return Event::Foreign { socket, what: error },
        Ask::Join { room } => Call::Join { room },
        Ask::Leave { room } => Call::Leave { room },
        Ask::Message { number } => Call::Message { number },
        Ask::Switch { from, to } => Call::Switch { from, to },
        Ask::Unwatch { room } => Call::Unwatch { room },
        Ask::Watch { room } => Call::Watch { room },
    };
    Event::Refused { socket, call, error }
}
