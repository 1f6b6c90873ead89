//! Messages to many, and other things done to many: whom, and how.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::args::{ToArgs, event_json};
use super::outgoing::tell_outgoing;
use crate::hub::exchange::Reply;
use crate::hub::{Broadcast, Event, Found, NamespaceId, Outcome, Payload, SocketId, Target};
use crate::room::{Sid, SocketKey};
use crate::shard::{Core, Waiting};
use crate::socketio::Args;

/// Some of a namespace's sockets, wherever they are connected: the union of
/// some rooms, less the union of others; without a room the whole namespace.
///
/// A room may also be named by a socket's id. Whoever is in several of the
/// rooms gets one copy.
#[derive(Clone, Debug)]
#[must_use = "nothing is done before `emit` or another verb"]
pub struct Emitter {
    core: Rc<Core>,
    namespace: NamespaceId,
    from: Option<(SocketKey, Sid)>,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    volatile: bool,
    timeout: Option<Duration>,
}

/// Not every socket has answered a broadcast.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{missing} sockets did not answer")]
pub struct Unanswered {
    /// The answers that came, in the order in which they came.
    pub answers: Vec<Args<'static>>,
    /// How many did not come: too late, or their socket has gone.
    pub missing: usize,
}

impl Emitter {
    pub(super) fn new(
        core: Rc<Core>,
        namespace: NamespaceId,
        from: Option<(SocketKey, Sid)>,
    ) -> Self {
        let (rooms, except) = (Vec::new(), Vec::new());
        Self { core, namespace, from, rooms, except, volatile: false, timeout: None }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Those in `room` too.
    pub fn to(mut self, room: &str) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// The same as [`to`](Self::to), for whoever reads it aloud; `in` is a word of Rust's.
    pub fn within(self, room: &str) -> Self {
        self.to(room)
    }

    /// Not those in `room`.
    pub fn except(mut self, room: &str) -> Self {
        self.except.push(room.into());
        self
    }

    /// Only sockets of this server. As long as servers do not form a cluster,
    /// these are all.
    pub fn local(self) -> Self {
        self
    }

    /// May be dropped for who can not take it at once; never reordered or doubled.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits for answers.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event, which has its place in the namespace's order behind all
    /// that this handler has sent before.
    ///
    /// # Panics
    ///
    /// If the name is one of [`RESERVED_EVENTS`](crate::socketio::RESERVED_EVENTS).
    pub fn emit(self, event: &str, args: impl ToArgs) {
        self.emit_json(&event_json(event, &args), args.attachments());
    }

    /// Sends the event `message`.
    pub fn send(self, args: impl ToArgs) {
        self.emit("message", args);
    }

    /// Sends an event given as JSON, `["name",arg,..]`, and what its placeholders stand for.
    pub fn emit_json(self, json: &str, attachments: &[Bytes]) {
        let broadcast = self.broadcast(Payload { json, attachments }, false);
        self.core.handle(Event::Broadcast(broadcast));
    }

    /// Sends an event whose last argument is an object, to which the room's
    /// order adds `"seq": n`, n counting the messages of this room; resolves to n.
    ///
    /// `json` is the event, `["name",..,{..}]`. Resolves to `None` if nobody is
    /// in the room: nothing was sent then.
    ///
    /// # Panics
    ///
    /// If there is not exactly one room, or `json` does not end with an object.
    pub async fn emit_stamped(self, json: &str, attachments: &[Bytes]) -> Option<u64> {
        assert_eq!(self.rooms.len(), 1, "a number belongs to one room's order");
        assert!(json.ends_with("}]"), "the number is added to the object that ends the event");
        let broadcast = self.broadcast(Payload { json, attachments }, true);
        let accepted = self
            .core
            .ask(|ticket| Event::Broadcast(Broadcast { ticket: Some(ticket), ..broadcast }));
        match accepted.await {
            Outcome::Accepted(seq) => seq,
            Outcome::Acked(_)
            | Outcome::Expecting(_)
            | Outcome::Gone
            | Outcome::Left(_)
            | Outcome::Members(_)
            | Outcome::Sockets(_)
            | Outcome::Watching(_) => None,
        }
    }

    /// Sends an event that each socket is to answer; resolves to all answers,
    /// in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`Unanswered`], with the answers that did come, if the time set by
    /// [`timeout`](Self::timeout) is over or a socket has gone. Without a
    /// timeout it waits for as long as the sockets are connected.
    pub async fn emit_with_ack(
        self,
        event: &str,
        args: impl ToArgs,
    ) -> Result<Vec<Args<'static>>, Unanswered> {
        self.ask(&event_json(event, &args), args.attachments()).await
    }

