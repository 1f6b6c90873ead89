//! `sim mutants`: breaks the engine on purpose, and sees who notices.
//!
//! A mutant is a small patch in `sim/mutants/`, whose first line names the
//! guarantee that must find it (`killer: no_duplicate`). It is applied to a
//! copy of the tree, built there, and given the same seeds as everybody else.
//! It is killed if the guarantee that should notice is among those broken. One whose
//! killer is `determinism` breaks the simulation's own promise: it is killed if the same
//! seed runs in two ways.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::plan::Plan;
use serde::{Deserialize, Serialize};

use super::args::MutantsArgs;
use super::{CommandError, Outcome};

/// What the fleet says of a broken engine.
#[derive(Deserialize)]
struct Fleet {
    failing: BTreeMap<u64, Vec<String>>,
}

/// What is said of an engine that may run in two ways.
#[derive(Deserialize)]
struct Twice {
    differ_in_process: BTreeSet<u64>,
    differ_across_processes: BTreeSet<u64>,
}

/// The killer that is no guarantee.
const DETERMINISM: &str = "determinism";

/// A patch, and who must notice it.
struct Mutant {
    name: String,
    patch: PathBuf,
    killer: String,
}

/// What became of a mutant.
struct Fate {
    /// Seeds that break anything.
    failing: usize,
    /// Seeds until the killer noticed, and what is left of that seed's plan.
    killed: Option<(u64, Option<Plan>)>,
    /// Other guarantees that were broken too.
    others: Vec<String>,
}

/// A line of the table.
#[derive(Serialize)]
struct Row<'a> {
    mutant: &'a str,
    killer: &'a str,
    /// None if it survived.
    first_seed: Option<u64>,
    failing_seeds: usize,
    seeds: u64,
    /// Of the first seed's plan, made small.
    operations: Option<usize>,
    faults: Option<usize>,
    also_broken: &'a [String],
}

/// Runs all mutants, or those named.
pub(super) fn run(args: &MutantsArgs, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let root = root();
    let mut survivors = 0;
    if !args.json {
        let head =
            "| mutant | killer | first seed | failing seeds | after shrinking | also broken |";
        writeln!(out, "{head}\n|---|---|---|---|---|---|")?;
    }
    for mutant in mutants(&root, &args.names)? {
        let tree = root.join("target/mutants/tree");
        copy_tree(&root, &tree)?;
        apply(&mutant, &tree)?;
        let program = build(&root, &tree)?;
        let fate = if mutant.killer == DETERMINISM {
            try_twice(&program, args)?
        } else {
            try_seeds(&program, &mutant, &root.join("target/mutants"), args)?
        };
        survivors += usize::from(fate.killed.is_none());
        write(&mutant, &fate, args, out)?;
        out.flush()?;
    }
    Ok(if survivors == 0 { Outcome::Clean } else { Outcome::Violation })
}

fn write(
    mutant: &Mutant,
    fate: &Fate,
    args: &MutantsArgs,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let Mutant { name, killer, .. } = mutant;
    let (failing, seeds) = (fate.failing, args.seeds);
    let plan = fate.killed.as_ref().and_then(|(_, plan)| plan.as_ref());
    let first_seed = fate.killed.as_ref().map(|&(seed, _)| seed);
    if args.json {
        let row = Row {
            mutant: name,
            killer,
            first_seed,
            failing_seeds: failing,
            seeds,
            operations: plan.map(Plan::operation_count),
            faults: plan.map(|plan| plan.faults.len()),
            also_broken: &fate.others,
        };
        let text = serde_json::to_string(&row).expect("its keys are names");
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let seed = first_seed.map_or_else(|| "SURVIVED".to_owned(), |seed| seed.to_string());
    let size = plan.map(Plan::size).unwrap_or_default();
    let others = fate.others.join(", ");
    writeln!(out, "| {name} | {killer} | {seed} | {failing} of {seeds} | {size} | {others} |")?;
    Ok(())
}

/// The workspace that this program was built from.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace").to_owned()
}

