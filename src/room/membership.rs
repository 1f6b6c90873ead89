//! The membership of every room of one namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::presence::{Change, Notice, Presence};
use super::{Sid, SocketKey};

/// Why a socket does not get into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The socket has gone, or never was.
    #[error("not connected")]
    Gone,
    /// The socket is in as many rooms as it may be.
    #[error("too many rooms: at most {max} at a time")]
    TooMany {
        /// The configured bound.
        max: usize,
    },
}

/// The membership of every room of one namespace, whichever shard its sockets are on.
#[derive(Debug, Default)]
pub struct Rooms {
    by_name: BTreeMap<Arc<str>, u32>,
    rooms: Vec<Room>,
    free: Vec<u32>,
    /// By [`SocketKey::shard`] and [`SocketKey::index`].
    sockets: Vec<Vec<Option<Joined>>>,
    /// Rooms whose watchers are owed a notice at the end of this tick.
    changed: Vec<u32>,
}

#[derive(Debug, Default)]
struct Room {
    name: Arc<str>,
    members: Vec<SocketKey>,
    seq: u64,
    /// How many may come back to it.
    absent: u32,
    presence: Option<Box<Presence>>,
}

/// What one socket is in.
#[derive(Debug)]
struct Joined {
    generation: u32,
    sid: Sid,
    /// Room, and the socket's place among its members.
    rooms: Vec<(u32, u32)>,
    watching: Vec<u32>,
}

impl Rooms {
    /// Makes `socket` known; until then, and after [`disconnect`](Self::disconnect), it can not join.
    pub fn connect(&mut self, socket: SocketKey, sid: Sid) {
        let (shard, index) = (usize::from(socket.shard.0), socket.index as usize);
        if self.sockets.len() <= shard {
            self.sockets.resize_with(shard + 1, Vec::new);
        }
        let here = &mut self.sockets[shard];
        if here.len() <= index {
            here.resize_with(index + 1, || None);
        }
        assert!(here[index].is_none(), "the place of a connected socket is not given away");
        let joined =
            Joined { generation: socket.generation, sid, rooms: Vec::new(), watching: Vec::new() };
        here[index] = Some(joined);
    }

    /// Puts `socket` into `room`; returns how many are in it then. Joining twice changes nothing.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; nothing has changed then.
    pub fn join(
        &mut self,
        socket: SocketKey,
        room: &str,
        rooms_max: usize,
    ) -> Result<usize, JoinError> {
        let joined = self.joined(socket).ok_or(JoinError::Gone)?;
        let known = self.by_name.get(room).copied();
        if let Some(at) = known
            && joined.place_in(at).is_some()
        {
            return Ok(self.rooms[at as usize].members.len());
        }
        if joined.rooms.len() >= rooms_max {
            return Err(JoinError::TooMany { max: rooms_max });
        }
        let at = known.unwrap_or_else(|| self.new_room(room));
        self.enter(socket, at);
        Ok(self.rooms[at as usize].members.len())
    }

    /// Takes `socket` out of `room`; says whether it was in it.
    pub fn leave(&mut self, socket: SocketKey, room: &str) -> bool {
        let Some(&at) = self.by_name.get(room) else { return false };
        let Some(place) = self.joined(socket).and_then(|joined| joined.place_in(at)) else {
            return false;
        };
        self.exit(socket, at, place);
        self.drop_if_unused(at);
        true
    }

    /// Takes `socket` out of `previous` and puts it into `next`, as one step.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; the socket is where it was then.
    pub fn switch(
        &mut self,
        socket: SocketKey,
        previous: &str,
        next: &str,
        rooms_max: usize,
    ) -> Result<usize, JoinError> {
        // Who has left a room has a place for another: if it is refused, it left none.
        if previous != next {
            self.leave(socket, previous);
        }
        self.join(socket, next, rooms_max)
    }

    /// Takes `socket` out of everything. Its rooms hear of it as of any leave.
    pub fn disconnect(&mut self, socket: SocketKey) {
        while let Some(&(at, place)) = self.joined(socket).and_then(|joined| joined.rooms.last()) {
            self.exit(socket, at, place);
            self.drop_if_unused(at);
        }
        let Some(joined) = self.joined_mut(socket) else { return };
        for at in std::mem::take(&mut joined.watching) {
            self.remove_watcher(socket, at);
        }
        self.sockets[usize::from(socket.shard.0)][socket.index as usize] = None;
    }

