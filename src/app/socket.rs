//! A handle to one socket.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::args::{Raw, ToArgs, event_json};
use super::emit::{Emitter, emit_to};
use super::handler::Handler;
use super::listeners::OwnListeners;
use super::outgoing::tell_outgoing;
use crate::hub::{Event, Outcome, Payload, SocketId};
use crate::room::{JoinError, Sid};
use crate::shard::{Core, Waiting};
use crate::socketio::Args;

/// One client's connection to one namespace.
///
/// A handle: cloning is cheap, and what is asked of a socket that has gone
/// changes nothing.
#[derive(Clone)]
pub struct Socket {
    core: Rc<Core>,
    id: SocketId,
    sid: Sid,
    /// Of a socket that has just gone: the rooms it was in.
    was_in: Option<Rc<[Box<str>]>>,
}

/// An emit to one socket in the making.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit`"]
pub struct ToSocket {
    socket: Socket,
    volatile: bool,
    timeout: Option<Duration>,
}

/// Why an ack did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// The client disconnected first, or too many acks were awaited from it.
    #[error("the client disconnected before it answered")]
    Gone,
    /// The client did not answer in time.
    #[error("the client did not answer within {0:?}")]
    Timeout(Duration),
}

impl Socket {
    pub(super) fn new(core: Rc<Core>, id: SocketId, sid: Sid) -> Self {
        Self { core, id, sid, was_in: None }
    }

    /// A socket that has gone from these rooms.
    pub(super) fn gone(core: Rc<Core>, id: SocketId, sid: Sid, rooms: &[Box<str>]) -> Self {
        Self { core, id, sid, was_in: Some(rooms.into()) }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) fn socket_id(&self) -> SocketId {
        self.id
    }

    /// The Socket.IO id, as the client knows it.
    pub fn id(&self) -> Sid {
        self.sid
    }

    /// The name of the socket's namespace; empty if that was made of a template
    /// and has gone with its last socket.
    pub fn namespace_name(&self) -> String {
        self.core.read(|hub| hub.name(self.id.namespace).to_owned())
    }

    /// Whether this socket goes on with the session of an earlier one: its id,
    /// rooms and data are that one's, and its client has been sent what it missed.
    pub fn is_recovered(&self) -> bool {
        self.core.read(|hub| hub.is_recovered(self.id))
    }

    /// Whether the socket is still connected.
    pub fn is_connected(&self) -> bool {
        self.core.read(|hub| hub.sid(self.id)).is_some()
    }

    /// Sends an event to this client.
    ///
    /// # Panics
    ///
    /// If the name is one of [`RESERVED_EVENTS`](crate::socketio::RESERVED_EVENTS).
    pub fn emit(&self, event: &str, args: impl ToArgs) {
        emit_to(&self.core, self.id, event, &args, false);
    }

    /// Sends the event `message` to this client.
    pub fn send(&self, args: impl ToArgs) {
        self.emit("message", args);
    }

    /// The next emit may be dropped if the client can not take it at once.
    pub fn volatile(&self) -> ToSocket {
        ToSocket { socket: self.clone(), volatile: true, timeout: None }
    }

    /// The next emit waits this long for its answer.
    pub fn timeout(&self, timeout: Duration) -> ToSocket {
        ToSocket { socket: self.clone(), volatile: false, timeout: Some(timeout) }
    }

    /// Runs `handler` for each event of that name of this socket, after the
    /// handlers of the namespace. It goes with the socket.
    pub fn on<M, H: Handler<M>>(&self, event: &str, handler: H) {
        self.own_listeners().on(event, false, handler.boxed());
    }

    /// As [`on`](Self::on), for the next event of that name only.
    pub fn once<M, H: Handler<M>>(&self, event: &str, handler: H) {
        self.own_listeners().on(event, true, handler.boxed());
    }

    /// Takes away what [`on`](Self::on) and [`once`](Self::once) have registered
    /// on this socket for that event.
    pub fn off(&self, event: &str) {
        self.own_listeners().off(event);
    }

