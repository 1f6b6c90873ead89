//! What the swarm draws of handlers that take their time: the calls behind them wait, and
//! whose calls wait is not read.

use crate::dice::Dice;
use crate::plan::{Act, Operation, Plan};

/// Tells the draws from all others of a seed.
const STREAM: u64 = 0x6861_6e64_6c65_7273;

/// In how many seeds of a hundred they do.
const SLOW_PERCENT: u64 = 16;

/// Draws it.
pub(super) fn add(seed: u64, plan: &mut Plan) {
    let mut dice = Dice::new(seed ^ STREAM);
    if !dice.chance(SLOW_PERCENT) {
        return;
    }
    plan.server.echo_ms = dice.pick(&[50, 300, 600]);
    plan.server.events_waiting_max = dice.pick(&[1, 1, 4]);
    let moment_ms = dice.between(plan.duration_ms / 8, plan.duration_ms / 2);
    for client in &mut plan.clients {
        let most = dice.pick(&[0, 4, 8]);
        let next = client.operations.partition_point(|operation| operation.at_ms < moment_ms);
        for operation in client.operations[next..].iter_mut().take(most) {
            *operation = Operation { at_ms: moment_ms, act: Act::Echo };
        }
    }
}