    /// Sends such an event at once; what is returned waits for the answers.
    pub(super) fn ask(
        self,
        json: &str,
        attachments: &[Bytes],
    ) -> impl Future<Output = Result<Vec<Args<'static>>, Unanswered>> + use<> {
        let broadcast = self.broadcast(Payload { json, attachments }, false);
        let replies = self.core.ask_all(|ticket| {
            Event::Broadcast(Broadcast { replies: true, ticket: Some(ticket), ..broadcast })
        });
        let timeout = self.timeout;
        async move {
            match timeout {
                Some(timeout) => {
                    // What has come by then is what is taken.
                    let _ = tokio::time::timeout(timeout, replies.all_replies()).await;
                }
                None => replies.all_replies().await,
            }
            answers(&replies)
        }
    }

    /// Who these sockets are, at one moment between the call and the answer.
    pub async fn fetch_sockets(&self) -> Vec<RemoteSocket> {
        let namespace = self.namespace;
        let handle = |found| RemoteSocket { core: Rc::clone(&self.core), namespace, found };
        self.find().await.into_iter().map(handle).collect()
    }

    /// Asks at once who they are; what is returned waits for the answer.
    pub(super) fn find(&self) -> impl Future<Output = Vec<Found>> + use<> {
        let (namespace, except) = (self.namespace, self.except_with_own());
        let target = Target { rooms: &self.rooms, except: &except };
        let found = self.core.ask(|ticket| Event::Fetch { namespace, target, ticket });
        async move {
            let Outcome::Sockets(found) = found.await else { return Vec::new() };
            found
        }
    }

    /// Puts these sockets into `room`; who is in too many rooms already stays out.
    pub fn sockets_join(&self, room: &str) {
        let (except, rooms) = (self.except_with_own(), [room.into()]);
        let target = Target { rooms: &self.rooms, except: &except };
        let namespace = self.namespace;
        self.core.handle(Event::SocketsJoin { namespace, target, rooms: &rooms });
    }

    /// Takes these sockets out of `room`.
    pub fn sockets_leave(&self, room: &str) {
        let (except, rooms) = (self.except_with_own(), [room.into()]);
        let target = Target { rooms: &self.rooms, except: &except };
        let namespace = self.namespace;
        self.core.handle(Event::SocketsLeave { namespace, target, rooms: &rooms });
    }

    /// Ends these sockets; with `close` their connections and other namespaces too.
    pub fn disconnect_sockets(&self, close: bool) {
        let except = self.except_with_own();
        let target = Target { rooms: &self.rooms, except: &except };
        let namespace = self.namespace;
        self.core.handle(Event::DisconnectSockets { namespace, target, close });
    }

    /// The one who speaks is not meant: its own room is left out.
    fn except_with_own(&self) -> Vec<Box<str>> {
        let own = self.from.iter().map(|(_, sid)| sid.as_str().into());
        self.except.iter().cloned().chain(own).collect()
    }

    fn target(&self) -> Target<'_> {
        Target { rooms: &self.rooms, except: &self.except }
    }

    fn broadcast<'a>(&'a self, payload: Payload<'a>, stamped: bool) -> Broadcast<'a> {
        tell_outgoing(&self.core, self.namespace, payload.json);
        Broadcast {
            namespace: self.namespace,
            from: self.from,
            target: self.target(),
            payload,
            stamped,
            volatile: self.volatile,
            replies: false,
            ticket: None,
        }
    }
}

fn answers(replies: &Waiting) -> Result<Vec<Args<'static>>, Unanswered> {
    let replies = replies.take_replies();
    let expected = replies.expected.unwrap_or(replies.replies.len());
    let answer = |reply| match reply {
        Reply::Acked(args) => Some(args),
        Reply::Gone => None,
    };
    let answers: Vec<_> = replies.replies.into_iter().filter_map(answer).collect();
    match expected.saturating_sub(answers.len()) {
        0 => Ok(answers),
        missing => Err(Unanswered { answers, missing }),
    }
}

/// One socket of the namespace, wherever it is connected, as it was when it was fetched.
#[derive(Clone, Debug)]
pub struct RemoteSocket {
    core: Rc<Core>,
    namespace: NamespaceId,
    found: Found,
}

impl RemoteSocket {
    /// Its Socket.IO id.
    pub fn id(&self) -> Sid {
        self.found.sid
    }

    /// The rooms it was in, without the one of its own id.
    pub fn rooms(&self) -> &[Box<str>] {
        &self.found.rooms
    }

    /// What the application kept with it.
    pub fn data(&self) -> &Value {
        &self.found.data
    }

    /// Sends it an event.
    pub fn emit(&self, event: &str, args: impl ToArgs) {
        self.emitter().emit(event, args);
    }

    /// Puts it into `room`.
    pub fn join(&self, room: &str) {
        self.emitter().sockets_join(room);
    }

    /// Takes it out of `room`.
    pub fn leave(&self, room: &str) {
        self.emitter().sockets_leave(room);
    }

    /// Ends it; with `close` its connection and other namespaces too.
    pub fn disconnect(&self, close: bool) {
        self.emitter().disconnect_sockets(close);
    }

    fn emitter(&self) -> Emitter {
        Emitter::new(Rc::clone(&self.core), self.namespace, None).to(self.found.sid.as_str())
    }
}

/// Sends an event to one socket of this shard.
pub(super) fn emit_to(
    core: &Core,
    socket: SocketId,
    event: &str,
    args: &impl ToArgs,
    volatile: bool,
) {
    let json = event_json(event, args);
    tell_outgoing(core, socket.namespace, &json);
    let payload = Payload { json: &json, attachments: args.attachments() };
    core.handle(Event::Emit { socket, payload, volatile, ticket: None });
}
