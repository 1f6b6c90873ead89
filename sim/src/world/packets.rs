//! Drives a plan on turmoil-net: every packet goes through one [`Fabric`], which
//! delays, holds or drops it as the plan's timeline says.
//!
//! A started server has a new address, as if another machine had taken over: what is
//! sent to a killed one is still answered by its kernel, unless its power is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, RngSeed, UnhandledPanic};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::sleep;
use turmoil_net::{EnterGuard, HostId, KernelConfig, Net, Packet, TcpFlags, TcpSegment, Transport};

use super::{Quiet, Starter};
use crate::actor::Actor;
use crate::dice::Dice;
use crate::faults::{LinkState, Passage, ServerState, Step, timeline};
use crate::history::{Event, Mark};
use crate::net::HostResult;
use crate::net::packets::{Packets, move_server, scoped};
use crate::plan::{Direction, Plan, RESEND_MS};
use crate::play::run_client;
use crate::server::run_server;
use crate::stage::{Stage, micros};

/// Sendings of one packet until TCP gives up; never within a plan's quiet phase.
const RESENDS_MAX: u32 = 10_000;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

pub(super) fn drive(plan: &Rc<Plan>, server: &Starter, stage: &Rc<Stage>) -> HostResult {
    let steps = timeline(plan);
    let (net, hosts) = hosts(plan, &steps);
    let guard = net.enter();
    // Declared after the guard, so dropped before it: a stream's end needs its kernel.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.network.seed.to_le_bytes()))
        .build()?;
    let mut local = LocalSet::new();
    local.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    runtime.block_on(World::new(plan, server, stage, &guard, &local, hosts).run(steps))
}

/// The hosts of a world: of every start of the server, and of every client.
struct Hosts {
    servers: Vec<(HostId, IpAddr)>,
    clients: BTreeMap<u32, (HostId, IpAddr)>,
}

fn hosts(plan: &Plan, steps: &[Step]) -> (Net, Hosts) {
    let tick_ms = u32::try_from(plan.network.tick_ms).unwrap_or(u32::MAX);
    // Kernels count the passes of the world, not time.
    let passes = (u32::try_from(RESEND_MS).expect("a constant") / tick_ms).max(2);
    let config = KernelConfig::default()
        .default_backlog(BACKLOG)
        .retx_threshold(passes)
        .retx_max(RESENDS_MAX);
    let mut net = Net::with_config(config);
    let mut next = 0;
    let mut add = || {
        next += 1;
        let [_, _, high, low] = u32::to_be_bytes(next);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        (net.add_host(address), address)
    };
    let starts =
        1 + steps.windows(2).filter(|pair| is_start(pair[0].server, pair[1].server)).count();
    let servers = (0..starts).map(|_| add()).collect();
    let clients = plan.clients.iter().map(|client| (client.id, add())).collect();
    (net, Hosts { servers, clients })
}

fn is_start(was: ServerState, is: ServerState) -> bool {
    (was, is) == (ServerState::Down, ServerState::Up)
}

struct World<'a> {
    plan: &'a Rc<Plan>,
    starter: &'a Starter,
    stage: &'a Rc<Stage>,
    local: &'a LocalSet,
    hosts: Hosts,
    fabric: Fabric<'a>,
    starts: usize,
    server: Option<JoinHandle<()>>,
}

impl<'a> World<'a> {
    fn new(
        plan: &'a Rc<Plan>,
        starter: &'a Starter,
        stage: &'a Rc<Stage>,
        guard: &'a EnterGuard,
        local: &'a LocalSet,
        hosts: Hosts,
    ) -> Self {
        let addresses = hosts.clients.iter().map(|(&id, &(_, address))| (address, id)).collect();
        let fabric = Fabric {
            guard,
            dice: Dice::new(plan.network.seed),
            clients: addresses,
            links: BTreeMap::new(),
            dark: BTreeSet::new(),
            under_way: BTreeMap::new(),
            held: Vec::new(),
            latest: BTreeMap::new(),
            acks: BTreeMap::new(),
            sent: 0,
        };
        Self { plan, starter, stage, local, hosts, fabric, starts: 0, server: None }
    }

