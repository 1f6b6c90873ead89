//! Who is certainly in a room, who is certainly out of it, and since when.
//!
//! ```text
//!            join sent                 join acked
//!   outside ----------->  uncertain  -------------> settled
//!      ^  (an epoch begins)  ^   |                     |
//!      |      leave acked    |   | join refused        | leave sent
//!      +---------------------|---+                     |
//!                            +-------------------------+
//! ```
//!
//! Answers come in the order of the requests (that is `connection_fifo`), so with
//! none open the last answer is the state. With some open, a client is still
//! settled if all of them are joins, and still outside if all are leaves. An
//! interruption leaves it as uncertain as it is then, until the next answer.

use super::checker::Checker;
use super::{ClientId, MessageId, Request, RoomId};

/// One client in one room, kept from its first request for the room on.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) client: ClientId,
    /// What the last answer left it as.
    inside: bool,
    joins_open: u16,
    leaves_open: u16,
    /// A request that would have changed this was interrupted.
    pub(super) is_unsure: bool,
    /// Position of the request that ended its being outside: the start of its epoch.
    pub(super) asked_at: u64,
    /// Position from which it is settled.
    pub(super) settled_at: u64,
    /// Position of its last leave's ack on this connection; 0 if there was none.
    pub(super) left_at: u64,
    /// The last message it heard since it left last.
    pub(super) last_heard: Option<u64>,
    /// The sequence number of that message.
    pub(super) last_seq: Option<u64>,
    /// The last sent of all messages it ever heard here.
    pub(super) newest_heard: Option<u64>,
    /// Serial of the next message when it was last found outside.
    outside_from: u64,
    pub(super) seat: Seat,
}

/// Membership as the engine's witness has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Joined,
    Left,
    Never,
    SwitchedAway,
    SwitchedHere,
}

impl Seat {
    pub(super) fn is_taken(self) -> bool {
        matches!(self, Self::Joined | Self::SwitchedHere)
    }
}

impl Member {
    pub(super) fn new(client: ClientId) -> Self {
        Self {
            client,
            inside: false,
            joins_open: 0,
            leaves_open: 0,
            is_unsure: false,
            asked_at: 0,
            settled_at: 0,
            left_at: 0,
            last_heard: None,
            last_seq: None,
            newest_heard: None,
            outside_from: 0,
            seat: Seat::Never,
        }
    }

    /// It is not a member, whatever happened to its open requests.
    pub(super) fn is_outside(&self) -> bool {
        !self.inside && self.joins_open == 0 && !self.is_unsure
    }

    /// It is outside, and nothing of its requests is open.
    fn is_vacant(&self) -> bool {
        self.is_outside() && self.leaves_open == 0
    }

    /// It is a member, whatever happened to its open requests.
    pub(super) fn is_settled(&self) -> bool {
        self.inside && self.leaves_open == 0 && !self.is_unsure
    }

    /// What it hears from here on has no order with what it heard before.
    fn break_chain(&mut self) {
        self.last_heard = None;
        self.last_seq = None;
    }
}

/// What a request would make of one membership, and whether it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Join,
    Leave,
}

impl Checker {
    /// A request is on its way.
    pub(super) fn request(&mut self, client: ClientId, room: RoomId, step: Step) {
        if !self.client(client).connected {
            return;
        }
        self.disturb_switches(client, room);
        let slot = self.slot_or_new(client, room);
        let position = self.position;
        let member = self.member_mut(room, slot);
        match step {
            Step::Join => {
                if member.is_outside() {
                    member.asked_at = position;
                }
                member.joins_open += 1;
            }
            Step::Leave => {
                let was_settled = member.is_settled();
                member.leaves_open += 1;
                if was_settled {
                    self.unsettle(room, slot);
                }
            }
        }
    }

    /// A request was answered: granted, or refused and without effect.
    pub(super) fn answer(&mut self, client: ClientId, room: RoomId, step: Step, granted: bool) {
        let Some(slot) = self.slot(client, room) else { return };
        let (position, next) = (self.position, self.log.next());
        let member = self.member_mut(room, slot);
        let open = match step {
            Step::Join => &mut member.joins_open,
            Step::Leave => &mut member.leaves_open,
        };
        if *open == 0 {
            return;
        }
        *open -= 1;
        let was_settled = member.inside && step == Step::Join && member.is_settled();
        if granted {
            member.inside = step == Step::Join;
            // Whether it had left, and the room may have been empty meanwhile, is not known.
            if std::mem::take(&mut member.is_unsure) {
                member.break_chain();
            }
            if step == Step::Leave {
                member.left_at = position;
                member.break_chain();
            }
        }
        if member.is_settled() && !was_settled {
            member.settled_at = position;
            self.rooms[room.0 as usize].settled.insert(slot);
        } else if member.is_outside() {
            member.outside_from = next;
        }
    }

