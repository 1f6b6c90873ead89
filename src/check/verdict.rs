//! What came out: violations with their stories, and exact counts.

use super::{ClientId, MessageId, Options, RoomId};

/// A promise of the contract that has a checker here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// An acked message has its place in the order, and its members hear it.
    AckMeansAccepted,
    /// Events of one socket are handled in the order it sent them.
    ConnectionFifo,
    /// A member hears every broadcast between its join and its leave.
    JoinThenHear,
    /// A broadcast reaches a client at most once.
    NoDuplicate,
    /// What arrives was sent, byte for byte, by the named sender.
    NoInvention,
    /// Nothing crosses from one room to another.
    RoomIsolation,
    /// Any two members see the broadcasts they share in one order.
    RoomTotalOrder,
    /// A sender does not hear itself, or does, as the server says it does.
    SenderExcluded,
    /// Broadcasts of one sender to one room arrive in the order sent.
    SenderFifo,
    /// Nothing of a room arrives after the ack of its leave.
    SilentAfterLeave,
    /// Nothing accepted before a join reaches the joiner.
    SilentBeforeJoin,
    /// A switch is one step.
    SwitchAtomic,
}

impl Guarantee {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 12] = [
        Self::AckMeansAccepted,
        Self::ConnectionFifo,
        Self::JoinThenHear,
        Self::NoDuplicate,
        Self::NoInvention,
        Self::RoomIsolation,
        Self::RoomTotalOrder,
        Self::SenderExcluded,
        Self::SenderFifo,
        Self::SilentAfterLeave,
        Self::SilentBeforeJoin,
        Self::SwitchAtomic,
    ];

    /// The name it has in the contract, in reports and in tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckMeansAccepted => "ack_means_accepted",
            Self::ConnectionFifo => "connection_fifo",
            Self::JoinThenHear => "join_then_hear",
            Self::NoDuplicate => "no_duplicate",
            Self::NoInvention => "no_invention",
            Self::RoomIsolation => "room_isolation",
            Self::RoomTotalOrder => "room_total_order",
            Self::SenderExcluded => "sender_excluded",
            Self::SenderFifo => "sender_fifo",
            Self::SilentAfterLeave => "silent_after_leave",
            Self::SilentBeforeJoin => "silent_before_join",
            Self::SwitchAtomic => "switch_atomic",
        }
    }
}

/// One broken promise, and the smallest piece of history that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub guarantee: Guarantee,
    /// When it was seen to be broken, in the history's microseconds.
    pub at_us: u64,
    /// The clients concerned; first the one that suffered.
    pub clients: Vec<ClientId>,
    /// The messages concerned.
    pub messages: Vec<MessageId>,
    /// The rooms concerned.
    pub rooms: Vec<RoomId>,
    /// What happened, in one sentence, in which clients and rooms are numbers: `client 3`,
    /// `room 0`. A caller who has names for them asks for the [`sentence`](Self::sentence).
    pub story: String,
}

impl Violation {
    /// What happened, in one sentence, with the caller's names of clients and rooms.
    pub fn sentence(
        &self,
        client: impl Fn(ClientId) -> String,
        room: impl Fn(RoomId) -> String,
    ) -> String {
        let mut words: Vec<String> = Vec::new();
        for word in self.story.split(' ') {
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = word.split_at(digits);
            let name = match (words.last().map(String::as_str), number.parse()) {
                (Some("client"), Ok(id)) => client(ClientId(id)),
                (Some("room"), Ok(id)) => room(RoomId(id)),
                _ => {
                    words.push(word.to_owned());
                    continue;
                }
            };
            words.pop();
            words.push(name + rest);
        }
        words.join(" ")
    }
}

/// The judgement over a whole history.
///
/// Of the pairs (message, recipient) that had to be: `expected == delivered +
/// lost`. Of what arrived: `delivered`, `unrequired`, `late`, `duplicate`, `foreign`, or
/// one of the violations that say it should not have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The first violations of each guarantee, in the order seen; see [`Verdict::count`] for how many there were.
    pub violations: Vec<Violation>,
    pub(super) counts: [u64; Guarantee::ALL.len()],
    /// Required pairs.
    pub expected: u64,
    /// Required pairs that arrived (before their deadline, if there is one).
    pub delivered: u64,
    /// Required pairs that did not.
    pub lost: u64,
    /// Lost pairs that arrived after their deadline.
    pub late: u64,
    /// Deliveries that were legal but not required: the receiver was joining or leaving.
    pub unrequired: u64,
    /// Deliveries of a message to a client that had it already.
    pub duplicate: u64,
    /// Deliveries of a message to a client that already had a later one of the
    /// same sender and room.
    pub reordered: u64,
    /// Pairs that would have been required, had not the recipient left or a
    /// connection ended first: never called lost.
    pub indeterminate: u64,
    /// Arrivals that are not of this run.
    pub foreign: u64,
    /// Why the result is invalid, if it is: a bound of [`Options`] was hit and
    /// something could not be judged. The counts are then not exact.
    pub overflow: Option<&'static str>,
}

impl Verdict {
    /// How often `guarantee` was broken: exact, however many are told.
    pub fn count(&self, guarantee: Guarantee) -> u64 {
        self.counts[guarantee as usize]
    }

    /// Whether nothing that was judged was broken, and everything could be judged.
    pub fn is_clean(&self) -> bool {
        self.overflow.is_none() && self.counts.iter().all(|&count| count == 0)
    }

    /// Counts a violation, and keeps it while there are few of its kind.
    /// The story is told only if somebody will hear it.
    pub(super) fn accuse(
        &mut self,
        options: &Options,
        guarantee: Guarantee,
        tell: impl FnOnce() -> Violation,
    ) {
        if !options.judged.contains(guarantee) {
            return;
        }
        let count = &mut self.counts[guarantee as usize];
        *count += 1;
        if *count <= options.stories_max as u64 {
            self.violations.push(tell());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_the_callers_names() {
        let story = "client 1 heard message 12 of client 0 in room 3, also in room 10".to_owned();
        let violation = Violation {
            guarantee: Guarantee::NoInvention,
            at_us: 0,
            clients: Vec::new(),
            messages: Vec::new(),
            rooms: Vec::new(),
            story,
        };
        let sentence =
            violation.sentence(|client| format!("<{}>", client.0), |room| format!("#{}", room.0));
        assert_eq!(sentence, "<1> heard message 12 of <0> in #3, also in #10");
    }

    #[test]
    fn guarantees_are_listed_by_discriminant_and_named_uniquely() {
        for (i, guarantee) in Guarantee::ALL.into_iter().enumerate() {
            assert_eq!(guarantee as usize, i);
        }
        assert!(Guarantee::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    }
}
