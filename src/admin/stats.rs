//! What the server is doing, every two seconds, told by the first shard for all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, timeout_at};

use super::list::Ask;
use super::{Admin, date};
use crate::app::{Engine, Observation};
use crate::hub::Counters;

/// The page shows what has happened in each second.
const SECOND: Duration = Duration::from_secs(1);

/// How often the page is told.
const SECONDS_PER_TELL: u32 = 2;

/// How long shards may take to count their sockets.
const PATIENCE: Duration = Duration::from_secs(1);

/// What has happened in the server, by kind and kind of kind.
type Totals = BTreeMap<(&'static str, Option<&'static str>), u64>;

/// Tells operators, while there are some.
pub(super) async fn run(admin: Admin, engine: Engine) {
    if engine.shard().0 != 0 {
        return;
    }
    let mut operators = admin.operators.subscribe();
    let base = base(&admin);
    while operators.wait_for(|&count| count > 0).await.is_ok() {
        let mut seconds = interval(SECOND);
        let (mut before, mut happened) = (None, Vec::new());
        let mut second = 0;
        while *admin.operators.borrow() > 0 {
            seconds.tick().await;
            let seen = admin.observer.look().await;
            if seen.is_alive() {
                let now = totals(&seen);
                let at = date::ms((admin.config.time_of_day)()) / 1000 * 1000;
                before.into_iter().for_each(|before| happened.extend(changes(&before, &now, at)));
                before = Some(now);
            }
            if second % SECONDS_PER_TELL == 0 {
                let stats = stats(&admin, &base, &seen, std::mem::take(&mut happened)).await;
                let to = engine.of(&admin.config.namespace);
                to.into_iter().for_each(|operators| operators.emit("server_stats", &stats));
            }
            second += 1;
        }
    }
}

/// What does not change.
fn base(admin: &Admin) -> Value {
    let uname = rustix::system::uname();
    let hostname = uname.nodename().to_string_lossy();
    let server_id = admin.config.server_id.as_deref().unwrap_or(&hostname);
    json!({ "serverId": server_id, "hostname": hostname, "pid": std::process::id() })
}

async fn stats(admin: &Admin, base: &Value, seen: &Observation, happened: Vec<Value>) -> Value {
    let sum = |count: fn(&crate::metrics::Snapshot) -> usize| -> usize {
        seen.shards.iter().map(count).sum()
    };
    let mut stats = base.clone();
    stats["uptime"] = json!(admin.started.elapsed().as_secs_f64());
    stats["clientsCount"] = json!(sum(|shard| shard.census.connections));
    stats["pollingClientsCount"] = json!(sum(|shard| shard.polling));
    stats["aggregatedEvents"] = json!(happened);
    let namespaces = namespaces(admin).await.into_iter();
    stats["namespaces"] =
        namespaces.map(|(name, count)| json!({ "name": &*name, "socketsCount": count })).collect();
    stats
}

/// How many sockets each namespace has on all shards.
async fn namespaces(admin: &Admin) -> BTreeMap<Box<str>, usize> {
    let (answer, mut answers) = mpsc::channel(admin.observer.shards().max(1));
    // Nobody hears it only if no shard lives.
    let _ = admin.asks.send(Ask::Namespaces(answer));
    let mut all = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..admin.observer.shards() {
        let Ok(Some(namespaces)) = timeout_at(deadline, answers.recv()).await else { break };
        for (name, count) in namespaces {
            *all.entry(name).or_insert(0) += count;
        }
    }
    all
}

fn totals(seen: &Observation) -> Totals {
    let mut totals = Totals::new();
    for Counters { opened_websocket, opened_polling, closed, .. } in
        seen.shards.iter().map(|shard| shard.counters)
    {
        *totals.entry(("rawConnection", None)).or_default() += opened_websocket + opened_polling;
        for (reason, count) in closed.iter() {
            let kind = ("rawDisconnection", Some(reason.as_str()));
            *totals.entry(kind).or_default() += count;
        }
    }
    for Counters { events_in, deliveries, bytes_in, bytes_out, .. } in
        seen.shards.iter().map(|shard| shard.counters)
    {
        let counts = [("packetsIn", events_in), ("packetsOut", deliveries), ("bytesIn", bytes_in)];
        for (kind, count) in counts.into_iter().chain([("bytesOut", bytes_out)]) {
            *totals.entry((kind, None)).or_default() += count;
        }
    }
    totals
}

/// What has happened since `before`, as the page is told of it.
fn changes(before: &Totals, now: &Totals, timestamp: u64) -> Vec<Value> {
    let mut changes = Vec::new();
    for (&(kind, sub_kind), &count) in now {
        let count = count.saturating_sub(before.get(&(kind, sub_kind)).copied().unwrap_or(0));
        if count > 0 {
            let mut change = json!({ "timestamp": timestamp, "type": kind, "count": count });
            sub_kind.into_iter().for_each(|sub_kind| change["subType"] = sub_kind.into());
            changes.push(change);
        }
    }
    changes
}