    /// Runs `handler` for every event of this socket, before the handlers of its name.
    pub fn on_any<F: AsyncFn(Self, Raw) + 'static>(&self, handler: F) {
        self.own_listeners().on_any(handler.boxed());
    }

    /// Takes away what [`on_any`](Self::on_any) has registered on this socket.
    pub fn off_any(&self) {
        self.own_listeners().off_any();
    }

    fn own_listeners(&self) -> Rc<OwnListeners> {
        if self.is_connected() {
            OwnListeners::of(&self.core, self.id)
        } else {
            // Nobody would let go of them.
            Rc::default()
        }
    }

    /// Emits an event to the applications of all other shards of the server,
    /// which hear it by [`Namespace::on_server_side`](super::Namespace::on_server_side).
    pub fn server_side_emit(&self, event: &str, args: impl ToArgs) {
        self.server_side_emit_json(&event_json(event, &args), args.attachments());
    }

    /// The same with an event given as JSON, `["name",arg,..]`, and what its
    /// placeholders stand for.
    pub fn server_side_emit_json(&self, json: &str, attachments: &[Bytes]) {
        let payload = Payload { json, attachments };
        self.core.handle(Event::ServerSide { namespace: self.id.namespace, payload });
    }

    /// Sends an event that the client is to answer.
    ///
    /// The event is sent at once; the future resolves to the arguments of the
    /// answer. There is no time limit but the connection's life: put one
    /// around it where one is wanted.
    ///
    /// # Errors
    ///
    /// [`AckError`] if the client disconnects before it answers.
    pub fn emit_with_ack<A: ToArgs>(
        &self,
        event: &str,
        args: A,
    ) -> impl Future<Output = Result<Args<'static>, AckError>> + use<A> {
        let json = event_json(event, &args);
        tell_outgoing(&self.core, self.id.namespace, &json);
        let payload = Payload { json: &json, attachments: args.attachments() };
        let (socket, volatile) = (self.id, false);
        let answer =
            self.core.ask(|ticket| Event::Emit { socket, payload, volatile, ticket: Some(ticket) });
        async move {
            match answer.await {
                Outcome::Acked(args) => Ok(args),
                Outcome::Accepted(_)
                | Outcome::Expecting(_)
                | Outcome::Gone
                | Outcome::Left(_)
                | Outcome::Members(_)
                | Outcome::Sockets(_)
                | Outcome::Watching(_) => Err(AckError::Gone),
            }
        }
    }

    /// Enters `room`; resolves to how many are in it then.
    ///
    /// Asked for at once; done, in the namespace's order, when the future
    /// resolves.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if the socket has gone or is in too many rooms.
    pub fn join(&self, room: &str) -> impl Future<Output = Result<usize, JoinError>> + use<> {
        members(self.core.ask(|ticket| Event::Join { socket: self.id, room, ticket }))
    }

    /// Leaves `room`; resolves to whether it was in it.
    pub fn leave(&self, room: &str) -> impl Future<Output = bool> + use<> {
        left(self.core.ask(|ticket| Event::Leave { socket: self.id, room, ticket }))
    }

    /// Leaves `previous` and enters `next`, as one step of the namespace's
    /// order; resolves to how many are in `next` then.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; the socket is still in `previous` then.
    pub fn switch(
        &self,
        previous: &str,
        next: &str,
    ) -> impl Future<Output = Result<usize, JoinError>> + use<> {
        members(self.core.ask(|ticket| Event::Switch { socket: self.id, previous, next, ticket }))
    }

    /// Tells this client of every join and leave of `room` from here on, by the
    /// event `presence`, one per tick; resolves to who is in it now.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: as many rooms may be watched as may be joined.
    pub fn watch(&self, room: &str) -> impl Future<Output = Result<Vec<Sid>, JoinError>> + use<> {
        let outcome = self.core.ask(|ticket| Event::Watch { socket: self.id, room, ticket });
        async move {
            match outcome.await {
                Outcome::Watching(list) => list,
                Outcome::Accepted(_)
                | Outcome::Acked(_)
                | Outcome::Expecting(_)
                | Outcome::Gone
                | Outcome::Left(_)
                | Outcome::Members(_)
                | Outcome::Sockets(_) => Err(JoinError::Gone),
            }
        }
    }

    /// Ends what [`watch`](Self::watch) began; resolves to whether it had.
    pub fn unwatch(&self, room: &str) -> impl Future<Output = bool> + use<> {
        left(self.core.ask(|ticket| Event::Unwatch { socket: self.id, room, ticket }))
    }

    /// The rooms this socket is in, without the one of its own id.
    pub fn rooms(&self) -> Vec<Box<str>> {
        if let Some(rooms) = &self.was_in {
            return rooms.to_vec();
        }
        self.core.read(|hub| hub.rooms_of(self.id))
    }

    /// Whether this socket is in `room`.
    pub fn is_in(&self, room: &str) -> bool {
        self.core.read(|hub| hub.is_member(self.id, room))
    }

    /// A message to everybody in `room` but this socket.
    pub fn to(&self, room: &str) -> Emitter {
        self.broadcast().to(room)
    }

    /// A message to everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Emitter {
        Emitter::new(Rc::clone(&self.core), self.id.namespace, Some((self.id.key, self.sid)))
    }

    /// Everybody in `room` of this socket's namespace, this socket included.
    pub fn room(&self, room: &str) -> Emitter {
        self.namespace().to(room)
    }

    /// Everybody in this socket's namespace, this socket included.
    pub fn namespace(&self) -> Emitter {
        Emitter::new(Rc::clone(&self.core), self.id.namespace, None)
    }

    /// What the application keeps with this socket; null at first, and again after a disconnect.
    pub fn data(&self) -> Value {
        self.core.read(|hub| hub.data(self.id).cloned()).unwrap_or_default()
    }

    /// Keeps something with this socket for as long as it is connected.
    pub fn set_data(&self, data: &Value) {
        self.core.handle(Event::SetData { socket: self.id, data });
    }

    /// Ends this socket; with `close` the connection and its other namespaces too.
    pub fn disconnect(&self, close: bool) {
        self.core.handle(Event::Disconnect { socket: self.id, close });
    }
}

