//! What the swarm draws for polls: some are cancelled on their way.

use super::some_clients;
use crate::dice::Dice;
use crate::plan::{Fault, FaultKind, Plan, Transport};

/// Tells the draws from all others of a seed.
const STREAM: u64 = 0x6361_6e63_656c_6564;

/// In how many seeds of a hundred with clients that poll.
const PERCENT: u64 = 40;

/// In some plans something in the middle gives up polls.
pub(super) fn add(seed: u64, plan: &mut Plan) {
    let mut dice = Dice::new(seed ^ STREAM);
    let polling = plan.hosts().filter(|host| host.transport != Transport::WebSocket);
    let polling: Vec<u32> = polling.map(|host| host.id).collect();
    if polling.is_empty() || !dice.chance(PERCENT) {
        return;
    }
    for _ in 0..dice.between(1, 4) {
        let from_ms = dice.between(0, plan.duration_ms - 20);
        let kind = FaultKind::CancelPolls { clients: some_clients(&mut dice, &polling) };
        plan.faults.push(Fault { from_ms, until_ms: from_ms + 1, kind });
    }
    plan.faults.sort_by_key(|fault| (fault.from_ms, fault.until_ms));
}
