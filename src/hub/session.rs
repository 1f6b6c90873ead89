//! Sessions that clients come back to: how they begin, go on, and end.
//!
//! ```text
//!  shard of the new connection            home                  shard of the old one
//!        |---- Connect (claim) ----------->|                             |
//!        |                                 |---- Surrender ------------->|  if it has
//!        |                                 |<--- Disconnect (remains) ---|  a socket still
//!        |<--- Entered (restored) ---------|                             |
//!   CONNECT, what was missed, then live traffic
//! ```
//!
//! The order at home makes it exact: what was said before `Entered` is among
//! what was missed, what is said after it is delivered.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;

use super::encode::Outgoing;
use super::exchange::{Begin, Begun, Claimed, Message, Packet};
use super::journal::{Arrival, Claim, Missed, Offset, Own, Remains, Restored};
use super::namespace::{Claimant, OwnSession, Socket};
use super::{
    Action, Actions, ConnId, Hub, Loss, Membership, NamespaceId, Notification, Payload, Reason,
    SocketId, Step,
};
use crate::engineio::Revision;
use crate::room::{Sid, SocketKey};
use crate::socketio::Kind;

/// How an event goes to one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Of a room's joins and leaves: not sent again to who comes back.
    Notice,
    /// As it comes.
    Plain,
    /// May be dropped.
    Volatile,
}

impl Hub {
    /// What a socket needs to begin a session, or to go on with one.
    pub(super) fn begin(&mut self, claim: Option<Claimed>) -> Option<Begin> {
        self.limits.recovery?;
        // No offset that was sent before is of this session.
        self.own += 1;
        Some(Begin { pid: self.ids.sid(), own: self.own, claim })
    }

    /// What a client presents to come back, if it does.
    pub(super) fn claimed(&self, auth: Option<&str>) -> Option<Claimed> {
        #[derive(Deserialize)]
        struct Presented {
            pid: String,
            #[serde(default)]
            offset: Option<String>,
        }
        self.limits.recovery?;
        let presented: Presented = serde_json::from_str(auth?).ok()?;
        let offset = match presented.offset {
            // What is none of ours came with an event without one: how far the client has
            // come is then anybody's guess, and the session can not be exact.
            Some(offset) => Some(Offset::parse(&offset)?),
            None => None,
        };
        let offset = offset.filter(|offset| offset.epoch == self.epoch);
        Some(Claimed { pid: Sid::parse(&presented.pid)?, offset })
    }

    /// At home: a socket gets its place in the order.
    pub(super) fn arrive(
        &mut self,
        namespace: NamespaceId,
        socket: SocketKey,
        sid: Sid,
        begin: Option<Begin>,
        actions: &mut Actions,
    ) {
        let Some(begin) = begin else {
            self.order(namespace).connect(socket, sid);
            self.witness(namespace, Some(sid), actions, || Step::Connect);
            return self.welcome(namespace, socket, None, actions);
        };
        let arrival = Arrival { socket, own: begin.own };
        let now = self.now;
        let order = self.order(namespace);
        let Some(journal) = &mut order.journal else { return };
        let claim = match begin.claim {
            // Two at a time can not have it.
            Some(Claimed { pid, .. }) if order.claims.contains_key(&pid) => Claim::No,
            Some(Claimed { pid, offset }) => journal.claim(pid, offset, arrival, now),
            None => Claim::No,
        };
        let (sid, pid, restored) = match (claim, begin.claim) {
            (Claim::Live(old), Some(Claimed { pid, .. })) => {
                order.claims.insert(pid, Claimant { socket, sid, begin });
                return self.ask_to_surrender(namespace, old, actions);
            }
            (Claim::Restored(restored), Some(Claimed { pid, .. })) => {
                (restored.sid, pid, Some(*restored))
            }
            (Claim::Live(_) | Claim::No | Claim::Restored(_), _) => {
                journal.begin(begin.pid, sid, arrival);
                (sid, begin.pid, None)
            }
        };
        let number = journal.number();
        order.connect(socket, sid);
        self.witness(namespace, Some(sid), actions, || Step::Connect);
        let rooms = restored.as_ref().map_or(&[][..], |restored| &restored.rooms);
        for room in rooms {
            let max = usize::MAX;
            let joined = self.order(namespace).rooms.join(socket, room, max);
            debug_assert!(joined.is_ok(), "it has just connected");
            self.witness(namespace, Some(sid), actions, || Step::Join(room.clone()));
        }
        self.order(namespace).unhold_rooms();
        let begun = Some(Box::new(Begun { pid, number, restored }));
        self.welcome(namespace, socket, begun, actions);
    }

