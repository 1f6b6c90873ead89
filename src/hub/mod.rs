//! The hub: everything that a shard decides.
//!
//! Packets of connections and wishes of the application go in as [`Event`]s;
//! what is to be sent, closed, told and resolved comes out as [`Action`]s, in
//! the order in which it must be done. The hub is pure: no sockets, no clock,
//! no locks, and its random ids are handed in.
//!
//! ```text
//!  text, binary, gone --+                    +--> Send, Close      (to the outbox)
//!                       +--> Hub::handle ----+--> Notify           (to the application)
//!  emit, join, ack, ..--+                    +--> Resolve          (to who waits)
//! ```
//!
//! # Guarantees
//!
//! * The order of calls of [`Hub::handle`] is the order of every namespace:
//!   a broadcast reaches exactly those who are members when it is handled.
//! * What a peer breaks closes that peer's connection and touches nobody else.
//! * Once a connection has gone and its slot was freed, nothing of it is left.
//!
//! # Spec
//!
//! Socket.IO protocol v5, Engine.IO protocol v4; for old clients Socket.IO
//! protocol v4 over Engine.IO protocol v3.

mod command;
mod connection;
mod event;
mod limits;
mod namespace;
mod old;
mod packet;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use connection::{Connection, Membership, Phase};
pub use event::{
    Accepted, Action, Actions, Broadcast, ConnId, Event, NamespaceId, Notification, Opening,
    Outcome, Payload, RawMessage, Reason, SocketId, Step, Target, Ticket,
};
pub use limits::Limits;
use namespace::Namespace;

use serde_json::Value;

use crate::engineio::{Beat, Heartbeat, Open, Revision};
use crate::room::{Change, IdSource, Sid};
use crate::websocket::close_code;

/// All namespaces and connections of one shard.
pub struct Hub {
    limits: Limits,
    ids: Box<dyn IdSource>,
    /// Whether [`Action::Accepted`] is wanted.
    witnessed: bool,
    namespaces: Vec<Namespace>,
    by_name: BTreeMap<Box<str>, NamespaceId>,
    connections: Vec<Option<Connection>>,
    open_count: usize,
    /// When something is due, and for which connection (by index).
    deadlines: BTreeSet<(Instant, u32)>,
}

impl Hub {
    /// An empty hub that serves `namespaces`, each a name with its leading slash.
    pub fn new(
        limits: Limits,
        namespaces: &[&str],
        ids: Box<dyn IdSource>,
        witnessed: bool,
    ) -> Self {
        let id =
            |at| NamespaceId(u16::try_from(at).expect("fewer than 2^16 namespaces are registered"));
        Self {
            limits,
            ids,
            witnessed,
            namespaces: namespaces.iter().map(|name| Namespace::new(name)).collect(),
            by_name: namespaces
                .iter()
                .enumerate()
                .map(|(at, &name)| (name.into(), id(at)))
                .collect(),
            connections: Vec::new(),
            open_count: 0,
            deadlines: BTreeSet::new(),
        }
    }

    /// A connection whose transport is up: says hello to it. Returns its Engine.IO id.
    ///
    /// # Panics
    ///
    /// If the place that `conn` names has not been given back by [`remove`](Self::remove).
    pub fn open(
        &mut self,
        conn: ConnId,
        opening: Opening,
        now: Instant,
        actions: &mut Actions,
    ) -> Sid {
        let index = conn.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        assert!(
            self.connections[index].is_none(),
            "the place of an open connection is not given away"
        );
        let heartbeat = match opening.revision {
            Revision::V3 => Heartbeat::of_pinging_client(now, self.limits.silence_max()),
            Revision::V4 => Heartbeat::new(now, self.limits.ping_interval),
        };
        let connect_by = now + self.limits.connect_timeout;
        self.connections[index] = Some(Connection::new(conn, opening, connect_by, heartbeat));
        self.open_count += 1;
        self.schedule(conn, None);
        let sid = self.ids.sid();
        let open = Open {
            sid: sid.as_str().to_owned(),
            upgrades: if opening.may_upgrade { vec!["websocket".to_owned()] } else { Vec::new() },
            ping_interval: self.limits.ping_interval,
            ping_timeout: self.limits.ping_timeout,
            max_payload: self.limits.max_payload,
        };
        actions.send_text(&["0", &open.encode()], [conn], false);
        if opening.revision == Revision::V3 && !opening.is_raw {
            self.connect_to_root(conn, actions);
        }
        sid
    }

