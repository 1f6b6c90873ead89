//! Clients that lose their connections at any moment and come back: what they
//! have received is always a beginning of what they were sent, and in the end
//! all of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::hub::*;
use crate::mutation::cases_min;

const CLIENTS: usize = 3;
const ROOMS: [&str; 2] = ["a", "b"];

#[derive(Clone, Copy, Debug)]
enum Deed {
    /// The client's connection breaks; the server notices or not.
    Cut {
        client: usize,
        noticed: bool,
    },
    /// The server emits to one socket alone.
    Emit(usize),
    Join(usize, usize),
    Leave(usize, usize),
    /// The client reads so many packets.
    Read(usize, usize),
    /// The client comes back, on some shard.
    Return(usize, u8),
    /// The server says something to a room.
    Say(usize),
    /// The server says something to everybody.
    SayToAll,
    /// Something that may be dropped, and is not sent again.
    Volatile(usize),
    /// Time passes, in seconds.
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let client = || 0..CLIENTS;
    let room = || 0..ROOMS.len();
    prop_oneof![
        2 => (client(), any::<bool>()).prop_map(|(client, noticed)| Deed::Cut { client, noticed }),
        3 => client().prop_map(Deed::Emit),
        2 => (client(), room()).prop_map(|(client, room)| Deed::Join(client, room)),
        1 => (client(), room()).prop_map(|(client, room)| Deed::Leave(client, room)),
        3 => (client(), 1..4_usize).prop_map(|(client, count)| Deed::Read(client, count)),
        3 => (client(), 0..3_u8).prop_map(|(client, shard)| Deed::Return(client, shard)),
        5 => room().prop_map(Deed::Say),
        1 => Just(Deed::SayToAll),
        1 => room().prop_map(Deed::Volatile),
        1 => (1..40_u64).prop_map(Deed::Wait),
    ]
}

/// A client as the stock one is, and what it should have been sent.
#[derive(Default)]
struct Client {
    conn: Option<(usize, ConnId)>,
    /// Connections that are dead, which the server does not know.
    zombies: Vec<(usize, ConnId)>,
    /// Sent to it, not read yet.
    inbox: VecDeque<String>,
    pid: Option<String>,
    offset: Option<String>,
    rooms: BTreeSet<usize>,
    /// Of this session.
    received: Vec<u64>,
    expected: Vec<u64>,
    recoveries: usize,
}

struct Counting(u8, u64);

impl IdSource for Counting {
    fn random(&mut self) -> [u8; 15] {
        self.1 += 1;
        let mut bytes = [0; 15];
        bytes[..8].copy_from_slice(&self.1.to_be_bytes());
        bytes[14] = self.0;
        bytes
    }
}

struct World {
    hubs: Vec<Hub>,
    actions: Vec<Actions>,
    now: Instant,
    clients: Vec<Client>,
    conns: u32,
    said: u64,
    window: Duration,
}

