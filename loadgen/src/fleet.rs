//! The clients of one thread: gathered, made to speak, drained, sent home.
//!
//! Rooms are dealt to threads, so whoever shares a room shares a thread, and the
//! books of a thread need nothing of another. All its clients live in one
//! [`State`]; a small task for each takes what arrives, and this file's own task
//! sends what the schedule says, when it says so, without waiting for anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parlor::client::Scratch;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::accounting::{Accounting, Place, SERVERS_MAX};
use crate::alarm::Alarm;
use crate::client::{self, Client};
use crate::message::Bodies;
use crate::readiness::Cycles;
use crate::recorder::{Phase, Recorder};
use crate::report::{Clients, Deliveries, Messages, VIOLATIONS_MAX};
use crate::resources;
use crate::run::{Brief, Command, Event};

/// Connects under way at one time, of all threads. More would only queue in
/// the server's backlog, and be measured there.
pub(crate) const CONNECTING_MAX: u32 = 256;

/// Messages sent in one go when the schedule is behind, before whatever has
/// arrived is read.
const BURST_MAX: u32 = 32;

/// How many kinds of errors are told apart: a server may invent as many as it likes.
const ERROR_KINDS_MAX: usize = 100;

/// How often a drain looks whether it is complete.
const DRAIN_TICK: Duration = Duration::from_millis(10);
/// After everything has arrived, so long is listened for what comes twice.
const DUPLICATES_TIME: Duration = Duration::from_millis(100);
/// So long the servers' side may take to see clients off.
const GOODBYE_TIME: Duration = Duration::from_secs(2);

/// What one thread measured; what all of them did, once merged.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) clients: Clients,
    pub(crate) messages: Messages,
    pub(crate) deliveries: Deliveries,
    pub(crate) recorder: Recorder,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) busiest_thread_cores: f64,
}

/// What the tasks of one thread share.
pub(crate) struct Fleet {
    pub(crate) brief: Brief,
    pub(crate) bodies: Bodies,
    /// The room of each client of the run.
    rooms: Vec<u32>,
    thread: u32,
    pub(crate) state: RefCell<State>,
    /// A client has joined or failed.
    pub(crate) settled: Notify,
    pub(crate) cycles: Arc<Cycles>,
    /// What clients of each transport tell the server alike.
    pub(crate) connecting: Vec<Arc<parlor::client::Options>>,
    pub(crate) namespace: Arc<str>,
    /// What is being read and written, for all clients.
    pub(crate) scratch: Scratch,
}

/// What changes. Borrowed for one poll or one message, never over an await.
pub(crate) struct State {
    /// By number; only this thread's are ever there.
    pub(crate) clients: Vec<Option<Box<Client>>>,
    pub(crate) books: Books,
}

/// What was measured and counted so far.
pub(crate) struct Books {
    /// The Socket.IO id of each client, by number; empty before it is connected.
    pub(crate) ids: Vec<Box<str>>,
    pub(crate) recorder: Recorder,
    pub(crate) accounting: Accounting,
    pub(crate) messages: Messages,
    pub(crate) tally: Clients,
    pub(crate) errors: BTreeMap<String, u64>,
    /// The server of each client, by number; of those whom the chat's `hello` does not tell, 0.
    pub(crate) servers: Vec<u32>,
    /// Servers by the name that `hello` has told.
    names: BTreeMap<Box<str>, u32>,
    /// Acknowledgements awaited.
    pub(crate) unanswered: u64,
    /// The arguments of the message being sent.
    pub(crate) json: String,
    /// Whether clients come back.
    reconnect: bool,
    /// All is measured; what happens now no longer counts.
    pub(crate) closed: bool,
}

/// Carries the clients of thread number `thread`, from the first connect to
/// the last goodbye.
///
/// # Errors
///
/// The operating system gives no runtime or no timer.
pub(crate) fn run_thread(brief: Brief, thread: u32) -> io::Result<Outcome> {
    let cycles = Arc::new(Cycles::new(brief.zero));
    let waiting = Arc::clone(&cycles);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || waiting.wait())
        .build()?;
    let fleet = Rc::new(Fleet::new(brief, thread, Arc::clone(&cycles)));
    LocalSet::new().block_on(&runtime, async {
        let mut carried = pin!(run_fleet(fleet));
        // A LocalSet polls this future, and then some of its tasks, after each
        // look of the runtime for what is readable.
        poll_fn(|cx| {
            cycles.begin();
            carried.as_mut().poll(cx)
        })
        .await
    })
}

