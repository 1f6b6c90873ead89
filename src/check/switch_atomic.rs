//! `switch_atomic`: a switch is one step in the order. No accepted broadcast
//! finds the client in both rooms or in neither, and in its own stream nothing
//! of the new room comes before the last of the old.
//!
//! Clients alone can tell when the client was certainly in the old room and out
//! of the new one, and asks for nothing else of either until the answer:
//!
//! * having heard the new room it is out of the old one;
//! * what of the old room it has not heard when the answer comes was accepted
//!   after the switch, so all that was sent to the new room after the first sign of that is for it.
//!
//! With the witness, two halves with a broadcast to either room between them
//! are no switch, and any pair of a client that is switching is named for it.

use super::checker::Checker;
use super::delivery::{Delivery, named};
use super::log::{NEVER, Place};
use super::membership::Step;
use super::{ClientId, Guarantee, MessageId, RoomId};

/// A switch that was sent and not yet answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    pub(super) from: RoomId,
    pub(super) to: RoomId,
    /// The client was in the old room, not in the new one, and asked nothing else of them.
    is_clear: bool,
    has_heard_new: bool,
    /// Serial of the next message when it was sent.
    since: u64,
}

impl Checker {
    pub(super) fn request_switch(&mut self, client: ClientId, from: RoomId, to: RoomId) {
        if from == to {
            return self.request(client, to, Step::Join);
        }
        let was_in_old =
            self.slot(client, from).is_some_and(|slot| self.member(from, slot).is_settled());
        let was_in_new =
            self.slot(client, to).is_some_and(|slot| !self.member(to, slot).is_outside());
        self.request(client, from, Step::Leave);
        self.request(client, to, Step::Join);
        let since = self.log.next();
        let state = self.client(client);
        if state.connected {
            let is_clear = was_in_old && !was_in_new;
            state.switches.push(Switch { from, to, is_clear, has_heard_new: false, since });
        }
    }

    pub(super) fn answer_switch(
        &mut self,
        client: ClientId,
        from: RoomId,
        to: RoomId,
        granted: bool,
    ) {
        if from == to {
            return self.answer(client, to, Step::Join, granted);
        }
        let switches = &mut self.client(client).switches;
        let found = switches.iter().position(|switch| (switch.from, switch.to) == (from, to));
        let switch = found.map(|i| switches.remove(i));
        self.answer(client, from, Step::Leave, granted);
        self.answer(client, to, Step::Join, granted);
        let is_judged = self.options.judged.contains(Guarantee::SwitchAtomic);
        if let Some(switch) = switch.filter(|switch| granted && switch.is_clear && is_judged) {
            self.require_after_switch(client, &switch);
        }
    }

    /// Another request touches `room`: what was clear about a switch no longer is.
    pub(super) fn disturb_switches(&mut self, client: ClientId, room: RoomId) {
        for switch in &mut self.client(client).switches {
            switch.is_clear &= switch.from != room && switch.to != room;
        }
    }

    /// Whether the client's stream shows that it had left the room of this delivery by a switch.
    pub(super) fn is_of_the_room_it_switched_from(&mut self, delivery: &Delivery) -> bool {
        let room = delivery.room;
        let mut broken = None;
        for switch in
            self.client(delivery.client).switches.iter_mut().filter(|switch| switch.is_clear)
        {
            switch.has_heard_new |= switch.to == room;
            if switch.has_heard_new && switch.from == room {
                broken = Some(switch.to);
            }
        }
        let Some(to) = broken else { return false };
        self.accuse_of(Guarantee::SwitchAtomic, delivery, || {
            format!("after its switch away to room {}, of which it had heard something", to.0)
        });
        true
    }

    /// The answer has come. If something of the old room was accepted after the
    /// switch, what came after that in the new room is for the client.
    fn require_after_switch(&mut self, client: ClientId, switch: &Switch) {
        let (Some(from), Some(to)) = (self.slot(client, switch.from), self.slot(client, switch.to))
        else {
            return;
        };
        let connection = self.client(client).connection;
        let since = switch.since.max(self.log.base());
        let is_others = |sender: ClientId, sent_on: u32| sender != client || sent_on != connection;
        let messages =
            || (since..self.log.next()).filter_map(|serial| Some((serial, self.log.get(serial)?)));
        let switched_by = messages()
            .filter(|(_, message)| {
                message.room == switch.from && is_others(message.id.sender, message.connection)
            })
            .filter(|(_, message)| !message.heard.contains(from))
            .map(|(_, message)| message.signed_at)
            .min()
            .unwrap_or(NEVER);
        let required: Vec<u64> = messages()
            .filter(|(_, message)| message.room == switch.to && message.sent_at > switched_by)
            .filter(|(_, message)| is_others(message.id.sender, message.connection))
            .filter(|(_, message)| {
                !message.heard.contains(to) && !message.expired && !message.refused
            })
            .map(|(serial, _)| serial)
            .collect();
        for serial in required {
            self.require_by_switch(serial, switch.to, to);
        }
    }

    fn require_by_switch(&mut self, serial: u64, room: RoomId, slot: u32) {
        let is_signed = self.log.change(serial, |message| {
            message.pending.insert(slot);
            message.place.get_or_insert_with(|| Box::new(Place::EMPTY)).switching.insert(slot);
            message.is_signed()
        });
        self.verdict.expected += u64::from(is_signed);
        self.open(room, serial);
    }

    /// By the witness: does this broadcast fall between the halves of a switch?
    pub(super) fn judge_halves(&mut self, id: MessageId, room: RoomId) {
        for i in 0..self.halves.len() {
            let (client, from, to) = self.halves[i];
            if client != id.sender && (room == from || room == to) {
                self.accuse(
                    Guarantee::SwitchAtomic,
                    &[client, id.sender],
                    &[id],
                    &[from, to],
                    || {
                        format!(
                            "{} in room {} found client {} halfway between room {} and room {}",
                            named(id),
                            room.0,
                            client.0,
                            from.0,
                            to.0
                        )
                    },
                );
            }
        }
    }

    /// The engine let the client into a room, or out of it, by itself: was that half of a switch?
    pub(super) fn note_half(&mut self, client: ClientId, room: RoomId, step: Step) {
        let is_half =
            |from: RoomId, to: RoomId| room == if step == Step::Leave { from } else { to };
        let halves = self.halves.len();
        self.halves.retain(|&(who, from, to)| who != client || !is_half(from, to));
        if self.halves.len() < halves {
            return;
        }
        let switches = &self.client(client).switches;
        let half =
            switches.iter().find(|switch| switch.is_clear && is_half(switch.from, switch.to));
        if let Some(&Switch { from, to, .. }) = half {
            self.halves.push((client, from, to));
        }
    }
}
