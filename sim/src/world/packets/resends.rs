//! When kernels send again what is not acknowledged.
//!
//! turmoil-net's kernels count the passes of the world for each connection while some of its
//! bytes are under way, and send these again at some count. Nothing else happens in a network
//! where every packet is on its way and no host acts; so such passes are skipped, and made up
//! for before the next one. How far the kernels have counted they do not tell. It is reckoned
//! here by what they send and hear: never less than they have.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use turmoil_net::Packet;

use super::flows::{Flow, is_after, is_of, length, segment};

/// By how many passes a count may be ahead of its kernel's, generously.
const GONE_PASSES: u64 = 3;

/// The counts of all connections, each of both their ends.
pub(super) struct Resends {
    /// At which count a kernel sends again.
    threshold: u64,
    /// How many passes there were.
    passes: u64,
    counts: BTreeMap<Flow, Count>,
}

/// How far a kernel has counted for one connection.
struct Count {
    is_open: bool,
    /// All before this is acknowledged.
    acked: u32,
    /// All before this was sent, since the kernel went back last.
    sent: u32,
    /// What was counted before the pass from which it counts on.
    before: u64,
    /// That pass, while something is under way.
    since: Option<u64>,
}

impl Count {
    /// Stops at the count that it has after so many passes.
    fn pause(&mut self, passes: u64) {
        self.before += self.since.take().map_or(0, |since| passes - since);
    }
}

impl Resends {
    /// Kernels send again what is not acknowledged in so many passes.
    pub(super) fn new(threshold: u32) -> Self {
        Self { threshold: threshold.into(), passes: 0, counts: BTreeMap::new() }
    }

    /// How many passes there were.
    pub(super) fn passes(&self) -> u64 {
        self.passes
    }

    /// Kernels are about to send in this pass.
    pub(super) fn pass(&mut self, pass: u64) {
        self.passes = self.passes.max(pass);
    }

    /// A kernel has sent this in the last pass.
    pub(super) fn send(&mut self, packet: &Packet) {
        let Some((flow, segment)) = segment(packet) else { return };
        let (begin, end) = (segment.seq, segment.seq.wrapping_add(length(segment)));
        let since = Some(self.passes);
        if segment.flags.rst {
            self.counts.remove(&flow);
            return;
        }
        if segment.flags.syn {
            // It counts before it sends.
            let count = Count { is_open: false, acked: end, sent: end, before: 1, since };
            self.counts.insert(flow, count);
            return;
        }
        if begin == end {
            return;
        }
        let new = Count { is_open: true, acked: begin, sent: begin, before: 0, since: None };
        let count = self.counts.entry(flow).or_insert(new);
        // It went back, when its count was full, to the first that is not acknowledged.
        let is_under_way = count.since.is_some();
        if is_after(count.acked, begin) || is_under_way && count.acked == begin {
            (count.acked, count.before, count.since) = (begin, 0, since);
        }
        count.since = count.since.or(since);
        count.sent = end;
    }

    /// A kernel hears this, before the next pass.
    pub(super) fn hear(&mut self, packet: &Packet) {
        let Some(((from, to), segment)) = segment(packet) else { return };
        if segment.flags.rst {
            self.counts.remove(&(to, from));
            return;
        }
        let Some(count) = self.counts.get_mut(&(to, from)).filter(|_| segment.flags.ack) else {
            return;
        };
        let ack = segment.ack;
        if !count.is_open {
            // Of the connection, not of bytes: it counts on from here when it has some.
            if ack == count.sent {
                count.is_open = true;
                count.pause(self.passes);
            }
        } else if is_after(ack, count.acked) && !is_after(ack, count.sent) {
            (count.acked, count.before) = (ack, 0);
            count.since = Some(self.passes).filter(|_| ack != count.sent);
        }
    }

    /// In which pass some kernel may send again, at the earliest; none if nothing is under way.
    pub(super) fn next(&mut self) -> Option<u64> {
        let mut next = None;
        self.counts.retain(|_, count| {
            let Some(since) = count.since else { return true };
            let due = since + self.threshold - count.before;
            // Who should have sent again some passes ago has nothing to send: its socket was
            // closed before anybody answered it.
            let is_live = self.passes <= due + GONE_PASSES;
            if is_live {
                next = Some(next.map_or(due, |next: u64| next.min(due)));
            }
            is_live
        });
        next
    }

    /// Nobody waits for a host any more, nor does it wait for anybody.
    pub(super) fn forget(&mut self, host: Ipv4Addr) {
        self.counts.retain(|flow, _| !is_of(host, flow));
    }
}
