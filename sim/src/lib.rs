//! Deterministic simulation of parlor, and of what you build on it.
//!
//! A [`plan`] is data: clients with their operations, faults as intervals,
//! latencies; made from a seed by [`swarm`], stored as JSON, shrunk as data by
//! [`shrink`].
//!
//! # Test your own application
//!
//! You write an [`Application`](application::Application): your handlers, what clients say
//! to them, and what must be true of what they were told. You get clients that come and go
//! over WebSockets and polling, several shards, partitions, stalls, slow links, crashes and
//! power losses of the server, and [`cli::main`]: `fleet` runs seeds by the thousand, a
//! failing one is told as a story, shrunk, drawn and stored, and `replay` runs it again.
//!
//! ```
//! use std::{cell::Cell, rc::Rc};
//!
//! use parlor::{Ack, Io, Socket};
//! use serde_json::json;
//! use sim::application::{Application, Handlers, Server, Subject, calls};
//! use sim::{dice::Dice, history::History, judge::Failure, plan::Say, run::run_for};
//!
//! struct Counter;
//!
//! impl Application for Counter {
//!     fn name(&self) -> &str {
//!         "counter"
//!     }
//!
//!     fn server(&self) -> Server {
//!         let stored = Rc::new(Cell::new(0)); // outlives a crash, as a database does
//!         Box::new(move |_start| -> Handlers {
//!             let stored = Rc::clone(&stored); // a new value here would not
//!             Rc::new(move |io: &mut Io| {
//!                 let stored = Rc::clone(&stored);
//!                 io.of("/").on("add", async move |_: Socket, (by,): (u64,), ack: Ack| {
//!                     stored.set(stored.get() + by);
//!                     ack.send(stored.get());
//!                 });
//!             })
//!         })
//!     }
//!
//!     fn script(&self, dice: &mut Dice, _client: u32, operations: usize) -> Vec<Say> {
//!         let add = |_| Say::new("add", json!([dice.between(1, 9)]));
//!         (0..operations).map(add).map(Say::with_ack).collect()
//!     }
//!
//!     fn probe(&self, _client: u32) -> Vec<Say> {
//!         vec![Say::new("add", json!([0])).with_ack()]
//!     }
//!
//!     fn invariant(&self, history: &History) -> Vec<Failure> {
//!         let said = calls(history);
//!         let most: u64 = said.iter().filter_map(|call| call.args[0].as_u64()).sum();
//!         let told = said.iter().filter_map(|call| {
//!             let answer = call.answer.as_ref()?;
//!             let sum = answer.args[0].as_u64()?;
//!             let sentence = format!("{sum} were counted, of {most}");
//!             (sum > most).then(|| Failure::new("exact", sentence, answer.at_us, call.sockets.clone()))
//!         });
//!         told.collect()
//!     }
//! }
//!
//! let plan = Counter.plan(17, &sim::swarm::Profile::default());
//! let run = run_for(&Counter, &plan);
//! assert_eq!(run.judgement.failures, []);
//! assert_eq!(run_for(&Counter, &plan).history.hash(), run.history.hash());
//! ```
//!
//! Your program is `fn main() -> ExitCode { sim::cli::main(&Counter) }`, built with
//! `--cfg tokio_unstable` (a `.cargo/config.toml`). `sim/examples/booking` is a whole one,
//! with bugs to be found.
//!
//! A client says its [`opening`](application::Application::opening) over each new
//! connection, its script at moments of the plan, and its
//! [`probe`](application::Application::probe) when all faults are over and everybody is
//! back. [`Say::until_answered`](plan::Say::until_answered) repeats itself after a
//! reconnect. What clients say is in the plan before anything runs, so that it can be
//! shrunk: they do not react to what they hear. They speak on the namespace `/`, without
//! attachments.
//!
//! Two promises are judged for every application: `protocol_legal` (so handlers must not
//! put well-behaved clients out) and `heals` (everybody comes back). What the engine
//! promises of rooms is proved by the chat's fleets.
//!
//! # For programs
//!
//! With `--json` every command prints one object on stdout (`mutants` one a line, for each),
//! progress goes to stderr, and the exit code says it all: 0 clean, 1 a guarantee is broken,
//! 2 a mistake in the call, 3 not deterministic. Times are in seconds, where no unit is named.
//!
//! * `run`, `replay`: `seed`, `hash` of the history, `counts` (`delivered`, `expected`,
//!   `connections`, `indeterminate`, ...), `failures` (`guarantee`, `sentence`, `at_us`, ...), and
//!   for a seed that fails its `report`.
//! * `fleet`: `start`, `seeds`, `seconds`, `runs_per_second`, `deliveries_per_second`, `counts`,
//!   `coverage` (situation to `runs` and `times`), `never_reached`, `failing` (seed to
//!   guarantees), `reports` (`seed`, `guarantees`, `shrunk_for`, `file`, `picture`, `replay`,
//!   `operations`, `faults`, `story`, ...).
//! * `coverage`: situation to `runs` and `times`.
//! * `shrink`: `guarantee`, `clients`, `operations`, `faults`, `runs`, `is_minimal`.
//! * `determinism`: `seeds`, `differ_in_process`, `differ_across_processes`.
//! * `mutants`: `mutant`, `killer`, `first_seed`, `failing_seeds`, `seeds`, `operations`,
//!   `faults`, `also_broken`.
//!
//! # A server that is not parlor's
//!
//! [`foreign`] says how to bring one: it gets the connections of the simulated network, and is
//! judged from its clients' side.
//!
//! # What is deterministic
//!
//! Everything, as long as your code is: the network, the order of tasks, ids,
//! and tokio's clock, which stands still while code runs. So handlers and invariants must not use threads
//! (`spawn_blocking` included), `std::time`, randomness of their own, the order of a
//! `HashMap`, real files or sockets, or state outside of what
//! [`server`](application::Application::server) gives to one run. `tokio::time` and
//! `tokio::task::spawn_local` are fine. `determinism` runs seeds twice in one process and
//! in others, and says whether you kept to it.
//!
//! Worlds run one at a time in a process (tokio numbers tasks per process): a test that
//! runs worlds is alone in its file.

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation needs `--cfg tokio_unstable` (see .cargo/config.toml; a RUSTFLAGS variable \
     overrides that file): without it tokio's own randomness is not seeded, and a panic in a \
     spawned task passes unnoticed"
);

pub mod acks;
mod actor;
pub mod application;
pub mod beside;
pub mod bounded;
mod cancelled;
pub mod chat;
pub mod cleanup;
pub mod cli;
pub mod coverage;
pub mod dice;
mod eavesdropper;
mod ends;
pub mod faults;
pub mod foreign;
mod freeze;
mod half_open;
pub mod heals;
pub mod heartbeat;
pub mod history;
pub mod judge;
pub mod legal;
pub mod model;
pub mod namespaces;
pub mod net;
pub mod panics;
pub mod picture;
pub mod plain;
pub mod plan;
mod play;
pub mod presence;
pub mod promise;
mod quiet;
pub mod recovery;
mod returns;
pub mod run;
mod server;
pub mod shaped;
pub mod shrink;
mod stage;
pub mod story;
pub mod swarm;
pub mod volatile;
pub mod votes;
mod whereabouts;
pub mod world;