    async fn run(mut self, steps: Vec<Step>) -> HostResult {
        self.stage.begin();
        let quiet = Quiet::of(self.plan);
        self.start_server();
        self.start_clients(quiet);
        let mut steps = steps.into_iter().peekable();
        let mut marks = quiet.marks(self.plan).into_iter().peekable();
        let tick = Duration::from_millis(self.plan.network.tick_ms);
        let mut now = Duration::ZERO;
        loop {
            while let Some(step) = steps.next_if(|step| Duration::from_millis(step.at_ms) <= now) {
                self.apply(&step, now).await;
            }
            while let Some((_, mark)) = marks.next_if(|(at, _)| *at <= now) {
                self.stage.record_at(micros(now), Event::Quiet { mark });
                if mark == Mark::Settled {
                    return Ok(());
                }
            }
            self.local.run_until(sleep(tick)).await;
            now += tick;
            self.fabric.pass(now);
        }
    }

    fn start_server(&mut self) {
        let (host, address) = self.hosts.servers[self.starts];
        move_server(address);
        self.starts += 1;
        let start = self.starts as u64;
        let handlers = self.starter.borrow_mut()(start);
        let (plan, stage) = (Rc::clone(self.plan), Rc::clone(self.stage));
        let server = run_server::<Packets>(plan, start, handlers, stage);
        self.server = Some(self.local.spawn_local(scoped(host, async {
            if let Err(error) = server.await {
                panic!("{error}");
            }
        })));
    }

