//! A server in a process of its own, and what can be seen of it from outside.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take that should take no time at all: this machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running program that prints lines. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts `command`; its standard input stays open until the process is dropped.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = sync_channel(1024);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = thread::spawn(move || {
            let mut log = Vec::new();
            // What cannot be read is as good as not written.
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        Self { child, lines, log: Some(log) }
    }

    /// The next line it prints; fails if none comes.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no line came ({error}); {}", self.stop()),
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("kill starts").success(), "the process takes a signal");
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Some(status);
            }
            if now() > deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and returns what it wrote to its standard error.
    pub(crate) fn stop(&mut self) -> String {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().map(|log| log.join().expect("reading does not panic")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let log = self.stop();
        if !thread::panicking() {
            assert!(!log.contains("panicked at"), "the process panicked:\n{log}");
        }
    }
}

/// The address at the end of a ready line.
pub(crate) fn address(ready: &str) -> SocketAddr {
    let word = ready.split_whitespace().next_back().unwrap_or_default();
    let address = word.rsplit("//").next().unwrap_or_default().trim_end_matches('/').parse();
    address.unwrap_or_else(|error| panic!("{ready:?} ends in an address: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "real sockets and processes are watched in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
