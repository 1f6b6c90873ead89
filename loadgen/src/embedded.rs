//! The embedded server: parlor as a child process of loadgen.
//!
//! It is loadgen itself, executed again, so that a run without a URL needs
//! nothing else installed; and a process of its own, so that its descriptors, CPU
//! and memory are its own. It ends when its stdin does: whatever becomes of the
//! parent, no server stays behind.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use parlor::{Config, chat, net};
use tokio::sync::oneshot;

use crate::args::Embedded;
use crate::options::Session;

/// What the server prints before its address, when it is ready.
const READY: &str = "listening on http://";

/// A server that lives as long as this value.
pub(crate) struct EmbeddedServer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl EmbeddedServer {
    /// Starts a server for `session` on a free loopback port, and waits until
    /// it is ready.
    ///
    /// # Errors
    ///
    /// The program cannot execute itself, or the server ended at once.
    pub(crate) fn start(session: &Session) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["embedded-server", "--path", &session.path, "--namespace", &session.namespace])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for loadgen, which still drains and reports.
            .process_group(0)
            .spawn()?;
        let ready = child.stdout.take().map(|stdout| read_address(&mut BufReader::new(stdout)));
        match ready.expect("stdout is piped") {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                child.kill().and_then(|()| child.wait())?;
                Err(error)
            }
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        // The end of its stdin ends it; the wait only avoids a zombie, and a
        // server that does not obey is of no more use to anybody.
        drop(self.child.stdin.take());
        for _ in 0..20 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn read_address(stdout: &mut BufReader<ChildStdout>) -> io::Result<SocketAddr> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = line.trim().strip_prefix(READY).and_then(|address| address.parse().ok());
    address.ok_or_else(|| io::Error::other("the embedded server ended before it was ready"))
}

/// Serves the chat on a free loopback port until stdin ends.
///
/// # Errors
///
/// There is no port, thread or runtime to be had.
pub(crate) fn serve(embedded: Embedded) -> io::Result<()> {
    net::raise_descriptor_limit();
    let listener = net::listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let config = Config { path: embedded.path, ..Config::default() };
    let app = chat::app(vec![embedded.namespace], "embedded".to_owned());
    let (release, released) = oneshot::channel::<()>();
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        wait_for_end_of_stdin();
        drop(release);
    })?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}{address}").and_then(|()| stdout.flush())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shutdown = async {
        // Nothing is ever sent: that the other end is dropped says it all.
        drop(released.await);
    };
    runtime.block_on(parlor::serve(vec![listener], config, app, shutdown)).map_err(io::Error::other)
}

/// Blocks until stdin has ended: whoever started this process has gone or
/// wants it to end.
fn wait_for_end_of_stdin() {
    let mut ignored = [0; 64];
    while matches!(io::stdin().read(&mut ignored), Ok(1..)) {}
}
