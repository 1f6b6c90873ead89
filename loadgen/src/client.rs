//! One client: it dials, joins its room, speaks when told to, and listens.
//!
//! What it hears is for [`crate::talk`]. Its task is small, since there are
//! thousands: all there is to an idle client is its connection and an empty queue.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parlor::client::{
    Backoff, BackoffOptions, CloseReason, Connection, Join, Options, Random, Transport,
};
use parlor::net::{Dialer, TcpDialer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout, timeout_at};

use crate::accounting::Sent;
use crate::chat;
use crate::fleet::{Fleet, State};
use crate::message::Signature;
use crate::readiness::NotingWaker;
use crate::recorder::Phase;
use crate::run::Brief;
use crate::schedule::Message;
use crate::talk::{Awaited, Ear, Stage, Talk};

/// What may wait for a server that does not read. Sending never waits; what
/// finds this full is counted as dropped.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024;
/// What a message needs beyond its arguments: packet type, id, frame header.
const FRAME_BYTES_MAX: usize = 64;

/// A client that has dialled.
pub(crate) struct Client {
    connection: Connection<TcpStream>,
    talk: Talk,
    /// Of the task that polls the connection.
    waker: Option<NotingWaker>,
}

/// What all clients of a run with this transport tell the server alike.
fn options(brief: &Brief, transport: Transport) -> Arc<Options> {
    Arc::new(Options {
        transport,
        host: brief.authority.clone(),
        path: brief.options.session.path.clone(),
        connect_timeout: brief.options.timeout,
        backlog_bytes_max: BACKLOG_BYTES_MAX,
        ..Options::default()
    })
}

/// [`options`] for each transport of a run, to be shared by its clients.
pub(crate) fn options_by_transport(brief: &Brief) -> Vec<Arc<Options>> {
    let all = [Transport::Polling, Transport::PollingThenUpgrade, Transport::WebSocket];
    let wanted = all.into_iter().filter(|&it| brief.options.session.transport.has(it));
    wanted.map(|transport| options(brief, transport)).collect()
}

/// Starts `client`, which was due at `due_us`. It keeps `permit` until it has
/// joined or failed.
pub(crate) fn start(fleet: &Rc<Fleet>, client: u32, due_us: u64, permit: OwnedSemaphorePermit) {
    let fleet = Rc::clone(fleet);
    // Its end is observed through the tally.
    spawn_local(async move {
        match join(&fleet, client, due_us).await {
            // A task of its own: this one has room for connecting, which the
            // rest of the client's life does not need.
            Ok(()) => drop(spawn_local(run_joined(Rc::clone(&fleet), client))),
            Err(error) => fleet.fail(client, error),
        }
        fleet.settled.notify_one();
        drop(permit);
    });
}

/// Connects and joins, for the first time.
async fn join(fleet: &Rc<Fleet>, client: u32, due_us: u64) -> Result<(), String> {
    connect(fleet, client).await?;
    fleet.note_ready(client, due_us);
    Ok(())
}

/// Connects and joins; the error says in which layer that failed.
async fn connect(fleet: &Rc<Fleet>, client: u32) -> Result<(), String> {
    let dialled = Instant::now();
    let deadline = dialled + fleet.brief.options.timeout;
    let stream = dial(fleet, deadline).await.map_err(|error| format!("tcp: {}", error.kind()))?;
    let connected = Instant::now();
    fleet.insert(client, stream, connected);
    let joined = poll_fn(|cx| poll_until_joined(fleet, client, cx));
    match timeout_at(deadline, joined).await {
        Ok(Ok(())) => {
            fleet.note_phases(client, dialled);
        }
        Ok(Err(reason)) => return Err(fleet.blame(client, &reason.to_string())),
        Err(_) => return Err(fleet.blame(client, "no answer in time")),
    }
    // A probe gives up by itself, so a client that goes on polling is there in time too.
    let settled = poll_fn(|cx| poll_until_settled(fleet, client, cx));
    settled.await.map_err(|reason| format!("upgrade: {reason}"))
}

