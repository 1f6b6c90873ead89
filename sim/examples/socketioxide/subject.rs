//! What is asked of the server: the chat's plans without what only parlor has, with one
//! class of faults or with all, and judged from the clients' side alone.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread;

use sim::application::Subject;
use sim::coverage::Situation;
use sim::foreign::{Program, without_what_needs_parlor};
use sim::history::History;
use sim::judge::{Failure, Judgement, judge_clients};
use sim::plan::{Act, FaultKind, Plan, Substrate};
use sim::promise::PROTOCOL_LEGAL;
use sim::swarm::{Profile, generate};

use crate::server;

/// What goes wrong in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultClass {
    /// All that the swarm draws.
    All,
    /// Nothing; clients leave and return politely.
    Calm,
    /// The server is killed, or loses power.
    Crashes,
    /// Clients drop their connections or vanish; on packets, connections are also reset.
    Drops,
    /// Packets are lost, doubled or overtaken, and links are narrow.
    Loss,
    /// Links are slow, or hold everything back for a while.
    Latency,
    /// What is sent is lost, in one direction or in both.
    Partitions,
    /// Clients' processes stand still, or read slowly.
    Stalls,
}

impl FaultClass {
    pub(crate) const ALL: [(&str, Self); 8] = [
        ("all", Self::All),
        ("calm", Self::Calm),
        ("crashes", Self::Crashes),
        ("drops", Self::Drops),
        ("latency", Self::Latency),
        ("loss", Self::Loss),
        ("partitions", Self::Partitions),
        ("stalls", Self::Stalls),
    ];

    /// The class of that name; without one, all faults.
    pub(crate) fn named(name: Option<&str>) -> Option<Self> {
        let wanted = name.unwrap_or("all");
        Self::ALL.into_iter().find(|(name, _)| *name == wanted).map(|(_, class)| class)
    }

    fn has(self, fault: &FaultKind) -> bool {
        let class = match fault {
            FaultKind::Kill | FaultKind::PowerLoss => Self::Crashes,
            FaultKind::CancelPolls { .. } | FaultKind::Reset { .. } => Self::Drops,
            FaultKind::Slow { .. } | FaultKind::Stall { .. } => Self::Latency,
            FaultKind::Bandwidth { .. }
            | FaultKind::Duplicate { .. }
            | FaultKind::Loss { .. }
            | FaultKind::Reorder { .. } => Self::Loss,
            FaultKind::Partition { .. } => Self::Partitions,
            FaultKind::Freeze { .. } | FaultKind::FreezeServer | FaultKind::SlowReader { .. } => {
                Self::Stalls
            }
        };
        self == Self::All || self == class
    }

    /// Leaves only what belongs to the class; none if nothing of it is there.
    fn part_of(self, mut plan: Plan) -> Option<Plan> {
        plan.faults.retain(|fault| self.has(&fault.kind));
        let is_drop = |act: &Act| matches!(act, Act::Drop | Act::Vanish);
        let mut drops = 0;
        for client in &mut plan.clients {
            if !matches!(self, Self::All | Self::Drops) {
                client.operations.retain(|operation| !is_drop(&operation.act));
            }
            drops += client.operations.iter().filter(|operation| is_drop(&operation.act)).count();
        }
        let is_struck = match self {
            Self::All | Self::Calm => true,
            Self::Drops => drops > 0 || !plan.faults.is_empty(),
            Self::Crashes | Self::Latency | Self::Loss | Self::Partitions | Self::Stalls => {
                !plan.faults.is_empty()
            }
        };
        is_struck.then_some(plan)
    }
}

/// A socketioxide server with parlor's chat on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socketioxide {
    pub(crate) faults: FaultClass,
    /// Whether its handlers wait first, as for a database.
    pub(crate) waits: bool,
    /// Whether it has no randomness of its own.
    pub(crate) is_exact: bool,
}

impl Socketioxide {
    pub(crate) fn new(faults: FaultClass, waits: bool) -> Self {
        Self { faults, waits, is_exact: is_randomness_replaced() }
    }
}

/// Whether the system's randomness is none: its hash maps and ids follow from that.
fn is_randomness_replaced() -> bool {
    let draw = || thread::spawn(|| RandomState::new().hash_one(0)).join().ok();
    draw() == draw()
}

impl Subject for Socketioxide {
    /// It speaks the chat, and plays the chat's plans: so does parlor with the same ones.
    fn application(&self) -> Option<&str> {
        None
    }

    fn command(&self) -> String {
        "cargo run --release -p sim --example socketioxide --".to_owned()
    }

    /// A close under faults is no breach: the server gave a client up that it did not
    /// hear, or no longer knows who asks, and says so late.
    fn judge(&self, plan: &Plan, history: &History) -> Judgement {
        let mut judgement = judge_clients(history);
        if !plan.faults.is_empty() {
            let is_close = |failure: &Failure| {
                failure.guarantee == PROTOCOL_LEGAL && is_close(&failure.sentence)
            };
            judgement.failures.retain(|failure| !is_close(failure));
        }
        judgement
    }

    /// The first plan of the seed's that has faults of the class.
    fn plan(&self, seed: u64, profile: &Profile) -> Plan {
        let mut profile = Profile { all_of_the_chat: false, ..profile.clone() };
        if self.faults == FaultClass::Loss {
            profile.substrate = Some(Substrate::Packets);
        }
        let plans = (0_u64..).map(|turn| generate(seed ^ turn << 40, &profile));
        let plan = plans.map(without_what_needs_parlor).find_map(|it| self.faults.part_of(it));
        let plan = plan.expect("a few plans later there is one");
        Plan { origin: Some(seed), ..plan }
    }

    fn program(&self) -> Program {
        let waits = self.waits;
        Program::Foreign(Arc::new(move |start| server::start(start, waits)))
    }

    fn replays_exactly(&self) -> bool {
        self.is_exact
    }

    fn situations(&self) -> &'static [Situation] {
        &[]
    }
}

/// Whether a client complains of no more than that its connection was closed, or that the
/// server did not know its session.
fn is_close(complaint: &str) -> bool {
    ["closed by the server", "polling: "].iter().any(|words| complaint.contains(words))
}
