//! Input that nobody would write: random bytes and mutations of good ones.
//!
//! `PARLOR_RANDOM_CONNECTIONS` makes more of them, `PARLOR_RANDOM_SEED` others.

use std::env;
use std::net::SocketAddr;
use std::thread;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::client::{Seen, TARGET, UPGRADE, Wire, binary_frame, frame, text_frame};
use crate::server::Server;

const CONNECTIONS: u64 = 6000;
const WORKERS: u64 = 4;

/// Memory that may remain after thousands of bad connections: what an allocator keeps, not what grows.
const GROWTH_KIB_MAX: u64 = 2 * 1024;

#[test]
fn random_input_harms_nobody_but_its_sender() {
    let connections = from_env("PARLOR_RANDOM_CONNECTIONS", CONNECTIONS);
    let seed = from_env("PARLOR_RANDOM_SEED", 1);
    let mut server = Server::start(&["--ping-interval", "600000ms"]);
    let mut witness = Wire::chat(server.address);
    attack(server.address, seed, connections / 10);
    let before = server.resident_kib();
    attack(server.address, seed + 1, connections);
    let after = server.resident_kib();
    witness.echoes("undisturbed");
    server.serves();
    let log = server.process.stop();
    assert!(!log.contains("panicked at"), "seed {seed}:\n{log}");
    let grown = after.saturating_sub(before);
    assert!(grown <= GROWTH_KIB_MAX, "seed {seed}: {before} KiB have become {after} KiB");
}

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
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

struct Attacker(ChaCha8Rng);

impl Attacker {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.next_u32() as u8).collect()
    }

    fn attack(&mut self, server: SocketAddr) {
        let (mut wire, bytes, upgraded) = match self.below(10) {
            0 => (Wire::dial(server), self.random(), false),
            1 | 2 => (Wire::dial(server), self.bad_request(), false),
            3 => (Wire::open(server).1, self.bad_frames(), true),
            _ => (Wire::chat(server), self.bad_frames(), true),
        };
        let split = self.below(bytes.len() + 1);
        wire.send(&bytes[..split]);
        wire.send(&bytes[split..]);
        if self.below(3) == 0 {
            // Gone, in the middle of whatever the server does.
            return;
        }
        wire.finish();
        if upgraded {
            // Reading is strict: nothing but good frames comes back.
            while wire.next() != Seen::End {}
        } else {
            wire.everything();
        }
    }

    fn random(&mut self) -> Vec<u8> {
        let count = self.below(2000);
        self.bytes(count)
    }

    fn bad_request(&mut self) -> Vec<u8> {
        let mut bytes = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).into_bytes();
        bytes.extend(text_frame("40"));
        self.mutate(&mut bytes);
        bytes
    }

    /// Good frames, then mutated; or good frames around a mutated payload.
    fn bad_frames(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.below(6) {
            let mut payload = GOOD[self.below(GOOD.len())].as_bytes().to_vec();
            if self.below(3) > 0 {
                self.mutate(&mut payload);
            }
            let mut one = match self.below(8) {
                0 => binary_frame(&payload),
                1 => frame(self.0.next_u32() as u8, &payload),
                2 => {
                    let cut = self.below(payload.len() + 1);
                    [frame(0x01, &payload[..cut]), frame(0x80, &payload[cut..])].concat()
                }
                _ => text_frame(&String::from_utf8_lossy(&payload)),
            };
            if self.below(5) == 0 {
                self.mutate(&mut one);
            }
            bytes.extend(one);
        }
        bytes
    }

    /// A few small changes: flipped, removed, doubled, inserted, cut off.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.0.next_u32() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece.repeat(1 + self.below(3)));
                }
                4 => {
                    let digits = b"0123456789[]{}\",:-/\\"[self.below(20)];
                    bytes.insert(at, digits);
                }
                5 => {
                    let count = self.below(20);
                    let piece = self.bytes(count);
                    bytes.splice(at..at, piece);
                }
                _ => bytes.truncate(at),
            }
        }
    }
}

/// Packets that are in order, or nearly.
const GOOD: [&str; 16] = [
    "40",
    "40/other,{\"token\":\"t\"}",
    "41",
    "3",
    "42[\"join\",\"random\"]",
    "421[\"join\",\"random\"]",
    "422[\"message\",{\"room\":\"random\",\"body\":{\"a\":[1,2,{\"b\":\"é🌍\"}]},\"id\":\"x\"}]",
    "423[\"switch\",\"random\",\"other\"]",
    "424[\"members\",\"random\"]",
    "425[\"watch\",\"random\"]",
    "42[\"typing\",\"random\"]",
    "426[\"echo\",1.5e3,null,true,[[[]]],\"\\u0000\\ud83c\\udf0d\"]",
    "451-7[\"echo\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"message\",{\"room\":\"random\",\"body\":[{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]}]",
    "461-1[{\"_placeholder\":true,\"num\":0}]",
    "431[\"ok\"]",
];
