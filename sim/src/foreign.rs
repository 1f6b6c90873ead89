//! A server that is not parlor's, on the server's host of a simulated network.
//!
//! Parlor's own server comes with the engine's order as witness, with its seed, and with
//! tasks that stall and end with their host. A foreign one is given connections and is
//! otherwise left alone: it is judged from its clients' side
//! ([`judge_clients`](crate::judge::judge_clients)), it may spawn tasks, and what it
//! draws by itself makes its runs differ, if it does ([`replays_exactly`]).
//!
//! # How to bring one
//!
//! A [`Subject`] whose [program](crate::application::Subject::program) is a
//! [`Program::Foreign`]: a function from a [`Start`] to what then [runs](Running). The
//! server accepts from [`Start::incoming`]; each [`Connection`] is bytes in both directions,
//! for `hyper` or whatever serves it. It speaks [parlor's chat](parlor::chat) if the chat's
//! plans and checkers are to be used. `sim/examples/socketioxide` is one.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sim::application::Subject;
//! use sim::coverage::Situation;
//! use sim::foreign::{Program, Running, Start, without_what_needs_parlor};
//! use sim::history::History;
//! use sim::judge::{Judgement, judge_clients};
//! use sim::plan::Plan;
//! use sim::run::run_for;
//! use sim::swarm::{Profile, generate};
//!
//! /// A server that closes every connection: a real one would serve it here.
//! fn start(Start { mut incoming, .. }: Start) -> Running {
//!     let serve = async move {
//!         while let Ok((connection, _peer)) = incoming.accept().await {
//!             tokio::spawn(async move { drop(connection) });
//!         }
//!     };
//!     Running { serve: Box::pin(serve), held: None }
//! }
//!
//! struct Closed;
//!
//! impl Subject for Closed {
//!     fn application(&self) -> Option<&str> {
//!         None // it speaks the chat
//!     }
//!
//!     fn command(&self) -> String {
//!         "cargo run --example closed --".to_owned()
//!     }
//!
//!     fn judge(&self, _plan: &Plan, history: &History) -> Judgement {
//!         judge_clients(history)
//!     }
//!
//!     fn plan(&self, seed: u64, profile: &Profile) -> Plan {
//!         without_what_needs_parlor(generate(seed, profile))
//!     }
//!
//!     fn program(&self) -> Program {
//!         Program::Foreign(Arc::new(start))
//!     }
//!
//!     fn situations(&self) -> &'static [Situation] {
//!         &[]
//!     }
//! }
//!
//! let run = run_for(&Closed, &Closed.plan(17, &Profile::default()));
//! assert!(run.judgement.guarantees().contains("heals"), "nobody gets in");
//! ```
//!
//! Its program is `fn main() -> ExitCode { sim::cli::main(&Closed) }`, with `fleet`, `run`,
//! `shrink`, `replay` and all else. A plan of the chat's can be replayed by
//! `cargo run -p sim` too: does parlor keep what the other broke?
//!
//! What the server has to keep to:
//!
//! * tokio's clock and no other: `tokio::time`, or what is built on it. No threads.
//! * If it has randomness of its own, it says so: then shrinking takes what fails in most of a
//!   few runs ([`votes`](crate::votes)). If the system's can be replaced (`random.c` beside the
//!   example does so), its runs are exact: each has a thread of its own, and the standard
//!   library and `rand` both draw their seeds once for each thread.
//! * Tasks are free (`tokio::spawn`, or `spawn_local`). When the host is killed, the
//!   connections of tasks that are still there end; nothing else of them reaches anybody.
//! * A server that is stalled ([`FaultKind::FreezeServer`]) stops accepting, but its tasks
//!   go on, so that its plans should [do without](without_what_needs_parlor).
//!
//! [`Subject`]: crate::application::Subject
//! [`replays_exactly`]: crate::application::Subject::replays_exactly

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use parlor::net::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::application::Server;
use crate::net::{HostResult, SimNet};
use crate::plan::{Act, FaultKind, Plan};
use crate::quiet::{Quiet, census};
use crate::server::run_server;
use crate::stage::Stage;

/// What runs on the server's host.
pub enum Program {
    /// A whole server of somebody else's.
    Foreign(Foreign),
    /// Parlor's server, with these handlers.
    Parlor(Server),
}

/// The foreign server of one run: called at each of its starts, on its host. The run has a
/// thread of its own, so that nothing is left in it that other runs have drawn.
pub type Foreign = Arc<dyn Fn(Start) -> Running + Send + Sync>;

/// What a foreign server begins with.
pub struct Start {
    /// Which of the run's starts it is; the first is 1.
    pub number: u64,
    /// The plan of the run, for those of its settings that the server has too.
    pub plan: Rc<Plan>,
    /// Who connects.
    pub incoming: Incoming,
}

/// A foreign server that has been started.
pub struct Running {
    /// Runs until its host is killed: then it is dropped.
    pub serve: Pin<Box<dyn Future<Output = ()>>>,
    /// Counts, by name, what the server holds when everybody has gone; if it can tell.
    pub held: Option<Held>,
}

/// What a server holds: what, and how many of it.
pub type Held = Box<dyn Fn() -> Vec<(String, u64)>>;

/// The connections that clients of a foreign server make.
pub struct Incoming {
    listener: Box<dyn Accept>,
    lives: Lives,
}

/// One end of each connection's life; all end with the host.
type Lives = Rc<RefCell<Vec<oneshot::Sender<Infallible>>>>;

impl Incoming {
    /// The next connection. An error concerns one of them only.
    ///
    /// # Errors
    ///
    /// Those of the simulated network.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    pub async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        let (life, death) = oneshot::channel();
        let mut lives = self.lives.borrow_mut();
        lives.retain(|life| !life.is_closed());
        lives.push(life);
        Ok((Connection { stream: Some(stream), death }, address))
    }
}

