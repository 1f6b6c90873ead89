//! `sim`: runs seeds and plans in the simulated world from the command line.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::args::Args::parse();
    sim::panics::watch();
    match cli::run(&args.command, &mut std::io::stdout()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            // If even stderr is gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "sim: {error}");
            cli::Outcome::Usage.into()
        }
    }
}
