//! `sim fleet`: many seeds over several processes.
//!
//! One process per job, since tokio numbers tasks per process: worlds in two
//! threads would disturb each other. A seed whose world never ends, or takes
//! its process down, is found too: its worker is given up and the seed named.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::application::Subject;
use crate::coverage::{Coverage, RUNS_MIN, Situation};
use crate::judge::Counts;
use crate::swarm::Profile;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::{FleetArgs, SeedsArgs};
use super::failing::{self, Report};
use super::worker::{SeedResult, Share, Worker};
use super::{CommandError, Outcome, coverage};

/// A world takes milliseconds; after this long without any result it hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The name under which a seed is listed that took its process down or never ended.
const ENDS: &str = "world_ends";

/// What a fleet found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// The first one; the rest follow.
    start: u64,
    seeds: u64,
    seconds: f64,
    runs_per_second: f64,
    deliveries_per_second: f64,
    counts: Counts,
    /// How many runs were in which situation, and how often.
    pub(super) coverage: Coverage,
    /// What a fleet of this size had to reach and did not.
    pub(super) never_reached: Vec<Situation>,
    /// Every failing seed with the guarantees it breaks.
    failing: BTreeMap<u64, Vec<String>>,
    /// The first of them, shrunk.
    reports: Vec<Report>,
}

/// Runs the fleet.
pub(super) fn run(
    subject: &dyn Subject,
    args: &FleetArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let mut summary = gather_all(subject, &args.seeds)?;
    tell_some(subject, args, &mut summary)?;
    if args.json {
        let text = serde_json::to_string(&summary).expect("a summary has only strings as keys");
        writeln!(out, "{text}")?;
    } else {
        write(subject, &summary, out)?;
    }
    Ok(summary.outcome())
}

impl Summary {
    /// The seeds that fail, and a line about all.
    pub(super) fn write_seeds(&self, out: &mut dyn Write) -> io::Result<()> {
        for (seed, guarantees) in &self.failing {
            writeln!(out, "seed {seed}: {}", guarantees.join(", "))?;
        }
        let Counts { delivered, connections, indeterminate, .. } = self.counts;
        writeln!(
            out,
            "{} seeds from {} in {:.1} s ({:.1} seeds and {:.0} deliveries a second): {} failing; \
             {delivered} deliveries, {connections} connections, {indeterminate} indeterminate",
            self.seeds,
            self.start,
            self.seconds,
            self.runs_per_second,
            self.deliveries_per_second,
            self.failing.len(),
        )
    }

    pub(super) fn outcome(&self) -> Outcome {
        let is_clean = self.failing.is_empty() && self.never_reached.is_empty();
        if is_clean { Outcome::Clean } else { Outcome::Violation }
    }
}

/// Runs all seeds.
pub(super) fn gather_all(subject: &dyn Subject, args: &SeedsArgs) -> Result<Summary, CommandError> {
    let start = args.start.unwrap_or_else(fresh);
    let seeds = if args.time.is_some() { u64::MAX - start } else { args.seeds };
    let end = start.saturating_add(seeds);
    let jobs = args.jobs.get().min(seeds.max(1));
    let shares = (0..jobs).map(|job| Share { start: start + job, step: jobs, end });
    let progress = progress_bar(args.time.is_none().then_some(seeds));
    let started = now();
    let mut summary = Summary { start, ..Summary::default() };
    gather(shares.collect(), args, started, &progress, &mut summary)?;
    summary.seconds = started.elapsed().as_secs_f64();
    summary.runs_per_second = summary.seeds as f64 / summary.seconds;
    summary.deliveries_per_second = summary.counts.delivered as f64 / summary.seconds;
    progress.finish_and_clear();
    if summary.seeds >= RUNS_MIN {
        let missed = summary.coverage.missed(&Profile::from(&args.profile));
        let missed = missed.into_iter().filter(|it| subject.situations().contains(it));
        summary.never_reached = missed.collect();
    }
    Ok(summary)
}

/// The time by the wall, for people.
#[expect(clippy::disallowed_methods, reason = "measures this program, not the simulation")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A first seed that no fleet has had before, if none runs a thousand seeds a second.
#[expect(clippy::disallowed_methods, reason = "fresh seeds are no part of a simulation")]
fn fresh() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    1000 * since.map_or(0, |since| since.as_secs())
}

/// What one job says: a result, or nothing more.
type News = (usize, Option<Result<SeedResult, CommandError>>);