impl World {
    fn new(shards: u8, recovery: Recovery) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let limits = Limits {
            recovery: Some(recovery),
            ping_interval: Duration::from_secs(100_000),
            ..Limits::default()
        };
        let hub = |shard| {
            let place = Place { shard: ShardId(shard), shards, secret: 7 };
            let ids = Box::new(Counting(shard, 0));
            Hub::new(place, limits.clone(), &["/"], ids, false, now)
        };
        Self {
            hubs: (0..shards).map(hub).collect(),
            actions: (0..shards).map(|_| Actions::default()).collect(),
            now,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            conns: 0,
            said: 0,
            window: recovery.window,
        }
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        self.hubs[shard].handle(event, self.now, &mut self.actions[shard]);
        self.carry();
    }

    /// Carries messages between shards until there are none, admits who asks,
    /// and puts what is sent into the inboxes.
    fn carry(&mut self) {
        loop {
            let mut events: Vec<(usize, Event<'_>)> = Vec::new();
            for (shard, actions) in self.actions.iter_mut().enumerate() {
                let from = ShardId(u8::try_from(shard).unwrap());
                for action in std::mem::take(&mut actions.list) {
                    match action {
                        Action::Exchange { to, message } => {
                            events.push((to.0.into(), Event::Exchange { from, message }));
                        }
                        Action::Notify(conn, Notification::Connect { namespace, attempt, .. }) => {
                            events.push((shard, Event::Admit { conn, namespace, attempt }));
                        }
                        Action::Send { frame, to, .. } => {
                            let text = text(&actions.bytes[frame]);
                            for conn in &actions.recipients[to] {
                                let is_its =
                                    |client: &&mut Client| client.conn == Some((shard, *conn));
                                if let Some(client) = self.clients.iter_mut().find(is_its) {
                                    client.inbox.push_back(text.clone());
                                }
                            }
                        }
                        Action::Accepted(_)
                        | Action::Close { .. }
                        | Action::Notify(..)
                        | Action::Replied(..)
                        | Action::Resolve(..)
                        | Action::Seen(_)
                        | Action::ServerSide(..) => {}
                    }
                }
                actions.clear();
            }
            if events.is_empty() {
                return;
            }
            for (shard, event) in events {
                self.hubs[shard].handle(event, self.now, &mut self.actions[shard]);
            }
            for (hub, actions) in self.hubs.iter_mut().zip(&mut self.actions) {
                hub.tell_askers(actions);
            }
        }
    }

    fn socket(&self, client: usize) -> Option<(usize, SocketId)> {
        let (shard, conn) = self.clients[client].conn?;
        let namespace = NamespaceId::registered(0);
        let key = self.hubs[shard].key_of(conn, namespace)?;
        Some((shard, SocketId { namespace, key }))
    }

    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Cut { client, noticed } => self.cut(client, noticed),
            Deed::Emit(client) => self.emit(client),
            Deed::Join(client, room) => {
                if let Some((shard, socket)) = self.socket(client) {
                    let (room_name, ticket) = (ROOMS[room], Ticket(0));
                    self.handle(shard, Event::Join { socket, room: room_name, ticket });
                    self.clients[client].rooms.insert(room);
                }
            }
            Deed::Leave(client, room) => {
                if let Some((shard, socket)) = self.socket(client) {
                    let (room_name, ticket) = (ROOMS[room], Ticket(0));
                    self.handle(shard, Event::Leave { socket, room: room_name, ticket });
                    self.clients[client].rooms.remove(&room);
                }
            }
            Deed::Read(client, count) => (0..count).for_each(|_| self.read(client)),
            Deed::Return(client, shard) => {
                if self.clients[client].conn.is_none() {
                    self.come_back(client, usize::from(shard) % self.hubs.len());
                }
            }
            Deed::Say(room) => self.say(Some(room), false),
            Deed::SayToAll => self.say(None, false),
            Deed::Volatile(room) => self.say(Some(room), true),
            Deed::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                for shard in 0..self.hubs.len() {
                    self.hubs[shard].handle_timeout(self.now, &mut self.actions[shard]);
                }
                self.carry();
            }
        }
    }

    fn cut(&mut self, client: usize, noticed: bool) {
        let client = &mut self.clients[client];
        let Some(conn) = client.conn.take() else { return };
        client.inbox.clear();
        client.zombies.push(conn);
        if noticed {
            self.notice();
        }
    }

    /// The server notices which connections are dead.
    fn notice(&mut self) {
        for client in 0..CLIENTS {
            for (shard, conn) in std::mem::take(&mut self.clients[client].zombies) {
                self.handle(shard, Event::Gone { conn, reason: Reason::TransportClose });
                self.hubs[shard].remove(conn);
            }
        }
    }

    fn emit(&mut self, client: usize) {
        if let Some((shard, socket)) = self.socket(client) {
            self.said += 1;
            let json = format!(r#"["own",{}]"#, self.said);
            let payload = Payload { json: &json, attachments: &[] };
            self.handle(shard, Event::Emit { socket, payload, volatile: false, ticket: None });
            self.clients[client].expected.push(self.said);
        }
    }

    /// From the last shard, so that it is seldom the home.
    fn say(&mut self, room: Option<usize>, volatile: bool) {
        self.said += 1;
        let name = if volatile { "volatile" } else { "said" };
        let json = format!(r#"["{name}",{}]"#, self.said);
        let rooms: Vec<Box<str>> = room.map(|room| ROOMS[room].into()).into_iter().collect();
        let broadcast = Broadcast {
            namespace: NamespaceId::registered(0),
            from: None,
            target: Target { rooms: &rooms, except: &[] },
            payload: Payload { json: &json, attachments: &[] },
            stamped: false,
            volatile,
            replies: false,
            ticket: None,
        };
        self.handle(self.hubs.len() - 1, Event::Broadcast(broadcast));
        let is_meant = |client: &&mut Client| {
            client.pid.is_some() && room.is_none_or(|room| client.rooms.contains(&room))
        };
        for client in self.clients.iter_mut().filter(is_meant) {
            if !volatile {
                client.expected.push(self.said);
            }
        }
    }

    fn come_back(&mut self, client: usize, shard: usize) {
        self.conns += 1;
        let conn = ConnId { index: self.conns, generation: self.conns };
        let (now, actions) = (self.now, &mut self.actions[shard]);
        self.hubs[shard].open(conn, Opening::default(), now, actions);
        self.clients[client].conn = Some((shard, conn));
        let auth = match (&self.clients[client].pid, &self.clients[client].offset) {
            (None, _) => String::new(),
            (Some(pid), None) => format!(r#"{{"pid":"{pid}"}}"#),
            (Some(pid), Some(offset)) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
        };
        self.handle(shard, Event::Text { conn, text: &format!("40{auth}") });
        // The open packet and the answer to CONNECT come first, whatever else there is.
        let (_, answer) =
            (self.clients[client].inbox.pop_front(), self.clients[client].inbox.pop_front());
        let answer = answer.expect("an answer to CONNECT");
        let answer: serde_json::Value =
            serde_json::from_str(answer.strip_prefix("40").expect("CONNECT first")).unwrap();
        let pid = answer["pid"].as_str().expect("a pid").to_owned();
        let client = &mut self.clients[client];
        if client.pid.as_ref() == Some(&pid) {
            client.recoveries += 1;
        } else {
            // As the stock client: another session, but the old offset.
            client.pid = Some(pid);
            (client.received, client.expected, client.rooms) = Default::default();
        }
    }

    fn read(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some(text) = client.inbox.pop_front() else { return };
        let Some(json) = text.strip_prefix("42") else { return };
        let (name, number, offset): (String, u64, String) = serde_json::from_str(json).unwrap();
        client.offset = Some(offset);
        if name != "volatile" {
            client.received.push(number);
        }
    }

    fn check(&self) {
        for (number, client) in self.clients.iter().enumerate() {
            assert!(
                client.expected.starts_with(&client.received),
                "client {number} received {:?} of {:?}",
                client.received,
                client.expected
            );
        }
    }

    /// Everybody comes back and reads all there is.
    fn settle(&mut self) {
        for client in 0..CLIENTS {
            if self.clients[client].conn.is_none() {
                self.come_back(client, client % self.hubs.len());
            }
            while !self.clients[client].inbox.is_empty() {
                self.read(client);
            }
            let Client { received, expected, .. } = &self.clients[client];
            assert_eq!(received, expected, "client {client} in the end");
        }
    }

    /// Everybody goes, for good.
    fn end(&mut self) {
        (0..CLIENTS).for_each(|client| self.cut(client, true));
        self.notice();
        self.now += self.window;
        for shard in 0..self.hubs.len() {
            self.hubs[shard].handle_timeout(self.now, &mut self.actions[shard]);
            self.hubs[shard].end_tick(&mut self.actions[shard]);
        }
        self.carry();
        for hub in &self.hubs {
            assert_eq!(hub.census(), Census::default());
        }
    }
}

fn text(frame: &[u8]) -> String {
    let head = if frame[1] < 126 { 2 } else { 4 };
    String::from_utf8(frame[head..].to_vec()).expect("one text frame")
}

const CASES: u32 = 500;

const LONG: Recovery = Recovery {
    window: Duration::from_secs(100_000),
    packets_max: 10_000,
    bytes_max: 1 << 20,
    sessions_max: 100,
    own_packets_max: 1_000,
    missed_packets_max: 10_000,
    missed_bytes_max: 1 << 20,
};

const TIGHT: Recovery = Recovery {
    window: Duration::from_secs(60),
    packets_max: 6,
    bytes_max: 200,
    sessions_max: 2,
    own_packets_max: 2,
    missed_packets_max: 5,
    missed_bytes_max: 150,
};

fn run(shards: u8, recovery: Recovery, deeds: &[Deed]) -> World {
    let mut world = World::new(shards, recovery);
    (0..CLIENTS).for_each(|client| world.come_back(client, client % usize::from(shards)));
    for deed in deeds {
        world.perform(*deed);
        world.check();
    }
    world.settle();
    world
}

proptest! {
    #![proptest_config(cases_min(CASES))]

    /// With room for everything, every return is a recovery, and exact.
    #[test]
    fn who_comes_back_has_missed_nothing(shards in 1..4_u8, deeds in vec(deed(), 1..80)) {
        let mut world = run(shards, LONG, &deeds);
        let returns = world.conns as usize - CLIENTS;
        let recoveries: usize = world.clients.iter().map(|client| client.recoveries).sum();
        prop_assert_eq!(recoveries, returns);
        world.end();
    }

    /// With hardly any room, who is told that it was recovered has missed nothing.
    #[test]
    fn what_is_not_exact_is_not_recovered(shards in 1..4_u8, deeds in vec(deed(), 1..80)) {
        run(shards, TIGHT, &deeds).end();
    }
}

#[test]
fn a_session_has_one_owner_and_is_there_again_after_each_disconnect() {
    let mut world = World::new(2, LONG);
    world.come_back(0, 0);
    let pid = world.clients[0].pid.clone();
    // Two others present the same session; the last one has it.
    for (thief, shard) in [(1, 1), (2, 0)] {
        world.clients[thief].pid = pid.clone();
        world.come_back(thief, shard);
        assert_eq!(world.clients[thief].pid, pid);
        let owners = (0..CLIENTS).filter(|&client| world.socket(client).is_some());
        assert_eq!(owners.collect::<Vec<_>>(), [thief]);
    }
    for _ in 0..3 {
        world.cut(2, true);
        world.come_back(2, 1);
        assert_eq!(world.clients[2].pid, pid, "re-armed");
    }
}

#[test]
fn who_leaves_by_itself_or_is_put_out_does_not_come_back() {
    let mut world = World::new(1, LONG);
    world.come_back(0, 0);
    let pid = world.clients[0].pid.clone();
    let (shard, socket) = world.socket(0).unwrap();
    world.handle(shard, Event::Disconnect { socket, close: false });
    world.cut(0, true);
    world.come_back(0, 0);
    assert_ne!(world.clients[0].pid, pid);
    let (pid, (shard, conn)) = (world.clients[0].pid.clone(), world.clients[0].conn.unwrap());
    world.handle(shard, Event::Text { conn, text: "41" });
    world.cut(0, true);
    world.come_back(0, 0);
    assert_ne!(world.clients[0].pid, pid);
    assert_eq!(world.hubs[0].census().sessions_waiting, 0);
}

/// Its replay, beside that of another namespace, might be too much as often as it is tried.
#[test]
fn who_is_too_slow_once_more_after_it_came_back_begins_anew() {
    let mut world = World::new(1, LONG);
    world.come_back(0, 0);
    let pid = world.clients[0].pid.clone();
    let close_as_slow = |world: &mut World| {
        let (shard, conn) = world.clients[0].conn.expect("it has come back");
        world.handle(shard, Event::Gone { conn, reason: Reason::SlowReader });
        world.cut(0, true);
        world.come_back(0, 0);
    };
    close_as_slow(&mut world);
    assert_eq!(world.clients[0].pid, pid);
    close_as_slow(&mut world);
    assert_ne!(world.clients[0].pid, pid);
    assert_eq!(world.hubs[0].census().sessions_waiting, 0);
}

#[test]
fn who_has_missed_more_than_is_sent_at_once_is_not_recovered() {
    for (missed_packets_max, missed_bytes_max) in [(2, 1_000), (1_000, 24)] {
        for (said, recoveries) in [(2, 1), (3, 0)] {
            let mut world =
                World::new(1, Recovery { missed_packets_max, missed_bytes_max, ..LONG });
            world.come_back(0, 0);
            world.cut(0, true);
            (0..said).for_each(|_| world.perform(Deed::SayToAll));
            world.come_back(0, 0);
            assert_eq!(world.clients[0].recoveries, recoveries, "{said} said");
        }
    }
}

#[test]
fn an_offset_of_an_earlier_session_means_that_nothing_was_seen() {
    let mut world = World::new(1, TIGHT);
    world.come_back(0, 0);
    (0..3).for_each(|_| world.emit(0));
    (0..3).for_each(|_| world.read(0));
    let (pid, offset) = (world.clients[0].pid.clone(), world.clients[0].offset.clone());
    world.cut(0, true);
    world.perform(Deed::Wait(61));
    world.come_back(0, 0);
    assert_ne!(world.clients[0].pid, pid, "too late");
    assert_eq!(world.clients[0].offset, offset, "it keeps the old one");
    world.emit(0);
    world.cut(0, true);
    world.settle();
    assert_eq!(world.clients[0].recoveries, 1);
}

/// The stock client takes any last argument that is a string for the offset, also of
/// an event that is to be answered, which carries none.
#[test]
fn what_is_no_offset_of_ours_says_nothing_of_what_was_seen() {
    for offset in ["two", "", "1.2.3", "1.0.0.0.0"] {
        let mut world = World::new(1, LONG);
        world.come_back(0, 0);
        world.emit(0);
        world.read(0);
        let pid = world.clients[0].pid.clone();
        world.clients[0].offset = Some(offset.to_owned());
        world.cut(0, true);
        world.settle();
        assert_ne!(world.clients[0].pid, pid, "{offset:?}");
    }
}

#[test]
fn a_room_counts_on_while_somebody_may_come_back_to_it() {
    let mut world = World::new(2, LONG);
    let say = |world: &mut World| {
        let payload = Payload { json: r#"["said",{}]"#, attachments: &[] };
        let rooms: [Box<str>; 1] = ["a".into()];
        let target = Target { rooms: &rooms, except: &[] };
        let (namespace, stamped) = (NamespaceId::registered(0), true);
        let (from, volatile, replies, ticket) = (None, false, false, None);
        let broadcast =
            Broadcast { namespace, from, target, payload, stamped, volatile, replies, ticket };
        world.handle(0, Event::Broadcast(broadcast));
        world.clients[0].inbox.pop_back().expect("it is a member")
    };
    for (round, shard) in [(1, 0), (2, 1), (3, 0)] {
        world.come_back(0, shard);
        world.perform(Deed::Join(0, 0));
        let said = say(&mut world);
        assert!(said.contains(&format!(r#"{{"seq":{round}}}"#)), "{said}");
        // As if it had been read.
        let offset = said.rsplit('"').nth(1).map(str::to_owned);
        world.clients[0].offset = offset;
        world.cut(0, true);
    }
    world.end();
}

#[test]
fn of_two_who_claim_a_session_at_once_one_gets_it() {
    let mut world = World::new(2, LONG);
    // On the shard that is not the home, so that it takes a message to end it.
    world.come_back(0, 1);
    let pid = Sid::parse(world.clients[0].pid.as_ref().unwrap()).unwrap();
    let mut entered = Vec::new();
    for index in [5, 6] {
        let socket = SocketKey { shard: ShardId(1), index, generation: 99 };
        let claim = Some(exchange::Claimed { pid, offset: None });
        let own = Sid::new([u8::try_from(index).unwrap(); 15]);
        let begin = Some(exchange::Begin { pid: own, own: 50, claim });
        let request = exchange::Request::Connect { socket, sid: own, name: None, begin };
        let (namespace, ticket) = (NamespaceId::registered(0), None);
        let message =
            exchange::Message::Request { namespace, request, ticket, answer_first: false };
        let event = Event::Exchange { from: ShardId(1), message };
        world.hubs[0].handle(event, world.now, &mut world.actions[0]);
        for action in world.actions[0].list.drain(..) {
            if let Action::Exchange { message, .. } = action {
                if let exchange::Message::Entered { socket, begun, .. } = message {
                    entered.push((socket.index, begun.unwrap().restored.is_some()));
                } else {
                    let is_surrender = matches!(message, exchange::Message::Surrender { .. });
                    assert!(is_surrender && index == 5, "asked once, not {message:?}");
                }
            }
        }
    }
    assert_eq!(entered, [(6, false)], "the second is a new session, the first waits");
}

#[test]
fn who_has_lost_something_does_not_come_back_to_its_session() {
    let mut world = World::new(1, LONG);
    world.come_back(0, 0);
    let (pid, (shard, conn)) = (world.clients[0].pid.clone(), world.clients[0].conn.unwrap());
    world.handle(shard, Event::Lossy { conn });
    world.cut(0, true);
    world.come_back(0, 0);
    assert_ne!(world.clients[0].pid, pid);
}
