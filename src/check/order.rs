//! In which order a client hears messages.
//!
//! * `sender_fifo`: the broadcasts of one sender to one room reach each member
//!   in the order sent. Of one connection of the sender: a message under way on
//!   a broken connection may be handled after those of the next one.
//! * `room_total_order`: any two members of a room see the broadcasts that both
//!   receive in the same order. With sequence numbers: they increase for each
//!   receiver while it stays a member, and one number means one message, as far as
//!   somebody who was a member all the time can tell: an empty room and a new
//!   server count anew.

use std::ops::RangeInclusive;

use super::checker::Checker;
use super::delivery::{Delivery, named};
use super::log::Message;
use super::{Guarantee, MessageId, OrderBy};

impl Checker {
    /// A legal first delivery: does it come in order?
    pub(super) fn judge_order(&mut self, delivery: &Delivery, serial: u64, slot: u32) {
        self.judge_sender_fifo(delivery, serial, slot);
        match self.options.order {
            OrderBy::Graph => self.judge_by_graph(delivery, serial, slot),
            OrderBy::Seq => self.judge_by_seq(delivery, serial, slot),
        }
        self.member_mut(delivery.room, slot).last_heard = Some(serial);
    }

    fn judge_sender_fifo(&mut self, delivery: &Delivery, serial: u64, slot: u32) {
        // Nearly always it is the newest message this receiver has heard of the room.
        let newest = self.member(delivery.room, slot).newest_heard;
        let (Some(newest), Some(message)) = (newest, self.log.get(serial)) else { return };
        if newest < serial {
            return;
        }
        let forgotten = self.log.later_forgotten(message);
        let later = match (self.later_heard(message, serial..=newest, slot), forgotten) {
            (Some(id), _) => id,
            (None, None) => return,
            (None, Some(id)) if self.was_member_since(serial, slot) => id,
            (None, Some(_)) => return self.overflow("the order of a delivery is too old to judge"),
        };
        self.verdict.reordered += 1;
        self.accuse_of(Guarantee::SenderFifo, delivery, || {
            format!("after {}, which was sent later", named(later))
        });
    }

    /// The next message in `range` that the same sender sent on the same
    /// connection to the same room, and that `slot` has heard.
    fn later_heard(
        &self,
        message: &Message,
        range: RangeInclusive<u64>,
        slot: u32,
    ) -> Option<MessageId> {
        let is_same =
            |other: &&Message| other.room == message.room && other.connection == message.connection;
        let later = self.log.later_of_sender(*range.start(), message.id.sender);
        let later = later.take_while(|later| range.contains(later));
        let mut later = later.filter_map(|later| self.log.get(later)).filter(is_same);
        later.find(|later| later.heard.contains(slot)).map(|later| later.id)
    }

    fn judge_by_seq(&mut self, delivery: &Delivery, serial: u64, slot: u32) {
        if !self.options.judged.contains(Guarantee::RoomTotalOrder) {
            return;
        }
        let Some(seq) = delivery.seq else {
            return self.accuse_of(Guarantee::RoomTotalOrder, delivery, || {
                "without its sequence number".into()
            });
        };
        if self.note_seq(serial, Some(seq), Some(slot)) {
            return;
        }
        let member = self.member_mut(delivery.room, slot);
        let last = member.last_seq.replace(seq);
        let is_unsure = member.is_unsure;
        if let Some(last) = last.filter(|&last| seq <= last && !is_unsure) {
            member.last_seq = Some(last);
            self.accuse_of(Guarantee::RoomTotalOrder, delivery, || {
                format!("with the sequence number {seq}, after it had heard {last}")
            });
        }
    }

    /// `slot` learns which place in its room the message has. Says whether that was a lie.
    pub(super) fn note_seq(&mut self, serial: u64, seq: Option<u64>, slot: Option<u32>) -> bool {
        let (Some(seq), Some(message)) = (seq, self.log.get(serial)) else { return false };
        let (id, room) = (message.id, message.room);
        let is_judged = self.options.judged.contains(Guarantee::RoomTotalOrder);
        if !is_judged || self.options.order != OrderBy::Seq || message.seq == Some(seq) {
            return false;
        }
        if let Some(known) = message.seq {
            self.accuse(Guarantee::RoomTotalOrder, &[id.sender], &[id], &[room], || {
                format!("{} has the numbers {known} and {seq} in room {}", named(id), room.0)
            });
            return true;
        }
        self.log.change(serial, |message| message.seq = Some(seq));
        let former = self.rooms[room.0 as usize].seqs.insert(seq, serial);
        let (Some(former), Some(slot)) = (former, slot) else { return false };
        let Some(other) = self.log.get(former).map(|message| message.id) else { return false };
        if !self.was_member_since(former.min(serial), slot) {
            return false;
        }
        let clients = [id.sender, other.sender];
        self.accuse(Guarantee::RoomTotalOrder, &clients, &[other, id], &[room], || {
            format!(
                "{} and {} both have the number {seq} in room {}",
                named(other),
                named(id),
                room.0
            )
        });
        true
    }

    /// Whether `slot` has been a member of the message's room ever since it was
    /// sent. The room has lived on then, and its count of messages with it.
    fn was_member_since(&self, serial: u64, slot: u32) -> bool {
        let Some(message) = self.log.get(serial) else { return false };
        let member = self.member(message.room, slot);
        member.is_settled() && member.settled_at < message.sent_at
    }

    fn judge_by_graph(&mut self, delivery: &Delivery, serial: u64, slot: u32) {
        let Some(last) = self.member(delivery.room, slot).last_heard else { return };
        let room = &mut self.rooms[delivery.room.0 as usize];
        let Some(graph) = &mut room.graph else { return };
        let Some(cycle) = graph.insert(last, serial, delivery.client) else { return };
        let mut clients = vec![delivery.client];
        clients.extend(cycle.iter().map(|edge| edge.witness));
        clients.sort_unstable();
        clients.dedup();
        let serials = cycle.iter().map(|edge| edge.from).chain([last]);
        let ids: Vec<_> =
            serials.filter_map(|serial| self.log.get(serial)).map(|message| message.id).collect();
        self.accuse(Guarantee::RoomTotalOrder, &clients, &ids, &[delivery.room], || {
            let (client, heard) = (delivery.client.0, named(delivery.message));
            let order: Vec<_> = ids.iter().map(|&id| named(id)).collect();
            format!(
                "client {client} heard {heard} last, and yet others heard {}",
                order.join(", then ")
            )
        });
    }
}
