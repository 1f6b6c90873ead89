//! What peers send: packets to rooms and application.

use std::borrow::Cow;
use std::time::Instant;

use super::exchange::{Reply, Request};
use super::namespace::Awaiter;
use super::old::{name, query_auth};
use super::{
    Action, Actions, ConnId, Hub, Membership, NamespaceId, Notification, Outcome, Phase,
    RawMessage, Reason, SocketId,
};
use crate::engineio::{self, Revision};
use crate::socketio::{self, Args, Incoming, Kind, Parser};
use crate::websocket::close_code;

/// Whether a packet was in order; if not, its sender is closed.
pub(super) type Legal = Result<(), Illegal>;

/// The peer broke the protocol.
pub(super) struct Illegal;

impl Hub {
    pub(super) fn text(&mut self, conn: ConnId, text: &str, now: Instant, actions: &mut Actions) {
        let limits = self.limits.socketio();
        self.note_sign_of_life(conn, now);
        let Some(connection) = self.open_connection(conn) else { return };
        let (revision, is_raw) = (connection.revision, connection.is_raw);
        let packet = match engineio::Packet::decode(text) {
            Ok(engineio::Packet::Message(text)) if is_raw => {
                return self.raw(conn, RawMessage::Text(text.into()), now, actions);
            }
            Ok(engineio::Packet::Message(text)) => {
                if !self.speaks(conn, Parser::Json) {
                    return self.fail(conn, actions);
                }
                let connection = self.open_connection(conn).expect("just found");
                connection.decoder.text(text, &limits)
            }
            Ok(engineio::Packet::Ping(data)) if revision == Revision::V3 => {
                return actions.send_text(["3", data], conn);
            }
            Ok(engineio::Packet::Pong("")) if revision == Revision::V4 => {
                return self.pong(conn, now);
            }
            Ok(engineio::Packet::Close) => {
                return self.end(
                    conn,
                    Some(close_code::NORMAL_CLOSURE),
                    Reason::TransportClose,
                    actions,
                );
            }
            Ok(
                engineio::Packet::Noop
                | engineio::Packet::Open(_)
                | engineio::Packet::Ping(_)
                | engineio::Packet::Pong(_)
                | engineio::Packet::Upgrade,
            )
            | Err(_) => return self.fail(conn, actions),
        };
        self.incoming(conn, packet, now, actions);
    }

    fn raw(&mut self, conn: ConnId, message: RawMessage, now: Instant, actions: &mut Actions) {
        if self.may_speak(conn, now) {
            self.counters.events_in += 1;
            actions.list.push(Action::Notify(conn, Notification::Raw(message)));
        } else {
            self.too_fast(conn, None, actions);
        }
    }

    pub(super) fn binary(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        now: Instant,
        actions: &mut Actions,
    ) {
        let limits = self.limits.socketio();
        self.note_sign_of_life(conn, now);
        let Some(connection) = self.open_connection(conn) else { return };
        if connection.is_raw {
            let message = RawMessage::Binary(bytes::Bytes::copy_from_slice(bytes));
            return self.raw(conn, message, now, actions);
        }
        let packet = if self.speaks(conn, Parser::MessagePack) {
            socketio::msgpack::decode(bytes, &limits).map(Some)
        } else {
            let connection = self.open_connection(conn).expect("just found");
            connection.decoder.binary(bytes, &limits)
        };
        self.incoming(conn, packet, now, actions);
    }

    pub(super) fn admit(
        &mut self,
        conn: ConnId,
        namespace: NamespaceId,
        attempt: u32,
        actions: &mut Actions,
    ) {
        if !self.is_asked(conn, namespace, attempt) {
            return;
        }
        let sid = self.ids.sid();
        let key = self.at_mut(namespace).insert(conn, sid);
        let connection = self.open_connection(conn).expect("it asked");
        let previous = connection.deadline();
        connection.phase = Phase::Live;
        let claim = connection.take_claim(namespace);
        self.set_membership(conn, namespace, Some(Membership::Entering(key)));
        self.schedule(conn, previous);
        let begin = self.begin(claim);
        if self.is_home(namespace) {
            self.arrive(namespace, key, sid, begin, actions);
        } else {
            // The home may not have made the namespace yet.
            let name = namespace.made().map(|_| self.at(namespace).name.clone());
            let request = Request::Connect { socket: key, sid, name, begin };
            self.request(namespace, request, None, actions);
        }
    }

