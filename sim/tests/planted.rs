//! A violation that is planted into histories is found by the guarantee that names
//! it, and its plan is shrunk to what the violation needs. One test, hence one
//! thread: tokio numbers tasks per process.

use sim::history::{Entry, Event, History};
use sim::judge::{Judgement, judge, judge_clients};
use sim::plan::{Act, Plan};
use sim::run::run;
use sim::shrink::shrink;
use sim::swarm::{Profile, generate};

/// What a broken engine could have done to a history.
type Plant = fn(&[Entry]) -> Vec<Entry>;

const PLANTS: [(&str, Plant); 3] =
    [("no_duplicate", twice), ("join_then_hear", never), ("no_invention", damaged)];

#[test]
fn planted_violations_are_found_and_shrunk() {
    let profile = Profile { operations: 12, ..Profile::default() };
    let plan = (0..).map(|seed| generate(seed, &profile)).find(is_talkative);
    let plan = plan.expect("some plan has many deliveries");
    assert_eq!(seen_by_clients(&plan, <[Entry]>::to_vec).failures, [], "without a witness");
    for (guarantee, plant) in PLANTS {
        // Clients may have another name for it.
        let seen = seen_by_clients(&plan, plant).failures;
        assert!(!seen.is_empty(), "{guarantee} is seen by a witness alone");
        let mut fails = |plan: &Plan| judgement(plan, plant).guarantees().contains(guarantee);
        assert!(fails(&plan), "{guarantee} is not found");
        let shrunk = shrink(&plan, 2_000, &mut fails);
        let is_small = shrunk.plan.operation_count() <= 3
            && shrunk.plan.clients.len() == 2
            && shrunk.plan.faults.is_empty();
        assert!(is_small && shrunk.is_minimal, "{guarantee}: {}", shrunk.plan.encode());
    }
}

fn is_talkative(plan: &Plan) -> bool {
    let operations = plan.clients.iter().flat_map(|client| &client.operations);
    let messages = operations.filter(|it| matches!(it.act, Act::Message { ack: true, .. }));
    messages.count() >= 10 && !plan.faults.is_empty() && run(plan).judgement.counts.delivered >= 20
}

fn judgement(plan: &Plan, plant: Plant) -> Judgement {
    let mut planted = History::default();
    for entry in plant(run(plan).history.entries()) {
        planted.push(entry.at_us, entry.event);
    }
    judge(plan, &planted)
}

/// The same of a server that says nothing of its own order.
fn seen_by_clients(plan: &Plan, plant: Plant) -> Judgement {
    let mut seen = History::default();
    for mut entry in plant(run(plan).history.entries()) {
        if let Event::Delivered { seq, .. } | Event::Acked { seq, .. } = &mut entry.event {
            *seq = None;
        }
        let is_told = matches!(entry.event, Event::Witnessed { .. } | Event::Census { .. });
        if !is_told {
            seen.push(entry.at_us, entry.event);
        }
    }
    judge_clients(&seen)
}

fn is_delivery(entry: &Entry) -> bool {
    matches!(entry.event, Event::Delivered { .. })
}

/// The first delivery happens twice.
fn twice(entries: &[Entry]) -> Vec<Entry> {
    let mut planted = entries.to_vec();
    if let Some(at) = entries.iter().position(is_delivery) {
        planted.insert(at, entries[at].clone());
    }
    planted
}

/// No delivery happens.
fn never(entries: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|entry| !is_delivery(entry)).cloned().collect()
}

/// The last delivery is not what was sent.
fn damaged(entries: &[Entry]) -> Vec<Entry> {
    let mut planted = entries.to_vec();
    if let Some(Entry { event: Event::Delivered { intact, .. }, .. }) =
        planted.iter_mut().rfind(|entry| is_delivery(entry))
    {
        *intact = false;
    }
    planted
}
