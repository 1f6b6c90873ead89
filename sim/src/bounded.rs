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

mod unread;

use std::collections::BTreeMap;

use crate::ends::Ends;
use crate::history::{
    Connection, Entry, Event, History, MessageId, Order, SERVER_KILLED, SERVER_STARTS, SocketId,
};
use crate::judge::Failure;
use crate::plan::{Fault, Plan};
use crate::promise::BOUNDED;

use self::unread::{Amount, Owed, Unread};

/// What the engine calls the end of a client for which too much waits.
pub(crate) const SLOW_READER: &str = "slow_reader";

/// Judges how much was kept for whom, and what became of it.
pub fn check(plan: &Plan, history: &History) -> Vec<Failure> {
    let mut watch = Watch {
        plan,
        unread: Unread::new(plan, history),
        ends: Ends::default(),
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// As it has said when it was asked.
    pub(crate) told: u64,
    /// It was killed, and may have dropped more since it was asked last.
    is_partly_told: bool,
}

impl Dropped {
    pub(crate) fn of(plan: &Plan, history: &History) -> Self {
        let drops = plan.server.outbound.is_some_and(|bounds| bounds.policy.drops());
        let (mut before, mut last, mut is_partly_told) = (0, 0, false);
        for Entry { event, .. } in history.until_settled() {
            if let Event::Backlog { dropped, .. } = event {
                last = *dropped;
            } else if let Event::Fault { what } = event {
                if what == SERVER_STARTS {
                    before += std::mem::take(&mut last);
                }
                is_partly_told |= drops && what == SERVER_KILLED;
            }
        }
        Self { told: before + last, is_partly_told }
    }

    /// Whether it may have dropped anything.
    pub(crate) fn may_be_any(self) -> bool {
        self.told > 0 || self.is_partly_told
    }

    /// What members have lost that nothing says was dropped for them.
    pub(crate) fn uncounted(self, lost: u64, at_us: u64) -> Option<Failure> {
        let dropped = self.told;
        let sentence =
            format!("members have lost {lost} messages, and the server has dropped {dropped}");
        let is_wrong = lost > dropped && !self.is_partly_told;
        is_wrong.then(|| Failure::new(BOUNDED, sentence, at_us, []))
    }
}

struct Watch<'a> {
    plan: &'a Plan,
    unread: Unread<'a>,
    /// What each socket may not have read when it was closed.
    ends: Ends<'a, Option<Amount>>,
    /// How long a message takes behind nothing.
    passage_us: u64,
    /// Whose each socket is, and since when it has the connection that it has.
    connections: BTreeMap<SocketId, (u32, u64)>,
    failures: Vec<Failure>,
}

impl<'a> Watch<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no business of bounds")]
    fn read(&mut self, entry: &'a Entry) {
        let Entry { at_us, event } = entry;
        if let Event::Witnessed { order: Order::Disconnect { sid } } = event {
            self.ends.witness(sid, self.unread.most(sid));
        }
        let heard = self.unread.read(entry);
        match event {
            Event::Backlog { packets, bytes, dropped } => {
                self.judge_backlog(*at_us, *packets, *bytes, *dropped);
            }
            Event::Connected { socket, client, .. } | Event::Recovered { socket, client } => {
                self.connections.insert(*socket, (*client, *at_us));
            }
            Event::Delivered { socket, message, .. } => {
                if let Some(owed) = heard {
                    self.judge_delay(*at_us, *socket, *message, owed);
                }
            }
            Event::GivenUp { sid, reason } if reason == SLOW_READER => self.judge_end(*at_us, sid),
            _ => {}
        }
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
        let Some(&Connection { socket, client, .. }) = self.unread.socket(sid) else { return };
        let (packets_max, bytes_max) = self.bounds();
        let is_too_much = |most: &Option<Amount>| {
            most.is_none_or(|most| most.packets > packets_max || most.bytes > bytes_max)
        };
        let now = self.unread.most(sid);
        if self.ends.explain(sid, is_too_much) || is_too_much(&now) {
            return;
        }
        let Some(Amount { packets, bytes }) = self.ends.latest(sid).copied().flatten().or(now)
        else {
            return;
        };
        let what = format!(
            "client {client} was closed as too slow, and no more than {packets} packets of \
             {bytes} bytes were for it that it may not have read; {packets_max} of {bytes_max} \
             may wait"
        );
        self.accuse(at_us, what, Some(socket));
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
    fn judge_delay(&mut self, at_us: u64, socket: SocketId, message: MessageId, owed: Owed) {
        let Some(&(client, since_us)) = self.connections.get(&socket) else { return };
        let Owed { accepted_us, through_us, .. } = owed;
        if since_us > accepted_us || at_us <= through_us + self.passage_us {
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
