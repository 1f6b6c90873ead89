//! All packets that are under way: delayed, held, lost, doubled or overtaken as the state
//! of their link says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use turmoil_net::Packet;

use super::flows::{Flows, ipv4};
use super::kernels::{Kernels, pass_at};
use super::weather::{Fate, Queue};
use crate::dice::Dice;
use crate::faults::{LinkState, Passage};
use crate::history::Tally;
use crate::plan::{Direction, Network, RESEND_MS};

/// All packets that are under way.
pub(super) struct Fabric {
    kernels: Rc<Kernels>,
    dice: Dice,
    /// Whether hosts take their turns in a shuffled order.
    shuffles: bool,
    clients: BTreeMap<Ipv4Addr, u32>,
    pub(super) links: BTreeMap<u32, LinkState>,
    /// Machines without power.
    dark: BTreeSet<Ipv4Addr>,
    under_way: BTreeMap<(Duration, u64), Packet>,
    held: Vec<Packet>,
    lanes: BTreeMap<(Ipv4Addr, Ipv4Addr), Lane>,
    flows: Flows,
    sent: u64,
    tick: Duration,
    /// When the last pass was.
    passed_at: Duration,
    /// Whether kernels have heard anything since then.
    is_heard: bool,
    /// What has become of all of them.
    pub(super) tally: Tally,
}

/// One direction of a link.
#[derive(Default)]
struct Lane {
    /// When its last packet arrives: none overtakes it, unless the weather is bad.
    latest: Duration,
    queue: Queue,
}

impl Fabric {
    pub(super) fn new(
        kernels: Rc<Kernels>,
        network: &Network,
        clients: BTreeMap<Ipv4Addr, u32>,
    ) -> Self {
        Self {
            kernels,
            dice: Dice::new(network.seed),
            shuffles: network.shuffle_hosts,
            clients,
            links: BTreeMap::new(),
            dark: BTreeSet::new(),
            under_way: BTreeMap::new(),
            held: Vec::new(),
            lanes: BTreeMap::new(),
            flows: Flows::new(network.socket_buffer_bytes),
            sent: 0,
            tick: Duration::from_millis(network.tick_ms),
            passed_at: Duration::ZERO,
            is_heard: true,
            tally: Tally::default(),
        }
    }

    /// When a pass may do something next, if no host does anything before.
    ///
    /// A pass leaves kernels behind that have sent all they can, so the next ones move nothing:
    /// until some packet arrives, somebody is told of room, or a kernel has counted enough
    /// passes to send again.
    pub(super) fn next_pass(&self) -> Option<Duration> {
        if self.is_heard || skips_nothing() {
            return Some(Duration::ZERO);
        }
        let resend = self.kernels.next_resend();
        let resend = resend.map(|pass| self.tick * u32::try_from(pass).expect("of one run"));
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let probe = self.flows.next_probe(self.passed_at);
        [arrival, resend, probe].into_iter().flatten().min()
    }

