//! The checker: one history in, one verdict out.

use std::collections::{BTreeMap, VecDeque};

use super::connection_fifo::Asks;
use super::log::{Log, Message, NEVER};
use super::membership::{Member, Step};
use super::order_graph::OrderGraph;
use super::slots::Slots;
use super::switch_atomic::Switch;
use super::{ClientId, Guarantee, MessageId, Options, OrderBy, Record, RoomId, Verdict, Violation};

/// Judges one history while it happens.
///
/// ```
/// use parlor::check::{Checker, ClientId, Options, Record};
///
/// let mut checker = Checker::new(Options::default());
/// checker.observe(0, &Record::Connected { client: ClientId(0) });
/// assert!(checker.finish(1_000_000).is_clean());
/// ```
#[derive(Debug)]
pub struct Checker {
    pub(super) options: Options,
    pub(super) verdict: Verdict,
    pub(super) clients: Vec<Client>,
    pub(super) rooms: Vec<Room>,
    pub(super) log: Log,
    /// Counts records and the engine's steps: the history's order.
    pub(super) position: u64,
    pub(super) now_us: u64,
    /// Serial of the oldest message whose deadline has not passed.
    pub(super) next_expiry: u64,
    /// Switches of which the engine has made one half.
    pub(super) halves: Vec<(ClientId, RoomId, RoomId)>,
    /// Violations if it shows that the client's connection has lived.
    pub(super) suspicions: Vec<(ClientId, Violation)>,
}

#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) connected: bool,
    /// Counts its connections.
    pub(super) connection: u32,
    pub(super) asks: Asks,
    /// Position of its last interruption; 0 if there was none.
    pub(super) interrupted_at: u64,
    /// Its slot in every room it ever asked for, by room.
    pub(super) seats: Vec<(RoomId, u32)>,
    /// Switches without an answer.
    pub(super) switches: Vec<Switch>,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) members: Vec<Member>,
    /// Who is certainly a member now.
    pub(super) settled: Slots,
    /// Who is a member now, as the engine says.
    pub(super) seated: Slots,
    /// Serials of messages that are open, and of some that no longer are.
    pub(super) open: VecDeque<u64>,
    /// How long `open` may get before it is swept.
    sweep_at: usize,
    /// Where the search for a vacant slot goes on.
    pub(super) next_vacant: u32,
    /// Which message last had a sequence number.
    pub(super) seqs: BTreeMap<u64, u64>,
    pub(super) graph: Option<Box<OrderGraph>>,
}

const SWEEP_AT_MIN: usize = 32;

