//! Plans from seeds, swarm style: each seed draws which faults can strike at all,
//! how often, and what clients like to do, so that rare combinations meet.
//!
//! A few clients meet in very few rooms and act in a short time, so histories
//! collide often; a small plan finds most ordering faults and runs in
//! milliseconds. (Groce et al., "Swarm Testing", ISSTA 2012.)

mod cancelled;
mod chat;
mod congested;
mod half_open;
mod handlers;
pub(crate) mod outbound;
mod packets;
mod script;

use std::collections::BTreeSet;

use crate::dice::Dice;
use crate::plan::{
    Act, Client, Direction, Fault, FaultKind, Latency, Namespace, Network, Operation, Plan,
    RESEND_MS, Reconnect, Server, StreamShape, Substrate, Transport, VERSION,
};

pub(crate) use script::scripted;

/// How big plans are and whether anything goes wrong in them.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Most clients; each seed draws 2 to this many.
    pub clients: usize,
    /// Operations of each client.
    pub operations: usize,
    /// Whether faults strike.
    pub faults: bool,
    /// What carries the bytes; each seed draws it if this does not say.
    pub substrate: Option<Substrate>,
    /// Whether there is what only parlor's chat has: another namespace, and volatile events.
    pub all_of_the_chat: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self { clients: 5, operations: 20, faults: true, substrate: None, all_of_the_chat: true }
    }
}

/// Room names that broke somebody's room table once: prefixes of each other,
/// upper and lower case, no ASCII, quotes and separators, and other namespaces' names.
const ODD_ROOMS: [&str; 10] =
    ["lobby", "lobby2", "Lobby", " ", "room,1", "\"quoted\"\\", "/admin", "chat:#1", "日本語", "0"];

/// Relative frequencies of what a client does.
struct Taste {
    weights: [u64; 11],
    attachments: bool,
    bytes_max: u64,
    ack_percent: u64,
}

/// Operations of the clients of a small plan, all together.
const SMALL_PLAN: usize = 100;

/// How many seeds of a hundred run on packets, where TCP sends again what was lost.
const PACKETS_PERCENT: u64 = 40;

/// How many seeds of a hundred end as soon as they can: over turmoil, and over packets.
const HURRIED_PERCENT: [u64; 2] = [97, 90];

/// Tells the draws of time's steps from all others of a seed.
const TICK_STREAM: u64 = 0x7469_636b_7321_0000;

/// In how many seeds of a hundred clients can come back to their sessions.
const RECOVERY_PERCENT: u64 = 40;

/// The plan of a seed: the same for the same seed and profile, on every machine.
///
/// # Panics
///
/// If the profile has no clients.
pub fn generate(seed: u64, profile: &Profile) -> Plan {
    let (mut plan, mut dice) = draw(seed, profile, |dice, network, duration_ms| {
        let rooms = rooms(dice);
        let mut taste = taste(dice);
        if network.stream != StreamShape::WIDE {
            taste.bytes_max = taste.bytes_max.min(200);
        }
        let ids = 0..count(dice, profile);
        let clients =
            ids.map(|id| client(dice, id, profile.operations, duration_ms, rooms.len(), &taste));
        let clients = clients.collect();
        (rooms, clients)
    });
    if dice.chance(RECOVERY_PERCENT) {
        recovery(&mut dice, &mut plan.server, &mut plan.clients);
    }
    half_open::some_stay(seed, &mut plan.clients);
    if profile.all_of_the_chat {
        chat::add(seed, &mut plan);
    }
    if !congested::add(seed, &mut plan, profile) {
        outbound::add(seed, &mut plan, profile);
    }
    if profile.all_of_the_chat {
        handlers::add(seed, &mut plan);
    }
    if profile.faults {
        cancelled::add(seed, &mut plan);
    }
    pace(seed, &mut plan);
    plan
}

/// Now and then an idle network is looked at for as long as is promised. Over turmoil every
/// step of every host costs the same, whatever happens in it: short ones and idle ones are
/// rarer there than over packets, where what is idle costs nothing.
fn pace(seed: u64, plan: &mut Plan) {
    let substrate = plan.network.substrate;
    plan.hurried =
        Dice::new(!seed).chance(HURRIED_PERCENT[usize::from(substrate == Substrate::Packets)]);
    let mut dice = Dice::new(seed ^ TICK_STREAM);
    if substrate == Substrate::Turmoil && plan.network.tick_ms == 1 && dice.chance(70) {
        plan.network.tick_ms = dice.pick(&[2, 5]);
    }
}