    /// At home: tells the shard of a socket that it has its place.
    fn welcome(
        &mut self,
        namespace: NamespaceId,
        socket: SocketKey,
        begun: Option<Box<Begun>>,
        actions: &mut Actions,
    ) {
        if socket.shard == self.shard {
            self.entered(SocketId { namespace, key: socket }, begun, actions);
        } else {
            actions.tell(socket.shard, Message::Entered { namespace, socket, begun });
        }
    }

    fn ask_to_surrender(&mut self, namespace: NamespaceId, old: SocketKey, actions: &mut Actions) {
        if old.shard == self.shard {
            self.surrender(SocketId { namespace, key: old }, actions);
        } else {
            actions.tell(old.shard, Message::Surrender { namespace, socket: old });
        }
    }

    /// A socket's client has come back on another connection: this one is dead.
    pub(super) fn surrender(&mut self, socket: SocketId, actions: &mut Actions) {
        if let Some(conn) = self.conn(socket) {
            self.end(conn, None, Reason::TransportClose, actions);
        }
    }

    /// At home: a socket has gone; what is left of it may be waited for.
    pub(super) fn departed(
        &mut self,
        socket: SocketId,
        remains: Option<Box<Remains>>,
        actions: &mut Actions,
    ) {
        let SocketId { namespace, key } = socket;
        let now = self.now;
        let order = self.order(namespace);
        order.claims.retain(|_, claimant| claimant.socket != key);
        let Some(journal) = &mut order.journal else { return };
        let pid = journal.end(key, remains.map(|remains| *remains), now);
        order.unhold_rooms();
        let claimant = pid.and_then(|pid| order.claims.remove(&pid));
        if let Some(Claimant { socket, sid, begin }) = claimant {
            self.arrive(namespace, socket, sid, Some(begin), actions);
        }
    }

