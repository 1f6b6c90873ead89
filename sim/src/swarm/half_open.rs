//! What the swarm draws for upgrades: some stay half open.

use crate::dice::Dice;
use crate::plan::{Client, HalfOpen, Transport};

/// Tells the draws from all others of a seed.
const STREAM: u64 = 0x6861_6c66_6f70_656e;

/// How many of a hundred clients that upgrade can not.
const PERCENT: u64 = 25;

/// Some clients that would go over to a WebSocket never come that far.
pub(super) fn some_stay(seed: u64, clients: &mut [Client]) {
    let mut dice = Dice::new(seed ^ STREAM);
    for client in clients.iter_mut().filter(|client| client.transport == Transport::Upgrade) {
        if dice.chance(PERCENT) {
            client.half_open = Some(dice.pick(&[HalfOpen::Closed, HalfOpen::Silent]));
        }
    }
}