/// How many clients take part.
fn count(dice: &mut Dice, profile: &Profile) -> u32 {
    let most = u32::try_from(profile.clients).expect("few clients");
    if most > 2 {
        u32::try_from(dice.between(2, most.into())).expect("at most as many")
    } else {
        most
    }
}

/// A plan with the rooms and clients that `cast` draws, given the network and the duration;
/// and the dice, for what is drawn last.
fn draw(
    seed: u64,
    profile: &Profile,
    cast: impl FnOnce(&mut Dice, &Network, u64) -> (Vec<String>, Vec<Client>),
) -> (Plan, Dice) {
    let mut dice = Dice::new(seed);
    let duration_ms = dice.between(600, 1000 + 50 * profile.operations as u64);
    let mut network = network(&mut dice);
    widen(&mut network.stream, profile);
    let mut server = server(&mut dice);
    let (rooms, mut clients) = cast(&mut dice, &network, duration_ms);
    let ids: Vec<u32> = clients.iter().map(|client| client.id).collect();
    let mut faults =
        if profile.faults { faults(&mut dice, duration_ms, &ids, &server) } else { Vec::new() };
    let mut reconnect = Reconnect {
        connect_timeout_ms: dice.between(150, 500),
        delay_min_ms: dice.between(5, 50),
        delay_max_ms: dice.between(50, 300),
    };
    shards(&mut dice, &mut server);
    transports(&mut dice, &mut clients);
    let is_drawn = dice.chance(PACKETS_PERCENT);
    if profile.substrate.map_or(is_drawn, |wanted| wanted == Substrate::Packets) {
        network.substrate = Substrate::Packets;
        // What is lost is sent again, which takes a while.
        server.ping_timeout_ms += 2 * RESEND_MS;
        server.connect_timeout_ms += 2 * RESEND_MS;
        reconnect.connect_timeout_ms += 2 * RESEND_MS;
    }
    if network.substrate == Substrate::Packets {
        packets::small_sockets(&mut dice, &mut network, &mut clients);
        if profile.faults {
            packets::add_faults(&mut dice, duration_ms, &ids, &mut faults);
        }
    }
    if clients.iter().any(|client| client.transport != Transport::WebSocket) {
        // Every packet has more trips to make.
        server.ping_timeout_ms += 400;
        server.connect_timeout_ms += 600;
        reconnect.connect_timeout_ms += 600;
    }
    let plan = Plan {
        version: VERSION,
        application: None,
        origin: Some(seed),
        duration_ms,
        hurried: false,
        network,
        server,
        reconnect,
        rooms,
        clients,
        faults,
    };
    (plan, dice)
}

fn network(dice: &mut Dice) -> Network {
    let min_ms = dice.between(0, 5);
    Network {
        seed: dice.bits() >> 12,
        tick_ms: dice.pick(&[1, 2, 5]),
        latency: Latency { min_ms, max_ms: min_ms + dice.pick(&[0, 1, 10, 40]) },
        shuffle_hosts: dice.chance(50),
        stream: stream(dice),
        substrate: Substrate::Turmoil,
        socket_buffer_bytes: Network::SOCKET_BUFFER_BYTES,
    }
}

/// A stream that is narrow for a small plan would hold up a big one for so long that who
/// comes back gives up before it has heard what it missed.
fn widen(stream: &mut StreamShape, profile: &Profile) {
    let said = profile.clients.saturating_mul(profile.operations);
    let times = u32::try_from(said.div_ceil(SMALL_PLAN).max(1)).unwrap_or(u32::MAX);
    if *stream != StreamShape::WIDE {
        stream.bytes_per_ms = stream.bytes_per_ms.saturating_mul(times);
        stream.buffer_bytes = stream.buffer_bytes.saturating_mul(times);
    }
}

/// Mostly wide; else narrow enough for partial frames and backlogs.
fn stream(dice: &mut Dice) -> StreamShape {
    if dice.chance(50) {
        return StreamShape::WIDE;
    }
    StreamShape {
        read_bytes_max: dice.pick(&[1, 7, 100, 1000]),
        buffer_bytes: dice.pick(&[64, 256, 1024]),
        bytes_per_ms: dice.pick(&[10, 30, 100]),
    }
}

