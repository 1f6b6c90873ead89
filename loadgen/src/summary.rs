//! The report as text that people like to read.

use std::fmt::{self, Write};

use crate::recorder::Phase;
use crate::report::{Report, Signal};
use crate::verdict::Outcome;

/// Errors that the summary lists; the JSON has them all.
const ERRORS_MAX: usize = 8;

/// Renders `report` for a terminal, with colours if it takes them.
pub(crate) fn render(report: &Report, colours: bool) -> String {
    let mut text = String::new();
    write_all(report, colours, &mut text).expect("a String takes all text");
    text
}

fn write_all(report: &Report, colours: bool, out: &mut String) -> fmt::Result {
    write_question(report, out)?;
    write_verdict(report, colours, out)?;
    write_latencies(report, out)?;
    write_counts(report, out)?;
    write_problems(report, out)
}

fn write_question(report: &Report, out: &mut String) -> fmt::Result {
    let (run, options) = (&report.run, &report.options);
    let server = if run.embedded { " (embedded parlor)" } else { "" };
    let (clients, rooms) = (counted(options.clients), counted(options.rooms));
    let transport = &options.transport;
    writeln!(out, "{clients} clients in {rooms} rooms at {}{server}, {transport}", run.url)?;
    writeln!(
        out,
        "{} messages/s for {} s, {}, open loop, {} bytes, seed {}, nonce {}\n",
        options.rate_hz,
        options.duration_s,
        format!("{:?}", options.arrivals).to_lowercase(),
        options.body_bytes,
        options.seed,
        run.nonce
    )
}

fn write_verdict(report: &Report, colours: bool, out: &mut String) -> fmt::Result {
    let verdict = &report.verdict;
    let (word, colour) = match verdict.outcome {
        Outcome::CannotConnect => ("CANNOT CONNECT", "\x1b[1;31m"),
        Outcome::Invalid => ("INVALID RUN", "\x1b[1;33m"),
        Outcome::Ok => ("OK", "\x1b[1;32m"),
        Outcome::Violation => ("VIOLATION", "\x1b[1;31m"),
    };
    let (begin, end) = if colours { (colour, "\x1b[0m") } else { ("", "") };
    let stopped = match report.run.stopped_by {
        Some(Signal::Sigint) => format!(" (stopped by Ctrl-C after {:.1} s)", report.run.sending_s),
        Some(Signal::Sigterm) => {
            format!(" (stopped by SIGTERM after {:.1} s)", report.run.sending_s)
        }
        None => String::new(),
    };
    let why =
        if verdict.reasons.is_empty() { all_is_well(report) } else { verdict.reasons.join("; ") };
    writeln!(out, "{begin}{word}{end}  {why}{stopped}")?;
    for advice in &verdict.advice {
        writeln!(out, "    {advice}")?;
    }
    writeln!(out)
}

fn all_is_well(report: &Report) -> String {
    match report.deliveries.delivered {
        0 => "nothing was delivered, as nothing was owed".to_owned(),
        delivered => {
            format!("{} deliveries, none lost, duplicated or reordered", counted(delivered))
        }
    }
}

/// The phases of a report in groups, each with a title.
const GROUPS: [(&str, &[(Phase, &str)]); 4] = [
    (
        "connecting",
        &[
            (Phase::Tcp, "tcp"),
            (Phase::Handshake, "handshake"),
            (Phase::Upgrade, "upgrade"),
            (Phase::Connect, "connect"),
            (Phase::Join, "join"),
            (Phase::Ready, "all, from schedule"),
            (Phase::Return, "again, from the loss"),
        ],
    ),
    (
        "messages, from the intended time",
        &[
            (Phase::Ack, "ack"),
            (Phase::Delivery, "delivery"),
            (Phase::LastRecipient, "last recipient"),
        ],
    ),
    (
        "messages, from the time really sent",
        &[(Phase::AckService, "ack"), (Phase::DeliveryService, "delivery")],
    ),
    (
        "loadgen itself, how late",
        &[(Phase::SendLag, "sending"), (Phase::ReceiveLag, "reading, at most")],
    ),
];

