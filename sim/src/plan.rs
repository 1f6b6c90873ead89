//! A plan: everything that will happen in one simulated run, as data.
//!
//! Nothing is drawn from a random source while a world runs: who does what and
//! when, which links fail and for how long, how the engine is configured, and
//! the two seeds that turmoil and the engine ask for, all lie in the plan. So a
//! plan can be stored, read, edited by hand, replayed after the generator has
//! changed (seeds rot, plans do not), and shrunk as data.
//!
//! A plan is JSON on disk; [`Plan::decode`] and [`Plan::encode`] are the only
//! way in and out, and a decoded plan has been checked.

mod bounds;
mod fault;
mod half_open;
mod json;
mod namespace;
mod outbound;
mod party;
mod say;

pub(crate) use bounds::{CLOSE_MS, LATE_MS_MAX, LOOK_MS, PROBE_MS, QUEUE_MS_MAX, RESEND_MS};
pub use fault::{Direction, Fault, FaultKind};
pub use half_open::HalfOpen;
pub use namespace::Namespace;
pub use outbound::{Outbound, Policy};
pub use say::Say;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The version of the format that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Most clients in one plan; turmoil panics when a listener's backlog (1024) is full.
pub const CLIENTS_MAX: usize = 512;

/// Longest activity of a plan: one simulated hour.
pub const DURATION_MAX_MS: u64 = 3_600_000;

/// A socket holds at least one packet.
const SOCKET_BUFFER_BYTES_MIN: u32 = 1_500;

/// Everything that will happen in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this format.
    pub version: u32,
    /// Whose handlers the server has; the built-in chat's if it is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The seed this plan was made from, if any; only told to people.
    pub origin: Option<u64>,
    /// How long clients act and faults strike; then the network heals and the quiet phase begins.
    pub duration_ms: u64,
    /// Whether the quiet phases end as soon as they have come to their ends; else each lasts
    /// as long as is promised at most.
    #[serde(default)]
    pub hurried: bool,
    /// The simulated network.
    pub network: Network,
    /// The engine's configuration.
    pub server: Server,
    /// How clients reconnect.
    pub reconnect: Reconnect,
    /// The names of the rooms; operations refer to them by index.
    pub rooms: Vec<String>,
    /// Who takes part.
    pub clients: Vec<Client>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// The simulated network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Seeds turmoil: the latency of each message, and tokio's own randomness.
    pub seed: u64,
    /// How far simulated time goes in one step.
    pub tick_ms: u64,
    /// The latency of every link.
    pub latency: Latency,
    /// Whether hosts take their turns in a shuffled order.
    pub shuffle_hosts: bool,
    /// What streams take and give at a time.
    pub stream: StreamShape,
    /// What carries the bytes.
    #[serde(default)]
    pub substrate: Substrate,
    /// What a socket of a kernel holds, in each direction; only for packets.
    #[serde(default = "usual_socket_buffer")]
    pub socket_buffer_bytes: u32,
}

impl Network {
    /// What a socket holds that is never in the way.
    pub const SOCKET_BUFFER_BYTES: u32 = 65_536;
}

/// Plans of the time before this could be chosen have this.
fn usual_socket_buffer() -> u32 {
    Network::SOCKET_BUFFER_BYTES
}

/// What carries the bytes of a simulated network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Substrate {
    /// turmoil-net: TCP in packets, which are sent again when they were lost.
    Packets,
    /// turmoil: streams of whole writes; what a partition swallows never comes.
    #[default]
    Turmoil,
}

/// What a stream takes and gives at a time, at both of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamShape {
    /// The most that one read returns.
    pub read_bytes_max: u32,
    /// What the send buffer holds; a write that finds it full waits.
    pub buffer_bytes: u32,
    /// How fast the send buffer drains.
    pub bytes_per_ms: u32,
}

impl StreamShape {
    /// A stream that is never in the way.
    pub const WIDE: Self =
        Self { read_bytes_max: 1 << 20, buffer_bytes: 1 << 30, bytes_per_ms: 1 << 30 };

    /// What goes through in one millisecond at least.
    fn least_bytes(self) -> u64 {
        u64::from(self.buffer_bytes.min(self.bytes_per_ms))
    }
}

/// The bounds of a link's latency, one way; what lies between is exponentially distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The least, in milliseconds.
    pub min_ms: u64,
    /// The most, in milliseconds.
    pub max_ms: u64,
}

