//! Judging one delivery.
//!
//! At most one question is answered with an accusation before the order is
//! looked at, the most specific first: was it sent, to this room, as it is;
//! may it come to this client at all; did it come before; was the client a member.
//!
//! * `no_invention`: what arrives was sent, byte for byte, by the named sender to that room.
//! * `room_isolation`: nothing crosses from one room to another.
//! * `sender_excluded`: `socket.to(room)` never reaches the sender.
//! * `no_duplicate`: a broadcast reaches a client at most once, also when it is
//!   in several targeted rooms, reconnects or retries.

use super::checker::Checker;
use super::log::{Known, Run};
use super::{ClientId, Guarantee, MessageId, RoomId};

/// A broadcast as it arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) client: ClientId,
    pub(super) room: RoomId,
    pub(super) message: MessageId,
    pub(super) from: Option<ClientId>,
    pub(super) seq: Option<u64>,
    pub(super) intact: bool,
}

/// Names a message in a story.
pub(super) fn named(id: MessageId) -> String {
    format!("message {} of client {}", id.number, id.sender.0)
}

/// What became of a pair when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pair {
    Late,
    Required,
    Unrequired,
}

impl Checker {
    pub(super) fn delivered(&mut self, delivery: &Delivery) {
        // No room or client is known before it is looked for.
        self.room(delivery.room);
        self.client(delivery.client);
        match self.log.find(delivery.message) {
            Known::Never => {
                self.accuse_of(Guarantee::NoInvention, delivery, || "which was never sent".into())
            }
            Known::Old(run) => self.delivered_old(delivery, run),
            Known::Serial(serial) => self.delivered_known(delivery, serial),
            Known::Unsure => self.overflow("a delivery is of a message too old to remember"),
        }
    }

    fn delivered_known(&mut self, delivery: &Delivery, serial: u64) {
        self.log.change(serial, |message| message.reached = true);
        self.sign(serial);
        if !self.is_as_sent(delivery, serial) {
            if let Some(slot) = self.slot_of_message(delivery.client, serial) {
                self.credit(serial, slot);
            }
            return;
        }
        let Some(message) = self.log.get(serial) else { return };
        let (room, is_own) =
            (message.room, self.is_own(delivery.client, message.id, message.connection));
        if is_own && !self.options.sender_hears {
            return self
                .accuse_of(Guarantee::SenderExcluded, delivery, || "which it sent itself".into());
        }
        if !self.clients[delivery.client.0 as usize].connected {
            self.verdict.unrequired += 1;
            return;
        }
        let Some(slot) = self.slot(delivery.client, room) else {
            return self.accuse_of(Guarantee::RoomIsolation, delivery, || {
                "a room it never asked for".into()
            });
        };
        if message.heard.contains(slot) {
            self.verdict.duplicate += 1;
            return self.accuse_of(Guarantee::NoDuplicate, delivery, || {
                "which it had heard before".into()
            });
        }
        let is_legal = self.is_for_a_member(delivery, serial, slot);
        if is_legal {
            self.judge_order(delivery, serial, slot);
        }
        // Last, since a message with all its receivers may be forgotten.
        let pair = self.credit(serial, slot);
        self.verdict.unrequired += u64::from(is_legal && pair == Pair::Unrequired);
        let newest = &mut self.member_mut(room, slot).newest_heard;
        *newest = (*newest).max(Some(serial));
    }

    fn slot_of_message(&self, client: ClientId, serial: u64) -> Option<u32> {
        self.slot(client, self.log.get(serial)?.room)
    }

    fn is_own(&self, client: ClientId, id: MessageId, connection: u32) -> bool {
        id.sender == client && self.clients[client.0 as usize].connection == connection
    }

    /// `no_invention` and `room_isolation`, of the message itself.
    fn is_as_sent(&mut self, delivery: &Delivery, serial: u64) -> bool {
        let Some(message) = self.log.get(serial) else { return true };
        let (room, refused) = (message.room, message.refused);
        if room != delivery.room {
            self.accuse_of(Guarantee::RoomIsolation, delivery, || {
                format!("which was sent to room {}", room.0)
            });
        } else if !delivery.intact {
            self.accuse_of(Guarantee::NoInvention, delivery, || "but not as it was sent".into());
        } else if let Some(from) = delivery.from.filter(|&from| from != delivery.message.sender) {
            self.accuse_of(Guarantee::NoInvention, delivery, || {
                format!("said to come from client {}", from.0)
            });
        } else if refused {
            self.accuse_of(Guarantee::AckMeansAccepted, delivery, || {
                "which had been refused".into()
            });
        } else {
            return true;
        }
        false
    }

    /// The message reached `slot`: it is neither lost there nor welcome again.
    fn credit(&mut self, serial: u64, slot: u32) -> Pair {
        let pair = self.log.change(serial, |message| {
            message.heard.insert(slot);
            if let Some(place) = &mut message.place {
                place.owed.remove(slot);
            }
            match (message.pending.remove(slot), message.expired) {
                (true, true) => Pair::Late,
                (true, false) => Pair::Required,
                (false, _) => Pair::Unrequired,
            }
        });
        self.verdict.late += u64::from(pair == Pair::Late);
        self.verdict.delivered += u64::from(pair == Pair::Required);
        self.close_if_complete(serial);
        pair
    }

    /// A message of which only its run of numbers is known.
    fn delivered_old(&mut self, delivery: &Delivery, run: Run) {
        let client = &self.clients[delivery.client.0 as usize];
        if run.room != delivery.room {
            return self.accuse_of(Guarantee::RoomIsolation, delivery, || {
                format!("which was sent to room {}", run.room.0)
            });
        }
        if !delivery.intact || delivery.from.is_some_and(|from| from != delivery.message.sender) {
            return self
                .accuse_of(Guarantee::NoInvention, delivery, || "but not as it was sent".into());
        }
        if run.refused {
            return self.accuse_of(Guarantee::AckMeansAccepted, delivery, || {
                "which had been refused".into()
            });
        }
        if self.is_own(delivery.client, delivery.message, run.connection)
            && !self.options.sender_hears
        {
            return self
                .accuse_of(Guarantee::SenderExcluded, delivery, || "which it sent itself".into());
        }
        if !client.connected {
            self.verdict.unrequired += 1;
            return;
        }
        let Some(slot) = self.slot(delivery.client, delivery.room) else {
            return self.accuse_of(Guarantee::RoomIsolation, delivery, || {
                "a room it never asked for".into()
            });
        };
        let member = self.member(delivery.room, slot);
        if member.is_settled() && member.settled_at < run.first_sent_at {
            self.verdict.duplicate += 1;
            self.accuse_of(Guarantee::NoDuplicate, delivery, || "which it had heard before".into());
        } else if member.is_outside() || run.last_signed_at < member.asked_at {
            self.accuse_of_silence(delivery, slot, run.first_sent_at);
        } else {
            self.overflow("a delivery is of a message too old to judge");
        }
    }

    pub(super) fn accuse_of(
        &mut self,
        guarantee: Guarantee,
        delivery: &Delivery,
        why: impl FnOnce() -> String,
    ) {
        let Delivery { client, room, message, .. } = *delivery;
        self.accuse(guarantee, &[client, message.sender], &[message], &[room], || {
            format!("client {} heard {} in room {}, {}", client.0, named(message), room.0, why())
        });
    }
}
