//! The guarantee `silent_peer_closed`: who answers no ping is given up, not too early
//! and not too late.
//!
//! ```text
//!   client   pong                          (silence)
//!              \
//!   server      +------ pingInterval ------+-- pingTimeout --+ given up
//! ```
//!
//! When a pong left is known, when it arrived is not: so a peer may be given up later
//! than its last pong allows by what a packet takes at most, and by what faults may have
//! kept it. Too early is judged only where no fault touched the client's link, for else
//! the pong may have been lost. A server that stood still has to read first what has
//! arrived meanwhile: that peers were silent while it was not looking is no reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::ends::Ends;
use crate::history::{Connection, Event, History, Order, SERVER_KILLED, SocketId};
use crate::judge::Failure;
use crate::plan::{Fault, FaultKind, Plan, Substrate};
use crate::promise::SILENT_PEER_CLOSED;

/// What the engine calls the end of a silent peer.
const PING_TIMEOUT: &str = "ping_timeout";

/// Judges when the server gave up which socket.
pub fn check(plan: &Plan, history: &History) -> Vec<Failure> {
    let mut watch = Watch {
        plan,
        names: history.connections().map(|it| (it.sid, it)).collect(),
        alive: BTreeSet::new(),
        peers: BTreeMap::new(),
        ends: Ends::default(),
        failures: Vec::new(),
    };
    for entry in history.entries() {
        watch.handle(entry.at_us, &entry.event);
    }
    let end_us = history.entries().last().map_or(0, |entry| entry.at_us);
    watch.end_all(end_us);
    watch.failures
}

/// A socket of the current start of the server.
#[derive(Clone)]
struct Peer<'a> {
    client: u32,
    sid: &'a str,
    /// When it connected, and when it sent pongs.
    signs_us: Vec<u64>,
    /// When its client ended it: what was not out by then never is.
    ended_us: u64,
    /// Whether the server has given it up: why is told after that.
    has_gone: bool,
}

struct Watch<'a> {
    plan: &'a Plan,
    names: BTreeMap<&'a str, Connection<'a>>,
    /// Those of which the engine says that they are there.
    alive: BTreeSet<&'a str>,
    peers: BTreeMap<SocketId, Peer<'a>>,
    /// When each came to its end, and what it was then.
    ends: Ends<'a, (u64, Option<Peer<'a>>)>,
    failures: Vec<Failure>,
}

