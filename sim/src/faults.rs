//! When which link and the server change, from a plan's fault intervals.
//!
//! Intervals overlap freely in a plan; turmoil's switches do not (a repair
//! forgets held messages, a one-way partition cannot be combined with a hold).
//! So this module computes what *should* be the case from every boundary on,
//! and the world moves each link from one [`LinkState`] to the next.
//!
//! Pure: plan in, steps out.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Direction, Fault, FaultKind, Latency, Plan};

/// What should be the case from one moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The moment.
    pub at_ms: u64,
    /// Whether the server runs.
    pub server: ServerState,
    /// The link of every client to the server.
    pub links: BTreeMap<u32, LinkState>,
    /// Whose processes do not run.
    pub frozen: Frozen,
    /// Which clients read slowly: so many bytes a millisecond.
    pub slow_readers: BTreeMap<u32, u32>,
    /// Whose connections are reset at this moment.
    pub resets: BTreeSet<u32>,
}

/// Whose processes do not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// The clients'.
    pub clients: BTreeSet<u32>,
    /// Whether the server's.
    pub server: bool,
}

/// Whether the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Its machine has no power: its kernel is gone too, and all links are cut.
    Dark,
    /// It was killed; its kernel lives.
    Down,
    /// It runs.
    Up,
}

impl ServerState {
    /// Whether it runs.
    pub fn is_up(self) -> bool {
        self == Self::Up
    }
}

/// What a link does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// How long they take.
    pub latency: Latency,
    /// Whether they get through.
    pub passage: Passage,
    /// What becomes of single packets.
    pub weather: Weather,
}

/// What a link does to single packets, where there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// What gets through in each direction, if that is little.
    pub bytes_per_ms: Option<u32>,
    /// How many of a hundred arrive twice.
    pub duplicate_percent: u8,
    /// How many of a hundred are lost.
    pub loss_percent: u8,
    /// How many of a hundred are overtaken.
    pub reorder_percent: u8,
}

impl Weather {
    fn text(&self) -> String {
        if *self == Self::default() {
            return "packets as usual".to_owned();
        }
        let rates = [
            (self.loss_percent, "lost"),
            (self.duplicate_percent, "twice"),
            (self.reorder_percent, "overtaken"),
        ];
        let rates = rates.iter().filter(|(percent, _)| *percent > 0);
        let mut told: Vec<String> =
            rates.map(|(percent, what)| format!("{percent}% of packets {what}")).collect();
        told.extend(self.bytes_per_ms.map(|bytes| format!("{bytes} bytes/ms")));
        told.join(", ")
    }
}

/// Whether messages get through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They are lost in this direction.
    Cut(Direction),
    /// They are kept, and handed over later.
    Held,
    /// They get through.
    Open,
}

impl Passage {
    /// What people call it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cut(Direction::Both) => "cut",
            Self::Cut(Direction::ToClient) => "cut towards the client",
            Self::Cut(Direction::ToServer) => "cut towards the server",
            Self::Held => "held",
            Self::Open => "open",
        }
    }
}

impl LinkState {
    /// What is new in it, in words, if anything is. At first all links are open.
    pub fn news(&self, before: Option<&Self>) -> Option<String> {
        let mut news = Vec::new();
        if before.is_some_and(|before| before.latency != self.latency) {
            news.push(format!("{} to {} ms", self.latency.min_ms, self.latency.max_ms));
        }
        if before.map_or(Passage::Open, |before| before.passage) != self.passage {
            news.push(self.passage.text().to_owned());
        }
        if before.map_or_else(Weather::default, |before| before.weather) != self.weather {
            news.push(self.weather.text());
        }
        (!news.is_empty()).then(|| news.join(", "))
    }
}

/// What a history says of a link's news.
pub fn told(client: u32, news: &str) -> String {
    format!("link of client {client}: {news}")
}

