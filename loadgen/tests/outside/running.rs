//! loadgen in a process of its own, and its JSON report.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

/// A run that has been started.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
}

impl Running {
    /// Starts loadgen with these arguments, the report to come on stdout.
    pub(crate) fn start(arguments: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(arguments.split_whitespace())
            .args(["--json", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("loadgen starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, stderr }
    }

    /// Waits until it says `what` on stderr, and returns the line.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let mut said = String::new();
        loop {
            let start = said.len();
            let bytes = self.stderr.read_line(&mut said).expect("loadgen writes UTF-8");
            assert!(bytes > 0, "it ended without saying {what:?}: {said}");
            if said[start..].contains(what) {
                return said.split_off(start);
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end and reads the report.
    pub(crate) fn end(mut self) -> Ended {
        let mut json = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        stdout.read_to_string(&mut json).expect("a report is UTF-8");
        let code = self.child.wait().expect("it is our child").code();
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).expect("loadgen writes UTF-8");
        let report = serde_json::from_str(&json);
        Ended { code, report: report.unwrap_or_else(|error| panic!("{error}: {json}{log}")) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs loadgen to its end.
pub(crate) fn run(arguments: &str) -> Ended {
    Running::start(arguments).end()
}

/// Sends a signal by its name, such as `INT`.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(status.expect("kill starts").success(), "the process takes a signal");
}

impl Ended {
    /// The number at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.report.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} is a number: {:#}", self.report))
    }

    /// The text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.report.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{pointer} is a text: {:#}", self.report))
    }

    /// Everything that is not histograms.
    pub(crate) fn brief(&self) -> String {
        let mut report = self.report.clone();
        report.as_object_mut().expect("a report is an object").remove("latency");
        format!("{report:#}")
    }

    /// Fails unless the outcome is this one. A machine that was too busy for the
    /// generator is no failure of a run that was well otherwise.
    pub(crate) fn assert_outcome(&self, outcome: &str, code: i32) {
        let reasons = &self.report["verdict"]["reasons"];
        let only_late =
            |reason: &Value| reason.as_str().is_some_and(|text| text.contains("loadgen itself"));
        let is_late = reasons.as_array().is_some_and(|all| all.first().is_some_and(only_late));
        if is_late && self.code == Some(5) {
            let rest = reasons
                .as_array()
                .expect("there are reasons")
                .iter()
                .filter(|reason| !only_late(reason));
            assert_eq!(rest.count() == 0, outcome == "ok", "{}", self.brief());
            return;
        }
        assert_eq!(self.text("/verdict/outcome"), outcome, "{}", self.brief());
        assert_eq!(self.code, Some(code), "{}", self.brief());
    }
}
