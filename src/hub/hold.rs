//! What is sent to a socket directly, kept back while it must not overtake.
//!
//! A handler may first ask a home on another shard for something (a broadcast,
//! a leave) and then emit to one of its own shard's sockets, or answer its
//! client. What the home has yet to deliver comes first: the packet waits until
//! the home has answered everything that this handler had asked for.
//!
//! ```text
//!  handler   leave("a")      ack.send()
//!               |               |
//!  home      ...m1, m2, leave, Answer -->  m1  m2  [answer: the ack goes out]
//! ```
//!
//! What the handler asks for after that must not overtake the packet in turn: a
//! request that follows a packet that waits has the home answer first.
//!
//! Nothing waits where the namespace is at home: its order is the order of calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::connection::Membership;
use super::exchange::Packet;
use super::session::Way;
use super::{Actions, ConnId, Hub, Loss, Payload, Reason, SocketId};
use crate::room::ShardId;
use crate::websocket::close_code;

/// Bytes that may wait for one socket; one packet more and its connection is closed.
const HELD_BYTES_MAX: usize = 4 << 20;

/// A request to a home: the packet that waits for it goes out when it has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    home: ShardId,
    number: u64,
}

/// What one socket's handler has asked for, and what waits to be sent to the socket.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The last request of this socket's handlers to each home.
    asked: Vec<Mark>,
    held: VecDeque<Held>,
    /// The handler in progress has begun to watch a room: it has to answer the
    /// client before the first notice.
    watching: bool,
    /// Notices that wait for the end of that handler.
    notices: Vec<Packet>,
    /// Bytes in `held` and `notices`.
    bytes: usize,
}

impl Hold {
    /// The notices that were kept, which then wait no longer.
    fn take_notices(&mut self) -> Vec<Packet> {
        let notices = std::mem::take(&mut self.notices);
        self.bytes -= notices.iter().map(Packet::bytes).sum::<usize>();
        notices
    }
}

#[derive(Debug)]
struct Held {
    after: Vec<Mark>,
    what: What,
}

#[derive(Debug)]
enum What {
    Disconnect {
        close: bool,
    },
    Event {
        packet: Packet,
        way: Way,
    },
    /// Of a packet that is no event, or wants an answer.
    Frames(Vec<u8>),
}

impl What {
    fn bytes(&self) -> usize {
        match self {
            Self::Disconnect { .. } => 0,
            Self::Event { packet, .. } => packet.bytes(),
            Self::Frames(frames) => frames.len(),
        }
    }
}

/// How far this shard's conversation with each home has come.
#[derive(Debug, Default)]
pub(super) struct Homes {
    asked: BTreeMap<ShardId, u64>,
    answered: BTreeMap<ShardId, u64>,
    /// Homes for whose answer a packet waits that was sent after the last request to them.
    owed: BTreeSet<ShardId>,
    /// Sockets whose first held packet waits for this.
    waiting: BTreeMap<Mark, Vec<SocketId>>,
    /// What was asked outside of any socket's handlers.
    ambient: Vec<Mark>,
    /// Whose handlers have asked for a list of members, and wait for it.
    watching: BTreeMap<Mark, SocketId>,
}

impl Homes {
    fn is_met(&self, mark: &Mark) -> bool {
        self.answered.get(&mark.home).is_some_and(|&answered| answered >= mark.number)
    }

    fn first_unmet(&self, marks: &[Mark]) -> Option<Mark> {
        marks.iter().copied().find(|mark| !self.is_met(mark))
    }

    /// Sockets that wait, for the census.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }
}

fn note(marks: &mut Vec<Mark>, mark: Mark) {
    marks.retain(|known| known.home != mark.home);
    marks.push(mark);
}

impl Hub {
    /// Notes that a request to `home` is made, by the handler in progress; says
    /// whether packets that were sent before it wait for that home's answer.
    pub(super) fn note_request(&mut self, home: ShardId) -> bool {
        let asked = self.homes.asked.entry(home).or_default();
        *asked += 1;
        let mark = Mark { home, number: *asked };
        let context = self.context;
        match context.and_then(|id| self.at_mut(id.namespace).socket_mut(id.key)) {
            Some(socket) => note(&mut socket.hold.get_or_insert_default().asked, mark),
            None => note(&mut self.homes.ambient, mark),
        }
        self.homes.owed.remove(&home)
    }

