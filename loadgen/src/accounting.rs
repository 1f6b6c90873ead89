//! Who is owed what, and what became of it.
//!
//! The verdict is the checkers' ([`parlor::check`]). Beside it stands a count of
//! recipients for each message under way, which says when a broadcast has
//! reached its last recipient and whether anything is still outstanding.

use std::collections::BTreeMap;

use parlor::check::{
    Checker, ClientId, Guarantee, Guarantees, MessageId, Options, Record, Request, RoomId, Verdict,
};

use crate::report::{Deliveries, VIOLATIONS_MAX};
use crate::schedule::Plan;

/// Messages under way that are followed to their last recipient. A message
/// that finds this full is still judged, and only missing in that histogram.
const UNDER_WAY_MAX: usize = 256 * 1024;

/// Messages are judged one by one for so long after they were sent, as far as
/// the bounds below permit: a server may stall for a while.
const REMEMBERED_S: f64 = 30.0;
const MESSAGES_MIN: usize = 32 * 1024;
const MESSAGES_MAX: usize = 512 * 1024;
const RECEIVERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Servers that are told apart. A run that meets more is not judged from there on.
pub(crate) const SERVERS_MAX: u32 = 1000;

/// The room that no client is ever in.
const NOWHERE: RoomId = RoomId(0);

/// A room of one server: if servers know nothing of each other, a room has as
/// many parts, whose members owe each other nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) server: u32,
    pub(crate) room: u32,
}

/// The books of one thread, whose clients share no room with another thread's.
pub(crate) struct Accounting {
    checker: Checker,
    /// Rooms of the run.
    rooms: u32,
    /// Joined and still connected, by number of the place.
    members: Vec<u32>,
    /// By sender and number, how many recipients are still owed each message.
    under_way: BTreeMap<(u32, u32), u32>,
}

/// A message as its sender numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) client: u32,
    pub(crate) number: u32,
}

/// What arrived, as envelope and body say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// None if it is no room of this run.
    pub(crate) place: Option<Place>,
    pub(crate) message: Sent,
    /// The sender that the envelope names, if it is a client of this run.
    pub(crate) from: Option<u32>,
    pub(crate) seq: Option<u64>,
    pub(crate) intact: bool,
}

