//! The hub, driven by packets and commands: timelines, and whatever bytes.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::cases_min;
use crate::socketio::Kind;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Ids that count, so that failures repeat.
struct Counting(u8);

impl IdSource for Counting {
    fn random(&mut self) -> [u8; 15] {
        self.0 += 1;
        [self.0; 15]
    }
}

/// A hub with the namespaces `/` and `/b`, and what it did.
struct World {
    hub: Hub,
    now: Instant,
    actions: Actions,
    tickets: u64,
}

impl World {
    fn new() -> Self {
        let ids = Box::new(Counting(0));
        let hub = Hub::new(Place::ALONE, Limits::default(), &["/", "/b"], ids, false, now());
        let now = now();
        Self { hub, now, actions: Actions::default(), tickets: 0 }
    }

    fn open(&mut self, index: u32) -> ConnId {
        let conn = ConnId { index, generation: index + 1 };
        self.hub.open(conn, Opening::default(), self.now, &mut self.actions);
        conn
    }

    fn handle(&mut self, event: Event<'_>) {
        self.hub.handle(event, self.now, &mut self.actions);
    }

    /// Lets in whoever asks, as an application without a guard does.
    fn text(&mut self, conn: ConnId, text: &str) {
        self.handle(Event::Text { conn, text });
        let requests: Vec<_> = self.actions.list.iter().filter_map(asked).collect();
        self.actions.list.retain(|action| asked(action).is_none());
        for (conn, namespace, attempt) in requests {
            self.handle(Event::Admit { conn, namespace, attempt });
        }
    }

    fn connect(&mut self, index: u32) -> (ConnId, SocketId) {
        let conn = self.open(index);
        self.text(conn, "40");
        let key = self.hub.key_of(conn, NamespaceId::registered(0)).expect("let in");
        self.actions.clear();
        (conn, SocketId { namespace: NamespaceId::registered(0), key })
    }

    fn join(&mut self, socket: SocketId, room: &str) {
        self.tickets += 1;
        self.handle(Event::Join { socket, room, ticket: Ticket(self.tickets) });
    }

    fn say(&mut self, socket: SocketId, room: &str, json: &str) {
        self.handle(Event::Broadcast(Broadcast {
            namespace: socket.namespace,
            from: self.hub.sid(socket).map(|sid| (socket.key, sid)),
            target: Target { rooms: &[room.into()], except: &[] },
            payload: Payload { json, attachments: &[] },
            stamped: false,
            volatile: false,
            replies: false,
            ticket: None,
        }));
    }

    /// What was sent since the last time, as (connection, text frame's payload).
    fn sent(&mut self) -> Vec<(u32, String)> {
        let mut sent = Vec::new();
        for action in &self.actions.list {
            if let Action::Send { frame, to, .. } = action {
                let frame = &self.actions.bytes[frame.clone()];
                let text = String::from_utf8(frame[2..].to_vec()).expect("short text frames only");
                let to = &self.actions.recipients[to.clone()];
                sent.extend(to.iter().map(|conn| (conn.index, text.clone())));
            }
        }
        self.actions.clear();
        sent
    }

    fn closed(&self) -> Vec<(u32, Option<u16>)> {
        let close = |action: &Action| match action {
            Action::Close { conn, close_code } => Some((conn.index, *close_code)),
            Action::Accepted(_)
            | Action::Exchange { .. }
            | Action::Notify(..)
            | Action::Replied(..)
            | Action::Resolve(..)
            | Action::Seen(_)
            | Action::Send { .. }
            | Action::ServerSide(..) => None,
        };
        self.actions.list.iter().filter_map(close).collect()
    }
}

fn asked(action: &Action) -> Option<(ConnId, NamespaceId, u32)> {
    match action {
        Action::Notify(conn, Notification::Connect { namespace, attempt, .. }) => {
            Some((*conn, *namespace, *attempt))
        }
        Action::Accepted(_)
        | Action::Close { .. }
        | Action::Exchange { .. }
        | Action::Notify(..)
        | Action::Replied(..)
        | Action::Resolve(..)
        | Action::Seen(_)
        | Action::Send { .. }
        | Action::ServerSide(..) => None,
    }
}

fn in_msgpack(kind: Kind, json: Option<&str>) -> Vec<u8> {
    let mut packet = Vec::new();
    crate::socketio::msgpack::encode(kind, "/", None, json, &[], &mut packet);
    packet
}

