//! How long things may take in a plan's world, by what the plan says of it.

use super::{Act, Network, Plan, Substrate, Transport};

/// After how long without an acknowledgement a packet is sent again.
pub(crate) const RESEND_MS: u64 = 200;

/// How long a connection that the server closes may take to hear of it.
pub(crate) const CLOSE_MS: u64 = 200;

/// How long a packet waits at most for a link of little bandwidth; with more to wait for it is lost.
pub(crate) const QUEUE_MS_MAX: u64 = 100;

/// How much later than usual an overtaken packet, or the second of two, arrives at most.
pub(crate) const LATE_MS_MAX: u64 = 30;

/// After how long a sender that waits for room is told again that there is some.
pub(crate) const PROBE_MS: u64 = 50;

/// How often a server is asked how much waits for clients, where that is bounded tightly. It
/// keeps the most itself; what it has dropped since it was asked is lost when it is killed.
pub(crate) const LOOK_MS: u64 = 50;

/// How long a server lets a GET wait while a WebSocket is about to take over: the word that
/// ends polling may have been sent before that GET, and come after it.
const HELD_MS: u64 = 20;

/// What the head of a request takes.
const HEAD_BYTES: u64 = 400;

impl Plan {
    /// The longest a message can take on a healthy link, one way.
    pub fn latency_max_ms(&self) -> u64 {
        self.network.latency.max_ms + 2 * self.network.tick_ms + self.exchange_ms()
    }

    /// How long what one shard says to another is on its way at most.
    fn exchange_ms(&self) -> u64 {
        if self.server.shards > 1 { self.server.exchange_delay_max_ms } else { 0 }
    }

    /// What so many calls of one connection take: they are handled one after the other, each
    /// of which asks another shard and waits for its answer, or is an echo.
    fn handling_ms(&self, calls: usize) -> u64 {
        calls as u64 * (2 * self.exchange_ms()).max(self.server.echo_ms)
    }

    /// From the last fault's end until every client must be back in its rooms: the
    /// promise `heals`. An attempt under way may have to time out first, both in dialling
    /// and in being let in; eight one-way trips are dial, upgrade, CONNECT, and join.
    pub fn heal_ms(&self) -> u64 {
        self.server.ping_interval_ms
            + self.server.ping_timeout_ms
            + 2 * self.reconnect.connect_timeout_ms
            + self.reconnect.delay_max_ms
            + 8 * self.latency_max_ms()
            + self.requests_ms()
            + self.drain_ms()
            + self.resend_ms()
            + self.handling_ms(self.calls_max())
    }

    /// How many clients share a connection at most.
    fn seats_max(&self) -> usize {
        self.hosts().map(|host| self.party(host.id).count()).max().unwrap_or(1)
    }

    /// How many calls the plan has for one connection at most, whoever makes them.
    fn calls_max(&self) -> usize {
        let calls = |host| self.party(host).map(|client| client.operations.len()).sum::<usize>();
        self.hosts().map(|host| calls(host.id)).max().unwrap_or_default()
    }

    /// From when all clients are told to go until the server knows that they have:
    /// some of them vanish, and are noticed by their silence.
    pub fn part_ms(&self) -> u64 {
        self.server.ping_interval_ms
            + self.server.ping_timeout_ms
            + self.server.connect_timeout_ms
            + self.server.recovery_window_ms
            + CLOSE_MS
            + self.unheard_ms()
    }

    /// How long a pong may be on its way and then lie behind calls that are not read before
    /// others have been handled: so long is nobody given up, and the ping that was out then
    /// is asked once more.
    pub(crate) fn unheard_ms(&self) -> u64 {
        match self.server.events_waiting_max {
            0 => self.settle_ms(),
            _ => self.delivery_ms() + self.server.ping_timeout_ms,
        }
    }

    /// How long a broadcast may take until all members have it, behind what everybody asks
    /// for in the quiet phase: its rooms, and one echo of each who shares the connection.
    pub fn settle_ms(&self) -> u64 {
        let seats = self.seats_max();
        self.arrival_ms()
            + self.handling_ms(seats * self.rooms.len())
            + seats as u64 * self.server.echo_ms
    }

    /// How long it may take where no call waits for others: four one-way trips.
    pub(crate) fn arrival_ms(&self) -> u64 {
        4 * self.latency_max_ms() + self.requests_ms() + self.drain_ms() + self.resend_ms()
    }

    /// How long one stream takes for so many bytes at most.
    pub(crate) fn through_us(&self, bytes: u64) -> u64 {
        1000 * bytes / self.least_bytes()
    }

    /// How many packets may wait for a client that reads, in the quiet phase: what it is told
    /// as it comes back; or all probes and the answers to its own.
    pub fn healthy_packets(&self) -> u32 {
        let rooms = self.rooms.len();
        let seats = self.seats_max();
        let returning = seats * (rooms + 3);
        let probing = (seats + self.clients.len()) * rooms;
        u32::try_from(returning.max(probing) + 2).expect("as many as there are clients")
    }

    /// How long an accepted message takes to a member that nothing hinders, at any time:
    /// what its connection has asked before may have to be answered first.
    pub fn delivery_ms(&self) -> u64 {
        self.settle_ms() + self.handling_ms(self.calls_max())
    }

