//! One namespace: the sockets of this shard, and at its home the order of all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::exchange::Begin;
use super::hold::Hold;
use super::journal::{Journal, Own};
use super::{ConnId, Target, Ticket};
use crate::room::{Rooms, ShardId, Sid, SocketKey};

/// One namespace, as one shard sees it.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) name: Box<str>,
    /// At home only.
    pub(super) order: Option<Order>,
    /// The number of the last broadcast that this shard has heard of.
    pub(super) number: u64,
    shard: ShardId,
    sockets: Vec<Option<Socket>>,
    free: Vec<u32>,
    generations: u32,
    len: usize,
}

/// One connection's part in the namespace.
#[derive(Debug)]
pub(super) struct Socket {
    generation: u32,
    pub(super) sid: Sid,
    pub(super) conn: ConnId,
    /// Whether the home knows it, and the client has been let in.
    pub(super) entered: bool,
    /// Answers that are awaited from the client, by the number sent to it.
    pub(super) acks: Option<Box<Acks>>,
    /// What the application keeps with the socket.
    pub(super) data: Option<Box<Value>>,
    /// Its session, if that can be recovered.
    pub(super) session: Option<Box<OwnSession>>,
    /// What waits for the home's answers before it may be sent.
    pub(super) hold: Option<Box<Hold>>,
    /// The rooms it is in, away from home; the home itself needs no copy.
    #[expect(clippy::box_collection, reason = "eight bytes in each socket of every server")]
    pub(super) rooms: Option<Box<BTreeSet<Box<str>>>>,
}

/// What a shard keeps of a session that has a socket here.
#[derive(Debug)]
pub(super) struct OwnSession {
    /// Whether it goes on with what an earlier socket was.
    pub(super) recovered: bool,
    /// What was emitted to this socket alone, as far as it is kept.
    pub(super) own: VecDeque<Own>,
    /// The count up to which it is not kept any more.
    pub(super) own_trimmed: u64,
}

/// The answers that one socket owes.
#[derive(Debug, Default)]
pub(super) struct Acks {
    pub(super) next: u64,
    pub(super) awaited: BTreeMap<u64, Awaiter>,
}

/// Who waits for a client's answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Awaiter {
    /// A handler of this shard.
    Emit(Ticket),
    /// Who sent a broadcast, on any shard.
    Broadcast(ShardId, Ticket),
}

impl Namespace {
    pub(super) fn new(name: &str, shard: ShardId, home: ShardId) -> Self {
        Self {
            name: name.into(),
            order: (shard == home).then(Order::default),
            number: 0,
            shard,
            sockets: Vec::new(),
            free: Vec::new(),
            generations: 0,
            len: 0,
        }
    }

    /// Gives a socket its place on this shard; the home has still to hear of it.
    pub(super) fn insert(&mut self, conn: ConnId, sid: Sid) -> SocketKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            u32::try_from(self.sockets.len() - 1).expect("fewer than 2^32 sockets fit in memory")
        });
        self.generations = self
            .generations
            .checked_add(1)
            .expect("a server does not see 2^32 sockets in its life");
        let key = SocketKey { shard: self.shard, index, generation: self.generations };
        self.sockets[index as usize] = Some(Socket {
            generation: key.generation,
            sid,
            conn,
            entered: false,
            acks: None,
            data: None,
            session: None,
            hold: None,
            rooms: None,
        });
        self.len += 1;
        key
    }

    /// Takes the socket out of this shard; `None` if it has gone already.
    pub(super) fn remove(&mut self, key: SocketKey) -> Option<Socket> {
        self.socket(key)?;
        let socket = self.sockets[key.index as usize].take()?;
        self.free.push(key.index);
        self.len -= 1;
        if self.len == 0 {
            self.sockets = Vec::new();
            self.free = Vec::new();
        }
        Some(socket)
    }

    pub(super) fn socket(&self, key: SocketKey) -> Option<&Socket> {
        let socket = self.sockets.get(key.index as usize)?.as_ref()?;
        (socket.generation == key.generation && key.shard == self.shard).then_some(socket)
    }

    pub(super) fn socket_mut(&mut self, key: SocketKey) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(key.index as usize)?.as_mut()?;
        (socket.generation == key.generation && key.shard == self.shard).then_some(socket)
    }

    pub(super) fn awaits_ack(&self, key: SocketKey) -> bool {
        let acks = self.socket(key).and_then(|socket| socket.acks.as_ref());
        acks.is_some_and(|acks| !acks.awaited.is_empty())
    }

    /// Whether nobody is in it, on this shard or, as far as it is at home here, on any.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.order.as_ref().is_none_or(Order::is_empty)
    }

    /// How many sockets of this shard are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The connections of those of `keys` that are here still.
    pub(super) fn conns(&self, keys: &[SocketKey]) -> impl Iterator<Item = ConnId> {
        keys.iter().filter_map(|&key| self.socket(key)).map(|socket| socket.conn)
    }
}

