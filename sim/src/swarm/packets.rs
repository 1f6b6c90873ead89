//! What the swarm draws for packets alone: small sockets, bad weather, resets, storms.

use super::some_clients;
use crate::dice::Dice;
use crate::plan::{Act, Client, Fault, FaultKind, Network};

/// In some plans sockets hold little, and so messages are short there.
pub(super) fn small_sockets(dice: &mut Dice, network: &mut Network, clients: &mut [Client]) {
    let usual = Network::SOCKET_BUFFER_BYTES;
    network.socket_buffer_bytes = dice.pick(&[usual, usual, usual, 2_048, 4_096]);
    if network.socket_buffer_bytes == usual {
        return;
    }
    shorten_messages(clients);
}

/// What goes through a narrow network in a reasonable time.
pub(super) fn shorten_messages(clients: &mut [Client]) {
    const BODY_BYTES_MAX: u32 = 200;
    for operation in clients.iter_mut().flat_map(|client| &mut client.operations) {
        if let Act::Message { bytes, .. } = &mut operation.act {
            *bytes = (*bytes).min(BODY_BYTES_MAX);
        }
    }
}

/// Each kind is possible in some of the seeds, as elsewhere.
pub(super) fn add_faults(dice: &mut Dice, duration_ms: u64, ids: &[u32], faults: &mut Vec<Fault>) {
    const KINDS: usize = 5;
    for kind in 0..KINDS {
        if !dice.chance(30) {
            continue;
        }
        for _ in 0..dice.between(1, 2) {
            let from_ms = dice.between(0, duration_ms - 20);
            let longest_ms = dice.pick(&[100, 500, duration_ms]);
            let until_ms = (from_ms + dice.between(10, longest_ms)).min(duration_ms);
            faults.push(Fault { from_ms, until_ms, kind: fault_kind(dice, kind, ids) });
        }
    }
    if dice.chance(15) {
        restart_storm(dice, duration_ms, faults);
    }
    faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
}

fn fault_kind(dice: &mut Dice, kind: usize, ids: &[u32]) -> FaultKind {
    // Often the whole network, so that all come back at the same moment.
    let clients = if dice.chance(40) { ids.to_vec() } else { some_clients(dice, ids) };
    let percent = dice.pick(&[1, 5, 10, 30]);
    match kind {
        0 => FaultKind::Bandwidth { clients, bytes_per_ms: dice.pick(&[5, 20, 100]) },
        1 => FaultKind::Duplicate { clients, percent },
        2 => FaultKind::Loss { clients, percent },
        3 => FaultKind::Reorder { clients, percent },
        _ => FaultKind::Reset { clients },
    }
}

/// The server is killed again and again, as when it fails soon after each start.
fn restart_storm(dice: &mut Dice, duration_ms: u64, faults: &mut Vec<Fault>) {
    let mut from_ms = dice.between(0, duration_ms - 20);
    for _ in 0..dice.between(2, 4) {
        let until_ms = from_ms + dice.between(1, 20);
        if until_ms > duration_ms {
            return;
        }
        faults.push(Fault { from_ms, until_ms, kind: FaultKind::Kill });
        from_ms = until_ms + dice.between(1, 80);
    }
}
