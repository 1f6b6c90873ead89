//! "Sometimes" coverage: situations that a fleet must reach, or it has proved less
//! than it seems to.
//!
//! A guarantee that is never broken may also never have been tried. Each
//! [`Situation`] is one in which chat servers go wrong; [`of`] counts how often a run
//! was in it, from its plan and its history alone. A fleet adds these up, and fails
//! if it never reached one.
//!
//! A new situation is a variant, its row in [`Situation::text`], and the place in the
//! reader where it is counted. What a history cannot tell is not here: which shard a
//! connection is on, for one.

mod namespaces;
mod outbound;
mod reader;
mod recovery;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::plan::{Plan, Substrate};
use crate::swarm::Profile;

/// A fleet of fewer runs than this may miss a rare situation by chance.
pub const RUNS_MIN: u64 = 1_000;

/// Something that should happen sometimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`text` says what each one is")]
pub enum Situation {
    BacklogFull,
    BacklogSizedMessage,
    BinaryDelivered,
    ClientsSwap,
    EmptyRoomRevived,
    EventsDropped,
    HeardAfterHalfOpenUpgrade,
    HeardLate,
    JoinAndMessageInOneStep,
    JoinUnackedAtCrash,
    KillWithUnacked,
    LostPacketSentAgain,
    MessageInFlightAtDisconnect,
    MessageInFlightDuringLeave,
    NamespaceLeft,
    NamespacesComeBack,
    PingDuringUpgrade,
    PollCancelled,
    PollCancelledWithMessages,
    PowerLossWithUnacked,
    ReconnectUnderFaults,
    Recovered,
    RecoveryOverflow,
    RecoveryTooLate,
    RefusedCall,
    RejoinAfterReconnect,
    ReplayAmidTraffic,
    ResetUnderTraffic,
    RestartedAgain,
    RoomOfOne,
    ServerGivesUpAClient,
    SessionTakenOver,
    SlowReaderClosed,
    SlowReaderHears,
    SpeakerSwitches,
    SwitchBetweenSpeakers,
    TwinRoomsSpeak,
    UpgradeUnderTraffic,
    VolatileHeard,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 39] = [
        Self::BacklogFull,
        Self::BacklogSizedMessage,
        Self::BinaryDelivered,
        Self::ClientsSwap,
        Self::EmptyRoomRevived,
        Self::EventsDropped,
        Self::HeardAfterHalfOpenUpgrade,
        Self::HeardLate,
        Self::JoinAndMessageInOneStep,
        Self::JoinUnackedAtCrash,
        Self::KillWithUnacked,
        Self::LostPacketSentAgain,
        Self::MessageInFlightAtDisconnect,
        Self::MessageInFlightDuringLeave,
        Self::NamespaceLeft,
        Self::NamespacesComeBack,
        Self::PingDuringUpgrade,
        Self::PollCancelled,
        Self::PollCancelledWithMessages,
        Self::PowerLossWithUnacked,
        Self::ReconnectUnderFaults,
        Self::Recovered,
        Self::RecoveryOverflow,
        Self::RecoveryTooLate,
        Self::RefusedCall,
        Self::RejoinAfterReconnect,
        Self::ReplayAmidTraffic,
        Self::ResetUnderTraffic,
        Self::RestartedAgain,
        Self::RoomOfOne,
        Self::ServerGivesUpAClient,
        Self::SessionTakenOver,
        Self::SlowReaderClosed,
        Self::SlowReaderHears,
        Self::SpeakerSwitches,
        Self::SwitchBetweenSpeakers,
        Self::TwinRoomsSpeak,
        Self::UpgradeUnderTraffic,
        Self::VolatileHeard,
    ];

    /// What happens in it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BacklogFull => "as many packets wait for a client as may",
            Self::BacklogSizedMessage => "a message longer than a stream's buffer is delivered",
            Self::BinaryDelivered => "a message with attachments is delivered",
            Self::ClientsSwap => "two clients change places between two rooms at once",
            Self::EmptyRoomRevived => "a room that all have left is joined again",
            Self::EventsDropped => "events are dropped for a client that does not read",
            Self::HeardAfterHalfOpenUpgrade => {
                "a client hears a message over polling after an upgrade that came to nothing"
            }
            Self::HeardLate => "a call waits for longer than a client may be silent",
            Self::JoinAndMessageInOneStep => "a join and a message to its room in one step",
            Self::JoinUnackedAtCrash => "the server goes down with a join unanswered",
            Self::KillWithUnacked => "the server is killed with a message on its way to it",
            Self::LostPacketSentAgain => "a packet is lost, and packets are sent again",
            Self::MessageInFlightAtDisconnect => {
                "a connection ends with a message on its way to it"
            }
            Self::MessageInFlightDuringLeave => "a message arrives between a leave and its ack",
            Self::NamespaceLeft => "a client leaves a namespace, and its connection goes on",
            Self::NamespacesComeBack => "a connection with two namespaces comes back with both",
            Self::PingDuringUpgrade => "a ping while a client goes over to a WebSocket",
            Self::PollCancelled => "a poll is cancelled while it waits, and asked again",
            Self::PollCancelledWithMessages => {
                "a poll is cancelled with messages in the answer, which are lost"
            }
            Self::PowerLossWithUnacked => "power is lost with a message on its way to the server",
            Self::ReconnectUnderFaults => "a client comes back while something is still wrong",
            Self::Recovered => "a client comes back as who it was",
            Self::RecoveryOverflow => {
                "a client comes back in time, and too much was said for its session"
            }
            Self::RecoveryTooLate => "a client comes back too late for its session",
            Self::RefusedCall => "the server refuses a call",
            Self::RejoinAfterReconnect => "a client joins a room again over a new connection",
            Self::ReplayAmidTraffic => {
                "a message to who has not yet heard all that it missed while it was away"
            }
            Self::ResetUnderTraffic => "connections are reset with messages on their way",
            Self::RestartedAgain => "the server starts for the third time or more",
            Self::RoomOfOne => "a message to a room with no member but its sender",
            Self::ServerGivesUpAClient => {
                "the server ends a connection that its client holds alive"
            }
            Self::SessionTakenOver => {
                "a client comes back while the server holds its old connection alive"
            }
            Self::SlowReaderClosed => "a client is closed because too much waits for it",
            Self::SlowReaderHears => "a client that reads slowly hears a message",
            Self::SpeakerSwitches => "a client switches rooms with its own message on its way",
            Self::SwitchBetweenSpeakers => "a switch, while others speak in both of its rooms",
            Self::TwinRoomsSpeak => "messages to rooms of one name in two namespaces at once",
            Self::UpgradeUnderTraffic => "an upgrade with messages on their way to the client",
            Self::VolatileHeard => "a volatile event is heard",
        }
    }

    /// Whether it takes a fault to get there.
    pub const fn needs_faults(self) -> bool {
        match self {
            Self::JoinUnackedAtCrash
            | Self::KillWithUnacked
            | Self::LostPacketSentAgain
            | Self::PollCancelled
            | Self::PollCancelledWithMessages
            | Self::PowerLossWithUnacked
            | Self::ReconnectUnderFaults
            | Self::ResetUnderTraffic
            | Self::RestartedAgain
            | Self::ServerGivesUpAClient
            | Self::SlowReaderHears => true,
            Self::BacklogFull
            | Self::BacklogSizedMessage
            | Self::BinaryDelivered
            | Self::ClientsSwap
            | Self::EmptyRoomRevived
            | Self::EventsDropped
            | Self::HeardAfterHalfOpenUpgrade
            | Self::HeardLate
            | Self::JoinAndMessageInOneStep
            | Self::MessageInFlightAtDisconnect
            | Self::MessageInFlightDuringLeave
            | Self::NamespaceLeft
            | Self::NamespacesComeBack
            | Self::PingDuringUpgrade
            | Self::Recovered
            | Self::RecoveryOverflow
            | Self::RecoveryTooLate
            | Self::RefusedCall
            | Self::RejoinAfterReconnect
            | Self::ReplayAmidTraffic
            | Self::RoomOfOne
            | Self::SessionTakenOver
            | Self::SlowReaderClosed
            | Self::SpeakerSwitches
            | Self::SwitchBetweenSpeakers
            | Self::TwinRoomsSpeak
            | Self::UpgradeUnderTraffic
            | Self::VolatileHeard => false,
        }
    }
}

