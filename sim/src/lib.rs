//! Deterministic simulation of parlor.
//!
//! A [`plan`] is data: clients with their operations, faults as intervals,
//! latencies; made from a seed by [`swarm`], stored as JSON, shrunk as data by
//! [`shrink`].

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation needs `--cfg tokio_unstable` (see .cargo/config.toml; a RUSTFLAGS variable \
     overrides that file): without it tokio's own randomness is not seeded, and a panic in a \
     spawned task passes unnoticed"
);

pub mod acks;
mod actor;
pub mod cleanup;
pub mod coverage;
pub mod dice;
pub mod faults;
mod freeze;
pub mod heals;
pub mod heartbeat;
pub mod history;
pub mod judge;
pub mod model;
pub mod net;
pub mod panics;
pub mod picture;
pub mod plain;
pub mod plan;
mod play;
pub mod presence;
pub mod promise;
pub mod recovery;
mod returns;
pub mod run;
mod server;
pub mod shaped;
pub mod shrink;
mod stage;
pub mod story;
pub mod swarm;
mod whereabouts;
pub mod world;