    pub(super) fn refuse(
        &mut self,
        conn: ConnId,
        namespace: NamespaceId,
        attempt: u32,
        json: &str,
        actions: &mut Actions,
    ) {
        if self.is_asked(conn, namespace, attempt) {
            let json = self.refusal_for(conn, json);
            self.send_packet(Kind::ConnectError, &self.at(namespace).name, &json, conn, actions);
            self.set_membership(conn, namespace, None);
        }
    }

    fn is_asked(&self, conn: ConnId, namespace: NamespaceId, attempt: u32) -> bool {
        let membership =
            self.connection(conn).and_then(|connection| connection.membership(namespace));
        membership == Some(Membership::Asked(attempt))
    }

    fn pong(&mut self, conn: ConnId, now: Instant) {
        let interval = self.limits.ping_interval;
        let Some(connection) = self.open_connection(conn) else { return };
        let previous = connection.deadline();
        connection.heartbeat.handle_pong(now, interval);
        self.schedule(conn, previous);
    }

    /// Notes whether what a connection's client says is read, or has to wait.
    pub fn set_heard(&mut self, conn: ConnId, heard: bool) {
        if let Some(connection) = self.open_connection(conn) {
            connection.heard = heard;
            connection.heard_since &= heard;
        }
    }

    fn incoming(
        &mut self,
        conn: ConnId,
        packet: Result<Option<Incoming<'_>>, socketio::DecodeError>,
        now: Instant,
        actions: &mut Actions,
    ) {
        let revision = self.revision(conn);
        let legal = match packet {
            Ok(None) => Ok(()),
            Err(socketio::DecodeError::TooLong { .. }) => {
                return self.end(
                    conn,
                    Some(close_code::MESSAGE_TOO_BIG),
                    Reason::ParseError,
                    actions,
                );
            }
            Ok(Some(Incoming::Ack { namespace, id, args })) => {
                self.acked(conn, name(revision, &namespace), id, args, actions)
            }
            Ok(Some(Incoming::Connect { namespace, data })) => {
                let auth = query_auth(revision, &namespace).or_else(|| data.map(Cow::into_owned));
                self.connect(conn, name(revision, &namespace), auth.as_deref(), actions)
            }
            Ok(Some(Incoming::Disconnect { namespace })) => {
                self.left(conn, name(revision, &namespace), actions)
            }
            Ok(Some(Incoming::Event { namespace, id, args })) => {
                self.event(conn, name(revision, &namespace), (id, args), now, actions)
            }
            Ok(Some(Incoming::ConnectError { .. })) | Err(_) => Err(Illegal),
        };
        if legal.is_err() {
            self.fail(conn, actions);
        }
    }

    pub(super) fn connect(
        &mut self,
        conn: ConnId,
        name: &str,
        auth: Option<&str>,
        actions: &mut Actions,
    ) -> Legal {
        match self.namespace(name) {
            Some(namespace) if namespace.made().is_none() => {
                self.ask(conn, namespace, auth, actions)
            }
            // Whoever asks for a namespace of a template is looked at, whether there is one or
            // not: this shard may know of it while others do not, and clients must not notice.
            Some(_) | None => self.find(conn, name, auth, actions),
        }
    }

    /// Looks for a template that accepts a name.
    fn find(
        &mut self,
        conn: ConnId,
        name: &str,
        auth: Option<&str>,
        actions: &mut Actions,
    ) -> Legal {
        if !self.namespaces.have_templates() {
            self.refuse_name(conn, name, actions);
            return Ok(());
        }
        let max = self.limits.namespaces_per_connection_max;
        let connection = self.open_connection(conn).ok_or(Illegal)?;
        let is_asked = connection.finding.iter().any(|asked| **asked == *name);
        if is_asked || connection.memberships.len() + connection.finding.len() >= max {
            return Err(Illegal);
        }
        connection.finding.push(name.into());
        let (name, auth) = (name.into(), auth.map(Into::into));
        actions.list.push(Action::Notify(conn, Notification::Find { name, auth }));
        Ok(())
    }

    /// The application has looked for a template.
    pub(super) fn found(
        &mut self,
        conn: ConnId,
        name: &str,
        template: Option<usize>,
        auth: Option<&str>,
        actions: &mut Actions,
    ) {
        let Some(connection) = self.open_connection(conn) else { return };
        if !connection.give_up_finding(name) {
            return;
        }
        let id = template.map(|template| self.namespaces.id_of(template, name));
        let Some(id) = id.filter(|&id| self.namespaces.make(id, name)) else {
            return self.refuse_name(conn, name, actions);
        };
        if self.ask(conn, id, auth, actions).is_err() {
            self.fail(conn, actions);
        }
        self.namespaces.drop_if_unused(id);
    }

