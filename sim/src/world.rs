//! Runs a plan: a real server and real clients in a simulated network.
//!
//! The world goes forward step by step; between two steps the faults of the plan's
//! [`timeline`](crate::faults) are applied, and after the last of them it is led through
//! the [quiet phases](crate::quiet). Everything runs on one thread,
//! on paused clocks, and nothing is drawn from a source that the plan does not seed.

mod packets;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::faults::{LinkState, Passage, ServerState, Step, timeline, told};
use crate::foreign::Program;
use crate::freeze::{Switch, freezable};
use crate::history::{Event, History, SERVER_KILLED, SERVER_STARTS};
use crate::net::{HostResult, SERVER, Turmoil, reads_at};
use crate::panics;
use crate::plan::{Direction, Plan, Substrate};
use crate::play::run_client;
use crate::quiet::{Course, Quiet};
use crate::stage::{Stage, micros};

/// Why a world did not come to its end: something panicked, or a host failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wreck(pub String);

/// Backlog of the listener, and segments that a stream holds: turmoil panics when
/// more clients than this dial at once.
const TCP_CAPACITY: usize = 1024;

/// Runs a plan to its end. A wrecked world's history is as long as it got.
///
/// # Panics
///
/// If there is no thread to be had for a foreign server.
pub fn run(plan: &Plan, program: Program) -> (History, Option<Wreck>) {
    match program {
        Program::Foreign(foreign) => thread::scope(|threads| {
            let run = threads.spawn(|| run_here(plan, Program::Foreign(foreign)));
            run.join().expect("a panic in a world is caught there")
        }),
        Program::Parlor(server) => run_here(plan, Program::Parlor(server)),
    }
}