    /// The same over a connection in which nothing waits, and on which nothing is lost.
    pub(crate) fn passage_ms(&self) -> u64 {
        self.delivery_ms() - self.drain_ms() - self.resend_ms()
    }

    /// For how long nothing happens at most while something is still on its way, once all
    /// faults are over and the streams are empty: from one shard over another to a client,
    /// whose next request may be on its way, too, and then wait for an upgrade.
    pub fn calm_ms(&self) -> u64 {
        let trips = if self.is_polled() { 6 } else { 2 };
        trips * (self.latency_max_ms() + HEAD_BYTES / self.least_bytes())
            + self.held_ms()
            + self.server.echo_ms
    }

    /// For how long nothing happens at most while anything has still to be told.
    pub(crate) fn silence_ms(&self) -> u64 {
        let looks_ms = if self.server.outbound.is_some() { LOOK_MS } else { 0 };
        self.calm_ms().max(looks_ms)
    }

    /// For how long everybody has had answers to all when nobody will be lost any more: where
    /// a ping may come too late behind what others have said, both sides' patience is awaited.
    pub(crate) fn rest_ms(&self) -> u64 {
        let is_in_time = self.drain_ms() < self.server.ping_timeout_ms;
        let patience_ms = self.server.ping_interval_ms + self.server.ping_timeout_ms;
        self.calm_ms().max(if is_in_time { 0 } else { patience_ms })
    }

    /// How long a GET may wait though there is something to answer it with.
    fn held_ms(&self) -> u64 {
        let upgrades = self.clients.iter().any(|client| client.transport == Transport::Upgrade);
        if upgrades { HELD_MS } else { 0 }
    }

    /// How long a request and its answer take at most on a healthy link, if there is something
    /// to answer, and all that is said in the plan comes before it.
    pub(crate) fn answer_ms(&self) -> u64 {
        self.calm_ms() + self.drain_ms()
    }

    /// How much later than the end of a fault an answer may be that it has held back.
    pub(crate) fn trail_ms(&self) -> u64 {
        self.answer_ms() + self.resend_ms()
    }

    /// Whether anybody polls, be it only until its upgrade.
    pub(crate) fn is_polled(&self) -> bool {
        self.clients.iter().any(|client| client.transport != Transport::WebSocket)
    }

    /// What TCP takes at most until it sends again what was lost just before the links
    /// healed, once in each direction, behind what still queued or was overtaken then.
    fn resend_ms(&self) -> u64 {
        match self.network.substrate {
            Substrate::Packets => 2 * RESEND_MS + QUEUE_MS_MAX + LATE_MS_MAX,
            Substrate::Turmoil => 0,
        }
    }

    /// What requests cost on top of that, if anybody polls: a message waits for the
    /// answer to the POST before it, then for a stream, and at the other end for the
    /// next GET, which may be held; and each of these has a head.
    fn requests_ms(&self) -> u64 {
        const REQUESTS: u64 = 6;
        if !self.is_polled() {
            return 0;
        }
        REQUESTS * (2 * self.latency_max_ms() + HEAD_BYTES / self.least_bytes()) + self.held_ms()
    }

    /// What goes through a stream in one millisecond at least: what its ends take, and what
    /// a small socket lets pass in the time of a round trip and of hearing of room again.
    fn least_bytes(&self) -> u64 {
        let taken = self.network.stream.least_bytes();
        let socket_bytes = self.network.socket_buffer_bytes;
        let is_small = socket_bytes < Network::SOCKET_BUFFER_BYTES;
        if self.network.substrate != Substrate::Packets || !is_small {
            return taken;
        }
        let passes = u64::from(socket_bytes) / (4 * self.latency_max_ms() + PROBE_MS);
        taken.min(passes).max(1)
    }

    /// How long one stream takes for every message of the plan, with its envelope.
    fn drain_ms(&self) -> u64 {
        const ENVELOPE_BYTES: u64 = 400;
        let operations = self.clients.iter().flat_map(|client| &client.operations);
        let said = self.clients.iter().flat_map(|it| it.opening.iter().chain(&it.probe));
        let own: u64 = said.map(|say| ENVELOPE_BYTES + say.json().len() as u64).sum();
        let bytes: u64 = operations
            .map(|operation| match &operation.act {
                Act::Call(say) => ENVELOPE_BYTES + say.json().len() as u64,
                Act::Message { bytes, attachments, .. } => {
                    ENVELOPE_BYTES + u64::from(*bytes) * (1 + u64::from(*attachments))
                }
                Act::Disconnect
                | Act::Drop
                | Act::Echo
                | Act::Join { .. }
                | Act::Leave { .. }
                | Act::Typing { .. }
                | Act::Unwatch { .. }
                | Act::Vanish
                | Act::Watch { .. }
                | Act::Reconnect
                | Act::Switch { .. } => ENVELOPE_BYTES,
            })
            .sum();
        // Every client sends a probe to each of its rooms, and hears those of all others.
        let probes = (self.clients.len() * self.rooms.len()) as u64 * ENVELOPE_BYTES;
        (own + bytes + probes) / self.least_bytes()
    }
}
