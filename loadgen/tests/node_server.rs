//! `loadgen` against a stock Node Socket.IO server, which has nothing to do with parlor.
//!
//! A correct server must come out clean. A server that is made to break the
//! protocol must not: what finds nothing there would find nothing anywhere.

#[path = "../../tests/support/node.rs"]
mod node;
#[path = "../../tests/support/process.rs"]
mod process;

use std::process::{Command, ExitStatus};

use node::node;
use process::{PATIENCE, Process, address};
use serde_json::Value;

/// Exit codes of loadgen: a promise was broken; the measurement is worth nothing.
const VIOLATION: i32 = 4;
const INVALID: i32 = 5;

/// How often a measurement may fail because this machine was busy.
const ATTEMPTS: u32 = 3;

#[test]
fn a_stock_server_comes_out_clean() {
    let Some((status, report)) = drive(&[]) else { return };
    assert!(status.success(), "{status}: {report:#}");
    assert_eq!(report["clients"]["joined"], 60);
    let deliveries = &report["deliveries"];
    assert!(count(deliveries, "expected") > 1000, "{deliveries}");
    assert_eq!(deliveries["delivered"], deliveries["expected"]);
    for wrong in ["lost", "duplicate", "reordered", "wrong", "indeterminate", "foreign"] {
        assert_eq!(count(deliveries, wrong), 0, "{wrong}: {deliveries}");
    }
    assert_eq!(deliveries["overflow"], false);
}

#[test]
fn a_delivery_that_is_left_out_is_lost() {
    is_found("lose", "lost");
}

#[test]
fn a_delivery_made_twice_is_a_duplicate() {
    is_found("duplicate", "duplicate");
}

#[test]
fn a_delivery_that_comes_late_is_reordered() {
    is_found("reorder", "reordered");
}

#[test]
fn a_message_with_another_text_is_wrong() {
    is_found("alter", "wrong");
}

#[test]
fn a_message_that_its_sender_hears_is_wrong() {
    is_found("self", "wrong");
}

#[test]
fn a_message_in_another_room_is_wrong() {
    is_found("leak", "wrong");
}

fn is_found(fault: &str, counted: &str) {
    let Some((status, report)) = drive(&["--fault", fault]) else { return };
    assert_eq!(status.code(), Some(VIOLATION), "{report:#}");
    assert!(count(&report["deliveries"], counted) > 0, "{report:#}");
    let shown = report["violations"].as_array().expect("a list of counter-examples");
    assert!(!shown.is_empty(), "a violation is shown");
}

fn count(deliveries: &Value, name: &str) -> u64 {
    deliveries[name].as_u64().unwrap_or_else(|| panic!("a count of {name}: {deliveries}"))
}

/// Runs loadgen against a Node server of its own; `None` without node.
fn drive(server: &[&str]) -> Option<(ExitStatus, Value)> {
    let mut server = Process::start(node("chat-server.mjs")?.args(server));
    let url = format!("http://{}", address(&server.line()));
    for attempt in 1.. {
        let mut loadgen = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        loadgen.args([
            url.as_str(),
            "--clients",
            "60",
            "--rooms",
            "6",
            "--rate",
            "60",
            "--duration",
            "3s",
        ]);
        loadgen.args(["--ramp", "1s", "--seed", "7", "--quiet", "--json", "-"]);
        let run = loadgen.output().expect("loadgen starts");
        let report = serde_json::from_slice(&run.stdout);
        let report = report.unwrap_or_else(|error| {
            panic!("the report is JSON ({error}): {}", String::from_utf8_lossy(&run.stderr))
        });
        // A busy machine is no fault of anybody's; what is wrong stays wrong.
        if run.status.code() != Some(INVALID) || attempt == ATTEMPTS {
            server.signal("TERM");
            assert!(server.wait(PATIENCE).is_some(), "server {} ends", server.id());
            return Some((run.status, report));
        }
    }
    unreachable!("the last attempt returns")
}