/// Starts the workers and takes in what they say until all are done.
fn gather(
    shares: Vec<Share>,
    args: &SeedsArgs,
    started: std::time::Instant,
    progress: &ProgressBar,
    summary: &mut Summary,
) -> Result<(), CommandError> {
    let (sender, news) = sync_channel::<News>(1024);
    let mut jobs = Vec::new();
    for (job, share) in shares.into_iter().enumerate() {
        let (child, results) = Worker::start(share, &args.profile)?.into_parts();
        let sender = sender.clone();
        thread::spawn(move || {
            // A send fails only when the fleet has been given up.
            for result in results {
                if sender.send((job, Some(result))).is_err() {
                    return;
                }
            }
            let _ = sender.send((job, None));
        });
        let missing = Some(share).filter(|share| share.start < share.end);
        jobs.push(Job { child, has_ended: false, missing });
    }
    drop(sender);
    let end = args.time.map(|time| started + time);
    let gathered = take_in(&news, &mut jobs, end, progress, summary);
    for job in &mut jobs {
        // Workers that are done are gone already.
        let _ = job.child.kill();
        let _ = job.child.wait();
    }
    // A process that has ended without all its results went down with the next one.
    let is_silent = gathered? == Stop::Silence;
    let down = jobs.iter().filter(|job| job.has_ended || is_silent);
    for share in down.filter_map(|job| job.missing) {
        summary.failing.insert(share.start, vec![ENDS.to_owned()]);
    }
    Ok(())
}

/// Why no more results are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The time is over, or all are there.
    Done,
    /// Nothing came for long: the seeds that are next never end.
    Silence,
}

struct Job {
    child: Child,
    has_ended: bool,
    /// Its seeds without a result, if there are any.
    missing: Option<Share>,
}

fn take_in(
    news: &Receiver<News>,
    jobs: &mut [Job],
    end: Option<std::time::Instant>,
    progress: &ProgressBar,
    summary: &mut Summary,
) -> Result<Stop, CommandError> {
    let mut running = jobs.len();
    while running > 0 {
        let left = end.map(|end| end.saturating_duration_since(now()));
        match news.recv_timeout(left.map_or(SILENCE_MAX, |left| left.min(SILENCE_MAX))) {
            Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left < SILENCE_MAX) => break,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Ok(Stop::Silence);
            }
            Ok((job, None)) => {
                running -= 1;
                jobs[job].has_ended = true;
            }
            Ok((job, Some(result))) => {
                let result = result?;
                jobs[job].missing = jobs[job].missing.and_then(|share| share.after(result.seed));
                summary.seeds += 1;
                progress.inc(1);
                summary.counts.add(&result.counts);
                summary.coverage.add(&result.coverage);
                if !result.guarantees.is_empty() {
                    progress.set_message(format!("{} failing", summary.failing.len() + 1));
                    summary.failing.insert(result.seed, result.guarantees);
                }
            }
        }
    }
    Ok(Stop::Done)
}

/// Tells and shrinks the first failing seeds, one of each guarantee before others.
fn tell_some(
    subject: &dyn Subject,
    args: &FleetArgs,
    summary: &mut Summary,
) -> Result<(), CommandError> {
    let mut told: Vec<&[String]> = Vec::new();
    for (&seed, guarantees) in &summary.failing {
        let is_new = !told.contains(&guarantees.as_slice());
        if told.len() >= args.tell || !is_new || guarantees.iter().any(|name| name == ENDS) {
            continue;
        }
        told.push(guarantees);
        let plan = subject.plan(seed, &Profile::from(&args.seeds.profile));
        if let Some(run) = failing::failing_run(subject, &plan, None) {
            summary.reports.push(failing::report(subject, &plan, &run, &args.failing)?);
        }
    }
    Ok(())
}

fn write(
    subject: &dyn Subject,
    summary: &Summary,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for report in &summary.reports {
        report.write(out)?;
    }
    summary.write_seeds(out)?;
    coverage::write(subject, &summary.coverage, &summary.never_reached, out)?;
    Ok(())
}

fn progress_bar(seeds: Option<u64>) -> ProgressBar {
    let (bar, template) = match seeds {
        Some(seeds) => {
            (ProgressBar::new(seeds), "{bar:40} {pos}/{len} seeds, {per_sec}, {eta} {msg}")
        }
        None => (ProgressBar::no_length(), "{elapsed}: {pos} seeds, {per_sec} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}