    /// Emits an event to a socket of this shard, after all that the handler in
    /// progress has asked for before.
    pub(super) fn emit_in_turn(
        &mut self,
        socket: SocketId,
        payload: Payload<'_>,
        way: Way,
        actions: &mut Actions,
    ) {
        match self.has_to_wait(socket) {
            None => self.emit_now(socket, payload, way, actions),
            Some(after) => {
                let packet = Packet::new(payload);
                let bytes = packet.bytes();
                self.keep(
                    socket,
                    Held { after, what: What::Event { packet, way } },
                    bytes,
                    actions,
                );
            }
        }
    }

    /// The same with the frames since `start` in [`Actions::bytes`].
    pub(super) fn send_in_turn(&mut self, socket: SocketId, start: usize, actions: &mut Actions) {
        let Some(conn) = self.conn(socket) else { return actions.bytes.truncate(start) };
        match self.has_to_wait(socket) {
            None => actions.push_send(start, [conn], Loss::Never),
            Some(after) => {
                let frames = actions.bytes.split_off(start);
                let bytes = frames.len();
                self.keep(socket, Held { after, what: What::Frames(frames) }, bytes, actions);
            }
        }
    }

    /// What something that is sent to this socket now has to wait for; none: nothing.
    fn has_to_wait(&mut self, socket: SocketId) -> Option<Vec<Mark>> {
        let after = self.unmet();
        let hold = self.at(socket.namespace).socket(socket.key)?.hold.as_ref();
        let waits = hold.is_some_and(|hold| !hold.held.is_empty());
        (!after.is_empty() || waits).then_some(after)
    }

    /// Notes that the handler in progress begins to watch a room for its own socket: it has
    /// just asked this home for the list, or has it.
    pub(super) fn note_watch(&mut self, socket: SocketId, asked: Option<ShardId>) {
        if self.context == Some(socket)
            && let Some(receiver) = self.at_mut(socket.namespace).socket_mut(socket.key)
        {
            receiver.hold.get_or_insert_default().watching = true;
            if let Some(home) = asked {
                let number = self.homes.asked.get(&home).copied().unwrap_or_default();
                self.homes.watching.insert(Mark { home, number }, socket);
            }
        }
    }

    /// Whether a notice has to wait for a handler that has begun to watch; it is kept then.
    pub(super) fn keep_notice(
        &mut self,
        socket: SocketId,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) -> bool {
        let receiver = self.at(socket.namespace).socket(socket.key);
        let Some(receiver) = receiver else { return false };
        let Some(hold) = &receiver.hold else { return false };
        if !hold.watching {
            // Behind the answer, if that waits.
            self.emit_in_turn(socket, payload, Way::Notice, actions);
            return true;
        }
        let conn = receiver.conn;
        let packet = Packet::new(payload);
        let receiver = self.at_mut(socket.namespace).socket_mut(socket.key).expect("just found");
        let hold = receiver.hold.get_or_insert_default();
        hold.bytes += packet.bytes();
        if hold.bytes > HELD_BYTES_MAX {
            let code = close_code::TRY_AGAIN_LATER;
            self.end(conn, Some(code), Reason::SlowReader, actions);
        } else {
            hold.notices.push(packet);
        }
        true
    }

    /// Whether something for a socket of this connection waits until a home has answered.
    pub fn is_held(&self, conn: ConnId) -> bool {
        let memberships = self.connection(conn).map_or(&[][..], |here| &here.memberships);
        memberships.iter().any(|&(namespace, membership)| match membership {
            Membership::Joined(key) => {
                let hold = self.at(namespace).socket(key).and_then(|socket| socket.hold.as_ref());
                hold.is_some_and(|hold| !hold.held.is_empty())
            }
            Membership::Asked(_) | Membership::Entering(_) | Membership::PutOut => false,
        })
    }

    /// Whether something waits for the end of this socket's handler.
    pub fn awaits_handler(&self, socket: SocketId) -> bool {
        let receiver = self.at(socket.namespace).socket(socket.key);
        receiver.and_then(|receiver| receiver.hold.as_ref()).is_some_and(|hold| hold.watching)
    }

    /// Sends what has waited for the end of a handler.
    pub(super) fn handler_done(&mut self, socket: SocketId, actions: &mut Actions) {
        let Some(receiver) = self.at_mut(socket.namespace).socket_mut(socket.key) else { return };
        let Some(hold) = &mut receiver.hold else { return };
        hold.watching = false;
        let notices = hold.take_notices();
        if hold.held.is_empty() && hold.asked.is_empty() {
            receiver.hold = None;
        }
        for notice in notices {
            self.emit_in_turn(socket, notice.payload(), Way::Notice, actions);
        }
    }