impl Default for Room {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            settled: Slots::EMPTY,
            seated: Slots::EMPTY,
            open: VecDeque::new(),
            sweep_at: SWEEP_AT_MIN,
            next_vacant: 0,
            seqs: BTreeMap::new(),
            graph: None,
        }
    }
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            verdict: Verdict::default(),
            clients: Vec::new(),
            rooms: Vec::new(),
            log: Log::default(),
            position: 0,
            now_us: 0,
            next_expiry: 0,
            halves: Vec::new(),
            suspicions: Vec::new(),
        }
    }

    /// Takes the next record of the history. Times never decrease.
    ///
    /// # Panics
    ///
    /// If a client sends message numbers that do not increase.
    pub fn observe(&mut self, at_us: u64, record: &Record) {
        self.advance(at_us);
        match *record {
            Record::Acked { message, seq } => self.acked(message, seq),
            Record::Answered { client, number } => self.answered(client, number),
            Record::Asked { client, number } => {
                if !self.client(client).asks.ask(number) {
                    self.overflow("too many echoes of one client are unanswered");
                }
            }
            Record::Connected { client } => self.connected(client),
            Record::Delivered { client, room, message, from, seq, intact } => {
                self.delivered(&super::delivery::Delivery {
                    client,
                    room,
                    message,
                    from,
                    seq,
                    intact,
                });
            }
            Record::Disconnected { client } => self.disconnected(client),
            Record::Foreign { .. } => self.verdict.foreign += 1,
            Record::Interrupted { client } => self.interrupted(client),
            Record::JoinAcked { client, room } => self.answer(client, room, Step::Join, true),
            Record::JoinSent { client, room } => self.request(client, room, Step::Join),
            Record::LeaveAcked { client, room } => self.answer(client, room, Step::Leave, true),
            Record::LeaveSent { client, room } => self.request(client, room, Step::Leave),
            Record::Refused { client, request } => self.refuse(client, request),
            Record::Sent { message, room } => self.sent(message, room),
            Record::SwitchAcked { client, from, to } => self.answer_switch(client, from, to, true),
            Record::SwitchSent { client, from, to } => self.request_switch(client, from, to),
        }
    }

    /// Judges what is left, when nothing more will arrive.
    ///
    /// If the run is cut short while messages are under way, record every
    /// client's `Disconnected` first: nothing is then called lost that was not.
    pub fn finish(mut self, at_us: u64) -> Verdict {
        self.advance(at_us);
        self.accuse_of_suspicions();
        for room in 0..self.rooms.len() {
            for serial in std::mem::take(&mut self.rooms[room].open) {
                if self.log.get(serial).is_some_and(Message::is_open) {
                    self.lose(serial);
                }
            }
        }
        self.verdict
    }

    pub(super) fn advance(&mut self, at_us: u64) {
        self.position += 1;
        self.now_us = self.now_us.max(at_us);
        let Some(deadline_us) = self.options.deadline_us else { return };
        while self.next_expiry < self.log.next() {
            if let Some(message) = self.log.get(self.next_expiry) {
                if message.sent_us + deadline_us > self.now_us {
                    break;
                }
                if message.is_open() {
                    self.expire(self.next_expiry);
                }
            }
            self.next_expiry += 1;
        }
    }

    fn sent(&mut self, id: MessageId, room: RoomId) {
        self.evict();
        self.room(room);
        let connection = self.client(id.sender).connection;
        let slot = self.slot(id.sender, room);
        let members = &self.rooms[room.0 as usize].members;
        let sender_inside = slot.is_some_and(|slot| members[slot as usize].is_settled());
        let heard = Slots::with_room_for(members.len());
        let mut pending = self.rooms[room.0 as usize].settled.clone();
        if let (Some(slot), false) = (slot, self.options.sender_hears) {
            pending.remove(slot);
        }
        let is_open = !pending.is_empty();
        let serial = self.log.push(Message {
            id,
            room,
            connection,
            sent_at: self.position,
            sent_us: self.now_us,
            signed_at: NEVER,
            seq: None,
            heard,
            pending,
            place: None,
            acked: false,
            reached: false,
            refused: false,
            overdue: false,
            expired: false,
            sender_inside,
        });
        if is_open {
            self.open(room, serial);
        }
    }

    /// Makes room for one more message.
    fn evict(&mut self) {
        while let Some(evicted) = self.log.evict(&self.options) {
            if let Some((serial, message)) = evicted {
                self.forget(serial, &message);
            }
        }
        if self.log.overflow {
            self.overflow("too many messages miss a receiver");
        }
    }

    /// The first sign of a message: what is pending now is required.
    pub(super) fn sign(&mut self, serial: u64) {
        let position = self.position;
        let required = self.log.change(serial, |message| {
            if message.is_signed() {
                return 0;
            }
            message.signed_at = position;
            if message.expired { 0 } else { message.pending.count() }
        });
        self.verdict.expected += required;
        if self.log.get(serial).is_some_and(|message| message.overdue) {
            self.expire(serial);
        }
    }

    /// A message's deadline has passed. Whether it was accepted at all may not be
    /// known yet: it is lost then as soon as it is.
    fn expire(&mut self, serial: u64) {
        let is_accepted =
            self.log.get(serial).is_some_and(|message| message.is_signed() || message.is_placed());
        if is_accepted {
            self.lose(serial);
            self.close_if_complete(serial);
        } else {
            self.log.change(serial, |message| message.overdue = true);
        }
    }

    /// Lists a message as one whose receivers still matter.
    pub(super) fn open(&mut self, room: RoomId, serial: u64) {
        let room = &mut self.rooms[room.0 as usize];
        if room.open.len() >= room.sweep_at {
            room.open.retain(|&serial| self.log.get(serial).is_some_and(Message::is_open));
            room.sweep_at = SWEEP_AT_MIN.max(2 * room.open.len());
        }
        room.open.push_back(serial);
    }

    /// Frees what only an open message needs.
    pub(super) fn close_if_complete(&mut self, serial: u64) {
        let Some(message) = self.log.get(serial) else { return };
        if message.is_open() {
            return;
        }
        let room = message.room;
        let len = self.rooms[room.0 as usize].members.len();
        self.log.change(serial, |message| {
            if message.pending.is_empty() {
                message.pending = Slots::EMPTY;
            }
            message.heard.compress(len);
        });
        if let Some(message) = self.log.forget_complete(serial) {
            self.forget(serial, &message);
        }
    }

    /// A message is no longer remembered one by one.
    fn forget(&mut self, serial: u64, message: &Message) {
        let room = &mut self.rooms[message.room.0 as usize];
        if let Some(seq) = message.seq
            && room.seqs.get(&seq) == Some(&serial)
        {
            room.seqs.remove(&seq);
        }
        if let Some(graph) = &mut room.graph {
            graph.remove(serial);
        }
    }

    fn answered(&mut self, client: ClientId, number: u64) {
        if let Some(story) = self.client(client).asks.answer(client, number) {
            self.accuse(Guarantee::ConnectionFifo, &[client], &[], &[], || story);
        }
    }

    /// Something could not be judged: the result is invalid.
    pub(super) fn overflow(&mut self, reason: &'static str) {
        self.verdict.overflow.get_or_insert(reason);
    }

    pub(super) fn accuse(
        &mut self,
        guarantee: Guarantee,
        clients: &[ClientId],
        messages: &[MessageId],
        rooms: &[RoomId],
        story: impl FnOnce() -> String,
    ) {
        let at_us = self.now_us;
        self.verdict.accuse(&self.options, guarantee, || Violation {
            guarantee,
            at_us,
            clients: clients.to_vec(),
            messages: messages.to_vec(),
            rooms: rooms.to_vec(),
            story: story(),
        });
    }

    pub(super) fn client(&mut self, client: ClientId) -> &mut Client {
        let index = client.0 as usize;
        if index >= self.clients.len() {
            self.clients.resize_with(index + 1, Client::default);
        }
        &mut self.clients[index]
    }

    pub(super) fn room(&mut self, room: RoomId) -> &mut Room {
        let index = room.0 as usize;
        if index >= self.rooms.len() {
            self.rooms.resize_with(index + 1, Room::default);
        }
        let room = &mut self.rooms[index];
        if self.options.order == OrderBy::Graph && room.graph.is_none() {
            room.graph = Some(Box::default());
        }
        room
    }

    pub(super) fn member(&self, room: RoomId, slot: u32) -> &Member {
        &self.rooms[room.0 as usize].members[slot as usize]
    }

    pub(super) fn member_mut(&mut self, room: RoomId, slot: u32) -> &mut Member {
        &mut self.rooms[room.0 as usize].members[slot as usize]
    }
}
