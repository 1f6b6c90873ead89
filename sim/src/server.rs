//! The server's host: the engine with its handlers, as in production but for the network
//! below it and the seed of its ids.
//!
//! All shards run on the host's one thread. One listener accepts for all of them,
//! and deals the connections in turn, since a simulated port is bound only once.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use parlor::net::{Listener, Stream};
use parlor::shard::mesh;
use parlor::{Accepted, Config, Exchange, Io, Limits, Step, Witness, run_shard};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::application::Handlers;
use crate::dice::Dice;
use crate::history::{Event, MessageId, Order, SocketId};
use crate::net::{HostResult, SimNet};
use crate::plan::Plan;
use crate::stage::Stage;

/// Runs the server for the `start`-th time, until its host is killed.
pub(crate) async fn run_server<N: SimNet>(
    plan: Rc<Plan>,
    start: u64,
    handlers: Handlers,
    stage: Rc<Stage>,
) -> HostResult {
    let listener = N::bind(plan.network.stream).await?;
    let witness: Witness = Rc::new(move |accepted| witness(accepted, &stage));
    let mut parts: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    let mut hands = Vec::new();
    for exchange in mesh(plan.server.shards) {
        let (hand, dealt) = channel(DEALT_MAX);
        hands.push(hand);
        let exchange = delayed(exchange, &plan, start);
        let (config, witness) = (config(&plan, start), Some(Rc::clone(&witness)));
        let app = Rc::clone(&handlers);
        let app = move |io: &mut Io| app(io);
        let shard = run_shard(Dealt(dealt), config, exchange, witness, app, pending());
        parts.push(Box::pin(shard));
    }
    parts.push(Box::pin(deal(listener, hands)));
    // Polled in turn, not spawned: what is dropped first when the host is killed
    // must not depend on numbers that tokio counts for the whole process.
    poll_fn(|cx| {
        for part in &mut parts {
            if part.as_mut().poll(cx).is_ready() {
                unreachable!("shards are not told to end, and the dealer does not");
            }
        }
        Poll::Pending
    })
    .await
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
    // A restarted server that gave out the ids of its predecessor would be wrong.
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&plan.server.seed.to_le_bytes());
    seed[8..16].copy_from_slice(&start.to_le_bytes());
    Config {
        limits: Limits {
            ping_interval: ms(plan.server.ping_interval_ms),
            ping_timeout: ms(plan.server.ping_timeout_ms),
            connect_timeout: ms(plan.server.connect_timeout_ms),
            ..Limits::default()
        },
        seed,
        ..Config::default()
    }
}

/// Writes down what the engine says of its own order.
fn witness(accepted: &Accepted, stage: &Stage) {
    let Some(sid) = &accepted.socket else { return };
    let sid = sid.to_string();
    let name = |room: &str| room.to_owned();
    let order = match &accepted.step {
        Step::Broadcast { rooms, seq, json } => {
            let [room] = rooms.as_slice() else { return };
            Order::Broadcast { sid, room: name(room), seq: *seq, message: message(json) }
        }
        Step::Connect => return,
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
