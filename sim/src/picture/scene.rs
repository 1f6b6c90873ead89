//! What is to be drawn of a run, before anything is drawn: whose lines there are,
//! which arrows run between them, who is a member of what, and which marks are set.
//!
//! A place on a line is the row of an entry in the history; heights are the
//! [axis](super::axis)' business, and colours the page's.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::history::{
    Call, Change, Event, History, MessageId, Order, SERVER_KILLED, SERVER_STARTS, SocketId,
};
use crate::plan::Plan;
use crate::story::listed;

use super::bands::Bands;

pub(super) use super::bands::Band;

/// A line of the diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Client(u32),
    Server,
}

/// What an arrow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// The answer to a call, or to a message that asked for one.
    Answer,
    /// A join, a leave or a switch.
    Call,
    /// A message on its way to a member.
    Delivery,
    /// A message on its way to the server.
    Send,
}

/// Something that travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrow<'a> {
    pub(super) cargo: Cargo,
    pub(super) client: u32,
    pub(super) socket: SocketId,
    /// Where it leaves.
    pub(super) from: usize,
    /// Where it arrives; of what nobody saw arrive, nowhere.
    pub(super) to: Option<usize>,
    pub(super) message: Option<MessageId>,
    pub(super) room: &'a str,
}

/// One connection of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) client: u32,
    pub(super) socket: SocketId,
    pub(super) from: usize,
    /// Where it ended; a connection that lives at the end has none.
    pub(super) to: Option<usize>,
}

/// What is drawn at one row of one client's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) client: u32,
    pub(super) row: usize,
    pub(super) sign: Sign,
    pub(super) label: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// An answer arrived.
    Answered,
    /// Something was asked.
    Asked,
    /// Something is wrong, and the client says so.
    Complaint,
    Connected,
    Ended,
    Heard,
    Recovered,
    Said,
    Upgraded,
}

/// All that is drawn of a history.
#[derive(Debug, Default)]
pub(super) struct Scene<'a> {
    pub(super) arrows: Vec<Arrow<'a>>,
    pub(super) bands: Vec<Band<'a>>,
    /// In the order of the columns.
    pub(super) clients: Vec<u32>,
    pub(super) lives: Vec<Life>,
    pub(super) marks: Vec<Mark>,
    /// When the server went down and came up again.
    pub(super) downs: Vec<(usize, Option<usize>)>,
    /// Marks of the quiet phase and changes of the network: row and text.
    pub(super) notes: Vec<(usize, String)>,
}

/// A call without an answer.
struct Pending {
    sent: usize,
    accepted: Option<usize>,
}

type CallKey<'a> = (SocketId, &'static str, &'a str);

/// Reads a history.
struct Reader<'a> {
    scene: Scene<'a>,
    clients: BTreeMap<SocketId, u32>,
    sids: BTreeMap<&'a str, SocketId>,
    bands: Bands<'a>,
    calls: BTreeMap<CallKey<'a>, VecDeque<Pending>>,
    /// Where a message was sent, and its arrow, until it is accepted.
    sent: BTreeMap<MessageId, usize>,
    accepted: BTreeMap<MessageId, usize>,
    /// Where something was said to an application.
    said: BTreeMap<(SocketId, u64), usize>,
}

impl<'a> Scene<'a> {
    /// What there is to draw.
    pub(super) fn of(plan: &Plan, history: &'a History) -> Self {
        let mut reader = Reader::new(plan, history);
        for (row, entry) in history.entries().iter().enumerate() {
            reader.read(row, &entry.event);
        }
        reader.scene.bands = reader.bands.finish(history.entries().len().saturating_sub(1));
        reader.scene
    }

    /// The client that a socket belongs to, and when it lived first.
    pub(super) fn life(&self, socket: SocketId) -> Option<&Life> {
        self.lives.iter().find(|life| life.socket == socket)
    }
}

/// What a mark of the quiet phase means.
fn meaning(mark: crate::history::Mark) -> &'static str {
    match mark {
        crate::history::Mark::Gone => "all have gone",
        crate::history::Mark::Healed => "all faults are over, nobody acts any more",
        crate::history::Mark::Probe => "all must be back; each sends a probe",
        crate::history::Mark::Settled => "all that was sent has arrived; all go now",
    }
}

/// How a message is called in a picture: its client, and its number there.
pub(super) fn short(clients: &BTreeMap<SocketId, u32>, message: MessageId) -> String {
    match clients.get(&message.by) {
        Some(client) => format!("{client}:{}", message.number),
        None => format!("?:{}", message.number),
    }
}

