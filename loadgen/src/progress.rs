//! What a run is doing, on stderr, while it does it.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::summary::counted;

/// Without a terminal there is a line this often.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What the threads have done so far: written by them, read for the progress.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) joined: Counter,
    pub(crate) failed: Counter,
    pub(crate) sent: Counter,
    pub(crate) delivered: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Clients connect and join.
    Gathering { clients: u32 },
    /// Messages are sent, from `start` on.
    Speaking { start: Instant, duration: Duration },
    /// All is sent; what is outstanding may still come.
    Draining,
}

/// The display.
pub(crate) struct Progress {
    display: Display,
    rates: Rates,
}

/// Messages and deliveries per second, over the last whole second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    since: Instant,
    /// Totals at that time.
    sent: u64,
    delivered: u64,
    sent_hz: f64,
    delivered_hz: f64,
}

enum Display {
    Bar(Box<ProgressBar>),
    /// The title of the last line, and when the next one is due.
    Lines {
        title: &'static str,
        next_at: Instant,
    },
    Silent,
}

impl Progress {
    /// A bar on a terminal; elsewhere `heading`, then a line for each stage and
    /// now and then; nothing if `quiet`.
    pub(crate) fn new(quiet: bool, heading: &str) -> Self {
        let now = Instant::now();
        let display = if quiet {
            Display::Silent
        } else if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:30.green} {msg}");
            let bar = ProgressBar::new(1).with_style(style.expect("the template is valid"));
            Display::Bar(Box::new(bar))
        } else {
            line(heading);
            Display::Lines { title: "", next_at: now }
        };
        Self { display, rates: Rates::new(now) }
    }

    /// Shows the state of things. Call it several times a second.
    pub(crate) fn tick(&mut self, stage: Stage, counters: &Counters) {
        let now = Instant::now();
        self.rates.update(now, counters);
        match &mut self.display {
            Display::Silent => {}
            Display::Bar(bar) => {
                let (title, done, all) = position(stage, counters, now);
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message(format!("{title}: {}", text(stage, counters, now, self.rates)));
            }
            Display::Lines { title: last, next_at } => {
                let (title, ..) = position(stage, counters, now);
                if title != *last || now >= *next_at {
                    *last = title;
                    *next_at = now + LINE_INTERVAL;
                    line(&format!("{title}: {}", text(stage, counters, now, self.rates)));
                }
            }
        }
    }

    /// Takes the display away, so that the report stands alone.
    pub(crate) fn finish(self) {
        if let Display::Bar(bar) = self.display {
            bar.finish_and_clear();
        }
    }
}

impl Rates {
    fn new(now: Instant) -> Self {
        Self { since: now, sent: 0, delivered: 0, sent_hz: 0.0, delivered_hz: 0.0 }
    }

    fn update(&mut self, now: Instant, counters: &Counters) {
        let seconds = now.duration_since(self.since).as_secs_f64();
        if seconds < 1.0 {
            return;
        }
        let (sent, delivered) = (counters.sent.total(), counters.delivered.total());
        let sent_hz = (sent - self.sent) as f64 / seconds;
        let delivered_hz = (delivered - self.delivered) as f64 / seconds;
        *self = Self { since: now, sent, delivered, sent_hz, delivered_hz };
    }
}

#[expect(clippy::print_stderr, reason = "progress goes to stderr")]
fn line(text: &str) {
    eprintln!("loadgen: {text}");
}

fn position(stage: Stage, counters: &Counters, now: Instant) -> (&'static str, u64, u64) {
    match stage {
        Stage::Gathering { clients } => {
            ("connecting", counters.joined.total() + counters.failed.total(), u64::from(clients))
        }
        Stage::Speaking { start, duration } => {
            let elapsed = now.saturating_duration_since(start);
            ("sending", elapsed.as_millis() as u64, duration.as_millis() as u64)
        }
        Stage::Draining => ("draining", 1, 1),
    }
}

fn text(stage: Stage, counters: &Counters, now: Instant, rates: Rates) -> String {
    match stage {
        Stage::Gathering { clients } => {
            let failed = match counters.failed.total() {
                0 => String::new(),
                failed => format!(", {} failed", counted(failed)),
            };
            format!("{} of {} joined{failed}", counted(counters.joined.total()), counted(clients))
        }
        Stage::Speaking { start, duration } => format!(
            "{:.0} of {:.0} s, {} messages/s, {} deliveries/s",
            now.saturating_duration_since(start).as_secs_f64(),
            duration.as_secs_f64(),
            counted(rates.sent_hz.round() as u64),
            counted(rates.delivered_hz.round() as u64)
        ),
        Stage::Draining => format!("{} deliveries so far", counted(counters.delivered.total())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_says_what_matters_in_it() {
        let counters = Counters::default();
        (0..1500).for_each(|_| counters.joined.count());
        let start = Instant::now();
        let mut rates = Rates::new(start);
        let gathering = Stage::Gathering { clients: 2000 };
        assert_eq!(text(gathering, &counters, start, rates), "1,500 of 2,000 joined");
        counters.failed.count();
        assert_eq!(text(gathering, &counters, start, rates), "1,500 of 2,000 joined, 1 failed");
        assert_eq!(position(gathering, &counters, start), ("connecting", 1501, 2000));

        (0..50).for_each(|_| counters.sent.count());
        let now = start + Duration::from_secs(5);
        rates.update(now, &counters);
        rates.update(now + Duration::from_millis(900), &counters);
        let speaking = Stage::Speaking { start, duration: Duration::from_secs(20) };
        assert_eq!(
            text(speaking, &counters, now, rates),
            "5 of 20 s, 10 messages/s, 0 deliveries/s"
        );
        assert_eq!(position(speaking, &counters, now), ("sending", 5000, 20_000));
    }
}
