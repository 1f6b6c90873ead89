//! Makes a failing plan small: a delta debugger over plans as data.
//!
//! First whole faults go, then whole clients, then operations, by trying to do
//! without ever smaller chunks of them (Zeller's ddmin); then what is left is
//! made plain by [`plain`](crate::plain): latencies, configuration, times. This is
//! repeated until nothing more can go or the budget is spent.
//!
//! A world is sensitive: without one operation all later latencies are others, and a
//! race that needs one of them is missed. So once nothing more can go, the passes are
//! repeated with a few [luckier](crate::plain::luckier) versions of each candidate.
//!
//! What "failing" means is the caller's: a function from a plan to whether it
//! *still fails in the same way*. A candidate that fails differently must be
//! turned down there, or the shrinker slips from one fault to another.

use crate::plain;
use crate::plan::Plan;

/// A plan made small, and what it took.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan found that still fails.
    pub plan: Plan,
    /// How many candidates were run.
    pub runs: usize,
    /// Whether nothing more could go; if not, the budget ran out first.
    pub is_minimal: bool,
}

/// Makes `plan`, which must fail, small in at most `runs_max` runs of `fails`.
pub fn shrink(plan: &Plan, runs_max: usize, fails: &mut dyn FnMut(&Plan) -> bool) -> Shrunk {
    let mut shrinker = Shrinker { best: plan.clone(), fails, runs: 0, runs_max, is_patient: false };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_faults();
        shrinker.drop_clients();
        shrinker.drop_operations();
        shrinker.make_plain();
        let is_exhausted = shrinker.runs >= runs_max;
        let is_stuck = shrinker.best == before;
        if is_stuck && !shrinker.is_patient && !is_exhausted {
            shrinker.is_patient = true;
            continue;
        }
        if is_stuck || is_exhausted {
            let Shrinker { best, runs, .. } = shrinker;
            return Shrunk { plan: best, runs, is_minimal: !is_exhausted };
        }
    }
}

struct Shrinker<'a> {
    best: Plan,
    fails: &'a mut dyn FnMut(&Plan) -> bool,
    runs: usize,
    runs_max: usize,
    /// Whether luckier versions of a candidate are tried too.
    is_patient: bool,
}