    pub(super) fn pass(&mut self, now: Duration) {
        let pass = pass_at(now, self.tick);
        self.kernels.count_to(pass - 1);
        let early = self.kernels.early();
        let is_silent = early.iter().all(|packet| self.is_dark(packet));
        assert!(is_silent, "kernels have sent in passes that were skipped: {early:?}");
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let packet = entry.remove();
            self.arrive(packet, now);
        }
        let mut packets = self.kernels.pass(pass);
        packets.retain(|packet| !self.is_dark(packet));
        if self.shuffles {
            self.shuffle(&mut packets);
        }
        for mut packet in packets {
            self.kernels.note_sent(&packet);
            self.tally.again += u64::from(self.flows.note(&mut packet));
            self.send(packet, now);
        }
        for packet in self.flows.probe(now) {
            self.tally.probes += 1;
            self.send(packet, now);
        }
        (self.passed_at, self.is_heard) = (now, false);
    }

    /// Hosts in another order; what one of them has sent stays in its own.
    fn shuffle(&mut self, packets: &mut [Packet]) {
        let mut places = BTreeMap::new();
        for packet in packets.iter() {
            places.entry(packet.src).or_insert_with(|| self.dice.bits());
        }
        packets.sort_by_key(|packet| places[&packet.src]);
    }

    /// Resets all connections of a client: both ends are told at once.
    pub(super) fn reset(&mut self, client: u32) {
        let address = self.clients.iter().find(|(_, it)| **it == client).map(|(ip, _)| *ip);
        for packet in address.map(|address| self.flows.reset(address)).unwrap_or_default() {
            self.tally.resets += 1;
            self.kernels.deliver(packet);
        }
    }

    /// A machine loses its power: nobody hears it any more, nor does it hear.
    pub(super) fn darken(&mut self, address: Ipv4Addr) {
        self.dark.insert(address);
        self.flows.forget(address);
        self.kernels.forget(address);
    }

    fn link(&self, packet: &Packet) -> Option<(LinkState, bool)> {
        let to_client = self.clients.get(&ipv4(packet.dst));
        let client = to_client.or_else(|| self.clients.get(&ipv4(packet.src)))?;
        Some((*self.links.get(client)?, to_client.is_some()))
    }

    fn is_dark(&self, packet: &Packet) -> bool {
        self.dark.contains(&ipv4(packet.src)) || self.dark.contains(&ipv4(packet.dst))
    }

    /// The link of a packet, unless it is cut.
    fn open_link(&self, packet: &Packet) -> Option<LinkState> {
        let (link, to_client) = self.link(packet).filter(|_| !self.is_dark(packet))?;
        let is_cut = match link.passage {
            Passage::Cut(Direction::Both) => true,
            Passage::Cut(Direction::ToClient) => to_client,
            Passage::Cut(Direction::ToServer) => !to_client,
            Passage::Held | Passage::Open => false,
        };
        Some(link).filter(|_| !is_cut)
    }

    fn send(&mut self, packet: Packet, now: Duration) {
        let Some(link) = self.open_link(&packet) else { return };
        let fate = Fate::draw(&link.weather, &mut self.dice);
        let lane = self.lanes.entry((ipv4(packet.src), ipv4(packet.dst))).or_default();
        let waits = lane.queue.wait(now, packet.size(), link.weather.bytes_per_ms);
        let Some(waits) = waits.filter(|_| !fate.is_lost) else {
            self.tally.lost += 1;
            return;
        };
        let (min, max) = (link.latency.min_ms * 1000, link.latency.max_ms * 1000);
        let delay = Duration::from_micros(self.dice.between(min, max));
        let usual = lane.latest.max(now + waits + delay);
        match fate.late {
            Some(_) => self.tally.late += 1,
            None => lane.latest = usual,
        }
        self.tally.queued += u64::from(waits > Duration::ZERO);
        if let Some(later) = fate.again {
            self.tally.twice += 1;
            self.dispatch(packet.clone(), usual + later);
        }
        self.dispatch(packet, usual + fate.late.unwrap_or_default());
    }

    fn dispatch(&mut self, packet: Packet, at: Duration) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), packet);
    }

    /// What is under way when a link is cut is lost too.
    fn arrive(&mut self, mut packet: Packet, now: Duration) {
        let Some(link) = self.open_link(&packet) else { return };
        if link.passage == Passage::Held {
            self.held.push(packet);
            return;
        }
        let again = self.flows.again(&packet);
        self.flows.trim(&mut packet);
        self.flows.hear(&packet);
        self.is_heard = true;
        self.kernels.deliver(packet);
        if let Some(ack) = again {
            self.send(ack, now);
        }
    }

    /// Hands over what links that are held no longer have kept.
    pub(super) fn release(&mut self, now: Duration) {
        self.is_heard = true;
        for packet in std::mem::take(&mut self.held) {
            self.arrive(packet, now);
        }
    }
}

/// After how many passes a kernel sends again what is not acknowledged: it counts these, not time.
pub(super) fn resend_passes(network: &Network) -> u32 {
    let tick_ms = u32::try_from(network.tick_ms).unwrap_or(u32::MAX);
    (u32::try_from(RESEND_MS).expect("a constant") / tick_ms).max(2)
}

/// Whether every pass is simulated; only for the proof that this changes nothing.
fn skips_nothing() -> bool {
    #[cfg(test)]
    return tests::SKIPS_NOTHING.get();
    #[cfg(not(test))]
    false
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::plan::Substrate;
    use crate::run::run;
    use crate::swarm::{Profile, generate};

    thread_local! {
        pub(super) static SKIPS_NOTHING: Cell<bool> = const { Cell::new(false) };
    }

    #[test]
    fn what_is_skipped_changes_nothing() {
        let profile = Profile { substrate: Some(Substrate::Packets), ..Profile::default() };
        for seed in 0..40 {
            let plan = generate(seed, &profile);
            let hashes = [false, true].map(|skips_nothing| {
                SKIPS_NOTHING.set(skips_nothing);
                run(&plan).history.hash()
            });
            assert_eq!(hashes[0], hashes[1], "seed {seed}");
        }
        SKIPS_NOTHING.set(false);
    }
}
