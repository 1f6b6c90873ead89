//! What the swarm draws for plans whose point is that more is said to somebody than gets
//! through: a crowd speaks at one moment, and one of them reads slowly then, or is away.
//!
//! ```text
//!   crowd     joins  chats  ||||||||||   chats       chats         chats
//!   laggard   joins         reads slowly ----| hears   | drops, comes back
//! ```

use super::packets::shorten_messages;
use super::{Profile, outbound, widen};
use crate::dice::Dice;
use crate::plan::{
    Act, Client, Fault, FaultKind, Latency, Namespace, Operation, Outbound, Plan, Policy,
    StreamShape, Substrate, Transport,
};

/// Tells the draws from all others of a seed.
const STREAM: u64 = 0x636f_6e67_6573_7465;

/// How many seeds of a hundred are for this.
const PERCENT: u64 = 24;

/// With fewer operations of each client there is no crowd.
const OPERATIONS_MIN: usize = 10;

/// The most that a crowd says at one moment.
const CROWD_MAX: usize = 60;

/// What a message takes beyond its body, about.
const ENVELOPE_BYTES: u32 = 130;

/// What a plan is to come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// More is said while somebody is away than may wait for it when it comes back.
    Absence,
    /// Nearly as much waits for somebody as may.
    Almost,
    /// Somebody loses something, and comes back later.
    Loss,
    /// More is said to somebody than may wait.
    Overflow,
}

/// Who lags, and when.
struct Scene {
    aim: Aim,
    laggard: u32,
    moment_ms: u64,
    /// Until when it reads slowly.
    until_ms: u64,
    body_bytes: u32,
}

/// Draws it, if this seed is for that.
pub(super) fn add(seed: u64, plan: &mut Plan, profile: &Profile) -> bool {
    let mut dice = Dice::new(seed ^ STREAM);
    let hosts: Vec<u32> = plan.hosts().map(|client| client.id).collect();
    let is_big_enough = hosts.len() > 1 && profile.operations >= OPERATIONS_MIN;
    if !profile.faults || !is_big_enough || !dice.chance(PERCENT) {
        return false;
    }
    let dice = &mut dice;
    let scene = scene(dice, plan, &hosts);
    surroundings(dice, plan, &scene);
    narrow(dice, plan, &scene, profile);
    let said = crowd(dice, plan, &scene);
    bound(dice, plan, &scene, said);
    lag(dice, plan, &scene);
    true
}

fn scene(dice: &mut Dice, plan: &Plan, hosts: &[u32]) -> Scene {
    let aim = dice.pick(&[Aim::Absence, Aim::Almost, Aim::Loss, Aim::Overflow]);
    let end_ms = plan.duration_ms;
    let moment_ms = dice.between(end_ms / 4, end_ms / 3);
    let soon_ms = dice.between(moment_ms + 50, (moment_ms + end_ms) / 2);
    let until_ms = if aim == Aim::Loss || dice.chance(40) { soon_ms } else { end_ms };
    let body_bytes = match plan.network.substrate {
        Substrate::Packets => dice.pick(&[0, 100, 200]),
        Substrate::Turmoil => dice.pick(&[0, 0, 100]),
    };
    Scene { aim, laggard: dice.pick(hosts), moment_ms, until_ms, body_bytes }
}

/// Mostly all are near each other, all is well, and nobody asks for anything.
fn surroundings(dice: &mut Dice, plan: &mut Plan, scene: &Scene) {
    if dice.chance(80) {
        plan.faults.clear();
    }
    if dice.chance(70) {
        let min_ms = dice.between(0, 2);
        plan.network.latency = Latency { min_ms, max_ms: min_ms + dice.pick(&[0, 1, 5]) };
        plan.network.tick_ms = plan.network.tick_ms.min(2);
        plan.server.exchange_delay_max_ms = plan.server.exchange_delay_max_ms.min(2);
    }
    plan.meet_in_one_room();
    let is_simple = scene.aim != Aim::Overflow && dice.chance(70);
    for client in &mut plan.clients {
        client.start_ms = client.start_ms.min(60);
        client.rejoins = true;
        if is_simple {
            (client.transport, client.half_open) = (Transport::WebSocket, None);
        }
        if client.over.is_none() {
            client.namespace = Namespace::Root;
        }
    }
    let polls = plan.is_polled() && dice.chance(60);
    if let Some(laggard) = plan.clients.iter_mut().find(|it| it.id == scene.laggard && polls) {
        (laggard.transport, laggard.half_open) = (Transport::Polling, None);
    }
}

