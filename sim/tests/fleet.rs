//! A thousand small seeds keep every guarantee, under faults and without. One
//! test, hence one thread: tokio numbers tasks per process.

use sim::coverage::{self, Coverage};
use sim::judge::Counts;
use sim::run::run;
use sim::story;
use sim::swarm::{Profile, generate};

/// A failing seed of these is a bug; run `sim run --seed N` for a small plan of it.
const SEEDS: u64 = 1000;

/// Of these there are fewer: what is rare without faults is soon seen.
const CALM_SEEDS: u64 = 300;

#[test]
fn every_guarantee_is_kept_under_faults_and_without() {
    let swarm = fleet(SEEDS, &Profile::default());
    let calm = fleet(CALM_SEEDS, &Profile { faults: false, ..Profile::default() });
    // A fleet in which nothing is said, or nothing goes wrong, proves nothing.
    assert!(swarm.expected > 10 * SEEDS, "{swarm:?}");
    assert!(swarm.indeterminate > SEEDS, "{swarm:?}");
    assert!(swarm.connections > calm.connections, "{swarm:?} {calm:?}");
    for counts in [swarm, calm] {
        assert_eq!(counts.delivered + counts.lost, counts.expected);
        // In a quarter of the seeds more is said than gets through, and some of it is dropped.
        assert!(counts.lost <= counts.dropped && counts.lost < counts.delivered / 20, "{counts:?}");
        assert_eq!((counts.duplicate, counts.reordered), (0, 0));
    }
}

fn fleet(seeds: u64, profile: &Profile) -> Counts {
    let mut total = Counts::default();
    let mut reached = Coverage::default();
    for seed in 0..seeds {
        let plan = generate(seed, profile);
        let run = run(&plan);
        reached.add(&coverage::of(&plan, &run.history));
        if let Some(failure) = run.judgement.failures.first() {
            panic!("seed {seed} of {profile:?}:\n{}", story::tell(failure, &run.history));
        }
        total.add(&run.judgement.counts);
    }
    assert_eq!(reached.missed(profile), [], "never reached with {profile:?}");
    total
}
