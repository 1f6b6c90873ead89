//! The hub: everything that a shard decides.
//!
//! Packets of connections and wishes of the application go in as [`Event`]s;
//! what is to be sent, closed, told and resolved comes out as [`Action`]s, in
//! the order in which it must be done. The hub is pure: no sockets, no clock,
//! no locks, and its random ids are handed in.
//!
//! ```text
//!  text, binary, gone --+                    +--> Send, Close      (to the outbox)
//!  emit, join, ack, ..--+--> Hub::handle ----+--> Notify           (to the application)
//!  Exchange ------------+                    +--> Resolve          (to who waits)
//!                                            +--> Exchange         (to another shard)
//! ```
//!
//! A server has one hub for each shard. Each namespace has a home among them,
//! which keeps the order of all that happens there ([`exchange`] says how); on a
//! server with one shard every namespace is at home, and nothing is exchanged.
//!
//! # Guarantees
//!
//! * The order of calls of [`Hub::handle`] is the order of every namespace that
//!   is at home here: a broadcast reaches exactly those who are members when it
//!   is handled, whichever shard they are on.
//! * What a handler sends to one socket arrives in the order sent, also when
//!   some of it goes by way of another shard.
//! * What a peer breaks closes that peer's connection and touches nobody else.
//! * Once a connection has gone and its slot was freed, nothing of it is left.
//!
//! # Spec
//!
//! Socket.IO protocol v5, Engine.IO protocol v4; for old clients Socket.IO
//! protocol v4 over Engine.IO protocol v3.

mod addresses;
mod bucket;
mod census;
mod command;
mod connection;
mod counters;
mod encode;
mod event;
pub mod exchange;
mod histogram;
mod hold;
mod journal;
mod limits;
mod namespace;
mod namespaces;
mod old;
mod order;
mod packet;
mod place;
mod rates;
mod session;
mod sighting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

pub use addresses::{Address, TurnedAway};
pub use bucket::{Bucket, Rate};
pub use census::Census;
pub use connection::Opening;
use connection::{Connection, Membership, Phase};
pub use counters::{Closes, Counters, Drops};
pub use event::{
    Accepted, Action, Actions, Broadcast, ConnId, Event, Found, Notification, Outcome, Payload,
    RawMessage, Reason, SocketId, Step, Target, Ticket,
};
pub use histogram::Histogram;
use hold::Homes;
pub use journal::Recovery;
pub use limits::{Limits, Loss, Policy, RatePolicy, Rates};
use namespace::Namespace;
use namespaces::Namespaces;
pub use place::{NamespaceId, Place};
use rates::Meters;
pub use sighting::{Sight, Sighting};

use crate::engineio::{Beat, Greeting, Heartbeat, Revision};
use crate::room::{Change, IdSource, ShardId, Sid, SocketKey};
use crate::websocket::close_code;

/// All connections of one shard, and the namespaces as it sees them.
pub struct Hub {
    shard: ShardId,
    shards: u8,
    limits: Limits,
    greeting: Greeting,
    meters: Meters,
    ids: Box<dyn IdSource>,
    /// Whether [`Action::Accepted`] is wanted.
    witnessed: bool,
    /// Whether [`Action::Seen`] is wanted, and of which namespace's events not.
    sighted: Option<NamespaceId>,
    namespaces: Namespaces,
    connections: Vec<Option<Connection>>,
    open_count: usize,
    /// Connections whose clients speak MessagePack.
    in_msgpack: usize,
    /// When something is due, and for which connection (by index).
    deadlines: BTreeSet<(Instant, u32)>,
    /// When the event in progress is handled.
    now: Instant,
    /// Names this process in offsets.
    epoch: u32,
    /// How much was emitted to single sockets.
    own: u64,
    /// The socket whose handler is in progress.
    context: Option<SocketId>,
    /// What limits and policies have done.
    pub counters: Counters,
    /// What was asked of homes on other shards.
    homes: Homes,
    /// What other shards have asked of the homes here.
    askers: BTreeMap<ShardId, Asker>,
}

