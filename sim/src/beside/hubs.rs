//! The hubs, with what their drivers and clients would keep.

use std::time::{Duration, Instant};

use parlor::Limits;
use parlor::Reason;
use parlor::hub::{
    Action, Actions, Broadcast, Census, ConnId, Event, Hub, NamespaceId, Notification, Opening,
    Payload, Place, Recovery, SocketId, Target as HubTarget, Ticket,
};
use parlor::room::{IdSource, ShardId, Sid};
use parlor::websocket::{Decoder, Role};

use super::words::{Packet, packet};
use crate::model::{CLIENTS, Deed, Heard, Outcome, ROOMS, ROOMS_MAX, Target, Way};

/// Whatever is asked of a hub.
const TICKET: Ticket = Ticket(7);

/// How long sessions are waited for: longer than any case.
const WINDOW: Duration = Duration::from_secs(1);

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

/// The hubs, with the connections that their drivers would keep. Client c is on shard c modulo
/// their number.
#[derive(Debug)]
pub(super) struct Hubs {
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
    /// A frame on its way to a client: what reads it may write in it.
    frame: Vec<u8>,
    decoder: Decoder,
}

impl Hubs {
    pub(super) fn new(shards: u8) -> Self {
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
            frame: Vec::new(),
            decoder: Decoder::new(Role::Client),
        }
    }

    /// Does it, and says what was heard (sorted) and how it turned out.
    pub(super) fn perform(&mut self, deed: &Deed) -> (Vec<Heard>, Outcome) {
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

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.conns.iter().flatten().count()
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
            for (from, actions) in (0..).map(ShardId).zip(&mut self.actions) {
                let told = actions.list.extract_if(.., |it| matches!(it, Action::Exchange { .. }));
                messages.extend(told.map(|message| (from, message)));
            }
            if messages.is_empty() {
                return;
            }
            for (from, message) in messages {
                let Action::Exchange { to, message } = message else { continue };
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
    pub(super) fn census(&self) -> Census {
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
        let shard = self.shard(client);
        let conn = self.conns[client].unwrap_or_else(|| self.open(client));
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
        sid
    }

    /// Opens a connection at the first place of the client's shard that is free.
    fn open(&mut self, client: usize) -> ConnId {
        let shard = self.shard(client);
        let is_taken = |index: u32| {
            let mut mates = (shard..CLIENTS).step_by(self.hubs.len());
            mates.any(|mate| self.conns[mate].is_some_and(|conn| conn.index == index))
        };
        let index = (0..).find(|&index| !is_taken(index)).expect("more indices than clients");
        self.generation += 1;
        let conn = ConnId { index, generation: self.generation };
        self.hubs[shard].open(conn, Opening::default(), self.now, &mut self.actions[shard]);
        self.conns[client] = Some(conn);
        conn
    }

    /// Comes back as who it was; nothing else can be, with room for everything.
    fn come_back(&mut self, client: usize) {
        let pid = &self.pids[client];
        let text = match &self.offsets[client] {
            None => format!(r#"40{{"pid":"{pid}"}}"#),
            Some(offset) => format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#),
        };
        let former = self.last[client];
        let sid = self.connect(client, &text);
        assert_eq!(Some(sid), former, "it is recovered");
    }

    /// Waits until no session can be recovered any more.
    pub(super) fn wait(&mut self) {
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

    pub(super) fn lose(&mut self, client: usize) {
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

    /// The events that clients hear now, sorted. What else they are sent they note.
    fn heard(&mut self) -> Vec<Heard> {
        let Self { actions, conns, sids, pids, offsets, frame, decoder, .. } = self;
        let shards = actions.len();
        let mut heard = Vec::new();
        for (shard, actions) in actions.iter().enumerate() {
            for action in &actions.list {
                let Action::Send { frame: range, to, .. } = action else { continue };
                frame.clear();
                frame.extend_from_slice(&actions.bytes[range.clone()]);
                let packet = packet(decoder, frame, sids);
                for &conn in &actions.recipients[to.clone()] {
                    let mut clients = (shard..CLIENTS).step_by(shards);
                    let client = clients.find(|&client| conns[client] == Some(conn));
                    let client = client.expect("only open connections are sent to");
                    match &packet {
                        Packet::Connected { pid } => (*pid).clone_into(&mut pids[client]),
                        Packet::Event { words, offset } => {
                            let words = words.clone();
                            heard.push(Heard { client, words });
                            let known = offsets[client].get_or_insert_default();
                            (*offset).clone_into(known);
                        }
                        Packet::Other => {}
                    }
                }
            }
        }
        heard.sort_unstable();
        heard
    }

    /// What whoever asked was told.
    fn outcome(&self) -> Outcome {
        let mut told = self.actions.iter().flat_map(|actions| &actions.list).filter_map(|action| {
            let Action::Resolve(TICKET, outcome) = action else { return None };
            Some(outcome)
        });
        let first = told.next();
        assert!(told.next().is_none(), "who asks is told once");
        first.map_or(Outcome::None, |outcome| super::words::outcome(outcome, &self.sids))
    }
}
