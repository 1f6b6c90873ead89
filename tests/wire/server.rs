//! The server under test, and whether it is still well.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::client::{Seen, Wire, frame};
use crate::process::{Process, address};

/// `parlor` in a process of its own.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on a free port with these options.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        let mut process = Process::start(command.args(["--listen", "127.0.0.1:0"]).args(options));
        let address = address(&process.line());
        Self { process, address }
    }

    /// A new client is served.
    pub(crate) fn serves(&self) {
        Wire::chat(self.address).echoes("well");
    }

    /// What it holds in memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("it runs on Linux");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("every process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Sends the bytes of every row on a connection of its own, which `wire` makes; the server must
    /// close with the row's code, say nothing else, and serve its other clients.
    pub(crate) fn refuses(&self, wire: impl Fn(SocketAddr) -> Wire, rows: &[(&str, Vec<u8>, u16)]) {
        let mut witness = Wire::chat(self.address);
        let mut wrong = Vec::new();
        for (name, bytes, code) in rows {
            let mut wire = wire(self.address);
            // Who does not close answers the ping: so nobody waits for what will not come.
            wire.send(&[&bytes[..], &frame(0x89, b"not closed")].concat());
            let seen = wire.next();
            if seen != Seen::Close(Some(*code)) {
                wrong.push(format!("{name}: {code} was expected, not {seen:?}"));
            } else if wire.next() != Seen::End {
                wrong.push(format!("{name}: something came after the close"));
            }
            witness.echoes("undisturbed");
        }
        assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
        self.serves();
    }
}