/// How many requests another shard has made, and of how many it knows that they were handled.
#[derive(Clone, Copy, Debug, Default)]
struct Asker {
    heard: u64,
    told: u64,
}

impl Asker {
    fn tell(&mut self, shard: ShardId, actions: &mut Actions) {
        if self.told < self.heard {
            self.told = self.heard;
            actions.tell(shard, exchange::Message::Answer { number: self.heard, outcome: None });
        }
    }
}

impl Hub {
    /// An empty hub that serves `namespaces`, each a name with its leading slash;
    /// they must be the same on each shard. An empty name is a template's place.
    pub fn new(
        place: Place,
        limits: Limits,
        namespaces: &[&str],
        ids: Box<dyn IdSource>,
        witnessed: bool,
        now: Instant,
    ) -> Self {
        let namespaces = Namespaces::new(place, namespaces, limits.recovery, limits.silence_max());
        let greeting = Greeting::new(limits.ping_interval, limits.ping_timeout, limits.max_payload);
        Self {
            now,
            epoch: session::epoch(place.secret),
            own: 0,
            shard: place.shard,
            shards: place.shards,
            meters: Meters::new(&limits, place.shards),
            limits,
            greeting,
            ids,
            witnessed,
            sighted: None,
            namespaces,
            connections: Vec::new(),
            open_count: 0,
            in_msgpack: 0,
            deadlines: BTreeSet::new(),
            context: None,
            counters: Counters::default(),
            homes: Homes::default(),
            askers: BTreeMap::new(),
        }
    }

    /// Says whose handler is in progress: what it sends to one socket keeps its order.
    pub fn set_context(&mut self, socket: Option<SocketId>) {
        self.context = socket;
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
        self.set_meter(conn, opening.address);
        self.open_count += 1;
        let counters = &mut self.counters;
        let opened = if opening.may_upgrade {
            &mut counters.opened_polling
        } else {
            &mut counters.opened_websocket
        };
        *opened += 1;
        self.schedule(conn, None);
        let sid = self.ids.sid();
        let [start, id, upgrades, end] = self.greeting.parts(sid.as_str(), opening.may_upgrade);
        actions.send_text(["0", start, id, upgrades, end], conn);
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
        self.now = now;
        match event {
            Event::Ack { socket, id, payload } => self.answer(socket, id, payload, actions),
            Event::Admit { conn, namespace, attempt } => {
                self.admit(conn, namespace, attempt, actions)
            }
            Event::Binary { conn, bytes } => self.binary(conn, bytes, now, actions),
            Event::Broadcast(broadcast) => self.broadcast(broadcast, actions),
            Event::Found { conn, name, template, auth } => {
                self.found(conn, name, template, auth, actions)
            }
            Event::Disconnect { socket, close } => self.put_out(socket, close, actions),
            Event::DisconnectSockets { namespace, target, close } => {
                self.disconnect_sockets(namespace, target, close, actions)
            }
            Event::Emit { socket, payload, volatile, ticket } => {
                self.emit(socket, payload, volatile, ticket, actions)
            }
            Event::Exchange { from, message } => self.exchanged(from, message, actions),
            Event::Fetch { namespace, target, ticket } => {
                self.fetch(namespace, target, ticket, actions)
            }
            Event::HandlerDone { socket } => self.handler_done(socket, actions),
            Event::Gone { conn, reason } => self.gone(conn, reason, actions),
            Event::Join { socket, room, ticket } => self.join(socket, room, ticket, actions),
            Event::Lossy { conn } => self.void_sessions(conn),
            Event::Leave { socket, room, ticket } => self.leave(socket, room, ticket, actions),
            Event::Close { conn, close_code, reason } => {
                self.end(conn, Some(close_code), reason, actions)
            }
            Event::Refuse { conn, namespace, attempt, json } => {
                self.refuse(conn, namespace, attempt, json, actions)
            }
            Event::ServerSide { namespace, payload } => {
                self.server_side(namespace, payload, actions)
            }
            Event::SetData { socket, data } => self.set_data(socket, data, actions),
            Event::SocketsJoin { namespace, target, rooms } => {
                self.sockets_join(namespace, target, rooms, actions)
            }
            Event::SocketsLeave { namespace, target, rooms } => {
                self.sockets_leave(namespace, target, rooms, actions)
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
        let connections = self.deadlines.first().map(|&(at, _)| at);
        connections.into_iter().chain(self.namespaces.deadline()).min()
    }

    /// Sends the pings that are due and closes who is silent, or never came to the point.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) {
        self.now = now;
        self.namespaces.handle_timeout(now);
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
            if !connection.heard_since {
                connection.heartbeat.handle_unheard(now, self.limits.silence_max());
                connection.heard_since = connection.heard;
            }
            match connection.heartbeat.handle_timeout(now, self.limits.ping_timeout) {
                Some(Beat::Dead) => self.end(conn, None, Reason::PingTimeout, actions),
                Some(Beat::Ping) => actions.send_text(["2"], conn),
                None => {}
            }
            self.schedule(conn, due);
        }
    }

