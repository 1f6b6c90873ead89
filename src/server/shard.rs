//! One shard's whole life.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Config;
use super::backlog::Bounds;
use super::compression::Compressor;
use super::connection::{ConnectionTask, turn_away};
use super::drain::{Tasks, drain, report};
use super::rejection::Rejection;
use super::snapshot::answer_looks;
use super::streams::Streams;
use super::ticker::run_ticker;
use super::visit::receive_visits;
use crate::app::{Engine, Io, run_calls};
use crate::engineio::Revision;
use crate::hub::{ConnId, Hub, Limits, Recovery};
use crate::net::{self, Listener, Stream};
use crate::room::Sid;
use crate::shard::{Closing, Core, Exchange, Seat, Witness};

/// Bytes of the buffer that all reads of a shard go through.
const READ_BYTES: usize = 64 * 1024;

/// Connections that may be told at a time why they are turned away.
const TURNING_AWAY_MAX: usize = 16;

/// How long accepting rests after an error that concerns the whole process (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the tasks of a shard share.
pub(super) struct Shard<S: Stream> {
    pub(super) core: Rc<Core>,
    pub(super) io: Rc<Io>,
    pub(super) config: Config,
    pub(super) streams: RefCell<Streams<S>>,
    /// The sessions that began with long-polling, by the id that their requests carry.
    pub(super) sids: RefCell<BTreeMap<Sid, ConnId>>,
    /// Sessions that began with long-polling, and whose tasks are to be started.
    pub(super) newborns: mpsc::Sender<Newborn>,
    /// Whether the server is to end: no session begins any more.
    pub(super) draining: Cell<bool>,
    /// Whether HTTP connections are to end with their next answer.
    pub(super) stopping: watch::Sender<bool>,
    /// Whether connections may be held to a rate of bytes.
    pub(super) measures_bytes: bool,
    /// How many connections are just being turned away.
    pub(super) turning_away: Cell<usize>,
    /// Taken by whoever reads, for the time of one poll.
    pub(super) buffer: RefCell<Box<[u8]>>,
}

/// A session that has begun with long-polling.
#[derive(Debug)]
pub(super) struct Newborn {
    pub(super) conn: ConnId,
    pub(super) sid: Sid,
    pub(super) seat: Seat,
}

/// Sessions that may wait for their tasks to be started.
const NEWBORNS_MAX: usize = 64;

/// Runs one shard until `shutdown` resolves and its connections are closed.
///
/// How it ends is told by [`serve`](super::serve). All shards of a server are
/// to be told at about the same time: each serves the others' sessions until
/// these have gone.
///
/// `exchange` leads to the other shards of the server; [`Exchange::alone`] is
/// for a server with one. `app` registers the application's handlers; it is
/// called once, here, and must register the same namespaces on each shard.
/// `witness` hears the engine's own word for the order of each namespace. All
/// tasks are local ones of this future: dropping it ends them, and closes the
/// streams in the order of their places. It must run within a
/// [`tokio::task::LocalSet`].
pub async fn run_shard<L: Listener>(
    listener: L,
    config: Config,
    exchange: Exchange,
    witness: Option<Witness>,
    app: impl FnOnce(&mut Io),
    shutdown: impl Future<Output = ()>,
) {
    let mut io = Io::default();
    app(&mut io);
    let (looks, calls, beside) = (io.take_looks(), io.take_calls(), io.take_tasks());
    let (shard, newborns) = Shard::new(exchange, config, witness, io);
    let shard = Rc::new(shard);
    // Declared before the tasks, hence dropped after them.
    let _closer = CloseInOrder(Rc::clone(&shard));
    let mut ticker = JoinSet::new();
    ticker.spawn_local(run_ticker(Rc::clone(&shard)));
    let mut other_shards = JoinSet::new();
    other_shards.spawn_local(run_exchange(Rc::clone(&shard)));
    let mut outsiders = JoinSet::new();
    if let Some(looks) = looks {
        outsiders.spawn_local(answer_looks(Rc::clone(&shard), looks));
    }
    if let Some(calls) = calls {
        outsiders.spawn_local(run_calls(Rc::clone(&shard.core), calls));
    }
    for task in beside {
        outsiders.spawn_local(task(Engine::new(Rc::clone(&shard.core))));
    }
    let mut tasks = Tasks::new(newborns);
    run_accept(listener, &shard, &mut tasks, shutdown).await;
    drain(&shard, &mut tasks).await;
}

