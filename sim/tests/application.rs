//! Somebody's own application is tested like the chat: the example's planted bugs are
//! found and shrunk, and without them it is clean. One test, hence one thread: tokio
//! numbers tasks per process.

#[path = "../examples/booking/theatre.rs"]
mod theatre;

use sim::application::Subject;
use sim::judge::Failure;
use sim::picture;
use sim::plan::Plan;
use sim::run::run_for;
use sim::shrink::{Shrunk, shrink};
use sim::story;
use sim::swarm::Profile;

use theatre::{Bug, Theatre};

const BUGS: [(&str, &str); 3] =
    [("memory", "booking_kept"), ("race", "seat_sold_once"), ("retry", "buyer_told")];

#[test]
fn planted_bugs_are_found_and_shrunk_and_without_them_it_is_clean() {
    let clean = Theatre { bug: Bug::None };
    for seed in 0..100 {
        let plan = clean.plan(seed, &Profile::default());
        assert_eq!(Plan::decode(&plan.encode()).expect("it can be run"), plan, "seed {seed}");
        let run = run_for(&clean, &plan);
        if let Some(failure) = run.judgement.failures.first() {
            panic!("seed {seed}: {}", story::tell(failure, &run.history));
        }
        assert_eq!(run_for(&clean, &plan).history.hash(), run.history.hash(), "seed {seed}");
    }
    for (name, guarantee) in BUGS {
        let theatre = Theatre { bug: Bug::named(Some(name)).expect("a bug") };
        let plans = (0..200).map(|seed| theatre.plan(seed, &Profile::default()));
        let mut fails = |plan: &Plan| failure(&theatre, plan, guarantee).is_some();
        let found = plans.into_iter().find(|plan| fails(plan));
        let found = found.unwrap_or_else(|| panic!("{name} is not found in 200 seeds"));
        let Shrunk { plan, .. } = shrink(&found, 2_000, &mut fails);
        let size = plan.size();
        assert!(plan.operation_count() <= 12 && plan.faults.len() <= 2, "{name}: {size}");
        assert!(!fails_without_bug(&plan), "{name}: the plan is no fault of the bug");
        is_drawn(&theatre, &plan, guarantee);
    }
}

fn failure(theatre: &Theatre, plan: &Plan, guarantee: &str) -> Option<Failure> {
    let failures = run_for(theatre, plan).judgement.failures;
    failures.into_iter().find(|failure| failure.guarantee == guarantee)
}

fn fails_without_bug(plan: &Plan) -> bool {
    !run_for(&Theatre { bug: Bug::None }, plan).judgement.failures.is_empty()
}

fn is_drawn(theatre: &Theatre, plan: &Plan, guarantee: &str) {
    let failure = failure(theatre, plan, guarantee).expect("the plan fails");
    let history = run_for(theatre, plan).history;
    let story = story::tell(&failure, &history);
    assert!(story.contains("says book"), "{story}");
    let page = picture::page(plan, &history, Some(&failure), "again");
    assert!(page.contains(&failure.sentence) && page.contains("book"), "{page}");
}