async fn dial(fleet: &Fleet, deadline: Instant) -> io::Result<TcpStream> {
    let dialer = TcpDialer { server: fleet.brief.address };
    timeout_at(deadline, dialer.dial()).await?
}

fn poll_until_joined(
    fleet: &Fleet,
    client: u32,
    cx: &mut Context<'_>,
) -> Poll<Result<(), CloseReason>> {
    match poll(fleet, client, cx) {
        Poll::Ready(reason) => Poll::Ready(Err(reason)),
        Poll::Pending => match fleet.state.borrow().clients[client as usize].as_deref() {
            Some(Client { talk: Talk { stage: Stage::Joined, .. }, .. }) => Poll::Ready(Ok(())),
            Some(Client { talk: Talk { stage: Stage::Refused(_), .. }, .. }) | None => {
                Poll::Ready(Err(CloseReason::Refused))
            }
            Some(_) => Poll::Pending,
        },
    }
}

fn poll_until_settled(
    fleet: &Fleet,
    client: u32,
    cx: &mut Context<'_>,
) -> Poll<Result<(), CloseReason>> {
    if let Poll::Ready(reason) = poll(fleet, client, cx) {
        return Poll::Ready(Err(reason));
    }
    let state = fleet.state.borrow();
    let client = state.clients[client as usize].as_deref();
    let is_upgrading = client.is_some_and(|it| it.connection.session().is_upgrading());
    if is_upgrading { Poll::Pending } else { Poll::Ready(Ok(())) }
}

/// Listens until the connection ends, and then, if it is to, comes back.
async fn run_joined(fleet: Rc<Fleet>, client: u32) {
    let reason = poll_fn(|cx| poll(&fleet, client, cx)).await;
    fleet.end(client, &reason);
    if fleet.brief.options.session.reconnect {
        // A task of its own, as above.
        drop(spawn_local(come_back(fleet, client)));
    }
}

/// Tries, as stock clients do, until it is back in its room or the run is over.
async fn come_back(fleet: Rc<Fleet>, client: u32) {
    let lost_us = fleet.now_us();
    let seed = fleet.brief.options.plan.seed ^ lost_us ^ u64::from(client).rotate_left(32);
    let mut random = Random::new(seed);
    let mut backoff = Backoff::new(BackoffOptions::default());
    loop {
        tokio::time::sleep(backoff.next_delay(&mut random)).await;
        if fleet.state.borrow().books.closed {
            return;
        }
        match connect(&fleet, client).await {
            Ok(()) => break,
            Err(error) => fleet.note_failed_return(client, &error),
        }
    }
    fleet.note_return(lost_us);
    // Not a loop: what connecting needs is not kept.
    drop(spawn_local(run_joined(Rc::clone(&fleet), client)));
}

/// Takes what has arrived for `client`.
fn poll(fleet: &Fleet, client: u32, cx: &mut Context<'_>) -> Poll<CloseReason> {
    let mut state = fleet.state.borrow_mut();
    let State { clients, books } = &mut *state;
    let Some(Client { connection, talk, waker }) = clients[client as usize].as_deref_mut() else {
        return Poll::Ready(CloseReason::Dropped);
    };
    let waker = match waker {
        Some(waker) if waker.is_for(cx) => waker,
        _ => waker.insert(NotingWaker::new(&fleet.cycles, cx)),
    };
    let (mut cx, readable_since_us) = waker.take();
    let mut ear = Ear { fleet, client, books, talk, readable_since_us };
    let now = Instant::now().into_std();
    connection.poll(&mut cx, now, &mut |event, outgoing| ear.hear(event, outgoing))
}

