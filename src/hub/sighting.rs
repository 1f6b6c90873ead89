//! What happens to the sockets of this shard, told to whoever watches the server.
//!
//! For people who look at a running server, not for the application: nothing is
//! told unless somebody has asked for it ([`Hub::set_sighted`]). Not the
//! namespace's order either: that is the witness's word, which its home gives.
//! A sighting is told by the shard of the socket, so that what concerns one
//! socket comes in the order in which its client is told of it.

use super::exchange::Packet;
use super::{Action, Actions, ConnId, Hub, Membership, NamespaceId, Payload, Reason, SocketId};
use crate::room::Sid;
use crate::socketio::Args;
use bytes::Bytes;

/// Something that has happened to sockets of this shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The name of their namespace.
    pub namespace: Box<str>,
    /// Which ones; one alone, unless something was sent to several.
    pub sockets: Vec<Sid>,
    /// What has happened.
    pub sight: Sight,
}

/// What can happen to a socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// It is connected.
    Connected {
        /// Its connection.
        conn: ConnId,
        /// The rooms of the session that it goes on with, without its own.
        rooms: Vec<Box<str>>,
        /// What the application keeps with it, as JSON.
        data: Box<str>,
    },
    /// What the application keeps with it has changed: as JSON.
    Data(Box<str>),
    /// It has gone.
    Disconnected {
        /// Why.
        reason: Reason,
        /// The rooms it was in, without its own.
        rooms: Vec<Box<str>>,
    },
    /// It has entered a room.
    Joined(Box<str>),
    /// It has left a room.
    Left(Box<str>),
    /// Its client has emitted an event.
    Received(Args<'static>),
    /// An event was emitted to it: the event as JSON, and what its placeholders stand for.
    Sent(Box<str>, Vec<Bytes>),
    /// Its connection has gone over from long-polling to a WebSocket.
    Upgraded,
}

impl Sighting {
    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        let rooms = |rooms: &[Box<str>]| rooms.iter().map(|room| room.len()).sum::<usize>();
        let attached = |bytes: &[Bytes]| bytes.iter().map(Bytes::len).sum::<usize>();
        let held: usize = match &self.sight {
            Sight::Connected { rooms: list, data, .. } => rooms(list) + data.len(),
            Sight::Disconnected { rooms: list, .. } => rooms(list),
            Sight::Upgraded => 0,
            Sight::Data(text) | Sight::Joined(text) | Sight::Left(text) => text.len(),
            Sight::Received(args) => args.json().len() + attached(args.attachments()),
            Sight::Sent(json, attachments) => json.len() + attached(attachments),
        };
        size_of::<Self>() + self.sockets.len() * size_of::<Sid>() + held
    }
}

impl Hub {
    /// Tells of what happens from here on; or no longer. Nothing is told of the
    /// events in the namespace that is given: they are about what is told.
    pub fn set_sighted(&mut self, sighted: Option<NamespaceId>) {
        self.sighted = sighted;
    }

    /// Whether what happens is told.
    pub fn is_sighted(&self) -> bool {
        self.sighted.is_some()
    }

    /// The sockets of a connection that are connected.
    pub fn sockets_of(&self, conn: ConnId) -> Vec<SocketId> {
        let memberships = self.connection(conn).map_or(&[][..], |here| &here.memberships);
        let joined = memberships.iter().filter_map(|&(namespace, membership)| match membership {
            Membership::Joined(key) => Some(SocketId { namespace, key }),
            Membership::Asked(_) | Membership::Entering(_) | Membership::PutOut => None,
        });
        joined.collect()
    }

    /// A socket as it is now, as if it had connected just now.
    pub fn sighting_now(&self, conn: ConnId, socket: SocketId) -> Option<Sighting> {
        let namespace = self.name(socket.namespace).into();
        let (sockets, rooms) = (vec![self.sid(socket)?], self.rooms_of(socket));
        let data = self.data(socket).map_or_else(|| "null".into(), |data| data.to_string().into());
        Some(Sighting { namespace, sockets, sight: Sight::Connected { conn, rooms, data } })
    }