fn server(dice: &mut Dice) -> Server {
    // Well above the longest round trip, or healthy connections would be closed.
    Server {
        seed: dice.bits() >> 12,
        ping_interval_ms: dice.between(100, 400),
        ping_timeout_ms: dice.between(150, 400),
        connect_timeout_ms: dice.between(300, 600),
        shards: 1,
        exchange_delay_max_ms: 0,
        recovery_window_ms: 0,
        recovery_packets_max: 0,
        outbound: None,
        events_waiting_max: 0,
        echo_ms: 0,
    }
}

/// Half of the plans have several shards, half of these with delays between them.
fn shards(dice: &mut Dice, server: &mut Server) {
    server.shards = dice.pick(&[1, 1, 1, 2, 2, 3]);
    server.exchange_delay_max_ms = dice.pick(&[0, 2, 10, 40]);
}

/// Windows shorter than any outage and longer than all, and sometimes room for only a few
/// broadcasts. Most clients ask for their sessions; some do not care. In most plans
/// connections are lost so often that this is worth it.
fn recovery(dice: &mut Dice, server: &mut Server, clients: &mut [Client]) {
    server.recovery_window_ms = dice.pick(&[20, 100, 400, 1_000, 2_500, 2_500]);
    server.recovery_packets_max = dice.pick(&[0, 0, 0, 1, 3, 8]);
    let drops = dice.pick(&[0, 5, 10, 20]);
    for client in clients {
        client.recovers = dice.chance(85);
        for operation in &mut client.operations {
            if matches!(operation.act, Act::Echo | Act::Message { .. }) && dice.chance(drops) {
                operation.act = Act::Drop;
            }
        }
    }
}

/// In half of the plans all have a WebSocket, else each client has what it has.
fn transports(dice: &mut Dice, clients: &mut [Client]) {
    if dice.chance(50) {
        return;
    }
    for client in clients {
        client.transport = dice.pick(&[
            Transport::Polling,
            Transport::Upgrade,
            Transport::Upgrade,
            Transport::WebSocket,
        ]);
    }
}

fn rooms(dice: &mut Dice) -> Vec<String> {
    let count = dice.pick(&[1, 1, 2, 2, 3]);
    if dice.chance(60) {
        return ["a", "b", "c"][..count].iter().map(|&name| name.to_owned()).collect();
    }
    let first = dice.index(ODD_ROOMS.len());
    let name = |offset: usize| ODD_ROOMS[(first + offset) % ODD_ROOMS.len()].to_owned();
    (0..count).map(name).collect()
}

fn taste(dice: &mut Dice) -> Taste {
    let mut some = |percent: u64, high: u64| {
        if dice.chance(percent) { dice.between(1, high) } else { 0 }
    };
    // disconnect, drop, echo, join, leave, message, reconnect, switch, watch, unwatch, vanish
    let weights = [
        some(30, 2),
        some(40, 2),
        some(40, 6),
        1 + some(100, 6),
        some(80, 5),
        6 + some(100, 20),
        some(30, 3),
        some(60, 5),
        some(50, 12),
        some(30, 3),
        some(25, 2),
    ];
    Taste {
        weights,
        attachments: dice.chance(30),
        bytes_max: dice.pick(&[0, 20, 200, 5_000]),
        ack_percent: dice.pick(&[0, 50, 100]),
    }
}

fn client(
    dice: &mut Dice,
    id: u32,
    count: usize,
    duration_ms: u64,
    rooms: usize,
    taste: &Taste,
) -> Client {
    let start_ms = dice.between(0, duration_ms / 4);
    let times = times(dice, start_ms + 20, duration_ms, count);
    let mut course = Course::new(dice.chance(80));
    let operations = times
        .into_iter()
        .enumerate()
        .map(|(index, at_ms)| {
            let act = course.act(dice, index == 0, rooms, taste);
            course.follow(&act);
            Operation { at_ms, act }
        })
        .collect();
    let transport = Transport::WebSocket;
    let (rejoins, recovers, half_open) = (course.rejoins, false, None);
    let (opening, probe) = (Vec::new(), Vec::new());
    let (namespace, over) = (Namespace::Root, None);
    Client {
        id,
        namespace,
        over,
        start_ms,
        rejoins,
        recovers,
        transport,
        half_open,
        operations,
        opening,
        probe,
    }
}

