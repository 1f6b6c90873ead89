//! Times into histograms: one for each phase of a client's life.
//!
//! Histograms have three significant digits from a microsecond to an hour. They
//! are merged between threads; percentiles are never averaged.

use base64::Engine;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::Serialize;

/// What is timed. In the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// TCP connection established, from the dial.
    Tcp,
    /// HTTP upgrade (or first poll) and Engine.IO handshake, from the established connection.
    Handshake,
    /// WebSocket in the place of long-polling, from the handshake.
    Upgrade,
    /// Namespace CONNECT answered, from the handshake.
    Connect,
    /// First join acknowledged, from the answered CONNECT.
    Join,
    /// All of these, from the time the schedule had the client connect.
    Ready,
    /// Back in its room, from the loss of the connection.
    Return,
    /// Message acknowledged, from its intended time.
    Ack,
    /// Message at one recipient, from its intended time.
    Delivery,
    /// Message at the last of its recipients, from its intended time.
    LastRecipient,
    /// Message acknowledged, from the time it was really sent.
    AckService,
    /// Message at one recipient, from the time it was really sent.
    DeliveryService,
    /// How late loadgen sent: really sent, from the intended time.
    SendLag,
    /// How late loadgen read: at most so long a delivery lay readable.
    ReceiveLag,
}

impl Phase {
    /// All phases, in the order of a report.
    pub(crate) const ALL: [Self; 14] = [
        Self::Tcp,
        Self::Handshake,
        Self::Upgrade,
        Self::Connect,
        Self::Join,
        Self::Ready,
        Self::Return,
        Self::Ack,
        Self::Delivery,
        Self::LastRecipient,
        Self::AckService,
        Self::DeliveryService,
        Self::SendLag,
        Self::ReceiveLag,
    ];

    /// The name in machine-readable reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Handshake => "handshake",
            Self::Upgrade => "upgrade",
            Self::Connect => "connect",
            Self::Join => "join",
            Self::Ready => "ready",
            Self::Return => "return",
            Self::Ack => "ack",
            Self::Delivery => "delivery",
            Self::LastRecipient => "last_recipient",
            Self::AckService => "ack_service",
            Self::DeliveryService => "delivery_service",
            Self::SendLag => "send_lag",
            Self::ReceiveLag => "receive_lag",
        }
    }
}

const HOUR_US: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// A histogram for each phase.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    // Grown on demand: of the 184 KB that the whole range takes, a phase of
    // milliseconds needs a tenth.
    histograms: Vec<Histogram<u64>>,
}

impl Recorder {
    /// Empty histograms.
    pub(crate) fn new() -> Self {
        let empty = || Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are possible");
        Self { histograms: Phase::ALL.iter().map(|_| empty()).collect() }
    }

    /// Notes a time. What is over an hour counts as an hour.
    pub(crate) fn record(&mut self, phase: Phase, us: u64) {
        let histogram = &mut self.histograms[phase as usize];
        histogram.record(us.min(HOUR_US)).expect("the histogram grows up to an hour");
    }

    /// Adds what another thread has noted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).expect("the histogram grows as far as the other one");
        }
    }

    /// What was noted for one phase.
    pub(crate) fn distribution(&self, phase: Phase) -> Distribution {
        Distribution::of(&self.histograms[phase as usize])
    }
}

/// A histogram as a report shows it. All times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) min_us: u64,
    pub(crate) mean_us: f64,
    pub(crate) stdev_us: f64,
    pub(crate) p50_us: u64,
    pub(crate) p75_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p95_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) p9999_us: u64,
    pub(crate) max_us: u64,
    /// The whole histogram: HdrHistogram V2, compressed, base64. For merging.
    pub(crate) hdr: String,
}

impl Distribution {
    fn of(histogram: &Histogram<u64>) -> Self {
        let quantile = |quantile| histogram.value_at_quantile(quantile).min(histogram.max());
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("a Vec takes all bytes");
        Self {
            count: histogram.len(),
            min_us: if histogram.is_empty() { 0 } else { histogram.min() },
            mean_us: histogram.mean(),
            stdev_us: histogram.stdev(),
            p50_us: quantile(0.5),
            p75_us: quantile(0.75),
            p90_us: quantile(0.9),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            p9999_us: quantile(0.9999),
            max_us: histogram.max(),
            hdr: base64::engine::general_purpose::STANDARD.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn figures_have_three_significant_digits() {
        let mut recorder = Recorder::new();
        (1..=10_000).for_each(|us| recorder.record(Phase::Ack, us));
        let ack = recorder.distribution(Phase::Ack);
        assert_eq!(ack.count, 10_000);
        for (reported, exact) in
            [(ack.p50_us, 5000.0), (ack.p99_us, 9900.0), (ack.max_us, 10_000.0)]
        {
            assert!((reported as f64 / exact - 1.0).abs() < 0.001, "{reported} for {exact}");
        }
    }

    #[test]
    fn merged_histograms_hold_what_both_held() {
        let (mut one, mut other) = (Recorder::new(), Recorder::new());
        (0..99).for_each(|_| one.record(Phase::Delivery, 100));
        other.record(Phase::Delivery, 2_000_000);
        one.merge(&other);
        let delivery = one.distribution(Phase::Delivery);
        assert_eq!((delivery.count, delivery.p50_us), (100, 100));
        assert!(delivery.max_us.abs_diff(2_000_000) < 2000);
        assert_eq!(one.distribution(Phase::Ack).count, 0);
    }

    #[test]
    fn nothing_is_too_short_or_too_long_to_count() {
        let mut recorder = Recorder::new();
        for us in [0, 1, HOUR_US, HOUR_US + 1, u64::MAX] {
            recorder.record(Phase::Tcp, us);
        }
        let tcp = recorder.distribution(Phase::Tcp);
        assert_eq!((tcp.count, tcp.min_us), (5, 0));
        assert!(tcp.max_us >= HOUR_US && tcp.max_us < HOUR_US + HOUR_US / 1000);
    }

    #[test]
    fn serialised_histogram_reads_back() {
        let mut recorder = Recorder::new();
        (0..1000).for_each(|us| recorder.record(Phase::Join, us * 37));
        let join = recorder.distribution(Phase::Join);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&join.hdr).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!((read.len(), read.value_at_quantile(0.99)), (1000, join.p99_us));
    }

    #[test]
    fn an_empty_histogram_is_all_zero() {
        let empty = Recorder::new().distribution(Phase::Tcp);
        assert_eq!((empty.count, empty.min_us, empty.p99_us, empty.max_us), (0, 0, 0, 0));
    }
}
