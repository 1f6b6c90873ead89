//! Judges a run: the checkers over its history, with the witness and without, and
//! what only a simulation can ask (`heals`, and that nothing panicked).
//!
//! The checkers know clients; here every *connection* is one of theirs. A message
//! that an old connection still had under way may then reach its client's new
//! connection without being blamed as heard by its own sender. A connection that is
//! recovered goes on in the next one: both are one client of theirs.

use std::collections::{BTreeMap, BTreeSet};

use parlor::check::{
    self, Accepted, Checker, ClientId, Guarantee, Guarantees, Options, OrderBy, Record, Request,
    RoomId, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::acks;
use crate::bounded::{self, Dropped};
use crate::cleanup;
use crate::heals;
use crate::heartbeat;
use crate::history::{Call, Entry, Event, History, MessageId, Order, SocketId};
use crate::namespaces;
use crate::plan::{Namespace, Plan};
use crate::presence;
use crate::promise::{JUDGED_IN_FULL, NAMESPACE_ISOLATION, PROTOCOL_LEGAL};
use crate::recovery::{self, Interruptions};
use crate::returns::Returns;
use crate::story::{self, Cast};
use crate::volatile;

/// A promise that a run broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The guarantee's name in the contract.
    pub guarantee: String,
    /// What happened, in one sentence.
    pub sentence: String,
    /// When it was seen, in simulated microseconds.
    pub at_us: u64,
    /// Whether the engine's own order was needed to see it.
    pub needs_witness: bool,
    /// The sockets concerned.
    pub sockets: BTreeSet<SocketId>,
    /// The messages concerned.
    pub messages: BTreeSet<MessageId>,
    /// The rooms concerned.
    pub rooms: BTreeSet<String>,
}

impl Failure {
    /// A broken promise that clients alone can see: its name (one word: it becomes part of a
    /// file's name), what happened in one sentence, when it was seen, and whose connections
    /// the story is about.
    pub fn new(
        guarantee: &str,
        sentence: String,
        at_us: u64,
        sockets: impl IntoIterator<Item = SocketId>,
    ) -> Self {
        Self {
            guarantee: guarantee.to_owned(),
            sentence,
            at_us,
            needs_witness: false,
            sockets: sockets.into_iter().collect(),
            messages: BTreeSet::new(),
            rooms: BTreeSet::new(),
        }
    }
}

/// What the checkers counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the checkers' verdict")]
pub struct Counts {
    pub expected: u64,
    pub delivered: u64,
    pub lost: u64,
    pub dropped: u64,
    pub duplicate: u64,
    pub reordered: u64,
    pub indeterminate: u64,
    pub unrequired: u64,
    pub connections: u64,
}

impl Counts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.expected, other.expected),
            (&mut self.delivered, other.delivered),
            (&mut self.lost, other.lost),
            (&mut self.dropped, other.dropped),
            (&mut self.duplicate, other.duplicate),
            (&mut self.reordered, other.reordered),
            (&mut self.indeterminate, other.indeterminate),
            (&mut self.unrequired, other.unrequired),
            (&mut self.connections, other.connections),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
    }
}

/// The judgement over one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The broken promises, those that clients alone can see first.
    pub failures: Vec<Failure>,
    /// What clients alone can count.
    pub counts: Counts,
}

impl Judgement {
    /// The names of the guarantees broken.
    pub fn guarantees(&self) -> BTreeSet<&str> {
        self.failures.iter().map(|failure| failure.guarantee.as_str()).collect()
    }
}

/// Judges a whole history, at quiescence.
pub fn judge(plan: &Plan, history: &History) -> Judgement {
    let court = Court::of(history, OrderBy::Seq, Dropped::of(plan, history));
    let Judgement { mut failures, counts } = court.clients();
    // Of a list of members and the notices of a watch each may have been dropped.
    if !court.dropped.may_be_any() {
        failures.extend(presence::check(history));
    }
    failures.extend(heartbeat::check(plan, history));
    failures.extend(cleanup::check(history));
    failures.extend(bounded::check(plan, history));
    failures.extend(namespaces::check(history));
    let seen: BTreeSet<String> = failures.iter().map(|failure| failure.guarantee.clone()).collect();
    let (sharper, _) = court.checked(true);
    let sharper = sharper.into_iter().chain(acks::check(history));
    failures.extend(sharper.filter(|failure| !seen.contains(&failure.guarantee)));
    Judgement { failures, counts }
}

/// Judges what clients saw of a server that says nothing of its own order, nor numbers the
/// messages of a room.
///
/// Not judged, since only a witness can tell: presence, when silent peers are given up, and
/// what was decided between requests and their answers. If the server has said what it holds
/// in the end, that is judged.
pub fn judge_clients(history: &History) -> Judgement {
    let mut judgement = Court::of(history, OrderBy::Graph, Dropped::default()).clients();
    if history.entries().iter().any(|entry| matches!(entry.event, Event::Census { .. })) {
        judgement.failures.extend(cleanup::check(history));
    }
    judgement
}