    /// Applies one event and appends what it causes to `actions`.
    ///
    /// Never fails: an event that no longer applies (a join of a socket that
    /// has gone, say) is ordinary on a network; who waits for it is told.
    pub fn handle(&mut self, event: Event<'_>, now: Instant, actions: &mut Actions) {
        match event {
            Event::Ack { socket, id, payload } => self.answer(socket, id, payload, actions),
            Event::Admit { conn, namespace, attempt } => {
                self.admit(conn, namespace, attempt, now, actions)
            }
            Event::Binary { conn, bytes } => self.binary(conn, bytes, now, actions),
            Event::Broadcast(broadcast) => self.broadcast(broadcast, actions),
            Event::Disconnect { socket, close } => self.put_out(socket, close, actions),
            Event::Emit { socket, payload, volatile, ticket } => {
                self.emit(socket, payload, volatile, ticket, actions)
            }
            Event::Gone { conn, reason } => self.gone(conn, reason, actions),
            Event::Join { socket, room, ticket } => self.join(socket, room, ticket, actions),
            Event::Leave { socket, room, ticket } => self.leave(socket, room, ticket, actions),
            Event::Close { conn, close_code, reason } => {
                self.end(conn, Some(close_code), reason, actions)
            }
            Event::Refuse { conn, namespace, attempt, json } => {
                self.refuse(conn, namespace, attempt, json, actions)
            }
            Event::Switch { socket, previous, next, ticket } => {
                self.switch(socket, previous, next, ticket, actions)
            }
            Event::Text { conn, text } => self.text(conn, text, now, actions),
            Event::Unwatch { socket, room, ticket } => self.unwatch(socket, room, ticket, actions),
            Event::Watch { socket, room, ticket } => self.watch(socket, room, ticket, actions),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Sends the pings that are due and closes who is silent, or never came to the point.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) {
        while let Some(&(at, index)) = self.deadlines.first()
            && at <= now
        {
            let connection = self.connections[index as usize]
                .as_mut()
                .expect("deadlines are of known connections");
            let (conn, due) = (connection.id, connection.deadline());
            if matches!(connection.phase, Phase::Fresh(connect_by) if connect_by <= now) {
                self.end(conn, Some(close_code::NORMAL_CLOSURE), Reason::TransportClose, actions);
                continue;
            }
            match connection.heartbeat.handle_timeout(now, self.limits.ping_timeout) {
                Some(Beat::Dead) => self.end(conn, None, Reason::PingTimeout, actions),
                Some(Beat::Ping) => actions.send_text(&["2"], [conn], false),
                None => {}
            }
            self.schedule(conn, due);
        }
    }

    /// Ends the tick: tells those who watch a room of its joins and leaves.
    pub fn end_tick(&mut self, actions: &mut Actions) {
        for namespace in &mut self.namespaces {
            let mut notices = Vec::new();
            namespace.rooms.notices(|room, notice| {
                notices.push((notice.watchers.to_vec(), presence_json(room, notice.changes)));
            });
            for (watchers, json) in notices {
                let to: Vec<_> =
                    watchers.into_iter().map(|watcher| namespace.conn(watcher)).collect();
                actions.send_event(
                    &namespace.name,
                    None,
                    Payload { json: &json, attachments: &[] },
                    to,
                    false,
                );
            }
        }
    }

    /// Whether watchers are owed a notice at the end of this tick.
    pub fn owes_notices(&self) -> bool {
        self.namespaces.iter().any(|namespace| namespace.rooms.owes_notices())
    }

    /// Frees the place of a connection whose transport has gone for good.
    pub fn remove(&mut self, conn: ConnId) {
        if self.connection(conn).is_some() {
            self.unschedule(conn);
            self.connections[conn.index as usize] = None;
            self.open_count -= 1;
            if self.open_count == 0 {
                self.connections = Vec::new();
            }
        }
    }

    /// The namespace of that name.
    pub fn namespace(&self, name: &str) -> Option<NamespaceId> {
        self.by_name.get(name).copied()
    }

    /// The socket with that public id.
    pub fn socket(&self, namespace: NamespaceId, sid: Sid) -> Option<SocketId> {
        let key = self.at(namespace).by_sid(sid)?;
        Some(SocketId { namespace, key })
    }

    /// The public id of a socket that is connected.
    pub fn sid(&self, socket: SocketId) -> Option<Sid> {
        self.at(socket.namespace).socket(socket.key).map(|socket| socket.sid)
    }

    /// The connection of a socket that is connected.
    pub fn conn(&self, socket: SocketId) -> Option<ConnId> {
        self.at(socket.namespace).socket(socket.key).map(|socket| socket.conn)
    }

    /// Who is in `room` now; `None` for the whole namespace.
    pub fn members(&self, namespace: NamespaceId, room: Option<&str>) -> Vec<SocketId> {
        let here = self.at(namespace);
        let id = |key| SocketId { namespace, key };
        match room {
            Some(room) => here.occupants(room).map(id).collect(),
            None => here.keys().map(id).collect(),
        }
    }

    /// Whether `socket` is in `room`.
    pub fn is_member(&self, socket: SocketId, room: &str) -> bool {
        self.at(socket.namespace).rooms.is_member(socket.key, room)
    }

    /// The rooms that `socket` is in, without the one of its own name.
    pub fn rooms_of(&self, socket: SocketId) -> Vec<Box<str>> {
        self.at(socket.namespace).rooms.rooms_of(socket.key).map(Into::into).collect()
    }

    /// What the application keeps with a socket that is connected.
    pub fn data(&self, socket: SocketId) -> Option<&Value> {
        self.at(socket.namespace).socket(socket.key)?.data.as_deref()
    }

    /// Keeps something with a socket for as long as it is connected.
    pub fn set_data(&mut self, socket: SocketId, data: Value) {
        if let Some(socket) = self.at_mut(socket.namespace).socket_mut(socket.key) {
            socket.data = (!data.is_null()).then(|| Box::new(data));
        }
    }

    /// What is held at the moment.
    pub fn census(&self) -> Census {
        Census {
            connections: self.open_count,
            sockets: self.namespaces.iter().map(Namespace::len).sum(),
            rooms: self.namespaces.iter().map(|namespace| namespace.rooms.len()).sum(),
            deadlines: self.deadlines.len(),
        }
    }

    /// All connections, in the order of their places.
    pub fn connections(&self) -> Vec<ConnId> {
        self.connections.iter().flatten().map(|connection| connection.id).collect()
    }

    fn at(&self, namespace: NamespaceId) -> &Namespace {
        &self.namespaces[usize::from(namespace.0)]
    }

    fn at_mut(&mut self, namespace: NamespaceId) -> &mut Namespace {
        &mut self.namespaces[usize::from(namespace.0)]
    }

    fn connection(&self, conn: ConnId) -> Option<&Connection> {
        self.connections
            .get(conn.index as usize)?
            .as_ref()
            .filter(|connection| connection.id == conn)
    }

    fn connection_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connections
            .get_mut(conn.index as usize)?
            .as_mut()
            .filter(|connection| connection.id == conn)
    }

