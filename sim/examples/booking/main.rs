//! A theatre that sells seats, tested by `sim`: what a test of your own application
//! looks like. The application, its clients and what must be true are in `theatre.rs`.
//!
//! ```text
//! cargo run --release -p sim --example booking -- fleet --seeds 1000
//! BOOKING_BUG=race cargo run --release -p sim --example booking -- fleet --start 0 --seeds 200
//! ```
//!
//! The first is clean. The second sells a seat twice, tells how, and leaves the plan of
//! a few operations and its picture in `target/sim`. Other bugs: `memory`, `retry`.

mod theatre;

use std::io::Write;
use std::process::ExitCode;

use theatre::{Bug, Theatre};

fn main() -> ExitCode {
    let name = std::env::var("BOOKING_BUG").ok();
    match Bug::named(name.as_deref()) {
        Some(bug) => sim::cli::main(&Theatre { bug }),
        None => {
            // If stderr is gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "BOOKING_BUG is memory, race or retry");
            ExitCode::from(2)
        }
    }
}
