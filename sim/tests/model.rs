//! The pure hub against the model, whatever is done to it: every client hears what
//! the model says, word for word and deed by deed, and nothing is left when all have
//! gone. With one shard, and with several whose messages are all carried before the
//! next deed: the model knows of no shards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor::hub::{
    Action, Actions, Broadcast, Census, ConnId, Event, Hub, NamespaceId, Notification, Opening,
    Outcome as HubOutcome, Payload, Place, Recovery, SocketId, Target as HubTarget, Ticket,
};
use parlor::room::{IdSource, JoinError, ShardId, Sid};
use parlor::websocket::{Decoder, Message, Role};
use parlor::{Limits, Reason};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sim::model::{CLIENTS, Deed, Heard, Model, Outcome, ROOMS, ROOMS_MAX, Target, Way, Words};

const TICKET: Ticket = Ticket(7);

/// Longer than any test.
const WINDOW: Duration = Duration::from_secs(1);

prop_state_machine! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn hub_does_what_the_model_says(sequential 1..60 => HubTest<1>);
}

prop_state_machine! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn three_hubs_do_what_the_model_says(sequential 1..60 => HubTest<3>);
}

/// Ids count up, so that both sides know whose is whose.
struct Counting {
    shard: u8,
    count: u64,
}

impl IdSource for Counting {
    fn random(&mut self) -> [u8; 15] {
        self.count += 1;
        let mut bytes = [0; 15];
        bytes[..8].copy_from_slice(&self.count.to_be_bytes());
        bytes[14] = self.shard;
        bytes
    }
}

fn chat() -> NamespaceId {
    NamespaceId::registered(0)
}

struct Deeds;

impl ReferenceStateMachine for Deeds {
    type State = Model;
    type Transition = Deed;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Deed> {
        let client = || 0..CLIENTS;
        let room = || 0..ROOMS.len();
        let target = || prop_oneof![4 => room().prop_map(Target::Room), 1 => client().prop_map(Target::Socket)];
        let targets = || proptest::collection::vec(target(), 0..3);
        let way = select(vec![Way::Left, Way::Lost, Way::PutOut]);
        prop_oneof![
            3 => client().prop_map(Deed::Connect),
            3 => client().prop_map(Deed::Return),
            2 => (client(), way).prop_map(|(client, way)| Deed::Disconnect(client, way)),
            4 => (client(), room()).prop_map(|(client, room)| Deed::Join(client, room)),
            2 => (client(), room()).prop_map(|(client, room)| Deed::Leave(client, room)),
            2 => (client(), room(), room()).prop_map(|(who, from, to)| Deed::Switch(who, from, to)),
            2 => (client(), room()).prop_map(|(client, room)| Deed::Watch(client, room)),
            1 => (client(), room()).prop_map(|(client, room)| Deed::Unwatch(client, room)),
            2 => Just(Deed::EndTick),
            4 => (client(), room()).prop_map(|(client, room)| Deed::Broadcast {
                from: Some(client),
                targets: vec![Target::Room(room)],
                except: Vec::new(),
                stamped: true,
            }),
            2 => (proptest::option::of(client()), targets(), targets()).prop_map(
                |(from, targets, except)| Deed::Broadcast { from, targets, except, stamped: false },
            ),
        ]
        .boxed()
    }

    fn preconditions(model: &Model, deed: &Deed) -> bool {
        match deed {
            Deed::Connect(client) => !model.is_connected(*client),
            Deed::Disconnect(client, _) => model.is_connected(*client),
            Deed::Return(client) => model.may_return(*client),
            Deed::Broadcast { .. }
            | Deed::EndTick
            | Deed::Join(..)
            | Deed::Leave(..)
            | Deed::Switch(..)
            | Deed::Unwatch(..)
            | Deed::Watch(..) => true,
        }
    }

    fn apply(mut model: Model, deed: &Deed) -> Model {
        model.apply(deed.clone());
        model
    }
}

