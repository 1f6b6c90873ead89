//! A run as one value, which every output renders.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::args::Arrivals;
use crate::options::Options;
use crate::recorder::{Distribution, Phase, Recorder};
use crate::verdict::Verdict;

/// Version of the JSON; a reader that knows this one can read a report.
const FORMAT: &str = "loadgen-report-1";

/// Counter-examples that a report shows.
pub(crate) const VIOLATIONS_MAX: usize = 20;

/// A run: what was asked for, what was measured, what it means.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) format: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) run: Run,
    pub(crate) options: Settings,
    pub(crate) clients: Clients,
    pub(crate) messages: Messages,
    pub(crate) deliveries: Deliveries,
    /// By name of the phase.
    pub(crate) latency: BTreeMap<&'static str, Distribution>,
    pub(crate) generator: Generator,
    /// How often each thing went wrong, with the layer in front.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The first counter-examples.
    pub(crate) violations: Vec<String>,
}

/// What identifies a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) loadgen_version: &'static str,
    pub(crate) url: String,
    /// Whether loadgen brought the server along.
    pub(crate) embedded: bool,
    /// Milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    pub(crate) nonce: String,
    /// How long messages were sent; less than asked for if a signal ended the run.
    pub(crate) sending_s: f64,
    pub(crate) stopped_by: Option<Signal>,
}

/// A signal that ends a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Signal {
    Sigint,
    Sigterm,
}

/// The options as the run used them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) clients: u32,
    pub(crate) rooms: u32,
    pub(crate) rate_hz: f64,
    pub(crate) duration_s: f64,
    pub(crate) ramp_s: f64,
    pub(crate) arrivals: Arrivals,
    pub(crate) speakers: f64,
    pub(crate) body_bytes: u32,
    pub(crate) ack: bool,
    pub(crate) seed: u64,
    pub(crate) transport: String,
    pub(crate) path: String,
    pub(crate) namespace: String,
    pub(crate) timeout_s: f64,
    pub(crate) drain_s: f64,
    pub(crate) threads: u32,
    pub(crate) reconnect: bool,
}

impl From<&Options> for Settings {
    fn from(options: &Options) -> Self {
        let Options { plan, session, .. } = options;
        Self {
            clients: plan.clients,
            rooms: plan.rooms,
            rate_hz: plan.rate_hz,
            duration_s: plan.duration.as_secs_f64(),
            ramp_s: options.ramp.as_secs_f64(),
            arrivals: plan.arrivals,
            speakers: plan.speakers,
            body_bytes: session.body_bytes,
            ack: session.ack,
            seed: plan.seed,
            transport: session.transport.to_string(),
            path: session.path.clone(),
            namespace: session.namespace.clone(),
            timeout_s: options.timeout.as_secs_f64(),
            drain_s: options.drain.as_secs_f64(),
            threads: options.threads,
            reconnect: session.reconnect,
        }
    }
}

/// How clients fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Clients {
    /// Connected and joined.
    pub(crate) joined: u64,
    /// Never joined.
    pub(crate) failed: u64,
    /// How often one that had joined lost its connection before the run had ended.
    pub(crate) lost: u64,
    /// How often one that had lost it came back and joined again.
    pub(crate) returned: u64,
}

impl Clients {
    /// Adds those of another thread.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { joined, failed, lost, returned } = other;
        self.joined += joined;
        self.failed += failed;
        self.lost += lost;
        self.returned += returned;
    }

    /// Those who have lost their connection and are not back.
    pub(crate) fn away(&self) -> u64 {
        self.lost - self.returned
    }
}

/// How messages fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Messages {
    /// Sent at their time, or late.
    pub(crate) sent: u64,
    /// Acknowledged by the server.
    pub(crate) acked: u64,
    /// Acknowledged with an error.
    pub(crate) refused: u64,
    /// Still without an acknowledgement at the end, though the connection held.
    pub(crate) unanswered: u64,
    /// Not sent, because their client's backlog was full.
    pub(crate) dropped: u64,
    /// Not sent, because their client was not connected.
    pub(crate) skipped: u64,
    /// Without an acknowledgement when their client's connection broke.
    pub(crate) cut_off: u64,
}

impl Messages {
    /// Adds those of another thread.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { sent, acked, refused, unanswered, dropped, skipped, cut_off } = other;
        self.sent += sent;
        self.acked += acked;
        self.refused += refused;
        self.unanswered += unanswered;
        self.dropped += dropped;
        self.skipped += skipped;
        self.cut_off += cut_off;
    }
}

/// What the checkers say about every pair of message and recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Deliveries {
    /// Owed, beyond doubt.
    pub(crate) expected: u64,
    /// Of these, those that arrived.
    pub(crate) delivered: u64,
    /// Owed and not arrived by the end of the drain.
    pub(crate) lost: u64,
    /// Arrived again.
    pub(crate) duplicate: u64,
    /// Arrived after a later message of the same sender.
    pub(crate) reordered: u64,
    /// Arrived altered, at the wrong client, or without having been sent.
    pub(crate) wrong: u64,
    /// Could rightly arrive or not: a connection was lost in between.
    pub(crate) indeterminate: u64,
    /// Not of this run.
    pub(crate) foreign: u64,
    /// The accounting ran out of its bounded memory: its figures are not exact.
    pub(crate) overflow: bool,
}

impl Deliveries {
    /// Adds those of another thread, which are of other rooms.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { expected, delivered, lost, duplicate, reordered, wrong, .. } = other;
        self.expected += expected;
        self.delivered += delivered;
        self.lost += lost;
        self.duplicate += duplicate;
        self.reordered += reordered;
        self.wrong += wrong;
        self.indeterminate += other.indeterminate;
        self.foreign += other.foreign;
        self.overflow |= other.overflow;
    }
}

/// What the generator itself did and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Generator {
    /// Cores that loadgen used while it sent: CPU time, user and system, by time.
    pub(crate) cpu_cores: f64,
    /// The same for the busiest of its threads: at 1 it can do no more.
    pub(crate) busiest_thread_cores: f64,
    /// CPU time of the whole run so far, in seconds.
    pub(crate) cpu_total_s: f64,
    /// The most resident memory.
    pub(crate) memory_max_bytes: Option<u64>,
}

/// What a run yields, before it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) settings: Settings,
    pub(crate) clients: Clients,
    pub(crate) messages: Messages,
    pub(crate) deliveries: Deliveries,
    pub(crate) recorder: Recorder,
    pub(crate) generator: Generator,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
}

impl Report {
    /// Judges what was measured.
    pub(crate) fn new(measured: Measured) -> Self {
        let distributions =
            Phase::ALL.map(|phase| (phase.name(), measured.recorder.distribution(phase)));
        let mut report = Self {
            format: FORMAT,
            verdict: Verdict::ok(),
            run: measured.run,
            options: measured.settings,
            clients: measured.clients,
            messages: measured.messages,
            deliveries: measured.deliveries,
            latency: BTreeMap::from(distributions),
            generator: measured.generator,
            errors: measured.errors,
            violations: measured.violations,
        };
        report.verdict = Verdict::of(&report);
        report
    }

    /// What was recorded for `phase`.
    pub(crate) fn distribution(&self, phase: Phase) -> &Distribution {
        &self.latency[phase.name()]
    }

    /// The complete report for machines.
    pub(crate) fn json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self)
            .expect("a report has string keys and finite numbers");
        json.push('\n');
        json
    }
}