    /// The socket has its place in the namespace's order: tells its client and
    /// the application.
    pub(super) fn entered(
        &mut self,
        socket: SocketId,
        begun: Option<Box<Begun>>,
        actions: &mut Actions,
    ) {
        let SocketId { namespace, key } = socket;
        let is_home = self.is_home(namespace);
        let here = self.at_mut(namespace);
        let Some(entering) = here.socket_mut(key) else { return };
        entering.entered = true;
        let conn = entering.conn;
        if let Some(restored) = begun.as_ref().and_then(|begun| begun.restored.as_ref()) {
            restore(entering, restored, is_home);
        }
        if let Some(begun) = &begun {
            let recovered = begun.restored.is_some();
            let session = OwnSession { recovered, own: VecDeque::new(), own_trimmed: 0 };
            entering.session = Some(Box::new(session));
        }
        let sid = entering.sid;
        here.number = begun.as_ref().map_or(0, |begun| begun.number).max(here.number);
        self.set_membership(conn, namespace, Some(Membership::Joined(key)));
        let reply = match (self.revision(conn), &begun) {
            (Revision::V3, _) => String::new(),
            (Revision::V4, None) => [r#"{"sid":""#, sid.as_str(), r#""}"#].concat(),
            (Revision::V4, Some(begun)) => {
                let pid = begun.pid.as_str();
                [r#"{"sid":""#, sid.as_str(), r#"","pid":""#, pid, r#""}"#].concat()
            }
        };
        self.send_packet(Kind::Connect, &self.at(namespace).name, &reply, conn, actions);
        let restored = begun.and_then(|begun| begun.restored);
        for missed in restored.into_iter().flat_map(|restored| restored.missed) {
            self.send_missed(socket, missed, actions);
        }
        self.sight_connected(conn, socket, actions);
        actions.list.push(Action::Notify(conn, Notification::Connected { socket, sid }));
    }

    /// What a connection's clients have lost they can not come back to.
    pub(super) fn void_sessions(&mut self, conn: ConnId) {
        let memberships = self.connection(conn).map_or(Vec::new(), |it| it.memberships.clone());
        for (namespace, membership) in memberships {
            if let Membership::Joined(key) = membership
                && let Some(socket) = self.at_mut(namespace).socket_mut(key)
            {
                socket.session = None;
            }
        }
    }

    /// Sends something again that a client has missed.
    fn send_missed(&mut self, socket: SocketId, missed: Missed, actions: &mut Actions) {
        match missed {
            Missed::Own(number, packet) => {
                self.keep_own(socket, number, packet.payload());
                self.send_again(socket, number, &packet, actions);
            }
            Missed::Said(number, packet) => self.send_again(socket, number, &packet, actions),
        }
    }

    fn send_again(&self, socket: SocketId, number: u64, packet: &Packet, actions: &mut Actions) {
        let Some(conn) = self.conn(socket) else { return };
        let offset = self.offset(number);
        let event = Outgoing::event(&self.at(socket.namespace).name, packet.payload());
        self.send_to(conn, Outgoing { offset: Some(&offset), ..event }, actions);
    }

    /// The offset of what is sent now, `number` being the last broadcast's.
    fn offset(&self, number: u64) -> String {
        Offset { epoch: self.epoch, shard: self.shard, number, own: self.own }.spell()
    }

    /// The offset of what is sent to many now, if sessions can be recovered.
    pub(super) fn offset_now(&self, namespace: NamespaceId) -> Option<String> {
        self.limits.recovery?;
        Some(self.offset(self.at(namespace).number))
    }

    /// Emits an event to a socket of this shard.
    pub(super) fn emit_now(
        &mut self,
        socket: SocketId,
        payload: Payload<'_>,
        way: Way,
        actions: &mut Actions,
    ) {
        let Some(conn) = self.conn(socket) else { return };
        if way == Way::Plain {
            let number = self.at(socket.namespace).number;
            self.keep_own(socket, number, payload);
        }
        self.sight_emitted(socket, payload, actions);
        let offset = self.offset_now(socket.namespace);
        let start = actions.bytes.len();
        let name = &self.at(socket.namespace).name;
        let event = Outgoing { offset: offset.as_deref(), ..Outgoing::event(name, payload) };
        self.encode_for(conn, event, actions);
        let loss = Loss::of_event(socket.namespace, way == Way::Volatile);
        actions.push_send(start, [conn], loss);
    }

    /// Keeps what is emitted to a socket alone, behind the broadcast with this
    /// number, in case that its client comes back.
    fn keep_own(&mut self, socket: SocketId, number: u64, payload: Payload<'_>) {
        let Some(limits) = self.limits.recovery else { return };
        self.own += 1;
        let count = self.own;
        let receiver = self.at_mut(socket.namespace).socket_mut(socket.key);
        let Some(session) = receiver.and_then(|it| it.session.as_mut()) else {
            return;
        };
        session.own.push_back(Own { number, count, packet: Arc::new(Packet::new(payload)) });
        if session.own.len() > limits.own_packets_max {
            let first = session.own.pop_front().expect("more than none");
            session.own_trimmed = first.count;
        }
    }
}

/// What a socket leaves for its session, if the reason is one that clients come back from.
pub(super) fn remains(socket: &mut Socket, reason: Reason) -> Option<Box<Remains>> {
    let comes_back = match reason {
        Reason::EventFlood
        | Reason::PingTimeout
        | Reason::ServerShuttingDown
        | Reason::TransportClose
        | Reason::TransportError => true,
        // Each replay could be too much again, beside that of another namespace, until the
        // window ends: who was slow once more after it came back begins anew.
        Reason::SlowReader => socket.session.as_ref().is_some_and(|session| !session.recovered),
        Reason::ClientNamespaceDisconnect
        | Reason::ParseError
        | Reason::ServerNamespaceDisconnect => false,
    };
    let session = socket.session.take().filter(|_| comes_back)?;
    let OwnSession { own, own_trimmed, .. } = *session;
    let data = socket.data.take().map_or(serde_json::Value::Null, |data| *data);
    Some(Box::new(Remains { own: own.into(), own_trimmed, data }))
}

/// Makes a new socket what its client's old one was.
fn restore(socket: &mut Socket, restored: &Restored, is_home: bool) {
    socket.sid = restored.sid;
    socket.data = (!restored.data.is_null()).then(|| Box::new(restored.data.clone()));
    if !is_home {
        socket.rooms = Some(Box::new(restored.rooms.iter().cloned().collect()));
    }
}

/// The number by which the offsets of one process are told from another's.
pub(super) fn epoch(secret: u64) -> u32 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (secret, "epoch").hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).expect("32 bits")
}

#[cfg(test)]
mod tests;