/// The hubs, with the connections that their drivers would keep. Client c is on shard c modulo
/// their number.
struct System {
    hubs: Vec<Hub>,
    /// Of each hub, what it did.
    actions: Vec<Actions>,
    now: Instant,
    /// Of each client its open connection, in a namespace or not.
    conns: [Option<ConnId>; CLIENTS],
    sockets: [Option<SocketId>; CLIENTS],
    /// The sids by the number of the connection to the namespace.
    sids: Vec<Sid>,
    generation: u32,
    /// The last one that each client had, when it has gone.
    stale: [Option<SocketId>; CLIENTS],
    /// Of each client its last id, the private one, and how far it has come.
    last: [Option<Sid>; CLIENTS],
    pids: [String; CLIENTS],
    offsets: [Option<String>; CLIENTS],
}

struct HubTest<const SHARDS: u8>;

impl<const SHARDS: u8> StateMachineTest for HubTest<SHARDS> {
    type SystemUnderTest = System;
    type Reference = Deeds;

    fn init_test(_: &Model) -> System {
        System::new(SHARDS)
    }

    fn apply(mut system: System, model: &Model, deed: Deed) -> System {
        let (heard, outcome) = system.perform(&deed);
        assert_eq!(heard, model.heard(), "heard at {deed:?}");
        assert_eq!(outcome, model.outcome(), "outcome of {deed:?}");
        system
    }

    fn check_invariants(system: &System, model: &Model) {
        let census = system.census();
        assert_eq!((census.sockets, census.rooms), (model.sockets(), model.rooms()));
        assert_eq!(census.connections, system.conns.iter().flatten().count());
        assert_eq!(census.deadlines, census.connections);
        assert_eq!(census.sessions_waiting, model.waiting());
        assert_eq!(census.held, 0, "every request has been answered");
    }

    fn teardown(mut system: System, _: Model) {
        for client in 0..CLIENTS {
            system.lose(client);
        }
        system.wait();
        assert_eq!(system.census(), Default::default(), "everybody has gone");
    }
}

impl System {
    fn new(shards: u8) -> Self {
        let recovery = Some(Recovery { window: WINDOW, ..Recovery::default() });
        let limits = Limits { rooms_per_socket_max: ROOMS_MAX, recovery, ..Limits::default() };
        let now = tokio::time::Instant::now().into_std();
        let hub = |shard| {
            let place = Place { shard: ShardId(shard), shards, secret: 0 };
            let ids = Box::new(Counting { shard, count: 0 });
            Hub::new(place, limits.clone(), &["/"], ids, false, now)
        };
        Self {
            hubs: (0..shards).map(hub).collect(),
            actions: (0..shards).map(|_| Actions::default()).collect(),
            now,
            conns: [None; CLIENTS],
            sockets: [None; CLIENTS],
            sids: Vec::new(),
            generation: 0,
            stale: [None; CLIENTS],
            last: [None; CLIENTS],
            pids: Default::default(),
            offsets: Default::default(),
        }
    }

    /// Does it, and says what was heard (sorted) and how it turned out.
    fn perform(&mut self, deed: &Deed) -> (Vec<Heard>, Outcome) {
        self.actions.iter_mut().for_each(Actions::clear);
        self.now += Duration::from_millis(1);
        match deed {
            Deed::Broadcast { from, targets, except, stamped } => {
                self.broadcast(*from, targets, except, *stamped);
            }
            Deed::Connect(client) => {
                let sid = self.connect(*client, "40");
                self.sids.push(sid);
            }
            Deed::Disconnect(client, way) => self.disconnect(*client, *way),
            Deed::EndTick => self.end_tick(),
            Deed::Join(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(*client, Event::Join { socket, room, ticket: TICKET });
            }
            Deed::Leave(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(*client, Event::Leave { socket, room, ticket: TICKET });
            }
            Deed::Return(client) => self.come_back(*client),
            Deed::Switch(client, from, to) => {
                let socket = self.speaker(*client);
                let (previous, next) = (ROOMS[*from], ROOMS[*to]);
                self.handle(*client, Event::Switch { socket, previous, next, ticket: TICKET });
            }
            Deed::Unwatch(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(*client, Event::Unwatch { socket, room, ticket: TICKET });
            }
            Deed::Watch(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(*client, Event::Watch { socket, room, ticket: TICKET });
            }
        }
        (self.heard(), self.outcome())
    }

