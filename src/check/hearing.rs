//! Who must hear a message.
//!
//! * `join_then_hear`: a member receives every broadcast accepted after its join
//!   and before its leave, if its connection survives to quiescence.
//! * `ack_means_accepted`: when a message's ack arrives the message has its place
//!   in the order, and `join_then_hear` holds for it.
//!
//! A message that misses a receiver at the end (or at its deadline) is lost for
//! it. If it was acked and nobody heard it, the ack lied; otherwise each
//! receiver that missed it was skipped. With the witness, an ack without a place is a lie at once.

use super::checker::Checker;
use super::delivery::named;
use super::log::{Known, Message};
use super::slots::Slots;
use super::{ClientId, Guarantee, MessageId, RoomId};

impl Checker {
    pub(super) fn acked(&mut self, id: MessageId, seq: Option<u64>) {
        let Known::Serial(serial) = self.log.find(id) else { return };
        let Some(message) = self.log.get(serial) else { return };
        let room = message.room;
        let is_unplaced = self.options.witnessed && !message.is_placed() && !message.acked;
        self.log.change(serial, |message| message.acked = true);
        self.sign(serial);
        if is_unplaced {
            self.accuse(Guarantee::AckMeansAccepted, &[id.sender], &[id], &[room], || {
                format!("{} was acked without a place in the order of room {}", named(id), room.0)
            });
        }
        let slot = self.slot(id.sender, room);
        self.note_seq(serial, seq, slot.map(|slot| (id.sender, slot)));
        self.close_if_complete(serial);
    }

    /// A refused message is for nobody.
    pub(super) fn message_refused(&mut self, id: MessageId) {
        let (room, was_heard) = match self.log.find(id) {
            Known::Never | Known::Unsure => return,
            Known::Old(run) => {
                self.log.refuse_number(id);
                (run.room, run.is_signed())
            }
            Known::Serial(serial) => self.withdraw(serial),
        };
        if was_heard {
            self.accuse(Guarantee::AckMeansAccepted, &[id.sender], &[id], &[room], || {
                format!(
                    "{} was refused after there had been a sign of it in room {}",
                    named(id),
                    room.0
                )
            });
        }
    }

    /// Nobody need hear the message. Returns its room, and whether there was a sign of it.
    fn withdraw(&mut self, serial: u64) -> (RoomId, bool) {
        let (room, was_signed, pending) = self.log.change(serial, |message| {
            message.refused = true;
            message.place = None;
            let pending = std::mem::replace(&mut message.pending, Slots::EMPTY);
            (message.room, message.is_signed(), pending.count())
        });
        self.verdict.expected -= if was_signed { pending } else { 0 };
        self.close_if_complete(serial);
        (room, was_signed)
    }

    /// Gives up waiting for a message: whoever misses it has lost it.
    pub(super) fn lose(&mut self, serial: u64) {
        let Some(message) = self.log.get(serial) else { return };
        if message.expired {
            return;
        }
        let missing = message.pending.count();
        let owed = self.owed_only(message);
        let is_accepted =
            message.is_signed() || message.is_placed() || self.must_have_been_accepted(message);
        let was_expected = message.is_signed();
        self.log.change(serial, |message| message.expired = true);
        if !is_accepted {
            self.log.change(serial, |message| message.pending = Slots::EMPTY);
            self.verdict.indeterminate += missing;
            return;
        }
        self.verdict.lost += missing + owed.len() as u64;
        self.verdict.expected += owed.len() as u64 + if was_expected { 0 } else { missing };
        self.accuse_of_loss(serial, &owed);
    }

    /// At the end a message without a sign was accepted, if its sender was a
    /// member and its connection held; see [`Options::silence_is_loss`](super::Options).
    fn must_have_been_accepted(&self, message: &Message) -> bool {
        let sender = &self.clients[message.id.sender.0 as usize];
        let has_survived = sender.connected
            && sender.connection == message.connection
            && sender.interrupted_at < message.sent_at;
        self.options.silence_is_loss && message.sender_inside && has_survived && !message.refused
    }

    /// Who misses the message by the witness, and not already by what clients saw.
    fn owed_only(&self, message: &Message) -> Vec<u32> {
        let owed = message.place.as_ref().map(|place| &place.owed);
        owed.into_iter()
            .flat_map(Slots::iter)
            .filter(|&slot| !message.pending.contains(slot))
            .collect()
    }

    fn accuse_of_loss(&mut self, serial: u64, owed: &[u32]) {
        let Some(message) = self.log.get(serial) else { return };
        let (id, room) = (message.id, message.room);
        let missing: Vec<u32> = message.pending.iter().chain(owed.iter().copied()).collect();
        let has_no_place = message.acked && !message.is_placed();
        if has_no_place && self.options.witnessed {
            // Said already, when the ack came.
            return;
        }
        let ack_lied = has_no_place
            && !message.reached
            && !missing.iter().all(|&slot| message.is_switching(slot))
            && self.options.judged.contains(Guarantee::AckMeansAccepted);
        if ack_lied {
            let receivers = missing.iter().map(|&slot| self.member(room, slot).client);
            let clients: Vec<_> = [id.sender].into_iter().chain(receivers).collect();
            return self.accuse(Guarantee::AckMeansAccepted, &clients, &[id], &[room], || {
                format!(
                    "{} was acked, and none of the {} members it was for heard it",
                    named(id),
                    missing.len()
                )
            });
        }
        for slot in missing {
            let guarantee = self.name_of_loss(serial, slot);
            let client = self.member(room, slot).client;
            self.accuse_of_missing(guarantee, client, id, room);
        }
    }

    /// The most specific promise that `slot` should have heard the message by.
    fn name_of_loss(&self, serial: u64, slot: u32) -> Guarantee {
        let Some(message) = self.log.get(serial) else { return Guarantee::JoinThenHear };
        let is_sender = self.member(message.room, slot).client == message.id.sender;
        let guarantee = if self.options.sender_hears && is_sender {
            Guarantee::SenderExcluded
        } else if message.is_switching(slot) {
            Guarantee::SwitchAtomic
        } else {
            Guarantee::JoinThenHear
        };
        if self.options.judged.contains(guarantee) { guarantee } else { Guarantee::JoinThenHear }
    }

    fn accuse_of_missing(
        &mut self,
        guarantee: Guarantee,
        client: ClientId,
        id: MessageId,
        room: RoomId,
    ) {
        self.accuse(guarantee, &[client, id.sender], &[id], &[room], || {
            format!(
                "client {} was a member of room {} and did not hear {}",
                client.0,
                room.0,
                named(id)
            )
        });
    }
}