impl Shrinker<'_> {
    fn drop_faults(&mut self) {
        let whole = self.best.clone();
        self.keep_few(whole.faults.len(), |kept| {
            let mut plan = whole.clone();
            plan.faults = kept.iter().map(|&index| whole.faults[index].clone()).collect();
            plan
        });
    }

    fn drop_clients(&mut self) {
        let whole = self.best.clone();
        self.keep_few(whole.clients.len(), |kept| {
            let mut plan = whole.clone();
            plan.clients = kept.iter().map(|&index| whole.clients[index].clone()).collect();
            plain::without_absent_clients(&plan)
        });
    }

    fn drop_operations(&mut self) {
        let whole = self.best.clone();
        // In the order of time, so that a chunk is what happened in an interval.
        let mut places: Vec<(u64, usize, usize)> = Vec::new();
        for (client, of) in whole.clients.iter().enumerate() {
            let times = of.operations.iter().enumerate();
            places.extend(times.map(|(index, operation)| (operation.at_ms, client, index)));
        }
        places.sort_unstable();
        self.keep_few(places.len(), |kept| {
            let mut plan = whole.clone();
            plan.clients.iter_mut().for_each(|client| client.operations.clear());
            for &(_, client, index) in kept.iter().map(|&place| &places[place]) {
                plan.clients[client]
                    .operations
                    .push(whole.clients[client].operations[index].clone());
            }
            plan
        });
    }

    fn make_plain(&mut self) {
        // Every edit that succeeds gives a new plan with edits of its own; edits
        // only ever make a plan plainer, so this ends.
        let mut next = 0;
        loop {
            let edits = plain::edits(&self.best);
            let Some(edit) = edits.get(next) else { return };
            // After a success the list is another one; going on at the same place
            // tries what was next without starting over.
            if !self.accept_as_it_is(edit.clone()) {
                next += 1;
            }
            if self.runs >= self.runs_max {
                return;
            }
        }
    }

    /// Finds few of `count` parts with which the plan made of them still fails.
    fn keep_few(&mut self, count: usize, make: impl Fn(&[usize]) -> Plan) {
        let mut kept: Vec<usize> = (0..count).collect();
        let mut chunk = count;
        while chunk > 0 {
            let mut start = 0;
            while start < kept.len() {
                let end = (start + chunk).min(kept.len());
                let fewer = [&kept[..start], &kept[end..]].concat();
                if self.accept(make(&fewer)) {
                    kept = fewer;
                } else {
                    start = end;
                }
            }
            chunk /= 2;
        }
    }

    /// Takes the candidate, or a luckier version of it, if it still fails.
    fn accept(&mut self, mut candidate: Plan) -> bool {
        // It was made of the plan from which its pass began.
        candidate.network.seed = self.best.network.seed;
        let versions = if self.is_patient { plain::luckier(&candidate) } else { Vec::new() };
        [candidate].into_iter().chain(versions).any(|version| self.accept_as_it_is(version))
    }

    /// Takes the candidate if it still fails.
    fn accept_as_it_is(&mut self, candidate: Plan) -> bool {
        if self.runs >= self.runs_max || candidate == self.best {
            return false;
        }
        self.runs += 1;
        debug_assert!(candidate.check().is_ok(), "{:?}", candidate.check());
        let still_fails = (self.fails)(&candidate);
        if still_fails {
            self.best = candidate;
        }
        still_fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Act, Fault, FaultKind};
    use crate::swarm::{Profile, generate};

    fn big_plan() -> Plan {
        big_plan_with(|_| true)
    }

    fn big_plan_with(mut wanted: impl FnMut(&Plan) -> bool) -> Plan {
        let profile = Profile { clients: 8, operations: 40, ..Profile::default() };
        let mut is_big =
            |plan: &Plan| plan.clients.len() >= 6 && plan.faults.len() >= 6 && wanted(plan);
        (0..500).map(|seed| generate(seed, &profile)).find(&mut is_big).expect("some plan is big")
    }

    fn times(plan: &Plan, of: u32, is_wanted: impl Fn(&Act) -> bool) -> Vec<u64> {
        let client = plan.clients.iter().find(|client| client.id == of);
        let operations = client.into_iter().flat_map(|client| &client.operations);
        operations.filter(|operation| is_wanted(&operation.act)).map(|it| it.at_ms).collect()
    }

    fn has_message(plan: &Plan, of: u32) -> bool {
        !times(plan, of, |act| matches!(act, Act::Message { .. })).is_empty()
    }

    #[test]
    fn what_does_not_matter_goes() {
        // Fails if client 0 joins before client 3 sends, and client 3's link is held.
        let mut fails = |plan: &Plan| {
            let joined = times(plan, 0, |act| matches!(act, Act::Join { .. }));
            let sent = times(plan, 3, |act| matches!(act, Act::Message { .. }));
            let is_in_order =
                joined.first().zip(sent.last()).is_some_and(|(join, sent)| join < sent);
            let is_held = |fault: &Fault| {
                matches!(fault.kind, FaultKind::Stall { .. }) && fault.kind.clients().contains(&3)
            };
            is_in_order && plan.faults.iter().any(is_held)
        };
        let plan = big_plan_with(&mut fails);
        let shrunk = shrink(&plan, 10_000, &mut fails);
        assert!(shrunk.is_minimal);
        assert!(fails(&shrunk.plan));
        let ids: Vec<u32> = shrunk.plan.clients.iter().map(|client| client.id).collect();
        assert_eq!(ids, [0, 3]);
        assert_eq!(shrunk.plan.operation_count(), 2, "{}", shrunk.plan.encode());
        assert_eq!(shrunk.plan.faults.len(), 1);
        assert_eq!(shrunk.plan.rooms.len(), 1, "unused rooms go");
        assert!(shrunk.plan.duration_ms < 100, "time without events goes: {}", shrunk.plan.size());
        assert_eq!(shrunk.plan.server.recovery_window_ms, 0, "nobody need come back");
        assert!(shrunk.plan.clients.iter().all(|client| !client.recovers));
        shrunk.plan.check().expect("a shrunk plan can be run");
    }

    #[test]
    fn the_budget_is_kept_and_the_result_still_fails() {
        let mut runs = 0;
        let mut fails = |plan: &Plan| {
            runs += 1;
            has_message(plan, 1)
        };
        let shrunk = shrink(&big_plan(), 7, &mut fails);
        assert_eq!(shrunk.runs, 7);
        assert!(!shrunk.is_minimal);
        assert!(has_message(&shrunk.plan, 1));
        assert_eq!(runs, 7);
    }

    #[test]
    fn what_fails_only_with_luck_is_shrunk_too() {
        // As in a race: every operation less is another draw of all latencies.
        let mut fails = |plan: &Plan| {
            let draw = plan.operation_count() as u64 + plan.network.seed;
            draw.is_multiple_of(3) && has_message(plan, 1)
        };
        let plan = big_plan_with(&mut fails);
        let shrunk = shrink(&plan, 100_000, &mut fails);
        assert_eq!(shrunk.plan.operation_count(), 1, "{}", shrunk.plan.encode());
        assert!(fails(&shrunk.plan) && shrunk.is_minimal);
    }

    #[test]
    fn a_plan_of_which_everything_matters_stays_as_it_is() {
        let plan = big_plan();
        let same = |candidate: &Plan| *candidate == plan;
        let shrunk = shrink(&plan, 100_000, &mut |candidate| same(candidate));
        assert_eq!(shrunk.plan, plan);
        assert!(shrunk.is_minimal);
    }

    #[test]
    fn every_candidate_can_be_run() {
        let mut parity = 0_u32;
        // Accepts about every other candidate, so that all passes see odd plans.
        let mut fails = |plan: &Plan| {
            plan.check().unwrap_or_else(|error| panic!("{error}: {}", plan.encode()));
            parity = parity.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            parity >> 31 == 0 && plan.operation_count() > 4
        };
        shrink(&big_plan(), 10_000, &mut fails);
    }
}