    /// Ends the tick: tells those who watch a room of its joins and leaves, and
    /// other shards how many of their requests have been handled.
    pub fn end_tick(&mut self, actions: &mut Actions) {
        let mut notices: Vec<(NamespaceId, Vec<SocketKey>, String)> = Vec::new();
        for (id, namespace) in self.namespaces.iter_mut() {
            let Some(order) = &mut namespace.order else { continue };
            order.rooms.notices(|room, notice| {
                notices.push((id, notice.watchers.to_vec(), presence_json(room, notice.changes)));
            });
        }
        for (namespace, watchers, json) in notices {
            self.notify_watchers(namespace, watchers, &json, actions);
        }
        self.tell_askers(actions);
    }

    /// Whether watchers or other shards are owed something at the end of this tick.
    pub fn owes_notices(&self) -> bool {
        let orders = self.namespaces.iter().filter_map(|namespace| namespace.order.as_ref());
        orders.into_iter().any(|order| order.rooms.owes_notices())
            || self.askers.values().any(|asker| asker.told < asker.heard)
    }

    /// Frees the place of a connection whose transport has gone for good.
    pub fn remove(&mut self, conn: ConnId) {
        if self.connection(conn).is_some() {
            self.unschedule(conn);
            let gone = self.connections[conn.index as usize].take();
            self.forget_parser(&gone.expect("just seen"));
            self.open_count -= 1;
            if self.open_count == 0 {
                self.connections = Vec::new();
            }
        }
    }

    /// The namespace of that name.
    pub fn namespace(&self, name: &str) -> Option<NamespaceId> {
        self.namespaces.by_name(name)
    }

    /// The public id of a socket of this shard that is connected.
    pub fn sid(&self, socket: SocketId) -> Option<Sid> {
        self.at(socket.namespace).socket(socket.key).map(|socket| socket.sid)
    }

    /// Whether a socket of this shard goes on with an earlier one's session.
    pub fn is_recovered(&self, socket: SocketId) -> bool {
        let socket = self.at(socket.namespace).socket(socket.key);
        socket.and_then(|socket| socket.session.as_ref()).is_some_and(|session| session.recovered)
    }

    /// The connection of a socket of this shard that is connected.
    pub fn conn(&self, socket: SocketId) -> Option<ConnId> {
        self.at(socket.namespace).socket(socket.key).map(|socket| socket.conn)
    }

    /// Whether `socket`, of this shard, is in `room`, as far as this shard has heard.
    pub fn is_member(&self, socket: SocketId, room: &str) -> bool {
        let here = self.at(socket.namespace);
        match &here.order {
            Some(order) => order.rooms.is_member(socket.key, room),
            None => here
                .socket(socket.key)
                .and_then(|socket| socket.rooms.as_ref())
                .is_some_and(|rooms| rooms.contains(room)),
        }
    }

