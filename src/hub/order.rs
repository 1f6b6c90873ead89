//! At home: what happens to a namespace, one thing after the other.
//!
//! The order of these calls is the namespace's order, whichever shard asked.

use std::sync::Arc;

use super::encode::{Digits, Outgoing, STAMPED_END};
use super::exchange::{Delivery, Manner, Message, Packet, Reply, Request};
use super::journal::Remains;
use super::namespace::{Acks, Awaiter, Order};
use super::{
    Action, Actions, Broadcast, Found, Hub, Loss, NamespaceId, Outcome, Payload, SocketId, Step,
    Target, Ticket, presence_json,
};
use crate::room::{ShardId, Sid, SocketKey};

impl Hub {
    /// Handles what another shard asks for.
    pub(super) fn requested(
        &mut self,
        from: ShardId,
        namespace: NamespaceId,
        request: Request,
        ticket: Option<Ticket>,
        actions: &mut Actions,
    ) {
        let outcome = self.sequence(from, namespace, request, ticket, actions);
        let asker = self.askers.entry(from).or_default();
        asker.heard += 1;
        if let Some((ticket, outcome)) = ticket.zip(outcome) {
            asker.told = asker.heard;
            let (number, outcome) = (asker.heard, Some((ticket, outcome)));
            actions.tell(from, Message::Answer { number, outcome });
        }
    }

    /// Gives a request its place in the order.
    fn sequence(
        &mut self,
        from_shard: ShardId,
        namespace: NamespaceId,
        request: Request,
        ticket: Option<Ticket>,
        actions: &mut Actions,
    ) -> Option<Outcome> {
        let id = |key| SocketId { namespace, key };
        Some(match request {
            Request::Broadcast { from, whom, packet, stamped, volatile, replies } => {
                let (target, payload) = (whom.target(), packet.payload());
                let broadcast = Broadcast {
                    namespace,
                    from,
                    target,
                    payload,
                    stamped,
                    volatile,
                    replies,
                    ticket,
                };
                self.broadcast_here(from_shard, broadcast, actions)
            }
            Request::Connect { socket, sid, name, begin } => {
                if name.is_some_and(|name| !self.namespaces.make(namespace, &name)) {
                    let (sockets, close) = (vec![socket], false);
                    actions.tell(from_shard, Message::PutOut { namespace, sockets, close });
                    return None;
                }
                self.arrive(namespace, socket, sid, begin, actions);
                return None;
            }
            Request::Disconnect { socket, remains } => {
                self.disconnect_here(id(socket), remains, actions);
                return None;
            }
            Request::DisconnectSockets { whom, close } => {
                self.disconnect_sockets_here(namespace, whom.target(), close, actions);
                return None;
            }
            Request::Fetch { whom } => self.fetch_here(namespace, whom.target()),
            Request::Join { socket, room } => self.join_here(id(socket), &room, actions),
            Request::Leave { socket, room } => self.leave_here(id(socket), &room, actions),
            Request::SetData { socket, data } => {
                let order = self.order(namespace);
                if order.rooms.sid(socket).is_some() {
                    order.data.insert(socket, data);
                }
                return None;
            }
            Request::SocketsJoin { whom, rooms } => {
                self.sockets_join_here(namespace, whom.target(), &rooms, actions);
                return None;
            }
            Request::SocketsLeave { whom, rooms } => {
                self.sockets_leave_here(namespace, whom.target(), &rooms, actions);
                return None;
            }
            Request::Switch { socket, previous, next } => {
                self.switch_here(id(socket), &previous, &next, actions)
            }
            Request::Unwatch { socket, room } => self.unwatch_here(id(socket), &room, actions),
            Request::Watch { socket, room } => self.watch_here(id(socket), &room),
        })
    }

    /// Tells other shards how many of their requests have been handled.
    pub fn tell_askers(&mut self, actions: &mut Actions) {
        for (&shard, asker) in &mut self.askers {
            asker.tell(shard, actions);
        }
    }

    /// Tells one shard at once, since packets wait there for it.
    pub(super) fn tell_asker(&mut self, shard: ShardId, actions: &mut Actions) {
        if let Some(asker) = self.askers.get_mut(&shard) {
            asker.tell(shard, actions);
        }
    }