    /// Names a connection within the server: twelve characters, of which nothing
    /// secret can be learned.
    pub fn client_id(&self, conn: ConnId) -> String {
        format!("{:02x}{:010x}", self.shard.0, conn.generation)
    }

    /// Each namespace that is known here: its name, and its sockets of this shard.
    pub fn namespaces_here(&self) -> Vec<(Box<str>, usize)> {
        let named = self.namespaces.iter().filter(|namespace| !namespace.name.is_empty());
        named.map(|namespace| (namespace.name.clone(), namespace.len())).collect()
    }

    /// Tells that a socket is connected.
    pub(super) fn sight_connected(&self, conn: ConnId, socket: SocketId, actions: &mut Actions) {
        if self.is_sighted() {
            let sighting = self.sighting_now(conn, socket).map(Box::new);
            actions.list.extend(sighting.map(Action::Seen));
        }
    }

    /// Tells what has happened to a socket of this shard, if somebody watches.
    pub(super) fn sight(
        &self,
        socket: SocketId,
        actions: &mut Actions,
        sight: impl FnOnce() -> Sight,
    ) {
        if self.sighted.is_some()
            && let Some(sid) = self.sid(socket)
        {
            self.sight_of(socket.namespace, vec![sid], sight(), actions);
        }
    }

    /// The same of a socket that has no place any more, or of several.
    pub(super) fn sight_of(
        &self,
        namespace: NamespaceId,
        sockets: Vec<Sid>,
        sight: Sight,
        actions: &mut Actions,
    ) {
        let namespace = self.at(namespace).name.clone();
        let sighting = Sighting { namespace, sockets, sight };
        actions.list.push(Action::Seen(Box::new(sighting)));
    }

    /// Tells that an event of this namespace's clients has come.
    pub(super) fn sight_received(&self, socket: SocketId, args: &Args<'_>, actions: &mut Actions) {
        if self.is_told(socket.namespace) {
            self.sight(socket, actions, || Sight::Received(args.clone().into_owned()));
        }
    }

    /// Tells that an event is sent to the recipients since `first`.
    pub(super) fn sight_sent(
        &self,
        namespace: NamespaceId,
        first: usize,
        packet: impl FnOnce() -> Packet,
        actions: &mut Actions,
    ) {
        if !self.is_told(namespace) || actions.recipients.len() == first {
            return;
        }
        let sid = |conn| match self.connection(conn)?.membership(namespace)? {
            Membership::Joined(key) => self.sid(SocketId { namespace, key }),
            Membership::Asked(_) | Membership::Entering(_) | Membership::PutOut => None,
        };
        let to = actions.recipients[first..].iter().copied().filter_map(sid).collect();
        let Packet { json, attachments } = packet();
        self.sight_of(namespace, to, Sight::Sent(json, attachments), actions);
    }

    /// Tells that an event is sent to one socket.
    pub(super) fn sight_emitted(
        &self,
        socket: SocketId,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) {
        if self.is_told(socket.namespace) {
            let sent = || Sight::Sent(payload.json.into(), payload.attachments.to_vec());
            self.sight(socket, actions, sent);
        }
    }

    /// Tells where a socket of this shard is now.
    pub(super) fn sight_moved(
        &self,
        socket: SocketId,
        left: Option<&str>,
        joined: Option<&str>,
        actions: &mut Actions,
    ) {
        if self.sighted.is_some() {
            left.into_iter().for_each(|it| self.sight(socket, actions, || Sight::Left(it.into())));
            let told = joined.into_iter();
            told.for_each(|it| self.sight(socket, actions, || Sight::Joined(it.into())));
        }
    }

    fn is_told(&self, namespace: NamespaceId) -> bool {
        self.sighted.is_some_and(|own| own != namespace)
    }
}
