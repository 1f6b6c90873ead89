//! One plan from start to verdict.

use std::collections::BTreeSet;

use crate::history::History;
use crate::judge::{Failure, Judgement, judge};
use crate::plan::Plan;
use crate::promise::NO_PANIC;
use crate::world::{self, Wreck};

/// A run and its judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What happened.
    pub history: History,
    /// What was wrong with it.
    pub judgement: Judgement,
}

/// Runs a plan and judges what happened. The same plan gives the same run.
///
/// Runs on the calling thread; no other thread of the process may spawn tokio
/// tasks meanwhile, or two runs may differ.
///
/// # Panics
///
/// If the plan contradicts itself ([`Plan::check`]).
pub fn run(plan: &Plan) -> Run {
    if let Err(error) = plan.check() {
        panic!("{error}");
    }
    let (history, wreck) = world::run(plan);
    let judgement = match wreck {
        None => judge(plan, &history),
        // What the clients of a wrecked world saw ends in the middle.
        Some(wreck) => {
            Judgement { failures: vec![failure(&wreck, &history)], ..Judgement::default() }
        }
    };
    Run { history, judgement }
}

fn failure(wreck: &Wreck, history: &History) -> Failure {
    Failure {
        guarantee: NO_PANIC.to_owned(),
        sentence: wreck.0.clone(),
        at_us: history.entries().last().map_or(0, |entry| entry.at_us),
        needs_witness: false,
        sockets: BTreeSet::new(),
        messages: BTreeSet::new(),
        rooms: BTreeSet::new(),
    }
}