impl<'a> Watch<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no business of heartbeats")]
    fn handle(&mut self, at_us: u64, event: &'a Event) {
        match event {
            Event::Connected { socket, client, sid, .. } => {
                self.begin(at_us, *socket, *client, sid);
            }
            Event::Ended { socket, .. } => {
                if let Some(peer) = self.watched(*socket) {
                    peer.ended_us = at_us;
                }
            }
            Event::Recovered { socket, client } => {
                if let Some(sid) = self.peers.get(socket).map(|peer| peer.sid) {
                    self.begin(at_us, *socket, *client, sid);
                }
            }
            Event::Fault { what } if what == SERVER_KILLED => {
                self.end_all(at_us);
                self.alive.clear();
            }
            Event::GivenUp { sid, reason } if reason == PING_TIMEOUT => {
                self.judge_early(at_us, sid);
            }
            Event::Ponged { socket } => {
                if let Some(peer) = self.watched(*socket) {
                    peer.signs_us.push(at_us);
                }
            }
            Event::Witnessed { order: Order::Connect { sid } } => {
                self.alive.insert(sid);
            }
            Event::Witnessed { order: Order::Disconnect { sid } } => {
                self.alive.remove(sid.as_str());
                let known = self.socket(sid).and_then(|it| self.peers.remove_entry(&it));
                self.ends.witness(sid, (at_us, known.as_ref().map(|(_, peer)| peer.clone())));
                if let Some((socket, mut peer)) = known {
                    self.judge_late(at_us, socket, &peer);
                    peer.has_gone = true;
                    self.peers.insert(socket, peer);
                }
            }
            _ => {}
        }
    }

    /// A client knows that it is connected. What a server said last to somebody may arrive
    /// when it has given that one up, or is no more itself.
    fn begin(&mut self, at_us: u64, socket: SocketId, client: u32, sid: &'a str) {
        if self.alive.contains(sid) {
            let (signs_us, ended_us, has_gone) = (vec![at_us], u64::MAX, false);
            // What befalls it befalls the connection that it shares.
            let client = self.plan.host_of(client);
            self.peers.insert(socket, Peer { client, sid, signs_us, ended_us, has_gone });
        }
    }

    /// Which socket the engine calls so.
    fn socket(&self, sid: &str) -> Option<SocketId> {
        self.names.get(sid).map(|connection| connection.socket)
    }

    fn peer(&self, sid: &str) -> Option<&Peer<'a>> {
        self.peers.get(&self.socket(sid)?)
    }

    /// Who is there, for all that the server knows.
    fn watched(&mut self, socket: SocketId) -> Option<&mut Peer<'a>> {
        self.peers.get_mut(&socket).filter(|peer| !peer.has_gone)
    }

    /// The server, or the run, has come to its end: nobody may have been due before.
    fn end_all(&mut self, at_us: u64) {
        for (socket, peer) in std::mem::take(&mut self.peers) {
            self.judge_late(at_us, socket, &peer);
        }
    }

    fn judge_late(&mut self, at_us: u64, socket: SocketId, peer: &Peer<'_>) {
        if peer.has_gone {
            return;
        }
        let Some(&sign_us) = peer.signs_us.last() else { return };
        let due_us = self.due_us(sign_us, peer.client);
        if at_us > due_us {
            let silent_ms = (at_us - sign_us) / 1000;
            let due_ms = (due_us - sign_us) / 1000;
            let sentence = format!(
                "client {} has been silent for {silent_ms} ms, and the server should have given \
                 it up after {due_ms}",
                peer.client
            );
            self.accuse(at_us, socket, sentence);
        }
    }

    /// By when a peer is given up whose last sign of life left at `sign_us`.
    fn due_us(&self, sign_us: u64, client: u32) -> u64 {
        let patience_us =
            1000 * (self.silence_ms() + self.plan.unheard_ms() + self.plan.network.tick_ms);
        let mut due_us = sign_us + patience_us;
        let mut faults: Vec<&Fault> =
            self.plan.faults.iter().filter(|fault| fault.concerns(client)).collect();
        faults.sort_by_key(|fault| fault.from_ms);
        for fault in faults {
            let until_us = fault.ends_ms() * 1000;
            if fault.from_ms * 1000 <= due_us && until_us >= sign_us {
                due_us = due_us.max(until_us + patience_us);
            }
        }
        due_us
    }

    /// The server has given up a peer that was silent, as it says.
    fn judge_early(&mut self, at_us: u64, sid: &str) {
        let Some(socket) = self.socket(sid) else { return };
        let mut ends = std::mem::take(&mut self.ends);
        let is_due = |(gone_us, peer): &(u64, Option<Peer<'_>>)| {
            peer.as_ref().is_none_or(|peer| self.too_early(*gone_us, peer).is_none())
        };
        let now = (at_us, self.peer(sid).cloned());
        if !ends.explain(sid, is_due) && !is_due(&now) {
            let (gone_us, peer) = ends.latest(sid).unwrap_or(&now);
            let sentence = peer.as_ref().and_then(|peer| self.too_early(*gone_us, peer));
            if let Some(sentence) = sentence {
                self.accuse(*gone_us, socket, sentence);
            }
        }
        self.ends = ends;
    }

    /// What is wrong if a peer is given up now, of which this is known.
    fn too_early(&self, at_us: u64, peer: &Peer<'_>) -> Option<String> {
        let slack_us = 1000 * self.plan.arrival_ms();
        let signs = peer.signs_us.get(1..).unwrap_or_default();
        let until_us = at_us.min(peer.ended_us);
        // A process that stands still does not send what it has written, either.
        let stalls = self.plan.faults.iter().filter(|fault| {
            matches!(fault.kind, FaultKind::Freeze { .. }) && fault.concerns(peer.client)
        });
        let stalls: Vec<u64> = stalls.map(|fault| fault.from_ms * 1000).collect();
        let has_arrived = |sign_us: &&u64| {
            let latest_us = **sign_us + slack_us;
            latest_us <= until_us && !stalls.iter().any(|at| (**sign_us..latest_us).contains(at))
        };
        let &sign_us = signs.iter().rev().find(has_arrived)?;
        // What a cut swallows, packets carry once more; a stream of turmoil stays broken.
        let since_us = match self.plan.network.substrate {
            Substrate::Packets => sign_us,
            Substrate::Turmoil => peer.signs_us[0],
        };
        let from_us = since_us.saturating_sub(slack_us);
        let is_disturbed = |fault: &Fault| {
            fault.concerns(peer.client)
                && !matches!(fault.kind, FaultKind::Freeze { .. } | FaultKind::FreezeServer)
                && fault.from_ms * 1000 <= at_us
                && fault.until_ms * 1000 >= from_us
        };
        let earliest_us = sign_us + 1000 * self.silence_ms();
        let is_early = at_us + 1000 * self.plan.network.tick_ms < earliest_us;
        (is_early && !self.plan.faults.iter().any(is_disturbed)).then(|| {
            format!(
                "client {} was given up {} ms after it had sent a pong, and has {} ms",
                peer.client,
                (at_us - sign_us) / 1000,
                self.silence_ms()
            )
        })
    }

    /// How long a peer may be silent.
    fn silence_ms(&self) -> u64 {
        self.plan.server.ping_interval_ms + self.plan.server.ping_timeout_ms
    }

    fn accuse(&mut self, at_us: u64, socket: SocketId, sentence: String) {
        let failure = Failure::new(SILENT_PEER_CLOSED, sentence, at_us, [socket]);
        self.failures.push(Failure { needs_witness: true, ..failure });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Latency, StreamShape, Transport};
    use crate::swarm::{Profile, generate};

    const SID: &str = "sid";

    /// Ping interval 100 ms and timeout 50; no fault but those given.
    fn plan(faults: Vec<Fault>) -> Plan {
        let mut plan = generate(0, &Profile { faults: false, ..Profile::default() });
        plan.server.ping_interval_ms = 100;
        plan.server.ping_timeout_ms = 50;
        plan.network.latency = Latency { min_ms: 1, max_ms: 1 };
        plan.network.tick_ms = 1;
        plan.network.stream = StreamShape::WIDE;
        plan.network.substrate = Substrate::Turmoil;
        plan.server.exchange_delay_max_ms = 0;
        plan.faults = faults;
        for client in &mut plan.clients {
            client.transport = Transport::WebSocket;
        }
        assert!(plan.settle_ms() < 30);
        plan
    }

    fn connected() -> Event {
        let (sid, server) = (SID.to_owned(), "whatever it is called".to_owned());
        Event::Connected { socket: SocketId(0), client: 0, sid, server }
    }

    fn pong() -> Event {
        Event::Ponged { socket: SocketId(0) }
    }

    fn given_up() -> Event {
        Event::GivenUp { sid: SID.to_owned(), reason: PING_TIMEOUT.to_owned() }
    }

    fn gone() -> Event {
        Event::Witnessed { order: Order::Disconnect { sid: SID.to_owned() } }
    }

    fn sentences(plan: &Plan, events: &[(u64, Event)]) -> Vec<String> {
        let mut history = History::default();
        history.push(0, Event::Witnessed { order: Order::Connect { sid: SID.to_owned() } });
        for (at_ms, event) in events {
            history.push(at_ms * 1000, event.clone());
        }
        check(plan, &history).into_iter().map(|failure| failure.sentence).collect()
    }

    #[test]
    fn who_is_given_up_in_time_is_so_rightly() {
        let plan = plan(Vec::new());
        let at_ms = 200 + 150 + plan.settle_ms() / 2;
        let events = [(0, connected()), (200, pong()), (at_ms, gone()), (at_ms, given_up())];
        assert_eq!(sentences(&plan, &events), [""; 0]);
    }

    #[test]
    fn who_is_given_up_before_the_timeout_is_so_too_early() {
        let plan = plan(Vec::new());
        let end = |at_ms| [(at_ms, gone()), (at_ms, given_up())];
        let events = |at_ms| [vec![(0, connected()), (200, pong())], end(at_ms).to_vec()].concat();
        assert_eq!(sentences(&plan, &events(350)), [""; 0]);
        let early = sentences(&plan, &events(345));
        assert_eq!(
            early,
            ["client 0 was given up 145 ms after it had sent a pong, and has 150 ms"]
        );
    }

    #[test]
    fn who_is_never_given_up_is_noticed_at_the_end() {
        let plan = plan(Vec::new());
        let end = || (9_000, Event::Quiet { mark: crate::history::Mark::Gone });
        let late = sentences(&plan, &[(0, connected()), (200, pong()), end()]);
        assert!(late[0].contains("client 0 has been silent for 8800 ms"), "{late:?}");
        assert_eq!(sentences(&plan, &[(0, connected()), (8_950, pong()), end()]), [""; 0]);
        let killed = (300, Event::Fault { what: SERVER_KILLED.to_owned() });
        let events = [(0, connected()), (200, pong()), killed.clone(), end()];
        assert_eq!(sentences(&plan, &events), [""; 0]);
        assert_eq!(sentences(&plan, &[killed, (350, connected()), end()]), [""; 0]);
    }

    #[test]
    fn who_learns_of_its_socket_when_that_has_gone_is_not_waited_for() {
        let end = (9_000, Event::Quiet { mark: crate::history::Mark::Gone });
        let events = [(100, gone()), (200, connected()), end];
        assert_eq!(sentences(&plan(Vec::new()), &events), [""; 0]);
    }

    #[test]
    fn what_a_fault_may_have_delayed_is_not_late_nor_early() {
        let kind = FaultKind::Stall { clients: vec![0] };
        let plan = plan(vec![Fault { from_ms: 300, until_ms: 2_000, kind }]);
        let at_ms = 2_100;
        let events = [(0, connected()), (310, pong()), (at_ms, gone()), (at_ms, given_up())];
        assert_eq!(sentences(&plan, &events), [""; 0]);
        let events = [(0, connected()), (310, pong()), (9_000, gone()), (9_000, given_up())];
        assert_eq!(sentences(&plan, &events).len(), 1);
    }
}
