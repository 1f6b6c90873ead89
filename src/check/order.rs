//! In which order a client hears messages.
//!
//! * `sender_fifo`: the broadcasts of one sender to one room reach each member
//!   in the order sent. Of one connection of the sender: a message under way on
//!   a broken connection may be handled after those of the next one.
//! * `room_total_order`: any two members of a room see the broadcasts that both
//!   receive in the same order. With sequence numbers: they increase for each
//!   receiver while it stays a member, and one number means one message, as far as
//!   somebody who was a member all the time can tell: an empty room and a new
//!   server count anew. Who was, shows only later: a client that hears what its stream
//!   still held may have been given up long ago, and is told next.

use std::ops::RangeInclusive;

use super::checker::Checker;
use super::delivery::{Delivery, named};
use super::log::Message;
use super::{ClientId, Guarantee, MessageId, OrderBy, Violation};

/// So many numbers may wait for it to show that they were given twice; more are taken for it.
const SUSPICIONS_MAX: usize = 1_000;

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
        if self.note_seq(serial, Some(seq), Some((delivery.client, slot))) {
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

    /// Who is in a slot learns which place in its room the message has. Says whether that was
    /// a lie, or looks like one.
    pub(super) fn note_seq(
        &mut self,
        serial: u64,
        seq: Option<u64>,
        member: Option<(ClientId, u32)>,
    ) -> bool {
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
        let (Some(former), Some((client, slot))) = (former, member) else { return false };
        let Some(other) = self.log.get(former).map(|message| message.id) else { return false };
        if !self.was_member_since(former.min(serial), slot) {
            return false;
        }
        let (one, two) = (named(other), named(id));
        let violation = Violation {
            guarantee: Guarantee::RoomTotalOrder,
            at_us: self.now_us,
            clients: vec![id.sender, other.sender],
            messages: vec![other, id],
            rooms: vec![room],
            story: format!("{one} and {two} both have the number {seq} in room {}", room.0),
        };
        if self.suspicions.len() < SUSPICIONS_MAX {
            self.suspicions.push((client, violation));
        } else {
            self.verdict.accuse(&self.options, violation.guarantee, || violation);
        }
        true
    }

    /// The connection was dead, nobody knows since when: what it told of numbers tells nothing.
    pub(super) fn drop_suspicions(&mut self, of: ClientId) {
        self.suspicions.retain(|(client, _)| *client != of);
    }

    /// Who is still there was there all the time.
    pub(super) fn accuse_of_suspicions(&mut self) {
        for (_, violation) in std::mem::take(&mut self.suspicions) {
            self.verdict.accuse(&self.options, violation.guarantee, || violation);
        }
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
