//! The guarantee `bounded`: no more waits for a client than the limits say; who does not
//! read is closed, or loses whole events, which are counted; and nobody else waits for it.
//!
//! How much waits is what the engine says when it is [asked](Event::Backlog), again and
//! again: it can not see into the client, and nobody else can see into it. The rest is judged
//! by what clients see.
//!
//! * Who is closed as too slow had at least as much to hear as may wait.
//! * Nothing is dropped but by the policy; what members have lost is no more than that.
//! * What was said reaches a member as soon as all that was said before can be through,
//!   whoever else is slow.
//!
//! ```text
//!   server   ---- ping ---------- ping ------------------- closed
//!                 \    /          \    /
//!   client         pong            pong
//!                     [------- what waits was said in here --)
//! ```
//!
//! What waits when a client is closed was said after the last ping that it has answered, and
//! so after the pong before; one pong earlier where shards tell each other what was said.

use std::collections::BTreeMap;

use crate::history::{
    Connection, Entry, Event, History, MessageId, Order, SERVER_STARTS, SocketId,
};
use crate::judge::Failure;
use crate::plan::{Fault, Plan};
use crate::promise::BOUNDED;

/// What the engine calls the end of a client for which too much waits.
pub(crate) const SLOW_READER: &str = "slow_reader";

/// What a packet takes beyond the body of a message, at most.
const ENVELOPE_BYTES: u64 = 300;

/// What no request and no step of the order tells of: answers to CONNECT, hellos, a ping.
const UNTOLD: u64 = 10;

/// Judges how much was kept for whom, and what became of it.
pub fn check(plan: &Plan, history: &History) -> Vec<Failure> {
    let mut watch = Watch {
        plan,
        names: history.connections().map(|it| (it.sid, it)).collect(),
        said: Amount::default(),
        windows: BTreeMap::new(),
        lengths: BTreeMap::new(),
        accepted_us: BTreeMap::new(),
        through_us: 0,
        passage_us: 1000 * plan.passage_ms(),
        connections: BTreeMap::new(),
        failures: Vec::new(),
    };
    for entry in history.until_settled() {
        watch.read(entry);
    }
    watch.failures
}

/// How many events the server has dropped, over all its starts.
pub(crate) fn dropped(history: &History) -> u64 {
    let (mut before, mut last) = (0, 0);
    for Entry { event, .. } in history.until_settled() {
        if let Event::Backlog { dropped, .. } = event {
            last = *dropped;
        } else if matches!(event, Event::Fault { what } if what == SERVER_STARTS) {
            before += std::mem::take(&mut last);
        }
    }
    before + last
}

/// What members have lost that nothing says was dropped for them.
pub(crate) fn uncounted(lost: u64, dropped: u64, at_us: u64) -> Option<Failure> {
    let sentence =
        format!("members have lost {lost} messages, and the server has dropped {dropped}");
    (lost > dropped).then(|| Failure::new(BOUNDED, sentence, at_us, []))
}

/// So many packets, and so many bytes at most.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    packets: u64,
    bytes: u64,
}

struct Watch<'a> {
    plan: &'a Plan,
    names: BTreeMap<&'a str, Connection<'a>>,
    /// All that was said so far, to anybody.
    said: Amount,
    /// How much had been said at the last pongs of each socket, the newest last.
    windows: BTreeMap<SocketId, [Amount; 3]>,
    lengths: BTreeMap<MessageId, u64>,
    /// When messages were accepted, and until when they should be there.
    accepted_us: BTreeMap<MessageId, (u64, u64)>,
    /// Until when all that was said so far is through any connection.
    through_us: u64,
    /// How long a message takes behind nothing.
    passage_us: u64,
    /// Whose each socket is, and since when it has the connection that it has.
    connections: BTreeMap<SocketId, (u32, u64)>,
    failures: Vec<Failure>,
}