/// The steps of a plan in the order of time; the first at 0, the last, in which all is
/// well, no later than the end of the plan's activity.
pub fn timeline(plan: &Plan) -> Vec<Step> {
    let boundaries: BTreeSet<u64> = plan
        .faults
        .iter()
        .flat_map(|fault| [fault.from_ms, fault.until_ms])
        .chain([0, plan.duration_ms])
        .filter(|&at_ms| at_ms <= plan.duration_ms)
        .collect();
    let mut steps: Vec<Step> = boundaries.iter().map(|&at_ms| step(plan, at_ms)).collect();
    let all = |step: &Step| {
        (step.server, step.links.clone(), step.frozen.clone(), step.slow_readers.clone())
    };
    steps.dedup_by(|next, previous| next.resets.is_empty() && all(next) == all(previous));
    steps
}

fn step(plan: &Plan, at_ms: u64) -> Step {
    let over = at_ms >= plan.duration_ms;
    let active: Vec<&Fault> = plan
        .faults
        .iter()
        .filter(|fault| !over && (fault.from_ms..fault.until_ms).contains(&at_ms))
        .collect();
    let is_dark = active.iter().any(|fault| fault.kind == FaultKind::PowerLoss);
    let is_killed = active.iter().any(|fault| fault.kind == FaultKind::Kill);
    let links = plan
        .hosts()
        .map(|client| {
            let mut state = link(client.id, &active, plan.network.latency);
            if is_dark {
                state.passage = Passage::Cut(Direction::Both);
            }
            (client.id, state)
        })
        .collect();
    let server = match (is_dark, is_killed) {
        (true, _) => ServerState::Dark,
        (false, true) => ServerState::Down,
        (false, false) => ServerState::Up,
    };
    let begun = active.iter().filter(|fault| fault.from_ms == at_ms);
    let resets = begun.filter(|fault| matches!(fault.kind, FaultKind::Reset { .. }));
    let resets = resets.flat_map(|fault| fault.kind.clients().iter().copied()).collect();
    let (frozen, slow_readers) = (frozen(&active), slow_readers(&active));
    Step { at_ms, server, links, frozen, slow_readers, resets }
}

fn frozen(active: &[&Fault]) -> Frozen {
    let mut frozen = Frozen::default();
    for fault in active {
        frozen.server |= fault.kind == FaultKind::FreezeServer;
        if let FaultKind::Freeze { clients } = &fault.kind {
            frozen.clients.extend(clients);
        }
    }
    frozen
}

/// Of several paces the slowest counts.
fn slow_readers(active: &[&Fault]) -> BTreeMap<u32, u32> {
    let mut slow: BTreeMap<u32, u32> = BTreeMap::new();
    for fault in active {
        if let FaultKind::SlowReader { clients, bytes_per_ms } = &fault.kind {
            for &client in clients {
                let pace = slow.entry(client).or_insert(*bytes_per_ms);
                *pace = (*pace).min(*bytes_per_ms);
            }
        }
    }
    slow
}

