//! The broken engines stay broken: every patch applies to the code as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use sim::promise;

#[test]
fn every_mutant_applies_and_names_its_killer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    let patches = fs::read_dir(root.join("sim/mutants")).expect("the mutants' folder");
    let mut count = 0;
    for patch in patches {
        let patch = patch.expect("readable").path();
        let text = fs::read_to_string(&patch).expect("a patch is text");
        let killer = text.lines().next().and_then(|line| line.strip_prefix("killer: "));
        let known = |name: &str| name == "determinism" || promise::sentence(name).is_some();
        assert!(killer.is_some_and(known), "{}: who must notice it?", patch.display());
        let mut check = Command::new("git");
        check.args(["apply", "--check"]).arg(&patch).current_dir(root);
        let checked = check.output().expect("git checks patches");
        let why = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{} does not apply: {why}", patch.display());
        count += 1;
    }
    assert!(count >= 10, "there are {count} mutants");
}
