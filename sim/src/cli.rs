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
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::application::Subject;
use crate::panics;
use crate::plan::PlanError;

use args::{Args, Command};

/// Runs the command line of a program that tests `subject`: all that its `main` has to do.
///
/// Commands are `run`, `replay`, `shrink`, `fleet`, `determinism` and `coverage`;
/// `--help` tells the rest. Worker processes are this program again, with its
/// environment.
pub fn main(subject: &dyn Subject) -> ExitCode {
    let name = subject.application().unwrap_or("sim").to_owned();
    // Mutants are of parlor's engine, which only its own repository can break.
    let command = Args::command().name(name.clone()).bin_name(name.clone());
    let command = command.mut_subcommand("mutants", |it| it.hide(subject.application().is_some()));
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    panics::watch();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(subject, &args.command, &mut io::stdout())));
    // If even stderr is gone there is nobody left to tell.
    let complain = |what: &str| drop(writeln!(io::stderr(), "{name}: {what}"));
    match outcome {
        Ok(Ok(outcome)) => outcome.into(),
        Ok(Err(error)) => {
            complain(&error.to_string());
            Outcome::Usage.into()
        }
        // Worlds keep theirs to themselves: this one is of the program around them.
        Err(_) => {
            complain(&panics::take().unwrap_or_default());
            ExitCode::from(101)
        }
    }
}

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
    #[error("{path}: a plan of {of}, which this program does not run")]
    Foreign { path: PathBuf, of: String },
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    #[error("{what} failed: {why}")]
    Tool { what: String, why: String },
    #[error("a worker process said something else than results: {0}")]
    Worker(String),
}

/// Runs one command; its result goes to `out`.
fn run(
    subject: &dyn Subject,
    command: &Command,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    match command {
        Command::Coverage(args) => coverage::run(subject, args, out),
        Command::Determinism(args) => determinism::run(subject, args, out),
        Command::Fleet(args) => fleet::run(subject, args, out),
        Command::Mutants(args) => mutants::run(args, out),
        Command::Replay(args) => plans::replay(subject, args, out),
        Command::Run(args) => plans::run(subject, args, out),
        Command::Shrink(args) => plans::shrink(subject, args, out),
        Command::Worker(args) => worker::run(subject, args, out),
    }
}
