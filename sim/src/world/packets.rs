//! Drives a plan on turmoil-net: every packet goes through one [`Fabric`], to which the plan's
//! timeline says what becomes of it.
//!
//! A started server has a new address, as if another machine had taken over: what is
//! sent to a killed one is still answered by its kernel, unless its power is gone.

mod fabric;
mod flows;
mod kernels;
mod resends;
mod weather;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, RngSeed, UnhandledPanic};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};
use turmoil_net::{HostId, KernelConfig, Net};

use self::fabric::{Fabric, resend_passes};
use self::flows::ipv4;
use self::kernels::{Kernels, pass_at};
use self::resends::Resends;
use super::{Script, Starter, Switches};
use crate::faults::{ServerState, Step, timeline, told};
use crate::freeze::freezable;
use crate::history::{CONNECTIONS_RESET, Event, SERVER_KILLED, SERVER_STARTS};
use crate::net::HostResult;
use crate::net::packets::{Packets, move_server, scoped, stirred};
use crate::plan::Plan;
use crate::play::run_client;
use crate::quiet::Quiet;
use crate::stage::{Stage, micros};

/// Sendings of one packet until TCP gives up; never within a plan's quiet phase.
const RESENDS_MAX: u32 = 10_000;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

pub(super) fn drive(plan: &Rc<Plan>, program: &Starter, stage: &Rc<Stage>) -> HostResult {
    let steps = timeline(plan);
    let (net, hosts) = hosts(plan, &steps);
    let kernels = Rc::new(Kernels::new(net.enter(), Resends::new(resend_passes(&plan.network))));
    // Declared after the kernels, so dropped before them: a stream's end needs its own.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.network.seed.to_le_bytes()))
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()?;
    let mut local = LocalSet::new();
    local.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    runtime.block_on(World::new(plan, program, stage, &kernels, &local, hosts).run())
}

/// The hosts of a world: of every start of the server, and of every client.
struct Hosts {
    servers: Vec<(HostId, IpAddr)>,
    clients: BTreeMap<u32, (HostId, IpAddr)>,
}

fn hosts(plan: &Plan, steps: &[Step]) -> (Net, Hosts) {
    let socket_bytes = plan.network.socket_buffer_bytes as usize;
    let config = KernelConfig::default()
        .send_buf_cap(socket_bytes)
        .recv_buf_cap(socket_bytes)
        .default_backlog(BACKLOG)
        .retx_threshold(resend_passes(&plan.network))
        .retx_max(RESENDS_MAX);
    let mut net = Net::with_config(config);
    let mut next = 0;
    let mut add = || {
        next += 1;
        let [_, _, high, low] = u32::to_be_bytes(next);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        (net.add_host(address), address)
    };
    let is_start = |pair: &&[Step]| !pair[0].server.is_up() && pair[1].server.is_up();
    let starts = 1 + steps.windows(2).filter(is_start).count();
    let servers = (0..starts).map(|_| add()).collect();
    let clients = plan.hosts().map(|client| (client.id, add())).collect();
    (net, Hosts { servers, clients })
}

struct World<'a> {
    plan: &'a Rc<Plan>,
    starter: &'a Starter,
    stage: &'a Rc<Stage>,
    local: &'a LocalSet,
    hosts: Hosts,
    kernels: Rc<Kernels>,
    fabric: Fabric,
    quiet: Rc<Quiet>,
    switches: Switches,
    starts: usize,
    server: Option<JoinHandle<()>>,
}

impl<'a> World<'a> {
    fn new(
        plan: &'a Rc<Plan>,
        starter: &'a Starter,
        stage: &'a Rc<Stage>,
        kernels: &Rc<Kernels>,
        local: &'a LocalSet,
        hosts: Hosts,
    ) -> Self {
        let clients =
            hosts.clients.iter().map(|(&id, &(_, address))| (ipv4(address), id)).collect();
        let fabric = Fabric::new(Rc::clone(kernels), &plan.network, clients);
        let (quiet, switches) = (Quiet::new(plan), Switches::of(plan));
        let (starts, server) = (0, None);
        Self {
            plan,
            starter,
            stage,
            local,
            hosts,
            kernels: Rc::clone(kernels),
            fabric,
            quiet,
            switches,
            starts,
            server,
        }
    }

