//! All packets that are under way: delayed, held, lost, doubled or overtaken as the state
//! of their link says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use turmoil_net::{EnterGuard, Packet};

use super::flows::{Flows, is_silent};
use super::weather::{Fate, Queue};
use crate::dice::Dice;
use crate::faults::{LinkState, Passage};
use crate::history::Tally;
use crate::plan::{Direction, Network};

/// All packets that are under way.
pub(super) struct Fabric<'a> {
    guard: &'a EnterGuard,
    dice: Dice,
    /// Whether hosts take their turns in a shuffled order.
    shuffles: bool,
    clients: BTreeMap<IpAddr, u32>,
    pub(super) links: BTreeMap<u32, LinkState>,
    /// Machines without power.
    dark: BTreeSet<IpAddr>,
    under_way: BTreeMap<(Duration, u64), Packet>,
    held: Vec<Packet>,
    lanes: BTreeMap<(IpAddr, IpAddr), Lane>,
    flows: Flows,
    sent: u64,
    /// Whether the last pass has carried anything.
    has_moved: bool,
    /// Whether no kernel waits for an acknowledgement; if that is known since it moved last.
    is_silent: Option<bool>,
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

impl<'a> Fabric<'a> {
    pub(super) fn new(
        guard: &'a EnterGuard,
        network: &Network,
        clients: BTreeMap<IpAddr, u32>,
    ) -> Self {
        Self {
            guard,
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
            has_moved: true,
            is_silent: None,
            tally: Tally::default(),
        }
    }

    /// When a pass may do something next, if no host does anything before.
    ///
    /// A pass that has moved nothing leaves kernels behind that have sent all they can, so the
    /// next ones move nothing either: unless some packet arrives, or a kernel that waits for
    /// an acknowledgement counts the passes until it sends again.
    pub(super) fn next_pass(&mut self, hosts: &[IpAddr]) -> Option<Duration> {
        if self.has_moved || !self.flows.are_content() {
            return Some(Duration::ZERO);
        }
        let dark = &self.dark;
        let is_silent = |&host: &IpAddr| dark.contains(&host) || is_silent(host, dark);
        if !*self.is_silent.get_or_insert_with(|| hosts.iter().all(is_silent)) {
            return Some(Duration::ZERO);
        }
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pass(&mut self, now: Duration) {
        self.has_moved = false;
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let packet = entry.remove();
            self.arrive(packet, now);
            self.has_moved = true;
        }
        let mut packets = Vec::new();
        self.guard.egress_all(&mut packets);
        if self.shuffles {
            self.shuffle(&mut packets);
        }
        self.has_moved |= packets.iter().any(|packet| !self.is_dark(packet));
        for mut packet in packets {
            if self.is_dark(&packet) {
                continue;
            }
            self.tally.again += u64::from(self.flows.note(&mut packet));
            self.send(packet, now);
        }
        for packet in self.flows.probe(now) {
            self.tally.probes += 1;
            self.has_moved = true;
            self.send(packet, now);
        }
        if self.has_moved {
            self.is_silent = None;
        }
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
            self.guard.deliver(packet);
        }
    }

    /// A machine loses its power: nobody hears it any more, nor does it hear.
    pub(super) fn darken(&mut self, address: IpAddr) {
        self.dark.insert(address);
        self.flows.forget(address);
    }

    fn link(&self, packet: &Packet) -> Option<(LinkState, bool)> {
        let to_client = self.clients.get(&packet.dst);
        let client = to_client.or_else(|| self.clients.get(&packet.src))?;
        Some((*self.links.get(client)?, to_client.is_some()))
    }

    fn is_dark(&self, packet: &Packet) -> bool {
        self.dark.contains(&packet.src) || self.dark.contains(&packet.dst)
    }

    fn is_cut(&self, packet: &Packet) -> bool {
        if self.is_dark(packet) {
            return true;
        }
        let Some((link, to_client)) = self.link(packet) else { return true };
        match link.passage {
            Passage::Cut(Direction::Both) => true,
            Passage::Cut(Direction::ToClient) => to_client,
            Passage::Cut(Direction::ToServer) => !to_client,
            Passage::Held | Passage::Open => false,
        }
    }

    fn send(&mut self, packet: Packet, now: Duration) {
        if self.is_cut(&packet) {
            return;
        }
        let Some((link, _)) = self.link(&packet) else { return };
        let fate = Fate::draw(&link.weather, &mut self.dice);
        let lane = self.lanes.entry((packet.src, packet.dst)).or_default();
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
        if self.is_cut(&packet) {
            return;
        }
        if self.link(&packet).is_some_and(|(link, _)| link.passage == Passage::Held) {
            self.held.push(packet);
            return;
        }
        let again = self.flows.again(&packet);
        self.flows.trim(&mut packet);
        self.flows.hear(&packet);
        self.guard.deliver(packet);
        if let Some(ack) = again {
            self.send(ack, now);
        }
    }

    /// Hands over what links that are held no longer have kept.
    pub(super) fn release(&mut self, now: Duration) {
        (self.has_moved, self.is_silent) = (true, None);
        for packet in std::mem::take(&mut self.held) {
            self.arrive(packet, now);
        }
    }
}
