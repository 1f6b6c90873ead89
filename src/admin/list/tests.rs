//! One shard without its driver. Wherever the answer to a question pauses,
//! something happens to sockets: each of that must be in the list, or told
//! behind it, and not both.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::admin::{AdminConfig, PasswordHash};
use crate::app::Observer;
use crate::hub::{ConnId, Event, Limits, NamespaceId, Opening, Reason, Sight, SocketId};
use crate::shard::{Core, mesh};

/// The rooms of each socket, by ids.
type Rooms = BTreeMap<String, BTreeSet<String>>;

const HASH: &str = "$2a$04$s6wa2z9Bs1dt.mllNxnq7ev5Ia5nZ0qfMWCs/tl2DVJnPSc5YXYde";

struct Shard {
    core: Rc<Core>,
    engine: Engine,
    admin: Admin,
    /// How much has happened.
    happened: u32,
}

impl Shard {
    fn new() -> Self {
        let exchange = mesh(1).pop().unwrap();
        let now = || Instant::now().into_std();
        let core = Core::new(exchange, Limits::default(), &["/", "/admin"], [7; 32], now, None);
        let config = AdminConfig::new("operator", PasswordHash::parse(HASH).unwrap());
        let admin = Admin::new(config, &Observer::new(1));
        Self { engine: Engine::new(Rc::clone(&core)), core, admin, happened: 0 }
    }

    fn connect(&self, index: u32, namespace: usize, text: &str) -> SocketId {
        let conn = conn(index);
        self.core.open(conn, Opening::default(), None, Waker::noop());
        self.core.handle(Event::Text { conn, text });
        let namespace = NamespaceId::registered(namespace);
        self.core.handle(Event::Admit { conn, namespace, attempt: 1 });
        self.core.read(|hub| hub.sockets_of(conn))[0]
    }

    /// A socket comes, and enters two rooms; the one before it leaves one, and the one before that goes.
    fn happen(&mut self) {
        let index = self.happened;
        self.happened += 1;
        let socket = self.connect(index, 0, "40");
        for room in ["a", "b"] {
            drop(self.core.ask(|ticket| Event::Join { socket, room, ticket }));
        }
        if let Some(previous) = index.checked_sub(1).map(conn) {
            for socket in self.core.read(|hub| hub.sockets_of(previous)) {
                drop(self.core.ask(|ticket| Event::Leave { socket, room: "a", ticket }));
            }
        }
        if let Some(gone) = index.checked_sub(2).map(conn) {
            self.core.handle(Event::Gone { conn: gone, reason: Reason::TransportClose });
        }
    }

    /// Asks for the list, and lets something happen wherever the answer pauses.
    fn list(&mut self) -> Vec<Value> {
        let (admin, engine) = (self.admin.clone(), self.engine.clone());
        let (answer, mut answers) = mpsc::channel(1);
        let (release, released) = watch::channel(());
        let asked = Ask::Sockets { answer, released };
        let mut answering = pin!(super::answer(&admin, &engine, asked));
        let mut cx = Context::from_waker(Waker::noop());
        let list = loop {
            let polled = answering.as_mut().poll(&mut cx);
            self.happen();
            if let Ok(list) = answers.try_recv() {
                break list;
            }
            assert_eq!(polled, Poll::Pending, "it answers before it ends");
        };
        // What has happened meanwhile must not be told before the list was.
        for _ in 0..9 {
            self.happen();
            assert_eq!(answering.as_mut().poll(&mut cx), Poll::Pending, "the list is on its way");
        }
        drop(release);
        assert_eq!(answering.as_mut().poll(&mut cx), Poll::Ready(()));
        list
    }

    fn rooms_now(&self) -> Rooms {
        let mut rooms = Rooms::new();
        for (sighting, _) in self.engine.sightings_now() {
            follow(&mut rooms, &sighting);
        }
        rooms
    }
}

fn conn(index: u32) -> ConnId {
    ConnId { index, generation: index + 1 }
}

/// What a list says.
fn read(list: &[Value]) -> Rooms {
    let mut rooms = Rooms::new();
    for socket in list {
        let id = socket["id"].as_str().unwrap();
        let of = socket["rooms"].as_array().unwrap().iter().map(|room| room.as_str().unwrap());
        let of = of.filter(|room| *room != id).map(str::to_owned).collect();
        assert!(rooms.insert(id.to_owned(), of).is_none(), "{id} is there twice");
    }
    rooms
}

/// Does what is told. Each thing must be news.
fn follow(rooms: &mut Rooms, sighting: &Sighting) {
    let id = sighting.sockets[0].to_string();
    let told = &sighting.sight;
    match told {
        Sight::Connected { rooms: of, .. } => {
            let of = of.iter().map(|room| room.to_string()).collect();
            assert!(rooms.insert(id, of).is_none(), "{told:?} was known");
        }
        Sight::Disconnected { .. } => {
            assert!(rooms.remove(&id).is_some(), "{told:?} was known");
        }
        Sight::Joined(room) => {
            assert!(rooms.get_mut(&id).unwrap().insert(room.to_string()), "{told:?} was known");
        }
        Sight::Left(room) => {
            assert!(rooms.get_mut(&id).unwrap().remove(&**room), "{told:?} was known");
        }
        Sight::Data(_) | Sight::Received(_) | Sight::Sent(..) | Sight::Upgraded => {}
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_happens_meanwhile_is_in_the_list_or_told_behind_it_and_never_both() {
    let mut shard = Shard::new();
    shard.happen();
    // The first finds nobody watching, the others what the ones before them have not been told.
    for _ in 0..3 {
        let mut rooms = read(&shard.list());
        shard.happen();
        for (sighting, _) in shard.engine.sightings(usize::MAX).await.list {
            follow(&mut rooms, &sighting);
        }
        assert_eq!(rooms, shard.rooms_now());
        (0..9).for_each(|_| shard.happen());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_not_told_yet_is_told_before_a_list() {
    let mut shard = Shard::new();
    let operator = shard.connect(1000, 1, "40/admin,");
    assert_eq!(operator.namespace, NamespaceId::registered(1));
    shard.list();
    let told = || shard.core.counters().deliveries;
    assert_eq!(told(), 0, "nothing but the list");
    let before = shard.engine.sightings(usize::MAX).await.list.len();
    assert!(before > 0);
    shard.happen();
    shard.list();
    // A socket with its own room, two rooms; one left; one gone, with its own room and one more.
    assert_eq!(shard.core.counters().deliveries, 2 + 2 + 1 + 3);
}
