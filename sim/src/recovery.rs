//! The guarantee `recovery_exact`: who is told that it was recovered has missed nothing,
//! and gets nothing twice or out of order.
//!
//! A socket that is recovered hears one stream over all its connections. With the engine's
//! own order as witness that stream is known word for word:
//!
//! ```text
//!  order        a1   a2   b1   a3   a4                 of its rooms, without its own
//!  connection   a1   a2 |                              ended
//!  the next                | b1   a3   a4              recovered: replay, then live
//! ```
//!
//! It is in its rooms from its joins to its leaves, whatever connection it has or has not
//! meanwhile; so the engine must put it back into exactly those, and one connection at a
//! time. What clients alone can tell is judged by the [checkers](parlor::check), which see
//! one stream as well.
//!
//! Where the server drops events for who is slow, a socket may lose what is said to it after
//! its return, and is not recovered another time; what it missed before must still come.
//!
//! Not of this stream, by the protocol: answers, and what carries an offset only to repeat
//! the last one, as presence does.

mod clients;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bounded::Dropped;
use crate::history::{Event, History, Mark, MessageId, Order, SocketId};
use crate::judge::Failure;
use crate::promise::RECOVERY_EXACT;
use crate::story::Cast;

pub(crate) use clients::Interruptions;

/// Judges every socket that was ever recovered.
pub(crate) fn check(history: &History, dropped: Dropped) -> Vec<Failure> {
    let mut judge = Judge::of(history, dropped);
    for entry in history.until_settled() {
        judge.at_us = entry.at_us;
        judge.handle(&entry.event);
    }
    judge.failures
}

/// A socket over all its connections, by the engine's id.
#[derive(Default)]
struct Session<'a> {
    /// Its number, if its client ever goes on with it.
    socket: Option<SocketId>,
    /// Whether the engine has a connection for it.
    is_live: bool,
    rooms: BTreeSet<&'a str>,
    /// The rooms that the engine has put it into, until its client knows that it is there.
    restored: Option<BTreeSet<&'a str>>,
    /// What it has still to hear, in order, and of which room.
    owed: VecDeque<(MessageId, &'a str)>,
    /// What it has not heard though it heard something later.
    skipped: BTreeMap<MessageId, &'a str>,
    /// What it had still to hear when the engine last had it back.
    missed: BTreeSet<MessageId>,
    heard: BTreeSet<MessageId>,
}

struct Judge<'a> {
    at_us: u64,
    cast: Cast<'a>,
    /// Of those sockets that are recovered some time.
    sids: BTreeMap<SocketId, &'a str>,
    sessions: BTreeMap<&'a str, Session<'a>>,
    /// Who hears what is said in a room: sessions that are recovered some time.
    members: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Who has been recovered so far.
    returned: BTreeSet<SocketId>,
    /// Who has a connection, as its client says.
    living: BTreeSet<SocketId>,
    /// Whether the server may have dropped anything.
    has_dropped: bool,
    failures: Vec<Failure>,
}

impl<'a> Judge<'a> {
    fn of(history: &'a History, dropped: Dropped) -> Self {
        let mut judge = Self {
            at_us: 0,
            cast: Cast::of(history),
            sids: BTreeMap::new(),
            sessions: BTreeMap::new(),
            members: BTreeMap::new(),
            returned: BTreeSet::new(),
            living: BTreeSet::new(),
            has_dropped: dropped.may_be_any(),
            failures: Vec::new(),
        };
        let mut returning = BTreeSet::new();
        for entry in history.until_settled().iter().rev() {
            if let Event::Recovered { socket, .. } = &entry.event {
                returning.insert(*socket);
            } else if let Event::Connected { socket, sid, .. } = &entry.event
                && returning.contains(socket)
            {
                judge.sids.insert(*socket, sid);
                let session = Session { socket: Some(*socket), ..Session::default() };
                judge.sessions.insert(sid, session);
            }
        }
        judge
    }

    fn handle(&mut self, event: &'a Event) {
        match event {
            Event::Connected { socket, sid, .. } => {
                self.living.insert(*socket);
                if let Some(session) = self.sessions.get_mut(sid.as_str()) {
                    session.restored = None;
                }
            }
            Event::Delivered { socket, room, message, .. } => self.hear(*socket, *message, room),
            Event::Ended { socket, .. } => {
                self.living.remove(socket);
            }
            Event::Quiet { mark: Mark::Settled } => self.settle(),
            Event::Recovered { socket, .. } => self.recover(*socket),
            Event::Witnessed { order } => self.witness(order),
            Event::Acked { .. }
            | Event::Answered { .. }
            | Event::Asked { .. }
            | Event::Backlog { .. }
            | Event::Census { .. }
            | Event::Expelled { .. }
            | Event::Fault { .. }
            | Event::Foreign { .. }
            | Event::GivenUp { .. }
            | Event::HalfOpened { .. }
            | Event::Heard { .. }
            | Event::Illegal { .. }
            | Event::JoinAcked { .. }
            | Event::JoinSent { .. }
            | Event::LeaveAcked { .. }
            | Event::LeaveSent { .. }
            | Event::Notice { .. }
            | Event::Packets { .. }
            | Event::PollCancelled { .. }
            | Event::Ponged { .. }
            | Event::Quiet { mark: Mark::Gone | Mark::Healed | Mark::Probe }
            | Event::Refused { .. }
            | Event::Replied { .. }
            | Event::Said { .. }
            | Event::Sent { .. }
            | Event::SwitchAcked { .. }
            | Event::SwitchSent { .. }
            | Event::TypingHeard { .. }
            | Event::TypingSent { .. }
            | Event::Unwatched { .. }
            | Event::UnwatchSent { .. }
            | Event::Upgraded { .. }
            | Event::Watched { .. }
            | Event::WatchSent { .. }
            | Event::Wish { .. } => {}
        }
    }

