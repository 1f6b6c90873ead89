//! What was said in a namespace, and to whom, for clients that come back.
//!
//! A namespace's home numbers its broadcasts and keeps the last ones, with whom
//! they were for. It remembers of each session in which rooms it was from which
//! number on. So what a client has missed is what was said after the number it
//! has seen, to rooms it was in then: exactly, whatever it joined and left
//! meanwhile, and without any cost for each recipient.
//!
//! What a handler emits to its own socket passes no home. The socket's shard
//! counts that, and hands what may be missing over with the socket's end.
//!
//! ```text
//!  offset  epoch . shard . number of the last broadcast . count of the shard's own emits
//!
//!  live --disconnect--> ghost --window over--> forgotten
//!    ^                    |
//!    +----- claimed ------+     a claim of a live session ends its old socket first
//! ```
//!
//! What can not be exact is not recovered: the client is told so.
//!
//! A ghost is in no room, but its rooms are held for it: what they count goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Target;
use super::exchange::{Packet, Whom};
use crate::room::{ShardId, Sid, SocketKey};

/// How much is kept for clients that come back; per namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How long after its disconnect a session can be recovered.
    pub window: Duration,
    /// Broadcasts that are kept.
    pub packets_max: usize,
    /// Bytes of broadcasts that are kept.
    pub bytes_max: usize,
    /// Sessions without a connection that are kept; one more and the oldest goes.
    pub sessions_max: usize,
    /// What a handler emits to its own socket, kept per session.
    pub own_packets_max: usize,
    /// Packets that one session may have missed: of more it is not recovered, since a client
    /// that is sent them all at once would be closed as a slow one. A server takes half of
    /// what may wait for a client, if that is less.
    pub missed_packets_max: usize,
    /// Bytes that one session may have missed, in the same way.
    pub missed_bytes_max: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(120),
            packets_max: 65_536,
            bytes_max: 32 << 20,
            sessions_max: 10_000,
            own_packets_max: 256,
            missed_packets_max: 8_192,
            missed_bytes_max: 2 << 20,
        }
    }
}

/// How far a client has come in what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Names the server's process.
    pub epoch: u32,
    /// The shard that sent it.
    pub shard: ShardId,
    /// The last broadcast that can have been for it.
    pub number: u64,
    /// How much its shard had emitted to single sockets.
    pub own: u64,
}

impl Offset {
    /// Numbers of 32, 8 and twice 64 bits in hexadecimal, and what is between them.
    const CHARACTERS_MAX: usize = 8 + 2 + 16 + 16 + 3;

    /// Reads what a client presents; none if it is no offset of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 16).ok());
        let mut next = || parts.next().flatten();
        let offset = Self {
            epoch: next()?.try_into().ok()?,
            shard: ShardId(next()?.try_into().ok()?),
            number: next()?,
            own: next()?,
        };
        parts.next().is_none().then_some(offset)
    }

    /// What a client gets to present; it is part of every event, so it is spelled by hand.
    pub(super) fn spell(&self) -> String {
        let mut text = String::with_capacity(Self::CHARACTERS_MAX);
        push_hex(self.epoch.into(), &mut text);
        for number in [self.shard.0.into(), self.number, self.own] {
            text.push('.');
            push_hex(number, &mut text);
        }
        text
    }
}

fn push_hex(number: u64, text: &mut String) {
    if number >= 16 {
        push_hex(number / 16, text);
    }
    text.push(char::from(b"0123456789abcdef"[(number % 16) as usize]));
}

/// What a shard emitted to one of its sockets itself.
#[derive(Clone, Debug)]
pub struct Own {
    /// The last broadcast that its shard had delivered before.
    pub number: u64,
    /// The shard's count.
    pub count: u64,
    /// What.
    pub packet: Arc<Packet>,
}

/// What the shard of a socket that has gone leaves for its session.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// What the shard emitted to it, as far as that is kept.
    pub own: Vec<Own>,
    /// The count up to which that is not kept any more.
    pub own_trimmed: u64,
    /// What the application kept with it.
    pub data: Value,
}

/// The sockets and broadcasts of one namespace, as far as somebody may come back to them.
#[derive(Debug)]
pub(super) struct Journal {
    limits: Recovery,
    /// How long a client may be gone before the server notices.
    unnoticed_max: Duration,
    number: u64,
    log: VecDeque<Entry>,
    log_bytes: usize,
    trimmed: Trimmed,
    sessions: BTreeMap<Sid, Session>,
    by_socket: BTreeMap<SocketKey, Sid>,
    /// When ghosts are forgotten.
    ghosts: BTreeSet<(Instant, Sid)>,
    /// Rooms that were held for ghosts which are none any more.
    unheld: Vec<Box<str>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: Instant,
    from: Option<Sid>,
    whom: Whom,
    packet: Arc<Packet>,
}

