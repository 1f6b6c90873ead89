//! `sim fleet`: many seeds over several processes.
//!
//! One process per job, since tokio numbers tasks per process: worlds in two
//! threads would disturb each other. A seed whose world never ends, or takes
//! its process down, is found too: its worker is given up and the seed named.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::application::Subject;
use crate::coverage::{Coverage, RUNS_MIN, Situation};
use crate::judge::Counts;
use crate::run::run_for;
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
    seeds: u64,
    seconds: f64,
    runs_per_second: f64,
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
        write(subject, &summary, args, out)?;
    }
    Ok(summary.outcome())
}

impl Summary {
    pub(super) fn outcome(&self) -> Outcome {
        let is_clean = self.failing.is_empty() && self.never_reached.is_empty();
        if is_clean { Outcome::Clean } else { Outcome::Violation }
    }
}

/// Runs all seeds.
pub(super) fn gather_all(subject: &dyn Subject, args: &SeedsArgs) -> Result<Summary, CommandError> {
    let end = args.start.saturating_add(args.seeds);
    let jobs = args.jobs.get().min(args.seeds.max(1));
    let shares = (0..jobs).map(|job| Share { start: args.start + job, step: jobs, end });
    let progress = progress_bar(args.seeds);
    let started = now();
    let mut summary = Summary { seeds: args.seeds, ..Summary::default() };
    gather(shares.collect(), args, &progress, &mut summary)?;
    summary.seconds = started.elapsed().as_secs_f64();
    summary.runs_per_second = args.seeds as f64 / summary.seconds;
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

/// What one job says: a result, or nothing more.
type News = (usize, Option<Result<SeedResult, CommandError>>);

/// Starts the workers and takes in what they say until all are done.
fn gather(
    shares: Vec<Share>,
    args: &SeedsArgs,
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
        jobs.push(Job { child, missing: share.seeds().collect() });
    }
    drop(sender);
    let gathered = take_in(&news, &mut jobs, progress, summary);
    for job in &mut jobs {
        // Workers that are done are gone already; the rest hangs.
        let _ = job.child.kill();
        let _ = job.child.wait();
        if let Some(&seed) = job.missing.first() {
            summary.failing.insert(seed, vec![ENDS.to_owned()]);
        }
    }
    gathered
}

struct Job {
    child: Child,
    /// Its seeds without a result, in order.
    missing: std::collections::BTreeSet<u64>,
}

fn take_in(
    news: &Receiver<News>,
    jobs: &mut [Job],
    progress: &ProgressBar,
    summary: &mut Summary,
) -> Result<(), CommandError> {
    let mut running = jobs.len();
    while running > 0 {
        match news.recv_timeout(SILENCE_MAX) {
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
            Ok((_, None)) => running -= 1,
            Ok((job, Some(result))) => {
                let result = result?;
                jobs[job].missing.remove(&result.seed);
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
    Ok(())
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
        let run = run_for(subject, &plan);
        if !run.judgement.failures.is_empty() {
            summary.reports.push(failing::report(subject, &plan, &run, &args.failing)?);
        }
    }
    Ok(())
}

fn write(
    subject: &dyn Subject,
    summary: &Summary,
    args: &FleetArgs,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for report in &summary.reports {
        report.write(out)?;
    }
    for (seed, guarantees) in &summary.failing {
        writeln!(out, "seed {seed}: {}", guarantees.join(", "))?;
    }
    writeln!(
        out,
        "{} seeds from {} in {:.1} s ({:.1} a second): {} failing; {} deliveries, {} connections, \
         {} indeterminate",
        summary.seeds,
        args.seeds.start,
        summary.seconds,
        summary.runs_per_second,
        summary.failing.len(),
        summary.counts.delivered,
        summary.counts.connections,
        summary.counts.indeterminate
    )?;
    coverage::write(subject, &summary.coverage, &summary.never_reached, out)?;
    Ok(())
}

fn progress_bar(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} {msg}");
    ProgressBar::new(seeds).with_style(style.expect("the template is well formed"))
}
