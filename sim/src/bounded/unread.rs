//! What each client may not have read yet: the most that it can be.
//!
//! The engine says which broadcasts have their place in its order, and who was a member
//! then; a client says what it has asked, and what it has heard. What comes is in order: who
//! hears a message has read all that was said to it before, and an answer ends all questions
//! before it. What nothing tells of is taken for unread until the client has answered the
//! pings behind it.
//!
//! ```text
//!   server   ---- ping ---------- ping ------------------- closed
//!                 \    /          \    /
//!   client         pong            pong
//!                     [------- what waits was said in here --)
//! ```
//!
//! What waits when a client is closed was said after the last ping that it has answered, and
//! so after the pong before; one pong earlier where shards tell each other what was said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::{Call, Connection, Entry, Event, History, MessageId, Order, SocketId};
use crate::plan::Plan;

/// What a packet takes beyond the body of a message, at most.
const ENVELOPE_BYTES: u64 = 300;

/// A ping, a noop, and a close.
const UNTOLD: u64 = 3;

/// What a client is greeted with in a namespace: a handshake, the answer to CONNECT, a hello.
const GREETING: u64 = 3;

/// So many packets, and so many bytes at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Amount {
    fn of(packets: u64) -> Self {
        Self { packets, bytes: packets * ENVELOPE_BYTES }
    }

    /// Of one message, which may be spelled in base 64.
    fn of_message(body_bytes: u64) -> Self {
        Self { packets: 1, bytes: ENVELOPE_BYTES + body_bytes + body_bytes.div_ceil(3) }
    }

    fn add(&mut self, more: Self) {
        self.packets += more.packets;
        self.bytes += more.bytes;
    }
}

/// A broadcast to a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    message: MessageId,
    amount: Amount,
    pub(super) accepted_us: u64,
    /// Until when all that was said to the client before it is through.
    pub(super) through_us: u64,
}

/// What a client wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question<'a> {
    Echo(u64),
    Join(&'a str),
    Leave(&'a str),
    Message(u64),
    Said(u64),
    Switch(&'a str, &'a str),
    /// Answered only if it is refused.
    Typing,
    Unwatch(&'a str),
    Watch(&'a str),
}

/// What may be on its way to one socket.
#[derive(Debug, Default)]
struct Listener<'a> {
    client: u32,
    owed: VecDeque<Owed>,
    asked: VecDeque<Question<'a>>,
    watches: bool,
    /// What all were told at its last pongs, the newest last.
    marks: [Told; 3],
}

/// What nobody's own history tells of, so far.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Events that the witness tells nothing more of: who is typing.
    hints: u64,
    /// Changes of memberships, to who watches.
    changes: u64,
}

/// What each client may not have read.
pub(super) struct Unread<'a> {
    plan: &'a Plan,
    names: BTreeMap<&'a str, Connection<'a>>,
    lengths: BTreeMap<MessageId, u64>,
    members: BTreeMap<&'a str, BTreeSet<SocketId>>,
    listeners: BTreeMap<SocketId, Listener<'a>>,
    /// What each client is now, or was last.
    current: BTreeMap<u32, SocketId>,
    told: Told,
    /// Until when all that was said so far to a host is through its connections.
    through_us: BTreeMap<u32, u64>,
}

impl<'a> Unread<'a> {
    pub(super) fn new(plan: &'a Plan, history: &'a History) -> Self {
        Self {
            plan,
            names: history.connections().map(|it| (it.sid, it)).collect(),
            lengths: BTreeMap::new(),
            members: BTreeMap::new(),
            listeners: BTreeMap::new(),
            current: BTreeMap::new(),
            told: Told::default(),
            through_us: BTreeMap::new(),
        }
    }