async fn run_fleet(fleet: Rc<Fleet>) -> io::Result<Outcome> {
    let mut commands = fleet.brief.commands.clone();
    let mut alarm = Alarm::new()?;
    gather(&fleet, &mut alarm, &mut commands).await?;
    fleet.tell(Event::Gathered).await;
    let go = commands.wait_for(|command| *command != Command::Gather).await.map(|command| *command);
    let mut cores = 0.0;
    if let Ok(Command::Speak { start }) = go {
        let cpu_before = resources::thread_cpu();
        speak(&fleet, start, &mut alarm, &mut commands).await?;
        let cpu = resources::thread_cpu() - cpu_before;
        cores = cpu.as_secs_f64() / start.elapsed().as_secs_f64();
        fleet.tell(Event::Spoken).await;
        drain(&fleet).await;
    }
    let outcome = fleet.close(cores);
    client::say_goodbye(&fleet, GOODBYE_TIME).await;
    Ok(outcome)
}

/// Connects everybody, spread over the ramp, and waits until each has joined
/// or failed.
async fn gather(
    fleet: &Rc<Fleet>,
    alarm: &mut Alarm,
    commands: &mut watch::Receiver<Command>,
) -> io::Result<()> {
    let options = &fleet.brief.options;
    let connecting = Arc::new(Semaphore::new((CONNECTING_MAX / options.threads).max(1) as usize));
    let mut mine = 0;
    for client in (0..options.plan.clients).filter(|&client| fleet.is_mine(client)) {
        let due = fleet.brief.zero + options.plan.connects_at(client, options.ramp);
        // A stop is worth more than another client.
        let permit = tokio::select! {
            biased;
            _ = commands.changed() => return Ok(()),
            permit = async {
                alarm.wait_until(due).await?;
                Arc::clone(&connecting).acquire_owned().await.map_err(io::Error::other)
            } => permit?,
        };
        client::start(fleet, client, fleet.micros(due), permit);
        mine += 1;
    }
    loop {
        let settled = fleet.settled.notified();
        let tally = fleet.state.borrow().books.tally;
        if tally.joined + tally.failed >= mine {
            return Ok(());
        }
        tokio::select! {
            biased;
            _ = commands.changed() => return Ok(()),
            () = settled => {}
        }
    }
}

/// Keeps the schedule, whatever the server does.
async fn speak(
    fleet: &Fleet,
    start: Instant,
    alarm: &mut Alarm,
    commands: &mut watch::Receiver<Command>,
) -> io::Result<()> {
    let plan = &fleet.brief.options.plan;
    let end = start + plan.duration;
    let mut burst = 0;
    for message in plan.messages().filter(|message| fleet.is_mine(message.client)) {
        let due = start + Duration::from_micros(message.at_us);
        if Instant::now() < due {
            burst = 0;
        } else if burst == BURST_MAX {
            burst = 0;
            tokio::task::yield_now().await;
        }
        burst += 1;
        if stopped_before(due, alarm, commands).await? {
            return Ok(());
        }
        client::send(fleet, message, fleet.micros(due));
    }
    stopped_before(end, alarm, commands).await?;
    Ok(())
}

async fn stopped_before(
    due: Instant,
    alarm: &mut Alarm,
    commands: &mut watch::Receiver<Command>,
) -> io::Result<bool> {
    // A stop is worth more than another message.
    tokio::select! {
        biased;
        _ = commands.changed() => Ok(true),
        waited = alarm.wait_until(due) => waited.map(|()| false),
    }
}

/// Waits for what is outstanding, until the deadline that was stated.
async fn drain(fleet: &Fleet) {
    let deadline = Instant::now() + fleet.brief.options.drain;
    while Instant::now() < deadline {
        if fleet.state.borrow().books.is_settled() {
            tokio::time::sleep(DUPLICATES_TIME).await;
            return;
        }
        tokio::time::sleep(DRAIN_TICK).await;
    }
}

impl Fleet {
    fn new(brief: Brief, thread: u32, cycles: Arc<Cycles>) -> Self {
        let plan = &brief.options.plan;
        let clients = plan.clients as usize;
        let books = Books {
            ids: vec![Box::default(); clients],
            servers: vec![0; clients],
            names: BTreeMap::new(),
            recorder: Recorder::new(),
            accounting: Accounting::new(plan),
            messages: Messages::default(),
            tally: Clients::default(),
            errors: BTreeMap::new(),
            unanswered: 0,
            json: String::new(),
            reconnect: brief.options.session.reconnect,
            closed: false,
        };
        let state =
            State { clients: std::iter::repeat_with(|| None).take(clients).collect(), books };
        Self {
            bodies: Bodies::new(brief.nonce, brief.options.session.body_bytes),
            rooms: plan.rooms_by_client(),
            thread,
            state: RefCell::new(state),
            settled: Notify::new(),
            cycles,
            connecting: client::options_by_transport(&brief),
            namespace: brief.options.session.namespace.as_str().into(),
            scratch: Scratch::default(),
            brief,
        }
    }