/// When a client acts: all over the plan, or in a few volleys, so that one act
/// is not done when the next one comes. A coarse grid makes clients meet.
fn times(dice: &mut Dice, earliest_ms: u64, duration_ms: u64, count: usize) -> Vec<u64> {
    let grid_ms = dice.pick(&[1, 10, 50]);
    let latest_ms = duration_ms.max(earliest_ms);
    let volleys: Vec<u64> = match dice.chance(40) {
        true => (0..dice.between(2, 4)).map(|_| dice.between(earliest_ms, latest_ms)).collect(),
        false => Vec::new(),
    };
    let mut times: Vec<u64> = (0..count)
        .map(|_| match volleys.as_slice() {
            [] => dice.between(earliest_ms, latest_ms) / grid_ms * grid_ms,
            volleys => (dice.pick(volleys) + dice.between(0, 15)).min(latest_ms),
        })
        .collect();
    times.sort_unstable();
    times
}

/// Where a client would be after its acts so far, if all went well.
///
/// Acts follow it mostly: who is away says nothing, and a refusal is soon
/// understood. Not always, since what makes no sense must do no harm.
struct Course {
    connected: bool,
    joined: BTreeSet<usize>,
    rejoins: bool,
}

impl Course {
    fn new(rejoins: bool) -> Self {
        Self { connected: true, joined: BTreeSet::new(), rejoins }
    }

    fn act(&self, dice: &mut Dice, is_first: bool, rooms: usize, taste: &Taste) -> Act {
        let any = dice.index(rooms);
        if !self.connected && dice.chance(70) {
            return Act::Reconnect;
        }
        if self.joined.is_empty() && dice.chance(if is_first { 90 } else { 60 }) {
            return Act::Join { room: any };
        }
        let own: Vec<usize> = self.joined.iter().copied().collect();
        let is_own = !own.is_empty() && dice.chance(85);
        let room = if is_own { dice.pick(&own) } else { any };
        act(dice, rooms, room, any, taste)
    }

    fn follow(&mut self, act: &Act) {
        match *act {
            Act::Disconnect => {
                self.connected = false;
                self.lose();
            }
            Act::Drop | Act::Vanish => self.lose(),
            Act::Join { room } => {
                self.joined.insert(room);
            }
            Act::Leave { room } => {
                self.joined.remove(&room);
            }
            Act::Reconnect => self.connected = true,
            Act::Switch { from, to } => {
                if self.joined.remove(&from) {
                    self.joined.insert(to);
                }
            }
            Act::Call(_)
            | Act::Echo
            | Act::Message { .. }
            | Act::Typing { .. }
            | Act::Unwatch { .. }
            | Act::Watch { .. } => {}
        }
    }

    fn lose(&mut self) {
        if !self.rejoins {
            self.joined.clear();
        }
    }
}

/// An act about `room`, where it is about one; `any` is for those that join.
fn act(dice: &mut Dice, rooms: usize, room: usize, any: usize, taste: &Taste) -> Act {
    match dice.weighted(&taste.weights) {
        0 => Act::Disconnect,
        1 => Act::Drop,
        2 => Act::Echo,
        3 => Act::Join { room: any },
        4 => Act::Leave { room },
        5 => Act::Message {
            room,
            ack: dice.chance(taste.ack_percent),
            bytes: u32::try_from(dice.between(0, taste.bytes_max)).expect("a few thousand"),
            attachments: if taste.attachments && dice.chance(30) {
                dice.pick(&[1, 2, 3])
            } else {
                0
            },
        },
        6 => Act::Reconnect,
        7 => Act::Switch { from: room, to: dice.index(rooms) },
        8 => Act::Watch { room: any },
        9 => Act::Unwatch { room: any },
        _ => Act::Vanish,
    }
}

fn faults(dice: &mut Dice, duration_ms: u64, ids: &[u32], server: &Server) -> Vec<Fault> {
    let mut faults = Vec::new();
    // From a stutter to longer than it takes to notice.
    let dead_ms = server.ping_interval_ms + server.ping_timeout_ms;
    for kind in 0..KINDS {
        // Each kind is possible in some of the seeds; then how many of each.
        if !dice.chance(40) {
            continue;
        }
        let is_of_server = kind < OF_SERVER;
        let most = if is_of_server { 1 } else { 3 };
        for _ in 0..dice.between(1, most) {
            // Mostly once somebody is connected, for else there is little to break.
            let earliest_ms = if dice.chance(80) { duration_ms / 5 } else { 0 };
            let from_ms = dice.between(earliest_ms, duration_ms - 20);
            let most_ms = match kind < KILLING {
                true => 150,
                false => dice.pick(&[dead_ms / 10, dead_ms / 3, dead_ms, dead_ms * 3 / 2]),
            };
            let until_ms = (from_ms + dice.between(10, most_ms.max(10))).min(duration_ms);
            faults.push(Fault { from_ms, until_ms, kind: fault_kind(dice, kind, ids) });
        }
    }
    faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
    faults
}

