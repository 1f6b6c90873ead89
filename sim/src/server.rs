//! The server's host: the engine with the chat, as in production but for the network
//! below it and the seed of its ids.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use parlor::{Accepted, Config, Limits, Step, Witness, chat, run_shard};
use serde::Deserialize;

use crate::history::{Event, MessageId, Order, SocketId};
use crate::net::SimNet;
use crate::plan::Plan;
use crate::stage::Stage;

/// Runs the server for the `start`-th time, until its host is killed.
pub(crate) async fn run_server<N: SimNet>(
    plan: Rc<Plan>,
    start: u64,
    stage: Rc<Stage>,
) -> turmoil::Result {
    let listener = N::bind(plan.network.stream).await?;
    let app = chat::app(vec!["/".to_owned()], format!("start-{start}"));
    let witness: Witness = Rc::new(move |accepted| witness(accepted, &stage));
    run_shard(listener, config(&plan, start), Some(witness), app, pending()).await;
    Ok(())
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
