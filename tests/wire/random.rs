//! Input that nobody would write: random bytes and mutations of good ones.
//!
//! In the environment, `RANDOM_CONNECTIONS` asks for more of them (to every server) and
//! `RANDOM_SEED` for others.

use std::env;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::attacker::Attacker;
use crate::client::Wire;
use crate::operator::{Metrics, becomes, observed};

const CONNECTIONS: u64 = 2000;
const WORKERS: u64 = 4;

/// Memory that may remain after thousands of bad connections: what an allocator keeps, not what grows.
const GROWTH_KIB_MAX: u64 = 2 * 1024;

/// Whatever a client may ask for is allowed, and sessions that nobody polls end soon.
const OPTIONS: [&str; 14] = [
    "--http-allow-eio3",
    "true",
    "--websocket-compression",
    "true",
    "--recovery-enabled",
    "true",
    "--recovery-window",
    "500ms",
    "--ping-interval",
    "1s",
    "--ping-timeout",
    "1s",
    "--close-timeout",
    "1s",
];

#[test]
fn random_input_harms_nobody_but_its_sender() {
    for shards in ["1", "2", "8"] {
        harms_nobody(shards);
    }
}

#[expect(clippy::print_stdout, reason = "who asks for many connections wants the figures")]
fn harms_nobody(shards: &str) {
    let connections = from_env("RANDOM_CONNECTIONS", CONNECTIONS);
    let seed = from_env("RANDOM_SEED", 1);
    let (mut server, operator) = observed(shards, &OPTIONS);
    let (done, until) = mpsc::sync_channel::<()>(1);
    let witness = Wire::chat(server.address);
    let witness = thread::spawn(move || is_served(witness, &until));
    attack(server.address, seed, connections / 5);
    all_but_the_witness_have_gone(operator);
    let before = server.resident_kib();
    attack(server.address, seed + 1, connections);
    all_but_the_witness_have_gone(operator);
    let after = server.resident_kib();
    drop(done);
    witness.join().expect("one that behaves is served all the time");
    server.serves();
    let panics = Metrics::of(operator).sum("parlor_handler_panics_total", "");
    let log = server.process.stop();
    assert!(panics == 0.0 && !log.contains("panicked at"), "seed {seed}:\n{log}");
    println!("{shards} shards, {connections} connections: {before} KiB before, {after} KiB after");
    let grown = after.saturating_sub(before);
    assert!(grown <= GROWTH_KIB_MAX, "seed {seed}: {before} KiB have become {after} KiB");
}

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A client that behaves, until it is told to stop.
fn is_served(mut witness: Wire, until: &mpsc::Receiver<()>) {
    while until.recv_timeout(Duration::from_millis(50)) == Err(mpsc::RecvTimeoutError::Timeout) {
        witness.echoes("undisturbed");
    }
}

/// Bad sessions are not only refused: they end.
fn all_but_the_witness_have_gone(operator: SocketAddr) {
    becomes(operator, "parlor_connections", "", 1.0);
}

/// Opens `connections`, each of which says something bad.
fn attack(server: SocketAddr, seed: u64, connections: u64) {
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || {
                for number in (worker..connections).step_by(WORKERS as usize) {
                    // Every connection has a seed of its own, so that one alone can be repeated.
                    Attacker(ChaCha8Rng::seed_from_u64(seed << 32 | number)).attack(server);
                }
            });
        }
    });
}