    fn shard(&self, client: usize) -> usize {
        client % self.hubs.len()
    }

    /// Handles an event on the client's shard, and all that shards tell each other then.
    fn handle(&mut self, client: usize, event: Event<'_>) {
        let shard = self.shard(client);
        self.hubs[shard].handle(event, self.now, &mut self.actions[shard]);
        self.carry();
    }

    fn end_tick(&mut self) {
        for (hub, actions) in self.hubs.iter_mut().zip(&mut self.actions) {
            hub.end_tick(actions);
        }
        self.carry();
    }

    /// Carries messages between the shards until there are none.
    fn carry(&mut self) {
        loop {
            let mut messages = Vec::new();
            for (shard, actions) in self.actions.iter_mut().enumerate() {
                let from = ShardId(u8::try_from(shard).expect("few shards"));
                let list = std::mem::take(&mut actions.list);
                for action in list {
                    if let Action::Exchange { to, message } = action {
                        messages.push((from, to, message));
                    } else {
                        actions.list.push(action);
                    }
                }
            }
            if messages.is_empty() {
                return;
            }
            for (from, to, message) in messages {
                let to = usize::from(to.0);
                let event = Event::Exchange { from, message };
                self.hubs[to].handle(event, self.now, &mut self.actions[to]);
            }
            for (hub, actions) in self.hubs.iter_mut().zip(&mut self.actions) {
                hub.tell_askers(actions);
            }
        }
    }

    /// What all shards hold together.
    fn census(&self) -> Census {
        self.hubs.iter().map(Hub::census).fold(Census::default(), |sum, one| Census {
            connections: sum.connections + one.connections,
            sockets: sum.sockets + one.sockets,
            rooms: sum.rooms + one.rooms,
            deadlines: sum.deadlines + one.deadlines,
            held: sum.held + one.held,
            addresses: sum.addresses + one.addresses,
            made_namespaces: sum.made_namespaces + one.made_namespaces,
            sessions_waiting: sum.sessions_waiting + one.sessions_waiting,
        })
    }

    /// The client's socket; if it has gone, what a slow handler would still hold of it.
    fn speaker(&self, client: usize) -> SocketId {
        let shard = ShardId(u8::try_from(self.shard(client)).expect("few shards"));
        let unknown = parlor::room::SocketKey { shard, index: 0, generation: 0 };
        let unknown = SocketId { namespace: chat(), key: unknown };
        self.sockets[client].or(self.stale[client]).unwrap_or(unknown)
    }