/// How many kinds of faults [`fault_kind`] knows.
const KINDS: usize = 7;

/// How many of them, the first, end the server.
const KILLING: usize = 2;

/// How many of them, the first, concern the server.
const OF_SERVER: usize = 3;

fn fault_kind(dice: &mut Dice, kind: usize, ids: &[u32]) -> FaultKind {
    let clients = |dice: &mut Dice| some_clients(dice, ids);
    match kind {
        0 => FaultKind::Kill,
        1 => FaultKind::PowerLoss,
        2 => FaultKind::FreezeServer,
        3 => FaultKind::Partition {
            clients: clients(dice),
            direction: dice.pick(&[Direction::Both, Direction::ToClient, Direction::ToServer]),
        },
        4 => {
            let min_ms = dice.between(0, 30);
            let latency = Latency { min_ms, max_ms: min_ms + dice.between(0, 60) };
            FaultKind::Slow { clients: clients(dice), latency }
        }
        5 => FaultKind::Freeze { clients: clients(dice) },
        _ => FaultKind::Stall { clients: clients(dice) },
    }
}

/// One of them, or some, or all.
fn some_clients(dice: &mut Dice, ids: &[u32]) -> Vec<u32> {
    if dice.chance(50) {
        return vec![dice.pick(ids)];
    }
    let some: Vec<u32> = ids.iter().copied().filter(|_| dice.chance(50)).collect();
    if some.is_empty() { ids.to_vec() } else { some }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_plan_and_other_seeds_other_plans() {
        let profile = Profile::default();
        let plans: BTreeSet<String> =
            (0..100).map(|seed| generate(seed, &profile).encode()).collect();
        assert_eq!(plans.len(), 100);
        assert_eq!(generate(7, &profile), generate(7, &profile));
    }

    #[test]
    fn every_plan_of_every_profile_can_be_run() {
        for (clients, operations) in [(1, 1), (2, 0), (5, 20), (12, 100)] {
            for faults in [false, true] {
                let profile = Profile { clients, operations, faults, ..Profile::default() };
                for seed in 0..100 {
                    let plan = generate(seed, &profile);
                    plan.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                    assert!(faults || plan.faults.is_empty());
                    assert_eq!(plan.operation_count(), plan.clients.len() * operations);
                }
            }
        }
    }

    #[test]
    fn a_few_hundred_seeds_reach_every_act_fault_and_transport() {
        let plans: Vec<Plan> = (0..300).map(|seed| generate(seed, &Profile::default())).collect();
        let operations =
            plans.iter().flat_map(|plan| &plan.clients).flat_map(|client| &client.operations);
        let acts: BTreeSet<String> =
            operations.map(|operation| first_word(&format!("{:?}", operation.act))).collect();
        assert_eq!(acts.len(), 12, "{acts:?}");
        let faults = plans.iter().flat_map(|plan| &plan.faults);
        let kinds: BTreeSet<String> =
            faults.map(|fault| first_word(&format!("{:?}", fault.kind))).collect();
        assert_eq!(kinds.len(), 14, "{kinds:?}");
        assert!(plans.iter().any(|plan| plan.faults.is_empty()), "some seeds have no faults");
        for substrate in [Substrate::Packets, Substrate::Turmoil] {
            assert!(plans.iter().any(|plan| plan.network.substrate == substrate), "{substrate:?}");
        }
        let recovering = plans.iter().filter(|plan| plan.server.recovery_window_ms > 0);
        let tight = recovering.clone().filter(|plan| plan.server.recovery_packets_max > 0);
        let careless = recovering.clone().flat_map(|plan| &plan.clients);
        assert!((90..150).contains(&recovering.count()) && tight.count() > 20);
        assert!(careless.filter(|client| !client.recovers).count() > 20);
        let clients = plans.iter().flat_map(|plan| &plan.clients);
        let transports: BTreeSet<String> =
            clients.map(|client| format!("{:?}", client.transport)).collect();
        assert_eq!(transports.len(), 3, "{transports:?}");
    }

    fn first_word(text: &str) -> String {
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}