    /// Who is in `room`.
    pub fn members(&self, room: &str) -> &[SocketKey] {
        self.by_name.get(room).map_or(&[], |&at| &self.rooms[at as usize].members)
    }

    /// The ids of those in `room`.
    pub fn member_ids(&self, room: &str) -> Vec<Sid> {
        self.members(room).iter().filter_map(|&member| self.sid(member)).collect()
    }

    /// Whether `socket` is in `room`.
    pub fn is_member(&self, socket: SocketKey, room: &str) -> bool {
        let at = self.by_name.get(room);
        at.is_some_and(|&at| {
            self.joined(socket).is_some_and(|joined| joined.place_in(at).is_some())
        })
    }

    /// The rooms that `socket` is in.
    pub fn rooms_of(&self, socket: SocketKey) -> impl Iterator<Item = &str> {
        let rooms = self.joined(socket).map_or(&[][..], |joined| &joined.rooms);
        rooms.iter().map(|&(at, _)| &*self.rooms[at as usize].name)
    }

    /// How many rooms there are, watched ones and held ones included.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no room at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The number of the next message to `room`; `None` if nobody is in it.
    pub fn next_seq(&mut self, room: &str) -> Option<u64> {
        let room = &mut self.rooms[*self.by_name.get(room)? as usize];
        if room.members.is_empty() {
            return None;
        }
        room.seq += 1;
        Some(room.seq)
    }

    /// Keeps `room` and its count of messages, though everybody may leave it, for one who
    /// may come back. There must be somebody in it, or absent from it.
    pub fn hold(&mut self, room: &str) {
        if let Some(&at) = self.by_name.get(room) {
            self.rooms[at as usize].absent += 1;
        }
    }

    /// One for whom `room` was [held](Self::hold) has come back, or never will.
    pub fn unhold(&mut self, room: &str) {
        if let Some(&at) = self.by_name.get(room) {
            let absent = &mut self.rooms[at as usize].absent;
            *absent = absent.checked_sub(1).expect("it is held once for each");
            self.drop_if_unused(at);
        }
    }

    /// Tells `socket` of every join and leave of `room` from here on; returns who is in it now.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: as many rooms may be watched as may be joined.
    pub fn watch(
        &mut self,
        socket: SocketKey,
        room: &str,
        rooms_max: usize,
    ) -> Result<Vec<Sid>, JoinError> {
        let watching = &self.joined(socket).ok_or(JoinError::Gone)?.watching;
        let known = self.by_name.get(room).copied();
        let is_watched = known.is_some_and(|at| watching.contains(&at));
        if !is_watched && watching.len() >= rooms_max {
            return Err(JoinError::TooMany { max: rooms_max });
        }
        let at = known.unwrap_or_else(|| self.new_room(room));
        let presence = self.rooms[at as usize].presence.get_or_insert_default();
        presence.watch(socket);
        if !is_watched && let Some(joined) = self.joined_mut(socket) {
            joined.watching.push(at);
        }
        Ok(self.member_ids(room))
    }

    /// Ends what [`watch`](Self::watch) began; returns the changes that the
    /// watcher is owed up to here, or `None` if it did not watch.
    pub fn unwatch(&mut self, socket: SocketKey, room: &str) -> Option<Vec<Change>> {
        let at = *self.by_name.get(room)?;
        let joined = self.joined_mut(socket)?;
        let place = joined.watching.iter().position(|&watched| watched == at)?;
        joined.watching.swap_remove(place);
        Some(self.remove_watcher(socket, at))
    }

