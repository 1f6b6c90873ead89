//! The server's host: the engine with its handlers, as in production but for the network
//! below it and the seed of its ids.
//!
//! All shards run on the host's one thread. One listener accepts for all of them,
//! and deals the connections in turn, since a simulated port is bound only once.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use parlor::hub::{self, Census, Recovery};
use parlor::metrics::Snapshot;
use parlor::net::{Listener, Stream};
use parlor::shard::mesh;
use parlor::{
    Accepted, Config, Exchange, Io, Limits, Observer, Raw, Reason, Socket, Step, Witness, run_shard,
};
use serde::Deserialize;
use tokio::runtime::UnhandledPanic;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::application::Handlers;
use crate::dice::Dice;
use crate::history::{Event, MessageId, Order, SocketId};
use crate::net::{HostResult, SimNet};
use crate::plan::{self, CLOSE_MS, LOOK_MS, Namespace, Outbound, Plan, Server};
use crate::quiet::{Quiet, census};
use crate::stage::Stage;

/// Runs the server for the `start`-th time, until its host is killed.
pub(crate) async fn run_server<N: SimNet>(
    plan: Rc<Plan>,
    start: u64,
    handlers: Handlers,
    stage: Rc<Stage>,
    quiet: Rc<Quiet>,
) -> HostResult {
    let listener = N::bind(plan.network.stream).await?;
    let observer = Observer::new(plan.server.shards.into());
    // An application has the root alone.
    let namespaces = match plan.application {
        None => Namespace::ALL.to_vec(),
        Some(_) => vec![Namespace::Root],
    };
    let echo = Duration::from_millis(plan.server.echo_ms);
    let app = {
        let (stage, observer) = (Rc::clone(&stage), observer.clone());
        move |io: &mut Io| {
            // Before the handlers: one of their own may take this one's place.
            tell_of_ends(io, &namespaces, &stage);
            handlers(io);
            if !echo.is_zero() {
                linger(io, &namespaces, echo);
            }
            io.observe(&observer);
        }
    };
    let watched = watch(&plan, &observer, &stage);
    let census = census(async || held(&observer).await, quiet, Rc::clone(&stage));
    let told = Rc::clone(&stage);
    let witness: Witness = Rc::new(move |accepted| witness(accepted, &told));
    let mut parts: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    let mut hands = Vec::new();
    for exchange in mesh(plan.server.shards) {
        let (hand, dealt) = channel(DEALT_MAX);
        hands.push(hand);
        let exchange = delayed(exchange, &plan, start);
        let (config, witness) = (config(&plan, start), Some(Rc::clone(&witness)));
        let shard = run_shard(Dealt(dealt), config, exchange, witness, app.clone(), pending());
        parts.push(Box::pin(shard));
    }
    parts.push(Box::pin(deal(listener, hands)));
    parts.push(Box::pin(census));
    parts.push(Box::pin(watched));
    // All that the shards spawn stalls with the host, if it does.
    let mut tasks = LocalSet::new();
    tasks.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    // Polled in turn, not spawned: what is dropped first when the host is killed
    // must not depend on numbers that tokio counts for the whole process.
    let all = poll_fn(|cx| {
        for part in &mut parts {
            if part.as_mut().poll(cx).is_ready() {
                unreachable!("shards are not told to end, and the dealer does not");
            }
        }
        Poll::Pending
    });
    tasks.run_until(all).await
}

/// Writes down why the engine says that a socket has gone.
fn tell_of_ends(io: &mut Io, namespaces: &[Namespace], stage: &Rc<Stage>) {
    for namespace in namespaces {
        let stage = Rc::clone(stage);
        io.of(namespace.path()).on_disconnecting(move |socket: Socket, reason: Reason| {
            let (sid, reason) = (socket.id().to_string(), reason.name().to_owned());
            stage.record(Event::GivenUp { sid, reason });
            std::future::ready(())
        });
    }
}

/// Has the calls behind an echo wait: its second handler answers nothing, and takes a while.
fn linger(io: &mut Io, namespaces: &[Namespace], echo: Duration) {
    for namespace in namespaces {
        io.of(namespace.path()).on("echo", async move |_: Socket, _: Raw| sleep(echo).await);
    }
}

/// What the server holds, by what it is called.
async fn held(observer: &Observer) -> Vec<(String, u64)> {
    let seen = observer.look().await;
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for Snapshot { census, queued, .. } in &seen.shards {
        let Census {
            connections,
            sockets,
            rooms,
            deadlines,
            held: waiting,
            addresses,
            made_namespaces,
            sessions_waiting,
        } = *census;
        let counts = [
            ("connections", connections),
            ("sockets", sockets),
            ("rooms", rooms),
            ("deadlines", deadlines),
            ("sockets that wait for a home", waiting),
            ("addresses", addresses),
            ("made namespaces", made_namespaces),
            ("sessions that wait for their clients", sessions_waiting),
            ("bytes that wait for peers", queued.bytes),
        ];
        for (name, count) in counts {
            *held.entry(name).or_default() += count;
        }
    }
    let (answered, expected) = seen.answered();
    held.insert("shards that do not answer", expected - answered);
    let held = held.into_iter().filter(|(_, count)| *count > 0);
    held.map(|(name, count)| (name.to_owned(), count as u64)).collect()
}

