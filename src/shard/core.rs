//! The state of a shard, and the calls that change it.

mod actions;
mod seen;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use self::seen::Seen;
pub use self::seen::{Client, Sightings};
use super::exchange::{Content, Envelope, Inbox, Links, Permit};
use super::mailbox::{Mailbox, Spares};
use super::tickets::{Tickets, Waiting};
use super::{Attached, Exchange, Handshake, Ids, Outbox, Parcel};
use crate::hub::{
    Accepted, Actions, Address, Census, ConnId, Counters, Event, Hub, Limits, Loss, NamespaceId,
    Notification, Opening, Place, Reason, SocketId, Ticket, TurnedAway,
};
use crate::room::{ShardId, Sid};
use crate::socketio::Args;

/// Hears the engine's own word for the order of each namespace.
///
/// It is called in that order, from within the engine: it may note what it
/// hears and must not call the engine back.
pub type Witness = Rc<dyn Fn(&Accepted)>;

/// Tells the time; handed in by the driver, whose clock a simulation controls.
pub type Now = fn() -> Instant;

/// How a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// At once; whatever is pending is given up.
    Now,
    /// After what is pending, the last of which is the close frame.
    AfterFlush,
}

/// The state of one shard; shared by its tasks and the application's handles.
pub struct Core {
    state: RefCell<State>,
    now: Now,
    /// Connections of all shards together; 0 is no limit.
    connections_max: usize,
    witness: Option<Witness>,
    /// Of the task that ends ticks, writes and keeps the timer.
    ticker: RefCell<Option<Waker>>,
    /// Whether that task has been woken for this tick already.
    woken: Cell<bool>,
    /// When the tick began that is to be ended.
    tick_began: Cell<Option<Instant>>,
    links: Links,
    inbox: RefCell<Inbox>,
    attached: Attached,
}

struct State {
    hub: Hub,
    actions: Actions,
    outbox: Outbox,
    tickets: Tickets,
    /// By [`ConnId::index`].
    slots: Vec<Slot>,
    /// For their mailboxes.
    spares: Spares<Notification>,
    /// The deadline for which the timer is set.
    armed: Option<Instant>,
    /// On whose budget the event in progress is; nobody else's if it is of this shard.
    cause: Option<Arc<Permit>>,
    /// On whose budget the notices are that are owed at the end of this tick.
    tick_causes: Vec<Arc<Permit>>,
    /// Tasks of connections that are not read because the shard is over its budget.
    paused: Vec<Waker>,
    /// What other shards' drivers have sent.
    parcels: VecDeque<Parcel>,
    /// What other shards' applications have said.
    server_side: VecDeque<(NamespaceId, Args<'static>)>,
    /// Shards that will ask for nothing more.
    finished: BTreeSet<ShardId>,
    /// Of who waits for the others to finish.
    finishing: Option<Waker>,
    /// What whoever watches the server has not seen yet.
    seen: Seen,
}

/// What the core keeps for one connection's task.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    waker: Option<Waker>,
    mailbox: Mailbox<Notification>,
    closing: Option<Closing>,
    /// How the connection began, if that is kept.
    handshake: Option<Handshake>,
    /// The peer does not take what is written: volatile packets are dropped.
    congested: bool,
    /// It is to close as soon as its handlers are done.
    leaving: bool,
    /// It has gone over from long-polling to a WebSocket.
    upgraded: bool,
}

impl Core {
    /// A shard that serves `namespaces`; `seed` is for its ids.
    pub fn new(
        exchange: Exchange,
        limits: Limits,
        namespaces: &[&str],
        seed: [u8; 32],
        now: Now,
        witness: Option<Witness>,
    ) -> Rc<Self> {
        let Exchange { links, inbox } = exchange;
        let ids = Box::new(Ids::new(seed, links.place.shard));
        let secret = u64::from_le_bytes(seed[..8].try_into().expect("eight of 32 bytes"));
        let place = Place { secret, ..links.place };
        let connections_max = limits.connections_max.unwrap_or_default();
        let hub = Hub::new(place, limits, namespaces, ids, witness.is_some(), now());
        let state = State {
            hub,
            actions: Actions::default(),
            outbox: Outbox::default(),
            tickets: Tickets::default(),
            slots: Vec::new(),
            spares: Spares::default(),
            armed: None,
            cause: None,
            tick_causes: Vec::new(),
            paused: Vec::new(),
            parcels: VecDeque::new(),
            server_side: VecDeque::new(),
            finished: BTreeSet::new(),
            finishing: None,
            seen: Seen::default(),
        };
        Rc::new(Self {
            state: RefCell::new(state),
            now,
            connections_max,
            witness,
            ticker: RefCell::new(None),
            woken: Cell::new(false),
            tick_began: Cell::new(None),
            links,
            inbox: RefCell::new(inbox),
            attached: Attached::default(),
        })
    }

