//! What a run means: valid or not, kept promises or not, and what to do.
//!
//! This is pure. A run in which loadgen itself fell behind says so first: a server
//! is never blamed for the generator.

use serde::Serialize;

use crate::recorder::Phase;
use crate::report::{Report, Signal};
use crate::summary::{counted, microseconds};

/// A lag that no latency can hide behind: below it a run is valid.
const LAG_P99_MAX_US: u64 = 10_000;
/// Above it, a lag still does no harm while the latency reported is so many
/// times greater: after a stall of the server there is much to read at once.
const LAG_SHARE: u64 = 4;

/// A run in one word, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// What the process ends with.
    pub(crate) exit_code: u8,
    /// One sentence each.
    pub(crate) reasons: Vec<String>,
    /// What to do about it.
    pub(crate) advice: Vec<String>,
}

/// A run in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// No client could join.
    CannotConnect,
    /// The load was not the one asked for, or loadgen measured itself.
    Invalid,
    /// Everything owed arrived, once and in order.
    Ok,
    /// The server broke a promise.
    Violation,
}

impl Verdict {
    /// Nothing is wrong.
    pub(crate) fn ok() -> Self {
        Self { outcome: Outcome::Ok, exit_code: 0, reasons: Vec::new(), advice: Vec::new() }
    }

    /// Judges a report, of which the verdict itself is not looked at.
    pub(crate) fn of(report: &Report) -> Self {
        let mut verdict = Self::ok();
        if report.clients.joined == 0 && report.clients.failed > 0 {
            verdict.outcome = Outcome::CannotConnect;
            verdict.because(
                "no client could join",
                "see the errors below; does the server speak this chat's events?",
            );
        } else {
            verdict.find_what_invalidates(report);
            verdict.find_violations(report);
        }
        verdict.exit_code = match (report.run.stopped_by, verdict.outcome) {
            (Some(Signal::Sigint), _) => crate::EXIT_SIGINT,
            (Some(Signal::Sigterm), _) => crate::EXIT_SIGTERM,
            (None, Outcome::CannotConnect) => crate::EXIT_CANNOT_CONNECT,
            (None, Outcome::Invalid) => crate::EXIT_INVALID,
            (None, Outcome::Ok) => 0,
            (None, Outcome::Violation) => crate::EXIT_VIOLATION,
        };
        verdict
    }

    fn find_what_invalidates(&mut self, report: &Report) {
        self.find_lag(report);
        let (clients, messages) = (&report.clients, &report.messages);
        let invalidating = [
            (
                clients.failed,
                ["client could not join", "clients could not join"],
                "see the errors below; a longer --ramp asks less at once",
            ),
            (
                if report.options.reconnect { 0 } else { clients.lost },
                ["client lost its connection", "clients lost their connections"],
                "see the errors below and the server's log",
            ),
            (
                if report.options.reconnect { clients.away() } else { 0 },
                [
                    "client lost its connection and did not come back",
                    "clients lost their connections and did not come back",
                ],
                "see the errors below and the server's log; a longer --drain waits for them longer",
            ),
            (
                messages.dropped,
                [
                    "message was not sent, as too much waited before it",
                    "messages were not sent, as too much waited before them",
                ],
                "the server does not read; lower --rate",
            ),
            (
                messages.refused,
                ["message was refused by the server", "messages were refused by the server"],
                "see the errors below; does it limit rates?",
            ),
            (
                u64::from(report.deliveries.overflow),
                ["part of the accounting was full", ""],
                "lower --rate or --drain",
            ),
        ];
        for (count, what, advice) in invalidating {
            if count > 0 {
                self.outcome = Outcome::Invalid;
                self.because(&several(count, what), advice);
            }
        }
    }

    fn find_lag(&mut self, report: &Report) {
        let reported = [Phase::Ack, Phase::Delivery].map(|phase| report.distribution(phase).p99_us);
        let allowed =
            LAG_P99_MAX_US.max(reported.into_iter().max().unwrap_or_default() / LAG_SHARE);
        for (phase, what) in [(Phase::SendLag, "sent"), (Phase::ReceiveLag, "read")] {
            let lag = report.distribution(phase).p99_us;
            if lag > allowed {
                self.outcome = Outcome::Invalid;
                let lag = microseconds(lag);
                self.because(
                    &format!("loadgen itself {what} late, by {lag} at p99, so it measured itself"),
                    "use fewer clients or a lower --rate, more cores and --threads, or another machine than the server's",
                );
            }
        }
    }

