//! Counts the situations in which clients come back to their sessions, or try to.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, History, MessageId, Order, SocketId};
use crate::plan::Plan;

use super::{Situation, Times};

/// How often a run was in each situation.
pub(super) fn count(plan: &Plan, history: &History, times: &mut Times) {
    if plan.server.recovery_window_ms == 0 {
        return;
    }
    let mut reader = Reader::new(plan, times);
    for (row, entry) in history.entries().iter().enumerate() {
        reader.read(row, entry.at_us, &entry.event);
    }
}

/// A connection that a client has lost.
struct Lost<'a> {
    sid: &'a str,
    server: &'a str,
    at_us: u64,
}

struct Reader<'a, 't> {
    plan: &'a Plan,
    times: &'t mut Times,
    /// Who wants its session back.
    recovering: BTreeSet<u32>,
    /// The living sockets: client, id and server.
    living: BTreeMap<SocketId, (u32, &'a str, &'a str)>,
    lost: BTreeMap<u32, Lost<'a>>,
    sids: BTreeMap<SocketId, &'a str>,
    /// Where and when the engine saw each end.
    gone: BTreeMap<&'a str, (usize, u64)>,
    /// By the ids of sockets, over all their connections.
    members: BTreeMap<&'a str, BTreeSet<&'a str>>,
    owed: BTreeMap<&'a str, BTreeSet<MessageId>>,
    /// What those have still to hear who are there again.
    replayed: BTreeMap<&'a str, BTreeSet<MessageId>>,
}

impl<'a, 't> Reader<'a, 't> {
    fn new(plan: &'a Plan, times: &'t mut Times) -> Self {
        let recovering = plan.clients.iter().filter(|client| client.recovers);
        Self {
            plan,
            times,
            recovering: recovering.map(|client| client.id).collect(),
            living: BTreeMap::new(),
            lost: BTreeMap::new(),
            sids: BTreeMap::new(),
            gone: BTreeMap::new(),
            members: BTreeMap::new(),
            owed: BTreeMap::new(),
            replayed: BTreeMap::new(),
        }
    }

    fn count(&mut self, situation: Situation) {
        *self.times.entry(situation).or_default() += 1;
    }

    fn read(&mut self, row: usize, at_us: u64, event: &'a Event) {
        if let Event::Connected { socket, client, sid, server } = event {
            self.living.insert(*socket, (*client, sid, server));
            self.sids.insert(*socket, sid);
            self.begin_anew(at_us, *client, server);
        } else if let Event::Delivered { socket, message, .. } = event
            && let Some(sid) = self.sids.get(socket)
        {
            for waiting in [&mut self.owed, &mut self.replayed] {
                if let Some(messages) = waiting.get_mut(sid) {
                    messages.remove(message);
                }
            }
        } else if let Event::Ended { socket, reason } = event
            && let Some((client, sid, server)) = self.living.remove(socket)
            && reason != "it left"
        {
            self.lost.insert(client, Lost { sid, server, at_us });
        } else if let Event::Recovered { socket, client } = event {
            self.count(Situation::Recovered);
            if let Some(Lost { sid, server, .. }) = self.lost.remove(client) {
                self.living.insert(*socket, (*client, sid, server));
            }
        } else if let Event::Witnessed { order } = event {
            self.witness(row, at_us, order);
        }
    }

    /// The client has a new socket; perhaps it wanted its old one.
    fn begin_anew(&mut self, at_us: u64, client: u32, server: &str) {
        let Some(lost) = self.lost.remove(&client) else { return };
        if lost.server != server || !self.recovering.contains(&client) {
            return;
        }
        let gone_us = self.gone.get(lost.sid).map_or(lost.at_us, |(_, at_us)| *at_us);
        let is_late = at_us.saturating_sub(gone_us) > self.plan.server.recovery_window_ms * 1000;
        if is_late {
            self.count(Situation::RecoveryTooLate);
        } else if self.plan.server.recovery_packets_max > 0 {
            self.count(Situation::RecoveryOverflow);
        }
    }

    fn witness(&mut self, row: usize, at_us: u64, order: &'a Order) {
        match order {
            Order::Broadcast { sid, room, message, .. } => {
                if let Some(message) = *message {
                    self.say(sid, room, message);
                }
            }
            Order::Connect { sid } => {
                let Some((gone_row, gone_us)) = self.gone.get(sid.as_str()) else { return };
                // One ends in the step in which the other begins: it was ended for it.
                if (gone_row + 1, *gone_us) == (row, at_us) {
                    self.count(Situation::SessionTakenOver);
                }
                let owed = self.owed.get(sid.as_str()).cloned().unwrap_or_default();
                self.replayed.insert(sid, owed);
            }
            Order::Disconnect { sid } => {
                self.gone.insert(sid, (row, at_us));
            }
            Order::Join { sid, room } => {
                self.members.entry(room).or_default().insert(sid);
            }
            Order::Leave { sid, room } => self.exit(sid, room),
            Order::Switch { sid, from, to } => {
                self.exit(sid, from);
                self.members.entry(to).or_default().insert(sid);
            }
        }
    }

    fn exit(&mut self, sid: &str, room: &str) {
        if let Some(members) = self.members.get_mut(room) {
            members.remove(sid);
        }
    }

    fn say(&mut self, from: &str, room: &str, message: MessageId) {
        let members: Vec<&str> = self.members.get(room).into_iter().flatten().copied().collect();
        for member in members.into_iter().filter(|member| *member != from) {
            self.owed.entry(member).or_default().insert(message);
            // Once for each replay.
            if self.replayed.remove(member).is_some_and(|rest| !rest.is_empty()) {
                self.count(Situation::ReplayAmidTraffic);
            }
        }
    }
}