fn write_latencies(report: &Report, out: &mut String) -> fmt::Result {
    let mut headings: &[&str] = &["p50", "p90", "p99", "p99.9", "max"];
    for (title, phases) in GROUPS {
        if phases.iter().all(|&(phase, _)| report.distribution(phase).count == 0) {
            continue;
        }
        match headings {
            [] => write!(out, "{title}")?,
            _ => write!(out, "{title:<36}count")?,
        }
        for heading in std::mem::take(&mut headings) {
            write!(out, "{heading:>10}")?;
        }
        writeln!(out)?;
        for &(phase, name) in phases {
            let times = report.distribution(phase);
            if times.count == 0 {
                continue;
            }
            write!(out, "  {name:<27}{:>12}", counted(times.count))?;
            for us in [times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us] {
                write!(out, "{:>10}", microseconds(us))?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out)
}

fn write_counts(report: &Report, out: &mut String) -> fmt::Result {
    let Report { clients, messages, deliveries, generator, .. } = report;
    counts(
        out,
        "clients",
        &[
            (clients.joined, "joined", true),
            (clients.failed, "failed", true),
            (clients.lost, "lost", false),
            (clients.returned, "returned", false),
        ],
    )?;
    counts(
        out,
        "messages",
        &[
            (messages.sent, "sent", true),
            (messages.acked, "acknowledged", report.options.ack),
            (messages.unanswered, "unanswered", false),
            (messages.refused, "refused", false),
            (messages.dropped, "dropped", false),
            (messages.skipped, "skipped", false),
            (messages.cut_off, "cut off", false),
        ],
    )?;
    counts(
        out,
        "deliveries",
        &[
            (deliveries.expected, "expected", true),
            (deliveries.delivered, "delivered", true),
            (deliveries.lost, "lost", true),
            (deliveries.duplicate, "duplicate", true),
            (deliveries.reordered, "reordered", true),
            (deliveries.wrong, "wrong", false),
            (deliveries.indeterminate, "indeterminate", false),
            (deliveries.foreign, "foreign", false),
        ],
    )?;
    write!(out, "{:<12}{:.2} cores while sending", "loadgen", generator.cpu_cores)?;
    if let Some(bytes) = generator.memory_max_bytes {
        write!(out, ", {:.1} MB at most", bytes as f64 / 1e6)?;
    }
    writeln!(
        out,
        ", {} {}",
        report.options.threads,
        if report.options.threads == 1 { "thread" } else { "threads" }
    )
}

/// A line of counts; those not asked for appear when they are not zero.
fn counts(out: &mut String, title: &str, counts: &[(u64, &str, bool)]) -> fmt::Result {
    let shown: Vec<String> = counts
        .iter()
        .filter(|&&(count, _, always)| always || count > 0)
        .map(|(count, what, _)| format!("{} {what}", counted(*count)))
        .collect();
    writeln!(out, "{title:<12}{}", shown.join(" · "))
}

fn write_problems(report: &Report, out: &mut String) -> fmt::Result {
    if !report.errors.is_empty() {
        writeln!(out, "\nerrors")?;
        let mut errors: Vec<_> = report.errors.iter().collect();
        errors.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        for (what, count) in errors.iter().take(ERRORS_MAX) {
            writeln!(out, "  {:>8} {what}", counted(**count))?;
        }
        if errors.len() > ERRORS_MAX {
            writeln!(out, "  {:>8} more kinds, in the --json report", errors.len() - ERRORS_MAX)?;
        }
    }
    if !report.violations.is_empty() {
        writeln!(out, "\nviolations, the first {}", report.violations.len())?;
        for violation in &report.violations {
            writeln!(out, "  {violation}")?;
        }
    }
    Ok(())
}

/// A number with a comma for each thousand.
pub(crate) fn counted(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it, with three significant digits.
pub(crate) fn microseconds(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..9_995 => format!("{:.2} ms", us as f64 / 1e3),
        9_995..99_950 => format!("{:.1} ms", us as f64 / 1e3),
        99_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2} s", us as f64 / 1e6),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::args::Arrivals;
    use crate::recorder::Recorder;
    use crate::report::{Clients, Deliveries, Generator, Measured, Messages, Run, Settings};

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        for (number, text) in [(0u64, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(counted(number), text);
        }
        for (us, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (9_994, "9.99 ms"),
            (9_995, "10.0 ms"),
            (99_949, "99.9 ms"),
            (99_950, "100 ms"),
            (1_843_000, "1.84 s"),
            (65_000_000, "65.0 s"),
        ] {
            assert_eq!(microseconds(us), text);
        }
    }

    #[test]
    fn summary_of_a_good_run() {
        let text = render(&Report::new(measured()), false);
        let expected = "\
1,000 clients in 100 rooms at http://127.0.0.1:3000 (embedded parlor), websocket
200 messages/s for 20 s, poisson, open loop, 128 bytes, seed 1, nonce 0badcafe

OK  36,000 deliveries, none lost, duplicated or reordered

connecting                          count       p50       p90       p99     p99.9       max
  tcp                                  10    500 µs    900 µs   1.00 ms   1.00 ms   1.00 ms
messages, from the intended time
  ack                                  10   2.50 ms   4.50 ms   5.00 ms   5.00 ms   5.00 ms

clients     1,000 joined · 0 failed
messages    4,000 sent · 4,000 acknowledged
deliveries  36,000 expected · 36,000 delivered · 0 lost · 0 duplicate · 0 reordered
loadgen     0.25 cores while sending, 14.2 MB at most, 1 thread
";
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn what_is_wrong_comes_first_and_says_what_to_do() {
        let mut measured = measured();
        measured.clients.lost = 2;
        measured.deliveries.lost = 1;
        measured.errors = (0..10).map(|kind| (format!("tcp: kind {kind}"), kind + 1)).collect();
        measured.violations = vec!["lost: message 3 of client 7".to_owned()];
        let text = render(&Report::new(measured), false);
        assert!(text.lines().nth(3).unwrap().starts_with("INVALID RUN  2 clients lost"), "{text}");
        assert!(
            text.contains("1 delivery was lost") && text.contains("the server's log"),
            "{text}"
        );
        assert!(text.contains("10 tcp: kind 9") && text.contains("2 more kinds"), "{text}");
        assert!(text.contains("lost: message 3 of client 7"), "{text}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let report = Report::new(measured());
        assert!(!render(&report, false).contains('\x1b'));
        assert!(render(&report, true).contains("\x1b[1;32mOK\x1b[0m"));
    }

    #[test]
    fn json_is_complete_and_reads_back() {
        let json: serde_json::Value =
            serde_json::from_str(&Report::new(measured()).json()).unwrap();
        for pointer in [
            "/verdict/exit_code",
            "/run/nonce",
            "/run/loadgen_version",
            "/options/seed",
            "/clients/joined",
            "/messages/sent",
            "/deliveries/lost",
            "/latency/delivery/p99_us",
            "/latency/ack/hdr",
            "/latency/receive_lag/count",
            "/generator/cpu_cores",
            "/errors",
            "/violations",
        ] {
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
        assert_eq!(json.pointer("/latency").unwrap().as_object().unwrap().len(), Phase::ALL.len());
    }

    /// A run without fault.
    pub(crate) fn measured() -> Measured {
        let mut recorder = Recorder::new();
        for step in 1..=10 {
            recorder.record(Phase::Tcp, step * 100);
            recorder.record(Phase::Ack, step * 500);
        }
        Measured {
            run: Run {
                loadgen_version: "0.1.0",
                url: "http://127.0.0.1:3000".to_owned(),
                embedded: true,
                started_at_ms: 0,
                nonce: "0badcafe".to_owned(),
                sending_s: 20.0,
                stopped_by: None,
            },
            settings: settings(),
            clients: Clients { joined: 1000, ..Clients::default() },
            messages: Messages { sent: 4000, acked: 4000, ..Messages::default() },
            deliveries: Deliveries { expected: 36_000, delivered: 36_000, ..Deliveries::default() },
            recorder,
            generator: Generator {
                cpu_cores: 0.25,
                memory_max_bytes: Some(14_200_000),
                ..Generator::default()
            },
            errors: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    fn settings() -> Settings {
        Settings {
            clients: 1000,
            rooms: 100,
            rate_hz: 200.0,
            duration_s: 20.0,
            ramp_s: 5.0,
            arrivals: Arrivals::Poisson,
            speakers: 0.2,
            body_bytes: 128,
            ack: true,
            seed: 1,
            transport: "websocket".to_owned(),
            path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            timeout_s: 10.0,
            drain_s: 5.0,
            threads: 1,
            reconnect: false,
        }
    }
}
