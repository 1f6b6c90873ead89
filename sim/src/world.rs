//! Runs a plan: a real server and real clients in a simulated network.
//!
//! ```text
//!  0          plan's duration        + heal time      + settle time
//!  |-- clients act, faults strike --|-- quiet: heal --|-- probe --|
//!                                   Healed            Probe       Settled
//! ```
//!
//! The world goes forward step by step; between two steps the faults of the plan's
//! [`timeline`](crate::faults) are applied. Everything runs on the calling thread,
//! on paused clocks, and nothing is drawn from a source that the plan does not seed.

mod packets;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::actor::Actor;
use crate::application::Server;
use crate::faults::{LinkState, Passage, ServerState, Step, timeline};
use crate::history::{Event, History, Mark};
use crate::net::{HostResult, SERVER, Turmoil};
use crate::panics;
use crate::plan::{Direction, Plan, Substrate};
use crate::play::run_client;
use crate::server::run_server;
use crate::stage::{Stage, micros};

/// Why a world did not come to its end: something panicked, or a host failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wreck(pub String);

/// Backlog of the listener, and segments that a stream holds: turmoil panics when
/// more clients than this dial at once.
const TCP_CAPACITY: usize = 1024;

/// Runs a plan to its end. A wrecked world's history is as long as it got.
pub fn run(plan: &Plan, server: Server) -> (History, Option<Wreck>) {
    align_task_ids();
    let stage = Rc::new(Stage::default());
    let plan = Rc::new(plan.clone());
    let server = Rc::new(RefCell::new(server));
    let driven = catch_unwind(AssertUnwindSafe(|| match plan.network.substrate {
        Substrate::Packets => packets::drive(&plan, &server, &stage),
        Substrate::Turmoil => drive(&plan, &server, &stage),
    }));
    let told = panics::take();
    let wreck = match driven {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(told.unwrap_or_else(|| error.to_string())),
        Err(_) => Some(told.unwrap_or_else(|| "something panicked".to_owned())),
    };
    (stage.take_history(), wreck.map(Wreck))
}

/// tokio numbers tasks over the whole process, and drops those of a crashed host
/// in an order that depends on the number modulo four. Nothing here is spawned
/// that way; should a dependency do so, it still starts from the same remainder.
fn align_task_ids() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers needs nothing of the system");
    let next = || runtime.spawn(async {}).id().to_string();
    let is_aligned = |id: String| id.parse::<u64>().is_ok_and(|id| id % 4 == 3);
    for _ in 0..4 {
        if is_aligned(next()) {
            return;
        }
    }
    unreachable!("one of four successive numbers leaves the remainder 3");
}

/// The moments of the quiet phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// Clients say what they want.
    pub(crate) wish: Duration,
    /// Every client must be back.
    mark: Duration,
    /// Clients send their probes.
    pub(crate) probe: Duration,
    /// All that was sent has arrived.
    settled: Duration,
}

impl Quiet {
    fn of(plan: &Plan) -> Self {
        let tick = Duration::from_millis(plan.network.tick_ms);
        // Steps apart, so that the order of hosts within a step does not matter.
        let wish = Duration::from_millis(plan.duration_ms + plan.heal_ms());
        let mark = wish + 2 * tick;
        let probe = mark + 2 * tick;
        Self { wish, mark, probe, settled: probe + Duration::from_millis(plan.settle_ms()) }
    }

    /// What is written into the history, and when.
    fn marks(self, plan: &Plan) -> [(Duration, Mark); 3] {
        [
            (Duration::from_millis(plan.duration_ms), Mark::Healed),
            (self.mark, Mark::Probe),
            (self.settled, Mark::Settled),
        ]
    }
}

/// What gives the server its handlers at each of its starts.
type Starter = Rc<RefCell<Server>>;

fn drive(plan: &Rc<Plan>, server: &Starter, stage: &Rc<Stage>) -> HostResult {
    let quiet = Quiet::of(plan);
    let mut sim = build(plan, server, stage, quiet);
    let mut steps = timeline(plan).into_iter().peekable();
    let mut marks = quiet.marks(plan).into_iter().peekable();
    let mut links = Links::default();
    loop {
        let now = sim.elapsed();
        while let Some(step) = steps.next_if(|step| Duration::from_millis(step.at_ms) <= now) {
            links.apply(&step, &mut sim, stage);
        }
        while let Some((_, mark)) = marks.next_if(|(at, _)| *at <= now) {
            stage.record_at(micros(now), Event::Quiet { mark });
            if mark == Mark::Settled {
                return Ok(());
            }
        }
        sim.step()?;
    }
}