/// Sends a message of the schedule, without waiting for anything.
pub(crate) fn send(fleet: &Fleet, message: Message, intended_us: u64) {
    let mut state = fleet.state.borrow_mut();
    let State { clients, books } = &mut *state;
    let Message { client, number, .. } = message;
    let Some(Client { connection, talk: Talk { stage: Stage::Joined, awaited }, .. }) =
        clients[client as usize].as_deref_mut()
    else {
        books.messages.skipped += 1;
        return;
    };
    let (session, room) = (&fleet.brief.options.session, fleet.room(client));
    let (now, sent_us) = (Instant::now().into_std(), fleet.now_us());
    let signature = Signature { client, number, intended_us, sent_us };
    chat::write_message(&mut books.json, fleet.brief.nonce, &fleet.bodies, room, signature);
    if connection.backlog_bytes() + books.json.len() + FRAME_BYTES_MAX > BACKLOG_BYTES_MAX {
        books.messages.dropped += 1;
        return;
    }
    let is_sent = connection.send(now, |outgoing| {
        if !outgoing.is_connected(&session.namespace) {
            return false;
        }
        // In the books before the bytes leave: it cannot arrive earlier than that.
        let place = books.place(client, room);
        books.accounting.sent(sent_us, Sent { client, number }, place);
        if session.ack {
            let ack_id = outgoing.emit_with_ack(&session.namespace, &books.json, &[]);
            let ack_id = ack_id.expect("the namespace is connected");
            awaited.push_back(Awaited { ack_id, number, intended_us, sent_us });
            books.unanswered += 1;
        } else {
            outgoing
                .emit(&session.namespace, &books.json, &[])
                .expect("the namespace is connected");
        }
        true
    });
    if is_sent {
        books.messages.sent += 1;
        books.time(Phase::SendLag, intended_us, sent_us);
        fleet.brief.counters.sent.count();
    } else {
        books.messages.skipped += 1;
    }
}