/// A history, and what it takes to speak of it.
struct Court<'a> {
    history: &'a History,
    names: Names<'a>,
    returns: Returns,
    interruptions: Interruptions,
    order: OrderBy,
    dropped: Dropped,
}

impl<'a> Court<'a> {
    fn of(history: &'a History, order: OrderBy, dropped: Dropped) -> Self {
        let returns = Returns::of(history);
        let interruptions = Interruptions::of(history, &returns);
        let names = Names::of(history);
        Self { history, names, returns, interruptions, order, dropped }
    }

    /// What clients alone can see.
    fn clients(&self) -> Judgement {
        let (mut failures, verdict) = self.checked(false);
        failures.extend(illegal(self.history));
        failures.extend(heals::check(self.history));
        failures.extend(recovery::check(self.history, self.dropped));
        failures.extend(volatile::check(self.history));
        let counts = Counts {
            expected: verdict.expected,
            delivered: verdict.delivered,
            lost: verdict.lost,
            dropped: self.dropped.told,
            duplicate: verdict.duplicate,
            reordered: verdict.reordered,
            indeterminate: verdict.indeterminate,
            unrequired: verdict.unrequired,
            connections: self.names.sockets.len() as u64,
        };
        Judgement { failures, counts }
    }

    /// What the checkers say, with the engine's order or without.
    fn checked(&self, witnessed: bool) -> (Vec<Failure>, Verdict) {
        let verdict = self.verdict(witnessed);
        // Where events are dropped, what is lost is counted.
        let is_counted =
            |guarantee| self.dropped.may_be_any() && guarantee == Guarantee::JoinThenHear;
        let told = verdict.violations.iter().filter(|it| !is_counted(it.guarantee));
        let mut failures: Vec<Failure> = told.map(|it| self.named(it, witnessed)).collect();
        failures.extend(verdict.overflow.map(|bound| overflow(bound, witnessed)));
        if self.dropped.may_be_any() {
            let at_us = self.history.until_settled().last().map_or(0, |entry| entry.at_us);
            failures.extend(self.dropped.uncounted(verdict.lost, at_us));
        }
        (failures, verdict)
    }

    /// What the checkers are to judge. Where events are dropped, what is lost has one name.
    fn judged(&self) -> Guarantees {
        if !self.dropped.may_be_any() {
            return Guarantees::ALL;
        }
        Guarantees::ALL.without(Guarantee::AckMeansAccepted).without(Guarantee::SwitchAtomic)
    }

    fn verdict(&self, witnessed: bool) -> Verdict {
        let Self { history, names, returns, order, .. } = self;
        let judged = self.judged();
        let options = Options { judged, witnessed, order: *order, ..Options::default() };
        let mut checker = Checker::new(options);
        let mut ended = BTreeSet::new();
        let entries = history.until_settled();
        for (row, Entry { at_us, event }) in entries.iter().enumerate() {
            if returns.is_interruption(row) {
                if let Event::Ended { socket, .. } = event {
                    checker.observe(*at_us, &Record::Interrupted { client: client(*socket) });
                }
                // The engine's end of a session that goes on is none either.
                continue;
            }
            if let Event::Ended { socket, .. } = event {
                ended.insert(*socket);
            }
            if let Event::Witnessed { order } = event {
                if witnessed && let Some(accepted) = names.accepted(order, &ended) {
                    checker.witness(*at_us, &accepted);
                }
            } else if let Some(record) = names.record(event) {
                checker.observe(*at_us, &record);
            }
        }
        let end_us = entries.last().map_or(0, |entry| entry.at_us);
        checker.finish(end_us)
    }

    fn named(&self, violation: &check::Violation, needs_witness: bool) -> Failure {
        let failure = self.names.failure(violation, needs_witness);
        match violation.clients.first() {
            Some(sufferer) => self.interruptions.named(failure, SocketId(sufferer.0)),
            None => failure,
        }
    }
}

/// A history too long for the checkers' bounds must not pass as clean.
fn overflow(bound: &str, needs_witness: bool) -> Failure {
    let sentence = format!("the checkers could not judge everything: {bound}");
    Failure { needs_witness, ..Failure::new(JUDGED_IN_FULL, sentence, 0, []) }
}