    pub(super) fn order(&mut self, namespace: NamespaceId) -> &mut Order {
        self.at_mut(namespace).order.as_mut().expect("the order is asked for at home only")
    }

    pub(super) fn join_here(
        &mut self,
        socket: SocketId,
        room: &str,
        actions: &mut Actions,
    ) -> Outcome {
        let max = self.limits.rooms_per_socket_max;
        let members = self.order(socket.namespace).rooms.join(socket.key, room, max);
        if members.is_ok() {
            self.journal_joined(socket, room);
            self.note_step(socket, actions, || Step::Join(room.into()));
            self.moved(socket, None, Some(room), actions);
        }
        Outcome::Members(members)
    }

    pub(super) fn leave_here(
        &mut self,
        socket: SocketId,
        room: &str,
        actions: &mut Actions,
    ) -> Outcome {
        let left = self.order(socket.namespace).rooms.leave(socket.key, room);
        if left {
            self.journal_left(socket, room);
            self.note_step(socket, actions, || Step::Leave(room.into()));
            self.moved(socket, Some(room), None, actions);
        }
        Outcome::Left(left)
    }

    pub(super) fn switch_here(
        &mut self,
        socket: SocketId,
        previous: &str,
        next: &str,
        actions: &mut Actions,
    ) -> Outcome {
        let max = self.limits.rooms_per_socket_max;
        let rooms = &mut self.order(socket.namespace).rooms;
        let members = rooms.switch(socket.key, previous, next, max);
        if members.is_ok() {
            self.journal_left(socket, previous);
            self.journal_joined(socket, next);
            let step = || Step::Switch { previous: previous.into(), next: next.into() };
            self.note_step(socket, actions, step);
            self.moved(socket, Some(previous), Some(next), actions);
        }
        Outcome::Members(members)
    }

    pub(super) fn watch_here(&mut self, socket: SocketId, room: &str) -> Outcome {
        let max = self.limits.rooms_per_socket_max;
        Outcome::Watching(self.order(socket.namespace).rooms.watch(socket.key, room, max))
    }

    pub(super) fn unwatch_here(
        &mut self,
        socket: SocketId,
        room: &str,
        actions: &mut Actions,
    ) -> Outcome {
        let owed = self.order(socket.namespace).rooms.unwatch(socket.key, room);
        if let Some(changes) = owed.as_deref()
            && !changes.is_empty()
        {
            let json = presence_json(room, changes);
            self.notify_watchers(socket.namespace, vec![socket.key], &json, actions);
        }
        Outcome::Left(owed.is_some())
    }

    pub(super) fn disconnect_here(
        &mut self,
        socket: SocketId,
        remains: Option<Box<Remains>>,
        actions: &mut Actions,
    ) {
        let order = self.order(socket.namespace);
        if remains.is_some() {
            order.hold_rooms(socket.key);
        }
        let gone = order.disconnect(socket.key);
        if gone.is_some() {
            self.witness(socket.namespace, gone, actions, || Step::Disconnect);
        }
        self.departed(socket, remains, actions);
        self.namespaces.drop_if_unused(socket.namespace);
    }

    pub(super) fn sockets_join_here(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        rooms: &[Box<str>],
        actions: &mut Actions,
    ) {
        for key in self.meant(namespace, target) {
            for room in rooms {
                // Who is in too many rooms stays out of this one.
                let _ = self.join_here(SocketId { namespace, key }, room, actions);
            }
        }
    }

    pub(super) fn sockets_leave_here(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        rooms: &[Box<str>],
        actions: &mut Actions,
    ) {
        for key in self.meant(namespace, target) {
            for room in rooms {
                let _ = self.leave_here(SocketId { namespace, key }, room, actions);
            }
        }
    }

    pub(super) fn disconnect_sockets_here(
        &mut self,
        namespace: NamespaceId,
        target: Target<'_>,
        close: bool,
        actions: &mut Actions,
    ) {
        for (shard, sockets) in by_shard(self.meant(namespace, target)) {
            if shard == self.shard {
                for key in sockets {
                    self.put_out_now(SocketId { namespace, key }, close, actions);
                }
            } else {
                actions.tell(shard, Message::PutOut { namespace, sockets, close });
            }
        }
    }

