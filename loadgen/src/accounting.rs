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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::Arrivals;

    const HERE: Place = Place { server: 0, room: 0 };
    const THERE: Place = Place { server: 1, room: 0 };

    /// Books of a run with one room, in which these clients are, and the time.
    struct Story {
        books: Accounting,
        at_us: u64,
    }

    impl Story {
        fn with(clients: &[(u32, Place)]) -> Self {
            let plan = Plan {
                seed: 1,
                clients: 9,
                rooms: 1,
                rate_hz: 10.0,
                duration: Duration::from_secs(1),
                arrivals: Arrivals::Constant,
                speakers: 1.0,
            };
            let mut story = Self { books: Accounting::new(&plan), at_us: 0 };
            clients.iter().for_each(|&(client, place)| story.joins(client, place));
            story
        }

        fn now(&mut self) -> u64 {
            self.at_us += 1;
            self.at_us
        }

        fn joins(&mut self, client: u32, place: Place) {
            let now = self.now();
            self.books.joining(now, client, place);
            self.books.joined(now, client, place);
        }

        fn goes(&mut self, client: u32, place: Place) {
            let now = self.now();
            self.books.disconnected(now, client, Some(place));
        }

        /// Client 0 says something, and is answered.
        fn says(&mut self, number: u32, place: Place) {
            let (message, now) = (Sent { client: 0, number }, self.now());
            self.books.sent(now, message, place);
            self.books.acked(now, message, Some(u64::from(number) + 1));
        }

        fn hears(&mut self, client: u32, number: u32, place: Place) {
            let message = Sent { client: 0, number };
            let seq = Some(u64::from(number) + 1);
            let (place, now) = (Some(place), self.now());
            let arrival = Arrival { place, message, from: Some(0), seq, intact: true };
            self.books.delivered(now, client, &arrival);
        }

        /// How many were lost, and how many came twice.
        fn ends(mut self) -> (u64, u64) {
            let now = self.now();
            let deliveries = self.books.finish(now).0;
            assert!(!deliveries.overflow);
            (deliveries.lost, deliveries.duplicate)
        }
    }

    #[test]
    fn what_was_said_while_one_was_away_is_not_lost_and_what_is_said_later_is() {
        for (heard, lost) in [(true, 0), (false, 1)] {
            let mut story = Story::with(&[(0, HERE), (1, HERE)]);
            story.says(0, HERE);
            story.goes(1, HERE);
            story.says(1, HERE);
            story.joins(1, HERE);
            story.says(2, HERE);
            if heard {
                story.hears(1, 2, HERE);
            }
            assert_eq!(story.ends(), (lost, 0));
        }
    }

    #[test]
    fn a_loss_of_who_stays_is_one_whoever_else_comes_back() {
        let mut story = Story::with(&[(0, HERE), (1, HERE), (2, HERE)]);
        story.says(0, HERE);
        story.goes(1, HERE);
        story.joins(1, HERE);
        assert_eq!(story.ends(), (1, 0));
    }

    #[test]
    fn who_is_on_another_server_is_owed_nothing() {
        let mut story = Story::with(&[(0, HERE), (1, THERE)]);
        story.says(0, HERE);
        assert!(story.books.is_settled());
        story.goes(0, HERE);
        story.joins(0, THERE);
        story.says(1, THERE);
        assert!(!story.books.is_settled());
        assert_eq!(story.ends(), (1, 0));
    }

    #[test]
    fn nobody_is_waited_for_who_had_gone_before() {
        let mut story = Story::with(&[(0, HERE), (1, HERE)]);
        story.goes(1, HERE);
        story.says(0, HERE);
        assert!(story.books.is_settled());
        assert_eq!(story.ends(), (0, 0));
    }

    #[test]
    fn what_comes_again_behind_a_reconnection_came_twice() {
        let mut story = Story::with(&[(0, HERE), (1, HERE), (2, HERE)]);
        story.says(0, HERE);
        story.hears(1, 0, HERE);
        story.hears(2, 0, HERE);
        story.goes(1, HERE);
        story.joins(1, HERE);
        story.hears(1, 0, HERE);
        assert_eq!(story.ends(), (0, 1));
    }
}
