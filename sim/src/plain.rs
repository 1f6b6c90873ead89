//! Plainer plans: the edits a shrinker tries once nothing can be left out.
//!
//! Every edit makes a plan plainer in one respect and none makes it richer, so
//! applying them as long as any succeeds comes to an end. An edited plan can be
//! run whenever the plan it came from could.

use std::collections::BTreeSet;

use crate::plan::{
    Act, Direction, FaultKind, Latency, Namespace, Network, Outbound, Plan, Policy, Say,
    StreamShape, Substrate, Transport,
};
use crate::swarm::outbound::{USUAL_BYTES, of_bytes};

/// A moment without events is never made shorter than this, so that what was
/// apart by several ticks stays apart.
const GAP_MS: u64 = 10;

/// Plainer versions of `plan`, each different from it in one respect.
pub fn edits(plan: &Plan) -> Vec<Plan> {
    let mut edits = Vec::new();
    edits.extend(plain_rooms(plan));
    configuration(plan, &mut edits);
    tight(plan, &mut edits);
    for index in 0..plan.faults.len() {
        fault(plan, index, &mut edits);
    }
    for client in 0..plan.clients.len() {
        for operation in 0..plan.clients[client].operations.len() {
            act(plan, client, operation, &mut edits);
        }
    }
    times(plan, &mut edits);
    edits.retain(|edit| edit != plan);
    edits
}

/// The plan with faults that concern only clients who take part.
pub fn without_absent_clients(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let hosts: BTreeSet<u32> = plan.hosts().map(|client| client.id).collect();
    for client in &mut plan.clients {
        // Whose host has gone has a connection of its own.
        client.over = client.over.filter(|host| hosts.contains(host));
    }
    let present: BTreeSet<u32> = plan.clients.iter().map(|client| client.id).collect();
    plan.retain_concerned(|id| present.contains(&id));
    plan
}

/// The plan with other latencies of its messages: as likely to fail, and no richer.
pub fn luckier(plan: &Plan) -> Vec<Plan> {
    (0..SEEDS_TRIED).map(|seed| edited(plan, |plan| plan.network.seed = seed)).collect()
}

/// How many versions [`luckier`] makes.
const SEEDS_TRIED: u64 = 16;

/// The plan edited by `change`.
fn edited(plan: &Plan, change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = plan.clone();
    change(&mut plan);
    plan
}

/// Only the rooms in use, called a, b, c, in the order of their first use; or only one.
fn plain_rooms(plan: &Plan) -> Vec<Plan> {
    let mut used: Vec<usize> = Vec::new();
    let operations = plan.clients.iter().flat_map(|client| &client.operations);
    for room in operations.flat_map(|operation| operation.act.rooms()) {
        if !used.contains(&room) {
            used.push(room);
        }
    }
    let position =
        |room| used.iter().position(|&other| other == room).expect("every room was seen above");
    let fewer = edited(plan, |plan| {
        plan.rooms = used.iter().map(|&room| plan.rooms[room].clone()).collect();
        for operation in plan.clients.iter_mut().flat_map(|client| &mut client.operations) {
            operation.act = operation.act.clone().with_rooms(position);
        }
    });
    let letters = ('a'..='z').map(String::from).take(fewer.rooms.len());
    let named = edited(&fewer, |plan| {
        for (room, letter) in plan.rooms.iter_mut().zip(letters) {
            *room = letter;
        }
    });
    vec![named, fewer, edited(plan, Plan::meet_in_one_room)]
}

fn configuration(plan: &Plan, edits: &mut Vec<Plan>) {
    let mut edit = |change: &dyn Fn(&mut Plan)| edits.push(edited(plan, change));
    edit(&|plan| plan.network.latency = Latency { min_ms: 1, max_ms: 1 });
    edit(&|plan| plan.network.latency.max_ms = plan.network.latency.min_ms);
    edit(&|plan| plan.network.stream = StreamShape::WIDE);
    edit(&|plan| plan.network.stream.read_bytes_max = StreamShape::WIDE.read_bytes_max);
    edit(&|plan| plan.network.socket_buffer_bytes = Network::SOCKET_BUFFER_BYTES);
    edit(&over_turmoil);
    edit(&|plan| plan.network.shuffle_hosts = false);
    edit(&|plan| plan.network.tick_ms = 1);
    edit(&|plan| plan.network.seed = 0);
    edit(&|plan| plan.server.seed = 0);
    edit(&|plan| plan.server.shards = 1);
    edit(&|plan| plan.server.shards = plan.server.shards.min(2));
    edit(&|plan| plan.server.exchange_delay_max_ms = 0);
    edit(&|plan| plan.server.exchange_delay_max_ms = plan.server.exchange_delay_max_ms.min(2));
    edit(&|plan| plan.server.recovery_window_ms = 0);
    edit(&|plan| plan.server.recovery_packets_max = 0);
    if plan.server.recovery_window_ms > 0 {
        edit(&|plan| plan.server.recovery_window_ms = 2_500);
    }
    edit(&|plan| plan.server.outbound = None);
    edit(&|plan| plan.server.events_waiting_max = 0);
    edit(&|plan| plan.server.echo_ms = 0);
    edit(&|plan| {
        if let Some(outbound) = &mut plan.server.outbound {
            outbound.policy = Policy::Disconnect;
        }
    });
    edit(&|plan| plan.server.ping_interval_ms = 300);
    edit(&|plan| plan.server.ping_timeout_ms = 200);
    edit(&|plan| plan.server.connect_timeout_ms = 500);
    edit(&|plan| plan.reconnect.connect_timeout_ms = 500);
    edit(&|plan| {
        plan.reconnect.delay_min_ms = 10;
        plan.reconnect.delay_max_ms = 100;
    });
    for client in 0..plan.clients.len() {
        edit(&|plan| plan.clients[client].over = None);
        edit(&|plan| {
            plan.clients[client].over = None;
            plan.clients[client].namespace = Namespace::Root;
        });
    }
    for index in 0..plan.clients.len() {
        edit(&|plan| plan.clients[index].rejoins = false);
        edit(&|plan| plan.clients[index].recovers = false);
        edit(&|plan| plan.clients[index].half_open = None);
        edit(&|plan| plan.clients[index].transport = Transport::WebSocket);
        if plan.clients[index].transport == Transport::Upgrade {
            edit(&|plan| plan.clients[index].transport = Transport::Polling);
        }
    }
}