    fn find_violations(&mut self, report: &Report) {
        let deliveries = &report.deliveries;
        let broken = [
            (deliveries.lost, ["delivery was lost", "deliveries were lost"]),
            (deliveries.duplicate, ["delivery came twice", "deliveries came twice"]),
            (deliveries.reordered, ["delivery came out of order", "deliveries came out of order"]),
            (
                deliveries.wrong,
                [
                    "delivery was altered, misdirected or never sent",
                    "deliveries were altered, misdirected or never sent",
                ],
            ),
            (
                report.messages.unanswered,
                ["message was never acknowledged", "messages were never acknowledged"],
            ),
        ];
        for (count, what) in broken {
            if count > 0 {
                // An invalid run stays one: it is said first.
                if self.outcome == Outcome::Ok {
                    self.outcome = Outcome::Violation;
                }
                self.reasons.push(several(count, what));
            }
        }
        if report.options.ack && report.messages.sent > 0 && report.messages.acked == 0 {
            self.advice.push(
                "no message was acknowledged at all; if the server never does, use --no-ack"
                    .to_owned(),
            );
        }
    }

    fn because(&mut self, reason: &str, advice: &str) {
        self.reasons.push(reason.to_owned());
        if !self.advice.iter().any(|known| known == advice) {
            self.advice.push(advice.to_owned());
        }
    }
}

/// A count, and what it counts in singular or plural.
fn several(count: u64, [one, many]: [&str; 2]) -> String {
    format!("{} {}", counted(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::report::Measured;
    use crate::summary::tests::measured;

    fn judge(change: impl FnOnce(&mut Measured)) -> (Outcome, u8) {
        let mut measured = measured();
        change(&mut measured);
        let verdict = Report::new(measured).verdict;
        assert_eq!(verdict.reasons.is_empty(), verdict.outcome == Outcome::Ok, "{verdict:?}");
        (verdict.outcome, verdict.exit_code)
    }

    fn record(recorder: &mut Recorder, phase: Phase, us: u64) {
        (0..1000).for_each(|_| recorder.record(phase, us));
    }

    #[test]
    fn each_outcome_has_its_exit_code() {
        assert_eq!(judge(|_| ()), (Outcome::Ok, 0));
        assert_eq!(judge(|m| m.deliveries.indeterminate = 5), (Outcome::Ok, 0));
        assert_eq!(judge(|m| m.deliveries.foreign = 5), (Outcome::Ok, 0));
        for broken in [
            |m: &mut Measured| m.deliveries.lost = 1,
            |m: &mut Measured| m.deliveries.duplicate = 1,
            |m: &mut Measured| m.deliveries.reordered = 1,
            |m: &mut Measured| m.deliveries.wrong = 1,
            |m: &mut Measured| m.messages.unanswered = 1,
        ] {
            assert_eq!(judge(broken), (Outcome::Violation, 4));
        }
        for invalid in [
            |m: &mut Measured| m.clients.failed = 1,
            |m: &mut Measured| m.clients.lost = 1,
            |m: &mut Measured| {
                m.settings.reconnect = true;
                (m.clients.lost, m.clients.returned) = (2, 1);
            },
            |m: &mut Measured| m.messages.dropped = 1,
            |m: &mut Measured| m.messages.refused = 1,
            |m: &mut Measured| m.deliveries.overflow = true,
        ] {
            assert_eq!(judge(invalid), (Outcome::Invalid, 5));
        }
        let nobody = |m: &mut Measured| (m.clients.joined, m.clients.failed) = (0, 10);
        assert_eq!(judge(nobody), (Outcome::CannotConnect, 3));
    }

    #[test]
    fn an_invalid_run_with_violations_is_invalid_first() {
        let mut measured = measured();
        measured.deliveries.lost = 3;
        measured.clients.lost = 1;
        let verdict = Report::new(measured).verdict;
        assert_eq!(verdict.outcome, Outcome::Invalid);
        assert!(
            verdict.reasons[0] == "1 client lost its connection"
                && verdict.reasons[1].contains("lost"),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_generator_that_fell_behind_makes_the_run_invalid() {
        for phase in [Phase::SendLag, Phase::ReceiveLag] {
            assert_eq!(
                judge(|m| record(&mut m.recorder, phase, LAG_P99_MAX_US - 100)),
                (Outcome::Ok, 0)
            );
            assert_eq!(
                judge(|m| record(&mut m.recorder, phase, LAG_P99_MAX_US + 100)),
                (Outcome::Invalid, 5)
            );
        }
    }

    #[test]
    fn a_stalled_server_is_not_the_generators_fault_but_a_stalled_generator_is() {
        let stall = |lag_us| {
            judge(|m| {
                record(&mut m.recorder, Phase::Delivery, 1_800_000);
                record(&mut m.recorder, Phase::ReceiveLag, lag_us);
            })
        };
        assert_eq!(stall(50_000), (Outcome::Ok, 0));
        assert_eq!(stall(1_700_000), (Outcome::Invalid, 5));
    }

    #[test]
    fn a_signal_decides_the_exit_code_and_not_the_outcome() {
        assert_eq!(judge(|m| m.run.stopped_by = Some(Signal::Sigint)), (Outcome::Ok, 130));
        let both =
            |m: &mut Measured| (m.run.stopped_by, m.deliveries.lost) = (Some(Signal::Sigterm), 1);
        assert_eq!(judge(both), (Outcome::Violation, 143));
    }
}