/// The last broadcast to each room that is not kept any more.
#[derive(Debug, Default)]
struct Trimmed {
    by_room: BTreeMap<Box<str>, u64>,
    /// To the whole namespace; also what `by_room` had no place for.
    to_all: u64,
}

/// One client's stay in the namespace, over one connection or several.
#[derive(Debug)]
struct Session {
    sid: Sid,
    state: State,
    /// The number of the last broadcast before it began.
    began: u64,
    stays: Vec<Stay>,
    /// The end of the last stay that is not known any more.
    forgotten: u64,
    phase: Phase,
    data: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has a socket.
    Live(SocketKey),
    /// It has none, until this instant.
    Ghost(Instant),
}

/// A session's time in one room: it hears what has a number above `from`, up to `to`.
#[derive(Debug)]
struct Stay {
    room: Box<str>,
    from: u64,
    to: Option<u64>,
}

/// A session's time with its present socket, or the last one.
#[derive(Debug)]
struct Phase {
    shard: ShardId,
    /// The shard's count when it began: what is emitted in this phase has a greater one.
    began: u64,
    /// The count up to which it is not kept any more.
    trimmed: u64,
    own: Vec<Own>,
}

impl Phase {
    fn new(arrival: Arrival) -> Self {
        let Arrival { socket, own: began } = arrival;
        Self { shard: socket.shard, began, trimmed: 0, own: Vec::new() }
    }
}

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// The session has a socket still: that has to end first.
    Live(SocketKey),
    /// It can not be recovered.
    No,
    /// It has its new socket.
    Restored(Box<Restored>),
}

/// A session that goes on.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Its id, as before.
    pub sid: Sid,
    /// The rooms that it is in.
    pub rooms: Vec<Box<str>>,
    /// What the application kept with it.
    pub data: Value,
    /// What it missed, in order.
    pub missed: Vec<Missed>,
}

/// One packet that a session missed.
#[derive(Clone, Debug)]
pub enum Missed {
    /// Its shard emitted it, after the broadcast with this number; its new
    /// shard counts it anew.
    Own(u64, Arc<Packet>),
    /// A broadcast, with its number.
    Said(u64, Arc<Packet>),
}

impl Missed {
    fn bytes(&self) -> usize {
        let (Self::Own(_, packet) | Self::Said(_, packet)) = self;
        packet.bytes()
    }
}

/// A socket that begins, or goes on with, a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) socket: SocketKey,
    /// Its shard's count, higher than any that was sent to anybody before.
    pub(super) own: u64,
}

impl Journal {
    pub(super) fn new(limits: Recovery, unnoticed_max: Duration) -> Self {
        Self {
            limits,
            unnoticed_max,
            number: 0,
            log: VecDeque::new(),
            log_bytes: 0,
            trimmed: Trimmed::default(),
            sessions: BTreeMap::new(),
            by_socket: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            unheld: Vec::new(),
        }
    }

    /// The number of the last broadcast.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A new session begins.
    pub(super) fn begin(&mut self, pid: Sid, sid: Sid, arrival: Arrival) {
        let socket = arrival.socket;
        let session = Session {
            sid,
            state: State::Live(socket),
            began: self.number,
            stays: Vec::new(),
            forgotten: 0,
            phase: Phase::new(arrival),
            data: Value::Null,
        };
        self.sessions.insert(pid, session);
        self.by_socket.insert(socket, pid);
    }

    /// A socket is in a room from here on.
    pub(super) fn joined(&mut self, socket: SocketKey, room: &str) {
        let (number, kept) = (self.number, self.first_kept());
        let Some(session) = self.session_of(socket) else { return };
        session.forget_stays(kept);
        let is_in = session.stays.iter().any(|stay| stay.to.is_none() && *stay.room == *room);
        if !is_in {
            session.stays.push(Stay { room: room.into(), from: number, to: None });
        }
    }

    /// A socket is in a room no longer.
    pub(super) fn left(&mut self, socket: SocketKey, room: &str) {
        let number = self.number;
        let Some(session) = self.session_of(socket) else { return };
        let open = |stay: &&mut Stay| stay.to.is_none() && *stay.room == *room;
        if let Some(stay) = session.stays.iter_mut().find(open) {
            stay.to = Some(number);
        }
    }

