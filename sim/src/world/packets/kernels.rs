//! The kernels of all hosts, and the passes in which they send.
//!
//! A pass in which nothing happens is skipped. Whether it is one is known when it is over: when
//! no host has had its turn until then. So kernels, which count passes, count those that were
//! skipped just before a host has its turn, or else before the next pass.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::Duration;

use turmoil_net::{EnterGuard, Packet};

use super::resends::Resends;

/// The kernels of all hosts.
pub(super) struct Kernels {
    guard: EnterGuard,
    resends: RefCell<Resends>,
    /// What they have sent in passes that were skipped.
    early: RefCell<Vec<Packet>>,
}

impl Kernels {
    pub(super) fn new(guard: EnterGuard, resends: Resends) -> Self {
        Self { guard, resends: RefCell::new(resends), early: RefCell::default() }
    }

    /// Lets them count all passes up to this one, which they have not sent in.
    pub(super) fn count_to(&self, pass: u64) {
        let mut resends = self.resends.borrow_mut();
        let skipped = resends.passes()..pass;
        if !skipped.is_empty() && resends.next().is_some() {
            let mut early = self.early.borrow_mut();
            skipped.for_each(|_| self.guard.egress_all(&mut early));
        }
        resends.pass(pass);
    }

    /// Lets them send in this pass.
    pub(super) fn pass(&self, pass: u64) -> Vec<Packet> {
        let mut packets = Vec::new();
        self.guard.egress_all(&mut packets);
        self.resends.borrow_mut().pass(pass);
        packets
    }

    /// A packet of the last pass goes on its way.
    pub(super) fn note_sent(&self, packet: &Packet) {
        self.resends.borrow_mut().send(packet);
    }

    /// A packet arrives.
    pub(super) fn deliver(&self, packet: Packet) {
        self.resends.borrow_mut().hear(&packet);
        self.guard.deliver(packet);
    }

    /// In which pass one of them may send again, at the earliest.
    pub(super) fn next_resend(&self) -> Option<u64> {
        self.resends.borrow_mut().next()
    }

    /// Nothing is sent again to a host any more, nor by it.
    pub(super) fn forget(&self, host: Ipv4Addr) {
        self.resends.borrow_mut().forget(host);
    }

    /// What they have sent too early: before they were to.
    pub(super) fn early(&self) -> Vec<Packet> {
        self.early.take()
    }
}

/// Which pass there is at some time: one in each tick, though not all are simulated.
pub(super) fn pass_at(now: Duration, tick: Duration) -> u64 {
    u64::try_from(now.as_nanos() / tick.as_nanos()).expect("of one run")
}
