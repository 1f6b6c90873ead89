//! Who must not hear a message.
//!
//! * `silent_before_join`: nothing accepted before a client's join reaches it.
//! * `silent_after_leave`: once the leave's ack has arrived, no broadcast of that room arrives.
//!
//! By clients alone: the receiver is outside of the room for certain, or the
//! message had its first sign before the receiver asked to be let in, when it was outside for
//! certain. With the witness: it was no member at the message's place.

use super::checker::Checker;
use super::delivery::{Delivery, named};
use super::membership::Seat;
use super::{Guarantee, RoomId};

impl Checker {
    /// Whether the receiver can have been a member when the message was accepted.
    pub(super) fn is_for_a_member(&mut self, delivery: &Delivery, serial: u64, slot: u32) -> bool {
        let Some(message) = self.log.get(serial) else { return true };
        let member = self.member(message.room, slot);
        let sent_at = message.sent_at;
        if member.is_outside() || message.signed_at < member.asked_at {
            self.accuse_of_silence(delivery, slot, sent_at);
            return false;
        }
        if !self.is_witnessed_member(serial, slot) {
            self.accuse_by_place(serial, slot);
            return false;
        }
        !self.is_of_the_room_it_switched_from(delivery)
    }

    /// Names the promise that a message sent at `sent_at` broke by reaching `slot`.
    pub(super) fn accuse_of_silence(&mut self, delivery: &Delivery, slot: u32, sent_at: u64) {
        let member = self.member(delivery.room, slot);
        let was_left = member.left_at > 0;
        if was_left && (member.is_outside() || sent_at < member.left_at) {
            self.accuse_of(Guarantee::SilentAfterLeave, delivery, || {
                "after the ack of its leave".into()
            });
        } else {
            self.accuse_of(Guarantee::SilentBeforeJoin, delivery, || {
                "accepted before its join".into()
            });
        }
    }

    fn is_witnessed_member(&self, serial: u64, slot: u32) -> bool {
        let place = self.log.get(serial).and_then(|message| message.place.as_ref());
        place.and_then(|place| place.members.as_ref()).is_none_or(|members| members.contains(slot))
    }

    /// By the witness, `slot` was no member at the message's place, and yet heard it.
    pub(super) fn accuse_by_place(&mut self, serial: u64, slot: u32) {
        let Some(message) = self.log.get(serial) else { return };
        let (id, room) = (message.id, message.room);
        let is_switching = message.is_switching(slot);
        let member = self.member(room, slot);
        let client = member.client;
        let guarantee = match member.seat {
            _ if is_switching => Guarantee::SwitchAtomic,
            Seat::SwitchedAway => Guarantee::SwitchAtomic,
            Seat::Left => Guarantee::SilentAfterLeave,
            Seat::Joined | Seat::Never | Seat::SwitchedHere => Guarantee::SilentBeforeJoin,
        };
        let RoomId(number) = room;
        self.accuse(guarantee, &[client, id.sender], &[id], &[room], || {
            format!(
                "client {} heard {} in room {number}, of which it was no member at its place",
                client.0,
                named(id)
            )
        });
    }
}