    /// Who is meant by `target`, and what is known of them, at this moment of the order.
    pub(super) fn fetch_here(&self, namespace: NamespaceId, target: Target<'_>) -> Outcome {
        let here = self.at(namespace);
        let order = here.order.as_ref().expect("asked at home only");
        let found = self.meant(namespace, target).into_iter().map(|key| {
            let data = match here.socket(key) {
                Some(socket) => socket.data.as_deref(),
                None => order.data.get(&key),
            };
            Found {
                sid: order.rooms.sid(key).expect("who is in the order is connected"),
                rooms: order.rooms.rooms_of(key).map(Into::into).collect(),
                data: data.cloned().unwrap_or_default(),
            }
        });
        Outcome::Sockets(found.collect())
    }

    pub(super) fn broadcast_here(
        &mut self,
        origin: ShardId,
        broadcast: Broadcast<'_>,
        actions: &mut Actions,
    ) -> Outcome {
        let Broadcast { namespace, from, target, payload, stamped, replies, ticket, .. } =
            broadcast;
        let seq = match target.rooms {
            [room] if stamped => self.order(namespace).rooms.next_seq(room),
            _ => None,
        };
        if stamped && seq.is_none() {
            return Outcome::Gone;
        }
        self.witness(namespace, from.map(|(_, sid)| sid), actions, || Step::Broadcast {
            rooms: target.rooms.to_vec(),
            seq,
            json: payload.json.into(),
        });
        match ticket {
            Some(ticket) if replies => {
                Outcome::Expecting(self.ask_all((origin, ticket), broadcast, actions))
            }
            Some(_) | None => {
                self.record(broadcast, seq);
                self.fan_out(broadcast, seq, actions);
                Outcome::Accepted(seq)
            }
        }
    }

    /// Sends a broadcast to who is meant: here by one frame for all, elsewhere by one message a shard.
    fn fan_out(&mut self, broadcast: Broadcast<'_>, seq: Option<u64>, actions: &mut Actions) {
        let Broadcast { namespace, from, target, payload, volatile, .. } = broadcast;
        let first = actions.recipients.len();
        let here = self.at(namespace);
        let order = here.order.as_ref().expect("broadcasts are sequenced at home");
        let mut elsewhere: Vec<SocketKey> = Vec::new();
        order.recipients(target, from.map(|(key, _)| key), |key| {
            if key.shard == self.shard {
                let socket = here.socket(key).expect("who is in the order is connected");
                actions.recipients.push(socket.conn);
            } else {
                elsewhere.push(key);
            }
        });
        let digits = seq.map(Digits::new);
        let stamp = digits.as_ref().map(|seq| stamp(payload.json, seq.as_str()));
        let offset = self.offset_now(namespace);
        let event = Outgoing::event(&here.name, payload);
        let event = Outgoing { stamp, offset: offset.as_deref(), ..event };
        self.sight_sent(namespace, first, || stamped_packet(payload, stamp), actions);
        self.send_to_many(first, event, Loss::of_event(namespace, volatile), actions);
        let number = here.number;
        if !elsewhere.is_empty() {
            let packet = Arc::new(stamped_packet(payload, stamp));
            for (shard, to) in by_shard(elsewhere) {
                let packet = Arc::clone(&packet);
                let manner = if volatile { Manner::Volatile } else { Manner::Plain };
                let delivery = Delivery { namespace, packet, to, manner, number };
                actions.tell(shard, Message::Deliver(delivery));
            }
        }
    }

    /// Keeps a broadcast for clients that come back.
    fn record(&mut self, broadcast: Broadcast<'_>, seq: Option<u64>) {
        let Broadcast { namespace, from, target, payload, volatile, .. } = broadcast;
        let now = self.now;
        let Some(journal) = &mut self.order(namespace).journal else { return };
        if volatile {
            return;
        }
        let digits = seq.map(Digits::new);
        let stamp = digits.as_ref().map(|seq| stamp(payload.json, seq.as_str()));
        let packet = Arc::new(stamped_packet(payload, stamp));
        let number = journal.record(now, from.map(|(_, sid)| sid), target, packet);
        self.at_mut(namespace).number = number;
    }