fn build(
    plan: &Rc<Plan>,
    server: &Starter,
    stage: &Rc<Stage>,
    quiet: Quiet,
) -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(plan.network.seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(Duration::from_millis(plan.network.tick_ms))
        .simulation_duration(quiet.settled + Duration::from_secs(1))
        .min_message_latency(Duration::from_millis(plan.network.latency.min_ms))
        .max_message_latency(Duration::from_millis(plan.network.latency.max_ms))
        .tcp_capacity(TCP_CAPACITY);
    if plan.network.shuffle_hosts {
        builder.enable_random_order();
    }
    let mut sim = builder.build();
    let starts = Rc::new(Cell::new(0));
    let (config, server, on) = (Rc::clone(plan), Rc::clone(server), Rc::clone(stage));
    sim.host(SERVER, move || {
        starts.set(starts.get() + 1);
        let handlers = server.borrow_mut()(starts.get());
        run_server::<Turmoil>(Rc::clone(&config), starts.get(), handlers, Rc::clone(&on))
    });
    for client in &plan.clients {
        let actor = Actor::new(Rc::clone(plan), client, Rc::clone(stage));
        sim.client(
            name(client.id),
            run_client::<Turmoil>(Rc::clone(plan), client.clone(), actor, quiet),
        );
    }
    sim
}

/// The name of a client's host.
fn name(client: u32) -> String {
    format!("client-{client}")
}

/// The state that links and server are in, and how to change it.
#[derive(Debug, Default)]
struct Links {
    current: Option<Step>,
}

impl Links {
    /// Moves everything to the state of `step`. A power loss cuts the links before the
    /// server goes down, so that nobody is told; a start comes before the repair.
    fn apply(&mut self, step: &Step, sim: &mut turmoil::Sim<'_>, stage: &Stage) {
        let at_us = micros(sim.elapsed());
        let previous = self.current.replace(step.clone());
        let was = previous.as_ref().map_or(ServerState::Up, |step| step.server);
        let tell = |what: String| stage.record_at(at_us, Event::Fault { what });
        if (was, step.server) == (ServerState::Down, ServerState::Up) {
            sim.bounce(SERVER);
            tell("the server starts again".to_owned());
        }
        for (&client, next) in &step.links {
            let before = previous.as_ref().map(|step| step.links[&client]);
            if let Some(what) = change_link(client, before, next, sim) {
                tell(format!("link of client {client}: {what}"));
            }
        }
        if (was, step.server) == (ServerState::Up, ServerState::Down) {
            sim.crash(SERVER);
            tell("the server is killed".to_owned());
        }
    }
}

/// Moves one link to another state; says what has changed, if anything has.
fn change_link(
    client: u32,
    before: Option<LinkState>,
    next: &LinkState,
    sim: &turmoil::Sim<'_>,
) -> Option<String> {
    let host = name(client);
    let mut changes = Vec::new();
    if before.is_some_and(|before| before.latency != next.latency) {
        let (min, max) = (next.latency.min_ms, next.latency.max_ms);
        sim.set_link_latency(SERVER, host.as_str(), Duration::from_millis(min));
        sim.set_link_max_message_latency(SERVER, host.as_str(), Duration::from_millis(max));
        changes.push(format!("{min} to {max} ms"));
    }
    let was = before.map_or(Passage::Open, |before| before.passage);
    if was != next.passage {
        match was {
            Passage::Open => {}
            Passage::Cut(_) => sim.repair(SERVER, host.as_str()),
            Passage::Held => sim.release(SERVER, host.as_str()),
        }
        changes.push(enter_passage(&host, next.passage, sim).to_owned());
    }
    (!changes.is_empty()).then(|| changes.join(", "))
}

fn enter_passage(host: &str, next: Passage, sim: &turmoil::Sim<'_>) -> &'static str {
    match next {
        Passage::Open => "open",
        Passage::Cut(Direction::Both) => {
            sim.partition(SERVER, host);
            "cut"
        }
        Passage::Cut(Direction::ToClient) => {
            sim.partition_oneway(SERVER, host);
            "cut towards the client"
        }
        Passage::Cut(Direction::ToServer) => {
            sim.partition_oneway(host, SERVER);
            "cut towards the server"
        }
        Passage::Held => {
            sim.hold(SERVER, host);
            "held"
        }
    }
}
