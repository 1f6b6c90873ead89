//! What the application asks for: done at once where the namespace is at home,
//! else asked of its home.

use super::encode::Outgoing;
use super::exchange::{Message, Packet, Request, Whom};
use super::namespace::Awaiter;
use super::session::Way;
use super::{
    Action, Actions, Broadcast, Hub, Membership, NamespaceId, Payload, Reason, Sight, SocketId,
    Target, Ticket,
};
use crate::room::ShardId;
use crate::socketio::{Args, Kind};
use crate::websocket::close_code;

impl Hub {
    pub(super) fn join(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(socket.namespace) {
            let outcome = self.join_here(socket, room, actions);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let request = Request::Join { socket: socket.key, room: room.into() };
            self.request(socket.namespace, request, Some(ticket), actions);
        }
    }

    pub(super) fn leave(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(socket.namespace) {
            let outcome = self.leave_here(socket, room, actions);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let request = Request::Leave { socket: socket.key, room: room.into() };
            self.request(socket.namespace, request, Some(ticket), actions);
        }
    }

    pub(super) fn switch(
        &mut self,
        socket: SocketId,
        previous: &str,
        next: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(socket.namespace) {
            let outcome = self.switch_here(socket, previous, next, actions);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let (previous, next) = (previous.into(), next.into());
            let request = Request::Switch { socket: socket.key, previous, next };
            self.request(socket.namespace, request, Some(ticket), actions);
        }
    }

    pub(super) fn watch(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(socket.namespace) {
            let outcome = self.watch_here(socket, room);
            self.note_watch(socket, None);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let request = Request::Watch { socket: socket.key, room: room.into() };
            self.request(socket.namespace, request, Some(ticket), actions);
            self.note_watch(socket, Some(self.namespaces.home(socket.namespace)));
        }
    }

    pub(super) fn unwatch(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(socket.namespace) {
            let outcome = self.unwatch_here(socket, room, actions);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let request = Request::Unwatch { socket: socket.key, room: room.into() };
            self.request(socket.namespace, request, Some(ticket), actions);
        }
    }

    pub(super) fn broadcast(&mut self, broadcast: Broadcast<'_>, actions: &mut Actions) {
        let Broadcast { namespace, from, target, payload, stamped, volatile, replies, ticket } =
            broadcast;
        if self.is_home(namespace) {
            let outcome = self.broadcast_here(self.shard, broadcast, actions);
            actions.list.extend(ticket.map(|ticket| Action::Resolve(ticket, outcome)));
        } else {
            let (whom, packet) = (Whom::new(target), Packet::new(payload));
            let request = Request::Broadcast { from, whom, packet, stamped, volatile, replies };
            self.request(namespace, request, ticket, actions);
        }
    }

    pub(super) fn disconnect_sockets(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        close: bool,
        actions: &mut Actions,
    ) {
        if self.is_home(namespace) {
            self.disconnect_sockets_here(namespace, target, close, actions);
        } else {
            let request = Request::DisconnectSockets { whom: Whom::new(target), close };
            self.request(namespace, request, None, actions);
        }
    }

    pub(super) fn fetch(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        if self.is_home(namespace) {
            let outcome = self.fetch_here(namespace, target);
            actions.list.push(Action::Resolve(ticket, outcome));
        } else {
            let request = Request::Fetch { whom: Whom::new(target) };
            self.request(namespace, request, Some(ticket), actions);
        }
    }

    pub(super) fn sockets_join(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        rooms: &[Box<str>],
        actions: &mut Actions,
    ) {
        if self.is_home(namespace) {
            self.sockets_join_here(namespace, target, rooms, actions);
        } else {
            let request = Request::SocketsJoin { whom: Whom::new(target), rooms: rooms.to_vec() };
            self.request(namespace, request, None, actions);
        }
    }

    pub(super) fn sockets_leave(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        rooms: &[Box<str>],
        actions: &mut Actions,
    ) {
        if self.is_home(namespace) {
            self.sockets_leave_here(namespace, target, rooms, actions);
        } else {
            let request = Request::SocketsLeave { whom: Whom::new(target), rooms: rooms.to_vec() };
            self.request(namespace, request, None, actions);
        }
    }

    pub(super) fn set_data(
        &mut self,
        socket: SocketId,
        data: &serde_json::Value,
        actions: &mut Actions,
    ) {
        let Some(receiver) = self.at_mut(socket.namespace).socket_mut(socket.key) else { return };
        receiver.data = (!data.is_null()).then(|| Box::new(data.clone()));
        self.sight(socket, actions, || Sight::Data(data.to_string().into()));
        if !self.is_home(socket.namespace) {
            let request = Request::SetData { socket: socket.key, data: data.clone() };
            self.request(socket.namespace, request, None, actions);
        }
    }

