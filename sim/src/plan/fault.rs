//! What can go wrong in a plan.

use serde::{Deserialize, Serialize};

use super::{Latency, PlanError, check_latency};

/// Something that goes wrong for a while: from `from_ms`, no longer at `until_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins.
    pub from_ms: u64,
    /// When it is over.
    pub until_ms: u64,
    /// What goes wrong.
    pub kind: FaultKind,
}

impl Fault {
    /// Whether it touches a client, by its link or its process, or the server.
    pub(crate) fn concerns(&self, client: u32) -> bool {
        let clients = self.kind.clients();
        clients.is_empty() || clients.contains(&client)
    }

    /// Until when it is felt: what was sent over a slow link just before its end holds up
    /// what follows.
    pub(crate) fn ends_ms(&self) -> u64 {
        let lingers_ms =
            if let FaultKind::Slow { latency, .. } = self.kind { latency.max_ms } else { 0 };
        self.until_ms + lingers_ms
    }
}

/// What can go wrong. `clients` says whose links to the server are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FaultKind {
    /// Packets queue for a narrow link, and are lost when the queue is long.
    Bandwidth {
        /// The clients concerned.
        clients: Vec<u32>,
        /// What gets through in each direction.
        bytes_per_ms: u32,
    },
    /// Something in the middle cancels the polls that wait, at the beginning alone, and asks
    /// again at once over other connections.
    CancelPolls {
        /// The clients concerned.
        clients: Vec<u32>,
    },
    /// Some packets arrive twice.
    Duplicate {
        /// The clients concerned.
        clients: Vec<u32>,
        /// How many of a hundred.
        percent: u8,
    },
    /// The processes of clients do not run; what arrives waits for them.
    Freeze {
        /// The clients concerned.
        clients: Vec<u32>,
    },
    /// The server's process does not run; what arrives waits for it.
    FreezeServer,
    /// The server's process is killed and starts again at the end. Its kernel
    /// closes its sockets, so clients hear of it.
    Kill,
    /// Some packets are lost.
    Loss {
        /// The clients concerned.
        clients: Vec<u32>,
        /// How many of a hundred.
        percent: u8,
    },
    /// What is sent in one direction, or in both, is lost; so is what is under way.
    Partition {
        /// The clients cut off.
        clients: Vec<u32>,
        /// Which way nothing gets through.
        direction: Direction,
    },
    /// The server's machine loses power and starts again at the end; nobody is told.
    PowerLoss,
    /// Some packets are overtaken by later ones.
    Reorder {
        /// The clients concerned.
        clients: Vec<u32>,
        /// How many of a hundred.
        percent: u8,
    },
    /// Something in the middle resets all connections, at the beginning alone: both ends of
    /// each are told.
    Reset {
        /// The clients concerned.
        clients: Vec<u32>,
    },
    /// Other latencies than the network's.
    Slow {
        /// The clients concerned.
        clients: Vec<u32>,
        /// The latency meanwhile.
        latency: Latency,
    },
    /// Clients read only so much of what has arrived.
    SlowReader {
        /// The clients concerned.
        clients: Vec<u32>,
        /// What each reads of each of its connections.
        bytes_per_ms: u32,
    },
    /// Links keep everything to themselves and hand it over at the end.
    Stall {
        /// The clients concerned.
        clients: Vec<u32>,
    },
}

impl FaultKind {
    /// Which clients, or their links, are concerned; of a fault of the server, nobody's in particular.
    pub fn clients(&self) -> &[u32] {
        match self {
            Self::FreezeServer | Self::Kill | Self::PowerLoss => &[],
            Self::Bandwidth { clients, .. }
            | Self::CancelPolls { clients }
            | Self::Duplicate { clients, .. }
            | Self::Freeze { clients }
            | Self::Loss { clients, .. }
            | Self::Partition { clients, .. }
            | Self::Reorder { clients, .. }
            | Self::Reset { clients }
            | Self::Slow { clients, .. }
            | Self::SlowReader { clients, .. }
            | Self::Stall { clients } => clients,
        }
    }

    /// The clients to edit, if the fault concerns some.
    pub fn clients_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::FreezeServer | Self::Kill | Self::PowerLoss => None,
            Self::Bandwidth { clients, .. }
            | Self::CancelPolls { clients }
            | Self::Duplicate { clients, .. }
            | Self::Freeze { clients }
            | Self::Loss { clients, .. }
            | Self::Partition { clients, .. }
            | Self::Reorder { clients, .. }
            | Self::Reset { clients }
            | Self::Slow { clients, .. }
            | Self::SlowReader { clients, .. }
            | Self::Stall { clients } => Some(clients),
        }
    }

    /// Whether it strikes packets, which not every substrate has.
    pub fn needs_packets(&self) -> bool {
        match self {
            Self::Bandwidth { .. }
            | Self::Duplicate { .. }
            | Self::Loss { .. }
            | Self::Reorder { .. }
            | Self::Reset { .. } => true,
            Self::CancelPolls { .. }
            | Self::Freeze { .. }
            | Self::FreezeServer
            | Self::Kill
            | Self::Partition { .. }
            | Self::PowerLoss
            | Self::Slow { .. }
            | Self::SlowReader { .. }
            | Self::Stall { .. } => false,
        }
    }

    /// Checks that its figures make sense.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let refuse = |what: &str| Err(PlanError::Contradiction(what.to_owned()));
        match self {
            Self::Bandwidth { bytes_per_ms: 0, .. } => refuse("a link that carries nothing"),
            Self::SlowReader { bytes_per_ms: 0, .. } => refuse("a client that reads nothing"),
            Self::Duplicate { percent, .. }
            | Self::Loss { percent, .. }
            | Self::Reorder { percent, .. }
                if *percent > 100 =>
            {
                refuse("more than all packets")
            }
            Self::Slow { latency, .. } => check_latency(*latency),
            Self::Bandwidth { .. }
            | Self::CancelPolls { .. }
            | Self::Duplicate { .. }
            | Self::Freeze { .. }
            | Self::FreezeServer
            | Self::Kill
            | Self::Loss { .. }
            | Self::Partition { .. }
            | Self::PowerLoss
            | Self::Reorder { .. }
            | Self::Reset { .. }
            | Self::SlowReader { .. }
            | Self::Stall { .. } => Ok(()),
        }
    }
}

/// Which way a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    Both,
    /// Only what the server sends is lost.
    ToClient,
    /// Only what the clients send is lost.
    ToServer,
}
