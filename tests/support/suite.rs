//! Suites of checks in programs of their own: a line for each check, and a last one with their count.

use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// A whole suite takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a suite, all of whose checks must hold; `name` says which run it is.
pub(crate) fn run_suite(suite: &mut Command, name: &str, checks_min: u32) {
    let mut suite = Process::start(suite);
    let mut lines = Vec::new();
    let passed = loop {
        let line = suite.line();
        if let Some((passed, _)) = line.split_once(" checks passed") {
            break passed.parse::<u32>().expect("a count of checks");
        }
        lines.push(line);
    };
    let status = suite.wait(PATIENCE).expect("the suite ends after its last line");
    assert!(status.success(), "{name}: {}", lines.join("\n"));
    assert_eq!(lines.len(), passed as usize, "one line for each check");
    assert!(passed >= checks_min, "{name}: only {passed} checks ran");
}
