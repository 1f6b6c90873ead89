//! What the swarm draws for clients that do not read: how little the engine may keep for
//! them, what it does then, and who reads slowly.

use super::packets::shorten_messages;
use super::{Profile, some_clients, widen};
use crate::dice::Dice;
use crate::plan::{Act, Fault, FaultKind, Operation, Outbound, Plan, Policy, Substrate};

/// Tells the draws from all others of a seed.
const STREAM: u64 = 0x6f75_7462_6f75_6e64;

/// In how many seeds of a hundred little may wait for a client.
const BOUNDED_PERCENT: u64 = 30;

/// In how many of a hundred somebody reads slowly: of those, and of the others.
const SLOW_PERCENT: [u64; 2] = [60, 15];

/// What may wait usually.
const USUAL_PACKETS: u32 = 16_384;
pub(crate) const USUAL_BYTES: u32 = 4 << 20;

/// Only so many packets.
pub(super) fn of_packets(packets_max: u32) -> Outbound {
    Outbound { packets_max, bytes_max: USUAL_BYTES, policy: Policy::Disconnect }
}

/// Only as many bytes as so many packets have in the quiet phase.
pub(crate) fn of_bytes(packets: u32) -> Outbound {
    /// The longest packet of that phase.
    const BYTES: u32 = 400;
    let (packets_max, bytes_max) = (USUAL_PACKETS, packets * BYTES);
    Outbound { packets_max, bytes_max, policy: Policy::Disconnect }
}

/// Draws it.
pub(super) fn add(seed: u64, plan: &mut Plan, profile: &Profile) {
    let mut dice = Dice::new(seed ^ STREAM);
    let moment_ms = dice.between(plan.duration_ms / 4, plan.duration_ms - 20);
    plan.server.events_waiting_max = dice.pick(&[0, 0, 0, 1, 4]);
    let is_bounded = dice.chance(BOUNDED_PERCENT);
    if is_bounded {
        if dice.chance(60) {
            plan.meet_in_one_room();
        }
        bound(&mut dice, plan);
        if dice.chance(80) {
            narrow(&mut dice, plan, profile);
        }
        if dice.chance(80) {
            flood(&mut dice, plan, moment_ms);
        }
    }
    if profile.faults && dice.chance(SLOW_PERCENT[usize::from(!is_bounded)]) {
        slow_readers(&mut dice, plan, moment_ms);
    }
}

/// Hardly more than what one who reads may find waiting; or much, and few bytes of it.
fn bound(dice: &mut Dice, plan: &mut Plan) {
    let least = plan.healthy_packets();
    let few = least + dice.pick(&[0, 0, 4]);
    let (packets, bytes) = (of_packets(few), of_bytes(few));
    let both = Outbound { bytes_max: bytes.bytes_max, ..packets };
    let bounds = dice.pick(&[packets, packets, both, bytes]);
    let policy = dice.pick(&[Policy::Disconnect, Policy::DropNewest, Policy::DropOldest]);
    plan.server.outbound = Some(Outbound { policy, ..bounds });
    let operations = plan.clients.iter_mut().flat_map(|client| &mut client.operations);
    for operation in operations.filter(|_| policy.drops()) {
        // Who loses a notice does not know who is there.
        if matches!(operation.act, Act::Watch { .. } | Act::Unwatch { .. }) {
            operation.act = Act::Echo;
        }
    }
}

/// The network takes so little at a time that a backlog builds up, and so messages are short.
fn narrow(dice: &mut Dice, plan: &mut Plan, profile: &Profile) {
    let is_polled = plan.is_polled();
    let network = &mut plan.network;
    match network.substrate {
        Substrate::Packets => network.socket_buffer_bytes = dice.pick(&[2_048, 4_096]),
        Substrate::Turmoil => {
            network.stream.buffer_bytes = dice.pick(&[64, 256, 1024]);
            network.stream.bytes_per_ms = dice.pick(&[5, 10, 30]);
            if is_polled {
                // All that a client has missed comes in one answer, before its next ping.
                let stream = &mut network.stream;
                stream.buffer_bytes = stream.buffer_bytes.max(256);
                stream.bytes_per_ms = stream.bytes_per_ms.max(30);
            }
            widen(&mut network.stream, profile);
        }
    }
    shorten_messages(&mut plan.clients);
}

/// All go to one room, and then most of them say at one moment what they would have done later.
fn flood(dice: &mut Dice, plan: &mut Plan, moment_ms: u64) {
    let room = dice.index(plan.rooms.len());
    let most = dice.pick(&[4, 8, 20, 20]);
    for client in &mut plan.clients {
        let operations = &mut client.operations;
        let next = operations.partition_point(|operation| operation.at_ms < moment_ms);
        let (before, after) = operations.split_at_mut(next);
        if let Some(last) = before.last_mut() {
            last.act = Act::Join { room };
        }
        if dice.chance(20) {
            continue;
        }
        for operation in after.iter_mut().take(most) {
            let ack = dice.chance(30);
            let act = Act::Message { room, ack, bytes: 0, attachments: 0 };
            *operation = Operation { at_ms: moment_ms, act };
        }
    }
}

/// Somebody reads slowly, mostly when most is said.
fn slow_readers(dice: &mut Dice, plan: &mut Plan, moment_ms: u64) {
    let hosts: Vec<u32> = plan.hosts().map(|client| client.id).collect();
    for _ in 0..dice.between(1, 2) {
        let from_ms = match dice.chance(70) {
            true => moment_ms.saturating_sub(dice.between(0, 30)),
            false => dice.between(plan.duration_ms / 10, plan.duration_ms - 20),
        };
        let longest_ms = dice.pick(&[100, 400, plan.duration_ms]);
        let until_ms = (from_ms + dice.between(10, longest_ms)).min(plan.duration_ms);
        let clients = some_clients(dice, &hosts);
        let kind = FaultKind::SlowReader { clients, bytes_per_ms: dice.pick(&[1, 3, 10, 30]) };
        plan.faults.push(Fault { from_ms, until_ms, kind });
    }
    plan.faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
}