    /// Whether somebody is owed something by [`notices`](Self::notices).
    pub fn owes_notices(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Ends the tick: hands out what the watchers of each room are owed since the last one.
    pub fn notices(&mut self, mut notice: impl FnMut(&str, Notice<'_>)) {
        for at in std::mem::take(&mut self.changed) {
            let room = &mut self.rooms[at as usize];
            // The last watcher may have gone, or the room may have been
            // dropped and its place reused, since the room was noted.
            if let Some(presence) = &mut room.presence {
                presence.end_tick(|changes| notice(&room.name, changes));
            }
        }
    }

    /// The public id of a socket that is connected.
    pub fn sid(&self, socket: SocketKey) -> Option<Sid> {
        self.joined(socket).map(|joined| joined.sid)
    }

    fn joined(&self, socket: SocketKey) -> Option<&Joined> {
        let here = self.sockets.get(usize::from(socket.shard.0))?;
        let joined = here.get(socket.index as usize)?.as_ref()?;
        (joined.generation == socket.generation).then_some(joined)
    }

    fn joined_mut(&mut self, socket: SocketKey) -> Option<&mut Joined> {
        let here = self.sockets.get_mut(usize::from(socket.shard.0))?;
        let joined = here.get_mut(socket.index as usize)?.as_mut()?;
        (joined.generation == socket.generation).then_some(joined)
    }

    fn new_room(&mut self, name: &str) -> u32 {
        let name: Arc<str> = name.into();
        let room = Room { name: Arc::clone(&name), ..Room::default() };
        let at = match self.free.pop() {
            Some(at) => {
                self.rooms[at as usize] = room;
                at
            }
            None => {
                self.rooms.push(room);
                u32::try_from(self.rooms.len() - 1).expect("fewer than 2^32 rooms fit in memory")
            }
        };
        self.by_name.insert(name, at);
        at
    }

    fn enter(&mut self, socket: SocketKey, at: u32) {
        let members = &mut self.rooms[at as usize].members;
        let place = u32::try_from(members.len()).expect("a room has fewer than 2^32 members");
        members.push(socket);
        let joined = self.joined_mut(socket).expect("checked by the caller");
        joined.rooms.push((at, place));
        let sid = joined.sid;
        self.announce(at, Change::Join(sid));
    }

    fn exit(&mut self, socket: SocketKey, at: u32, place: u32) {
        let members = &mut self.rooms[at as usize].members;
        members.swap_remove(place as usize);
        if let Some(&moved) = members.get(place as usize) {
            let joined = self.joined_mut(moved).expect("members are connected");
            let entry = joined.rooms.iter_mut().find(|entry| entry.0 == at);
            entry.expect("both directions agree").1 = place;
        }
        let joined = self.joined_mut(socket).expect("members are connected");
        let entry = joined.rooms.iter().position(|entry| entry.0 == at);
        joined.rooms.swap_remove(entry.expect("both directions agree"));
        let sid = joined.sid;
        self.announce(at, Change::Leave(sid));
    }

    fn announce(&mut self, at: u32, change: Change) {
        if let Some(presence) = &mut self.rooms[at as usize].presence
            && presence.note(change)
        {
            self.changed.push(at);
        }
    }

    fn remove_watcher(&mut self, socket: SocketKey, at: u32) -> Vec<Change> {
        let room = &mut self.rooms[at as usize];
        let mut owed = Vec::new();
        if let Some(presence) = &mut room.presence {
            owed.extend_from_slice(presence.unwatch(socket));
            if presence.is_unwatched() {
                room.presence = None;
            }
        }
        self.drop_if_unused(at);
        owed
    }

    fn drop_if_unused(&mut self, at: u32) {
        let room = &mut self.rooms[at as usize];
        if room.members.is_empty() && room.presence.is_none() && room.absent == 0 {
            let name = std::mem::take(&mut room.name);
            *room = Room::default();
            self.by_name.remove(&name);
            self.free.push(at);
            if self.by_name.is_empty() {
                self.release();
            }
        }
    }

    /// Gives the memory of a busy hour back once the last room has gone.
    fn release(&mut self) {
        self.rooms = Vec::new();
        self.free = Vec::new();
        self.changed = Vec::new();
    }
}

impl Joined {
    fn place_in(&self, room: u32) -> Option<u32> {
        self.rooms.iter().find(|entry| entry.0 == room).map(|entry| entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::ShardId;

    fn key(index: u32) -> SocketKey {
        SocketKey { shard: ShardId((index % 3) as u8), index, generation: 100 + index }
    }

    fn rooms_with(sockets: u32) -> Rooms {
        let mut rooms = Rooms::default();
        for index in 0..sockets {
            rooms.connect(key(index), Sid::new([index as u8; 15]));
        }
        rooms
    }

    #[test]
    fn gone_socket_is_not_revived_by_a_late_join() {
        let mut rooms = rooms_with(1);
        rooms.disconnect(key(0));
        assert_eq!(rooms.join(key(0), "a", 9), Err(JoinError::Gone));
        rooms.connect(SocketKey { generation: 7, ..key(0) }, Sid::new([7; 15]));
        assert_eq!(
            rooms.join(key(0), "a", 9),
            Err(JoinError::Gone),
            "its successor is somebody else"
        );
        assert!(rooms.is_empty());
    }

    #[test]
    fn switch_at_the_bound_needs_no_spare_room() {
        let mut rooms = rooms_with(1);
        rooms.join(key(0), "a", 1).unwrap();
        assert_eq!(rooms.join(key(0), "b", 1), Err(JoinError::TooMany { max: 1 }));
        assert_eq!(rooms.switch(key(0), "a", "b", 1), Ok(1));
        assert_eq!(
            rooms.switch(key(0), "a", "c", 1),
            Err(JoinError::TooMany { max: 1 }),
            "it was not in a"
        );
        assert_eq!(rooms.rooms_of(key(0)).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn seq_counts_while_somebody_is_in_the_room() {
        let mut rooms = rooms_with(2);
        assert_eq!(rooms.next_seq("a"), None);
        rooms.join(key(0), "a", 9).unwrap();
        assert_eq!((rooms.next_seq("a"), rooms.next_seq("a")), (Some(1), Some(2)));
        rooms.join(key(1), "a", 9).unwrap();
        rooms.leave(key(0), "a");
        assert_eq!(rooms.next_seq("a"), Some(3));
    }

    #[test]
    fn seq_counts_on_for_who_may_come_back() {
        let mut rooms = rooms_with(1);
        rooms.join(key(0), "a", 9).unwrap();
        assert_eq!(rooms.next_seq("a"), Some(1));
        (0..2).for_each(|_| rooms.hold("a"));
        rooms.disconnect(key(0));
        assert_eq!(rooms.next_seq("a"), None, "nobody is in it");
        rooms.connect(key(0), Sid::new([1; 15]));
        rooms.unhold("a");
        rooms.join(key(0), "a", 9).unwrap();
        assert_eq!(rooms.next_seq("a"), Some(2));
        rooms.disconnect(key(0));
        rooms.unhold("a");
        assert!(rooms.is_empty());
    }

    #[test]
    fn last_one_out_leaves_nothing_behind() {
        let mut rooms = rooms_with(3);
        for index in 0..3 {
            for name in ["a", "b", "c"] {
                rooms.join(key(index), name, 9).unwrap();
            }
            rooms.watch(key(index), "d", 9).unwrap();
        }
        assert_eq!(rooms.len(), 4);
        for index in [1, 0, 2] {
            rooms.disconnect(key(index));
        }
        assert!(rooms.is_empty() && rooms.rooms.is_empty() && rooms.changed.is_empty());
    }

    #[test]
    fn who_stops_watching_is_owed_what_happened_before() {
        let mut rooms = rooms_with(2);
        rooms.watch(key(1), "a", 9).unwrap();
        rooms.join(key(0), "a", 9).unwrap();
        let join = Change::Join(Sid::new([0; 15]));
        assert_eq!(rooms.unwatch(key(1), "a"), Some(vec![join]));
        assert_eq!(rooms.unwatch(key(1), "a"), None);
        rooms.notices(|_, _| panic!("nobody watches"));
    }

    #[test]
    fn watcher_hears_only_what_follows_its_list() {
        let mut rooms = rooms_with(3);
        rooms.watch(key(2), "a", 9).unwrap();
        rooms.join(key(0), "a", 9).unwrap();
        let list = rooms.watch(key(1), "a", 9).unwrap();
        assert_eq!(list, [Sid::new([0; 15])]);
        rooms.leave(key(0), "a");
        let mut heard = Vec::new();
        rooms.notices(|room, notice| {
            heard.push((room.to_owned(), notice.watchers.to_vec(), notice.changes.to_vec()));
        });
        let (join, leave) = (Change::Join(Sid::new([0; 15])), Change::Leave(Sid::new([0; 15])));
        assert_eq!(
            heard,
            [
                ("a".to_owned(), vec![key(2)], vec![join, leave]),
                ("a".to_owned(), vec![key(1)], vec![leave])
            ]
        );
        rooms.notices(|_, _| panic!("told once"));
    }
}
