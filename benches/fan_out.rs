//! Fan-out: in the pure hub, and end to end over loopback.
//!
//! `cargo bench --bench fan_out`. The pure part is what deciding and encoding
//! cost; the rest of the end-to-end time is the kernel's.

#[path = "support/hub.rs"]
mod hub;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/shard.rs"]
mod shard;

use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hub::hub_with_sockets;
use parlor::hub::{
    Action, Actions, Broadcast, Event, Hub, NamespaceId, Payload, SocketId, Target, Ticket,
};
use parlor::shard::Outbox;
use peers::{Peers, message_packet};

const BODY_BYTES: usize = 128;

/// A hub with `members` sockets in one room.
fn hub_with_room(members: u32, now: Instant) -> (Hub, Vec<SocketId>) {
    let mut actions = Actions::default();
    let (mut hub, sockets) = hub_with_sockets(members, now, &mut actions);
    for &socket in &sockets {
        hub.handle(Event::Join { socket, room: "room", ticket: Ticket(0) }, now, &mut actions);
    }
    (hub, sockets)
}

fn pure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    for members in [10, 100, 1000] {
        let now = tokio::time::Instant::now().into_std();
        let (mut hub, sockets) = hub_with_room(members, now);
        let body = "x".repeat(BODY_BYTES);
        let json = format!(r#"["message",{{"room":"room","body":"{body}"}}]"#);
        let (mut actions, mut outbox, mut scratch) =
            (Actions::default(), Outbox::default(), Vec::new());
        group.throughput(Throughput::Elements(u64::from(members - 1)));
        group.bench_function(
            format!("broadcast to {members}, to the last write's bytes"),
            |bencher| {
                let speaker = hub.sid(sockets[0]).expect("it is connected");
                bencher.iter(|| {
                    let broadcast = Broadcast {
                        namespace: NamespaceId::registered(0),
                        from: Some((sockets[0].key, speaker)),
                        target: Target { rooms: &["room".into()], except: &[] },
                        payload: Payload { json: &json, attachments: &[] },
                        stamped: true,
                        volatile: false,
                        replies: false,
                        ticket: None,
                    };
                    hub.handle(Event::Broadcast(broadcast), now, &mut actions);
                    for action in &actions.list {
                        if let Action::Send { frame, to, loss } = action {
                            outbox.push(
                                &actions.bytes[frame.clone()],
                                &actions.recipients[to.clone()],
                                *loss,
                            );
                        }
                    }
                    actions.clear();
                    let mut bytes = 0;
                    while let Some(conn) = outbox.next_dirty() {
                        bytes += outbox.take(conn, &mut scratch).bytes().len();
                    }
                    bytes
                });
            },
        );
    }
    group.finish();
}

fn end_to_end(criterion: &mut Criterion) {
    const MEMBERS: usize = 100;
    let listener = parlor::net::listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shard = thread::spawn(move || {
        shard::run(listener, stopped);
    });
    let mut peers = Peers::connect(address, MEMBERS + 1, "room");
    let packet = message_packet("room", BODY_BYTES);
    let mut group = criterion.benchmark_group("loopback");
    for in_flight in [1, 16] {
        group.throughput(Throughput::Elements((in_flight * MEMBERS) as u64));
        group.bench_function(format!("room of {MEMBERS}, {in_flight} in flight"), |bencher| {
            bencher.iter(|| {
                (0..in_flight).for_each(|_| peers.send(0, &packet));
                let mut heard = 0;
                while heard < in_flight * MEMBERS {
                    heard += peers.receive();
                }
            });
        });
    }
    group.finish();
    println_frame(&peers);
    drop(peers);
    stop.send(()).expect("the shard runs");
    shard.join().expect("the shard ends");
}

#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn println_frame(peers: &Peers) {
    println!("{} bytes a message on the wire", peers.frame_bytes());
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).sample_size(30);
    targets = pure, end_to_end
}
criterion_main!(benches);
