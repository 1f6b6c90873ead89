//! Listens on a client's connection, for the automaton that knows what is [legal].
//!
//! A packet costs the automaton's step and nothing else: only what it rejects comes into
//! the history.
//!
//! [legal]: crate::legal

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use parlor::client::{Passing, Tap};

use crate::history::Event;
use crate::legal::{Legality, Terms};
use crate::plan::{Client, Plan, Transport};
use crate::stage::{Stage, micros};

/// How long a server may take to look whether a client has gone over: Node's does ten times
/// in a second.
const LOOK_MS: u64 = 100;

/// A tap on one connection.
pub(crate) struct Eavesdropper {
    legality: Legality,
    client: u32,
    plan: Rc<Plan>,
    stage: Rc<Stage>,
}

impl Eavesdropper {
    /// On a connection that has just begun.
    pub(crate) fn new(client: &Client, plan: &Rc<Plan>, stage: &Rc<Stage>) -> Self {
        let terms = Terms {
            polls: client.transport != Transport::WebSocket,
            release_max: Duration::from_millis(LOOK_MS + plan.answer_ms()),
            pings_on: plan.server.events_waiting_max > 0,
        };
        let legality = Legality::new(terms, stage.elapsed());
        Self { legality, client: client.id, plan: Rc::clone(plan), stage: Rc::clone(stage) }
    }
}

impl Tap for Eavesdropper {
    fn handle(&mut self, passing: Passing<'_>) {
        let at = self.stage.elapsed();
        if let Err(illegal) = self.legality.handle(at, passing)
            && !is_excused(&self.plan, illegal.since, at)
        {
            let (client, what) = (self.client, illegal.what);
            self.stage.record(Event::Illegal { client, what });
        }
    }
}

impl fmt::Debug for Eavesdropper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eavesdropper").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Whether something was wrong with the network, or with a process, that may have kept back
/// what should have come `since` then, and has not come until `at`.
fn is_excused(plan: &Plan, since: Option<Duration>, at: Duration) -> bool {
    let Some(since) = since else { return false };
    let (since_ms, until_ms) = (micros(since) / 1000, micros(at) / 1000);
    let trail_ms = plan.trail_ms();
    plan.faults.iter().any(|it| it.from_ms <= until_ms && since_ms <= it.ends_ms() + trail_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, FaultKind, Latency};
    use crate::swarm::{Profile, generate};

    #[test]
    fn only_what_did_not_come_in_time_is_excused_and_only_near_a_fault() {
        let mut plan = generate(0, &Profile { faults: false, ..Profile::default() });
        let ms = Duration::from_millis;
        assert!(!is_excused(&plan, Some(ms(0)), ms(100_000)));
        plan.faults = vec![Fault { from_ms: 500, until_ms: 600, kind: FaultKind::Kill }];
        let after_ms = 600 + plan.trail_ms();
        assert!(is_excused(&plan, Some(ms(after_ms)), ms(after_ms + 100)));
        assert!(!is_excused(&plan, Some(ms(after_ms + 1)), ms(after_ms + 100)));
        assert!(is_excused(&plan, Some(ms(0)), ms(500)));
        assert!(!is_excused(&plan, Some(ms(0)), ms(499)));
        assert!(!is_excused(&plan, None, ms(550)), "what has come, no fault has made up");
    }

    #[test]
    fn what_a_slow_link_still_carries_at_its_end_is_excused_until_it_has_come() {
        let mut plan = generate(0, &Profile { faults: false, ..Profile::default() });
        let ms = Duration::from_millis;
        let latency = Latency { min_ms: 300, max_ms: 400 };
        let kind = FaultKind::Slow { clients: vec![0], latency };
        plan.faults = vec![Fault { from_ms: 500, until_ms: 600, kind }];
        let after_ms = 600 + 400 + plan.trail_ms();
        assert!(is_excused(&plan, Some(ms(after_ms)), ms(after_ms + 100)));
        assert!(!is_excused(&plan, Some(ms(after_ms + 1)), ms(after_ms + 100)));
    }
}