    /// Connects, and says which id the client has then.
    fn connect(&mut self, client: usize, text: &str) -> Sid {
        let conn = match self.conns[client] {
            Some(conn) => conn,
            None => {
                let shard = self.shard(client);
                let mates = (shard..CLIENTS).step_by(self.hubs.len());
                let taken: Vec<u32> =
                    mates.filter_map(|mate| self.conns[mate]).map(|conn| conn.index).collect();
                let is_free = |index: &u32| !taken.contains(index);
                let index = (0..).find(is_free).expect("more indices than clients");
                self.generation += 1;
                let conn = ConnId { index, generation: self.generation };
                self.hubs[shard].open(conn, Opening::default(), self.now, &mut self.actions[shard]);
                self.conns[client] = Some(conn);
                conn
            }
        };
        let shard = self.shard(client);
        self.handle(client, Event::Text { conn, text });
        let attempt = self.actions[shard].list.iter().find_map(|action| {
            let Action::Notify(_, Notification::Connect { attempt, .. }) = action else {
                return None;
            };
            Some(*attempt)
        });
        let attempt = attempt.expect("the application is asked");
        self.handle(client, Event::Admit { conn, namespace: chat(), attempt });
        let connected = self.actions[shard].list.iter().find_map(|action| {
            let Action::Notify(_, Notification::Connected { socket, sid }) = action else {
                return None;
            };
            Some((*socket, *sid))
        });
        let (socket, sid) = connected.expect("the application is told");
        self.sockets[client] = Some(socket);
        self.last[client] = Some(sid);
        let mut texts = self.texts().into_iter();
        let is_answer = |(to, text): &(usize, String)| *to == client && text.starts_with("40");
        let (_, answer) = texts.rfind(is_answer).expect("CONNECT is answered");
        let answer: serde_json::Value = serde_json::from_str(&answer[2..]).expect("JSON");
        self.pids[client] = answer["pid"].as_str().expect("sessions can be recovered").to_owned();
        sid
    }

