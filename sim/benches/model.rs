//! The pure core beside its model: `cargo bench -p sim --bench model`.
//!
//! A case is a fresh hub (or three that speak to each other) and a hundred deeds: what is
//! heard, how each turns out, and what is held then are compared with what the model says.
//! The deeds of the first two are drawn from a stream. Those of the last are a strategy's,
//! as in `tests/model.rs`, and could shrink; what that costs is proptest's.

#[path = "../tests/support/deeds.rs"]
mod deeds;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use deeds::{deed, perform};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sim::beside::Beside;
use sim::dice::Dice;
use sim::model::Deed;

const DEEDS: usize = 100;

/// Of so many that a strategy makes about a hundred can be done when their turn has come.
const DEEDS_MADE: usize = 145;

fn case(dice: &mut Dice, shards: u8) {
    let mut sides = Beside::new(shards);
    let mut done = 0;
    while done < DEEDS {
        done += usize::from(sides.perform(&Deed::draw(dice)));
    }
    sides.finish();
}

fn beside_the_model(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Elements(1));
    for (name, shards) in [("a case of 100 deeds", 1), ("a case of 100 deeds, 3 shards", 3)] {
        let mut dice = Dice::new(1);
        group.bench_function(name, |bencher| bencher.iter(|| case(&mut dice, shards)));
    }
    group.bench_function("a case of 100 deeds, by proptest", |bencher| {
        let mut runner = TestRunner::deterministic();
        let deeds = proptest::collection::vec(deed(), DEEDS_MADE);
        bencher.iter(|| {
            let tree = deeds.new_tree(&mut runner).expect("nothing is rejected");
            perform(1, &black_box(tree.current()));
        });
    });
    group.finish();
}

criterion_group!(benches, beside_the_model);
criterion_main!(benches);
