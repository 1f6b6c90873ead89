//! Every socket of every shard, and what happens to them from then on.
//!
//! ```text
//!  shard of the operator       every shard             home of the namespace
//!        |---- Ask::Sockets -------->|  watches from here on    |
//!        |<--- its sockets ----------|  tells nothing           |
//!        |---- all_sockets ------------------------------------>|  to the operator
//!        |<-------------------------------------------- done ---|
//!        |---- (released) ---------->|                          |
//!                                    |---- what has happened -->|  to all operators
//! ```

use std::future::ready;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout_at};

use super::{Admin, words};
use crate::app::{Emitter, Engine};
use crate::hub::Sighting;
use crate::shard::{Client, Sightings};

/// How long a shard may take to answer; a healthy one takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sightings that are told at a time.
const SIGHTINGS_PER_TURN: usize = 64;

/// Events for operators, behind which others get a turn, and the operators' connections are written.
const WORDS_PER_TURN: usize = 64;

/// What the shards are asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// How many sockets each namespace has here.
    Namespaces(mpsc::Sender<Vec<(Box<str>, usize)>>),
    /// Every socket, and what happens from then on; told as soon as `released` says so.
    Sockets { answer: mpsc::Sender<Vec<Value>>, released: watch::Receiver<()> },
}

/// What happened to sockets, and their clients.
type Seen = Vec<(Sighting, Option<Client>)>;

/// Answers one shard's questions, and tells what happens there.
pub(super) async fn run(admin: Admin, engine: Engine, mut asks: broadcast::Receiver<Ask>) {
    let mut operators = admin.operators.subscribe();
    let mut renewals = JoinSet::new();
    loop {
        // Who asks waits; who has gone needs nothing told; then what has happened.
        tokio::select! {
            biased;
            ask = asks.recv() => match ask {
                Ok(ask) => answer(&admin, &engine, ask).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            changed = operators.changed() => {
                if changed.is_err() || *operators.borrow_and_update() == 0 {
                    engine.unwatch();
                }
            }
            Some(_) = renewals.join_next() => {}
            Sightings { list, lost } = engine.sightings(SIGHTINGS_PER_TURN) => {
                tell(&admin, &engine, list).await;
                if lost > 0 && renewals.is_empty() {
                    tracing::warn!(lost, "operators are told anew of all sockets");
                    renewals.spawn_local(renew(admin.clone(), engine.clone()));
                }
            }
        }
    }
}

/// Sends a list of all sockets to some operators.
pub(super) async fn send_all(admin: &Admin, to: Emitter) {
    let (answer, mut answers) = mpsc::channel(admin.observer.shards().max(1));
    let (release, released) = watch::channel(());
    // Nobody hears it only if no shard lives.
    let _ = admin.asks.send(Ask::Sockets { answer, released });
    let mut all = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..admin.observer.shards() {
        let Ok(Some(sockets)) = timeout_at(deadline, answers.recv()).await else { break };
        all.extend(sockets);
    }
    to.clone().emit("all_sockets", Value::Array(all));
    // The list has its place once the home has answered what was asked behind it.
    to.fetch_sockets().await;
    drop(release);
}

async fn renew(admin: Admin, engine: Engine) {
    if let Some(operators) = engine.of(&admin.config.namespace) {
        send_all(&admin, operators).await;
    }
}

async fn answer(admin: &Admin, engine: &Engine, ask: Ask) {
    match ask {
        // Who asked may have lost patience.
        Ask::Namespaces(answer) => drop(answer.try_send(engine.namespaces())),
        Ask::Sockets { answer, mut released } => {
            engine.watch(&admin.config.namespace);
            let before = tokio::select! {
                biased;
                before = engine.sightings(usize::MAX) => before,
                () = ready(()) => Sightings::default(),
            };
            let now = engine.sightings_now();
            let sockets = now.iter().map(|(sighting, client)| words::socket(sighting, client));
            let sockets = sockets.collect();
            // Of a gap nothing has to be said: all are in the list.
            tell(admin, engine, before.list).await;
            drop(answer.try_send(sockets));
            drop(answer);
            // An error: whoever asked is done.
            let _ = tokio::time::timeout(2 * PATIENCE, released.changed()).await;
        }
    }
}

/// Tells all operators what has happened.
async fn tell(admin: &Admin, engine: &Engine, seen: Seen) {
    let now: SystemTime = (admin.config.time_of_day)();
    let mut told = 0;
    for (sighting, client) in seen {
        for (json, attachments) in words::words(&sighting, client.as_ref(), now) {
            let Some(operators) = engine.of(&admin.config.namespace) else { return };
            operators.emit_json(&json, &attachments);
            told += 1;
            if told % WORDS_PER_TURN == 0 {
                engine.within_budget().await;
                tokio::task::yield_now().await;
                if *admin.operators.borrow() == 0 {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