    /// What the application's side keeps here.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// The next thing that another shard's application says to this one's.
    pub fn next_server_side(&self) -> Option<(NamespaceId, Args<'static>)> {
        self.state.borrow_mut().server_side.pop_front()
    }

    /// Which of how many shards this is.
    pub fn place(&self) -> Place {
        self.links.place
    }

    /// Sends something to the driver of another shard; it holds about so many bytes.
    pub fn send_parcel(&self, to: ShardId, parcel: Parcel, bytes: usize) {
        let permit = Some(self.links.permit_for(bytes));
        self.links.send(to, Content::Parcel(parcel), permit);
    }

    /// The next thing that the driver of another shard has sent.
    pub fn next_parcel(&self) -> Option<Parcel> {
        self.state.borrow_mut().parcels.pop_front()
    }

    /// Applies one event, and all that it causes, before it returns.
    pub fn handle(&self, event: Event<'_>) {
        let now = (self.now)();
        self.change(|state| state.hub.handle(event, now, &mut state.actions));
    }

    /// As [`handle`](Self::handle), for an event whose outcome is awaited.
    pub fn ask<'a>(self: &Rc<Self>, event: impl FnOnce(Ticket) -> Event<'a>) -> Waiting {
        let ticket = self.state.borrow_mut().tickets.issue();
        self.handle(event(ticket));
        Waiting::new(Rc::clone(self), ticket)
    }

    /// As [`ask`](Self::ask), for a broadcast that each socket is to answer.
    pub fn ask_all<'a>(self: &Rc<Self>, event: impl FnOnce(Ticket) -> Event<'a>) -> Waiting {
        let ticket = self.state.borrow_mut().tickets.issue_collecting();
        self.handle(event(ticket));
        Waiting::new(Rc::clone(self), ticket)
    }

    /// Says whose handler runs from here on: what it sends to one socket keeps its order.
    pub fn set_context(&self, socket: Option<SocketId>) {
        self.state.borrow_mut().hub.set_context(socket);
    }

    /// Ends what [`set_context`](Self::set_context) began; `done` if the handler is.
    pub fn end_context(&self, socket: Option<SocketId>, done: bool) {
        let mut state = self.state.borrow_mut();
        state.hub.set_context(None);
        let waits = socket.filter(|&socket| done && state.hub.awaits_handler(socket));
        drop(state);
        if let Some(socket) = waits {
            self.handle(Event::HandlerDone { socket });
        }
    }

    /// Handles what other shards have said, some at a time.
    pub fn poll_exchange(&self, cx: &mut Context<'_>) {
        const MESSAGES_PER_TURN: usize = 256;
        for _ in 0..MESSAGES_PER_TURN {
            let Poll::Ready(envelope) = self.inbox.borrow_mut().poll_receive(cx) else { return };
            // Never none: the shard itself can send to its inbox.
            envelope.into_iter().for_each(|envelope| self.receive(envelope));
        }
        cx.waker().wake_by_ref();
    }

    /// Handles what other shards have said by now. Called before what a client
    /// says is handled: the client may have learned from somebody else of what
    /// is on its way here, and expects to have it before the answer to what it
    /// says next.
    pub fn catch_up(&self) {
        loop {
            let Some(envelope) = self.inbox.borrow_mut().try_receive() else { return };
            self.receive(envelope);
        }
    }

    fn receive(&self, envelope: Envelope) {
        let Envelope { from, content, permit } = envelope;
        let now = (self.now)();
        match content {
            Content::Finished => {
                let mut state = self.state.borrow_mut();
                state.finished.insert(from);
                state.finishing.take().into_iter().for_each(Waker::wake);
            }
            Content::Message(message) => self.change(|state| {
                state.hub.set_context(None);
                state.cause = permit;
                state.hub.handle(Event::Exchange { from, message }, now, &mut state.actions);
            }),
            Content::Parcel(parcel) => self.state.borrow_mut().parcels.push_back(parcel),
            Content::Resume => {
                let paused = std::mem::take(&mut self.state.borrow_mut().paused);
                paused.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Ready if the shard is within its budget: only then it reads from its sockets.
    pub fn poll_budget(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.links.is_over_budget() {
            return Poll::Ready(());
        }
        self.state.borrow_mut().paused.push(cx.waker().clone());
        // Somebody may have given back meanwhile, before the waker was there.
        if self.links.is_over_budget() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Tells the other shards that the last session of this one has gone.
    pub fn finish(&self) {
        for shard in self.links.others() {
            self.links.send(shard, Content::Finished, None);
        }
    }

    /// Ready once the other shards have all finished.
    pub fn poll_finished(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if self.links.others().all(|shard| state.finished.contains(&shard)) {
            return Poll::Ready(());
        }
        state.finishing = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads from the hub.
    pub fn read<T>(&self, read: impl FnOnce(&Hub) -> T) -> T {
        read(&self.state.borrow().hub)
    }

    /// What was dropped and refused since the shard began.
    pub fn counters(&self) -> Counters {
        self.state.borrow().hub.counters
    }

    /// Lets in a connection from `address`, or a session from there that polls;
    /// counts it if it is turned away.
    pub(super) fn let_in(&self, address: Address) -> Result<(), TurnedAway> {
        let now = (self.now)();
        let mut state = self.state.borrow_mut();
        let hub = &mut state.hub;
        let entered = if self.links.seats.take(self.connections_max) {
            let entered = hub.let_in(address, now);
            entered.inspect_err(|_| self.links.seats.give_back())
        } else {
            Err(TurnedAway::Full)
        };
        entered.inspect_err(|turned_away| hub.counters.turn_away(*turned_away))
    }

    /// What was let in has ended.
    pub(super) fn let_go(&self, address: Address) {
        self.links.seats.give_back();
        self.state.borrow_mut().hub.let_go(address, (self.now)());
    }

    /// How many bytes of a connection may be read now.
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub fn may_read(&self, conn: ConnId) -> Result<usize, Instant> {
        let now = (self.now)();
        self.change(|state| state.hub.may_read(conn, now))
    }

    /// Notes whether what a connection's client says is read, or has to wait.
    pub fn set_heard(&self, conn: ConnId, heard: bool) {
        self.state.borrow_mut().hub.set_heard(conn, heard);
    }

    /// Notes bytes of a connection that have been read.
    pub fn note_read(&self, conn: ConnId, bytes: usize) {
        self.count(|counters| counters.bytes_in += bytes as u64);
        self.note_inflated(conn, bytes);
    }

    /// Notes what a message of a peer became that came compressed.
    pub fn note_inflated(&self, conn: ConnId, bytes: usize) {
        let hub = &mut self.state.borrow_mut().hub;
        if hub.measures_bytes() {
            hub.note_read(conn, bytes, (self.now)());
        }
    }

    /// Counts something. Not while the outbox is lent.
    pub fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.state.borrow_mut().hub.counters);
    }

    /// How much the shard holds, and how many outcomes are awaited.
    pub fn census(&self) -> (Census, usize) {
        let state = self.state.borrow();
        (state.hub.census(), state.tickets.len())
    }

    /// A connection whose transport is up; `waker` is of its task. Returns its Engine.IO id.
    pub fn open(
        &self,
        conn: ConnId,
        opening: Opening,
        handshake: Option<Handshake>,
        waker: &Waker,
    ) -> Sid {
        let now = (self.now)();
        self.change(|state| {
            let index = conn.index as usize;
            if state.slots.len() <= index {
                state.slots.resize_with(index + 1, Slot::default);
            }
            let (generation, waker) = (conn.generation, Some(waker.clone()));
            state.slots[index] = Slot { generation, waker, handshake, ..Slot::default() };
            state.hub.open(conn, opening, now, &mut state.actions)
        })
    }

    /// Frees everything of a connection whose task is about to end.
    pub fn remove(&self, conn: ConnId) {
        self.handle(Event::Gone { conn, reason: Reason::TransportClose });
        let slot = self.change(|state| {
            state.hub.remove(conn);
            state.outbox.forget(conn);
            let slot = state.slot(conn).map(std::mem::take);
            if state.hub.open_count() == 0 {
                state.slots = Vec::new();
            }
            slot
        });
        drop(slot);
    }

    /// Sends bytes that are no packet (pong and close frames) in their turn.
    pub fn send_frame(&self, conn: ConnId, frame: &[u8]) {
        self.change(|state| state.push(frame, conn));
    }

    /// Who is to be woken when something concerns this connection.
    pub fn set_waker(&self, conn: ConnId, waker: &Waker) {
        if let Some(slot) = self.state.borrow_mut().slot(conn)
            && !slot.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            slot.waker = Some(waker.clone());
        }
    }

    /// The next thing that the application is to hear from this connection.
    pub fn next_notification(&self, conn: ConnId) -> Option<Notification> {
        let mut state = self.state.borrow_mut();
        let State { slots, spares, .. } = &mut *state;
        slot(slots, conn)?.mailbox.take(spares)
    }

    /// How the connection began, if that is kept.
    pub fn handshake(&self, conn: ConnId) -> Option<Handshake> {
        self.state.borrow_mut().slot(conn)?.handshake.clone()
    }

    /// Whether and how the connection is to end.
    pub fn closing(&self, conn: ConnId) -> Option<Closing> {
        self.state.borrow_mut().slot(conn)?.closing
    }

    /// Tells a connection's task to close it as soon as its handlers are done.
    pub fn tell_to_go(&self, conn: ConnId) {
        if let Some(slot) = self.state.borrow_mut().slot(conn) {
            slot.leaving = true;
            slot.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Whether it has been told to go.
    pub fn is_leaving(&self, conn: ConnId) -> bool {
        self.state.borrow_mut().slot(conn).is_some_and(|slot| slot.leaving)
    }

    /// Notes whether the peer takes what is written to it.
    pub fn set_congested(&self, conn: ConnId, congested: bool) {
        if let Some(slot) = self.state.borrow_mut().slot(conn) {
            slot.congested = congested;
        }
    }

    /// Whether something for this connection has not been handed to its stream yet.
    pub fn has_pending(&self, conn: ConnId) -> bool {
        self.state.borrow().outbox.has_pending(conn)
    }

    /// Does what is due by time, before the timer does.
    pub fn handle_timeout(&self) {
        let now = (self.now)();
        let due = self.read(|hub| hub.deadline().is_some_and(|due| due <= now));
        if due {
            self.change(|state| state.hub.handle_timeout(now, &mut state.actions));
        }
    }

    /// Ends the tick: what is due by time, and what watchers are owed.
    pub fn end_tick(&self) {
        self.woken.set(false);
        let now = (self.now)();
        self.change(|state| state.hub.handle_timeout(now, &mut state.actions));
        self.change(|state| {
            let causes = std::mem::take(&mut state.tick_causes);
            state.cause = (!causes.is_empty()).then(|| self.links.joint_permit(causes));
            state.hub.end_tick(&mut state.actions);
        });
        self.woken.set(false);
    }

    /// Notes that all of the tick has been written, so many bytes.
    pub fn note_written(&self, bytes: u64) {
        let began = self.tick_began.take();
        let took = began.map(|began| (self.now)().saturating_duration_since(began));
        self.count(|counters| {
            counters.bytes_out += bytes;
            took.into_iter().for_each(|took| counters.tick_length.record(took));
        });
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        (self.now)()
    }

    /// The deadline for which the timer has to be set now.
    pub fn arm(&self) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        state.armed = state.hub.deadline();
        state.armed
    }

    /// Who ends ticks.
    pub fn set_ticker(&self, waker: &Waker) {
        *self.ticker.borrow_mut() = Some(waker.clone());
    }

    /// Lends the outbox, to write what is pending. Nothing else may be called meanwhile.
    pub fn with_outbox<T>(&self, write: impl FnOnce(&mut Outbox) -> T) -> T {
        write(&mut self.state.borrow_mut().outbox)
    }

    pub(super) fn with_tickets<T>(&self, change: impl FnOnce(&mut Tickets) -> T) -> T {
        change(&mut self.state.borrow_mut().tickets)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let result = change(&mut state);
        state.apply(self.witness.as_ref(), &self.links);
        let cause = state.cause.take();
        if state.hub.owes_notices() {
            state.tick_causes.extend(cause);
        }
        let earlier =
            state.hub.deadline().is_some_and(|due| state.armed.is_none_or(|armed| due < armed));
        let owed = state.outbox.is_dirty() || earlier || state.hub.owes_notices();
        drop(state);
        if owed && !self.woken.replace(true) {
            if self.tick_began.get().is_none() {
                self.tick_began.set(Some((self.now)()));
            }
            let ticker = self.ticker.borrow();
            ticker.iter().for_each(Waker::wake_by_ref);
        }
        result
    }
}

impl State {
    fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        slot(&mut self.slots, conn)
    }

    fn push(&mut self, frame: &[u8], conn: ConnId) {
        if self.slot(conn).is_some() {
            self.outbox.push(frame, &[conn], Loss::Never);
        }
    }
}

/// The slot of a connection, unless another one has it now.
fn slot(slots: &mut [Slot], conn: ConnId) -> Option<&mut Slot> {
    slots.get_mut(conn.index as usize).filter(|slot| slot.generation == conn.generation)
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