    /// The connection, if what it says still counts.
    fn open_connection(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connection_mut(conn).filter(|connection| connection.phase != Phase::Closing)
    }

    /// Notes the connection's new deadline; `previous` is the one noted before.
    fn schedule(&mut self, conn: ConnId, previous: Option<Instant>) {
        let next = self.connection(conn).and_then(Connection::deadline);
        if previous != next {
            previous.map(|at| self.deadlines.remove(&(at, conn.index)));
            next.map(|at| self.deadlines.insert((at, conn.index)));
        }
    }

    fn unschedule(&mut self, conn: ConnId) {
        if let Some(at) = self.connection(conn).and_then(Connection::deadline) {
            self.deadlines.remove(&(at, conn.index));
        }
    }

    /// Closes a connection that broke the protocol.
    fn fail(&mut self, conn: ConnId, actions: &mut Actions) {
        self.end(conn, Some(close_code::PROTOCOL_ERROR), Reason::ParseError, actions);
    }

    fn gone(&mut self, conn: ConnId, reason: Reason, actions: &mut Actions) {
        self.end(conn, None, reason, actions);
    }

    /// Ends a connection: its sockets are out of all rooms from here on.
    fn end(
        &mut self,
        conn: ConnId,
        close_code: Option<u16>,
        reason: Reason,
        actions: &mut Actions,
    ) {
        let Some(previous) = self.open_connection(conn).map(|connection| connection.deadline())
        else {
            return;
        };
        let connection = self.open_connection(conn).expect("just found");
        connection.phase = Phase::Closing;
        let memberships = std::mem::take(&mut connection.memberships);
        connection.decoder = crate::socketio::Decoder::new();
        self.schedule(conn, previous);
        for (namespace, membership) in memberships {
            if let Membership::Joined(key) = membership {
                self.drop_socket(SocketId { namespace, key }, reason, actions);
            }
        }
        actions.list.push(Action::Close { conn, close_code });
    }