    /// The room that `client` is to be in.
    pub(crate) fn room(&self, client: u32) -> u32 {
        self.rooms[client as usize]
    }

    fn is_mine(&self, client: u32) -> bool {
        self.room(client) % self.brief.options.threads == self.thread
    }

    /// Now, on the run's clock.
    pub(crate) fn now_us(&self) -> u64 {
        since(self.brief.zero)
    }

    pub(crate) fn micros(&self, at: Instant) -> u64 {
        at.duration_since(self.brief.zero).as_micros() as u64
    }

    async fn tell(&self, event: Event) {
        let told = self.brief.events.send(event).await;
        told.expect("the conductor listens until all threads have ended");
    }

    /// The number of a room by its name, if it is one of this run.
    pub(crate) fn room_of_name(&self, name: &str) -> Option<u32> {
        let rooms = self.brief.options.plan.rooms;
        self.brief.nonce.room_number(name).filter(|&room| room < rooms)
    }

    /// Closes the books.
    fn close(&self, cores: f64) -> Outcome {
        let empty = Accounting::new(&self.brief.options.plan);
        let mut state = self.state.borrow_mut();
        let books = &mut state.books;
        books.closed = true;
        books.messages.unanswered = books.unanswered;
        let accounting = std::mem::replace(&mut books.accounting, empty);
        let (deliveries, violations) = accounting.finish(self.now_us());
        Outcome {
            clients: books.tally,
            messages: books.messages,
            deliveries,
            recorder: std::mem::replace(&mut books.recorder, Recorder::new()),
            errors: std::mem::take(&mut books.errors),
            violations,
            busiest_thread_cores: cores,
        }
    }
}

impl Books {
    /// Counts something that went wrong, its layer in front.
    pub(crate) fn error(&mut self, what: String) {
        let what = if self.errors.len() < ERROR_KINDS_MAX { what } else { "other".to_owned() };
        *self.errors.entry(what).or_default() += 1;
    }

    /// Notes which server a client is on.
    pub(crate) fn greeted(&mut self, client: u32, server: &str) {
        let next = self.names.len() as u32;
        let number = match self.names.get(server) {
            Some(&number) => number,
            None if next < SERVERS_MAX => *self.names.entry(server.into()).or_insert(next),
            None => {
                self.error("hello: too many servers to tell apart".to_owned());
                SERVERS_MAX - 1
            }
        };
        self.servers[client as usize] = number;
    }

    /// Where `client` is, in `room`.
    pub(crate) fn place(&self, client: u32, room: u32) -> Place {
        Place { server: self.servers[client as usize], room }
    }

    /// Notes a time from `since_us` to `now_us`.
    pub(crate) fn time(&mut self, phase: Phase, since_us: u64, now_us: u64) {
        self.recorder.record(phase, now_us.saturating_sub(since_us));
    }

    /// The client with this Socket.IO id, which is probably `guess`.
    pub(crate) fn client_of(&self, id: &str, guess: u32) -> Option<u32> {
        if &*self.ids[guess as usize] == id {
            return Some(guess);
        }
        (0..).zip(&self.ids).find(|(_, known)| &***known == id).map(|(client, _)| client)
    }

    /// Whether everything owed has arrived.
    fn is_settled(&self) -> bool {
        self.accounting.is_settled() && self.unanswered == 0 && self.is_complete()
    }

    /// Whether everybody who is to come back has.
    fn is_complete(&self) -> bool {
        !self.reconnect || self.tally.away() == 0
    }
}

fn since(zero: Instant) -> u64 {
    zero.elapsed().as_micros() as u64
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            clients: Clients::default(),
            messages: Messages::default(),
            deliveries: Deliveries::default(),
            recorder: Recorder::new(),
            errors: BTreeMap::new(),
            violations: Vec::new(),
            busiest_thread_cores: 0.0,
        }
    }
}

impl Outcome {
    /// Adds what another thread measured.
    pub(crate) fn merge(&mut self, other: Self) {
        self.clients.add(other.clients);
        self.messages.add(other.messages);
        self.deliveries.add(other.deliveries);
        self.recorder.merge(&other.recorder);
        for (what, count) in other.errors {
            *self.errors.entry(what).or_default() += count;
        }
        self.violations.extend(other.violations);
        self.violations.truncate(VIOLATIONS_MAX);
        self.busiest_thread_cores = self.busiest_thread_cores.max(other.busiest_thread_cores);
    }
}