    fn journal_joined(&mut self, socket: SocketId, room: &str) {
        if let Some(journal) = &mut self.order(socket.namespace).journal {
            journal.joined(socket.key, room);
        }
    }

    fn journal_left(&mut self, socket: SocketId, room: &str) {
        if let Some(journal) = &mut self.order(socket.namespace).journal {
            journal.left(socket.key, room);
        }
    }

    /// Sends a broadcast that each socket is to answer; returns how many they are.
    fn ask_all(
        &mut self,
        asker: (ShardId, Ticket),
        broadcast: Broadcast<'_>,
        actions: &mut Actions,
    ) -> usize {
        let Broadcast { namespace, from, target, payload, .. } = broadcast;
        let mut keys = self.meant(namespace, target);
        keys.retain(|&key| from.is_none_or(|(from, _)| from != key));
        let count = keys.len();
        self.deliver_to(namespace, keys, payload, Manner::Answered(asker.0, asker.1), actions);
        count
    }

    /// Packets from a namespace's home for sockets of this shard.
    pub(super) fn deliver(&mut self, delivery: Delivery, actions: &mut Actions) {
        let Delivery { namespace, packet, mut to, manner, number } = delivery;
        let here = self.at_mut(namespace);
        here.number = number.max(here.number);
        match manner {
            Manner::Answered(origin, ticket) => {
                for key in to {
                    let socket = SocketId { namespace, key };
                    let awaiter = Awaiter::Broadcast(origin, ticket);
                    self.ask_for_ack(socket, awaiter, packet.payload(), actions);
                }
                return;
            }
            Manner::Notice => {
                to.retain(|&key| {
                    let socket = SocketId { namespace, key };
                    !self.keep_notice(socket, packet.payload(), actions)
                });
            }
            Manner::Plain | Manner::Volatile => {}
        }
        let first = actions.recipients.len();
        let here = self.at(namespace);
        actions.recipients.extend(here.conns(&to));
        let offset = self.offset_now(namespace);
        let event = Outgoing::event(&here.name, packet.payload());
        self.sight_sent(namespace, first, || (*packet).clone(), actions);
        let event = Outgoing { offset: offset.as_deref(), ..event };
        let loss = Loss::of_event(namespace, manner == Manner::Volatile);
        self.send_to_many(first, event, loss, actions);
    }

    /// One event to some sockets, wherever they are.
    pub(super) fn deliver_to(
        &mut self,
        namespace: NamespaceId,
        to: Vec<SocketKey>,
        payload: Payload<'_>,
        manner: Manner,
        actions: &mut Actions,
    ) {
        let packet = Arc::new(Packet::new(payload));
        let number = self.at(namespace).number;
        for (shard, to) in by_shard(to) {
            let packet = Arc::clone(&packet);
            let delivery = Delivery { namespace, packet, to, manner, number };
            if shard == self.shard {
                self.deliver(delivery, actions);
            } else {
                actions.tell(shard, Message::Deliver(delivery));
            }
        }
    }

    /// Tells watchers of a room's joins and leaves.
    pub(super) fn notify_watchers(
        &mut self,
        namespace: NamespaceId,
        watchers: Vec<SocketKey>,
        json: &str,
        actions: &mut Actions,
    ) {
        let payload = Payload { json, attachments: &[] };
        self.deliver_to(namespace, watchers, payload, Manner::Notice, actions);
    }

    fn meant(&self, namespace: NamespaceId, target: Target<'_>) -> Vec<SocketKey> {
        let order = self.at(namespace).order.as_ref().expect("asked at home only");
        let mut keys = Vec::new();
        order.recipients(target, None, |key| keys.push(key));
        keys
    }

