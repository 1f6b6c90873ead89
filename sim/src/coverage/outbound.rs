//! Situations of clients that do not read.

use std::collections::BTreeMap;

use crate::bounded::SLOW_READER;
use crate::history::{Event, History};
use crate::plan::{Fault, FaultKind, Plan};

use super::{Situation, Times};

/// Counts what concerns clients for which something waits.
pub(super) fn count(plan: &Plan, history: &History, times: &mut Times) {
    let mut count = |situation, happens| {
        if happens {
            *times.entry(situation).or_default() += 1;
        }
    };
    let reads_slowly = |fault: &Fault, host: u32, at_us: u64| {
        matches!(fault.kind, FaultKind::SlowReader { .. })
            && fault.concerns(host)
            && (1000 * fault.from_ms..1000 * fault.until_ms).contains(&at_us)
    };
    let hosts: BTreeMap<_, _> =
        history.connections().map(|it| (it.socket, plan.host_of(it.client))).collect();
    // As the server said last.
    let (mut was_full, mut had_dropped) = (false, 0);
    for entry in history.entries() {
        if let Event::Backlog { packets, dropped, .. } = entry.event {
            let bounds = plan.server.outbound;
            let is_full = bounds.is_some_and(|bounds| packets >= bounds.packets_max.into());
            count(Situation::BacklogFull, is_full && !was_full);
            count(Situation::EventsDropped, dropped > had_dropped);
            (was_full, had_dropped) = (is_full, dropped);
        } else if let Event::GivenUp { reason, .. } = &entry.event {
            count(Situation::SlowReaderClosed, reason == SLOW_READER);
        } else if let Event::Delivered { socket, .. } = &entry.event {
            let mut faults = plan.faults.iter();
            let is_slow = hosts
                .get(socket)
                .is_some_and(|&host| faults.any(|fault| reads_slowly(fault, host, entry.at_us)));
            count(Situation::SlowReaderHears, is_slow);
        }
    }
}