    /// Keeps a broadcast; returns its number.
    pub(super) fn record(
        &mut self,
        now: Instant,
        from: Option<Sid>,
        target: Target<'_>,
        packet: Arc<Packet>,
    ) -> u64 {
        self.number += 1;
        self.log_bytes += packet.bytes();
        let whom = Whom::new(target);
        self.log.push_back(Entry { number: self.number, at: now, from, whom, packet });
        let age_max = self.limits.window + self.unnoticed_max;
        while let Some(first) = self.log.front()
            && (self.log.len() > self.limits.packets_max
                || self.log_bytes > self.limits.bytes_max
                || now.saturating_duration_since(first.at) > age_max)
        {
            let first = self.log.pop_front().expect("just seen");
            self.log_bytes -= first.packet.bytes();
            self.trimmed.note(&first, self.limits.packets_max);
        }
        self.number
    }

    /// The rooms that must be held for a socket once its session is a ghost.
    pub(super) fn rooms_of(&self, socket: SocketKey) -> Vec<Box<str>> {
        let session = self.by_socket.get(&socket).and_then(|pid| self.sessions.get(pid));
        session.map_or(Vec::new(), Session::rooms)
    }

    /// The rooms that need be held no longer, once for each ghost.
    pub(super) fn take_unheld(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.unheld)
    }

    /// A socket has gone. With `remains` its session can be recovered for a while; its
    /// [rooms](Self::rooms_of) must have been held.
    ///
    /// Returns the session.
    pub(super) fn end(
        &mut self,
        socket: SocketKey,
        remains: Option<Remains>,
        now: Instant,
    ) -> Option<Sid> {
        let pid = self.by_socket.remove(&socket)?;
        let Some(remains) = remains else {
            self.sessions.remove(&pid);
            return Some(pid);
        };
        let until = now + self.limits.window;
        if let Some(session) = self.sessions.get_mut(&pid) {
            session.state = State::Ghost(until);
            session.data = remains.data;
            (session.phase.own, session.phase.trimmed) = (remains.own, remains.own_trimmed);
            self.ghosts.insert((until, pid));
        }
        while self.ghosts.len() > self.limits.sessions_max {
            self.forget_first_ghost();
        }
        Some(pid)
    }

    /// A client comes back: `offset` is the last one that it has seen, if any.
    pub(super) fn claim(
        &mut self,
        pid: Sid,
        offset: Option<Offset>,
        arrival: Arrival,
        now: Instant,
    ) -> Claim {
        let Some(session) = self.sessions.get(&pid) else { return Claim::No };
        let until = match session.state {
            State::Ghost(until) => until,
            State::Live(socket) => return Claim::Live(socket),
        };
        let seen = session.seen(offset);
        self.ghosts.remove(&(until, pid));
        self.unheld.extend(session.rooms());
        if until < now || session.has_lost(seen, &self.trimmed) {
            self.sessions.remove(&pid);
            return Claim::No;
        }
        let missed = session.missed(seen, &self.log);
        let bytes: usize = missed.iter().map(Missed::bytes).sum();
        if missed.len() > self.limits.missed_packets_max || bytes > self.limits.missed_bytes_max {
            self.sessions.remove(&pid);
            return Claim::No;
        }
        let (sid, rooms, data) = (session.sid, session.rooms(), session.data.clone());
        let restored = Restored { sid, rooms, data, missed };
        let session = self.sessions.get_mut(&pid).expect("just found");
        session.state = State::Live(arrival.socket);
        // What it has not seen of the last phase is emitted anew in this one.
        session.phase = Phase::new(arrival);
        self.by_socket.insert(arrival.socket, pid);
        Claim::Restored(Box::new(restored))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ghosts.first().map(|&(until, _)| until)
    }

    /// Forgets the ghosts whose time is over, and with the last session all that was said.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.ghosts.first().is_some_and(|&(until, _)| until <= now) {
            self.forget_first_ghost();
        }
        if self.sessions.is_empty() {
            (self.log, self.log_bytes) = (VecDeque::new(), 0);
            self.trimmed = Trimmed { by_room: BTreeMap::new(), to_all: self.number };
        }
    }

    /// How many sessions are without a socket.
    pub(super) fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    fn forget_first_ghost(&mut self) {
        if let Some((_, pid)) = self.ghosts.pop_first()
            && let Some(session) = self.sessions.remove(&pid)
        {
            self.unheld.extend(session.rooms());
        }
    }

    fn session_of(&mut self, socket: SocketKey) -> Option<&mut Session> {
        self.sessions.get_mut(self.by_socket.get(&socket)?)
    }

    fn first_kept(&self) -> u64 {
        self.log.front().map_or(self.number, |entry| entry.number)
    }
}

