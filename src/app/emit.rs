//! Messages to many: whom, and how.

use std::rc::Rc;

use bytes::Bytes;

use super::args::{ToArgs, event_json};
use crate::hub::{Broadcast, Event, Found, NamespaceId, Outcome, Payload, SocketId, Target};
use crate::room::{Sid, SocketKey};
use crate::shard::Core;

/// A message in the making: to the union of some rooms, less the union of others.
///
/// A room may also be named by a socket's id. Whoever is in several of the
/// rooms gets one copy.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit`"]
pub struct Emitter {
    core: Rc<Core>,
    namespace: NamespaceId,
    from: Option<(SocketKey, Sid)>,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    volatile: bool,
}

impl Emitter {
    pub(super) fn new(
        core: Rc<Core>,
        namespace: NamespaceId,
        from: Option<(SocketKey, Sid)>,
    ) -> Self {
        Self { core, namespace, from, rooms: Vec::new(), except: Vec::new(), volatile: false }
    }

    /// To those in `room` too.
    pub fn to(mut self, room: &str) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// Not to those in `room`.
    pub fn except(mut self, room: &str) -> Self {
        self.except.push(room.into());
        self
    }

    /// May be dropped for who can not take it at once; never reordered or doubled.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends the event; it has its place in the namespace's order when this returns.
    pub fn emit(self, event: &str, args: impl ToArgs) {
        let json = event_json(event, &args);
        let broadcast =
            self.broadcast(Payload { json: &json, attachments: args.attachments() }, false);
        self.core.handle(Event::Broadcast(broadcast));
    }

    /// Sends an event whose last argument is an object, to which the room's
    /// order adds `"seq": n`, n counting the messages of this room; resolves to n.
    ///
    /// `json` is the event, `["name",..,{..}]`. Resolves to `None` if nobody is
    /// in the room or the sender has gone: nothing was sent then.
    ///
    /// # Panics
    ///
    /// If there is not exactly one room, or `json` does not end with an object.
    pub async fn emit_stamped(self, json: &str, attachments: &[Bytes]) -> Option<u64> {
        assert_eq!(self.rooms.len(), 1, "a number belongs to one room's order");
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

    fn broadcast<'a>(&'a self, payload: Payload<'a>, stamped: bool) -> Broadcast<'a> {
        Broadcast {
            namespace: self.namespace,
            from: self.from,
            target: Target { rooms: &self.rooms, except: &self.except },
            payload,
            stamped,
            volatile: self.volatile,
            replies: false,
            ticket: None,
        }
    }
}

/// One room, or the whole namespace, as the server itself sees it.
#[derive(Clone, Debug)]
pub struct Room {
    core: Rc<Core>,
    namespace: NamespaceId,
    name: Option<Box<str>>,
}

impl Room {
    pub(super) fn new(core: Rc<Core>, namespace: NamespaceId, name: Option<&str>) -> Self {
        Self { core, namespace, name: name.map(Into::into) }
    }

    /// Sends an event to everybody here.
    pub fn emit(&self, event: &str, args: impl ToArgs) {
        let emitter = Emitter::new(Rc::clone(&self.core), self.namespace, None);
        let emitter = self.name.iter().fold(emitter, |emitter, name| emitter.to(name));
        emitter.emit(event, args);
    }

    /// Who is here, wherever they are connected, at one moment between the
    /// call and the answer.
    pub async fn fetch_sockets(&self) -> Vec<Found> {
        let rooms: Vec<Box<str>> = self.name.iter().cloned().collect();
        let target = Target { rooms: &rooms, except: &[] };
        let namespace = self.namespace;
        let found = self.core.ask(|ticket| Event::Fetch { namespace, target, ticket });
        match found.await {
            Outcome::Sockets(found) => found,
            Outcome::Accepted(_)
            | Outcome::Acked(_)
            | Outcome::Expecting(_)
            | Outcome::Gone
            | Outcome::Left(_)
            | Outcome::Members(_)
            | Outcome::Watching(_) => Vec::new(),
        }
    }
}

pub(super) fn emit_to(core: &Core, socket: SocketId, event: &str, args: &impl ToArgs) {
    let json = event_json(event, args);
    let payload = Payload { json: &json, attachments: args.attachments() };
    core.handle(Event::Emit { socket, payload, volatile: false, ticket: None });
}