/// Handles what other shards say, for as long as this one lives.
async fn run_exchange<S: Stream>(shard: Rc<Shard<S>>) {
    let mut visits = JoinSet::new();
    poll_fn(|cx| {
        shard.core.poll_exchange(cx);
        shard.io.run_server_side(&shard.core);
        receive_visits(&shard, &mut visits);
        while let Poll::Ready(Some(ended)) = visits.poll_join_next(cx) {
            report(ended);
        }
        Poll::Pending
    })
    .await
}

/// Accepts until told to stop; the listener is closed then.
async fn run_accept<L: Listener>(
    mut listener: L,
    shard: &Rc<Shard<L::Io>>,
    tasks: &mut Tasks,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    // Accepting rests until then.
    let mut rest = Instant::now();
    loop {
        // The end comes first, then the ended (they free memory) and the sessions
        // whose clients were answered already, then the new.
        tokio::select! {
            biased;
            () = &mut shutdown => return accept_waiting(&mut listener, shard, tasks).await,
            () = tasks.run(shard) => {}
            accepted = accept(&mut listener, rest) => match accepted {
                Ok((stream, address)) => start(shard, tasks, stream, address),
                Err(error) => {
                    shard.core.count(|counters| counters.accepts_failed += 1);
                    tracing::warn!(%error, "a connection could not be accepted");
                    if !is_of_one_connection(&error) {
                        rest = Instant::now() + ACCEPT_PAUSE;
                    }
                }
            },
        }
    }
}

/// Accepts a connection, not before `rest`.
async fn accept<L: Listener>(listener: &mut L, rest: Instant) -> io::Result<(L::Io, SocketAddr)> {
    if Instant::now() < rest {
        tokio::time::sleep_until(rest).await;
    }
    listener.accept().await
}

/// Accepts those whom the kernel has let in already: it would reset them when
/// the listener is closed, and with them the requests of sessions that are still
/// served.
async fn accept_waiting<L: Listener>(
    listener: &mut L,
    shard: &Rc<Shard<L::Io>>,
    tasks: &mut Tasks,
) {
    // The driver hears of them when the thread rests.
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..ACCEPTED_LAST_MAX {
        let accepted = poll_fn(|cx| Poll::Ready(pin!(listener.accept()).poll(cx)));
        let Poll::Ready(Ok((stream, address))) = tokio::task::unconstrained(accepted).await else {
            return;
        };
        start(shard, tasks, stream, address);
    }
}

/// As many as the kernel lets wait.
const ACCEPTED_LAST_MAX: usize = 4096;

