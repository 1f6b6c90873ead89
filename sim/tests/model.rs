//! The pure hub against the model, whatever is done to it: every client hears what
//! the model says, word for word and deed by deed, and nothing is left when all have
//! gone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor::hub::{
    Action, Actions, Broadcast, ConnId, Event, Hub, NamespaceId, Notification, Opening,
    Outcome as HubOutcome, Payload, SocketId, Target as HubTarget, Ticket,
};
use parlor::room::{IdSource, JoinError, Sid};
use parlor::websocket::{Decoder, Message, Role};
use parlor::{Limits, Reason};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sim::model::{CLIENTS, Deed, Heard, Model, Outcome, ROOMS, ROOMS_MAX, Target, Way, Words};

const CHAT: NamespaceId = NamespaceId(0);
const TICKET: Ticket = Ticket(7);

prop_state_machine! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn hub_does_what_the_model_says(sequential 1..60 => HubTest);
}

/// Ids count up, so that both sides know whose is whose.
struct Counting(u64);

impl IdSource for Counting {
    fn random(&mut self) -> [u8; 15] {
        self.0 += 1;
        bytes(self.0)
    }
}

fn bytes(number: u64) -> [u8; 15] {
    let mut bytes = [0; 15];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
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
            1 => (client(), way).prop_map(|(client, way)| Deed::Disconnect(client, way)),
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

/// The hub, with the connections that its driver would keep.
struct System {
    hub: Hub,
    actions: Actions,
    now: Instant,
    /// Of each client its open connection, in a namespace or not.
    conns: [Option<ConnId>; CLIENTS],
    sockets: [Option<SocketId>; CLIENTS],
    /// The sids by the number of the connection to the namespace.
    sids: Vec<Sid>,
    generation: u32,
    /// The last one that each client had, when it has gone.
    stale: [Option<SocketId>; CLIENTS],
}

struct HubTest;

impl StateMachineTest for HubTest {
    type SystemUnderTest = System;
    type Reference = Deeds;

    fn init_test(_: &Model) -> System {
        System::new()
    }

    fn apply(mut system: System, model: &Model, deed: Deed) -> System {
        let (heard, outcome) = system.perform(&deed);
        assert_eq!(heard, model.heard(), "heard at {deed:?}");
        assert_eq!(outcome, model.outcome(), "outcome of {deed:?}");
        system
    }

    fn check_invariants(system: &System, model: &Model) {
        let census = system.hub.census();
        assert_eq!((census.sockets, census.rooms), (model.sockets(), model.rooms()));
        assert_eq!(census.connections, system.conns.iter().flatten().count());
        assert_eq!(census.deadlines, census.connections);
    }

    fn teardown(mut system: System, _: Model) {
        for client in 0..CLIENTS {
            system.lose(client);
        }
        assert_eq!(system.hub.census(), Default::default(), "everybody has gone");
    }
}

impl System {
    fn new() -> Self {
        let limits = Limits { rooms_per_socket_max: ROOMS_MAX, ..Limits::default() };
        Self {
            hub: Hub::new(limits, &["/"], Box::new(Counting(0)), false),
            actions: Actions::default(),
            now: tokio::time::Instant::now().into_std(),
            conns: [None; CLIENTS],
            sockets: [None; CLIENTS],
            sids: Vec::new(),
            generation: 0,
            stale: [None; CLIENTS],
        }
    }

    /// Does it, and says what was heard (sorted) and how it turned out.
    fn perform(&mut self, deed: &Deed) -> (Vec<Heard>, Outcome) {
        self.actions.clear();
        self.now += Duration::from_millis(1);
        match deed {
            Deed::Broadcast { from, targets, except, stamped } => {
                self.broadcast(*from, targets, except, *stamped);
            }
            Deed::Connect(client) => self.connect(*client),
            Deed::Disconnect(client, way) => self.disconnect(*client, *way),
            Deed::EndTick => self.hub.end_tick(&mut self.actions),
            Deed::Join(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(Event::Join { socket, room, ticket: TICKET });
            }
            Deed::Leave(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(Event::Leave { socket, room, ticket: TICKET });
            }
            Deed::Switch(client, from, to) => {
                let socket = self.speaker(*client);
                let (previous, next) = (ROOMS[*from], ROOMS[*to]);
                self.handle(Event::Switch { socket, previous, next, ticket: TICKET });
            }
            Deed::Unwatch(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(Event::Unwatch { socket, room, ticket: TICKET });
            }
            Deed::Watch(client, room) => {
                let (socket, room) = (self.speaker(*client), ROOMS[*room]);
                self.handle(Event::Watch { socket, room, ticket: TICKET });
            }
        }
        (self.heard(), self.outcome())
    }

    fn handle(&mut self, event: Event<'_>) {
        self.hub.handle(event, self.now, &mut self.actions);
    }

    /// The client's socket; if it has gone, what a slow handler would still hold of it.
    fn speaker(&self, client: usize) -> SocketId {
        let unknown = parlor::room::SocketKey { index: 0, generation: 0 };
        let unknown = SocketId { namespace: CHAT, key: unknown };
        self.sockets[client].or(self.stale[client]).unwrap_or(unknown)
    }

    fn connect(&mut self, client: usize) {
        let conn = match self.conns[client] {
            Some(conn) => conn,
            None => {
                let is_free =
                    |index: &u32| self.conns.iter().flatten().all(|conn| conn.index != *index);
                let index = (0..).find(is_free).expect("more indices than clients");
                self.generation += 1;
                let conn = ConnId { index, generation: self.generation };
                self.hub.open(conn, Opening::default(), self.now, &mut self.actions);
                self.conns[client] = Some(conn);
                conn
            }
        };
        self.handle(Event::Text { conn, text: "40" });
        let attempt = self.actions.list.iter().find_map(|action| {
            let Action::Notify(_, Notification::Connect { attempt, .. }) = action else {
                return None;
            };
            Some(*attempt)
        });
        let attempt = attempt.expect("the application is asked");
        self.handle(Event::Admit { conn, namespace: CHAT, attempt });
        let connected = self.actions.list.iter().find_map(|action| {
            let Action::Notify(_, Notification::Connected { socket, sid }) = action else {
                return None;
            };
            Some((*socket, *sid))
        });
        let (socket, sid) = connected.expect("the application is told");
        self.sockets[client] = Some(socket);
        self.sids.push(sid);
    }

    fn disconnect(&mut self, client: usize, way: Way) {
        let conn = self.conns[client].expect("it is connected");
        let socket = self.sockets[client].take().expect("it is connected");
        self.stale[client] = Some(socket);
        match way {
            Way::Left => self.handle(Event::Text { conn, text: "41" }),
            Way::Lost => self.lose(client),
            Way::PutOut => self.handle(Event::Disconnect { socket, close: false }),
        }
    }

    fn lose(&mut self, client: usize) {
        if let Some(conn) = self.conns[client].take() {
            self.handle(Event::Gone { conn, reason: Reason::TransportClose });
            self.hub.remove(conn);
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
                Target::Socket(client) => match self.sockets[*client] {
                    Some(socket) => self.hub.sid(socket).expect("connected").as_str().into(),
                    None => "nobody".into(),
                },
            }
        };
        let rooms: Vec<Box<str>> = targets.iter().map(name).collect();
        let except: Vec<Box<str>> = except.iter().map(name).collect();
        let from = from.map(|client| self.speaker(client).key);
        self.handle(Event::Broadcast(Broadcast {
            namespace: CHAT,
            from,
            target: HubTarget { rooms: &rooms, except: &except },
            payload: Payload { json: r#"["message",{}]"#, attachments: &[] },
            stamped,
            volatile: false,
            ticket: Some(TICKET),
        }));
    }

    /// The events sent, sorted; packets that are none are of no interest here.
    fn heard(&self) -> Vec<Heard> {
        let mut heard = Vec::new();
        for action in &self.actions.list {
            let Action::Send { frame, to, .. } = action else { continue };
            let mut bytes = self.actions.bytes[frame.clone()].to_vec();
            let text = text(&mut bytes);
            let Some(json) = text.strip_prefix("42") else { continue };
            for conn in &self.actions.recipients[to.clone()] {
                let client = self.conns.iter().position(|open| open.as_ref() == Some(conn));
                let client = client.expect("only open connections are sent to");
                heard.push(Heard { client, words: self.words(json) });
            }
        }
        heard.sort();
        heard
    }

    fn words(&self, json: &str) -> Words {
        let (name, argument): (String, serde_json::Value) =
            serde_json::from_str(json).expect("an event with one argument");
        match name.as_str() {
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
        }
    }

    fn number(&self, sid: &str) -> usize {
        let known = self.sids.iter().position(|known| known.as_str() == sid);
        known.expect("the id of a socket of ours")
    }

    fn outcome(&self) -> Outcome {
        let outcomes: BTreeMap<u64, &HubOutcome> = self
            .actions
            .list
            .iter()
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
            Some(HubOutcome::Acked(_)) => panic!("nothing here asks a client"),
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
