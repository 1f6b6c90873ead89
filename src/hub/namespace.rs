//! One namespace: its sockets, and its rooms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ConnId, Target, Ticket};
use crate::room::{Rooms, Sid, SocketKey};

/// One namespace on this shard.
///
/// As long as there is one shard it is every namespace's home as well: the
/// order in which the hub handles its events is the namespace's order.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) name: Box<str>,
    pub(super) rooms: Rooms,
    sockets: Vec<Option<Socket>>,
    free: Vec<u32>,
    by_sid: BTreeMap<Sid, SocketKey>,
    generations: u32,
}

/// One connection's part in the namespace.
#[derive(Debug)]
pub(super) struct Socket {
    generation: u32,
    pub(super) sid: Sid,
    pub(super) conn: ConnId,
    /// Answers that the application awaits, by the number sent to the client.
    pub(super) acks: Option<Box<Acks>>,
    /// What the application keeps with the socket.
    pub(super) data: Option<Box<Value>>,
}

/// The answers that one socket owes.
#[derive(Debug, Default)]
pub(super) struct Acks {
    pub(super) next: u64,
    pub(super) awaited: BTreeMap<u64, Ticket>,
}

impl Namespace {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(super) fn connect(&mut self, conn: ConnId, sid: Sid) -> SocketKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            u32::try_from(self.sockets.len() - 1).expect("fewer than 2^32 sockets fit in memory")
        });
        self.generations = self
            .generations
            .checked_add(1)
            .expect("a server does not see 2^32 sockets in its life");
        let key = SocketKey { index, generation: self.generations };
        self.sockets[index as usize] =
            Some(Socket { generation: key.generation, sid, conn, acks: None, data: None });
        self.by_sid.insert(sid, key);
        self.rooms.connect(key, sid);
        key
    }

    /// Takes the socket out of everything; `None` if it has gone already.
    pub(super) fn disconnect(&mut self, key: SocketKey) -> Option<Socket> {
        self.socket(key)?;
        let socket = self.sockets[key.index as usize].take()?;
        self.free.push(key.index);
        self.by_sid.remove(&socket.sid);
        self.rooms.disconnect(key);
        if self.by_sid.is_empty() {
            self.sockets = Vec::new();
            self.free = Vec::new();
        }
        Some(socket)
    }

    pub(super) fn socket(&self, key: SocketKey) -> Option<&Socket> {
        let socket = self.sockets.get(key.index as usize)?.as_ref()?;
        (socket.generation == key.generation).then_some(socket)
    }

    pub(super) fn socket_mut(&mut self, key: SocketKey) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(key.index as usize)?.as_mut()?;
        (socket.generation == key.generation).then_some(socket)
    }

    pub(super) fn awaits_ack(&self, key: SocketKey) -> bool {
        let acks = self.socket(key).and_then(|socket| socket.acks.as_ref());
        acks.is_some_and(|acks| !acks.awaited.is_empty())
    }

    pub(super) fn by_sid(&self, sid: Sid) -> Option<SocketKey> {
        self.by_sid.get(&sid).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_sid.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = SocketKey> {
        self.by_sid.values().copied()
    }

    /// Appends the connections that `target` means, each once, without the sender's.
    pub(super) fn recipients(
        &self,
        target: Target<'_>,
        from: Option<SocketKey>,
        to: &mut Vec<ConnId>,
    ) {
        if let ([room], []) = (target.rooms, target.except)
            && self.own_room(room).is_none()
        {
            let members = self.rooms.members(room).iter().filter(|&&member| Some(member) != from);
            to.extend(members.map(|&member| self.conn(member)));
            return;
        }
        let mut keys: Vec<SocketKey> = Vec::new();
        match target.rooms {
            [] => keys.extend(self.keys()),
            rooms => rooms.iter().for_each(|room| keys.extend(self.occupants(room))),
        }
        keys.sort_unstable();
        keys.dedup();
        let mut left_out: Vec<SocketKey> = from.into_iter().collect();
        target.except.iter().for_each(|room| left_out.extend(self.occupants(room)));
        left_out.sort_unstable();
        keys.retain(|key| left_out.binary_search(key).is_err());
        to.extend(keys.into_iter().map(|key| self.conn(key)));
    }

    /// Who is in `room`, a socket's own room included.
    pub(super) fn occupants(&self, room: &str) -> impl Iterator<Item = SocketKey> {
        self.own_room(room).into_iter().chain(self.rooms.members(room).iter().copied())
    }

    fn own_room(&self, room: &str) -> Option<SocketKey> {
        self.by_sid(Sid::parse(room)?)
    }

    pub(super) fn conn(&self, key: SocketKey) -> ConnId {
        self.socket(key).expect("members are connected").conn
    }
}