/// A simulated network carries nothing but what this run sent, and damages
/// nothing: what else happens is the server's doing.
pub(crate) fn illegal(history: &History) -> Vec<Failure> {
    let mut living = BTreeMap::new();
    let mut failures = Vec::new();
    for Entry { at_us, event } in history.entries() {
        let (guarantee, sentence, socket) = if let Event::Foreign { socket, what } = event {
            let sentence = format!("something arrived that nobody sent: {what}");
            (Guarantee::NoInvention.name(), sentence, Some(*socket))
        } else if let Event::Expelled { client, reason } = event {
            (PROTOCOL_LEGAL, story::blame(*client, reason), living.get(client).copied())
        } else if let Event::Illegal { client, what } = event {
            (PROTOCOL_LEGAL, story::offence(*client, what), living.get(client).copied())
        } else {
            if let Event::Connected { socket, client, .. } | Event::Recovered { socket, client } =
                event
            {
                living.insert(*client, *socket);
            } else if let Event::Ended { socket, .. } = event {
                living.retain(|_, living| living != socket);
            }
            continue;
        };
        failures.push(Failure::new(guarantee, sentence, *at_us, socket));
    }
    failures
}

/// The dense ids that the checkers want.
struct Names<'a> {
    rooms: Vec<&'a str>,
    /// Of each start of the server and each name. A room does not outlive its server: the
    /// next one's of that name is another, whose messages have numbers of their own.
    room_ids: BTreeMap<(&'a str, &'a str), RoomId>,
    servers: BTreeMap<SocketId, &'a str>,
    /// In which namespace a socket speaks.
    spoken_in: BTreeMap<SocketId, Namespace>,
    sockets: BTreeMap<&'a str, SocketId>,
    cast: Cast<'a>,
}

impl<'a> Names<'a> {
    fn of(history: &'a History) -> Self {
        let connections = || history.connections();
        let servers: BTreeMap<_, _> = connections().map(|it| (it.socket, it.server)).collect();
        let starts: BTreeSet<&str> = servers.values().copied().collect();
        let names: BTreeSet<&str> =
            history.entries().iter().flat_map(|entry| entry.event.rooms()).collect();
        let places = starts.iter().flat_map(|&start| names.iter().map(move |&name| (start, name)));
        let places: Vec<(&str, &str)> = places.collect();
        let id = |index: usize| RoomId(u32::try_from(index).expect("few rooms"));
        Self {
            rooms: places.iter().map(|&(_, name)| name).collect(),
            room_ids: places.iter().enumerate().map(|(at, &place)| (place, id(at))).collect(),
            servers,
            spoken_in: history.entries().iter().filter_map(speaker).collect(),
            sockets: connections().map(|it| (it.sid, it.socket)).collect(),
            cast: Cast::of(history),
        }
    }