fn mutants(root: &Path, names: &[String]) -> Result<Vec<Mutant>, CommandError> {
    let folder = root.join("sim/mutants");
    let refuse = |source| CommandError::File { path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(refuse)? {
        let patch = entry.map_err(refuse)?.path();
        let name = patch.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let wanted = names.is_empty() || names.contains(&name);
        if wanted && patch.extension() == Some(OsStr::new("patch")) {
            let text = fs::read_to_string(&patch).map_err(refuse)?;
            let killer = text.lines().next().and_then(|line| line.strip_prefix("killer: "));
            let killer = killer
                .ok_or_else(|| failed("a mutant's first line is `killer: GUARANTEE`", &name))?;
            found.push(Mutant { name, patch, killer: killer.to_owned() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Brings the copy to the state of the tree; what is equal keeps its time, so that little is built.
fn copy_tree(root: &Path, tree: &Path) -> Result<(), CommandError> {
    let list =
        output(Command::new("git").args(["ls-files", "-z"]).current_dir(root), "git ls-files")?;
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), tree.join(name));
        let refuse = |source| CommandError::File { path: from.clone(), source };
        let text = fs::read(&from).map_err(refuse)?;
        if fs::read(&to).ok().as_ref() != Some(&text) {
            fs::create_dir_all(to.parent().expect("a file lies in a folder")).map_err(refuse)?;
            fs::write(&to, text).map_err(refuse)?;
        }
    }
    Ok(())
}

fn apply(mutant: &Mutant, tree: &Path) -> Result<(), CommandError> {
    let mut command = Command::new("git");
    // Not as a part of the repository around it.
    command.env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree));
    command.arg("apply").arg(&mutant.patch).current_dir(tree);
    output(&mut command, "git apply").map(drop)
}

fn build(root: &Path, tree: &Path) -> Result<PathBuf, CommandError> {
    let target = root.join("target/mutants/target");
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--profile", "mutants", "-p", "sim"]);
    command.current_dir(tree).env("CARGO_TARGET_DIR", &target);
    output(&mut command, "cargo build")?;
    Ok(target.join("mutants/sim"))
}

fn try_seeds(
    program: &Path,
    mutant: &Mutant,
    folder: &Path,
    args: &MutantsArgs,
) -> Result<Fate, CommandError> {
    let mut fleet = Command::new(program);
    fleet.args(["fleet", "--json", "--tell=0", "--start=0"]);
    fleet.arg(format!("--seeds={}", args.seeds)).arg(format!("--jobs={}", args.jobs));
    fleet.args(args.profile.to_arguments());
    let text = output_of_any_end(&mut fleet, "sim fleet")?;
    let Fleet { failing } = serde_json::from_str(&text)
        .map_err(|error| failed("sim fleet", &format!("{error} in {text}")))?;
    let mut others: Vec<String> = failing.values().flatten().cloned().collect();
    others.sort();
    others.dedup();
    others.retain(|name| *name != mutant.killer);
    let first = failing.iter().find(|(_, broken)| broken.contains(&mutant.killer));
    let killed = match first {
        Some((&seed, _)) => Some((seed, Some(shrink(program, mutant, folder, seed, args)?))),
        None => None,
    };
    Ok(Fate { failing: failing.len(), killed, others })
}

/// Sees whether the same seeds run in the same way again.
fn try_twice(program: &Path, args: &MutantsArgs) -> Result<Fate, CommandError> {
    let mut twice = Command::new(program);
    twice.args(["determinism", "--json"]).arg(format!("--seeds={}", args.seeds));
    twice.args(args.profile.to_arguments());
    let text = output_of_any_end(&mut twice, "sim determinism")?;
    let Twice { differ_in_process, differ_across_processes } = serde_json::from_str(&text)
        .map_err(|error| failed("sim determinism", &format!("{error} in {text}")))?;
    let differing: BTreeSet<u64> = &differ_in_process | &differ_across_processes;
    let killed = differing.first().map(|&seed| (seed, None));
    Ok(Fate { failing: differing.len(), killed, others: Vec::new() })
}

/// Makes the seed's plan small, as far as the killer still notices.
fn shrink(
    program: &Path,
    mutant: &Mutant,
    folder: &Path,
    seed: u64,
    args: &MutantsArgs,
) -> Result<Plan, CommandError> {
    let (whole, small) = (folder.join("whole.json"), folder.join(format!("{}.json", mutant.name)));
    let mut plan = Command::new(program);
    plan.arg("run").arg(format!("--seed={seed}")).arg("--shrink-runs=0").arg("--plan").arg(&whole);
    plan.arg("--out").arg(folder).args(args.profile.to_arguments());
    output_of_any_end(&mut plan, "sim run")?;
    let mut shrink = Command::new(program);
    shrink.arg("shrink").arg(&whole).arg("--output").arg(&small);
    shrink.arg(format!("--guarantee={}", mutant.killer));
    output_of_any_end(&mut shrink, "sim shrink")?;
    let json = fs::read_to_string(&small)
        .map_err(|source| CommandError::File { path: small.clone(), source })?;
    Plan::decode(&json).map_err(|source| CommandError::Plan { path: small, source })
}

/// Runs a command that must succeed.
fn output(command: &mut Command, what: &str) -> Result<String, CommandError> {
    let done =
        command.stdin(Stdio::null()).output().map_err(|error| failed(what, &error.to_string()))?;
    if !done.status.success() {
        return Err(failed(what, &String::from_utf8_lossy(&done.stderr)));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command whose exit code is a verdict.
fn output_of_any_end(command: &mut Command, what: &str) -> Result<String, CommandError> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let done = done.map_err(|error| failed(what, &error.to_string()))?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn failed(what: &str, why: &str) -> CommandError {
    CommandError::Tool { what: what.to_owned(), why: why.trim().to_owned() }
}
