//! What becomes of a failing plan: its story, a small version of it in a file, its
//! picture beside it, and the one command that runs it again.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::application::Subject;
use crate::picture;
use crate::plan::Plan;
use crate::run::{Run, run_for};
use crate::shrink::{Shrunk, shrink};
use crate::story;
use crate::votes;
use serde::Serialize;

use super::CommandError;
use super::args::FailingArgs;

/// A failing plan, told and stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The seed it came from, if any.
    pub(crate) seed: Option<u64>,
    /// The guarantees broken by the plan as it was.
    pub(crate) guarantees: BTreeSet<String>,
    /// The guarantee that the shrunk plan breaks too.
    pub(crate) shrunk_for: String,
    /// Where the shrunk plan is.
    pub(crate) file: PathBuf,
    /// Where it is drawn.
    pub(crate) picture: PathBuf,
    /// How many clients, operations and faults it has.
    pub(crate) size: String,
    /// Operations left.
    pub(crate) operations: usize,
    /// Faults left.
    pub(crate) faults: usize,
    /// How many runs shrinking took.
    pub(crate) shrink_runs: usize,
    /// In how many of twenty runs the shrunk plan breaks it, if its runs differ.
    pub(crate) failing_runs: Option<usize>,
    /// The command that runs it again.
    pub(crate) replay: String,
    /// What happened in the shrunk plan.
    pub(crate) story: String,
}

/// Shrinks and stores a failing plan.
///
/// # Panics
///
/// If the run does not fail.
pub(crate) fn report(
    subject: &dyn Subject,
    plan: &Plan,
    whole: &Run,
    args: &FailingArgs,
) -> Result<Report, CommandError> {
    let guarantees: BTreeSet<String> =
        whole.judgement.guarantees().into_iter().map(str::to_owned).collect();
    // Clients' own view comes first among the failures, and the earliest tells most.
    let first = whole.judgement.failures.first().expect("only failing plans are reported");
    let shrunk = shrink_for(subject, &first.guarantee, plan, args.shrink_runs);
    let runs = shrunk.runs;
    let again = failing_run(subject, &shrunk.plan, Some(&first.guarantee));
    // Only where runs differ can it be that none fails now.
    let (plan, small) = match again {
        Some(run) => (shrunk.plan, run),
        None => (plan.clone(), whole.clone()),
    };
    let failure = small.judgement.failures.iter().find(|it| it.guarantee == first.guarantee);
    let failure = failure.expect("shrinking keeps the guarantee that is broken");
    let failing_runs = (!subject.replays_exactly()).then(|| {
        let runs = 0..votes::MEASURED;
        runs.filter(|_| breaks(&run_for(subject, &plan), Some(&first.guarantee))).count()
    });
    let name = plan.origin.map_or_else(|| "plan".to_owned(), |seed| format!("seed-{seed}"));
    let file = args.out.join(format!("{name}-{}.json", failure.guarantee));
    store(&plan, &file)?;
    let picture = file.with_extension("html");
    let replay = replay(subject, &file);
    write(&picture, &picture::page(&plan, &small.history, Some(failure), &replay))?;
    Ok(Report {
        seed: plan.origin,
        guarantees,
        shrunk_for: failure.guarantee.clone(),
        replay,
        file,
        picture,
        size: plan.size(),
        operations: plan.operation_count(),
        faults: plan.faults.len(),
        shrink_runs: runs,
        failing_runs,
        story: story::tell(failure, &small.history),
    })
}

/// A run of a plan that breaks `guarantee`, or any if that is none. Where runs differ, a few
/// are tried.
pub(crate) fn failing_run(
    subject: &dyn Subject,
    plan: &Plan,
    guarantee: Option<&str>,
) -> Option<Run> {
    let tries = if subject.replays_exactly() { 1 } else { votes::MEASURED };
    (0..tries).map(|_| run_for(subject, plan)).find(|run| breaks(run, guarantee))
}

fn breaks(run: &Run, guarantee: Option<&str>) -> bool {
    let mut failures = run.judgement.failures.iter();
    failures.any(|failure| guarantee.is_none_or(|wanted| failure.guarantee == wanted))
}

/// Makes a plan small that breaks `guarantee`; a candidate counts only if it
/// breaks the same one.
pub(crate) fn shrink_for(
    subject: &dyn Subject,
    guarantee: &str,
    plan: &Plan,
    runs_max: usize,
) -> Shrunk {
    let fails = |candidate: &Plan| breaks(&run_for(subject, candidate), Some(guarantee));
    if subject.replays_exactly() {
        return shrink(plan, runs_max, &mut |candidate| fails(candidate));
    }
    shrink(plan, runs_max, &mut |candidate| votes::fails_mostly(|| fails(candidate)))
}

/// Writes a plan to a file, with the folders above it.
pub(crate) fn store(plan: &Plan, path: &Path) -> Result<(), CommandError> {
    write(path, &plan.encode())
}

/// Writes a file, with the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let refuse = |source| CommandError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refuse)?;
    }
    fs::write(path, text).map_err(refuse)
}

/// The command that runs a stored plan again.
pub(crate) fn replay(subject: &dyn Subject, file: &Path) -> String {
    format!("{} replay {}", subject.command(), file.display())
}

impl Report {
    /// The story first, then how to see it again.
    pub(crate) fn write(&self, out: &mut dyn Write) -> Result<(), CommandError> {
        let seed = self.seed.map_or_else(|| "plan".to_owned(), |seed| format!("seed {seed}"));
        let broken: Vec<&str> = self.guarantees.iter().map(String::as_str).collect();
        writeln!(out, "{seed} breaks {}", broken.join(", "))?;
        writeln!(out, "shrunk in {} runs to {}:\n", self.shrink_runs, self.size)?;
        writeln!(out, "{}", self.story)?;
        if let Some(failing) = self.failing_runs {
            writeln!(
                out,
                "runs of this server differ: a plan counted as failing if {} of {} runs failed; \
                 this one fails in {failing} of {}",
                votes::FAILING,
                votes::RUNS,
                votes::MEASURED
            )?;
        }
        writeln!(out, "plan stored in {}; replay it with", self.file.display())?;
        writeln!(out, "    {}", self.replay)?;
        writeln!(out, "drawn in {} (open it in a browser)\n", self.picture.display())?;
        Ok(())
    }
}