    fn start_clients(&self, quiet: Quiet) {
        for client in &self.plan.clients {
            let (plan, client) = (Rc::clone(self.plan), client.clone());
            let (host, _) = self.hosts.clients[&client.id];
            let actor = Actor::new(Rc::clone(&plan), &client, Rc::clone(self.stage));
            self.local.spawn_local(scoped(host, async move {
                if let Err(error) = run_client::<Packets>(plan, client, actor, quiet).await {
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
            if before.is_some_and(|before| before != *next) {
                tell(format!("link of client {client}: {next:?}"));
            }
        }
        match step.server {
            ServerState::Up if self.server.is_none() => {
                tell("the server starts again".to_owned());
                self.start_server();
            }
            ServerState::Down if self.server.is_some() => {
                tell("the server is killed".to_owned());
                self.stop_server(step).await;
            }
            ServerState::Up | ServerState::Down => {}
        }
        self.fabric.release(now);
    }

    /// With all links cut its machine has no power: its kernel is gone for good.
    async fn stop_server(&mut self, step: &Step) {
        let Some(server) = self.server.take() else { return };
        server.abort();
        // Its end by an abort is what was wanted; a panic has been noted by the hook.
        let _ = self.local.run_until(server).await;
        let is_dark = step.links.values().all(|link| link.passage == Passage::Cut(Direction::Both));
        if is_dark {
            self.fabric.dark.insert(self.hosts.servers[self.starts - 1].1);
        }
    }
}

/// Both ends of one direction of a connection.
type Flow = (IpAddr, u16, IpAddr, u16);

/// All packets that are under way.
struct Fabric<'a> {
    guard: &'a EnterGuard,
    dice: Dice,
    clients: BTreeMap<IpAddr, u32>,
    links: BTreeMap<u32, LinkState>,
    /// Machines without power.
    dark: BTreeSet<IpAddr>,
    under_way: BTreeMap<(Duration, u64), Packet>,
    held: Vec<Packet>,
    /// When the last packet of each direction of a link arrives: none overtakes it.
    latest: BTreeMap<(IpAddr, IpAddr), Duration>,
    /// The last that each end of a connection has acknowledged.
    acks: BTreeMap<Flow, Packet>,
    sent: u64,
}

impl Fabric<'_> {
    fn pass(&mut self, now: Duration) {
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let packet = entry.remove();
            self.arrive(packet, now);
        }
        let mut packets = Vec::new();
        self.guard.egress_all(&mut packets);
        for packet in packets {
            self.note_ack(&packet);
            self.send(packet, now);
        }
    }

    fn link(&self, packet: &Packet) -> Option<(LinkState, bool)> {
        let to_client = self.clients.get(&packet.dst);
        let client = to_client.or_else(|| self.clients.get(&packet.src))?;
        Some((*self.links.get(client)?, to_client.is_some()))
    }

    fn is_lost(&self, packet: &Packet) -> bool {
        if self.dark.contains(&packet.src) || self.dark.contains(&packet.dst) {
            return true;
        }
        let Some((link, to_client)) = self.link(packet) else { return true };
        match link.passage {
            Passage::Cut(Direction::Both) => true,
            Passage::Cut(Direction::ToClient) => to_client,
            Passage::Cut(Direction::ToServer) => !to_client,
            Passage::Held | Passage::Open => false,
        }
    }

    fn send(&mut self, packet: Packet, now: Duration) {
        if self.is_lost(&packet) {
            return;
        }
        let Some((link, _)) = self.link(&packet) else { return };
        let (min, max) = (link.latency.min_ms * 1000, link.latency.max_ms * 1000);
        let delay = Duration::from_micros(self.dice.between(min, max));
        let latest = self.latest.entry((packet.src, packet.dst)).or_default();
        *latest = (*latest).max(now + delay);
        self.sent += 1;
        self.under_way.insert((*latest, self.sent), packet);
    }

    /// What is under way when a link is cut is lost too.
    fn arrive(&mut self, packet: Packet, now: Duration) {
        if self.is_lost(&packet) {
            return;
        }
        if self.link(&packet).is_some_and(|(link, _)| link.passage == Passage::Held) {
            self.held.push(packet);
            return;
        }
        let again = self.ack_of_old(&packet);
        self.guard.deliver(packet);
        if let Some(ack) = again {
            self.send(ack, now);
        }
    }

    /// Hands over what links that are held no longer have kept.
    fn release(&mut self, now: Duration) {
        for packet in std::mem::take(&mut self.held) {
            self.arrive(packet, now);
        }
    }

    fn note_ack(&mut self, packet: &Packet) {
        let Transport::Tcp(segment) = &packet.payload else { return };
        let flow = (packet.src, segment.src_port, packet.dst, segment.dst_port);
        if segment.flags.rst {
            self.acks.remove(&flow);
        } else if segment.flags.ack && !segment.flags.syn {
            let flags = TcpFlags { ack: true, ..TcpFlags::default() };
            let own = u32::from(segment.flags.fin);
            let end = segment.payload.len() as u32 + own;
            let seq = segment.seq.wrapping_add(end);
            let bare = TcpSegment { seq, flags, payload: bytes::Bytes::new(), ..segment.clone() };
            self.acks.insert(flow, Packet { payload: Transport::Tcp(bare), ..packet.clone() });
        }
    }

    /// Every TCP acknowledges again what it gets again (RFC 9293, section 3.10.7.4);
    /// turmoil-net's does not, so that a lost acknowledgement would stop a sender.
    fn ack_of_old(&self, packet: &Packet) -> Option<Packet> {
        let Transport::Tcp(segment) = &packet.payload else { return None };
        let own = u32::from(segment.flags.fin) + u32::from(segment.flags.syn);
        let length = segment.payload.len() as u32 + own;
        let ack = self.acks.get(&(packet.dst, segment.dst_port, packet.src, segment.src_port))?;
        let Transport::Tcp(last) = &ack.payload else { return None };
        let ahead = segment.seq.wrapping_add(length).wrapping_sub(last.ack);
        // At most half of all numbers ahead is new, by TCP's arithmetic.
        let is_old = ahead == 0 || ahead > u32::MAX / 2;
        (length > 0 && is_old).then(|| ack.clone())
    }
}