/// Writes down how much waits for clients that do not read, where that is bounded more
/// tightly than usual, and what they have lost of it.
async fn watch(plan: &Plan, observer: &Observer, stage: &Stage) {
    if plan.server.outbound.is_none() {
        return pending().await;
    }
    let (mut packets, mut bytes, mut dropped) = (0, 0, 0);
    loop {
        let before = (packets, bytes, dropped);
        let seen = observer.look().await.shards;
        for Snapshot { queued, .. } in &seen {
            packets = packets.max(queued.packets_peak as u64);
            bytes = bytes.max(queued.bytes_peak as u64);
        }
        let drops = seen.iter().map(|seen| seen.counters.dropped.by_policy());
        // A shard that does not answer has forgotten nothing.
        dropped = dropped.max(drops.sum());
        if before != (packets, bytes, dropped) {
            stage.record(Event::Backlog { packets, bytes, dropped });
        }
        sleep(Duration::from_millis(LOOK_MS)).await;
    }
}

/// Connections that wait for their shard; more wait in the listener.
const DEALT_MAX: usize = 64;

/// Accepts, and deals to the shards in turn.
async fn deal<L: Listener>(mut listener: L, hands: Vec<Sender<(L::Io, SocketAddr)>>) {
    for next in (0..hands.len()).cycle() {
        // An error concerns one connection.
        if let Ok(accepted) = listener.accept().await
            && hands[next].send(accepted).await.is_err()
        {
            unreachable!("a shard lives as long as its dealer");
        }
    }
}

/// The connections dealt to one shard.
struct Dealt<S>(Receiver<(S, SocketAddr)>);

impl<S: Stream> Listener for Dealt<S> {
    type Io = S;

    async fn accept(&mut self) -> io::Result<(S, SocketAddr)> {
        Ok(self.0.recv().await.expect("the dealer lives as long as its shards"))
    }
}

/// What the other shards say arrives late, as the plan's seed has it.
fn delayed(exchange: Exchange, plan: &Plan, start: u64) -> Exchange {
    let max_ms = plan.server.exchange_delay_max_ms;
    if max_ms == 0 {
        return exchange;
    }
    let shard = u64::from(exchange.place().shard.0);
    let mut dice = Dice::new(plan.network.seed ^ start << 32 ^ shard << 48);
    exchange.delayed(move |_| Duration::from_millis(dice.between(0, max_ms)))
}

fn config(plan: &Plan, start: u64) -> Config {
    let ms = Duration::from_millis;
    // A restarted server that gave out the ids of its predecessor would be wrong, and so
    // would one that took its offsets for its own: they are told apart by the first bytes.
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&start.to_le_bytes());
    seed[8..16].copy_from_slice(&plan.server.seed.to_le_bytes());
    Config {
        limits: Limits {
            ping_interval: ms(plan.server.ping_interval_ms),
            ping_timeout: ms(plan.server.ping_timeout_ms),
            connect_timeout: ms(plan.server.connect_timeout_ms),
            recovery: recovery(plan),
            ..Limits::default()
        },
        close_timeout: ms(CLOSE_MS),
        seed,
        ..bounded(plan)
    }
}

/// The engine's own configuration, with the bounds of the plan.
fn bounded(plan: &Plan) -> Config {
    let size = |size: u32| usize::try_from(size).expect("32 bits");
    let mut config = Config::default();
    if let Some(Outbound { packets_max, bytes_max, policy }) = plan.server.outbound {
        config.outbound_packets_max = size(packets_max);
        config.outbound_bytes_max = size(bytes_max);
        config.policy = match policy {
            plan::Policy::Disconnect => hub::Policy::Disconnect,
            plan::Policy::DropNewest => hub::Policy::DropNewest,
            plan::Policy::DropOldest => hub::Policy::DropOldest,
        };
    }
    if plan.server.events_waiting_max > 0 {
        config.events_waiting_max = size(plan.server.events_waiting_max);
    }
    config
}

/// What is kept for clients that come back, if anything.
fn recovery(plan: &Plan) -> Option<Recovery> {
    let Server { recovery_window_ms, recovery_packets_max, .. } = plan.server;
    let engine = Recovery::default();
    let packets_max = match recovery_packets_max {
        0 => engine.packets_max,
        max => usize::try_from(max).expect("32 bits"),
    };
    let window = Duration::from_millis(recovery_window_ms);
    (recovery_window_ms > 0).then_some(Recovery { window, packets_max, ..engine })
}

/// Writes down what the engine says of its own order.
fn witness(accepted: &Accepted, stage: &Stage) {
    let Some(sid) = &accepted.socket else { return };
    let sid = sid.to_string();
    let is_its = |it: &Namespace| it.path() == &*accepted.namespace;
    let Some(namespace) = Namespace::ALL.into_iter().find(is_its) else { return };
    let name = |room: &str| namespace.qualified(room);
    let order = match &accepted.step {
        Step::Broadcast { rooms, seq, json } => {
            let [room] = rooms.as_slice() else { return };
            Order::Broadcast { sid, room: name(room), seq: *seq, message: message(json) }
        }
        Step::Connect => Order::Connect { sid },
        Step::Disconnect => Order::Disconnect { sid },
        Step::Join(room) => Order::Join { sid, room: name(room) },
        Step::Leave(room) => Order::Leave { sid, room: name(room) },
        Step::Switch { previous, next } => {
            Order::Switch { sid, from: name(previous), to: name(next) }
        }
    };
    stage.record(Event::Witnessed { order });
}

/// Which message a broadcast is, as its body says.
fn message(json: &str) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Envelope {
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        by: u32,
        number: u64,
    }
    let (_, Envelope { body }) = serde_json::from_str::<(String, Envelope)>(json).ok()?;
    Some(MessageId { by: SocketId(body.by), number: body.number })
}