/// The network holds so little that a backlog builds up before who does not read.
fn narrow(dice: &mut Dice, plan: &mut Plan, scene: &Scene, profile: &Profile) {
    match plan.network.substrate {
        Substrate::Packets => {
            plan.network.socket_buffer_bytes = 2_048;
            plan.network.stream = StreamShape::WIDE;
        }
        Substrate::Turmoil => {
            let is_tight = scene.aim == Aim::Absence && !plan.is_polled();
            let buffer_bytes = if is_tight { 64 } else { dice.pick(&[256, 256, 1_024]) };
            let bytes_per_ms = dice.pick(&[30, 100, 1_000]);
            plan.network.stream = StreamShape { buffer_bytes, bytes_per_ms, ..StreamShape::WIDE };
            widen(&mut plan.network.stream, profile);
        }
    }
    shorten_messages(&mut plan.clients);
}

/// All join, and most of what the others say they say at one moment; how much that is.
fn crowd(dice: &mut Dice, plan: &mut Plan, scene: &Scene) -> usize {
    let spread_ms = dice.pick(&[0, 4, 40]);
    let (end_ms, mut said) = (plan.duration_ms, 0);
    for client in &mut plan.clients {
        let count = client.operations.len();
        let speaks = client.id != scene.laggard && client.namespace == Namespace::Root;
        let most = (count * 3 / 4).min(CROWD_MAX - said);
        let at_once = if speaks { most - dice.index(most / 2 + 1) } else { 0 };
        said += at_once;
        let (joins_ms, bytes) = (client.start_ms + 30, scene.body_bytes);
        let message = |ack| Act::Message { room: 0, ack, bytes, attachments: 0 };
        let operations = (0..count).map(|index| match index {
            0 => Operation { at_ms: joins_ms, act: Act::Join { room: 0 } },
            _ if index <= at_once => {
                let at_ms = scene.moment_ms + 1 + dice.between(0, spread_ms);
                Operation { at_ms, act: message(dice.chance(20)) }
            }
            _ => {
                let at_ms = dice.between(joins_ms, end_ms);
                let act = if speaks && dice.chance(60) { message(true) } else { Act::Echo };
                Operation { at_ms, act }
            }
        });
        client.operations = operations.collect();
        client.operations.sort_by_key(|operation| operation.at_ms);
    }
    said
}

/// So much may wait that what is said at once is a part of it, or several times as much.
fn bound(dice: &mut Dice, plan: &mut Plan, scene: &Scene, said: usize) {
    let said = u32::try_from(said).expect("a small crowd");
    let percent = match scene.aim {
        Aim::Almost => dice.pick(&[60, 80, 95]),
        Aim::Absence => dice.pick(&[200, 400]),
        Aim::Loss | Aim::Overflow => dice.pick(&[120, 200, 400]),
    };
    let network_bytes = match plan.network.substrate {
        Substrate::Packets => 2 * plan.network.socket_buffer_bytes,
        Substrate::Turmoil => plan.network.stream.buffer_bytes,
    };
    let message_bytes = ENVELOPE_BYTES + scene.body_bytes;
    let waiting = (said * 100 / percent).saturating_sub(network_bytes / message_bytes);
    let packets_max = waiting.max(plan.healthy_packets());
    let policy = match scene.aim {
        Aim::Absence | Aim::Almost => Policy::Disconnect,
        Aim::Loss => dice.pick(&[Policy::DropNewest, Policy::DropOldest]),
        Aim::Overflow => dice.pick(&[Policy::Disconnect, Policy::DropNewest, Policy::DropOldest]),
    };
    let counts_bytes = scene.aim == Aim::Overflow && dice.chance(30);
    plan.server.outbound = Some(match counts_bytes {
        true => Outbound { policy, ..outbound::of_bytes(packets_max) },
        false => Outbound { policy, ..outbound::of_packets(packets_max) },
    });
}

