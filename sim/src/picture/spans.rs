//! The faults of a plan as stretches of lines.

use crate::plan::{Direction, Fault, FaultKind};

use super::scene::Line;

/// How a stretch is shaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shade {
    Cut,
    Down,
    Held,
    HalfCut,
    Slow,
}

impl Shade {
    /// Its name among the page's styles.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Down => "down",
            Self::HalfCut => "halfcut",
            Self::Held => "held",
            Self::Slow => "slow",
        }
    }
}

/// A fault on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) line: Line,
    pub(super) from_us: u64,
    pub(super) until_us: u64,
    pub(super) shade: Shade,
    pub(super) label: String,
}

/// One span for each fault and line concerned.
pub(super) fn spans(faults: &[Fault]) -> Vec<Span> {
    faults.iter().flat_map(of_fault).collect()
}

fn of_fault(fault: &Fault) -> Vec<Span> {
    let (shade, label) = describe(&fault.kind);
    let lines: Vec<Line> = match fault.kind.clients() {
        [] => vec![Line::Server],
        clients => clients.iter().map(|&client| Line::Client(client)).collect(),
    };
    // It strikes at one moment, whatever the plan has as its end.
    let is_moment = matches!(fault.kind, FaultKind::CancelPolls { .. } | FaultKind::Reset { .. });
    let until_ms = if is_moment { fault.from_ms + 1 } else { fault.until_ms };
    let span = |line| Span {
        line,
        from_us: fault.from_ms * 1000,
        until_us: until_ms * 1000,
        shade,
        label: label.clone(),
    };
    lines.into_iter().map(span).collect()
}

fn describe(kind: &FaultKind) -> (Shade, String) {
    match kind {
        FaultKind::Freeze { .. } => (Shade::Held, "its process does not run".to_owned()),
        FaultKind::FreezeServer => (Shade::Held, "the server's process does not run".to_owned()),
        FaultKind::Bandwidth { bytes_per_ms, .. } => {
            (Shade::Slow, format!("narrow: {bytes_per_ms} bytes/ms"))
        }
        FaultKind::CancelPolls { .. } => (Shade::HalfCut, "polls cancelled".to_owned()),
        FaultKind::Duplicate { percent, .. } => {
            (Shade::Slow, format!("{percent}% of packets twice"))
        }
        FaultKind::Loss { percent, .. } => (Shade::HalfCut, format!("{percent}% of packets lost")),
        FaultKind::Reorder { percent, .. } => {
            (Shade::Slow, format!("{percent}% of packets overtaken"))
        }
        FaultKind::Reset { .. } => (Shade::Cut, "connections reset".to_owned()),
        FaultKind::Kill => (Shade::Down, "server killed".to_owned()),
        FaultKind::Partition { direction, .. } => match direction {
            Direction::Both => (Shade::Cut, "cut".to_owned()),
            Direction::ToClient => (Shade::HalfCut, "deaf: server to client is lost".to_owned()),
            Direction::ToServer => (Shade::HalfCut, "mute: client to server is lost".to_owned()),
        },
        FaultKind::PowerLoss => (Shade::Down, "server without power".to_owned()),
        FaultKind::Slow { latency, .. } => {
            (Shade::Slow, format!("slow: {} to {} ms", latency.min_ms, latency.max_ms))
        }
        FaultKind::SlowReader { bytes_per_ms, .. } => {
            (Shade::Slow, format!("reads {bytes_per_ms} bytes/ms"))
        }
        FaultKind::Stall { .. } => (Shade::Held, "held back".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_a_fault_concerns_has_a_span() {
        let fault = |kind| Fault { from_ms: 10, until_ms: 20, kind };
        let faults = [
            fault(FaultKind::Stall { clients: vec![3, 5] }),
            fault(FaultKind::PowerLoss),
            fault(FaultKind::Partition { clients: vec![1], direction: Direction::ToServer }),
        ];
        let spans = spans(&faults);
        let lines: Vec<Line> = spans.iter().map(|span| span.line).collect();
        assert_eq!(lines, [Line::Client(3), Line::Client(5), Line::Server, Line::Client(1)]);
        assert!(spans.iter().all(|span| (span.from_us, span.until_us) == (10_000, 20_000)));
        assert!(spans[3].label.contains("client to server is lost"));
    }

    #[test]
    fn a_reset_is_a_moment() {
        let kind = FaultKind::Reset { clients: vec![1] };
        let spans = spans(&[Fault { from_ms: 10, until_ms: 500, kind }]);
        assert_eq!((spans[0].from_us, spans[0].until_us), (10_000, 11_000));
    }
}