/// What is told of sockets, in short.
fn seen(world: &mut World) -> Vec<String> {
    let short = |action: &Action| match action {
        Action::Seen(sighting) => Some(format!("{} {:?}", sighting.namespace, sighting.sight)),
        Action::Accepted(_)
        | Action::Close { .. }
        | Action::Exchange { .. }
        | Action::Notify(..)
        | Action::Replied(..)
        | Action::Resolve(..)
        | Action::Send { .. }
        | Action::ServerSide(..) => None,
    };
    let seen = world.actions.list.iter().filter_map(short).collect();
    world.actions.clear();
    seen
}

/// A socket's life, in which everything happens that can be told.
fn live(world: &mut World) -> Vec<String> {
    let conn = world.open(0);
    world.text(conn, "40");
    let namespace = NamespaceId::registered(0);
    let socket = SocketId { namespace, key: world.hub.key_of(conn, namespace).unwrap() };
    let data = serde_json::json!(1);
    world.handle(Event::SetData { socket, data: &data });
    world.join(socket, "a");
    world.handle(Event::Switch { socket, previous: "a", next: "b", ticket: Ticket(99) });
    world.text(conn, r#"42["e",1]"#);
    let payload = Payload { json: r#"["f"]"#, attachments: &[] };
    world.handle(Event::Emit { socket, payload, volatile: true, ticket: None });
    world.handle(Event::Broadcast(Broadcast {
        namespace,
        from: None,
        target: Target::default(),
        payload,
        stamped: false,
        volatile: false,
        replies: false,
        ticket: None,
    }));
    world.handle(Event::Leave { socket, room: "b", ticket: Ticket(100) });
    world.handle(Event::Gone { conn, reason: Reason::PingTimeout });
    seen(world)
}

#[test]
fn a_watched_life_is_told_in_its_order_and_another_is_not() {
    let mut world = World::new();
    assert_eq!(live(&mut world), Vec::<String>::new());
    for (own, told) in [(1, true), (0, false)] {
        let mut world = World::new();
        world.hub.set_sighted(Some(NamespaceId::registered(own)));
        let is_event = |it: &&str| it.contains("Received") || it.contains("Sent");
        let expected = [
            r#"/ Connected { conn: ConnId { index: 0, generation: 1 }, rooms: [], data: "null" }"#,
            r#"/ Data("1")"#,
            r#"/ Joined("a")"#,
            r#"/ Left("a")"#,
            r#"/ Joined("b")"#,
            r#"/ Received(Args { json: "[\"e\",1]", attachments: [] })"#,
            r#"/ Sent("[\"f\"]", [])"#,
            r#"/ Sent("[\"f\"]", [])"#,
            r#"/ Left("b")"#,
            r#"/ Disconnected { reason: PingTimeout, rooms: [] }"#,
        ];
        let expected: Vec<&str> = expected.into_iter().filter(|it| told || !is_event(it)).collect();
        assert_eq!(live(&mut world), expected);
        world.hub.set_sighted(None);
        world.hub.remove(ConnId { index: 0, generation: 1 });
        assert_eq!(live(&mut world), Vec::<String>::new());
    }
}

#[test]
fn each_client_hears_its_own_parser() {
    let mut world = World::new();
    let (_, speaker) = world.connect(0);
    let (_, other) = world.connect(1);
    let conn = world.open(2);
    world.actions.clear();
    world.handle(Event::Binary { conn, bytes: &in_msgpack(Kind::Connect, None) });
    world.handle(Event::Admit { conn, namespace: NamespaceId::registered(0), attempt: 1 });
    let key = world.hub.key_of(conn, NamespaceId::registered(0)).expect("let in");
    let packed = SocketId { namespace: NamespaceId::registered(0), key };
    for socket in [speaker, other, packed] {
        world.join(socket, "a");
    }
    world.actions.clear();
    world.say(speaker, "a", r#"["hi",1]"#);
    let mut sent = Vec::new();
    for action in &world.actions.list {
        if let Action::Send { frame, to, .. } = action {
            let to: Vec<u32> =
                world.actions.recipients[to.clone()].iter().map(|to| to.index).collect();
            sent.push((to, world.actions.bytes[frame.clone()][2..].to_vec()));
        }
    }
    let packet = in_msgpack(Kind::Event, Some(r#"["hi",1]"#));
    assert_eq!(sent, [(vec![1], br#"42["hi",1]"#.to_vec()), (vec![2], packet)]);
    // Who began with one parser does not go over to the other.
    world.text(conn, r#"42["hi"]"#);
    assert_eq!(world.closed(), [(2, Some(1002))]);
    for index in 0..3 {
        let conn = ConnId { index, generation: index + 1 };
        world.handle(Event::Gone { conn, reason: Reason::TransportClose });
        world.hub.remove(conn);
    }
    assert_eq!(world.hub.in_msgpack, 0);
}

#[test]
fn a_namespace_made_of_a_template_goes_with_its_last_socket() {
    let ids = Box::new(Counting(0));
    let hub = Hub::new(Place::ALONE, Limits::default(), &["/", ""], ids, false, now());
    let mut world = World { hub, ..World::new() };
    let (first, _) = world.connect(0);
    let (second, _) = world.connect(1);
    for conn in [first, second] {
        world.handle(Event::Text { conn, text: "40/made,{\"a\":1}" });
        let found = Event::Found { conn, name: "/made", template: Some(1), auth: None };
        world.handle(found);
        let namespace = world.hub.namespace("/made").expect("it was made");
        assert_eq!(namespace.template(), 1);
        world.handle(Event::Admit { conn, namespace, attempt: 2 });
        assert!(world.hub.key_of(conn, namespace).is_some());
    }
    let namespace = world.hub.namespace("/made").expect("it was made");
    world.actions.clear();
    world.text(first, "41/made,");
    assert_eq!(world.hub.name(namespace), "/made", "somebody is still in it");
    let key = world.hub.key_of(second, namespace).expect("connected");
    world.handle(Event::Disconnect { socket: SocketId { namespace, key }, close: false });
    world.text(second, "42/made,[\"late\"]");
    assert_eq!(world.closed(), [], "what races the disconnect is ignored");
    world.handle(Event::Gone { conn: second, reason: Reason::TransportClose });
    assert_eq!(world.hub.namespace("/made"), None);
    assert_eq!(world.hub.census().made_namespaces, 0);
    world.text(first, "42/made,[\"hi\"]");
    assert_eq!(world.closed(), [(1, None), (0, Some(1002))]);
}

#[test]
fn a_template_is_asked_about_everybody_and_who_leaves_meanwhile_does_not_get_in() {
    let ids = Box::new(Counting(0));
    let hub = Hub::new(Place::ALONE, Limits::default(), &["/", "", ""], ids, false, now());
    let mut world = World { hub, ..World::new() };
    let [(member, _), (guest, _), (leaver, _)] = [0, 1, 2].map(|index| world.connect(index));
    for conn in [member, guest, leaver] {
        world.handle(Event::Text { conn, text: "40/made," });
    }
    let found = |conn, template| Event::Found { conn, name: "/made", template, auth: None };
    world.handle(found(member, Some(1)));
    let namespace = world.hub.namespace("/made").expect("it was made");
    world.handle(Event::Admit { conn: member, namespace, attempt: 2 });
    world.sent();
    let refusal = r#"44/made,{"message":"Invalid namespace"}"#;
    for template in [None, Some(2)] {
        world.handle(found(guest, template));
        assert_eq!(world.sent(), texts(&[(1, refusal)]), "though there is one, of {template:?}");
        world.handle(Event::Text { conn: guest, text: "40/made," });
    }
    world.text(leaver, "41/made,");
    world.handle(found(leaver, Some(1)));
    assert_eq!(world.sent(), []);
    assert_eq!(world.closed(), [], "it was in time");
    world.handle(found(guest, Some(1)));
    world.handle(Event::Admit { conn: guest, namespace, attempt: 2 });
    assert!(world.hub.key_of(guest, namespace).is_some(), "it is looked at each time");
    assert!(world.hub.key_of(leaver, namespace).is_none());
}

#[test]
fn a_name_that_no_template_accepts_is_invalid() {
    let ids = Box::new(Counting(0));
    let hub = Hub::new(Place::ALONE, Limits::default(), &["/", ""], ids, false, now());
    let mut world = World { hub, ..World::new() };
    let (conn, _) = world.connect(0);
    world.handle(Event::Text { conn, text: "40/odd," });
    world.sent();
    world.handle(Event::Found { conn, name: "/odd", template: None, auth: None });
    let refusal = r#"44/odd,{"message":"Invalid namespace"}"#;
    assert_eq!(world.sent(), texts(&[(0, refusal)]));
    world.handle(Event::Found { conn, name: "/odd", template: Some(1), auth: None });
    assert_eq!(world.hub.census().made_namespaces, 0, "nobody asks for it any more");
}

fn texts(sent: &[(u32, &str)]) -> Vec<(u32, String)> {
    sent.iter().map(|&(conn, text)| (conn, text.to_owned())).collect()
}

#[test]
fn connect_is_answered_with_the_sid_alone() {
    let mut world = World::new();
    let conn = world.open(0);
    world.sent();
    world.text(conn, "40");
    assert_eq!(world.sent(), texts(&[(0, r#"40{"sid":"AgICAgICAgICAgICAgIC"}"#)]));
    world.text(conn, "40/none,");
    let refusal = r#"44/none,{"message":"Invalid namespace"}"#;
    assert_eq!(world.sent(), texts(&[(0, refusal)]), "and the connection stays");
    world.text(conn, "40/b,");
    assert_eq!(world.sent(), texts(&[(0, r#"40/b,{"sid":"AwMDAwMDAwMDAwMDAwMD"}"#)]));
}

#[test]
fn broadcast_reaches_the_members_but_its_sender() {
    let mut world = World::new();
    let sockets: Vec<_> = (0..3).map(|index| world.connect(index).1).collect();
    for &socket in &sockets {
        world.join(socket, "a");
    }
    world.actions.clear();
    world.say(sockets[1], "a", r#"["hi"]"#);
    assert_eq!(world.sent(), texts(&[(0, r#"42["hi"]"#), (2, r#"42["hi"]"#)]));
    world.say(sockets[1], "b", r#"["hi"]"#);
    assert_eq!(world.sent(), []);
}

#[test]
fn packets_that_break_the_protocol_close_their_connection_only() {
    for text in [
        "",
        "7",
        "0{}",
        "2",
        "2probe",
        "3probe",
        "5",
        "6",
        "40",
        "40[]",
        "41/b,",
        "42/b,[\"e\"]",
        "42/none,[\"e\"]",
        "42",
        "42[]",
        "42[1]",
        "42[\"connect\"]",
        "42[\"disconnecting\"]",
        "43",
        "44{}",
        "450-[\"e\"]",
        "4511-[\"e\"]",
    ] {
        let mut world = World::new();
        let ((conn, _), (other, _)) = (world.connect(0), world.connect(1));
        world.text(conn, text);
        assert_eq!(world.closed(), [(0, Some(1002))], "{text:?}");
        world.actions.clear();
        world.text(other, "42[\"e\"]");
        assert_eq!(world.closed(), [], "{text:?}");
    }
}

#[test]
fn what_races_the_servers_own_disconnect_is_ignored() {
    let mut world = World::new();
    let (conn, socket) = world.connect(0);
    world.handle(Event::Disconnect { socket, close: false });
    assert_eq!(world.sent(), texts(&[(0, "41")]));
    for text in ["42[\"late\"]", "430[]", "41"] {
        world.text(conn, text);
        assert!(world.actions.list.is_empty(), "{text:?}");
    }
    world.text(conn, "40");
    assert!(world.hub.key_of(conn, NamespaceId::registered(0)).is_some(), "it may come back");
}

#[test]
fn ping_goes_out_after_the_interval_and_silence_ends_the_connection() {
    let mut world = World::new();
    world.connect(0);
    let start = world.now;
    assert_eq!(world.hub.deadline(), Some(start + Duration::from_secs(25)));
    let mut timeout = |seconds| {
        world.hub.handle_timeout(start + Duration::from_secs(seconds), &mut world.actions);
        (world.closed(), world.sent())
    };
    assert_eq!(timeout(24), (vec![], vec![]));
    assert_eq!(timeout(25), (vec![], texts(&[(0, "2")])));
    assert_eq!(timeout(44), (vec![], vec![]));
    assert_eq!(timeout(45), (vec![(0, None)], vec![]));
}

#[test]
fn who_never_connects_to_a_namespace_is_closed() {
    let mut world = World::new();
    let conn = world.open(0);
    world.actions.clear();
    world.now += Duration::from_secs(45);
    for beat in [25, 25, 45] {
        let now = world.now - Duration::from_secs(45) + Duration::from_secs(beat);
        world.hub.handle_timeout(now, &mut world.actions);
        world.handle(Event::Text { conn, text: "3" });
    }
    assert_eq!(world.closed(), [(0, Some(1000))]);
}

#[test]
fn acks_awaited_from_who_goes_are_given_up() {
    let mut world = World::new();
    let (conn, socket) = world.connect(0);
    let ticket = Some(Ticket(7));
    let payload = Payload { json: r#"["q"]"#, attachments: &[] };
    world.handle(Event::Emit { socket, payload, volatile: false, ticket });
    assert_eq!(world.sent(), texts(&[(0, r#"420["q"]"#)]));
    world.handle(Event::Gone { conn, reason: Reason::TransportClose });
    let gone = |action: &Action| matches!(action, Action::Resolve(Ticket(7), Outcome::Gone));
    assert!(world.actions.list.iter().any(gone));
}

/// Pieces of packets, so that random texts come near to legal ones.
fn near_packet() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "4",
        "0",
        "1",
        "2",
        "3",
        "5",
        "6",
        "7",
        "/b,",
        "/none,",
        "1-",
        "2-",
        "[",
        "]",
        "{",
        "}",
        "\"e\"",
        "\"connect\"",
        ",",
        "{\"_placeholder\":true,\"num\":0}",
        "12",
        "null",
        "é",
        "",
    ]);
    prop_oneof![vec(piece, 0..8).prop_map(|pieces| pieces.concat()), ".{0,12}"]
}

#[derive(Clone, Debug)]
enum Input {
    Binary(u32, Vec<u8>),
    Gone(u32),
    Join(u32, bool),
    Say(u32),
    Text(u32, String),
    Wait(u64),
}

fn input() -> impl Strategy<Value = Input> {
    let conn = || 0..3u32;
    prop_oneof![
        8 => (conn(), near_packet()).prop_map(|(conn, text)| Input::Text(conn, text)),
        4 => conn().prop_map(|conn| Input::Text(conn, "40".to_owned())),
        2 => (conn(), vec(any::<u8>(), 0..9)).prop_map(|(conn, bytes)| Input::Binary(conn, bytes)),
        1 => conn().prop_map(Input::Gone),
        3 => (conn(), any::<bool>()).prop_map(|(conn, room)| Input::Join(conn, room)),
        3 => conn().prop_map(Input::Say),
        1 => (0..60u64).prop_map(Input::Wait),
    ]
}

proptest! {
    #![proptest_config(cases_min(2_000))]

    /// Whatever peers send, nothing panics, and once they have gone nothing is left.
    #[test]
    fn whatever_comes_the_hub_stands_and_forgets(inputs in vec(input(), 0..80)) {
        let mut world = World::new();
        let conns: Vec<_> = (0..3).map(|index| world.open(index)).collect();
        for input in inputs {
            match input {
                Input::Binary(conn, bytes) => {
                    world.handle(Event::Binary { conn: conns[conn as usize], bytes: &bytes });
                }
                Input::Gone(conn) => {
                    let (conn, reason) = (conns[conn as usize], Reason::TransportError);
                    world.handle(Event::Gone { conn, reason });
                }
                Input::Join(conn, room) => {
                    if let Some(key) = world.hub.key_of(conns[conn as usize], NamespaceId::registered(0)) {
                        let socket = SocketId { namespace: NamespaceId::registered(0), key };
                        world.join(socket, if room { "a" } else { "b" });
                    }
                }
                Input::Say(conn) => {
                    if let Some(key) = world.hub.key_of(conns[conn as usize], NamespaceId::registered(0)) {
                        world.say(SocketId { namespace: NamespaceId::registered(0), key }, "a", r#"["hi"]"#);
                    }
                }
                Input::Text(conn, text) => world.text(conns[conn as usize], &text),
                Input::Wait(seconds) => {
                    world.now += Duration::from_secs(seconds);
                    world.hub.handle_timeout(world.now, &mut world.actions);
                }
            }
            world.hub.end_tick(&mut world.actions);
            world.actions.clear();
        }
        for conn in conns {
            world.handle(Event::Gone { conn, reason: Reason::TransportClose });
            world.hub.remove(conn);
        }
        prop_assert_eq!(world.hub.census(), Census::default());
    }
}