    /// Takes a socket out of everything and tells who has to know.
    fn drop_socket(&mut self, socket: SocketId, reason: Reason, actions: &mut Actions) {
        let rooms = self.rooms_of(socket);
        let Some(gone) = self.at_mut(socket.namespace).disconnect(socket.key) else { return };
        self.witness(socket.namespace, Some(gone.sid), actions, || Step::Disconnect);
        for (_, ticket) in gone.acks.into_iter().flat_map(|acks| acks.awaited) {
            actions.list.push(Action::Resolve(ticket, Outcome::Gone));
        }
        actions.list.push(Action::Notify(
            gone.conn,
            Notification::Disconnected { socket, sid: gone.sid, reason, rooms },
        ));
    }

    fn witness(
        &self,
        namespace: NamespaceId,
        socket: Option<Sid>,
        actions: &mut Actions,
        step: impl FnOnce() -> Step,
    ) {
        if self.witnessed {
            let namespace = self.at(namespace).name.clone();
            actions.list.push(Action::Accepted(Accepted { namespace, socket, step: step() }));
        }
    }

    /// Whether the application awaits an answer of this connection.
    pub fn awaits_ack(&self, conn: ConnId) -> bool {
        let memberships =
            self.connection(conn).map_or(&[][..], |connection| &connection.memberships);
        memberships.iter().any(|&(namespace, membership)| match membership {
            Membership::Joined(key) => self.at(namespace).awaits_ack(key),
            Membership::Asked(_) | Membership::PutOut => false,
        })
    }

    #[cfg(test)]
    fn key_of(&self, conn: ConnId, namespace: NamespaceId) -> Option<crate::room::SocketKey> {
        match self.connection(conn)?.membership(namespace)? {
            Membership::Joined(key) => Some(key),
            Membership::Asked(_) | Membership::PutOut => None,
        }
    }
}

/// How much a hub holds; all zero when everybody has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Engine.IO connections.
    pub connections: usize,
    /// Sockets in all namespaces.
    pub sockets: usize,
    /// Rooms in all namespaces.
    pub rooms: usize,
    /// Timers.
    pub deadlines: usize,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("census", &self.census()).finish_non_exhaustive()
    }
}

fn presence_json(room: &str, changes: &[Change]) -> String {
    let changes: Vec<(char, &str)> = changes
        .iter()
        .map(|change| match change {
            Change::Join(sid) => ('+', sid.as_str()),
            Change::Leave(sid) => ('-', sid.as_str()),
        })
        .collect();
    serde_json::json!(["presence", { "room": room, "changes": changes }]).to_string()
}

#[cfg(test)]
mod tests;