    /// A list of members has come: what is kept until now is older, of an earlier watch.
    fn listed(&mut self, socket: SocketId, actions: &mut Actions) {
        let receiver = self.at_mut(socket.namespace).socket_mut(socket.key);
        let Some(hold) = receiver.and_then(|receiver| receiver.hold.as_mut()) else { return };
        for notice in hold.take_notices() {
            self.emit_in_turn(socket, notice.payload(), Way::Notice, actions);
        }
    }

    /// Whether the end of this socket has to wait; it will come in its turn then.
    pub(super) fn keep_disconnect(
        &mut self,
        socket: SocketId,
        close: bool,
        actions: &mut Actions,
    ) -> bool {
        let Some(after) = self.has_to_wait(socket) else { return false };
        self.keep(socket, Held { after, what: What::Disconnect { close } }, 0, actions);
        true
    }

    fn keep(&mut self, socket: SocketId, held: Held, bytes: usize, actions: &mut Actions) {
        let mark = self.homes.first_unmet(&held.after);
        self.homes.owed.extend(held.after.iter().map(|mark| mark.home));
        let Some(receiver) = self.at_mut(socket.namespace).socket_mut(socket.key) else { return };
        let conn = receiver.conn;
        let hold = receiver.hold.get_or_insert_default();
        hold.bytes += bytes;
        if hold.bytes > HELD_BYTES_MAX {
            let code = close_code::TRY_AGAIN_LATER;
            return self.end(conn, Some(code), Reason::SlowReader, actions);
        }
        hold.held.push_back(held);
        if hold.held.len() == 1
            && let Some(mark) = mark
        {
            self.homes.waiting.entry(mark).or_default().push(socket);
        }
    }

    /// What the handler in progress has asked for and has not been answered yet.
    fn unmet(&mut self) -> Vec<Mark> {
        if self.homes.asked.is_empty() {
            return Vec::new();
        }
        let context = self.context;
        let asked = match context.and_then(|id| self.at_mut(id.namespace).socket_mut(id.key)) {
            Some(socket) => match &socket.hold {
                Some(hold) => hold.asked.clone(),
                None => return Vec::new(),
            },
            None => self.homes.ambient.clone(),
        };
        asked.into_iter().filter(|mark| !self.homes.is_met(mark)).collect()
    }

    /// A home has answered the requests of this shard up to `number`: sends what waited for that.
    pub(super) fn answered(&mut self, home: ShardId, number: u64, actions: &mut Actions) {
        let known = self.homes.answered.entry(home).or_default();
        *known = number.max(*known);
        let (first, last) = (Mark { home, number: 0 }, Mark { home, number });
        while let Some((&mark, &socket)) = self.homes.watching.range(first..=last).next() {
            self.homes.watching.remove(&mark);
            self.listed(socket, actions);
        }
        while let Some((&mark, _)) = self.homes.waiting.range(first..=last).next() {
            for socket in self.homes.waiting.remove(&mark).unwrap_or_default() {
                self.release(socket, actions);
            }
        }
    }

    /// Sends what waits for nothing any more.
    fn release(&mut self, socket: SocketId, actions: &mut Actions) {
        loop {
            let hold = |hub: &mut Self| {
                let receiver = hub.at_mut(socket.namespace).socket_mut(socket.key)?;
                let conn = receiver.conn;
                receiver.hold.take().map(|hold| (conn, hold))
            };
            let Some((conn, mut hold)) = hold(self) else { return };
            let unmet = hold.held.front().and_then(|held| self.homes.first_unmet(&held.after));
            let next = if unmet.is_some() { None } else { hold.held.pop_front() };
            hold.bytes -= next.as_ref().map_or(0, |held| held.what.bytes());
            hold.asked.retain(|mark| !self.homes.is_met(mark));
            if !hold.held.is_empty() || !hold.asked.is_empty() || hold.watching {
                let receiver = self.at_mut(socket.namespace).socket_mut(socket.key);
                receiver.expect("just found").hold = Some(hold);
            }
            match next.map(|held| held.what) {
                Some(What::Event { packet, way }) => {
                    self.emit_now(socket, packet.payload(), way, actions);
                }
                Some(What::Frames(frames)) => {
                    let start = actions.bytes.len();
                    actions.bytes.extend_from_slice(&frames);
                    actions.push_send(start, [conn], Loss::Never);
                }
                Some(What::Disconnect { close }) => self.put_out_now(socket, close, actions),
                None => {
                    if let Some(mark) = unmet {
                        self.homes.waiting.entry(mark).or_default().push(socket);
                    }
                    return;
                }
            }
        }
    }
}