    /// The rooms that `socket`, of this shard, is in, without the one of its own name.
    pub fn rooms_of(&self, socket: SocketId) -> Vec<Box<str>> {
        let here = self.at(socket.namespace);
        match &here.order {
            Some(order) => order.rooms.rooms_of(socket.key).map(Into::into).collect(),
            None => here
                .socket(socket.key)
                .and_then(|socket| socket.rooms.as_ref())
                .map_or_else(Vec::new, |rooms| rooms.iter().cloned().collect()),
        }
    }

    /// What the application keeps with a socket that is connected.
    pub fn data(&self, socket: SocketId) -> Option<&serde_json::Value> {
        self.at(socket.namespace).socket(socket.key)?.data.as_deref()
    }

    /// The name of a namespace; empty if it has gone.
    pub fn name(&self, namespace: NamespaceId) -> &str {
        &self.at(namespace).name
    }

    /// How many connections there are: for whoever asks often, and needs no census.
    pub fn open_count(&self) -> usize {
        self.open_count
    }

    /// All connections, in the order of their places.
    pub fn connections(&self) -> Vec<ConnId> {
        self.connections.iter().flatten().map(|connection| connection.id).collect()
    }

    fn at(&self, namespace: NamespaceId) -> &Namespace {
        self.namespaces.at(namespace)
    }

    fn at_mut(&mut self, namespace: NamespaceId) -> &mut Namespace {
        self.namespaces.at_mut(namespace)
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

    /// Notes a connection's standing in a namespace.
    fn set_membership(
        &mut self,
        conn: ConnId,
        namespace: NamespaceId,
        membership: Option<Membership>,
    ) {
        let Some(connection) = self.open_connection(conn) else { return };
        let was_there = connection.membership(namespace).is_some();
        connection.set(namespace, membership);
        match (was_there, membership.is_some()) {
            (false, true) => self.namespaces.hold(namespace),
            (true, false) => self.namespaces.release(namespace),
            (false, false) | (true, true) => {}
        }
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
            if let Membership::Entering(key) | Membership::Joined(key) = membership {
                self.drop_socket(SocketId { namespace, key }, reason, actions);
            }
            self.namespaces.release(namespace);
        }
        self.counters.closed.add(reason);
        actions.list.push(Action::Close { conn, close_code });
    }

    /// Takes a socket out of everything and tells who has to know.
    fn drop_socket(&mut self, socket: SocketId, reason: Reason, actions: &mut Actions) {
        let rooms = self.rooms_of(socket);
        let Some(mut gone) = self.at_mut(socket.namespace).remove(socket.key) else { return };
        let remains = session::remains(&mut gone, reason);
        if self.is_home(socket.namespace) {
            self.disconnect_here(socket, remains, actions);
        } else {
            let request = exchange::Request::Disconnect { socket: socket.key, remains };
            self.request(socket.namespace, request, None, actions);
        }
        for (_, awaiter) in gone.acks.into_iter().flat_map(|acks| acks.awaited) {
            self.no_answer(awaiter, actions);
        }
        if gone.entered {
            if self.is_sighted() {
                let sight = Sight::Disconnected { reason, rooms: rooms.clone() };
                self.sight_of(socket.namespace, vec![gone.sid], sight, actions);
            }
            actions.list.push(Action::Notify(
                gone.conn,
                Notification::Disconnected { socket, sid: gone.sid, reason, rooms },
            ));
        }
    }

    /// Whether this shard keeps the order of the namespace.
    pub fn is_home(&self, namespace: NamespaceId) -> bool {
        self.namespaces.home(namespace) == self.shard
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
            Membership::Asked(_) | Membership::Entering(_) | Membership::PutOut => false,
        })
    }

    #[cfg(test)]
    fn key_of(&self, conn: ConnId, namespace: NamespaceId) -> Option<crate::room::SocketKey> {
        match self.connection(conn)?.membership(namespace)? {
            Membership::Joined(key) => Some(key),
            Membership::Asked(_) | Membership::Entering(_) | Membership::PutOut => None,
        }
    }
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
