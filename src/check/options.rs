//! What to judge, and with which bounds.

use super::Guarantee;

/// A set of guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarantees(u16);

impl Guarantees {
    /// Every guarantee there is a checker for.
    pub const ALL: Self = Self((1 << Guarantee::ALL.len()) - 1);
    /// None.
    pub const NONE: Self = Self(0);

    /// What any Socket.IO chat server is held to, ours or not.
    pub const FOREIGN: Self = Self::NONE
        .with(Guarantee::SenderFifo)
        .with(Guarantee::JoinThenHear)
        .with(Guarantee::SilentAfterLeave)
        .with(Guarantee::NoDuplicate)
        .with(Guarantee::NoInvention)
        .with(Guarantee::RoomIsolation);

    /// The set with `guarantee` added.
    #[must_use]
    pub const fn with(self, guarantee: Guarantee) -> Self {
        Self(self.0 | 1 << guarantee as u16)
    }

    /// The set with `guarantee` taken out.
    #[must_use]
    pub const fn without(self, guarantee: Guarantee) -> Self {
        Self(self.0 & !(1 << guarantee as u16))
    }

    /// Whether `guarantee` is in the set.
    pub const fn contains(self, guarantee: Guarantee) -> bool {
        self.0 & (1 << guarantee as u16) != 0
    }
}

/// How `room_total_order` is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// The graph of consecutive deliveries has no cycle. Needs nothing of the
    /// server, and costs time and memory per message.
    Graph,
    /// Every delivery carries the room's sequence number: it increases for each
    /// receiver, and one number means one message.
    Seq,
}

/// What a [`Checker`](super::Checker) judges, what it knows of the server, and how much it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is judged; the rest is neither counted nor reported as violation.
    pub judged: Guarantees,
    /// How `room_total_order` is judged, if it is.
    pub order: OrderBy,
    /// Whether a sender that is a member hears its own broadcasts (`io.to`).
    /// By default it must not (`socket.to`).
    pub sender_hears: bool,
    /// Whether a message with neither ack nor delivery is lost for everybody, if
    /// its sender was a member and its connection survived: at quiescence such a
    /// message must have been accepted, for nothing else can become of it. Turn
    /// this off for a server that refuses without saying so (rate limits).
    pub silence_is_loss: bool,
    /// Whether the engine's steps are passed to [`witness`](super::Checker::witness):
    /// every ack must then come after the message's step.
    pub witnessed: bool,
    /// After how long a required delivery that has not arrived is lost. If it
    /// arrives after all it is late, and still counts as lost. `None`: lost if it has not arrived at the end.
    pub deadline_us: Option<u64>,
    /// How many messages are remembered one by one, the newest ones. Older ones
    /// are known by runs of numbers; a delivery that those cannot judge is an overflow. `room_total_order` compares
    /// what a receiver hears with all it heard, but messages with each other only while remembered.
    pub messages_max: usize,
    /// How many bytes the receiver sets of remembered messages may take, in rooms of more than 64.
    pub receivers_bytes_max: usize,
    /// How many messages older than that may still miss a receiver; more is an overflow.
    pub incomplete_max: usize,
    /// How many violations per guarantee are told in full; all are counted.
    pub stories_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            judged: Guarantees::ALL,
            order: OrderBy::Seq,
            sender_hears: false,
            silence_is_loss: true,
            witnessed: false,
            deadline_us: None,
            messages_max: 16 * 1024,
            receivers_bytes_max: 4 * 1024 * 1024,
            incomplete_max: 8 * 1024,
            stories_max: 20,
        }
    }
}
