//! Reads a history and counts the situations it was in.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{
    CONNECTIONS_RESET, Call, Entry, Event, History, MessageId, Order, SERVER_KILLED, SERVER_STARTS,
    SocketId,
};
use crate::plan::{FaultKind, Plan};

use super::{Situation, Times};

/// How often a run was in each situation that a history tells without recovery.
pub(super) fn of(plan: &Plan, history: &History) -> Times {
    let mut reader = Reader::new(plan, history);
    for entry in history.entries() {
        reader.read(entry);
    }
    reader.times
}

/// A switch without an answer, and who else has spoken meanwhile in which of its rooms.
struct Switch<'a> {
    from: &'a str,
    to: &'a str,
    spoken: BTreeSet<&'a str>,
}

/// A message that was sent.
struct Sent {
    /// Whether it is going to be accepted, once it is there.
    is_due: bool,
    attachments: u8,
    bytes: u64,
}

struct Reader<'a> {
    plan: &'a Plan,
    times: Times,
    has_restarted: bool,
    sids: BTreeMap<&'a str, SocketId>,
    /// The living sockets and their clients.
    living: BTreeMap<SocketId, u32>,
    /// The rooms that clients have been in, over earlier connections too.
    known_rooms: BTreeSet<(u32, &'a str)>,
    returned: BTreeSet<u32>,
    sent: BTreeMap<MessageId, Sent>,
    /// What each socket is going to hear.
    in_flight: BTreeMap<SocketId, BTreeSet<MessageId>>,
    /// Whose upgrades have come to nothing.
    half_open: BTreeSet<SocketId>,
    /// When echoes were asked for.
    asked_us: BTreeMap<(SocketId, u64), u64>,
    /// Who has answered a ping over its connection.
    ponged: BTreeSet<SocketId>,
    joins: BTreeSet<(SocketId, &'a str)>,
    leaves: BTreeSet<(SocketId, &'a str)>,
    switches: BTreeMap<SocketId, Switch<'a>>,
    /// As the engine has it.
    members: BTreeMap<&'a str, BTreeSet<SocketId>>,
    /// When somebody last joined, and when somebody last spoke.
    last_us: BTreeMap<(bool, &'a str), u64>,
}

impl<'a> Reader<'a> {
    fn new(plan: &'a Plan, history: &'a History) -> Self {
        Self {
            plan,
            times: Times::new(),
            has_restarted: false,
            sids: history.connections().map(|it| (it.sid, it.socket)).collect(),
            living: BTreeMap::new(),
            known_rooms: BTreeSet::new(),
            returned: BTreeSet::new(),
            sent: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            half_open: BTreeSet::new(),
            asked_us: BTreeMap::new(),
            ponged: BTreeSet::new(),
            joins: BTreeSet::new(),
            leaves: BTreeSet::new(),
            switches: BTreeMap::new(),
            members: BTreeMap::new(),
            last_us: BTreeMap::new(),
        }
    }

    fn count(&mut self, situation: Situation, happens: bool) {
        if happens {
            *self.times.entry(situation).or_default() += 1;
        }
    }

    fn read(&mut self, Entry { at_us, event }: &'a Entry) {
        match event {
            Event::Answered { socket, number } => self.answered(*at_us, *socket, *number),
            Event::Asked { socket, number } => {
                self.asked_us.insert((*socket, *number), *at_us);
            }
            Event::Connected { socket, client, .. } | Event::Recovered { socket, client } => {
                self.connect(*at_us, *socket, *client);
            }
            Event::Delivered { socket, room, message, .. } => {
                self.deliver(*socket, room, *message);
            }
            Event::Ended { socket, .. } => self.end(*socket),
            Event::Fault { what } => self.fault(*at_us, what),
            Event::HalfOpened { socket } => {
                self.half_open.insert(*socket);
            }
            Event::JoinAcked { socket, room } => self.join_acked(*socket, room),
            Event::JoinSent { socket, room } => {
                self.joins.insert((*socket, room));
            }
            Event::LeaveAcked { socket, room } => {
                self.leaves.remove(&(*socket, room.as_str()));
            }
            Event::LeaveSent { socket, room } => {
                self.leaves.insert((*socket, room));
            }
            Event::Packets { tally } => {
                let sent_again = tally.lost > 0 && tally.again > 0;
                self.count(Situation::LostPacketSentAgain, sent_again);
            }
            Event::PollCancelled { answered, .. } => {
                self.count(Situation::PollCancelled, !answered);
                self.count(Situation::PollCancelledWithMessages, *answered);
            }
            Event::Ponged { socket } => {
                self.ponged.insert(*socket);
            }
            Event::Refused { socket, call, .. } => self.refuse(*socket, call),
            Event::Sent { message, room, attachments, bytes } => {
                let (attachments, bytes) = (*attachments, *bytes);
                let is_due = self.is_member(message.by, room);
                self.sent.insert(*message, Sent { is_due, attachments, bytes });
            }
            Event::SwitchAcked { socket, .. } => {
                self.switches.remove(socket);
            }
            Event::SwitchSent { socket, from, to } => self.switch(*socket, from, to),
            Event::Upgraded { socket } => {
                let is_busy = self.in_flight.get(socket).is_some_and(|it| !it.is_empty());
                self.count(Situation::UpgradeUnderTraffic, is_busy);
                self.count(Situation::PingDuringUpgrade, self.ponged.contains(socket));
            }
            Event::TypingHeard { .. } => self.count(Situation::VolatileHeard, true),
            Event::Witnessed { order } => self.witness(*at_us, order),
            Event::Acked { .. }
            | Event::Backlog { .. }
            | Event::Census { .. }
            | Event::Expelled { .. }
            | Event::Foreign { .. }
            | Event::GivenUp { .. }
            | Event::Heard { .. }
            | Event::Illegal { .. }
            | Event::Notice { .. }
            | Event::Quiet { .. }
            | Event::Replied { .. }
            | Event::Said { .. }
            | Event::TypingSent { .. }
            | Event::Unwatched { .. }
            | Event::UnwatchSent { .. }
            | Event::Watched { .. }
            | Event::WatchSent { .. }
            | Event::Wish { .. } => {}
        }
    }

    fn answered(&mut self, at_us: u64, socket: SocketId, number: u64) {
        let asked_us = self.asked_us.remove(&(socket, number)).unwrap_or(at_us);
        let server = &self.plan.server;
        let silence_ms = server.ping_interval_ms + server.ping_timeout_ms;
        self.count(Situation::HeardLate, at_us - asked_us > 1000 * silence_ms);
    }

    /// Whether it is a member and stays one: a message of somebody else is refused.
    fn is_member(&self, socket: SocketId, room: &str) -> bool {
        let is_in = self.members.get(room).is_some_and(|members| members.contains(&socket));
        let leaves = self.leaves.contains(&(socket, room));
        let switches = self.switches.get(&socket).is_some_and(|switch| switch.from == room);
        is_in && !leaves && !switches
    }

    fn connect(&mut self, at_us: u64, socket: SocketId, client: u32) {
        self.living.insert(socket, client);
        let at_ms = at_us / 1000;
        let is_wrong =
            |fault: &crate::plan::Fault| (fault.from_ms..fault.until_ms).contains(&at_ms);
        let under_faults = self.plan.faults.iter().any(is_wrong) && self.returned.contains(&client);
        self.count(Situation::ReconnectUnderFaults, under_faults);
    }

    fn deliver(&mut self, socket: SocketId, room: &'a str, message: MessageId) {
        if let Some(in_flight) = self.in_flight.get_mut(&socket) {
            in_flight.remove(&message);
        }
        let Some(sent) = self.sent.get(&message) else { return };
        let is_binary = sent.attachments > 0;
        let is_long = sent.bytes > u64::from(self.plan.network.stream.buffer_bytes);
        self.count(Situation::BinaryDelivered, is_binary);
        self.count(Situation::BacklogSizedMessage, is_long);
        let is_leaving = self.leaves.contains(&(socket, room));
        self.count(Situation::MessageInFlightDuringLeave, is_leaving);
        let polls_on = self.half_open.contains(&socket);
        self.count(Situation::HeardAfterHalfOpenUpgrade, polls_on);
    }

    fn end(&mut self, socket: SocketId) {
        self.ponged.remove(&socket);
        if let Some(client) = self.living.remove(&socket) {
            self.returned.insert(client);
        }
        let in_flight = self.in_flight.remove(&socket).unwrap_or_default();
        self.count(Situation::MessageInFlightAtDisconnect, !in_flight.is_empty());
        self.joins.retain(|(owner, _)| *owner != socket);
        self.leaves.retain(|(owner, _)| *owner != socket);
        self.switches.remove(&socket);
    }

    fn fault(&mut self, at_us: u64, what: &str) {
        if what == SERVER_KILLED {
            self.crash(at_us);
        } else if what == SERVER_STARTS {
            self.count(Situation::RestartedAgain, self.has_restarted);
            self.has_restarted = true;
        } else if what.ends_with(CONNECTIONS_RESET) {
            let in_flight = self.in_flight.values().any(|messages| !messages.is_empty());
            self.count(Situation::ResetUnderTraffic, in_flight);
        }
    }

    fn crash(&mut self, at_us: u64) {
        let at_ms = at_us / 1000;
        let is_power_loss = self.plan.faults.iter().any(|fault| {
            fault.kind == FaultKind::PowerLoss && (fault.from_ms..fault.until_ms).contains(&at_ms)
        });
        let kind = match is_power_loss {
            true => Situation::PowerLossWithUnacked,
            false => Situation::KillWithUnacked,
        };
        let living = &self.living;
        let is_under_way =
            |(message, sent): (&MessageId, &Sent)| sent.is_due && living.contains_key(&message.by);
        let under_way = self.sent.iter().any(is_under_way);
        self.count(kind, under_way);
        self.count(Situation::JoinUnackedAtCrash, !self.joins.is_empty());
        self.members.clear();
    }

    fn join_acked(&mut self, socket: SocketId, room: &'a str) {
        self.joins.remove(&(socket, room));
        let Some(&client) = self.living.get(&socket) else { return };
        let is_again = !self.known_rooms.insert((client, room)) && self.returned.contains(&client);
        self.count(Situation::RejoinAfterReconnect, is_again);
    }

    fn refuse(&mut self, socket: SocketId, call: &'a Call) {
        self.count(Situation::RefusedCall, true);
        match call {
            Call::Join { room } => {
                self.joins.remove(&(socket, room.as_str()));
            }
            Call::Leave { room } => {
                self.leaves.remove(&(socket, room.as_str()));
            }
            Call::Message { .. } | Call::Unwatch { .. } | Call::Watch { .. } => {}
            Call::Switch { .. } => {
                self.switches.remove(&socket);
            }
        }
    }

    fn switch(&mut self, socket: SocketId, from: &'a str, to: &'a str) {
        let speaks = self.sent.iter().any(|(message, sent)| message.by == socket && sent.is_due);
        self.count(Situation::SpeakerSwitches, speaks);
        let swaps = from != to && self.switches.values().any(|it| (it.from, it.to) == (to, from));
        self.count(Situation::ClientsSwap, swaps);
        self.switches.insert(socket, Switch { from, to, spoken: BTreeSet::new() });
    }

    fn witness(&mut self, at_us: u64, order: &'a Order) {
        let socket = self.sids.get(order.sid()).copied();
        match order {
            Order::Broadcast { room, message, .. } => {
                if let (Some(socket), Some(message)) = (socket, *message) {
                    self.broadcast(at_us, socket, room, message);
                }
            }
            Order::Connect { .. } => {}
            Order::Disconnect { .. } => {
                let Some(socket) = socket else { return };
                let lives = self.living.contains_key(&socket);
                self.count(Situation::ServerGivesUpAClient, lives);
                for members in self.members.values_mut() {
                    members.remove(&socket);
                }
            }
            Order::Join { room, .. } => self.enter(at_us, socket, room),
            Order::Leave { room, .. } => self.exit(socket, room),
            Order::Switch { from, to, .. } => {
                self.exit(socket, from);
                self.enter(at_us, socket, to);
            }
        }
    }

    fn enter(&mut self, at_us: u64, socket: Option<SocketId>, room: &'a str) {
        let Some(socket) = socket else { return };
        let was_left = self.members.get(room).is_some_and(BTreeSet::is_empty);
        self.members.entry(room).or_default().insert(socket);
        self.count(Situation::EmptyRoomRevived, was_left);
        let spoken_us = self.last_us.get(&(true, room)).copied();
        self.count(Situation::JoinAndMessageInOneStep, spoken_us == Some(at_us));
        self.last_us.insert((false, room), at_us);
    }

    fn exit(&mut self, socket: Option<SocketId>, room: &'a str) {
        if let (Some(socket), Some(members)) = (socket, self.members.get_mut(room)) {
            members.remove(&socket);
        }
    }

    fn broadcast(&mut self, at_us: u64, sender: SocketId, room: &'a str, message: MessageId) {
        if let Some(sent) = self.sent.get_mut(&message) {
            sent.is_due = false;
        }
        let members = self.members.get(room).cloned().unwrap_or_default();
        self.count(Situation::RoomOfOne, members.len() == 1 && members.contains(&sender));
        for &member in members.iter().filter(|member| **member != sender) {
            self.in_flight.entry(member).or_default().insert(message);
        }
        let joined_us = self.last_us.get(&(false, room)).copied();
        self.count(Situation::JoinAndMessageInOneStep, joined_us == Some(at_us));
        self.last_us.insert((true, room), at_us);
        let mut complete = 0;
        for switch in self.switches.iter_mut().filter(|(by, _)| **by != sender).map(|it| it.1) {
            let concerns = switch.from != switch.to && [switch.from, switch.to].contains(&room);
            if concerns && switch.spoken.insert(room) && switch.spoken.len() == 2 {
                complete += 1;
            }
        }
        (0..complete).for_each(|_| self.count(Situation::SwitchBetweenSpeakers, true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Profile, generate};

    fn times(has_answered: bool) -> u64 {
        let socket = SocketId(0);
        let message = MessageId { by: SocketId(1), number: 1 };
        let (room, bytes) = ("a".to_owned(), 0);
        let sent = Event::Sent { message, room: room.clone(), attachments: 0, bytes };
        let half = Event::HalfOpened { socket };
        let from = Some(message.by);
        let heard = Event::Delivered { socket, room, message, from, seq: Some(1), intact: true };
        let events = if has_answered { vec![sent, half, heard] } else { vec![sent, heard] };
        let mut history = History::default();
        for event in events {
            history.push(0, event);
        }
        let times = of(&generate(0, &Profile::default()), &history);
        times.get(&Situation::HeardAfterHalfOpenUpgrade).copied().unwrap_or_default()
    }

    #[test]
    fn what_is_heard_counts_once_an_upgrade_has_come_to_nothing() {
        assert_eq!((times(true), times(false)), (1, 0));
    }
}