/// The less the network holds, and the less may wait, the fewer operations it takes to say
/// more than that.
fn tight(plan: &Plan, edits: &mut Vec<Plan>) {
    /// A stream that holds hardly anything, and is slow.
    const NARROW: StreamShape =
        StreamShape { buffer_bytes: 64, bytes_per_ms: 30, ..StreamShape::WIDE };
    let mut edit = |change: &dyn Fn(&mut Plan)| edits.push(edited(plan, change));
    // Where bytes are counted, messages are few and long already.
    if plan.server.outbound.is_some_and(|outbound| outbound.bytes_max == USUAL_BYTES) {
        edit(&|plan| {
            let least = plan.healthy_packets();
            if let Some(outbound) = &mut plan.server.outbound {
                outbound.packets_max = outbound.packets_max.min(least);
            }
        });
        edit(&few_but_long);
    }
    if plan.network.stream.buffer_bytes < StreamShape::WIDE.buffer_bytes {
        edit(&|plan| {
            let stream = &mut plan.network.stream;
            stream.buffer_bytes = stream.buffer_bytes.min(NARROW.buffer_bytes);
            stream.bytes_per_ms = stream.bytes_per_ms.min(NARROW.bytes_per_ms);
        });
    }
    let is_small = plan.network.socket_buffer_bytes < Network::SOCKET_BUFFER_BYTES;
    if plan.network.substrate == Substrate::Packets && is_small {
        edit(&|plan| {
            plan.network.socket_buffer_bytes = Network::SOCKET_BUFFER_BYTES;
            plan.network.stream = NARROW;
            over_turmoil(plan);
        });
    }
}

/// A few long messages are too much where few bytes may wait, and not few packets.
fn few_but_long(plan: &mut Plan) {
    const LONG_BYTES: u32 = 1_500;
    let few_bytes = of_bytes(plan.healthy_packets());
    if let Some(outbound) = &mut plan.server.outbound {
        *outbound = Outbound { policy: outbound.policy, ..few_bytes };
    }
    for operation in plan.clients.iter_mut().flat_map(|client| &mut client.operations) {
        if let Act::Message { bytes, .. } = &mut operation.act {
            *bytes = LONG_BYTES;
        }
    }
}

fn over_turmoil(plan: &mut Plan) {
    plan.network.substrate = Substrate::Turmoil;
    plan.faults.retain(|fault| !fault.kind.needs_packets());
}

fn fault(plan: &Plan, index: usize, edits: &mut Vec<Plan>) {
    let fault = &plan.faults[index];
    let mut edit =
        |kind: FaultKind| edits.push(edited(plan, |plan| plan.faults[index].kind = kind));
    match &fault.kind {
        FaultKind::PowerLoss => edit(FaultKind::Kill),
        FaultKind::Partition { clients, direction } if *direction != Direction::Both => {
            edit(FaultKind::Partition { clients: clients.clone(), direction: Direction::Both });
        }
        FaultKind::Slow { clients, latency } if latency.min_ms < latency.max_ms => {
            let latency = Latency { min_ms: latency.max_ms, max_ms: latency.max_ms };
            edit(FaultKind::Slow { clients: clients.clone(), latency });
        }
        FaultKind::Bandwidth { .. }
        | FaultKind::CancelPolls { .. }
        | FaultKind::Duplicate { .. }
        | FaultKind::Freeze { .. }
        | FaultKind::FreezeServer
        | FaultKind::Kill
        | FaultKind::Loss { .. }
        | FaultKind::Partition { .. }
        | FaultKind::Reorder { .. }
        | FaultKind::Reset { .. }
        | FaultKind::Slow { .. }
        | FaultKind::SlowReader { .. }
        | FaultKind::Stall { .. } => {}
    }
    for &absent in fault.kind.clients() {
        if fault.kind.clients().len() > 1 {
            let mut kind = fault.kind.clone();
            kind.clients_mut().expect("it has clients").retain(|&id| id != absent);
            edit(kind);
        }
    }
    let half_ms = (fault.until_ms - fault.from_ms) / 2;
    if half_ms >= GAP_MS {
        edits.push(edited(plan, |plan| plan.faults[index].until_ms -= half_ms));
        edits.push(edited(plan, |plan| plan.faults[index].from_ms += half_ms));
    }
}