fn run_here(plan: &Plan, program: Program) -> (History, Option<Wreck>) {
    align_task_ids();
    let stage = Rc::new(Stage::default());
    let plan = Rc::new(plan.clone());
    let program = Rc::new(RefCell::new(program));
    let driven = catch_unwind(AssertUnwindSafe(|| match plan.network.substrate {
        Substrate::Packets => packets::drive(&plan, &program, &stage),
        Substrate::Turmoil => drive(&plan, &program, &stage),
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

/// What is asked for a server at each of its starts.
type Starter = Rc<RefCell<Program>>;

/// What is still to come in a world: changes of the network, then the quiet phases.
struct Script {
    steps: Peekable<std::vec::IntoIter<Step>>,
    course: Course,
}

impl Script {
    fn new(plan: &Plan, quiet: &Rc<Quiet>) -> Self {
        let course = Course::new(plan, Rc::clone(quiet));
        Self { steps: timeline(plan).into_iter().peekable(), course }
    }

    /// The next step, if it is time for it.
    fn next_step(&mut self, now: Duration) -> Option<Step> {
        self.steps.next_if(|step| Duration::from_millis(step.at_ms) <= now)
    }

    /// Until when nothing is done by it, if no host does anything before.
    fn next(&mut self) -> Duration {
        let step = self.steps.peek().map(|step| Duration::from_millis(step.at_ms));
        let course = self.course.next();
        step.map_or(course, |step| step.min(course))
    }
}

fn drive(plan: &Rc<Plan>, program: &Starter, stage: &Rc<Stage>) -> HostResult {
    let quiet = Quiet::new(plan);
    let switches = Switches::of(plan);
    let mut script = Script::new(plan, &quiet);
    let mut sim = build(plan, program, stage, &quiet, &switches, script.course.longest());
    let mut links = Links::default();
    loop {
        let now = sim.elapsed();
        while let Some(step) = script.next_step(now) {
            links.apply(&step, &mut sim, stage);
            switches.apply(&step, |what| {
                stage.record_at(micros(sim.elapsed()), Event::Fault { what });
            });
        }
        if script.course.advance(now, stage) {
            return Ok(());
        }
        sim.step()?;
    }
}

fn build(
    plan: &Rc<Plan>,
    program: &Starter,
    stage: &Rc<Stage>,
    quiet: &Rc<Quiet>,
    switches: &Switches,
    longest: Duration,
) -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(plan.network.seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(Duration::from_millis(plan.network.tick_ms))
        .simulation_duration(longest)
        .min_message_latency(Duration::from_millis(plan.network.latency.min_ms))
        .max_message_latency(Duration::from_millis(plan.network.latency.max_ms))
        .tcp_capacity(TCP_CAPACITY);
    if plan.network.shuffle_hosts {
        builder.enable_random_order();
    }
    let mut sim = builder.build();
    let starts = Rc::new(Cell::new(0));
    let (config, program, on) = (Rc::clone(plan), Rc::clone(program), Rc::clone(stage));
    let switch = Rc::clone(&switches.server);
    let of = Rc::clone(quiet);
    sim.host(SERVER, move || {
        starts.set(starts.get() + 1);
        let (plan, stage) = (Rc::clone(&config), Rc::clone(&on));
        let quiet = Rc::clone(&of);
        let server = program.borrow_mut().start::<Turmoil>(plan, starts.get(), stage, quiet);
        freezable(Rc::clone(&switch), server)
    });
    for client in plan.hosts() {
        let (plan, stage, quiet) = (Rc::clone(plan), Rc::clone(stage), Rc::clone(quiet));
        let switch = Rc::clone(&switches.clients[&client.id]);
        let pace = switch.pace.clone();
        let player = run_client::<Turmoil>(plan, client.clone(), pace.clone(), stage, quiet);
        sim.client(name(client.id), freezable(switch, player));
        reads_at(sim.lookup(name(client.id)), pace);
    }
    sim
}

/// What stalls the hosts of a world.
#[derive(Debug)]
struct Switches {
    server: Rc<Switch>,
    clients: BTreeMap<u32, Rc<Switch>>,
}

impl Switches {
    fn of(plan: &Plan) -> Self {
        let clients = plan.hosts().map(|client| (client.id, Rc::default())).collect();
        Self { server: Rc::default(), clients }
    }

    /// Stalls and lets go on as the step says, and tells what has changed.
    fn apply(&self, step: &Step, mut tell: impl FnMut(String)) {
        let word = |is_frozen| if is_frozen { "stalls" } else { "goes on" };
        if self.server.set(step.frozen.server) {
            tell(format!("the server {}", word(step.frozen.server)));
        }
        for (client, switch) in &self.clients {
            let is_frozen = step.frozen.clients.contains(client);
            if switch.set(is_frozen) {
                tell(format!("client {client} {}", word(is_frozen)));
            }
            let pace = step.slow_readers.get(client).copied();
            if switch.pace.set(pace) {
                tell(match pace {
                    None => format!("client {client} reads as it likes"),
                    Some(bytes) => format!("client {client} reads {bytes} bytes/ms"),
                });
            }
        }
    }
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
        if !was.is_up() && step.server.is_up() {
            sim.bounce(SERVER);
            tell(SERVER_STARTS.to_owned());
        }
        for (&client, next) in &step.links {
            let before = previous.as_ref().map(|step| step.links[&client]);
            change_link(client, before, next, sim);
            if let Some(news) = next.news(before.as_ref()) {
                tell(told(client, &news));
            }
        }
        if was.is_up() && !step.server.is_up() {
            sim.crash(SERVER);
            tell(SERVER_KILLED.to_owned());
        }
    }
}

/// Moves one link to another state.
fn change_link(client: u32, before: Option<LinkState>, next: &LinkState, sim: &turmoil::Sim<'_>) {
    let host = name(client);
    if before.is_some_and(|before| before.latency != next.latency) {
        let (min, max) = (next.latency.min_ms, next.latency.max_ms);
        sim.set_link_latency(SERVER, host.as_str(), Duration::from_millis(min));
        sim.set_link_max_message_latency(SERVER, host.as_str(), Duration::from_millis(max));
    }
    let was = before.map_or(Passage::Open, |before| before.passage);
    if was == next.passage {
        return;
    }
    match was {
        Passage::Open => {}
        Passage::Cut(_) => sim.repair(SERVER, host.as_str()),
        Passage::Held => sim.release(SERVER, host.as_str()),
    }
    match next.passage {
        Passage::Open => {}
        Passage::Cut(Direction::Both) => sim.partition(SERVER, host),
        Passage::Cut(Direction::ToClient) => sim.partition_oneway(SERVER, host),
        Passage::Cut(Direction::ToServer) => sim.partition_oneway(host, SERVER),
        Passage::Held => sim.hold(SERVER, host),
    }
}
