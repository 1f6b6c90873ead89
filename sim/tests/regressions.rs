//! Plans that once broke a guarantee, each named for what was wrong: they stay clean.

use std::fs;
use std::path::Path;

use sim::plan::Plan;

#[test]
fn what_was_mended_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut plans: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    plans.sort();
    assert!(!plans.is_empty(), "there are plans");
    for path in plans {
        let json = fs::read_to_string(&path).expect("it can be read");
        let plan =
            Plan::decode(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let failures = sim::run::run(&plan).judgement.failures;
        assert!(failures.is_empty(), "{}: {failures:#?}", path.display());
    }
}
