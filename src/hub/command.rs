//! What the application asks for: emits, rooms, disconnects.

use super::packet::STAMPED_END;
use super::{
    Action, Actions, Broadcast, Hub, Membership, Outcome, Payload, Reason, SocketId, Step, Ticket,
    presence_json,
};
use crate::socketio::Kind;
use crate::websocket::close_code;

impl Hub {
    pub(super) fn join(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        let max = self.limits.rooms_per_socket_max;
        let members = self.at_mut(socket.namespace).rooms.join(socket.key, room, max);
        if members.is_ok() {
            self.witness(socket.namespace, self.sid(socket), actions, || Step::Join(room.into()));
        }
        actions.list.push(Action::Resolve(ticket, Outcome::Members(members)));
    }

    pub(super) fn leave(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        let left = self.at_mut(socket.namespace).rooms.leave(socket.key, room);
        if left {
            self.witness(socket.namespace, self.sid(socket), actions, || Step::Leave(room.into()));
        }
        actions.list.push(Action::Resolve(ticket, Outcome::Left(left)));
    }

    pub(super) fn switch(
        &mut self,
        socket: SocketId,
        previous: &str,
        next: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        let max = self.limits.rooms_per_socket_max;
        let members = self.at_mut(socket.namespace).rooms.switch(socket.key, previous, next, max);
        if members.is_ok() {
            let step = || Step::Switch { previous: previous.into(), next: next.into() };
            self.witness(socket.namespace, self.sid(socket), actions, step);
        }
        actions.list.push(Action::Resolve(ticket, Outcome::Members(members)));
    }

    pub(super) fn watch(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        let max = self.limits.rooms_per_socket_max;
        let watching = self.at_mut(socket.namespace).rooms.watch(socket.key, room, max);
        actions.list.push(Action::Resolve(ticket, Outcome::Watching(watching)));
    }

    pub(super) fn unwatch(
        &mut self,
        socket: SocketId,
        room: &str,
        ticket: Ticket,
        actions: &mut Actions,
    ) {
        let owed = self.at_mut(socket.namespace).rooms.unwatch(socket.key, room);
        if let Some(changes) = owed.as_deref()
            && !changes.is_empty()
        {
            let here = self.at(socket.namespace);
            let json = presence_json(room, changes);
            let payload = Payload { json: &json, attachments: &[] };
            actions.send_event(&here.name, None, payload, [here.conn(socket.key)], false);
        }
        actions.list.push(Action::Resolve(ticket, Outcome::Left(owed.is_some())));
    }

    pub(super) fn broadcast(&mut self, broadcast: Broadcast<'_>, actions: &mut Actions) {
        let Broadcast { namespace, from, target, payload, stamped, volatile, ticket } = broadcast;
        let speaker = from.map(|key| SocketId { namespace, key });
        let gone = speaker.is_some_and(|socket| self.sid(socket).is_none());
        let seq = match target.rooms {
            _ if gone => None,
            [room] if stamped => self.at_mut(namespace).rooms.next_seq(room),
            _ => None,
        };
        if gone || (stamped && seq.is_none()) {
            actions.list.extend(ticket.map(|ticket| Action::Resolve(ticket, Outcome::Gone)));
            return;
        }
        self.witness(namespace, speaker.and_then(|socket| self.sid(socket)), actions, || {
            Step::Broadcast { rooms: target.rooms.to_vec(), seq, json: payload.json.into() }
        });
        let (frame, first) = (actions.bytes.len(), actions.recipients.len());
        let here = self.at(namespace);
        here.recipients(target, from, &mut actions.recipients);
        if actions.recipients.len() > first {
            let seq_text = seq.map(|seq| seq.to_string());
            let stamp = seq_text.as_deref().map(|seq| stamp(payload.json, seq));
            actions.encode(
                Kind::Event,
                &here.name,
                None,
                payload,
                stamp.as_ref().map_or(&[], |stamp| stamp),
            );
        }
        actions.finish_send(frame, first, volatile);
        actions.list.extend(ticket.map(|ticket| Action::Resolve(ticket, Outcome::Accepted(seq))));
    }

    pub(super) fn emit(
        &mut self,
        socket: SocketId,
        payload: Payload<'_>,
        volatile: bool,
        ticket: Option<Ticket>,
        actions: &mut Actions,
    ) {
        let max = self.limits.acks_in_flight_max;
        let here = &mut self.namespaces[usize::from(socket.namespace.0)];
        let Some(receiver) = here.socket_mut(socket.key) else {
            actions.list.extend(ticket.map(|ticket| Action::Resolve(ticket, Outcome::Gone)));
            return;
        };
        let conn = receiver.conn;
        let id = ticket.map(|ticket| {
            let acks = receiver.acks.get_or_insert_default();
            if acks.awaited.len() >= max {
                let oldest = acks.awaited.pop_first();
                actions
                    .list
                    .extend(oldest.map(|(_, ticket)| Action::Resolve(ticket, Outcome::Gone)));
            }
            let id = acks.next;
            acks.next += 1;
            acks.awaited.insert(id, ticket);
            id
        });
        actions.send_event(&here.name, id, payload, [conn], volatile);
    }

    pub(super) fn answer(
        &mut self,
        socket: SocketId,
        id: u64,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) {
        let here = self.at(socket.namespace);
        if let Some(asker) = here.socket(socket.key) {
            let frame = actions.bytes.len();
            actions.encode(Kind::Ack, &here.name, Some(id), payload, &[]);
            actions.push_send(frame, [asker.conn], false);
        }
    }

    pub(super) fn put_out(&mut self, socket: SocketId, close: bool, actions: &mut Actions) {
        let Some(conn) = self.conn(socket) else { return };
        let name = &self.namespaces[usize::from(socket.namespace.0)].name;
        actions.send_packet(Kind::Disconnect, name, "", conn);
        if let Some(connection) = self.open_connection(conn) {
            connection.set(socket.namespace, Some(Membership::PutOut));
        }
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
}

/// The end of a stamped message: `,"seq":n}]`, without the comma in an empty object.
fn stamp<'a>(json: &str, seq: &'a str) -> [&'a str; 3] {
    let body = json.strip_suffix(STAMPED_END).expect("a stamped message ends with an object");
    let key = if body.ends_with('{') { r#""seq":"# } else { r#","seq":"# };
    [key, seq, STAMPED_END]
}