/// One reads slowly from the moment on, or is away then; and may come back to its session.
fn lag(dice: &mut Dice, plan: &mut Plan, scene: &Scene) {
    let Scene { aim, laggard, moment_ms, until_ms, .. } = *scene;
    if aim != Aim::Absence {
        let kind =
            FaultKind::SlowReader { clients: vec![laggard], bytes_per_ms: dice.pick(&[1, 1, 3]) };
        let from_ms = moment_ms - dice.between(0, 20);
        plan.faults.push(Fault { from_ms, until_ms, kind });
        plan.faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
    }
    let drops_ms = match aim {
        Aim::Absence => moment_ms,
        Aim::Loss => dice.between((until_ms + 100).min(plan.duration_ms), plan.duration_ms),
        Aim::Almost | Aim::Overflow => return,
    };
    plan.server.recovery_window_ms = 2_500;
    plan.server.recovery_packets_max = 0;
    if let Some(client) = plan.clients.iter_mut().find(|client| client.id == laggard) {
        client.recovers = true;
        goes_away(client, drops_ms);
    }
}

/// Instead of what it would have done last.
fn goes_away(client: &mut Client, at_ms: u64) {
    if let Some(last) = client.operations.last_mut() {
        *last = Operation { at_ms, act: Act::Drop };
    }
    client.operations.sort_by_key(|operation| operation.at_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::generate;

    /// How many messages are said within a tenth of the plan, where most are.
    fn crowd_of(plan: &Plan) -> usize {
        let operations = || plan.clients.iter().flat_map(|client| &client.operations);
        let is_message = |it: &&Operation| matches!(it.act, Act::Message { .. });
        let said: Vec<u64> = operations().filter(is_message).map(|it| it.at_ms).collect();
        let within = |from_ms: u64| {
            let span_ms = from_ms..from_ms + plan.duration_ms / 10;
            said.iter().filter(|at_ms| span_ms.contains(at_ms)).count()
        };
        said.iter().map(|&at_ms| within(at_ms)).max().unwrap_or_default()
    }

    #[test]
    fn crowds_say_a_part_of_what_may_wait_or_several_times_as_much() {
        let profile = Profile::default();
        let (mut congested, mut below, mut above, mut drops) = (0, 0, 0, 0);
        for seed in 0..400 {
            let mut plan = generate(seed, &Profile { faults: false, ..profile.clone() });
            let before = plan.operation_count();
            if !add(seed, &mut plan, &profile) {
                continue;
            }
            plan.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(plan.operation_count(), before, "seed {seed}");
            let bounds = plan.server.outbound.expect("something is bounded");
            let crowd = u32::try_from(crowd_of(&plan)).expect("a small crowd");
            congested += 1;
            below += usize::from(crowd < bounds.packets_max);
            above += usize::from(crowd > bounds.packets_max);
            drops += usize::from(bounds.policy.drops());
            assert!(bounds.packets_max >= plan.healthy_packets(), "seed {seed}");
        }
        assert!((60..130).contains(&congested), "{congested}");
        assert!(below > 8 && above > 40 && drops > 20, "{below}, {above}, {drops}");
    }

    #[test]
    fn calm_profiles_and_tiny_ones_have_no_crowds() {
        let calm = Profile { faults: false, ..Profile::default() };
        let tiny = Profile { operations: 3, ..Profile::default() };
        let alone = Profile { clients: 1, ..Profile::default() };
        for profile in [calm, tiny, alone] {
            for seed in 0..50 {
                let mut plan = generate(seed, &profile);
                let before = plan.clone();
                assert!(!add(seed, &mut plan, &profile));
                assert_eq!(plan, before);
            }
        }
    }
}