/// Who is in a namespace, on all shards, and in which rooms.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) rooms: Rooms,
    by_sid: BTreeMap<Sid, SocketKey>,
    /// What the application keeps with sockets of other shards.
    pub(super) data: BTreeMap<SocketKey, Value>,
    /// For clients that come back, if they can.
    pub(super) journal: Option<Box<Journal>>,
    /// Who wants a session back whose old socket has to end first.
    pub(super) claims: BTreeMap<Sid, Claimant>,
}

/// A socket that waits for an older one of its client to end.
#[derive(Debug)]
pub(super) struct Claimant {
    pub(super) socket: SocketKey,
    pub(super) sid: Sid,
    pub(super) begin: Begin,
}

impl Order {
    /// Whether nobody is in it, or may come back.
    fn is_empty(&self) -> bool {
        let ghosts = self.journal.as_ref().map_or(0, |journal| journal.ghosts());
        self.by_sid.is_empty() && self.claims.is_empty() && ghosts == 0
    }

    pub(super) fn connect(&mut self, key: SocketKey, sid: Sid) {
        self.by_sid.insert(sid, key);
        self.rooms.connect(key, sid);
    }

    /// A socket is going, and may come back: its rooms count on.
    pub(super) fn hold_rooms(&mut self, key: SocketKey) {
        if let Some(journal) = &self.journal {
            journal.rooms_of(key).iter().for_each(|room| self.rooms.hold(room));
        }
    }

    /// Who may come back has done so, or never will: its rooms live and die with who is in them.
    pub(super) fn unhold_rooms(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.take_unheld().iter().for_each(|room| self.rooms.unhold(room));
        }
    }

    /// Takes a socket out of all rooms; returns its id, unless it has gone already.
    pub(super) fn disconnect(&mut self, key: SocketKey) -> Option<Sid> {
        let sid = self.rooms.sid(key)?;
        self.by_sid.remove(&sid);
        self.data.remove(&key);
        self.rooms.disconnect(key);
        Some(sid)
    }

    pub(super) fn by_sid(&self, sid: Sid) -> Option<SocketKey> {
        self.by_sid.get(&sid).copied()
    }

    /// Calls `each` with those whom `target` means, each once, without the sender.
    pub(super) fn recipients(
        &self,
        target: Target<'_>,
        from: Option<SocketKey>,
        mut each: impl FnMut(SocketKey),
    ) {
        if let ([room], []) = (target.rooms, target.except)
            && self.own_room(room).is_none()
        {
            let members = self.rooms.members(room).iter().copied();
            return members.filter(|&member| Some(member) != from).for_each(each);
        }
        let mut keys: Vec<SocketKey> = Vec::new();
        match target.rooms {
            [] => keys.extend(self.by_sid.values()),
            rooms => rooms.iter().for_each(|room| keys.extend(self.occupants(room))),
        }
        keys.sort_unstable();
        keys.dedup();
        let mut left_out: Vec<SocketKey> = from.into_iter().collect();
        target.except.iter().for_each(|room| left_out.extend(self.occupants(room)));
        left_out.sort_unstable();
        keys.retain(|key| left_out.binary_search(key).is_err());
        keys.into_iter().for_each(&mut each);
    }

    /// Who is in `room`, a socket's own room included.
    fn occupants(&self, room: &str) -> impl Iterator<Item = SocketKey> {
        self.own_room(room).into_iter().chain(self.rooms.members(room).iter().copied())
    }

    fn own_room(&self, room: &str) -> Option<SocketKey> {
        self.by_sid(Sid::parse(room)?)
    }
}
