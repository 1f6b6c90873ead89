//! The engine's own order, used to decide what clients alone cannot, and never
//! to acquit: what clients saw is judged as if there were no witness.

use super::checker::Checker;
use super::log::{Known, Place};
use super::membership::{Seat, Step};
use super::slots::Slots;
use super::{Accepted, ClientId, MessageId, RoomId};

impl Checker {
    /// Takes the next step of the engine's own order; see [`Accepted`] for which to pass.
    pub fn witness(&mut self, at_us: u64, step: &Accepted) {
        self.advance(at_us);
        match *step {
            Accepted::Broadcast { message, room } => self.placed(message, room),
            Accepted::Disconnect { client } => self.unseat_everywhere(client),
            Accepted::Join { client, room } => {
                self.note_half(client, room, Step::Join);
                self.seat(client, room, Seat::Joined);
            }
            Accepted::Leave { client, room } => {
                self.note_half(client, room, Step::Leave);
                self.seat(client, room, Seat::Left);
            }
            Accepted::Switch { client, from, to } => {
                self.halves.retain(|half| half.0 != client);
                self.seat(client, from, Seat::SwitchedAway);
                self.seat(client, to, Seat::SwitchedHere);
            }
        }
    }

    fn seat(&mut self, client: ClientId, room: RoomId, seat: Seat) {
        if let Some(slot) = self.slot(client, room)
            && self.client(client).connected
        {
            self.unseat(room, slot, seat);
        }
    }

    /// Notes what the engine made of a membership.
    pub(super) fn unseat(&mut self, room: RoomId, slot: u32, seat: Seat) {
        self.member_mut(room, slot).seat = seat;
        let seated = &mut self.rooms[room.0 as usize].seated;
        if seat.is_taken() {
            seated.insert(slot)
        } else {
            seated.remove(slot)
        };
    }

    fn unseat_everywhere(&mut self, client: ClientId) {
        self.halves.retain(|half| half.0 != client);
        for (room, slot) in self.client(client).seats.clone() {
            self.unseat(room, slot, Seat::Left);
        }
    }

    /// A message got its place: its members are those of this moment.
    fn placed(&mut self, id: MessageId, room: RoomId) {
        let Known::Serial(serial) = self.log.find(id) else { return };
        let Some(message) = self.log.get(serial) else { return };
        if message.room != room || message.is_placed() || message.refused || message.expired {
            return;
        }
        let mut members = self.rooms[room.0 as usize].seated.clone();
        if let (Some(slot), false) = (self.slot(id.sender, room), self.options.sender_hears)
            && self.clients[id.sender.0 as usize].connection == message.connection
        {
            members.remove(slot);
        }
        let mut owed = members.clone();
        for slot in message.heard.iter() {
            owed.remove(slot);
        }
        let uninvited: Vec<u32> =
            message.heard.iter().filter(|&slot| !members.contains(slot)).collect();
        let switching = self.switching(room);
        let is_owed = !owed.is_empty();
        self.log.change(serial, |message| {
            let place = message.place.get_or_insert_with(|| Box::new(Place::EMPTY));
            switching.iter().for_each(|slot| _ = place.switching.insert(slot));
            place.members = Some(members);
            place.owed = owed;
        });
        if is_owed {
            self.open(room, serial);
        }
        self.judge_halves(id, room);
        for slot in uninvited {
            self.accuse_by_place(serial, slot);
        }
    }

    /// Who has a switch from or to `room` on its way.
    fn switching(&self, room: RoomId) -> Slots {
        let mut switching = Slots::EMPTY;
        for (slot, member) in (0..).zip(&self.rooms[room.0 as usize].members) {
            let switches = &self.clients[member.client.0 as usize].switches;
            if switches.iter().any(|switch| switch.from == room || switch.to == room) {
                switching.insert(slot);
            }
        }
        switching
    }
}