    /// The server said no.
    pub(super) fn refuse(&mut self, client: ClientId, request: Request) {
        match request {
            Request::Join { room } => self.answer(client, room, Step::Join, false),
            Request::Leave { room } => self.answer(client, room, Step::Leave, false),
            Request::Message { number } => {
                self.message_refused(MessageId { sender: client, number })
            }
            Request::Switch { from, to } => self.answer_switch(client, from, to, false),
        }
    }

    pub(super) fn connected(&mut self, client: ClientId) {
        let client = self.client(client);
        client.connected = true;
        client.connection += 1;
        client.asks.reset();
    }

    /// The connection is gone: the client is outside of every room, and what
    /// was under way to it is indeterminate.
    pub(super) fn disconnected(&mut self, client: ClientId) {
        self.drop_suspicions(client);
        let state = self.client(client);
        state.connected = false;
        state.asks.reset();
        state.switches.clear();
        let seats = std::mem::take(&mut state.seats);
        let next = self.log.next();
        for &(room, slot) in &seats {
            self.rooms[room.0 as usize].settled.remove(slot);
            self.excuse(room, slot, true);
            let member = self.member_mut(room, slot);
            let was_outside = member.is_outside();
            member.inside = false;
            member.joins_open = 0;
            member.leaves_open = 0;
            member.is_unsure = false;
            member.left_at = 0;
            member.break_chain();
            if !was_outside {
                member.outside_from = next;
            }
            self.unseat(room, slot, Seat::Never);
        }
        self.client(client).seats = seats;
    }

    /// The connection is gone, and another one goes on with it: what has no answer gets none.
    pub(super) fn interrupted(&mut self, client: ClientId) {
        let position = self.position;
        let state = self.client(client);
        state.asks.reset();
        state.switches.clear();
        state.interrupted_at = position;
        let seats = state.seats.clone();
        self.halves.retain(|half| half.0 != client);
        for (room, slot) in seats {
            let member = self.member_mut(room, slot);
            let is_sure = member.is_settled() || member.is_outside();
            (member.joins_open, member.leaves_open) = (0, 0);
            if !is_sure {
                member.is_unsure = true;
                member.break_chain();
            }
        }
    }

    /// It may no longer be a member: of messages without a sign, none is required.
    fn unsettle(&mut self, room: RoomId, slot: u32) {
        self.rooms[room.0 as usize].settled.remove(slot);
        self.excuse(room, slot, false);
    }

    /// Nobody need be told of the messages under way to `slot`: those without
    /// a sign, or all of them.
    fn excuse(&mut self, room: RoomId, slot: u32, all: bool) {
        for i in 0..self.rooms[room.0 as usize].open.len() {
            let serial = self.rooms[room.0 as usize].open[i];
            let Some(message) = self.log.get(serial) else { continue };
            if message.expired {
                continue;
            }
            let signed = message.is_signed();
            if (all || !signed) && message.pending.contains(slot) {
                self.log.change(serial, |message| message.pending.remove(slot));
                self.verdict.indeterminate += 1;
                self.verdict.expected -= u64::from(signed);
            }
            if all && self.log.get(serial).is_some_and(|message| message.place.is_some()) {
                self.log.change(serial, |message| {
                    message.place.as_mut().is_some_and(|place| place.owed.remove(slot))
                });
            }
            self.close_if_complete(serial);
        }
    }

    /// The slot of `client` in `room`, if it ever asked for the room.
    pub(super) fn slot(&self, client: ClientId, room: RoomId) -> Option<u32> {
        let seats = &self.clients.get(client.0 as usize)?.seats;
        seats.binary_search_by_key(&room, |seat| seat.0).ok().map(|i| seats[i].1)
    }

    fn slot_or_new(&mut self, client: ClientId, room: RoomId) -> u32 {
        if let Some(slot) = self.slot(client, room) {
            return slot;
        }
        let slot = match self.vacant_slot(room) {
            Some(slot) => {
                let former = self.member(room, slot).client;
                self.client(former).seats.retain(|seat| seat.0 != room);
                *self.member_mut(room, slot) = Member::new(client);
                slot
            }
            None => {
                let members = &mut self.room(room).members;
                members.push(Member::new(client));
                members.len() as u32 - 1
            }
        };
        let seats = &mut self.client(client).seats;
        let at = seats.partition_point(|seat| seat.0 < room);
        seats.insert(at, (room, slot));
        slot
    }

    /// A slot whose client has been outside for so long that no message
    /// remembered could have been for it. Looks at a few at a time, which is
    /// enough to keep the slots in proportion to the members.
    fn vacant_slot(&mut self, room: RoomId) -> Option<u32> {
        const LOOKS: u32 = 8;
        let (base, only_recent) = (self.log.base(), self.log.has_only_recent());
        let room = self.room(room);
        let slots = room.members.len() as u32;
        for _ in 0..LOOKS.min(slots) {
            let slot = room.next_vacant % slots;
            room.next_vacant = slot + 1;
            let member = &room.members[slot as usize];
            if only_recent && member.is_vacant() && member.outside_from <= base {
                return Some(slot);
            }
        }
        None
    }
}
