//! `sim`: runs seeds and plans of the chat in the simulated world from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::cli::main(&sim::chat::Chat)
}