    fn witness(&mut self, order: &'a Order) {
        match order {
            Order::Broadcast { sid, room, message, .. } => {
                if let Some(message) = *message {
                    self.say(sid, room, message);
                }
            }
            Order::Connect { sid } => self.connect(sid),
            Order::Disconnect { sid } => {
                if let Some(session) = self.sessions.get_mut(sid.as_str()) {
                    session.is_live = false;
                }
            }
            Order::Join { sid, room } => self.enter(sid, room),
            Order::Leave { sid, room } => self.exit(sid, room),
            Order::Switch { sid, from, to } => {
                self.exit(sid, from);
                self.enter(sid, to);
            }
        }
    }

    fn say(&mut self, from: &str, room: &'a str, message: MessageId) {
        let members = self.members.get(room).into_iter().flatten();
        for &member in members.filter(|&&member| member != from) {
            let session = self.sessions.get_mut(member).expect("members have sessions");
            session.owed.push_back((message, room));
        }
    }

    fn connect(&mut self, sid: &'a str) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let was_live = std::mem::replace(&mut session.is_live, true);
        session.restored = Some(BTreeSet::new());
        session.missed = session.owed.iter().map(|&(message, _)| message).collect();
        if was_live {
            let what = "the engine has two connections for it at once".to_owned();
            self.accuse(sid, None, None, what);
        }
    }

    fn enter(&mut self, sid: &'a str, room: &'a str) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        if let Some(restored) = &mut session.restored {
            restored.insert(room);
            return;
        }
        session.rooms.insert(room);
        self.members.entry(room).or_default().insert(sid);
    }

    fn exit(&mut self, sid: &str, room: &str) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        session.rooms.remove(room);
        if let Some(members) = self.members.get_mut(room) {
            members.remove(sid);
        }
    }

    /// The client is told: by now the engine has it where it was. What it has not heard
    /// though it heard more is an earlier connection's, and not judged here.
    fn recover(&mut self, socket: SocketId) {
        self.returned.insert(socket);
        let was_living = !self.living.insert(socket);
        let Some(&sid) = self.sids.get(&socket) else { return };
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let lost = session.skipped.first_key_value().map(|(&message, &room)| (message, room));
        let restored = session.restored.take().unwrap_or_default();
        if restored != session.rooms {
            let what = format!("it was in {:?}, and is put back into {restored:?}", session.rooms);
            self.accuse(sid, None, None, what);
        }
        if let Some((message, room)) = lost.filter(|_| self.has_dropped) {
            let what = "it had lost something for good before".to_owned();
            self.accuse(sid, Some(message), Some(room), what);
        }
        if was_living {
            self.accuse(sid, None, None, "its client has two connections at once".to_owned());
        }
    }

    fn hear(&mut self, socket: SocketId, message: MessageId, room: &'a str) {
        let Some(&sid) = self.sids.get(&socket) else { return };
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let has_returned = self.returned.contains(&socket);
        let place = session.owed.iter().position(|(owed, _)| *owed == message);
        let is_new = session.heard.insert(message);
        let what = match place {
            Some(place) => {
                let skipped: Vec<_> = session.owed.drain(..=place).take(place).collect();
                if has_returned || self.has_dropped {
                    session.skipped.extend(skipped);
                }
                return;
            }
            None if session.skipped.remove(&message).is_some() => "after what was said later",
            None if is_new => "which was not for it",
            None => "which it had heard before",
        };
        if has_returned {
            self.accuse(sid, Some(message), Some(room), format!("it hears something {what}"));
        }
    }

    /// All that was sent has arrived: who lives has heard everything.
    fn settle(&mut self) {
        for (socket, sid) in self.sids.clone() {
            let session = self.sessions.get_mut(sid).expect("it was made with its number");
            let mut missed = std::mem::take(&mut session.skipped);
            if self.returned.contains(&socket) && self.living.contains(&socket) {
                missed.extend(session.owed.drain(..));
            }
            if self.has_dropped {
                missed.retain(|message, _| session.missed.contains(message));
            }
            for (message, room) in missed {
                let what = "it was a member, and never hears something".to_owned();
                self.accuse(sid, Some(message), Some(room), what);
            }
        }
    }

    fn accuse(&mut self, sid: &str, message: Option<MessageId>, room: Option<&str>, what: String) {
        let Some(socket) = self.sessions.get(sid).and_then(|session| session.socket) else {
            return;
        };
        let sender = message.map(|message| message.by);
        let sentence = format!("{} was recovered: {what}", self.cast.socket(socket));
        let sockets = [socket].into_iter().chain(sender);
        self.failures.push(Failure {
            needs_witness: true,
            messages: message.into_iter().collect(),
            rooms: room.map(str::to_owned).into_iter().collect(),
            ..Failure::new(RECOVERY_EXACT, sentence, self.at_us, sockets)
        });
    }
}

#[cfg(test)]
mod tests;
