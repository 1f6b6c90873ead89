//! The same seed gives the same history: twice in one process, and in two
//! processes. One test, hence one thread: tokio numbers tasks per process.

use std::collections::BTreeSet;
use std::process::Command;

use sim::plan::Substrate;
use sim::run::run;
use sim::swarm::{Profile, generate};

const IN_PROCESS: u64 = 100;
const ACROSS_PROCESSES: u64 = 20;

/// Not those of plans for turmoil: with the same seeds and faults, over packets.
const OVER_PACKETS: u64 = 100;

#[test]
fn same_seed_gives_the_same_history() {
    let hash = |seed| run(&generate(seed, &Profile::default())).history.hash();
    let first: Vec<u64> = (0..IN_PROCESS).map(hash).collect();
    for (seed, &expected) in (0..IN_PROCESS).zip(&first) {
        assert_eq!(hash(seed), expected, "seed {seed} ran in two ways in one process");
    }
    let different: BTreeSet<u64> = first.iter().copied().collect();
    assert_eq!(different.len(), first.len(), "different seeds are different runs");

    for seed in 0..OVER_PACKETS {
        let mut plan = generate(seed, &Profile::default());
        plan.network.substrate = Substrate::Packets;
        let first = run(&plan);
        assert_eq!(first.judgement.failures, [], "seed {seed} over packets");
        let again = run(&plan).history.hash();
        assert_eq!(first.history.hash(), again, "seed {seed} ran in two ways over packets");
    }

    let elsewhere = hashes_of_another_process();
    assert_eq!(elsewhere, hashes_of_another_process(), "two processes ran in two ways");
    let here: Vec<u64> = first.into_iter().take(elsewhere.len()).collect();
    assert_eq!(here, elsewhere, "another process ran in another way");
}

fn hashes_of_another_process() -> Vec<u64> {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["worker", "--start=0", "--step=1", &format!("--end={ACROSS_PROCESSES}")])
        .output()
        .expect("the binary was built with this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let hash = |line: &str| {
        let result: serde_json::Value = serde_json::from_str(line).expect("one result a line");
        result["hash"].as_u64().expect("a hash of 64 bits")
    };
    let hashes: Vec<u64> = lines.lines().map(hash).collect();
    assert_eq!(hashes.len() as u64, ACROSS_PROCESSES);
    hashes
}
