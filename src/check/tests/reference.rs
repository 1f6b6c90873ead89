//! A small chat server, correct unless told otherwise, with clients that do
//! anything at any time, over connections that are slow, and break.
//!
//! Each connection is a pipe in each direction that keeps order and delays at
//! random. Clients pipeline requests, rejoin, leave what they are not in, and
//! reconnect while the server still keeps the old socket. A message under way on a
//! broken connection may be accepted long after.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Accepted, ClientId, MessageId, Record, Request, RoomId};
use super::network::{Dice, Queue};

/// One thing about the server that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    AckOvertakesQueue,
    AckThenDrop,
    BacklogToJoiner,
    CorruptedBody,
    DoubleEnqueue,
    EchoOvertakes,
    JoinAppliedLate,
    MemberKeptAfterLeave,
    MixedUpSender,
    Nothing,
    OutOfOrderQueue,
    RefusedYetSent,
    SelfEcho,
    SeqFromTwoCounters,
    SkippedMember,
    SuccessorHears,
    SwitchInTwoSteps,
    TaskPerEvent,
    TwoQueuesPerRoom,
    WrongRoom,
}

/// What came of a run, in true order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    Record(Record),
    Step(Accepted),
}

/// What kind of server and clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) clients: u32,
    pub(super) rooms: u32,
    pub(super) actions: u32,
    /// In percent of messages.
    pub(super) acks: u64,
    pub(super) sender_hears: bool,
    /// Whether connections break and the server crashes.
    pub(super) faults: bool,
    pub(super) broken: Break,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Bye,
    Echo(u64),
    Join(RoomId),
    Leave(RoomId),
    Message { number: u64, room: RoomId, wants_ack: bool },
    Switch(RoomId, RoomId),
}

#[derive(Debug)]
enum Event {
    Act(ClientId),
    /// The network between a client and the server breaks.
    Cut(usize),
    Crash,
    FromClient(usize, Ask),
    FromServer(usize, Record),
    /// The second half of something that should have been one step.
    Half(usize, Ask),
    /// The client finds its connection broken.
    Notice(usize),
    Reconnect(ClientId),
    /// The server finds a connection broken.
    TimeOut(usize),
}

struct Socket {
    client: ClientId,
    /// Whether the server still serves it.
    is_served: bool,
    /// Whether bytes still pass in each direction.
    can_send: bool,
    can_receive: bool,
    last_in: u64,
    last_out: u64,
}

struct World {
    setup: Setup,
    dice: Dice,
    queue: Queue<Event>,
    sockets: Vec<Socket>,
    /// The connection each client holds.
    current: Vec<Option<usize>>,
    numbers: Vec<u64>,
    actions_left: u32,
    members: BTreeMap<RoomId, BTreeSet<usize>>,
    seqs: BTreeMap<(RoomId, u32), u64>,
    last: BTreeMap<RoomId, (MessageId, u64)>,
    facts: Vec<(u64, Fact)>,
}

/// Lets the clients act on the server until all is quiet.
pub(super) fn run(seed: u64, setup: Setup) -> Vec<(u64, Fact)> {
    let mut world = World {
        setup,
        dice: Dice::new(seed),
        queue: Queue::new(),
        sockets: Vec::new(),
        current: vec![None; setup.clients as usize],
        numbers: vec![0; setup.clients as usize],
        actions_left: setup.actions,
        members: BTreeMap::new(),
        seqs: BTreeMap::new(),
        last: BTreeMap::new(),
        facts: Vec::new(),
    };
    for client in (0..setup.clients).map(ClientId) {
        world.queue.push(0, Event::Reconnect(client));
        world.queue.push(1, Event::Act(client));
    }
    while let Some(event) = world.queue.pop() {
        world.handle(event);
    }
    world.facts
}

