//! One plan from start to verdict.

use crate::application::Subject;
use crate::chat::Chat;
use crate::history::History;
use crate::judge::{Failure, Judgement};
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

/// Runs a plan of the chat and judges what happened. The same plan gives the same run.
///
/// # Panics
///
/// As [`run_for`] does.
pub fn run(plan: &Plan) -> Run {
    run_for(&Chat, plan)
}

/// Runs a plan of a subject and judges what happened. The same plan gives the same run.
///
/// Runs on one thread, the calling one but for a foreign server; no other thread of the
/// process may spawn tokio tasks meanwhile, or two runs may differ.
///
/// # Panics
///
/// If the plan contradicts itself ([`Plan::check`]), or is of another application.
pub fn run_for(subject: &dyn Subject, plan: &Plan) -> Run {
    if let Err(error) = plan.check() {
        panic!("{error}");
    }
    assert_eq!(plan.application.as_deref(), subject.application(), "the plan is of another");
    let (history, wreck) = world::run(plan, subject.program());
    let judgement = match wreck {
        None => subject.judge(plan, &history),
        // What the clients of a wrecked world saw ends in the middle.
        Some(wreck) => {
            Judgement { failures: vec![failure(&wreck, &history)], ..Judgement::default() }
        }
    };
    Run { history, judgement }
}

fn failure(wreck: &Wreck, history: &History) -> Failure {
    let at_us = history.entries().last().map_or(0, |entry| entry.at_us);
    Failure::new(NO_PANIC, wreck.0.clone(), at_us, [])
}