    /// A room, as a socket's server knows it.
    fn room(&self, socket: SocketId, name: &str) -> RoomId {
        self.room_ids[&(self.servers[&socket], name)]
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the checkers know of nothing else")]
    fn record(&self, event: &Event) -> Option<Record> {
        Some(match event {
            &Event::Acked { message, seq } => Record::Acked { message: message_id(message), seq },
            Event::Answered { socket, number } => {
                Record::Answered { client: client(*socket), number: *number }
            }
            &Event::Asked { socket, number } => Record::Asked { client: client(socket), number },
            Event::Connected { socket, .. } => Record::Connected { client: client(*socket) },
            Event::Delivered { socket, room, message, from, seq, intact } => Record::Delivered {
                client: client(*socket),
                room: self.room(*socket, room),
                message: message_id(*message),
                from: from.map(client),
                seq: *seq,
                intact: *intact,
            },
            Event::Ended { socket, .. } => Record::Disconnected { client: client(*socket) },
            Event::Foreign { socket, .. } => Record::Foreign { client: client(*socket) },
            Event::JoinAcked { socket, room } => {
                Record::JoinAcked { client: client(*socket), room: self.room(*socket, room) }
            }
            Event::JoinSent { socket, room } => {
                Record::JoinSent { client: client(*socket), room: self.room(*socket, room) }
            }
            Event::LeaveAcked { socket, room } => {
                Record::LeaveAcked { client: client(*socket), room: self.room(*socket, room) }
            }
            Event::LeaveSent { socket, room } => {
                Record::LeaveSent { client: client(*socket), room: self.room(*socket, room) }
            }
            Event::Refused { socket, call, .. } => {
                Record::Refused { client: client(*socket), request: self.request(*socket, call)? }
            }
            Event::Sent { message, room, .. } => {
                Record::Sent { message: message_id(*message), room: self.room(message.by, room) }
            }
            Event::SwitchAcked { socket, from, to } => {
                let (from, to) = (self.room(*socket, from), self.room(*socket, to));
                Record::SwitchAcked { client: client(*socket), from, to }
            }
            Event::SwitchSent { socket, from, to } => {
                let (from, to) = (self.room(*socket, from), self.room(*socket, to));
                Record::SwitchSent { client: client(*socket), from, to }
            }
            _ => return None,
        })
    }

    /// What the checkers call it; they know of no watches.
    fn request(&self, socket: SocketId, call: &Call) -> Option<Request> {
        Some(match call {
            Call::Join { room } => Request::Join { room: self.room(socket, room) },
            Call::Leave { room } => Request::Leave { room: self.room(socket, room) },
            Call::Message { number } => Request::Message { number: *number },
            Call::Switch { from, to } => {
                Request::Switch { from: self.room(socket, from), to: self.room(socket, to) }
            }
            Call::Unwatch { .. } | Call::Watch { .. } => return None,
        })
    }

    /// A step of a socket whose client has seen its end (or never its beginning) is
    /// no longer the checkers' business; a broadcast always is.
    fn accepted(&self, order: &Order, ended: &BTreeSet<SocketId>) -> Option<Accepted> {
        let living = |sid: &String| {
            let socket = *self.sockets.get(sid.as_str())?;
            (!ended.contains(&socket)).then_some(socket)
        };
        Some(match order {
            Order::Broadcast { room, message, .. } => {
                // What a broken engine says may be of nobody.
                let message = (*message).filter(|it| self.servers.contains_key(&it.by))?;
                let room = self.room(message.by, room);
                Accepted::Broadcast { message: message_id(message), room }
            }
            Order::Connect { .. } => return None,
            Order::Disconnect { sid } => Accepted::Disconnect { client: client(living(sid)?) },
            Order::Join { sid, room } => {
                let socket = living(sid)?;
                Accepted::Join { client: client(socket), room: self.room(socket, room) }
            }
            Order::Leave { sid, room } => {
                let socket = living(sid)?;
                Accepted::Leave { client: client(socket), room: self.room(socket, room) }
            }
            Order::Switch { sid, from, to } => {
                let socket = living(sid)?;
                let (from, to) = (self.room(socket, from), self.room(socket, to));
                Accepted::Switch { client: client(socket), from, to }
            }
        })
    }

    fn failure(&self, violation: &check::Violation, needs_witness: bool) -> Failure {
        let message =
            |id: &check::MessageId| MessageId { by: SocketId(id.sender.0), number: id.number };
        let spoken_in = violation
            .messages
            .iter()
            .filter_map(|message| self.spoken_in.get(&SocketId(message.sender.0)).copied());
        let rooms = violation.rooms.iter().filter_map(|room| self.rooms.get(room.0 as usize));
        let namespaces: BTreeSet<Namespace> =
            rooms.map(|room| Namespace::of(room)).chain(spoken_in).collect();
        let is_crossing = namespaces.len() > 1;
        let is_of_rooms = violation.guarantee == Guarantee::RoomIsolation;
        let guarantee = match is_of_rooms && is_crossing {
            true => NAMESPACE_ISOLATION,
            false => violation.guarantee.name(),
        };
        Failure {
            guarantee: guarantee.to_owned(),
            sentence: violation.sentence(
                |client| self.cast.socket(SocketId(client.0)),
                |room| format!("{:?}", self.rooms[room.0 as usize]),
            ),
            at_us: violation.at_us,
            needs_witness,
            sockets: violation.clients.iter().map(|client| SocketId(client.0)).collect(),
            messages: violation.messages.iter().map(message).collect(),
            rooms: violation
                .rooms
                .iter()
                .filter_map(|room| self.rooms.get(room.0 as usize))
                .map(|&room| room.to_owned())
                .collect(),
        }
    }
}

/// Who speaks, and in which namespace.
fn speaker(entry: &Entry) -> Option<(SocketId, Namespace)> {
    let Event::Sent { message, room, .. } = &entry.event else { return None };
    Some((message.by, Namespace::of(room)))
}

fn client(socket: SocketId) -> ClientId {
    ClientId(socket.0)
}

fn message_id(message: MessageId) -> check::MessageId {
    check::MessageId { sender: client(message.by), number: message.number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_illegal_concerns_the_connection_that_lives() {
        let illegal = || Event::Illegal { client: 3, what: "pinged twice".to_owned() };
        let (sid, server) = ("sid".to_owned(), "start-1".to_owned());
        let (client, socket) = (3, SocketId(7));
        let mut history = History::default();
        let connected = Event::Connected { socket, client, sid, server };
        let ended = Event::Ended { socket, reason: "stream ended".to_owned() };
        for (at_us, event) in (0..).zip([illegal(), connected, illegal(), ended, illegal()]) {
            history.push(at_us, event);
        }
        let sentence = || "to client 3 the server pinged twice".to_owned();
        let failure = |at_us, sockets| Failure::new(PROTOCOL_LEGAL, sentence(), at_us, sockets);
        let expected = [failure(0, None), failure(2, Some(socket)), failure(4, None)];
        assert_eq!(super::illegal(&history), expected);
    }
}