/// A listener without its type.
trait Accept {
    fn accept(&mut self) -> Accepting<'_>;
}

type Accepting<'a> = Pin<Box<dyn Future<Output = io::Result<(Box<dyn Bytes>, SocketAddr)>> + 'a>>;

impl<L: Listener> Accept for L {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(async {
            let (stream, address) = Listener::accept(self).await?;
            Ok((Box::new(stream) as Box<dyn Bytes>, address))
        })
    }
}

/// A stream without its type.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

/// A connection to a foreign server. It ends with the server's host, whoever still has it.
pub struct Connection {
    /// None when the host has been killed.
    stream: Option<Box<dyn Bytes>>,
    /// Resolves when the host is killed.
    death: oneshot::Receiver<Infallible>,
}

impl Connection {
    /// What is read and written, if the host is still there. The task that reads is told
    /// when it is killed; others ask, since only one can be told.
    fn living(&mut self, reader: Option<&mut Context<'_>>) -> io::Result<Pin<&mut dyn Bytes>> {
        if self.stream.is_some() {
            let is_dead = match reader {
                Some(cx) => Pin::new(&mut self.death).poll(cx).is_ready(),
                None => matches!(self.death.try_recv(), Err(TryRecvError::Closed)),
            };
            if is_dead {
                self.stream = None;
            }
        }
        let stream = self.stream.as_deref_mut().ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(Pin::new(stream))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.living(Some(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.living(None)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.living(None)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.living(None)?.poll_shutdown(cx)
    }
}

/// The same plan without what a foreign server cannot be asked for: shards, sessions that
/// are recovered, bounds of what waits, watches (the chat's notices are the engine's own), and stalls of a process
/// whose tasks nobody holds; and without upgrades that stay half open, which are a trial of
/// their own. And with more patience: a ping waits behind what was said
/// before it, and for most servers its time runs from when it was put there.
#[must_use]
pub fn without_what_needs_parlor(mut plan: Plan) -> Plan {
    plan.server.ping_timeout_ms += plan.settle_ms();
    plan.server.shards = 1;
    plan.server.exchange_delay_max_ms = 0;
    plan.server.recovery_window_ms = 0;
    plan.server.recovery_packets_max = 0;
    plan.server.outbound = None;
    plan.server.events_waiting_max = 0;
    plan.server.echo_ms = 0;
    plan.faults.retain(|fault| {
        !matches!(fault.kind, FaultKind::CancelPolls { .. } | FaultKind::FreezeServer)
    });
    for client in &mut plan.clients {
        client.recovers = false;
        client.half_open = None;
        let is_ours = |act: &Act| matches!(act, Act::Unwatch { .. } | Act::Watch { .. });
        client.operations.retain(|operation| !is_ours(&operation.act));
    }
    plan
}

impl Program {
    /// What runs on the server's host from now on, for the `number`-th time.
    pub(crate) fn start<N: SimNet + 'static>(
        &mut self,
        plan: Rc<Plan>,
        number: u64,
        stage: Rc<Stage>,
        quiet: Rc<Quiet>,
    ) -> Pin<Box<dyn Future<Output = HostResult>>> {
        match self {
            Self::Foreign(foreign) => {
                Box::pin(run_foreign::<N>(Arc::clone(foreign), plan, number, stage, quiet))
            }
            Self::Parlor(server) => {
                Box::pin(run_server::<N>(plan, number, server(number), stage, quiet))
            }
        }
    }
}

/// Runs a foreign server until its host is killed.
async fn run_foreign<N: SimNet>(
    foreign: Foreign,
    plan: Rc<Plan>,
    number: u64,
    stage: Rc<Stage>,
    quiet: Rc<Quiet>,
) -> HostResult {
    let listener = Box::new(N::bind(plan.network.stream).await?);
    // Held here, not by who accepts: connections outlive a listener.
    let lives = Lives::default();
    let incoming = Incoming { listener, lives: Rc::clone(&lives) };
    let Running { serve, held } = foreign(Start { number, plan, incoming });
    let census = async {
        match held {
            Some(held) => census(async || left(&held), quiet, stage).await,
            None => pending().await,
        }
    };
    let mut census = pin!(census);
    let mut serve = serve;
    poll_fn(|cx| {
        if serve.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        census.as_mut().poll(cx)
    })
    .await;
    Err("the server has ended by itself".into())
}

/// What the server holds.
fn left(held: &Held) -> Vec<(String, u64)> {
    held().into_iter().filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Profile, generate};

    #[test]
    fn plans_for_foreign_servers_can_be_run_and_lack_what_is_parlors() {
        for seed in 0..300 {
            let plan = without_what_needs_parlor(generate(seed, &Profile::default()));
            plan.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let mut acts = plan.clients.iter().flat_map(|client| &client.operations);
            assert!(!acts.any(|it| matches!(it.act, Act::Watch { .. } | Act::Unwatch { .. })));
            assert!(plan.clients.iter().all(|client| !client.recovers));
            assert!(plan.faults.iter().all(|fault| fault.kind != FaultKind::FreezeServer));
            assert_eq!((plan.server.shards, plan.server.recovery_window_ms), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_host_whoever_has_it() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (near, mut far) = tokio::io::duplex(64);
        let (life, death) = oneshot::channel();
        let mut connection = Connection { stream: Some(Box::new(near)), death };
        connection.write_all(b"alive").await.unwrap();
        let reading = tokio::task::LocalSet::new();
        let task = reading.spawn_local(async move { connection.read_u8().await });
        drop(life);
        let read = reading.run_until(task).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"alive", "the peer is told");
    }
}