    async fn run(mut self) -> HostResult {
        self.stage.begin();
        self.start_server();
        self.start_clients();
        let mut script = Script::new(self.plan, &self.quiet);
        let tick = Duration::from_millis(self.plan.network.tick_ms);
        let mut now = Duration::ZERO;
        loop {
            while let Some(step) = script.next_step(now) {
                self.apply(&step, now).await;
            }
            if script.course.advance(now, self.stage) {
                self.stage.record_at(micros(now), Event::Packets { tally: self.fabric.tally });
                return Ok(());
            }
            now = self.act(now, tick, script.next()).await;
            self.fabric.pass(now);
        }
    }

    /// Lets hosts act for a tick; or, while nothing is to be done by the world before `until`
    /// and by its fabric, until one of them does something. When that tick ends.
    async fn act(&mut self, now: Duration, tick: Duration, until: Duration) -> Duration {
        let until = self.fabric.next_pass().map_or(until, |pass| pass.min(until));
        let began = Instant::now();
        if until > now + tick {
            let ticks = until.as_nanos().div_ceil(tick.as_nanos());
            let last = tick * u32::try_from(ticks).expect("less than a year of ticks");
            let kernels = Rc::clone(&self.kernels);
            let count = move || kernels.count_to(pass_at(now + began.elapsed(), tick));
            let is_stirred = self.local.run_until(async {
                tokio::select! {
                    biased;
                    () = stirred(count) => true,
                    () = sleep(last - now) => false,
                }
            });
            if !is_stirred.await {
                return last;
            }
        }
        let passed = began.elapsed();
        let ticks = passed.as_nanos() / tick.as_nanos() + 1;
        let rest = tick * u32::try_from(ticks).expect("as before");
        self.local.run_until(sleep(rest - passed)).await;
        now + rest
    }

    fn start_server(&mut self) {
        let (host, address) = self.hosts.servers[self.starts];
        move_server(address);
        self.starts += 1;
        let start = self.starts as u64;
        let (plan, stage) = (Rc::clone(self.plan), Rc::clone(self.stage));
        let quiet = Rc::clone(&self.quiet);
        let server = self.starter.borrow_mut().start::<Packets>(plan, start, stage, quiet);
        let server = freezable(Rc::clone(&self.switches.server), server);
        self.server = Some(self.local.spawn_local(scoped(host, async {
            if let Err(error) = server.await {
                panic!("{error}");
            }
        })));
    }

    fn start_clients(&self) {
        for client in self.plan.hosts() {
            let (plan, client) = (Rc::clone(self.plan), client.clone());
            let (host, _) = self.hosts.clients[&client.id];
            let switch = Rc::clone(&self.switches.clients[&client.id]);
            let (pace, stage) = (switch.pace.clone(), Rc::clone(self.stage));
            let player = run_client::<Packets>(plan, client, pace, stage, Rc::clone(&self.quiet));
            self.local.spawn_local(scoped(host, async move {
                if let Err(error) = freezable(switch, player).await {
                    panic!("{error}");
                }
            }));
        }
    }

    /// Moves everything to the state of `step`.
    async fn apply(&mut self, step: &Step, now: Duration) {
        let tell = |what: String| self.stage.record_at(micros(now), Event::Fault { what });
        for (&client, next) in &step.links {
            let before = self.fabric.links.insert(client, *next);
            if let Some(news) = next.news(before.as_ref()) {
                tell(told(client, &news));
            }
        }
        match step.server {
            ServerState::Up if self.server.is_none() => {
                tell(SERVER_STARTS.to_owned());
                self.start_server();
            }
            ServerState::Dark | ServerState::Down if self.server.is_some() => {
                tell(SERVER_KILLED.to_owned());
                self.stop_server().await;
            }
            ServerState::Dark | ServerState::Down | ServerState::Up => {}
        }
        if step.server == ServerState::Dark {
            self.fabric.darken(ipv4(self.hosts.servers[self.starts - 1].1));
        }
        for &client in &step.resets {
            tell(told(client, CONNECTIONS_RESET));
            self.fabric.reset(client);
        }
        self.fabric.release(now);
        self.switches.apply(step, tell);
    }

    async fn stop_server(&mut self) {
        let Some(server) = self.server.take() else { return };
        server.abort();
        // Its end by an abort is what was wanted; a panic has been noted by the hook.
        let _ = self.local.run_until(server).await;
    }
}