    /// Comes back as who it was; nothing else can be, with room for everything.
    fn come_back(&mut self, client: usize) {
        let pid = self.pids[client].clone();
        let text = match &self.offsets[client] {
            None => format!(r#"40{{"pid":"{pid}"}}"#),
            Some(offset) => format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#),
        };
        let former = self.last[client];
        let sid = self.connect(client, &text);
        assert_eq!((Some(sid), &self.pids[client]), (former, &pid), "it is recovered");
    }

    /// Waits until no session can be recovered any more.
    fn wait(&mut self) {
        self.now += WINDOW;
        for (hub, actions) in self.hubs.iter_mut().zip(&mut self.actions) {
            hub.handle_timeout(self.now, actions);
        }
        self.carry();
    }

    fn disconnect(&mut self, client: usize, way: Way) {
        let conn = self.conns[client].expect("it is connected");
        let socket = self.sockets[client].take().expect("it is connected");
        self.stale[client] = Some(socket);
        match way {
            Way::Left => self.handle(client, Event::Text { conn, text: "41" }),
            Way::Lost => self.lose(client),
            Way::PutOut => self.handle(client, Event::Disconnect { socket, close: false }),
        }
    }

    fn lose(&mut self, client: usize) {
        if let Some(conn) = self.conns[client].take() {
            self.handle(client, Event::Gone { conn, reason: Reason::TransportClose });
            let shard = self.shard(client);
            self.hubs[shard].remove(conn);
        }
    }

    fn broadcast(
        &mut self,
        from: Option<usize>,
        targets: &[Target],
        except: &[Target],
        stamped: bool,
    ) {
        let name = |target: &Target| -> Box<str> {
            match target {
                Target::Room(room) => ROOMS[*room].into(),
                Target::Socket(client) => match &self.last[*client] {
                    Some(sid) => sid.as_str().into(),
                    None => "nobody".into(),
                },
            }
        };
        let rooms: Vec<Box<str>> = targets.iter().map(name).collect();
        let except: Vec<Box<str>> = except.iter().map(name).collect();
        // The server itself speaks on any shard; so that it is not always the home, on the last.
        let on = from.unwrap_or(CLIENTS - 1);
        let nobody = Sid::new([0; 15]);
        let from = from.map(|client| {
            let socket = self.speaker(client);
            (socket.key, self.last[client].unwrap_or(nobody))
        });
        self.handle(
            on,
            Event::Broadcast(Broadcast {
                namespace: chat(),
                from,
                target: HubTarget { rooms: &rooms, except: &except },
                payload: Payload { json: r#"["message",{}]"#, attachments: &[] },
                stamped,
                volatile: false,
                replies: false,
                ticket: Some(TICKET),
            }),
        );
    }

    /// The events sent, sorted; packets that are none are of no interest here.
    fn heard(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        for (client, text) in self.texts() {
            let Some(json) = text.strip_prefix("42") else { continue };
            let (words, offset) = self.words(json);
            heard.push(Heard { client, words });
            self.offsets[client] = Some(offset);
        }
        heard.sort();
        heard
    }

    /// What was sent to each client, in order.
    fn texts(&self) -> Vec<(usize, String)> {
        let mut texts = Vec::new();
        for (shard, actions) in self.actions.iter().enumerate() {
            for action in &actions.list {
                let Action::Send { frame, to, .. } = action else { continue };
                let mut bytes = actions.bytes[frame.clone()].to_vec();
                let text = text(&mut bytes);
                for &conn in &actions.recipients[to.clone()] {
                    texts.push((self.client(shard, conn), text.clone()));
                }
            }
        }
        texts
    }

    fn client(&self, shard: usize, conn: ConnId) -> usize {
        let mut clients = (shard..CLIENTS).step_by(self.hubs.len());
        let client = clients.find(|&client| self.conns[client] == Some(conn));
        client.expect("only open connections are sent to")
    }

    /// What an event says, and its offset.
    fn words(&self, json: &str) -> (Words, String) {
        let (name, argument, offset): (String, serde_json::Value, String) =
            serde_json::from_str(json).expect("an event with one argument");
        let words = match name.as_str() {
            "message" => Words::Message(argument["seq"].as_u64()),
            "presence" => {
                let room = argument["room"].as_str().expect("a presence notice names its room");
                let room = ROOMS.iter().position(|name| *name == room).expect("a room of ours");
                let changes: Vec<(char, String)> =
                    serde_json::from_value(argument["changes"].clone()).expect("pairs");
                let change = |(sign, sid): &(char, String)| (*sign == '+', self.number(sid));
                Words::Presence(room, changes.iter().map(change).collect())
            }
            other => panic!("nobody said {other}"),
        };
        (words, offset)
    }

    fn number(&self, sid: &str) -> usize {
        let known = self.sids.iter().position(|known| known.as_str() == sid);
        known.expect("the id of a socket of ours")
    }

    fn outcome(&self) -> Outcome {
        let outcomes: BTreeMap<u64, &HubOutcome> = self
            .actions
            .iter()
            .flat_map(|actions| &actions.list)
            .filter_map(|action| {
                let Action::Resolve(ticket, outcome) = action else { return None };
                Some((ticket.0, outcome))
            })
            .collect();
        match outcomes.get(&TICKET.0) {
            None => Outcome::None,
            Some(HubOutcome::Accepted(seq)) => Outcome::Accepted(*seq),
            Some(HubOutcome::Gone) => Outcome::Gone,
            Some(HubOutcome::Left(left)) => Outcome::Left(*left),
            Some(HubOutcome::Members(Ok(members))) => Outcome::Members(*members),
            Some(
                HubOutcome::Members(Err(JoinError::Gone))
                | HubOutcome::Watching(Err(JoinError::Gone)),
            ) => Outcome::Gone,
            Some(HubOutcome::Members(Err(_)) | HubOutcome::Watching(Err(_))) => Outcome::TooMany,
            Some(HubOutcome::Watching(Ok(sids))) => {
                Outcome::Watching(sids.iter().map(|sid| self.number(sid.as_str())).collect())
            }
            Some(HubOutcome::Acked(_) | HubOutcome::Expecting(_) | HubOutcome::Sockets(_)) => {
                panic!("nothing here asks a client, or who is there")
            }
        }
    }
}

/// The one text message in a whole frame.
fn text(frame: &mut [u8]) -> String {
    let length = frame.len();
    let mut decoder = Decoder::new(Role::Client);
    match decoder.decode(frame, 1 << 20) {
        Ok((taken, Some(Message::Text(text)))) if taken == length => text.to_owned(),
        other => panic!("not one whole text frame: {other:?}"),
    }
}