impl Accounting {
    /// Empty books for a run of this plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let messages_max =
            ((plan.rate_hz * REMEMBERED_S) as usize).clamp(MESSAGES_MIN, MESSAGES_MAX);
        let options = Options {
            judged: Guarantees::FOREIGN.with(Guarantee::SenderExcluded),
            messages_max,
            incomplete_max: messages_max / 4,
            receivers_bytes_max: RECEIVERS_BYTES_MAX,
            stories_max: VIOLATIONS_MAX,
            ..Options::default()
        };
        Self {
            checker: Checker::new(options),
            rooms: plan.rooms,
            members: Vec::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// The number of a place.
    fn number(&self, Place { server, room }: Place) -> RoomId {
        RoomId(NOWHERE.0 + 1 + server * self.rooms + room)
    }

    fn members(&mut self, place: Place) -> &mut u32 {
        let at = self.number(place).0 as usize;
        if self.members.len() <= at {
            self.members.resize(at + 1, 0);
        }
        &mut self.members[at]
    }

    /// The namespace's CONNECT was answered, and the join is about to be sent.
    pub(crate) fn joining(&mut self, at_us: u64, client: u32, place: Place) {
        let (client, room) = (ClientId(client), self.number(place));
        self.checker.observe(at_us, &Record::Connected { client });
        self.checker.observe(at_us, &Record::JoinSent { client, room });
    }

    /// The join was acknowledged.
    pub(crate) fn joined(&mut self, at_us: u64, client: u32, place: Place) {
        *self.members(place) += 1;
        let (client, room) = (ClientId(client), self.number(place));
        self.checker.observe(at_us, &Record::JoinAcked { client, room });
    }

    /// The connection has ended; `place` is where it had joined, if it had.
    pub(crate) fn disconnected(&mut self, at_us: u64, client: u32, place: Option<Place>) {
        if let Some(place) = place {
            *self.members(place) -= 1;
        }
        self.checker.observe(at_us, &Record::Disconnected { client: ClientId(client) });
    }

    /// A message is about to be sent.
    pub(crate) fn sent(&mut self, at_us: u64, message: Sent, place: Place) {
        let recipients = self.members(place).saturating_sub(1);
        if recipients > 0 && self.under_way.len() < UNDER_WAY_MAX {
            self.under_way.insert((message.client, message.number), recipients);
        }
        let (message, room) = (message.id(), self.number(place));
        self.checker.observe(at_us, &Record::Sent { message, room });
    }

    /// The server acknowledged a message.
    pub(crate) fn acked(&mut self, at_us: u64, message: Sent, seq: Option<u64>) {
        self.checker.observe(at_us, &Record::Acked { message: message.id(), seq });
    }

    /// The server refused a message: it is owed to nobody.
    pub(crate) fn refused(&mut self, at_us: u64, message: Sent) {
        self.under_way.remove(&(message.client, message.number));
        let request = Request::Message { number: u64::from(message.number) };
        self.checker.observe(at_us, &Record::Refused { client: ClientId(message.client), request });
    }

    /// A message of this run arrived. Says whether every recipient has it now.
    pub(crate) fn delivered(&mut self, at_us: u64, client: u32, arrival: &Arrival) -> bool {
        let record = Record::Delivered {
            client: ClientId(client),
            room: arrival.place.map_or(NOWHERE, |place| self.number(place)),
            message: arrival.message.id(),
            from: arrival.from.map(ClientId),
            seq: arrival.seq,
            intact: arrival.intact,
        };
        self.checker.observe(at_us, &record);
        let key = (arrival.message.client, arrival.message.number);
        let Some(owed) = self.under_way.get_mut(&key) else { return false };
        *owed -= 1;
        let complete = *owed == 0;
        if complete {
            self.under_way.remove(&key);
        }
        complete
    }

    /// Something arrived that is not of this run.
    pub(crate) fn foreign(&mut self, at_us: u64, client: u32) {
        self.checker.observe(at_us, &Record::Foreign { client: ClientId(client) });
    }

    /// Whether every message has reached all its recipients.
    pub(crate) fn is_settled(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Closes the books: what has not arrived by now is lost. The counts, and
    /// what there is to tell about them.
    pub(crate) fn finish(self, at_us: u64) -> (Deliveries, Vec<String>) {
        let verdict = self.checker.finish(at_us);
        let violations = verdict
            .violations
            .iter()
            .take(VIOLATIONS_MAX)
            .map(|violation| format!("{}: {}", violation.guarantee.name(), violation.story));
        let overflow =
            verdict.overflow.map(|reason| format!("not everything was judged: {reason}"));
        let violations = overflow.into_iter().chain(violations).collect();
        (deliveries(&verdict), violations)
    }
}

impl Sent {
    fn id(self) -> MessageId {
        MessageId { sender: ClientId(self.client), number: u64::from(self.number) }
    }
}

fn deliveries(verdict: &Verdict) -> Deliveries {
    let wrong = [
        Guarantee::NoInvention,
        Guarantee::RoomIsolation,
        Guarantee::SenderExcluded,
        Guarantee::SilentAfterLeave,
    ];
    Deliveries {
        expected: verdict.expected,
        delivered: verdict.delivered,
        lost: verdict.lost,
        duplicate: verdict.duplicate,
        reordered: verdict.reordered,
        wrong: wrong.into_iter().map(|guarantee| verdict.count(guarantee)).sum(),
        indeterminate: verdict.indeterminate,
        foreign: verdict.foreign,
        overflow: verdict.overflow.is_some(),
    }
}