    /// Tells the applications of all other shards.
    pub(super) fn server_side(
        &self,
        namespace: NamespaceId,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) {
        for shard in (0..self.shards).map(ShardId).filter(|&shard| shard != self.shard) {
            let packet = Packet::new(payload);
            actions.tell(shard, Message::ServerSide { namespace, packet });
        }
    }

    /// Asks the home of a namespace that is on another shard.
    pub(super) fn request(
        &mut self,
        namespace: NamespaceId,
        request: Request,
        ticket: Option<Ticket>,
        actions: &mut Actions,
    ) {
        let home = self.namespaces.home(namespace);
        let answer_first = self.note_request(home);
        actions.tell(home, Message::Request { namespace, request, ticket, answer_first });
    }

    pub(super) fn emit(
        &mut self,
        socket: SocketId,
        payload: Payload<'_>,
        volatile: bool,
        ticket: Option<Ticket>,
        actions: &mut Actions,
    ) {
        if let Some(ticket) = ticket {
            return self.ask_for_ack(socket, Awaiter::Emit(ticket), payload, actions);
        }
        let way = if volatile { Way::Volatile } else { Way::Plain };
        self.emit_in_turn(socket, payload, way, actions);
    }

    pub(super) fn answer(
        &mut self,
        socket: SocketId,
        id: u64,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) {
        if let Some(conn) = self.conn(socket) {
            let start = actions.bytes.len();
            let namespace = &self.at(socket.namespace).name;
            let (kind, id) = (Kind::Ack, Some(id));
            let ack = Outgoing { kind, id, ..Outgoing::event(namespace, payload) };
            self.encode_for(conn, ack, actions);
            self.send_in_turn(socket, start, actions);
        }
    }

    pub(super) fn put_out(&mut self, socket: SocketId, close: bool, actions: &mut Actions) {
        if !self.keep_disconnect(socket, close, actions) {
            self.put_out_now(socket, close, actions);
        }
    }

    pub(super) fn put_out_now(&mut self, socket: SocketId, close: bool, actions: &mut Actions) {
        let Some(conn) = self.conn(socket) else { return };
        let name = &self.at(socket.namespace).name;
        self.send_packet(Kind::Disconnect, name, "", conn, actions);
        self.set_membership(conn, socket.namespace, Some(Membership::PutOut));
        self.drop_socket(socket, Reason::ServerNamespaceDisconnect, actions);
        if close {
            self.end(
                conn,
                Some(close_code::NORMAL_CLOSURE),
                Reason::ServerNamespaceDisconnect,
                actions,
            );
        }
    }

    /// Handles what another shard says.
    pub(super) fn exchanged(&mut self, from: ShardId, message: Message, actions: &mut Actions) {
        match message {
            Message::Answer { number, outcome } => {
                let resolve = |(ticket, outcome)| Action::Resolve(ticket, outcome);
                actions.list.extend(outcome.map(resolve));
                self.answered(from, number, actions);
            }
            Message::Deliver(delivery) => self.deliver(delivery, actions),
            Message::Entered { namespace, socket, begun } => {
                self.entered(SocketId { namespace, key: socket }, begun, actions);
            }
            Message::Moved { namespace, socket, left, joined } => {
                let id = SocketId { namespace, key: socket };
                self.sight_moved(id, left.as_deref(), joined.as_deref(), actions);
                if let Some(socket) = self.at_mut(namespace).socket_mut(socket) {
                    let rooms = socket.rooms.get_or_insert_default();
                    left.map(|left| rooms.remove(&left));
                    rooms.extend(joined);
                }
            }
            Message::PutOut { namespace, sockets, close } => {
                for key in sockets {
                    self.put_out_now(SocketId { namespace, key }, close, actions);
                }
            }
            Message::Reply(ticket, reply) => actions.list.push(Action::Replied(ticket, reply)),
            Message::Request { namespace, request, ticket, answer_first } => {
                if answer_first {
                    self.tell_asker(from, actions);
                }
                self.requested(from, namespace, request, ticket, actions);
            }
            Message::Surrender { namespace, socket } => {
                self.surrender(SocketId { namespace, key: socket }, actions);
            }
            Message::ServerSide { namespace, packet } => {
                let args = Args::new(String::from(packet.json), packet.attachments);
                actions.list.push(Action::ServerSide(namespace, args));
            }
        }
    }
}
