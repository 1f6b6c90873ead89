//! `sim determinism`: the same seed must give the same history, twice in one
//! process and in two processes.
//!
//! Both are needed. A hash map's order differs between processes; tokio's task
//! numbers, which decide in which order a crashed host's tasks drop, only within one.

use std::collections::BTreeMap;
use std::io::Write;

use crate::application::Subject;
use crate::swarm::Profile;
use serde::Serialize;

use super::args::DeterminismArgs;
use super::worker::{SeedResult, Share, Worker};
use super::{CommandError, Outcome};

/// What was found.
#[derive(Debug, Serialize)]
struct Summary {
    seeds: u64,
    /// Seeds whose second run in this process was another one.
    differ_in_process: Vec<u64>,
    /// Seeds whose run in another process was another one.
    differ_across_processes: Vec<u64>,
}

/// Runs the check.
pub(super) fn run(
    subject: &dyn Subject,
    args: &DeterminismArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let profile = Profile::from(&args.profile);
    let share = Share { start: args.start, step: 1, end: args.start.saturating_add(args.seeds) };
    let first = hashes(subject, share, &profile);
    let second = hashes(subject, share, &profile);
    let elsewhere = [hashes_elsewhere(share, args)?, hashes_elsewhere(share, args)?];
    let differing = |other: &BTreeMap<u64, u64>| -> Vec<u64> {
        share.seeds().filter(|seed| other.get(seed) != first.get(seed)).collect()
    };
    let mut differ_across_processes: Vec<u64> = elsewhere.iter().flat_map(differing).collect();
    differ_across_processes.sort_unstable();
    differ_across_processes.dedup();
    let differ_in_process = differing(&second);
    let summary = Summary { seeds: args.seeds, differ_in_process, differ_across_processes };
    write(&summary, args, out)?;
    let is_clean =
        summary.differ_in_process.is_empty() && summary.differ_across_processes.is_empty();
    Ok(if is_clean { Outcome::Clean } else { Outcome::NonDeterministic })
}

fn hashes(subject: &dyn Subject, share: Share, profile: &Profile) -> BTreeMap<u64, u64> {
    share.seeds().map(|seed| (seed, SeedResult::of(subject, seed, profile).hash)).collect()
}

fn hashes_elsewhere(
    share: Share,
    args: &DeterminismArgs,
) -> Result<BTreeMap<u64, u64>, CommandError> {
    let (mut child, results) = Worker::start(share, &args.profile)?.into_parts();
    let hashes = results.map(|result| result.map(|result| (result.seed, result.hash))).collect();
    child.wait()?;
    hashes
}

fn write(
    summary: &Summary,
    args: &DeterminismArgs,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if args.json {
        let text = serde_json::to_string(summary).expect("a summary has only strings as keys");
        writeln!(out, "{text}")?;
        return Ok(());
    }
    for (what, seeds) in [
        ("in one process", &summary.differ_in_process),
        ("across processes", &summary.differ_across_processes),
    ] {
        let same = summary.seeds - seeds.len() as u64;
        writeln!(out, "{same} of {} seeds gave the same history {what}", summary.seeds)?;
        if !seeds.is_empty() {
            writeln!(out, "    not: {seeds:?}")?;
        }
    }
    Ok(())
}