/// A partition beats a stall; of several latencies the last one begun counts, of several
/// rates and bandwidths the worst.
fn link(client: u32, active: &[&Fault], usual: Latency) -> LinkState {
    let mut state =
        LinkState { latency: usual, passage: Passage::Open, weather: Weather::default() };
    let weather = &mut state.weather;
    let (mut to_client, mut to_server) = (false, false);
    for fault in active.iter().filter(|fault| fault.kind.clients().contains(&client)) {
        match &fault.kind {
            FaultKind::Bandwidth { bytes_per_ms, .. } => {
                let least = weather.bytes_per_ms.map_or(*bytes_per_ms, |it| it.min(*bytes_per_ms));
                weather.bytes_per_ms = Some(least);
            }
            FaultKind::Duplicate { percent, .. } => {
                weather.duplicate_percent = weather.duplicate_percent.max(*percent);
            }
            FaultKind::CancelPolls { .. }
            | FaultKind::Freeze { .. }
            | FaultKind::FreezeServer
            | FaultKind::Kill
            | FaultKind::PowerLoss
            | FaultKind::Reset { .. }
            | FaultKind::SlowReader { .. } => {}
            FaultKind::Loss { percent, .. } => {
                weather.loss_percent = weather.loss_percent.max(*percent);
            }
            FaultKind::Reorder { percent, .. } => {
                weather.reorder_percent = weather.reorder_percent.max(*percent);
            }
            FaultKind::Partition { direction, .. } => {
                to_client |= *direction != Direction::ToServer;
                to_server |= *direction != Direction::ToClient;
            }
            FaultKind::Slow { latency, .. } => state.latency = *latency,
            FaultKind::Stall { .. } => state.passage = Passage::Held,
        }
    }
    state.passage = match (to_client, to_server) {
        (true, true) => Passage::Cut(Direction::Both),
        (true, false) => Passage::Cut(Direction::ToClient),
        (false, true) => Passage::Cut(Direction::ToServer),
        (false, false) => state.passage,
    };
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Profile, generate};

    fn plan_with(faults: Vec<Fault>) -> Plan {
        let mut plan = generate(0, &Profile { faults: false, ..Profile::default() });
        plan.duration_ms = 1_000;
        plan.faults = faults;
        plan
    }

    fn fault(from_ms: u64, until_ms: u64, kind: FaultKind) -> Fault {
        Fault { from_ms, until_ms, kind }
    }

    fn passages(steps: &[Step], client: u32) -> Vec<(u64, Passage)> {
        steps.iter().map(|step| (step.at_ms, step.links[&client].passage)).collect()
    }

    #[test]
    fn two_one_way_partitions_make_a_whole_one_and_beat_a_stall() {
        let cut = |direction| FaultKind::Partition { clients: vec![0], direction };
        let steps = timeline(&plan_with(vec![
            fault(100, 500, FaultKind::Stall { clients: vec![0] }),
            fault(200, 400, cut(Direction::ToClient)),
            fault(300, 600, cut(Direction::ToServer)),
        ]));
        assert_eq!(
            passages(&steps, 0),
            [
                (0, Passage::Open),
                (100, Passage::Held),
                (200, Passage::Cut(Direction::ToClient)),
                (300, Passage::Cut(Direction::Both)),
                (400, Passage::Cut(Direction::ToServer)),
                (600, Passage::Open),
            ]
        );
        assert!(passages(&steps, 1).iter().all(|&(_, passage)| passage == Passage::Open));
    }

    #[test]
    fn overlapping_crashes_are_one_long_one() {
        let steps = timeline(&plan_with(vec![
            fault(100, 300, FaultKind::Kill),
            fault(200, 400, FaultKind::PowerLoss),
        ]));
        let server: Vec<_> = steps.iter().map(|step| (step.at_ms, step.server)).collect();
        assert_eq!(
            server,
            [
                (0, ServerState::Up),
                (100, ServerState::Down),
                (200, ServerState::Dark),
                (400, ServerState::Up)
            ]
        );
        assert_eq!(passages(&steps, 1)[2].1, Passage::Cut(Direction::Both));
    }

    #[test]
    fn of_two_paces_the_slower_counts() {
        let slow = |clients: &[u32], bytes_per_ms| FaultKind::SlowReader {
            clients: clients.to_vec(),
            bytes_per_ms,
        };
        let steps = timeline(&plan_with(vec![
            fault(100, 400, slow(&[0], 9)),
            fault(200, 300, slow(&[0, 1], 5)),
        ]));
        let paces: Vec<_> = steps
            .iter()
            .map(|step| (step.at_ms, step.slow_readers.get(&0), step.slow_readers.get(&1)))
            .collect();
        assert_eq!(
            paces,
            [
                (0, None, None),
                (100, Some(&9), None),
                (200, Some(&5), Some(&5)),
                (300, Some(&9), None),
                (400, None, None)
            ]
        );
    }

    #[test]
    fn all_is_well_at_the_end_of_every_plan() {
        for seed in 0..200 {
            let plan = generate(seed, &Profile::default());
            let steps = timeline(&plan);
            let last = steps.last().expect("a first step at 0");
            assert!(last.at_ms <= plan.duration_ms);
            assert_eq!(last.server, ServerState::Up);
            for state in last.links.values() {
                assert_eq!(state.passage, Passage::Open);
                assert_eq!(state.latency, plan.network.latency);
                assert_eq!(state.weather, Weather::default());
            }
            assert!(last.slow_readers.is_empty());
        }
    }
}