/// Disconnects everybody, and gives the server `time` to see them off.
pub(crate) async fn say_goodbye(fleet: &Fleet, time: Duration) {
    let now = Instant::now().into_std();
    for client in fleet.state.borrow_mut().clients.iter_mut().flatten() {
        client.connection.send(now, |outgoing| outgoing.close());
    }
    let gone = async {
        while fleet.state.borrow().clients.iter().any(Option::is_some) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Whoever has not been seen off by then is dropped with the thread.
    drop(timeout(time, gone).await);
}

impl Fleet {
    fn insert(&self, client: u32, stream: TcpStream, now: Instant) {
        let session = &self.brief.options.session;
        let mut join = Join::new(Arc::clone(&self.namespace));
        if let Some(auth) = &session.auth {
            join = join.with_auth(auth.as_str());
        }
        let seed = self.brief.options.plan.seed.wrapping_add(u64::from(client));
        let transport = session.transport.of(client);
        let options = self.connecting.iter().find(|options| options.transport == transport);
        let options = Arc::clone(options.expect("each transport of the mix has its options"));
        let dialer = TcpDialer { server: self.brief.address };
        let scratch = self.scratch.clone();
        let connection =
            Connection::new(stream, &dialer, options, [join], seed, now.into_std(), scratch);
        let talk = Talk { stage: Stage::Connecting, awaited: VecDeque::new() };
        self.state.borrow_mut().clients[client as usize] =
            Some(Box::new(Client { connection, talk, waker: None }));
    }

    /// A client has joined: how long each phase took.
    fn note_phases(&self, client: u32, dialled: Instant) {
        let now_us = self.now_us();
        let mut state = self.state.borrow_mut();
        let State { clients, books } = &mut *state;
        let Some(client) = clients[client as usize].as_deref() else { return };
        let phases = client.connection.session().phases();
        let micros = |at| self.micros(Instant::from_std(at));
        let stream_us = micros(phases.stream_at);
        books.time(Phase::Tcp, self.micros(dialled), stream_us);
        if let (Some(opened), Some(connected)) = (phases.opened_at, phases.connected_at) {
            books.time(Phase::Handshake, stream_us, micros(opened));
            books.time(Phase::Connect, micros(opened), micros(connected));
            books.time(Phase::Join, micros(connected), now_us);
        }
    }

    /// A client has joined, and has the transport that it is going to have.
    fn note_ready(&self, client: u32, due_us: u64) {
        let now_us = self.now_us();
        let mut state = self.state.borrow_mut();
        let State { clients, books } = &mut *state;
        let Some(Client { connection, .. }) = clients[client as usize].as_deref() else { return };
        let micros = |at| self.micros(Instant::from_std(at));
        let phases = connection.session().phases();
        match (phases.opened_at, phases.upgraded_at) {
            (Some(opened), Some(upgraded)) => {
                books.time(Phase::Upgrade, micros(opened), micros(upgraded));
            }
            _ if connection.session().options().transport == Transport::PollingThenUpgrade => {
                books.error("upgrade: no WebSocket came about; the client polls on".to_owned());
            }
            _ => {}
        }
        books.time(Phase::Ready, due_us, now_us);
        books.tally.joined += 1;
        self.brief.counters.joined.count();
    }

    /// A client is back in its room, which it had lost at `lost_us`.
    fn note_return(&self, lost_us: u64) {
        let now_us = self.now_us();
        let books = &mut self.state.borrow_mut().books;
        if !books.closed {
            books.time(Phase::Return, lost_us, now_us);
            books.tally.returned += 1;
        }
    }

    /// An attempt to come back has failed; there will be others.
    fn note_failed_return(&self, client: u32, error: &str) {
        self.strike_off(client);
        let books = &mut self.state.borrow_mut().books;
        if !books.closed {
            books.error(format!("coming back: {error}"));
        }
    }

    /// Says in which layer a client that has not joined got stuck.
    fn blame(&self, client: u32, reason: &str) -> String {
        let state = self.state.borrow();
        let Some(Client { connection, talk, .. }) = state.clients[client as usize].as_deref()
        else {
            return format!("handshake: {reason}");
        };
        match &talk.stage {
            Stage::Refused(why) => why.clone(),
            Stage::Joined | Stage::Joining { .. } => format!("join: {reason}"),
            Stage::Connecting if connection.session().phases().connected_at.is_some() => {
                "hello: the server does not say which one it is, which --reconnect needs".to_owned()
            }
            Stage::Connecting if connection.session().phases().opened_at.is_some() => {
                format!("connect: {reason}")
            }
            Stage::Connecting => format!("handshake: {}", reason.trim_start_matches("handshake: ")),
        }
    }

    /// A client has not joined, and never will.
    fn fail(&self, client: u32, error: String) {
        self.strike_off(client);
        let books = &mut self.state.borrow_mut().books;
        books.tally.failed += 1;
        books.error(error);
        self.brief.counters.failed.count();
    }

    /// A client that had joined has lost its connection, or has gone home.
    fn end(&self, client: u32, reason: &CloseReason) {
        if self.strike_off(client) {
            let books = &mut self.state.borrow_mut().books;
            books.tally.lost += 1;
            books.error(format!("connection lost: {reason}"));
        }
    }

    /// Takes a client whose connection has ended, however far it had come, out
    /// of the books; says whether it was in them, and they are still open.
    fn strike_off(&self, client: u32) -> bool {
        let now_us = self.now_us();
        let mut state = self.state.borrow_mut();
        let Some(gone) = state.clients[client as usize].take() else { return false };
        let books = &mut state.books;
        if books.closed {
            return false;
        }
        let Talk { stage, awaited } = gone.talk;
        // What is on its way is neither lost nor delivered.
        books.unanswered -= awaited.len() as u64;
        books.messages.cut_off += awaited.len() as u64;
        match stage {
            Stage::Joining { .. } => books.accounting.disconnected(now_us, client, None),
            Stage::Joined => {
                let place = books.place(client, self.room(client));
                books.accounting.disconnected(now_us, client, Some(place));
            }
            Stage::Connecting | Stage::Refused(_) => {}
        }
        true
    }
}