impl Situation {
    /// Whether it takes packets to get there.
    fn needs_packets(self) -> bool {
        matches!(self, Self::LostPacketSentAgain | Self::ResetUnderTraffic)
    }
}

/// How often a run was in each situation.
pub fn of(plan: &Plan, history: &History) -> Times {
    let mut times = reader::of(plan, history);
    recovery::count(plan, history, &mut times);
    namespaces::count(plan, history, &mut times);
    outbound::count(plan, history, &mut times);
    times
}

/// How often one run was in each situation; those it was never in are left out.
pub type Times = BTreeMap<Situation, u64>;

/// How often a situation was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Runs that had it.
    pub runs: u64,
    /// Times in all of them.
    pub times: u64,
}

/// The sum over many runs; every situation is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Coverage(BTreeMap<Situation, Reached>);

impl Default for Coverage {
    fn default() -> Self {
        Self(Situation::ALL.into_iter().map(|it| (it, Reached::default())).collect())
    }
}

impl Coverage {
    /// Adds one run.
    pub fn add(&mut self, times: &Times) {
        for (situation, times) in times {
            let reached = self.0.entry(*situation).or_default();
            reached.runs += 1;
            reached.times += times;
        }
    }

    /// Every situation and how often it was reached.
    pub fn rows(&self) -> impl Iterator<Item = (Situation, Reached)> {
        self.0.iter().map(|(situation, reached)| (*situation, *reached))
    }

    /// What was never reached, of what can be with this profile.
    pub fn missed(&self, profile: &Profile) -> Vec<Situation> {
        let has_packets = profile.substrate != Some(Substrate::Turmoil);
        let can_be = |it: &Situation| {
            (profile.faults || !it.needs_faults()) && (has_packets || !it.needs_packets())
        };
        let missed = self.rows().filter(|(_, reached)| reached.runs == 0);
        missed.map(|(it, _)| it).filter(can_be).collect()
    }
}
