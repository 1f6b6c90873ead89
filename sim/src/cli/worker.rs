//! A worker of a fleet: runs its seeds, one line of JSON on stdout for each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::application::Subject;
use crate::coverage::{self, Times};
use crate::judge::Counts;
use crate::run::run_for;
use crate::swarm::Profile;
use serde::{Deserialize, Serialize};

use super::args::{ProfileArgs, WorkerArgs};
use super::{CommandError, Outcome};

/// What a worker says of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeedResult {
    pub(crate) seed: u64,
    /// The history's hash.
    pub(crate) hash: u64,
    /// The guarantees broken.
    pub(crate) guarantees: Vec<String>,
    pub(crate) counts: Counts,
    /// How often it was in which situation.
    pub(crate) coverage: Times,
}

impl SeedResult {
    /// Runs one seed in this process.
    pub(crate) fn of(subject: &dyn Subject, seed: u64, profile: &Profile) -> Self {
        let plan = subject.plan(seed, profile);
        let run = run_for(subject, &plan);
        let guarantees = run.judgement.guarantees().into_iter().map(str::to_owned).collect();
        Self {
            seed,
            hash: run.history.hash(),
            guarantees,
            counts: run.judgement.counts,
            coverage: coverage::of(&plan, &run.history),
        }
    }
}

/// The seeds of one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) start: u64,
    pub(crate) step: u64,
    pub(crate) end: u64,
}

impl Share {
    /// What is left of it behind a seed.
    pub(crate) fn after(self, seed: u64) -> Option<Self> {
        let start = seed.checked_add(self.step).filter(|&start| start < self.end)?;
        Some(Self { start, ..self })
    }

    pub(crate) fn seeds(self) -> impl Iterator<Item = u64> {
        (0..).map_while(move |index: u64| {
            let seed = self.start.checked_add(index.checked_mul(self.step)?)?;
            (seed < self.end).then_some(seed)
        })
    }
}

/// Runs a worker's share, in the worker's process.
pub(crate) fn run(
    subject: &dyn Subject,
    args: &WorkerArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let profile = Profile::from(&args.profile);
    let share = Share { start: args.start, step: args.step.get(), end: args.end };
    for seed in share.seeds() {
        let result = SeedResult::of(subject, seed, &profile);
        let line = serde_json::to_string(&result).expect("a result has only strings as keys");
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(Outcome::Clean)
}

/// A worker process, seen from its parent.
pub(crate) struct Worker {
    child: Child,
    results: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts this program again as a worker with a share.
    pub(crate) fn start(share: Share, profile: &ProfileArgs) -> Result<Self, CommandError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .arg(format!("--start={}", share.start))
            .arg(format!("--step={}", share.step))
            .arg(format!("--end={}", share.end))
            .args(profile.to_arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        Ok(Self { child, results: BufReader::new(stdout) })
    }

    /// Splits into the process, to be killed and waited for, and its results.
    pub(crate) fn into_parts(
        self,
    ) -> (Child, impl Iterator<Item = Result<SeedResult, CommandError>>) {
        let results = self.results.lines().map(|line| {
            let line = line?;
            serde_json::from_str(&line).map_err(|_| CommandError::Worker(line))
        });
        (self.child, results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_deal_every_seed_to_one_worker() {
        let share = |start| Share { start, step: 3, end: 17 };
        let mut seeds: Vec<u64> = (10..13).flat_map(|start| share(start).seeds()).collect();
        seeds.sort_unstable();
        assert_eq!(seeds, (10..17).collect::<Vec<u64>>());
    }

    #[test]
    fn a_share_at_the_end_of_all_numbers_ends() {
        let share = Share { start: u64::MAX - 1, step: 2, end: u64::MAX };
        assert_eq!(share.seeds().collect::<Vec<u64>>(), [u64::MAX - 1]);
    }
}