fn act(plan: &Plan, client: usize, operation: usize, edits: &mut Vec<Plan>) {
    let mut edit = |act: Act| {
        edits.push(edited(plan, |plan| plan.clients[client].operations[operation].act = act));
    };
    match plan.clients[client].operations[operation].act.clone() {
        Act::Vanish => edit(Act::Drop),
        Act::Message { room, ack, bytes, attachments } => {
            edit(Act::Message { room, ack, bytes: 0, attachments });
            edit(Act::Message { room, ack, bytes, attachments: 0 });
            edit(Act::Message { room, ack: false, bytes, attachments });
        }
        Act::Switch { from, to } => {
            edit(Act::Leave { room: from });
            edit(Act::Join { room: to });
        }
        Act::Call(say) => {
            edit(Act::Call(Say { retries: false, ..say }));
        }
        Act::Disconnect
        | Act::Drop
        | Act::Echo
        | Act::Join { .. }
        | Act::Leave { .. }
        | Act::Reconnect
        | Act::Typing { .. }
        | Act::Unwatch { .. }
        | Act::Watch { .. } => {}
    }
}

/// Shorter stretches without events, and rounder moments.
fn times(plan: &Plan, edits: &mut Vec<Plan>) {
    let moments = moments(plan);
    // All long gaps at once, then one at a time.
    edits.push(without_gaps(plan, &moments, |_| true));
    for at in moments.iter().copied() {
        edits.push(without_gaps(plan, &moments, |end| end == at));
    }
    for index in 0..plan.clients.len() {
        edits.push(edited(plan, |plan| plan.clients[index].start_ms = 0));
    }
}

/// Every moment at which something happens, the start and the end included.
fn moments(plan: &Plan) -> BTreeSet<u64> {
    let mut moments = BTreeSet::from([0, plan.duration_ms]);
    moments.extend(plan.faults.iter().flat_map(|fault| [fault.from_ms, fault.until_ms]));
    for client in &plan.clients {
        moments.insert(client.start_ms);
        moments.extend(client.operations.iter().map(|operation| operation.at_ms));
    }
    moments
}

/// The plan with the gaps that end where `is_chosen` says shortened to [`GAP_MS`].
fn without_gaps(plan: &Plan, moments: &BTreeSet<u64>, is_chosen: impl Fn(u64) -> bool) -> Plan {
    let mut earlier: Vec<(u64, u64)> = Vec::new();
    let (mut previous, mut saved) = (0, 0);
    for &at in moments {
        if is_chosen(at) {
            saved += (at - previous).saturating_sub(GAP_MS);
        }
        earlier.push((at, at - saved));
        previous = at;
    }
    let moved = |at: u64| {
        let index = earlier.binary_search_by_key(&at, |&(old, _)| old);
        earlier[index.expect("every moment of the plan is listed")].1
    };
    edited(plan, |plan| {
        plan.duration_ms = moved(plan.duration_ms);
        for fault in &mut plan.faults {
            fault.from_ms = moved(fault.from_ms);
            fault.until_ms = moved(fault.until_ms);
        }
        for client in &mut plan.clients {
            client.start_ms = moved(client.start_ms);
            for operation in &mut client.operations {
                operation.at_ms = moved(operation.at_ms);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Profile, generate};

    #[test]
    fn every_edit_can_be_run() {
        for seed in 0..40 {
            let plan = generate(seed, &Profile::default());
            for edit in edits(&plan) {
                edit.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert_ne!(edit, plan);
            }
        }
    }

    #[test]
    fn applying_all_edits_comes_to_an_end() {
        for seed in 0..20 {
            let mut plan =
                generate(seed, &Profile { clients: 4, operations: 6, ..Profile::default() });
            let mut steps = 0;
            while let Some(edit) = edits(&plan).pop() {
                plan = edit;
                steps += 1;
                assert!(steps < 10_000, "seed {seed} does not get plainer: {}", plan.encode());
            }
        }
    }

    #[test]
    fn a_fault_whose_clients_are_all_gone_goes_too() {
        let mut plan = generate(5, &Profile { faults: false, ..Profile::default() });
        let stall = |clients: &[u32]| crate::plan::Fault {
            from_ms: 0,
            until_ms: 10,
            kind: FaultKind::Stall { clients: clients.to_vec() },
        };
        plan.faults = vec![stall(&[0, 1]), stall(&[1])];
        plan.clients.retain(|client| client.id != 1);
        assert_eq!(without_absent_clients(&plan).faults, [stall(&[0])]);
    }
}