impl Trimmed {
    fn note(&mut self, entry: &Entry, rooms_max: usize) {
        if entry.whom.rooms.is_empty() {
            self.to_all = entry.number;
        }
        for room in &entry.whom.rooms {
            self.by_room.insert(room.clone(), entry.number);
        }
        if self.by_room.len() > rooms_max {
            // Coarser, never wrong: fewer can be recovered.
            self.to_all = entry.number;
            self.by_room.clear();
        }
    }
}

/// What a client has seen: broadcasts up to a number, and what was emitted to
/// it alone up to a count of its last phase.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    own: u64,
}

impl Session {
    /// What an offset means. One of an earlier session, which clients keep,
    /// means that nothing of this one has arrived. One of an earlier phase means
    /// that nothing of the last one has.
    fn seen(&self, offset: Option<Offset>) -> Seen {
        let Phase { shard, began, .. } = self.phase;
        let of_phase = offset.filter(|offset| offset.shard == shard && offset.own >= began);
        Seen {
            number: offset.map_or(0, |offset| offset.number).max(self.began),
            own: of_phase.map_or(began, |offset| offset.own),
        }
    }

    /// Whether something that it has not seen is not kept any more.
    fn has_lost(&self, seen: Seen, trimmed: &Trimmed) -> bool {
        let lost = |room: &str, from: u64| {
            trimmed.by_room.get(room).is_some_and(|&number| number > from.max(seen.number))
        };
        self.phase.trimmed > seen.own
            || self.forgotten > seen.number
            || trimmed.to_all > seen.number
            || lost(self.sid.as_str(), self.began)
            || self.stays.iter().any(|stay| lost(&stay.room, stay.from))
    }

    /// What it has not seen, in the order in which it was, or would have been, sent.
    fn missed(&self, seen: Seen, log: &VecDeque<Entry>) -> Vec<Missed> {
        let own = self.phase.own.iter().filter(|own| own.count > seen.own);
        // What was sent before a broadcast that has been seen had been seen as well,
        // or is one of those that were sent again behind it.
        let again = |own: &Own| Missed::Own(own.number.max(seen.number), Arc::clone(&own.packet));
        let mut own = own.peekable();
        let mut missed = Vec::new();
        let said = log.iter().filter(|entry| entry.number > seen.number && self.was_meant(entry));
        for entry in said {
            while let Some(own) = own.next_if(|own| own.number < entry.number) {
                missed.push(again(own));
            }
            missed.push(Missed::Said(entry.number, Arc::clone(&entry.packet)));
        }
        missed.extend(own.map(again));
        missed
    }

    fn was_meant(&self, entry: &Entry) -> bool {
        let Whom { rooms, except } = &entry.whom;
        let is_in = |room: &str| self.sid.as_str() == room || self.was_in(room, entry.number);
        entry.number > self.began
            && entry.from != Some(self.sid)
            && (rooms.is_empty() || rooms.iter().any(|room| is_in(room)))
            && !except.iter().any(|room| is_in(room))
    }

    fn was_in(&self, room: &str, number: u64) -> bool {
        self.stays.iter().any(|stay| {
            *stay.room == *room && stay.from < number && stay.to.is_none_or(|to| number <= to)
        })
    }

    fn rooms(&self) -> Vec<Box<str>> {
        let open = self.stays.iter().filter(|stay| stay.to.is_none());
        open.map(|stay| stay.room.clone()).collect()
    }

    /// Lets go of stays that ended before all that is kept, and, if there are
    /// very many, of whatever has ended.
    fn forget_stays(&mut self, first_kept: u64) {
        const STAYS_MANY: usize = 64;
        const STAYS_MAX: usize = 4096;
        if self.stays.len() < STAYS_MANY {
            return;
        }
        let first_kept = if self.stays.len() < STAYS_MAX { first_kept } else { u64::MAX };
        let mut forgotten = self.forgotten;
        self.stays.retain(|stay| {
            let ended = stay.to.filter(|&to| to < first_kept);
            forgotten = forgotten.max(ended.unwrap_or(0));
            ended.is_none()
        });
        self.forgotten = forgotten;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_as_it_is_spelled() {
        for number in [0, 9, 10, 15, 16, 255, 256, u64::from(u32::MAX), u64::MAX] {
            let epoch = u32::try_from(number).unwrap_or(u32::MAX);
            let offset = Offset { epoch, shard: ShardId(number as u8), number, own: number / 3 };
            let text = offset.spell();
            let Offset { epoch, shard, number, own } = offset;
            assert_eq!(text, format!("{epoch:x}.{:x}.{number:x}.{own:x}", shard.0));
            assert!(text.len() <= Offset::CHARACTERS_MAX);
            assert_eq!(Offset::parse(&text), Some(offset));
        }
    }
}
