//! A server that is not parlor's in parlor's simulation: socketioxide, with the chat's
//! clients, plans and checkers.
//!
//! ```text
//! cargo run --release -p sim --example socketioxide -- fleet --start 0 --seeds 1000 --jobs 2
//! FAULTS=loss cargo run --release -p sim --example socketioxide -- fleet --start 0 --seeds 1000
//! ```
//!
//! Its runs differ, and shrinking takes what fails in three of five, since its ids and hash
//! maps draw on the system's randomness. Where that can be replaced they do not:
//!
//! ```text
//! cc -shared -fPIC -o target/random.so sim/examples/socketioxide/random.c
//! cargo build --release -p sim --example socketioxide
//! LD_PRELOAD=target/random.so target/release/examples/socketioxide determinism
//! ```
//!
//! With `HANDLERS=waiting` each handler waits a few milliseconds first, as for a database.
//!
//! The chat is in `handlers.rs`, how it is served in `server.rs`, what its plans lack and
//! how it is judged in `subject.rs`. What was found is in
//! `reports/2026-11-23-socketioxide`.

mod handlers;
mod server;
mod subject;

use std::io::Write;
use std::process::ExitCode;

use subject::{FaultClass, Socketioxide};

fn main() -> ExitCode {
    let name = std::env::var("FAULTS").ok();
    match FaultClass::named(name.as_deref()) {
        Some(faults) => {
            let waits = std::env::var("HANDLERS").is_ok_and(|kind| kind == "waiting");
            sim::cli::main(&Socketioxide::new(faults, waits))
        }
        None => {
            let known = FaultClass::ALL.map(|(name, _)| name).join(", ");
            // If stderr is gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "FAULTS is one of: {known}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    //! One test, hence one thread: tokio numbers tasks per process.

    use sim::application::Subject;
    use sim::history::Event;
    use sim::plan::Substrate;
    use sim::run::run_for;
    use sim::story;
    use sim::swarm::Profile;

    use super::*;

    #[test]
    fn socketioxide_serves_the_chat_in_peace_and_through_crashes() {
        for class in ["calm", "crashes"] {
            let faults = FaultClass::named(Some(class)).unwrap();
            let subject = Socketioxide::new(faults, false);
            for substrate in [Substrate::Packets, Substrate::Turmoil] {
                let profile = Profile { substrate: Some(substrate), ..Profile::default() };
                let mut delivered = 0;
                for seed in 0..10 {
                    let run = run_for(&subject, &subject.plan(seed, &profile));
                    if let Some(failure) = run.judgement.failures.first() {
                        panic!("{class}, seed {seed}: {}", story::tell(failure, &run.history));
                    }
                    let is_counted = |event: &Event| matches!(event, Event::Census { .. });
                    assert!(run.history.entries().iter().any(|entry| is_counted(&entry.event)));
                    delivered += run.judgement.counts.delivered;
                }
                assert!(delivered > 100, "{class}: {delivered} deliveries");
            }
        }
    }
}
