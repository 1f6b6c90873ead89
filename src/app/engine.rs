//! The running engine, as a part of the application sees it that belongs to no socket.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;

use super::emit::Emitter;
use super::io::{Admission, Io};
use super::socket::Socket;
use crate::hub::{Hub, Sighting};
use crate::room::ShardId;
use crate::shard::{Client, Core, Sightings};

/// A handle to the engine, on one of its shards.
///
/// Cloning is cheap. It does not outlive the shard's thread.
#[derive(Clone)]
pub struct Engine {
    core: Rc<Core>,
}

/// Something that runs beside the handlers.
pub(crate) type Task = Box<dyn FnOnce(Engine) -> Pin<Box<dyn Future<Output = ()>>>>;

impl Engine {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        Self { core }
    }

    /// Which shard this is.
    pub fn shard(&self) -> ShardId {
        self.core.place().shard
    }

    /// Everybody in the namespace of that name, on all shards; `None` if it is
    /// not known here, as may be with one that is made of a template.
    pub fn of(&self, name: &str) -> Option<Emitter> {
        let namespace = self.core.read(|hub| hub.namespace(name))?;
        Some(Emitter::new(Rc::clone(&self.core), namespace, None))
    }

    /// Whether this shard keeps the order of that namespace.
    pub fn is_home(&self, name: &str) -> bool {
        self.core.read(|hub| hub.namespace(name).is_some_and(|namespace| hub.is_home(namespace)))
    }

    /// The namespaces that are known here, and how many of their sockets are on this shard.
    pub fn namespaces(&self) -> Vec<(Box<str>, usize)> {
        self.core.read(Hub::namespaces_here)
    }

    /// From here on [`sightings`](Self::sightings) tells what happens to the
    /// sockets of this shard; not of the events in the namespace `except`.
    ///
    /// One part of an application alone can watch. It costs something for each
    /// event and each recipient: for looking at a server, not for chatting.
    ///
    /// # Panics
    ///
    /// If there is no namespace `except`.
    pub fn watch(&self, except: &str) {
        let except = self.core.read(|hub| hub.namespace(except));
        self.core.set_sighted(Some(except.expect("the namespace of who watches is registered")));
    }

    /// Ends what [`watch`](Self::watch) began; what was not taken is forgotten.
    pub fn unwatch(&self) {
        self.core.set_sighted(None);
    }

    /// What has happened since the last time, at most `count`; waits until something has.
    ///
    /// What there was no room for is counted in the answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn sightings(&self, count: usize) -> Sightings {
        poll_fn(|cx| self.core.poll_sightings(count, cx)).await
    }

    /// Every socket of this shard that is connected, as if it had connected just now.
    pub fn sightings_now(&self) -> Vec<(Sighting, Client)> {
        self.core.sightings_now()
    }

    /// Waits until the shard is within its budget of what waits for other shards.
    pub async fn within_budget(&self) {
        poll_fn(|cx| self.core.poll_budget(cx)).await;
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("shard", &self.shard()).finish_non_exhaustive()
    }
}

impl Io {
    /// Runs beside the handlers for as long as the shard lives, on its thread.
    pub fn spawn<F: AsyncFnOnce(Engine) + 'static>(&mut self, task: F) {
        self.tasks.push(Box::new(move |engine| Box::pin(task(engine))));
    }

    /// What is to run beside the handlers.
    pub(crate) fn take_tasks(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.tasks)
    }
}

impl Socket {
    /// The engine.
    pub fn engine(&self) -> Engine {
        Engine::new(Rc::clone(self.core()))
    }

    /// Its client's connection; nothing of one that has gone.
    pub fn client(&self) -> Option<Client> {
        let conn = self.core().read(|hub| hub.conn(self.socket_id()))?;
        Some(self.core().client(conn))
    }
}

impl Emitter {
    /// The engine.
    pub fn engine(&self) -> Engine {
        Engine::new(Rc::clone(self.core()))
    }
}

impl Admission {
    /// Names the client's connection within the server, as
    /// [`Socket::client`] does once it has been let in.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}
