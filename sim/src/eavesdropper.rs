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
use crate::legal::{Illegal, Legality, Terms};
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
        };
        let legality = Legality::new(terms, stage.elapsed());
        Self { legality, client: client.id, plan: Rc::clone(plan), stage: Rc::clone(stage) }
    }

    /// Whether something was wrong with the network, or with a process, that may have kept
    /// back what did not come.
    fn is_excused(&self, illegal: &Illegal, at: Duration) -> bool {
        let Some(since) = illegal.since else { return false };
        let (since_ms, until_ms) = (micros(since) / 1000, micros(at) / 1000);
        // What a fault has held back comes a little after its end.
        let trail_ms = self.plan.answer_ms();
        let faults = &self.plan.faults;
        faults.iter().any(|it| it.from_ms <= until_ms && since_ms <= it.until_ms + trail_ms)
    }
}

impl Tap for Eavesdropper {
    fn handle(&mut self, passing: Passing<'_>) {
        let at = self.stage.elapsed();
        if let Err(illegal) = self.legality.handle(at, passing)
            && !self.is_excused(&illegal, at)
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