/// The engine's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Seeds session ids.
    pub seed: u64,
    /// Engine.IO `pingInterval`.
    pub ping_interval_ms: u64,
    /// Engine.IO `pingTimeout`.
    pub ping_timeout_ms: u64,
    /// Socket.IO `connectTimeout`: from the handshake to the first CONNECT.
    pub connect_timeout_ms: u64,
    /// How many shards the connections are dealt to.
    #[serde(default = "one_shard")]
    pub shards: u8,
    /// The longest that a message between two shards is held back.
    #[serde(default)]
    pub exchange_delay_max_ms: u64,
    /// How long after its disconnect a session can be recovered; 0 if none can.
    #[serde(default)]
    pub recovery_window_ms: u64,
    /// How many broadcasts are kept for that; 0 for as many as the engine keeps by itself.
    #[serde(default)]
    pub recovery_packets_max: u32,
    /// What may wait for a client that does not read, if that is less than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    /// How many events of a connection may wait for handlers; 0 for as many as usual.
    #[serde(default)]
    pub events_waiting_max: u32,
    /// How long the handler of an echo goes on after its answer.
    #[serde(default)]
    pub echo_ms: u64,
}

/// Plans of the time before there were shards have one.
fn one_shard() -> u8 {
    1
}

/// How clients come back after their connection has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconnect {
    /// How long one attempt may take, from dialling to the answer to CONNECT.
    pub connect_timeout_ms: u64,
    /// The first pause before an attempt.
    pub delay_min_ms: u64,
    /// No pause is longer, jitter included.
    pub delay_max_ms: u64,
}

/// One client and all it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Names the client in faults and histories; kept when others are removed.
    pub id: u32,
    /// The namespace that it is in.
    #[serde(default)]
    pub namespace: Namespace,
    /// Whose connection it shares, in a namespace of its own; it has one by itself if it is
    /// nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<u32>,
    /// When it first connects.
    pub start_ms: u64,
    /// Whether it joins the rooms it wants again after a reconnect.
    pub rejoins: bool,
    /// Whether it asks for its session back then.
    #[serde(default)]
    pub recovers: bool,
    /// How its packets travel.
    #[serde(default)]
    pub transport: Transport,
    /// How its upgrades stay half open, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_open: Option<HalfOpen>,
    /// What it does, in the order of time.
    pub operations: Vec<Operation>,
    /// What it says first over every new connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opening: Vec<Say>,
    /// What it says in the quiet phase, once everybody is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe: Vec<Say>,
}

/// How a client's packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// In HTTP requests.
    Polling,
    /// In HTTP requests, until a WebSocket has taken over.
    Upgrade,
    /// Over a WebSocket: the one that plans have from the time when there was no other.
    #[default]
    #[serde(rename = "websocket")]
    WebSocket,
}

/// Something a client does at one moment. Without a connection it is skipped,
/// except that the wish to be connected is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The moment, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// What is done.
    pub act: Act,
}

/// What a client can do. Rooms are indices into [`Plan::rooms`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Act {
    /// Emits an event of an application's own.
    Call(Say),
    /// Leaves politely and stays away until it reconnects.
    Disconnect,
    /// Drops the connection without a word, then comes back by itself.
    Drop,
    /// Asks for a numbered echo.
    Echo,
    /// Joins a room.
    Join {
        /// The room.
        room: usize,
    },
    /// Leaves a room.
    Leave {
        /// The room.
        room: usize,
    },
    /// Sends a message to a room.
    Message {
        /// The room.
        room: usize,
        /// Whether the server is asked to acknowledge it.
        ack: bool,
        /// Bytes of filling in the body.
        bytes: u32,
        /// Binary attachments, each of the same filling.
        attachments: u8,
    },
    /// Wants to be connected again, after a disconnect.
    Reconnect,
    /// Leaves one room and joins another in one step.
    Switch {
        /// The room left.
        from: usize,
        /// The room joined.
        to: usize,
    },
    /// Tells a room that it is typing: a volatile event.
    Typing {
        /// The room.
        room: usize,
    },
    /// Watches a room no longer.
    Unwatch {
        /// The room.
        room: usize,
    },
    /// Is gone without a sign that a network could carry, then comes back by itself: the
    /// connection stays open, and nobody is at its other end any more.
    Vanish,
    /// Asks who is in a room, and to be told of changes.
    Watch {
        /// The room.
        room: usize,
    },
}

impl Act {
    /// The rooms the act names.
    pub fn rooms(&self) -> impl Iterator<Item = usize> {
        let rooms = match *self {
            Self::Call(_)
            | Self::Disconnect
            | Self::Drop
            | Self::Echo
            | Self::Reconnect
            | Self::Vanish => [None, None],
            Self::Join { room }
            | Self::Leave { room }
            | Self::Message { room, .. }
            | Self::Typing { room }
            | Self::Unwatch { room }
            | Self::Watch { room } => [Some(room), None],
            Self::Switch { from, to } => [Some(from), Some(to)],
        };
        rooms.into_iter().flatten()
    }