impl<'a> Reader<'a> {
    fn new(plan: &Plan, history: &'a History) -> Self {
        let clients = plan.clients.iter().map(|client| client.id).collect();
        let scene = Scene { clients, ..Scene::default() };
        Self {
            scene,
            clients: history.connections().map(|it| (it.socket, it.client)).collect(),
            sids: history.connections().map(|it| (it.sid, it.socket)).collect(),
            bands: Bands::default(),
            calls: BTreeMap::new(),
            sent: BTreeMap::new(),
            accepted: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    fn read(&mut self, row: usize, event: &'a Event) {
        match event {
            Event::Connected { socket, client, .. } => {
                self.live(row, *socket, *client);
                self.mark(row, *socket, Sign::Connected, "connected".to_owned());
            }
            Event::Recovered { socket, client } => {
                self.live(row, *socket, *client);
                self.bands.resume(row, *socket);
                self.mark(row, *socket, Sign::Recovered, "recovered".to_owned());
            }
            Event::Ended { socket, reason } => self.end(row, *socket, reason),
            Event::Expelled { client, .. } => self.complain(row, *client, "blames the server"),
            Event::Illegal { client, what } => {
                self.complain(row, *client, &format!("the server {what}"));
            }
            Event::Foreign { socket, .. } => {
                self.mark(row, *socket, Sign::Complaint, "nobody sent this".to_owned());
            }
            Event::Heard { socket, name, args } => {
                self.mark(row, *socket, Sign::Heard, format!("hears {name}{}", listed(args)));
            }
            Event::Replied { socket, number, args } => {
                self.own_answer(row, *socket, *number, args);
            }
            Event::Said { socket, number, name, args } => {
                self.said.insert((*socket, *number), row);
                let label = format!("{number}: {name}{}", listed(args));
                self.mark(row, *socket, Sign::Said, label);
            }
            Event::Fault { what } => self.fault(row, what),
            Event::Quiet { mark } => {
                self.scene.notes.push((row, meaning(*mark).to_owned()));
            }
            Event::Witnessed { order } => self.witness(row, order),
            Event::HalfOpened { socket } => self.half_open(row, *socket),
            Event::PollCancelled { socket, answered } => self.cancelled(row, *socket, *answered),
            Event::Ponged { socket } => {
                self.mark(row, *socket, Sign::Answered, "answers a ping".to_owned());
            }
            Event::Upgraded { socket } => {
                self.mark(row, *socket, Sign::Upgraded, "upgraded".to_owned());
            }
            Event::Backlog { .. }
            | Event::Census { .. }
            | Event::GivenUp { .. }
            | Event::Packets { .. }
            | Event::TypingHeard { .. }
            | Event::TypingSent { .. }
            | Event::Wish { .. } => {}
            Event::Acked { .. }
            | Event::Answered { .. }
            | Event::Asked { .. }
            | Event::Delivered { .. }
            | Event::Sent { .. } => self.message(row, event),
            Event::JoinAcked { .. }
            | Event::JoinSent { .. }
            | Event::LeaveAcked { .. }
            | Event::LeaveSent { .. }
            | Event::Refused { .. }
            | Event::SwitchAcked { .. }
            | Event::SwitchSent { .. } => self.call(row, event),
            Event::Notice { .. }
            | Event::Unwatched { .. }
            | Event::UnwatchSent { .. }
            | Event::Watched { .. }
            | Event::WatchSent { .. } => self.watch(row, event),
        }
    }

    fn half_open(&mut self, row: usize, socket: SocketId) {
        self.mark(row, socket, Sign::Upgraded, "upgrade stays half open".to_owned());
    }

    fn cancelled(&mut self, row: usize, socket: SocketId, answered: bool) {
        let what = if answered { "answer to a cancelled poll lost" } else { "poll cancelled" };
        self.mark(row, socket, Sign::Asked, what.to_owned());
    }

    fn live(&mut self, row: usize, socket: SocketId, client: u32) {
        self.scene.lives.push(Life { client, socket, from: row, to: None });
    }

    fn mark(&mut self, row: usize, socket: SocketId, sign: Sign, label: String) {
        if let Some(&client) = self.clients.get(&socket) {
            self.scene.marks.push(Mark { client, row, sign, label });
        }
    }

    /// When the server saw it nobody knows; the arrow goes there and back between.
    fn own_answer(&mut self, row: usize, socket: SocketId, number: u64, args: &[Value]) {
        if let Some(&from) = self.said.get(&(socket, number)) {
            let middle = from.midpoint(row);
            self.arrow(Cargo::Call, socket, (from, Some(middle)), None, "");
            self.arrow(Cargo::Answer, socket, (middle, Some(row)), None, "");
        }
        self.mark(row, socket, Sign::Answered, format!("answer to {number}:{}", listed(args)));
    }

    fn end(&mut self, row: usize, socket: SocketId, reason: &str) {
        // Its last connection, if it was recovered.
        let mut lives = self.scene.lives.iter_mut().rev();
        if let Some(life) = lives.find(|life| life.socket == socket) {
            life.to = Some(row);
        }
        self.bands.end(row, socket);
        self.mark(row, socket, Sign::Ended, reason.to_owned());
    }

    /// Of the server.
    fn complain(&mut self, row: usize, client: u32, what: &str) {
        let label = what.to_owned();
        self.scene.marks.push(Mark { client, row, sign: Sign::Complaint, label });
    }

    fn fault(&mut self, row: usize, what: &str) {
        match what {
            SERVER_KILLED => self.scene.downs.push((row, None)),
            SERVER_STARTS => {
                if let Some((_, until)) = self.scene.downs.last_mut() {
                    *until = Some(row);
                }
            }
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`read` names every event and picks these")]
    fn message(&mut self, row: usize, event: &'a Event) {
        match event {
            Event::Sent { message, room, .. } => {
                self.sent.insert(*message, self.scene.arrows.len());
                self.arrow(Cargo::Send, message.by, (row, None), Some(*message), room);
                let label = format!("says {} in {room}", short(&self.clients, *message));
                self.mark(row, message.by, Sign::Said, label);
            }
            Event::Delivered { socket, room, message, intact, .. } => {
                // What the engine did not own up to comes from nowhere before its arrival.
                let from = self.accepted.get(message).copied().unwrap_or(row);
                self.arrow(Cargo::Delivery, *socket, (from, Some(row)), Some(*message), room);
                let damage = if *intact { "" } else { " DAMAGED" };
                let label = format!("hears {}{damage}", short(&self.clients, *message));
                self.mark(row, *socket, Sign::Heard, label);
            }
            Event::Acked { message, .. } => {
                if let Some(&from) = self.accepted.get(message) {
                    self.arrow(Cargo::Answer, message.by, (from, Some(row)), Some(*message), "");
                }
                let label = format!("ack of {}", short(&self.clients, *message));
                self.mark(row, message.by, Sign::Answered, label);
            }
            Event::Asked { socket, number } => {
                self.mark(row, *socket, Sign::Asked, format!("echo {number}?"));
            }
            Event::Answered { socket, number } => {
                self.mark(row, *socket, Sign::Answered, format!("echo {number}"));
            }
            other => unreachable!("{other:?} is about no message"),
        }
    }

    /// What concerns who is in a room, of who watches it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`read` names every event and picks these")]
    fn watch(&mut self, row: usize, event: &'a Event) {
        let who = |sid: &str| match self.sids.get(sid).and_then(|it| self.clients.get(it)) {
            Some(client) => format!("client {client}"),
            None => format!("socket {sid}"),
        };
        let (socket, sign, label) = match event {
            Event::Notice { socket, room, changes } => {
                let change =
                    |it: &Change| format!("{}{}", if it.0 { '+' } else { '-' }, who(&it.1));
                let changes: Vec<_> = changes.iter().map(change).collect();
                (socket, Sign::Heard, format!("told of {room}: {}", changes.join(", ")))
            }
            Event::Unwatched { socket, room } => {
                (socket, Sign::Answered, format!("watches {room} no longer"))
            }
            Event::UnwatchSent { socket, room } => {
                (socket, Sign::Asked, format!("is to watch {room} no longer"))
            }
            Event::Watched { socket, room, members } => {
                let members: Vec<_> = members.iter().map(|sid| who(sid)).collect();
                (socket, Sign::Answered, format!("in {room} are [{}]", members.join(", ")))
            }
            Event::WatchSent { socket, room } => (socket, Sign::Asked, format!("watches {room}")),
            other => unreachable!("{other:?} is about no watch"),
        };
        self.mark(row, *socket, sign, label);
    }

    fn arrow(
        &mut self,
        cargo: Cargo,
        socket: SocketId,
        (from, to): (usize, Option<usize>),
        message: Option<MessageId>,
        room: &'a str,
    ) {
        if let Some(&client) = self.clients.get(&socket) {
            self.scene.arrows.push(Arrow { cargo, client, socket, from, to, message, room });
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`read` names every event and picks these")]
    fn call(&mut self, row: usize, event: &'a Event) {
        match event {
            Event::JoinSent { socket, room } => {
                self.bands.ask_in(row, *socket, room);
                self.ask(row, (*socket, "join", room), format!("joins {room}"));
            }
            Event::JoinAcked { socket, room } => {
                self.bands.know_in(row, *socket, room);
                self.answer(row, (*socket, "join", room), format!("is in {room}"));
            }
            Event::LeaveSent { socket, room } => {
                self.bands.ask_out(row, *socket, room);
                self.ask(row, (*socket, "leave", room), format!("leaves {room}"));
            }
            Event::LeaveAcked { socket, room } => {
                self.bands.know_out(row, *socket, room);
                self.answer(row, (*socket, "leave", room), format!("has left {room}"));
            }
            Event::SwitchSent { socket, from, to } => {
                self.bands.ask_out(row, *socket, from);
                self.bands.ask_in(row, *socket, to);
                self.ask(row, (*socket, "switch", to), format!("switches {from} to {to}"));
            }
            Event::SwitchAcked { socket, from, to } => {
                if from != to {
                    self.bands.know_out(row, *socket, from);
                }
                self.bands.know_in(row, *socket, to);
                self.answer(row, (*socket, "switch", to), format!("has switched to {to}"));
            }
            Event::Refused { socket, call, error } => self.refuse(row, *socket, call, error),
            other => unreachable!("{other:?} is no call"),
        }
    }

    fn ask(&mut self, row: usize, key: CallKey<'a>, label: String) {
        self.calls.entry(key).or_default().push_back(Pending { sent: row, accepted: None });
        self.mark(row, key.0, Sign::Asked, label);
    }

    fn answer(&mut self, row: usize, key: CallKey<'a>, label: String) {
        let pending = self.calls.get_mut(&key).and_then(VecDeque::pop_front);
        if let Some(Pending { accepted: Some(from), .. }) = pending {
            self.arrow(Cargo::Answer, key.0, (from, Some(row)), None, key.2);
        }
        self.mark(row, key.0, Sign::Answered, label);
    }

    fn refuse(&mut self, row: usize, socket: SocketId, call: &'a Call, error: &str) {
        let (what, rooms): (&'static str, Vec<&'a str>) = match call {
            Call::Join { room } => ("join", vec![room]),
            Call::Leave { room } => ("leave", vec![room]),
            Call::Message { .. } => ("message", Vec::new()),
            Call::Switch { from, to } => ("switch", vec![to, from]),
            Call::Unwatch { .. } => ("unwatch", Vec::new()),
            Call::Watch { .. } => ("watch", Vec::new()),
        };
        for room in &rooms {
            self.bands.refuse(row, socket, room);
        }
        let label = format!("{what} refused: {error}");
        match rooms.first() {
            Some(room) => self.answer(row, (socket, what, room), label),
            None => self.mark(row, socket, Sign::Answered, label),
        }
    }

    fn witness(&mut self, row: usize, order: &'a Order) {
        let (what, room) = match order {
            Order::Broadcast { message, .. } => {
                if let Some(message) = *message {
                    self.accept(row, message);
                }
                return;
            }
            Order::Connect { .. } | Order::Disconnect { .. } => return,
            Order::Join { room, .. } => ("join", room),
            Order::Leave { room, .. } => ("leave", room),
            Order::Switch { to, .. } => ("switch", to),
        };
        let Some(&socket) = self.sids.get(order.sid()) else { return };
        let pending = self.calls.get_mut(&(socket, what, room.as_str()));
        let first = pending.and_then(|calls| calls.iter_mut().find(|it| it.accepted.is_none()));
        if let Some(pending) = first {
            pending.accepted = Some(row);
            let sent = pending.sent;
            self.arrow(Cargo::Call, socket, (sent, Some(row)), None, room);
        }
    }

    fn accept(&mut self, row: usize, message: MessageId) {
        self.accepted.insert(message, row);
        if let Some(arrow) = self.sent.remove(&message) {
            self.scene.arrows[arrow].to = Some(row);
        }
    }
}
