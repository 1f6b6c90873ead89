//! The commands on one plan: `run`, `replay`, `shrink`.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::application::Subject;
use crate::judge::{Counts, Failure};
use crate::picture;
use crate::plan::Plan;
use crate::run::{Run, run_for};
use crate::story;
use crate::swarm::Profile;
use serde::Serialize;

use super::args::{OutputArgs, ReplayArgs, RunArgs, ShrinkArgs};
use super::{CommandError, Outcome, failing};

/// The result of one run, for programs.
#[derive(Serialize)]
struct RunJson<'a> {
    seed: Option<u64>,
    hash: String,
    counts: Counts,
    failures: &'a [Failure],
    report: Option<failing::Report>,
}

/// What has become of a plan that was to be made small, for programs.
#[derive(Default, Serialize)]
struct ShrinkJson<'a> {
    /// What is still broken; nothing if nothing was.
    guarantee: Option<&'a str>,
    clients: usize,
    operations: usize,
    faults: usize,
    runs: usize,
    is_minimal: bool,
}

/// `sim run`: the plan of one seed.
pub(super) fn run(
    subject: &dyn Subject,
    args: &RunArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let seed = args.seed.seed();
    let plan = subject.plan(seed, &Profile::from(&args.profile));
    if let Some(path) = &args.plan {
        failing::store(&plan, path)?;
    }
    let run = run_for(subject, &plan);
    write_history(&run, &args.output)?;
    let again =
        format!("{} run {seed} {}", subject.command(), args.profile.to_arguments().join(" "));
    draw(&plan, &run, &args.output, &again)?;
    let report = match run.judgement.failures.is_empty() {
        true => None,
        false => Some(failing::report(subject, &plan, &run, &args.failing)?),
    };
    let outcome = outcome(&run);
    if args.output.json {
        write_json(&plan, &run, report, out)?;
        return Ok(outcome);
    }
    write_summary(&plan, &run, out)?;
    if let Some(report) = report {
        report.write(out)?;
    }
    Ok(outcome)
}

/// `sim replay`: a stored plan.
pub(super) fn replay(
    subject: &dyn Subject,
    args: &ReplayArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let plan = read(subject, &args.file)?;
    let run = failing::failing_run(subject, &plan, None);
    let run = run.unwrap_or_else(|| run_for(subject, &plan));
    write_history(&run, &args.output)?;
    draw(&plan, &run, &args.output, &failing::replay(subject, &args.file))?;
    if args.output.json {
        write_json(&plan, &run, None, out)?;
        return Ok(outcome(&run));
    }
    write_summary(&plan, &run, out)?;
    let mut told = std::collections::BTreeSet::new();
    for failure in &run.judgement.failures {
        if told.insert(&failure.guarantee) {
            writeln!(out, "\n{}", story::tell(failure, &run.history))?;
        }
    }
    if told.is_empty() {
        writeln!(out, "this plan does not fail, or no longer, with the code as it is")?;
    }
    Ok(outcome(&run))
}

/// `sim shrink`: a stored plan, made small.
pub(super) fn shrink(
    subject: &dyn Subject,
    args: &ShrinkArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let plan = read(subject, &args.file)?;
    let run = failing::failing_run(subject, &plan, args.guarantee.as_deref());
    let is_wanted = |failure: &&Failure| {
        args.guarantee.as_ref().is_none_or(|wanted| *wanted == failure.guarantee)
    };
    let failures = run.iter().flat_map(|run| &run.judgement.failures);
    let Some(failure) = failures.into_iter().find(is_wanted) else {
        match args.json {
            true => write_line(&ShrinkJson::default(), out)?,
            false => writeln!(
                out,
                "this plan does not fail so with the code as it is: nothing to shrink"
            )?,
        }
        return Ok(Outcome::Clean);
    };
    let shrunk = failing::shrink_for(subject, &failure.guarantee, &plan, args.runs);
    failing::store(&shrunk.plan, &args.output)?;
    if args.json {
        let json = ShrinkJson {
            guarantee: Some(&failure.guarantee),
            clients: shrunk.plan.clients.len(),
            operations: shrunk.plan.operation_count(),
            faults: shrunk.plan.faults.len(),
            runs: shrunk.runs,
            is_minimal: shrunk.is_minimal,
        };
        write_line(&json, out)?;
        return Ok(Outcome::Violation);
    }
    writeln!(out, "{} broken by {}", failure.guarantee, plan.size())?;
    let minimal = if shrunk.is_minimal { "nothing more can go" } else { "the runs were used up" };
    writeln!(out, "and still by {} ({} runs, {minimal})", shrunk.plan.size(), shrunk.runs)?;
    writeln!(out, "stored in {}", args.output.display())?;
    Ok(Outcome::Violation)
}

fn read(subject: &dyn Subject, path: &Path) -> Result<Plan, CommandError> {
    let refuse = |source| CommandError::File { path: path.to_owned(), source };
    let json = fs::read_to_string(path).map_err(refuse)?;
    let plan = Plan::decode(&json)
        .map_err(|source| CommandError::Plan { path: path.to_owned(), source })?;
    if plan.application.as_deref() != subject.application() {
        let of = plan.application.unwrap_or_else(|| "the chat".to_owned());
        return Err(CommandError::Foreign { path: path.to_owned(), of });
    }
    Ok(plan)
}

fn outcome(run: &Run) -> Outcome {
    if run.judgement.failures.is_empty() { Outcome::Clean } else { Outcome::Violation }
}

fn write_history(run: &Run, args: &OutputArgs) -> Result<(), CommandError> {
    let Some(path) = &args.history else { return Ok(()) };
    let refuse = |source| CommandError::File { path: path.clone(), source };
    fs::write(path, run.history.encode()).map_err(refuse)
}

fn draw(plan: &Plan, run: &Run, args: &OutputArgs, again: &str) -> Result<(), CommandError> {
    let Some(path) = &args.timeline else { return Ok(()) };
    let failure = run.judgement.failures.first();
    failing::write(path, &picture::page(plan, &run.history, failure, again))
}

fn write_summary(plan: &Plan, run: &Run, out: &mut dyn Write) -> Result<(), CommandError> {
    let counts = &run.judgement.counts;
    let origin = plan.origin.map_or(String::new(), |seed| format!(" of seed {seed}"));
    writeln!(out, "plan{origin}: {}", plan.size())?;
    writeln!(
        out,
        "history {:016x}: {} entries, {} connections, {} of {} required deliveries, {} indeterminate",
        run.history.hash(),
        run.history.entries().len(),
        counts.connections,
        counts.delivered,
        counts.expected,
        counts.indeterminate
    )?;
    if run.judgement.failures.is_empty() {
        writeln!(out, "clean: every guarantee was kept")?;
    }
    Ok(())
}

fn write_json(
    plan: &Plan,
    run: &Run,
    report: Option<failing::Report>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let json = RunJson {
        seed: plan.origin,
        hash: format!("{:016x}", run.history.hash()),
        counts: run.judgement.counts,
        failures: &run.judgement.failures,
        report,
    };
    write_line(&json, out)
}

fn write_line(json: &impl Serialize, out: &mut dyn Write) -> Result<(), CommandError> {
    let text = serde_json::to_string(json).expect("a result has only strings as keys");
    writeln!(out, "{text}")?;
    Ok(())
}