    /// The same act on the rooms that `rename` says.
    #[must_use]
    pub fn with_rooms(self, rename: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Call(_)
            | Self::Disconnect
            | Self::Drop
            | Self::Echo
            | Self::Reconnect
            | Self::Vanish => self,
            Self::Join { room } => Self::Join { room: rename(room) },
            Self::Leave { room } => Self::Leave { room: rename(room) },
            Self::Message { room, ack, bytes, attachments } => {
                Self::Message { room: rename(room), ack, bytes, attachments }
            }
            Self::Switch { from, to } => Self::Switch { from: rename(from), to: rename(to) },
            Self::Typing { room } => Self::Typing { room: rename(room) },
            Self::Unwatch { room } => Self::Unwatch { room: rename(room) },
            Self::Watch { room } => Self::Watch { room: rename(room) },
        }
    }
}

/// Why a text is not a plan that can be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The text is not JSON of this shape.
    #[error("not a plan: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version of the format.
    #[error("plan has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// The parts do not fit together.
    #[error("plan cannot be run: {0}")]
    Contradiction(String),
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if the text is no plan, of another version, or cannot be run.
    pub fn decode(json: &str) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(json)?;
        if head.version != VERSION {
            return Err(PlanError::Version(head.version));
        }
        let plan: Self = serde_json::from_str(json)?;
        plan.check()?;
        Ok(plan)
    }

    /// The plan as JSON for people: one operation or fault a line.
    pub fn encode(&self) -> String {
        let mut json = String::new();
        let value = serde_json::to_value(self).expect("a plan has only strings as keys");
        json::lay_out(&value, 0, &mut json);
        json.push('\n');
        json
    }

    /// Checks that the plan can be run.
    ///
    /// # Errors
    ///
    /// [`PlanError::Contradiction`] says what does not fit together.
    pub fn check(&self) -> Result<(), PlanError> {
        let refuse = |what: String| Err(PlanError::Contradiction(what));
        if self.clients.len() > CLIENTS_MAX {
            return refuse(format!("{} clients, at most {CLIENTS_MAX}", self.clients.len()));
        }
        let ids: BTreeSet<u32> = self.clients.iter().map(|client| client.id).collect();
        if ids.len() != self.clients.len() {
            return refuse("two clients have the same id".to_owned());
        }
        if self.network.tick_ms == 0 || self.duration_ms > DURATION_MAX_MS {
            return refuse(format!("tick 0 or longer than {DURATION_MAX_MS} ms"));
        }
        let StreamShape { read_bytes_max, buffer_bytes, bytes_per_ms } = self.network.stream;
        if [read_bytes_max, buffer_bytes, bytes_per_ms].contains(&0) {
            return refuse("a stream that carries nothing".to_owned());
        }
        if self.network.socket_buffer_bytes < SOCKET_BUFFER_BYTES_MIN {
            return refuse(format!(
                "a socket that holds less than {SOCKET_BUFFER_BYTES_MIN} bytes"
            ));
        }
        if self.server.ping_interval_ms == 0 || self.server.ping_timeout_ms == 0 {
            return refuse("a heartbeat of 0 ms".to_owned());
        }
        if self.server.shards == 0 || self.server.exchange_delay_max_ms > DURATION_MAX_MS {
            return refuse("no shard, or a delay between shards that is too long".to_owned());
        }
        if self.reconnect.delay_min_ms == 0
            || self.reconnect.delay_min_ms > self.reconnect.delay_max_ms
        {
            return refuse("reconnect delays must be above 0 and in order".to_owned());
        }
        if self.server.recovery_window_ms.max(self.server.echo_ms) > DURATION_MAX_MS {
            return refuse("a recovery window or a handler that is too long".to_owned());
        }
        if self.server.outbound.is_some_and(Outbound::is_empty) {
            return refuse("a server that may keep nothing for who is slow".to_owned());
        }
        self.check_clients()?;
        for fault in &self.faults {
            if fault.from_ms >= fault.until_ms || fault.until_ms > self.duration_ms {
                return refuse(format!("a fault from {} to {} ms", fault.from_ms, fault.until_ms));
            }
            if fault.kind.needs_packets() && self.network.substrate != Substrate::Packets {
                return refuse("a fault of packets on a substrate without any".to_owned());
            }
            fault.kind.check()?;
        }
        check_latency(self.network.latency)
    }

    fn check_clients(&self) -> Result<(), PlanError> {
        for client in &self.clients {
            let refuse =
                |what: &str| Err(PlanError::Contradiction(format!("client {}: {what}", client.id)));
            if let Some(wrong) = self.wrong_sharing(client) {
                return refuse(wrong);
            }
            if !client.operations.is_sorted_by_key(|operation| operation.at_ms) {
                return refuse("operations are not in the order of time");
            }
            if client.operations.iter().any(|operation| operation.at_ms > self.duration_ms) {
                return refuse("an operation after the end");
            }
            let mut rooms = client.operations.iter().flat_map(|operation| operation.act.rooms());
            if rooms.any(|room| room >= self.rooms.len()) {
                return refuse("a room without a name");
            }
        }
        Ok(())
    }

    /// Leaves one room, for all acts.
    pub(crate) fn meet_in_one_room(&mut self) {
        self.rooms.truncate(1);
        for operation in self.clients.iter_mut().flat_map(|client| &mut client.operations) {
            operation.act = operation.act.clone().with_rooms(|_| 0);
        }
    }

    /// How many operations all clients have.
    pub fn operation_count(&self) -> usize {
        self.clients.iter().map(|client| client.operations.len()).sum()
    }

    /// One line on how big the plan is.
    pub fn size(&self) -> String {
        format!(
            "{} clients, {} operations, {} faults, {} ms",
            self.clients.len(),
            self.operation_count(),
            self.faults.len(),
            self.duration_ms
        )
    }
}

