//! In which order a client hears messages.
//!
//! * `sender_fifo`: the broadcasts of one sender to one room reach each member
//!   in the order sent. Of one connection of the sender: a message under way on
//!   a broken connection may be handled after those of the next one.
//! * `room_total_order`: any two members of a room see the broadcasts that both
//!   receive in the same order. With sequence numbers: they increase for each
//!   receiver while it stays a member, and one number means one message as long as
//!   the room lived, that is, as somebody was a member all the time.

use super::checker::Checker;
use super::delivery::{Delivery, named};
use super::{Guarantee, OrderBy};

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
        let (room, sender) = (delivery.room, delivery.message.sender);
        // Nearly always it is the newest message this receiver has heard of the room.
        let Some(newest) = self.member(room, slot).newest_heard.filter(|&newest| newest > serial)
        else {
            return;
        };
        let Some(message) = self.log.get(serial) else { return };
        let is_heard = |&later: &u64| {
            self.log.get(later).is_some_and(|later| {
                later.room == room
                    && later.connection == message.connection
                    && later.heard.contains(slot)
            })
        };
        let later = self
            .log
            .later_of_sender(serial, sender)
            .take_while(|&later| later <= newest)
            .find(is_heard);
        let later = later.and_then(|later| self.log.get(later)).map(|later| later.id);
        let forgotten = self.log.later_run(message);
        let was_settled = self.member(room, slot).is_settled()
            && self.member(room, slot).settled_at < message.sent_at;
        let id = match (later, forgotten) {
            (Some(id), _) => id,
            (None, None) => return,
            (None, Some(run)) if was_settled => super::MessageId { sender, number: run.last },
            (None, Some(_)) => {
                return self.overflow_unless(
                    false,
                    "the order of a delivery is of messages too old to judge",
                );
            }
        };
        self.verdict.reordered += 1;
        self.accuse_of(Guarantee::SenderFifo, delivery, || {
            format!("after {}, which was sent later", named(id))
        });
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
        if self.note_seq(serial, Some(seq)) {
            return;
        }
        let member = self.member_mut(delivery.room, slot);
        let last = member.last_seq.replace(seq);
        if let Some(last) = last.filter(|&last| seq <= last) {
            member.last_seq = Some(last);
            self.accuse_of(Guarantee::RoomTotalOrder, delivery, || {
                format!("with the sequence number {seq}, after it had heard {last}")
            });
        }
    }

    /// Somebody says which place in its room the message has. Says whether that was a lie.
    pub(super) fn note_seq(&mut self, serial: u64, seq: Option<u64>) -> bool {
        let (Some(seq), Some(message)) = (seq, self.log.get(serial)) else { return false };
        let (id, room) = (message.id, message.room);
        if self.options.order != OrderBy::Seq || message.seq == Some(seq) {
            return false;
        }
        if let Some(known) = message.seq {
            self.accuse(Guarantee::RoomTotalOrder, &[id.sender], &[id], &[room], || {
                format!(
                    "{} has the sequence numbers {known} and {seq} in room {}",
                    named(id),
                    room.0
                )
            });
            return true;
        }
        self.log.change(serial, |message| message.seq = Some(seq));
        let former = self.rooms[room.0 as usize].seqs.insert(seq, serial);
        let Some(former) = former.filter(|&former| self.was_alive_since(former.min(serial))) else {
            return false;
        };
        let Some(other) = self.log.get(former).map(|message| message.id) else { return false };
        self.accuse(
            Guarantee::RoomTotalOrder,
            &[id.sender, other.sender],
            &[other, id],
            &[room],
            || {
                format!(
                    "{} and {} both have the sequence number {seq} in room {}",
                    named(other),
                    named(id),
                    room.0
                )
            },
        );
        true
    }

    /// Whether somebody has been a member of the message's room ever since it was sent.
    fn was_alive_since(&self, serial: u64) -> bool {
        let Some(message) = self.log.get(serial) else { return false };
        let members = &self.rooms[message.room.0 as usize].members;
        members.iter().any(|member| member.is_settled() && member.settled_at < message.sent_at)
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
        let ids: Vec<_> = cycle
            .iter()
            .filter_map(|edge| self.log.get(edge.from))
            .map(|message| message.id)
            .collect();
        self.accuse(Guarantee::RoomTotalOrder, &clients, &ids, &[delivery.room], || {
            let order: Vec<_> = ids.iter().map(|&id| named(id)).collect();
            let client = delivery.client.0;
            format!(
                "client {client} closed a circle: others heard {}, in this order",
                order.join(", then ")
            )
        });
    }
}