impl ToSocket {
    /// May be dropped if the client can not take it at once.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Waits this long for the answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event to the client.
    pub fn emit(self, event: &str, args: impl ToArgs) {
        emit_to(&self.socket.core, self.socket.id, event, &args, self.volatile);
    }

    /// Sends an event that the client is to answer. It is never dropped, also if `volatile`.
    ///
    /// # Errors
    ///
    /// [`AckError`] if the client disconnects before it answers, or takes too long.
    pub fn emit_with_ack<A: ToArgs>(
        self,
        event: &str,
        args: A,
    ) -> impl Future<Output = Result<Args<'static>, AckError>> + use<A> {
        let answer = self.socket.emit_with_ack(event, args);
        async move {
            match self.timeout {
                None => answer.await,
                Some(timeout) => tokio::time::timeout(timeout, answer)
                    .await
                    .unwrap_or(Err(AckError::Timeout(timeout))),
            }
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.sid).finish_non_exhaustive()
    }
}

async fn members(outcome: Waiting) -> Result<usize, JoinError> {
    match outcome.await {
        Outcome::Members(members) => members,
        Outcome::Accepted(_)
        | Outcome::Acked(_)
        | Outcome::Expecting(_)
        | Outcome::Gone
        | Outcome::Left(_)
        | Outcome::Sockets(_)
        | Outcome::Watching(_) => Err(JoinError::Gone),
    }
}

async fn left(outcome: Waiting) -> bool {
    outcome.await == Outcome::Left(true)
}