fn check_latency(latency: Latency) -> Result<(), PlanError> {
    if latency.min_ms > latency.max_ms || latency.max_ms > DURATION_MAX_MS {
        let what = format!("latency from {} to {} ms", latency.min_ms, latency.max_ms);
        return Err(PlanError::Contradiction(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Profile, generate};

    #[test]
    fn every_generated_plan_survives_the_disk() {
        for seed in 0..50 {
            let plan = generate(seed, &Profile::default());
            let decoded = Plan::decode(&plan.encode()).expect("a generated plan can be run");
            assert_eq!(decoded, plan, "seed {seed}");
        }
    }

    #[test]
    fn an_encoded_plan_has_one_operation_a_line() {
        let plan = generate(1, &Profile::default());
        let json = plan.encode();
        let lines = json.lines().filter(|line| line.contains("\"at_ms\"")).count();
        assert_eq!(lines, plan.operation_count(), "{json}");
    }

    #[test]
    fn contradictions_are_refused() {
        type Edit = fn(&mut Plan);
        let edits: [(&str, Edit); 13] = [
            ("without any", |plan| {
                plan.network.substrate = Substrate::Turmoil;
                let kind = FaultKind::Reset { clients: vec![0] };
                plan.faults = vec![Fault { from_ms: 0, until_ms: 1, kind }];
            }),
            ("more than all", |plan| {
                plan.network.substrate = Substrate::Packets;
                let kind = FaultKind::Loss { clients: vec![0], percent: 101 };
                plan.faults = vec![Fault { from_ms: 0, until_ms: 1, kind }];
            }),
            ("a socket", |plan| plan.network.socket_buffer_bytes = SOCKET_BUFFER_BYTES_MIN - 1),
            ("same id", |plan| plan.clients[1].id = plan.clients[0].id),
            ("tick 0", |plan| plan.network.tick_ms = 0),
            ("heartbeat", |plan| plan.server.ping_timeout_ms = 0),
            ("latency", |plan| plan.network.latency.min_ms = plan.network.latency.max_ms + 1),
            ("carries nothing", |plan| plan.network.stream.bytes_per_ms = 0),
            ("reconnect", |plan| plan.reconnect.delay_min_ms = 0),
            ("order of time", |plan| {
                plan.clients[0].operations[0].at_ms = plan.duration_ms;
            }),
            ("after the end", |plan| {
                let last = plan.clients[0].operations.last_mut().expect("has operations");
                last.at_ms = plan.duration_ms + 1;
            }),
            ("without a name", |plan| {
                plan.clients[0].operations[0].act = Act::Join { room: plan.rooms.len() };
            }),
            ("a fault", |plan| {
                let until_ms = plan.duration_ms + 1;
                plan.faults.push(Fault { from_ms: 0, until_ms, kind: FaultKind::Kill });
            }),
        ];
        for (name, edit) in edits {
            let mut plan = generate(3, &Profile::default());
            edit(&mut plan);
            let error = Plan::decode(&plan.encode()).expect_err(name).to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn another_version_and_unknown_fields_are_refused() {
        let plan = generate(0, &Profile::default());
        let newer = plan.encode().replacen("\"version\": 1", "\"version\": 2", 1);
        assert!(matches!(Plan::decode(&newer), Err(PlanError::Version(2))), "{newer}");
        let odd = plan.encode().replacen("\"version\"", "\"moon\": 3,\n\"version\"", 1);
        assert!(matches!(Plan::decode(&odd), Err(PlanError::Json(_))));
    }
}