impl<'a> Watch<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no business of bounds")]
    fn read(&mut self, Entry { at_us, event }: &'a Entry) {
        self.count(*at_us, event);
        match event {
            Event::Backlog { packets, bytes, dropped } => {
                self.judge_backlog(*at_us, *packets, *bytes, *dropped);
            }
            Event::Connected { socket, client, .. } => {
                self.connections.insert(*socket, (*client, *at_us));
                let is_alone = self.plan.party(self.plan.host_of(*client)).count() == 1;
                let since = if is_alone { self.said } else { Amount::default() };
                self.windows.insert(*socket, [since; 3]);
            }
            // All that it has missed is said again.
            Event::Recovered { socket, client } => {
                self.connections.insert(*socket, (*client, *at_us));
                self.windows.insert(*socket, [Amount::default(); 3]);
            }
            Event::Ponged { socket } => {
                if let Some(marks) = self.windows.get_mut(socket) {
                    *marks = [marks[1], marks[2], self.said];
                }
            }
            Event::Sent { message, bytes, .. } => {
                self.lengths.insert(*message, *bytes);
            }
            Event::Witnessed { order: Order::Broadcast { message: Some(message), .. } } => {
                self.accepted_us.insert(*message, (*at_us, self.through_us + self.passage_us));
            }
            Event::Delivered { socket, message, .. } => {
                self.judge_delay(*at_us, *socket, *message);
            }
            Event::GivenUp { sid, reason } if reason == SLOW_READER => {
                self.judge_end(*at_us, sid);
            }
            _ => {}
        }
    }

    /// Everything that may be, or make the server say, one packet to one client; or more.
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else makes a server speak")]
    fn count(&mut self, at_us: u64, event: &Event) {
        let rooms = self.plan.rooms.len() as u64;
        let (packets, body) = match event {
            Event::Asked { .. }
            | Event::JoinSent { .. }
            | Event::LeaveSent { .. }
            | Event::Sent { .. }
            | Event::SwitchSent { .. }
            | Event::TypingSent { .. }
            | Event::UnwatchSent { .. }
            | Event::WatchSent { .. } => (1, 0),
            Event::Witnessed { order: Order::Broadcast { message, .. } } => {
                (1, message.and_then(|it| self.lengths.get(&it).copied()).unwrap_or_default())
            }
            Event::Witnessed { order: Order::Join { .. } | Order::Leave { .. } } => (1, 0),
            Event::Witnessed { order: Order::Switch { .. } } => (2, 0),
            Event::Witnessed { order: Order::Connect { .. } | Order::Disconnect { .. } } => {
                (rooms, 0)
            }
            _ => return,
        };
        let bytes = packets * ENVELOPE_BYTES + body;
        self.said.packets += packets;
        self.said.bytes += bytes;
        self.through_us = self.through_us.max(at_us) + self.plan.through_us(bytes);
    }

    fn judge_backlog(&mut self, at_us: u64, packets: u64, bytes: u64, dropped: u64) {
        let Some(bounds) = self.plan.server.outbound else { return };
        let (packets_max, bytes_max) = (bounds.packets_max.into(), bounds.bytes_max.into());
        if packets > packets_max {
            let what = format!("{packets} packets wait for one client, and {packets_max} may");
            self.accuse(at_us, what, None);
        }
        if bytes > bytes_max {
            let what = format!("{bytes} bytes wait for one client, and {bytes_max} may");
            self.accuse(at_us, what, None);
        }
        if dropped > 0 && !bounds.policy.drops() {
            let what = format!("{dropped} events were dropped, which is not the policy");
            self.accuse(at_us, what, None);
        }
    }

    /// The server has closed a client for which too much waits, as it says.
    fn judge_end(&mut self, at_us: u64, sid: &str) {
        let Some(&Connection { socket, client, .. }) = self.names.get(sid) else { return };
        let Some(marks) = self.windows.get(&socket) else { return };
        let since = marks[if self.plan.server.shards > 1 { 0 } else { 1 }];
        let packets = UNTOLD + self.said.packets - since.packets;
        let bytes = UNTOLD * ENVELOPE_BYTES + self.said.bytes - since.bytes;
        let (packets_max, bytes_max) = self.bounds();
        if packets <= packets_max && bytes <= bytes_max {
            let what = format!(
                "client {client} was closed as too slow, and no more than {packets} packets of \
                 {bytes} bytes were said that it may not have read; {packets_max} of {bytes_max} \
                 may wait"
            );
            self.accuse(at_us, what, Some(socket));
        }
    }

    /// Packets and bytes that may wait for one client.
    fn bounds(&self) -> (u64, u64) {
        match self.plan.server.outbound {
            None => {
                let usual = parlor::Config::default();
                (usual.outbound_packets_max as u64, usual.outbound_bytes_max as u64)
            }
            Some(bounds) => (bounds.packets_max.into(), bounds.bytes_max.into()),
        }
    }

    /// A member has heard what was said while it had its connection, and nothing was wrong
    /// with that: it need not have waited for others.
    fn judge_delay(&mut self, at_us: u64, socket: SocketId, message: MessageId) {
        let Some(&(accepted_us, due_us)) = self.accepted_us.get(&message) else { return };
        let Some(&(client, since_us)) = self.connections.get(&socket) else { return };
        if since_us > accepted_us || at_us <= due_us {
            return;
        }
        let host = self.plan.host_of(client);
        let is_probing = self.plan.clients.iter().any(|it| it.id == host && it.half_open.is_some());
        let may_delay = |fault: &Fault| {
            let until_us = 1000 * (fault.ends_ms() + self.plan.delivery_ms());
            fault.concerns(host) && 1000 * fault.from_ms <= at_us && until_us >= accepted_us
        };
        if is_probing || self.plan.faults.iter().any(may_delay) {
            return;
        }
        let what = format!(
            "client {client} waited {} ms for a message, and nothing was wrong with its connection",
            (at_us - accepted_us) / 1000
        );
        let failure = Failure::new(BOUNDED, what, at_us, [socket, message.by]);
        self.failures.push(Failure { needs_witness: true, messages: [message].into(), ..failure });
    }

    fn accuse(&mut self, at_us: u64, what: String, socket: Option<SocketId>) {
        let failure = Failure::new(BOUNDED, what, at_us, socket);
        self.failures.push(Failure { needs_witness: true, ..failure });
    }
}

#[cfg(test)]
mod tests;