/// Begins what becomes of a connection, if there may be one more.
fn start<S: Stream>(shard: &Rc<Shard<S>>, tasks: &mut Tasks, stream: S, address: SocketAddr) {
    match Seat::take(&shard.core, net::address(address.ip())) {
        Ok(seat) => {
            let conn = shard.streams.borrow_mut().insert(stream);
            tracing::debug!(%address, conn = conn.generation, "accepted");
            let connection = ConnectionTask::new(Rc::clone(shard), conn, address, seat);
            tasks.connections.spawn_local(connection);
        }
        Err(why) if shard.turning_away.get() < TURNING_AWAY_MAX => {
            tracing::debug!(%address, ?why, "turned away");
            tasks.connections.spawn_local(turn_away(Rc::clone(shard), stream, why.into()));
        }
        // Closed without a word.
        Err(why) => tracing::debug!(%address, ?why, "turned away at once"),
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

impl<S: Stream> Shard<S> {
    /// A shard, and what it is asked to start.
    pub(super) fn new(
        exchange: Exchange,
        config: Config,
        witness: Option<Witness>,
        io: Io,
    ) -> (Self, mpsc::Receiver<Newborn>) {
        let now = || Instant::now().into_std();
        let (limits, seed) = (limits(&config), config.seed);
        let core = Core::new(exchange, limits, &io.names(), seed, now, witness);
        io.attach(&core);
        let measures_bytes = core.read(Hub::measures_bytes);
        let bounds = Bounds {
            bytes_max: config.outbound_bytes_max,
            packets_max: config.outbound_packets_max,
            policies: io.policies(config.policy),
        };
        let compressor = Compressor::new(config.websocket_compression_threshold_bytes);
        let (newborns, births) = mpsc::channel(NEWBORNS_MAX);
        let shard = Self {
            core,
            io: Rc::new(io),
            config,
            streams: RefCell::new(Streams::new(bounds, compressor)),
            sids: RefCell::default(),
            newborns,
            draining: Cell::new(false),
            stopping: watch::Sender::new(false),
            measures_bytes,
            turning_away: Cell::new(0),
            buffer: RefCell::default(),
        };
        (shard, births)
    }

    /// The session with this id, for a client that speaks this revision.
    pub(super) fn session(
        &self,
        sid: Sid,
        revision: Option<Revision>,
    ) -> Result<ConnId, Rejection> {
        // What is due is done first: who is late by a moment is late.
        self.core.handle_timeout();
        let conn = self.sids.borrow().get(&sid).copied().ok_or(Rejection::UnknownSession)?;
        let mut streams = self.streams.borrow_mut();
        // A poller may still fetch what was said before the end.
        let is_over = match self.core.closing(conn) {
            None => false,
            Some(Closing::AfterFlush) => streams.polling(conn).is_none(),
            Some(Closing::Now) => true,
        };
        if is_over {
            return Err(Rejection::UnknownSession);
        }
        match streams.wire(conn) {
            None => Err(Rejection::UnknownSession),
            Some(wire) if Some(wire.revision()) == revision => Ok(conn),
            Some(_) => Err(Rejection::BadRequest),
        }
    }

    /// Sessions that are open, or whose handlers still run.
    pub(super) fn sessions(&self) -> usize {
        self.core.read(Hub::open_count)
    }

    /// Resolves when HTTP connections are to end with their next answer.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as the shard.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Takes the read buffer; it is put back before the poll ends.
    pub(super) fn take_buffer(&self) -> Box<[u8]> {
        let buffer = std::mem::take(&mut *self.buffer.borrow_mut());
        // Not put back by a task that panicked.
        if buffer.is_empty() { vec![0; READ_BYTES].into_boxed_slice() } else { buffer }
    }

    /// Gives back all that the shard holds for a connection.
    pub(super) fn release(&self, conn: ConnId) {
        self.core.remove(conn);
        self.streams.borrow_mut().remove(conn);
    }
}

/// The hub's bounds: what a client has missed is sent at once, and has to leave room for more.
fn limits(config: &Config) -> Limits {
    let mut limits = config.limits.clone();
    if let Some(Recovery { missed_packets_max, missed_bytes_max, .. }) = &mut limits.recovery {
        *missed_packets_max = (*missed_packets_max).min(config.outbound_packets_max / 2);
        *missed_bytes_max = (*missed_bytes_max).min(config.outbound_bytes_max / 2);
    }
    limits
}

/// Closes what is still open when the shard ends, in the order of the streams'
/// places: the order in which tasks are dropped follows from numbers that
/// tokio counts for the whole process.
struct CloseInOrder<S: Stream>(Rc<Shard<S>>);

impl<S: Stream> Drop for CloseInOrder<S> {
    fn drop(&mut self) {
        self.0.streams.borrow_mut().clear();
    }
}