    /// Tells the shard of a socket where it is now, if that shard keeps a copy.
    fn moved(
        &self,
        socket: SocketId,
        left: Option<&str>,
        joined: Option<&str>,
        actions: &mut Actions,
    ) {
        let SocketId { namespace, key } = socket;
        if key.shard != self.shard {
            let (left, joined) = (left.map(Into::into), joined.map(Into::into));
            actions.tell(key.shard, Message::Moved { namespace, socket: key, left, joined });
        } else {
            self.sight_moved(socket, left, joined, actions);
        }
    }

    fn note_step(&self, socket: SocketId, actions: &mut Actions, step: impl FnOnce() -> Step) {
        if self.witnessed {
            let order = self.at(socket.namespace).order.as_ref();
            let sid: Option<Sid> = order.and_then(|order| order.rooms.sid(socket.key));
            self.witness(socket.namespace, sid, actions, step);
        }
    }

    /// Asks one socket of this shard for an answer.
    pub(super) fn ask_for_ack(
        &mut self,
        socket: SocketId,
        awaiter: Awaiter,
        payload: Payload<'_>,
        actions: &mut Actions,
    ) {
        let max = self.limits.acks_in_flight_max;
        let receiver = self.at_mut(socket.namespace).socket_mut(socket.key);
        let Some(receiver) = receiver else { return self.no_answer(awaiter, actions) };
        let acks: &mut Acks = receiver.acks.get_or_insert_default();
        let oldest = if acks.awaited.len() >= max { acks.awaited.pop_first() } else { None };
        let id = acks.next;
        acks.next += 1;
        acks.awaited.insert(id, awaiter);
        if let Some((_, oldest)) = oldest {
            self.no_answer(oldest, actions);
        }
        self.sight_emitted(socket, payload, actions);
        let (start, conn) = (actions.bytes.len(), self.conn(socket).expect("just found"));
        let name = &self.at(socket.namespace).name;
        let event = Outgoing { id: Some(id), ..Outgoing::event(name, payload) };
        self.encode_for(conn, event, actions);
        match awaiter {
            Awaiter::Emit(_) => self.send_in_turn(socket, start, actions),
            // Comes from the home, in the namespace's order.
            Awaiter::Broadcast(..) => actions.push_send(start, [conn], Loss::Never),
        }
    }

    /// Tells who waits for an answer that there will be none.
    pub(super) fn no_answer(&self, awaiter: Awaiter, actions: &mut Actions) {
        match awaiter {
            Awaiter::Emit(ticket) => actions.list.push(Action::Resolve(ticket, Outcome::Gone)),
            Awaiter::Broadcast(origin, ticket) => {
                self.reply(origin, ticket, Reply::Gone, actions);
            }
        }
    }

    /// Hands a socket's answer to a broadcast to who asked for it.
    pub(super) fn reply(
        &self,
        origin: ShardId,
        ticket: Ticket,
        reply: Reply,
        actions: &mut Actions,
    ) {
        if origin == self.shard {
            actions.list.push(Action::Replied(ticket, reply));
        } else {
            actions.tell(origin, Message::Reply(ticket, reply));
        }
    }
}

/// Keys by the shard that they are on, their order kept within each.
fn by_shard(keys: Vec<SocketKey>) -> Vec<(ShardId, Vec<SocketKey>)> {
    let mut groups: Vec<(ShardId, Vec<SocketKey>)> = Vec::new();
    for key in keys {
        match groups.iter_mut().find(|(shard, _)| *shard == key.shard) {
            Some((_, group)) => group.push(key),
            None => groups.push((key.shard, vec![key])),
        }
    }
    groups
}

fn stamped_packet(payload: Payload<'_>, stamp: Option<[&str; 2]>) -> Packet {
    let Some([key, seq]) = stamp else { return Packet::new(payload) };
    let open = &payload.json[..payload.json.len() - STAMPED_END.len()];
    let json = [open, key, seq, STAMPED_END].concat();
    Packet { json: json.into(), attachments: payload.attachments.to_vec() }
}

/// The stamp of a message: `,"seq":n`, without the comma in an empty object.
fn stamp<'a>(json: &str, seq: &'a str) -> [&'a str; 2] {
    let body = json.strip_suffix(STAMPED_END).expect("a stamped message ends with an object");
    let key = if body.ends_with('{') { r#""seq":"# } else { r#","seq":"# };
    [key, seq]
}
