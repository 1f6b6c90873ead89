//! The command line: one module per command, and what they share.
//!
//! Results go to stdout, progress to stderr, and the exit code says it all:
//! 0 clean, 1 a violation, 2 a mistake in the call, 3 not deterministic.

pub(crate) mod args;
mod coverage;
mod determinism;
mod failing;
mod fleet;
mod mutants;
mod plans;
mod worker;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sim::plan::PlanError;

use args::Command;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing wrong.
    Clean,
    /// A guarantee is broken.
    Violation,
    /// The call made no sense.
    Usage,
    /// The same plan ran in two ways.
    NonDeterministic,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Clean => 0,
            Outcome::Violation => 1,
            Outcome::Usage => 2,
            Outcome::NonDeterministic => 3,
        })
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Plan { path: PathBuf, source: PlanError },
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    #[error("{what} failed: {why}")]
    Tool { what: String, why: String },
    #[error("a worker process said something else than results: {0}")]
    Worker(String),
}

/// Runs one command; its result goes to `out`.
pub(crate) fn run(command: &Command, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match command {
        Command::Coverage(args) => coverage::run(args, out),
        Command::Determinism(args) => determinism::run(args, out),
        Command::Fleet(args) => fleet::run(args, out),
        Command::Mutants(args) => mutants::run(args, out),
        Command::Replay(args) => plans::replay(args, out),
        Command::Run(args) => plans::run(args, out),
        Command::Shrink(args) => plans::shrink(args, out),
        Command::Worker(args) => worker::run(args, out),
    }
}