impl World {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Act(client) => self.act(client),
            Event::Crash => self.crash(),
            Event::Cut(socket) => self.cut(socket),
            Event::FromClient(socket, ask) if self.sockets[socket].is_served => {
                self.serve(socket, ask)
            }
            Event::FromClient(..) => {}
            Event::FromServer(socket, record) => self.arrive(socket, record),
            Event::Half(socket, ask) => self.finish_half(socket, ask),
            Event::Notice(socket) => {
                let client = self.sockets[socket].client;
                if self.current[client.0 as usize] == Some(socket) {
                    self.hang_up(client);
                }
            }
            Event::Reconnect(client) => {
                self.sockets.push(Socket {
                    client,
                    is_served: true,
                    can_send: true,
                    can_receive: true,
                    last_in: 0,
                    last_out: 0,
                });
                self.current[client.0 as usize] = Some(self.sockets.len() - 1);
                self.record(Record::Connected { client });
            }
            Event::TimeOut(socket) => self.gone(socket),
        }
    }

    fn record(&mut self, record: Record) {
        self.facts.push((self.queue.now, Fact::Record(record)));
    }

    // What clients do.

    fn act(&mut self, client: ClientId) {
        if self.actions_left == 0 {
            return;
        }
        self.actions_left -= 1;
        let next = self.queue.now + self.dice.below(120);
        self.queue.push(next, Event::Act(client));
        let Some(socket) = self.current[client.0 as usize] else { return };
        let room = self.any_room();
        let faults = self.setup.faults;
        let ask = match self.dice.below(200) {
            0 if faults => return self.queue.push(self.queue.now, Event::Crash),
            1..3 if faults => return self.queue.push(self.queue.now, Event::Cut(socket)),
            3..5 if faults => return self.leave_network(client, socket),
            0..40 => self.ask(Record::JoinSent { client, room }, Ask::Join(room)),
            40..50 => self.ask(Record::LeaveSent { client, room }, Ask::Leave(room)),
            50..60 => {
                let to = self.any_room();
                self.ask(Record::SwitchSent { client, from: room, to }, Ask::Switch(room, to))
            }
            60..70 => {
                let number = self.next_number(client);
                self.ask(Record::Asked { client, number }, Ask::Echo(number))
            }
            _ => {
                let number = self.next_number(client);
                let wants_ack = self.dice.percent(self.setup.acks);
                let message = MessageId { sender: client, number };
                self.ask(Record::Sent { message, room }, Ask::Message { number, room, wants_ack })
            }
        };
        self.send(socket, ask);
    }

    fn ask(&mut self, record: Record, ask: Ask) -> Ask {
        self.record(record);
        ask
    }

    fn any_room(&mut self) -> RoomId {
        RoomId(self.dice.below(self.setup.rooms.into()) as u32)
    }

    fn next_number(&mut self, client: ClientId) -> u64 {
        // Not all numbers are used, and not all of them for messages.
        self.numbers[client.0 as usize] += 1 + u64::from(self.dice.percent(10));
        self.numbers[client.0 as usize]
    }

    /// The client closes its connection; what it sent before still arrives.
    fn leave_network(&mut self, client: ClientId, socket: usize) {
        self.send(socket, Ask::Bye);
        self.hang_up(client);
    }

    fn hang_up(&mut self, client: ClientId) {
        self.current[client.0 as usize] = None;
        self.record(Record::Disconnected { client });
        let back = self.queue.now + self.dice.delay();
        self.queue.push(back, Event::Reconnect(client));
    }

    // What the network does.

    fn send(&mut self, socket: usize, ask: Ask) {
        if self.sockets[socket].can_send {
            let at = self.sockets[socket].last_in.max(self.queue.now + self.dice.delay());
            self.sockets[socket].last_in = at;
            self.queue.push(at, Event::FromClient(socket, ask));
        }
    }

    fn emit(&mut self, socket: usize, record: Record, overtakes: bool) {
        let soon = self.queue.now + self.dice.delay();
        let at = if overtakes { soon } else { self.sockets[socket].last_out.max(soon) };
        self.sockets[socket].last_out = self.sockets[socket].last_out.max(at);
        self.queue.push(at, Event::FromServer(socket, record));
    }

    fn arrive(&mut self, socket: usize, record: Record) {
        let client = self.sockets[socket].client;
        let current = self.current[client.0 as usize];
        let is_successor = self.setup.broken == Break::SuccessorHears && current.is_some();
        if current == Some(socket) && self.sockets[socket].can_receive || is_successor {
            self.record(record);
        }
    }

    fn cut(&mut self, socket: usize) {
        self.sockets[socket].can_send = false;
        self.sockets[socket].can_receive = self.dice.percent(50);
        let (noticed, timed_out) = (self.dice.delay(), self.dice.delay() * 2);
        self.queue.push(self.queue.now + noticed, Event::Notice(socket));
        let arrived = self.sockets[socket].last_in;
        self.queue.push(arrived.max(self.queue.now) + timed_out, Event::TimeOut(socket));
    }

    fn crash(&mut self) {
        for socket in 0..self.sockets.len() {
            if self.sockets[socket].is_served {
                self.sockets[socket].is_served = false;
                self.cut(socket);
            }
        }
        self.members.clear();
        self.seqs.clear();
        self.last.clear();
    }

    // What the server does.

    fn serve(&mut self, socket: usize, ask: Ask) {
        let client = self.sockets[socket].client;
        let is_refused = self.dice.percent(2);
        if self.setup.broken == Break::TaskPerEvent && self.dice.percent(30) {
            let later = self.queue.now + self.dice.delay();
            return self.queue.push(later, Event::Half(socket, ask));
        }
        match ask {
            Ask::Bye => self.gone(socket),
            Ask::Echo(number) => {
                let overtakes = self.setup.broken == Break::EchoOvertakes;
                self.emit(socket, Record::Answered { client, number }, overtakes);
            }
            Ask::Join(room) if is_refused => self.refuse(socket, Request::Join { room }),
            Ask::Join(room) => self.join(socket, room),
            Ask::Leave(room) if !self.is_member(room, socket) => {
                self.refuse(socket, Request::Leave { room })
            }
            Ask::Leave(room) => self.leave(socket, room),
            Ask::Message { number, room, wants_ack } => {
                let is_refused = !self.is_member(room, socket) || is_refused && wants_ack;
                let is_sent = !is_refused || self.setup.broken == Break::RefusedYetSent;
                let seq = if is_sent { self.broadcast(socket, room, number) } else { 0 };
                if wants_ack && is_refused {
                    self.refuse(socket, Request::Message { number });
                } else if wants_ack {
                    let message = MessageId { sender: client, number };
                    self.emit(socket, Record::Acked { message, seq: Some(seq) }, false);
                }
            }
            Ask::Switch(from, to) if is_refused || !self.is_member(from, socket) => {
                self.refuse(socket, Request::Switch { from, to });
            }
            Ask::Switch(from, to) => self.switch(socket, from, to),
        }
    }

    fn is_member(&self, room: RoomId, socket: usize) -> bool {
        self.members.get(&room).is_some_and(|members| members.contains(&socket))
    }

    fn refuse(&mut self, socket: usize, request: Request) {
        let client = self.sockets[socket].client;
        self.emit(socket, Record::Refused { client, request }, false);
    }

    /// The witness speaks of a client's connection only while it holds it.
    fn testify(&mut self, socket: usize, step: Accepted) {
        let client = self.sockets[socket].client;
        let is_current = self.current[client.0 as usize] == Some(socket);
        if is_current || matches!(step, Accepted::Broadcast { .. }) {
            self.facts.push((self.queue.now, Fact::Step(step)));
        }
    }

    fn join(&mut self, socket: usize, room: RoomId) {
        let client = self.sockets[socket].client;
        self.testify(socket, Accepted::Join { client, room });
        if self.setup.broken == Break::JoinAppliedLate {
            let later = self.queue.now + self.dice.delay();
            self.queue.push(later, Event::Half(socket, Ask::Join(room)));
        } else {
            let is_new = self.members.entry(room).or_default().insert(socket);
            if let Some(&(message, seq)) = self.last.get(&room)
                && is_new
                && self.setup.broken == Break::BacklogToJoiner
            {
                self.deliver(socket, room, message, seq);
            }
        }
        self.emit(socket, Record::JoinAcked { client, room }, false);
    }

    fn leave(&mut self, socket: usize, room: RoomId) {
        let client = self.sockets[socket].client;
        if self.setup.broken != Break::MemberKeptAfterLeave || self.dice.percent(50) {
            self.remove(socket, room);
        }
        self.testify(socket, Accepted::Leave { client, room });
        let overtakes = self.setup.broken == Break::AckOvertakesQueue;
        self.emit(socket, Record::LeaveAcked { client, room }, overtakes);
    }

    fn switch(&mut self, socket: usize, from: RoomId, to: RoomId) {
        let client = self.sockets[socket].client;
        self.members.entry(to).or_default().insert(socket);
        if from != to {
            self.remove(socket, from);
        }
        if self.setup.broken == Break::SwitchInTwoSteps && from != to {
            self.remove(socket, to);
            self.testify(socket, Accepted::Leave { client, room: from });
            let later = self.queue.now + self.dice.delay();
            return self.queue.push(later, Event::Half(socket, Ask::Switch(from, to)));
        }
        self.testify(socket, Accepted::Switch { client, from, to });
        self.emit(socket, Record::SwitchAcked { client, from, to }, false);
    }

    fn finish_half(&mut self, socket: usize, ask: Ask) {
        let client = self.sockets[socket].client;
        if !self.sockets[socket].is_served {
            return;
        }
        match (self.setup.broken, ask) {
            (Break::TaskPerEvent, _) => {
                self.setup.broken = Break::Nothing;
                self.serve(socket, ask);
                self.setup.broken = Break::TaskPerEvent;
            }
            (_, Ask::Switch(from, to)) => {
                self.members.entry(to).or_default().insert(socket);
                self.testify(socket, Accepted::Join { client, room: to });
                self.emit(socket, Record::SwitchAcked { client, from, to }, false);
            }
            (_, Ask::Join(room)) => _ = self.members.entry(room).or_default().insert(socket),
            (_, Ask::Bye | Ask::Echo(_) | Ask::Leave(_) | Ask::Message { .. }) => {}
        }
    }

    fn broadcast(&mut self, socket: usize, room: RoomId, number: u64) -> u64 {
        let client = self.sockets[socket].client;
        let message = MessageId { sender: client, number };
        let counter = if self.setup.broken == Break::SeqFromTwoCounters { client.0 % 2 } else { 0 };
        let seq = self.seqs.entry((room, counter)).or_default();
        *seq += 1;
        let seq = *seq;
        if self.setup.broken == Break::AckThenDrop && self.dice.percent(10) {
            return seq;
        }
        self.testify(socket, Accepted::Broadcast { message, room });
        self.last.insert(room, (message, seq));
        let is_astray = self.setup.broken == Break::WrongRoom && self.dice.percent(10);
        let heard_in = if is_astray { RoomId((room.0 + 1) % self.setup.rooms) } else { room };
        let members = self.members.get(&heard_in).cloned().unwrap_or_default();
        for member in members {
            let is_echo = member == socket;
            if is_echo && !self.setup.sender_hears && self.setup.broken != Break::SelfEcho {
                continue;
            }
            if self.setup.broken == Break::SkippedMember && self.dice.percent(5) {
                continue;
            }
            self.deliver(member, heard_in, message, seq);
            if self.setup.broken == Break::DoubleEnqueue && self.dice.percent(5) {
                self.deliver(member, heard_in, message, seq);
            }
        }
        seq
    }

    fn deliver(&mut self, member: usize, room: RoomId, message: MessageId, seq: u64) {
        let broken = self.setup.broken;
        let is_mixed_up = broken == Break::MixedUpSender && self.dice.percent(5);
        let is_corrupted = broken == Break::CorruptedBody && self.dice.percent(5);
        let is_early = broken == Break::OutOfOrderQueue && self.dice.percent(10);
        let is_late = broken == Break::TwoQueuesPerRoom
            && (message.sender.0 + member as u32).is_multiple_of(2);
        let record = Record::Delivered {
            client: self.sockets[member].client,
            room,
            message,
            from: Some(if is_mixed_up { ClientId(message.sender.0 + 1) } else { message.sender }),
            seq: Some(seq),
            intact: !is_corrupted,
        };
        self.emit(member, record, is_early || is_late);
    }

    fn gone(&mut self, socket: usize) {
        if !self.sockets[socket].is_served {
            return;
        }
        self.sockets[socket].is_served = false;
        let rooms: Vec<_> = self.members.keys().copied().collect();
        for room in rooms {
            self.remove(socket, room);
        }
        let client = self.sockets[socket].client;
        self.testify(socket, Accepted::Disconnect { client });
    }

    /// An empty room is forgotten, with its count of messages.
    fn remove(&mut self, socket: usize, room: RoomId) {
        let Some(members) = self.members.get_mut(&room) else { return };
        members.remove(&socket);
        if members.is_empty() {
            self.members.remove(&room);
            self.seqs.retain(|&(counted, _), _| counted != room);
            self.last.remove(&room);
        }
    }
}