    /// Whose socket it is that the engine calls so, if its client ever knew that.
    pub(super) fn socket(&self, sid: &str) -> Option<&Connection<'a>> {
        self.names.get(sid)
    }

    /// The most that may wait for the connection of a socket; nothing is known of one whose
    /// client has not heard of it yet.
    pub(super) fn most(&self, sid: &str) -> Option<Amount> {
        let socket = self.socket(sid)?.socket;
        let client = self.listeners.get(&socket)?.client;
        let party: Vec<u32> =
            self.plan.party(self.plan.host_of(client)).map(|client| client.id).collect();
        let mut most = Amount::of(UNTOLD);
        if party.len() == 1 {
            most.add(self.of(socket)?);
            return Some(most);
        }
        // A connection may still carry what is for sockets that have left it.
        most.add(Amount::of(GREETING * party.len() as u64));
        for (&other, listener) in &self.listeners {
            if party.contains(&listener.client) {
                most.add(self.of(other)?);
            }
        }
        Some(most)
    }

    fn of(&self, socket: SocketId) -> Option<Amount> {
        let listener = self.listeners.get(&socket)?;
        let mut most = Amount::of(listener.asked.len() as u64);
        if self.plan.server.recovery_window_ms > 0 {
            most.add(Amount::of(GREETING));
        }
        for owed in &listener.owed {
            most.add(owed.amount);
        }
        let mark = listener.marks[if self.plan.server.shards > 1 { 0 } else { 1 }];
        most.add(Amount::of(self.told.hints - mark.hints));
        if listener.watches {
            most.add(Amount::of(self.told.changes - mark.changes));
        }
        Some(most)
    }

    /// Follows what happens; what a client was owed of which it now hears, and all before.
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else makes a server speak")]
    pub(super) fn read(&mut self, Entry { at_us, event }: &'a Entry) -> Option<Owed> {
        if let Some((socket, question)) = asked(event) {
            self.ask(*at_us, socket, question);
        } else if let Some((socket, question)) = answered(event) {
            self.answer(socket, question);
        }
        match event {
            Event::Connected { socket, client, .. } => {
                let listener =
                    Listener { client: *client, marks: [self.told; 3], ..Listener::default() };
                self.listeners.insert(*socket, listener);
                self.current.insert(*client, *socket);
            }
            Event::Recovered { socket, .. } => self.recover(*at_us, *socket),
            Event::Ponged { socket } => {
                if let Some(listener) = self.listeners.get_mut(socket) {
                    let [_, older, newer] = listener.marks;
                    listener.marks = [older, newer, self.told];
                }
            }
            Event::Sent { message, bytes, .. } => {
                self.lengths.insert(*message, *bytes);
            }
            Event::TypingSent { .. } => self.hint(*at_us),
            Event::Witnessed { order } => self.witness(*at_us, order),
            Event::Delivered { socket, message, .. } => return self.hear(*socket, *message),
            _ => {}
        }
        None
    }

    fn witness(&mut self, at_us: u64, order: &'a Order) {
        let rooms = self.plan.rooms.len() as u64;
        match order {
            Order::Broadcast { sid, room, message: Some(message), .. } => {
                self.say(at_us, sid, room, *message);
            }
            Order::Broadcast { message: None, .. } => self.hint(at_us),
            Order::Connect { .. } => self.change(at_us, rooms),
            Order::Disconnect { sid } => {
                // Who may come back is where it was, and is owed what is said meanwhile.
                if self.plan.server.recovery_window_ms == 0
                    && let Some(connection) = self.names.get(sid.as_str())
                {
                    for members in self.members.values_mut() {
                        members.remove(&connection.socket);
                    }
                }
                self.change(at_us, rooms);
            }
            Order::Join { sid, room } => {
                self.enter(sid, room);
                self.change(at_us, 1);
            }
            Order::Leave { sid, room } => {
                self.exit(sid, room);
                self.change(at_us, 1);
            }
            Order::Switch { sid, from, to } => {
                self.exit(sid, from);
                self.enter(sid, to);
                self.change(at_us, 2);
            }
        }
    }

    fn enter(&mut self, sid: &str, room: &'a str) {
        if let Some(connection) = self.names.get(sid) {
            self.members.entry(room).or_default().insert(connection.socket);
        }
    }

    fn exit(&mut self, sid: &str, room: &str) {
        if let Some((connection, members)) = self.names.get(sid).zip(self.members.get_mut(room)) {
            members.remove(&connection.socket);
        }
    }

    fn say(&mut self, at_us: u64, sid: &str, room: &str, message: MessageId) {
        let amount = Amount::of_message(self.lengths.get(&message).copied().unwrap_or_default());
        let by = self.names.get(sid).map(|it| it.socket);
        let members: Vec<SocketId> =
            self.members.get(room).into_iter().flatten().copied().collect();
        for socket in members.into_iter().filter(|&it| Some(it) != by) {
            let Some(client) = self.listeners.get(&socket).map(|it| it.client) else { continue };
            // What is for who the client was before is not in its way.
            let is_current = self.current.get(&client) == Some(&socket);
            let passing = if is_current { amount } else { Amount::default() };
            let through_us = self.pass(at_us, client, passing);
            if let Some(listener) = self.listeners.get_mut(&socket) {
                listener.owed.push_back(Owed { message, amount, accepted_us: at_us, through_us });
            }
        }
    }

    /// So much more goes to a client: when all is through.
    fn pass(&mut self, at_us: u64, client: u32, amount: Amount) -> u64 {
        let through_us = self.through_us.entry(self.plan.host_of(client)).or_default();
        *through_us = (*through_us).max(at_us) + self.plan.through_us(amount.bytes);
        *through_us
    }

    /// Perhaps somebody is told something.
    fn hint(&mut self, at_us: u64) {
        self.told.hints += 1;
        self.pass_to_all(at_us, 1);
    }

    fn change(&mut self, at_us: u64, count: u64) {
        self.told.changes += count;
        if self.listeners.values().any(|listener| listener.watches) {
            self.pass_to_all(at_us, count);
        }
    }

    fn pass_to_all(&mut self, at_us: u64, packets: u64) {
        for client in &self.plan.clients {
            self.pass(at_us, client.id, Amount::of(packets));
        }
    }

    fn ask(&mut self, at_us: u64, socket: SocketId, question: Question<'a>) {
        let Some(listener) = self.listeners.get_mut(&socket) else { return };
        listener.watches |= matches!(question, Question::Watch(_));
        listener.asked.push_back(question);
        let client = listener.client;
        self.pass(at_us, client, Amount::of(1));
    }

    fn answer(&mut self, socket: SocketId, question: Question<'_>) {
        let Some(listener) = self.listeners.get_mut(&socket) else { return };
        if let Some(place) = listener.asked.iter().position(|it| *it == question) {
            listener.asked.drain(..=place);
        }
    }

    fn hear(&mut self, socket: SocketId, message: MessageId) -> Option<Owed> {
        let listener = self.listeners.get_mut(&socket)?;
        let place = listener.owed.iter().position(|it| it.message == message)?;
        listener.owed.drain(..=place).next_back()
    }

    /// All that it has missed is said again.
    fn recover(&mut self, at_us: u64, socket: SocketId) {
        if let Some(most) = self.of(socket)
            && let Some(client) = self.listeners.get(&socket).map(|it| it.client)
        {
            self.pass(at_us, client, most);
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else asks for an answer")]
fn asked(event: &Event) -> Option<(SocketId, Question<'_>)> {
    Some(match event {
        Event::Asked { socket, number } => (*socket, Question::Echo(*number)),
        Event::JoinSent { socket, room } => (*socket, Question::Join(room)),
        Event::LeaveSent { socket, room } => (*socket, Question::Leave(room)),
        Event::Said { socket, number, .. } => (*socket, Question::Said(*number)),
        Event::Sent { message, .. } => (message.by, Question::Message(message.number)),
        Event::SwitchSent { socket, from, to } => (*socket, Question::Switch(from, to)),
        Event::TypingSent { socket, .. } => (*socket, Question::Typing),
        Event::UnwatchSent { socket, room } => (*socket, Question::Unwatch(room)),
        Event::WatchSent { socket, room } => (*socket, Question::Watch(room)),
        _ => return None,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else answers")]
fn answered(event: &Event) -> Option<(SocketId, Question<'_>)> {
    Some(match event {
        Event::Acked { message, .. } => (message.by, Question::Message(message.number)),
        Event::Answered { socket, number } => (*socket, Question::Echo(*number)),
        Event::JoinAcked { socket, room } => (*socket, Question::Join(room)),
        Event::LeaveAcked { socket, room } => (*socket, Question::Leave(room)),
        Event::Refused { socket, call, .. } => {
            let question = match call {
                Call::Join { room } => Question::Join(room),
                Call::Leave { room } => Question::Leave(room),
                Call::Message { number } => Question::Message(*number),
                Call::Switch { from, to } => Question::Switch(from, to),
                Call::Unwatch { room } => Question::Unwatch(room),
                Call::Watch { room } => Question::Watch(room),
            };
            (*socket, question)
        }
        Event::Replied { socket, number, .. } => (*socket, Question::Said(*number)),
        Event::SwitchAcked { socket, from, to } => (*socket, Question::Switch(from, to)),
        Event::Unwatched { socket, room } => (*socket, Question::Unwatch(room)),
        Event::Watched { socket, room, .. } => (*socket, Question::Watch(room)),
        _ => return None,
    })
}
