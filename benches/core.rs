//! The pure core under a random load: `cargo bench --bench core`.
//!
//! A case is a fresh hub, eight sockets and a hundred operations on three rooms:
//! what a property test of the core does, without a model and without a runtime. What
//! the hub wants done is kept in the same place from case to case, as its owner does.

#[path = "support/hub.rs"]
mod hub;

use std::hint::black_box;
use std::slice;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hub::hub_with_sockets;
use parlor::hub::{Actions, Broadcast, Event, Hub, NamespaceId, Payload, SocketId, Target, Ticket};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const SOCKETS: u32 = 8;
const OPERATIONS: usize = 100;
const TICKET: Ticket = Ticket(0);

/// A hub and the sockets of its one namespace.
struct Case<'a> {
    hub: Hub,
    actions: &'a mut Actions,
    sockets: Vec<SocketId>,
    now: Instant,
}

impl<'a> Case<'a> {
    fn new(now: Instant, actions: &'a mut Actions) -> Self {
        let (hub, sockets) = hub_with_sockets(SOCKETS, now, actions);
        Self { hub, actions, sockets, now }
    }

    fn handle(&mut self, event: Event<'_>) {
        self.actions.clear();
        self.hub.handle(event, self.now, self.actions);
    }

    fn operate(&mut self, dice: &mut ChaCha8Rng, rooms: &[Box<str>; 3]) {
        let number = dice.next_u32() as usize;
        let socket = self.sockets[number % self.sockets.len()];
        let [room, next] = [&rooms[(number >> 8) % 3], &rooms[(number >> 12) % 3]];
        match (number >> 16) % 10 {
            0..3 => self.handle(Event::Join { socket, room, ticket: TICKET }),
            3 => self.handle(Event::Leave { socket, room, ticket: TICKET }),
            4 => {
                self.handle(Event::Switch { socket, previous: room, next, ticket: TICKET });
            }
            5 => self.hub.end_tick(self.actions),
            _ => {
                let sid = self.hub.sid(socket).expect("it is connected");
                self.handle(Event::Broadcast(Broadcast {
                    namespace: NamespaceId::registered(0),
                    from: Some((socket.key, sid)),
                    target: Target { rooms: slice::from_ref(room), except: &[] },
                    payload: Payload { json: r#"["message",{}]"#, attachments: &[] },
                    stamped: true,
                    volatile: false,
                    replies: false,
                    ticket: Some(TICKET),
                }));
            }
        }
    }
}

fn random_operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    let now = tokio::time::Instant::now().into_std();
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let rooms: [Box<str>; 3] = ["a", "b", "ab"].map(Into::into);
    let mut actions = Actions::default();
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    group.bench_function("100 operations on an old hub", |bencher| {
        let mut case = Case::new(now, &mut actions);
        bencher.iter(|| (0..OPERATIONS).for_each(|_| case.operate(&mut dice, &rooms)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a case of 100 operations", |bencher| {
        bencher.iter(|| {
            let mut case = Case::new(now, &mut actions);
            (0..OPERATIONS).for_each(|_| case.operate(&mut dice, &rooms));
            black_box(case.hub.census())
        });
    });
    group.finish();
}

criterion_group!(benches, random_operations);
criterion_main!(benches);