    fn refuse_name(&self, conn: ConnId, name: &str, actions: &mut Actions) {
        let json = self.refusal_for(conn, r#"{"message":"Invalid namespace"}"#);
        self.send_packet(Kind::ConnectError, name, &json, conn, actions);
    }

    /// Asks the application whether a client is let into a namespace.
    fn ask(
        &mut self,
        conn: ConnId,
        namespace: NamespaceId,
        auth: Option<&str>,
        actions: &mut Actions,
    ) -> Legal {
        let max = self.limits.namespaces_per_connection_max;
        let connection = self.open_connection(conn).ok_or(Illegal)?;
        match connection.membership(namespace) {
            Some(Membership::Asked(_) | Membership::Entering(_) | Membership::Joined(_)) => {
                return Err(Illegal);
            }
            Some(Membership::PutOut) | None => {}
        }
        if connection.memberships.len() >= max {
            return Err(Illegal);
        }
        let attempt = connection.next_attempt();
        if let Some(claimed) = self.claimed(auth) {
            self.open_connection(conn).ok_or(Illegal)?.claim(namespace, claimed);
        }
        self.set_membership(conn, namespace, Some(Membership::Asked(attempt)));
        let auth = auth.map(Into::into);
        actions.list.push(Action::Notify(conn, Notification::Connect { namespace, attempt, auth }));
        Ok(())
    }

    fn event(
        &mut self,
        conn: ConnId,
        name: &str,
        (ack, args): (Option<u64>, Args<'_>),
        now: Instant,
        actions: &mut Actions,
    ) -> Legal {
        let speaker = self.speaker(conn, name)?;
        if !self.may_speak(conn, now) {
            self.too_fast(conn, speaker.map(|socket| (socket, ack)), actions);
        } else if let Some(socket) = speaker {
            self.counters.events_in += 1;
            self.sight_received(socket, &args, actions);
            let args = args.into_owned();
            actions.list.push(Action::Notify(conn, Notification::Event { socket, ack, args }));
        }
        Ok(())
    }

    fn acked(
        &mut self,
        conn: ConnId,
        name: &str,
        id: u64,
        args: Args<'_>,
        actions: &mut Actions,
    ) -> Legal {
        let Some(socket) = self.speaker(conn, name)? else { return Ok(()) };
        let acks = self
            .at_mut(socket.namespace)
            .socket_mut(socket.key)
            .and_then(|socket| socket.acks.as_mut());
        match acks.and_then(|acks| acks.awaited.remove(&id)) {
            Some(Awaiter::Broadcast(origin, ticket)) => {
                self.reply(origin, ticket, Reply::Acked(args.into_owned()), actions);
            }
            Some(Awaiter::Emit(ticket)) => {
                actions.list.push(Action::Resolve(ticket, Outcome::Acked(args.into_owned())));
            }
            None => {}
        }
        Ok(())
    }

    fn left(&mut self, conn: ConnId, name: &str, actions: &mut Actions) -> Legal {
        if self.open_connection(conn).ok_or(Illegal)?.give_up_finding(name) {
            return Ok(());
        }
        let namespace = self.namespace(name).ok_or(Illegal)?;
        let connection = self.open_connection(conn).ok_or(Illegal)?;
        match connection.membership(namespace).ok_or(Illegal)? {
            Membership::Asked(_) => self.set_membership(conn, namespace, None),
            Membership::Entering(key) | Membership::Joined(key) => {
                self.drop_socket(
                    SocketId { namespace, key },
                    Reason::ClientNamespaceDisconnect,
                    actions,
                );
                self.set_membership(conn, namespace, None);
            }
            Membership::PutOut => {}
        }
        Ok(())
    }

    /// The socket that speaks; none if the server has put it out and it can not know yet.
    fn speaker(&self, conn: ConnId, name: &str) -> Result<Option<SocketId>, Illegal> {
        let namespace = self.namespace(name).ok_or(Illegal)?;
        let connection = self.connection(conn).ok_or(Illegal)?;
        match connection.membership(namespace).ok_or(Illegal)? {
            Membership::Asked(_) | Membership::Entering(_) => Err(Illegal),
            Membership::Joined(key) => Ok(Some(SocketId { namespace, key })),
            Membership::PutOut => Ok(None),
        }
    }
}
