//! What an application registers: handlers by namespace and event.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use serde_json::Value;

use super::ack::Ack;
use super::args::FromArgs;
use super::raw::{OnMessage, RawConnection};
use super::socket::Socket;
use crate::hub::{RawMessage, Reason};
use crate::socketio::Args;

/// A handler's run.
pub(super) type Run = Pin<Box<dyn Future<Output = ()>>>;

type OnAdmission = Box<dyn Fn(Admission) -> Pin<Box<dyn Future<Output = Result<(), Refusal>>>>>;
type OnConnection = Box<dyn Fn(Socket) -> Run>;
type OnDisconnect = Box<dyn Fn(Socket, Reason, Vec<Box<str>>) -> Run>;
pub(super) type OnEvent = Box<dyn Fn(Socket, Args<'static>, Ack) -> Run>;

/// All namespaces of an application, with their handlers.
#[derive(Default)]
pub struct Io {
    namespaces: Vec<Namespace>,
    pub(super) on_message: Option<OnMessage>,
}

impl Io {
    /// The namespace of that name; it exists from the first time it is asked for.
    ///
    /// # Panics
    ///
    /// If `name` does not begin with a slash, or after [`raw`](Self::raw).
    pub fn of(&mut self, name: &str) -> &mut Namespace {
        assert!(self.on_message.is_none(), "raw Engine.IO has no namespaces");
        assert!(name.starts_with('/'), "a namespace begins with a slash: {name:?}");
        let known = self.namespaces.iter().position(|namespace| &*namespace.name == name);
        let at = known.unwrap_or_else(|| {
            self.namespaces.push(Namespace { name: name.into(), ..Namespace::default() });
            self.namespaces.len() - 1
        });
        &mut self.namespaces[at]
    }

    /// Speaks Engine.IO alone, without Socket.IO on top: there are no
    /// namespaces, and each message goes to `handler`, in order, one of a
    /// connection at a time.
    ///
    /// # Panics
    ///
    /// If there is a namespace already.
    pub fn raw<F: AsyncFn(RawConnection, RawMessage) + 'static>(&mut self, handler: F) {
        assert!(self.namespaces.is_empty(), "raw Engine.IO has no namespaces");
        let handler = Rc::new(handler);
        self.on_message = Some(Box::new(move |connection, message| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(connection, message).await })
        }));
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.on_message.is_some()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.namespaces.iter().map(|namespace| &*namespace.name).collect()
    }

    pub(super) fn at(&self, namespace: crate::hub::NamespaceId) -> &Namespace {
        &self.namespaces[usize::from(namespace.0)]
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

/// The handlers of one namespace.
#[derive(Default)]
pub struct Namespace {
    name: Box<str>,
    pub(super) on_admission: Option<OnAdmission>,
    pub(super) on_connection: Option<OnConnection>,
    pub(super) on_disconnect: Option<OnDisconnect>,
    pub(super) on_event: BTreeMap<Box<str>, OnEvent>,
}

impl Namespace {
    /// Decides who gets in; without it everybody does.
    pub fn on_admission<F>(&mut self, decide: F)
    where
        F: AsyncFn(Admission) -> Result<(), Refusal> + 'static,
    {
        let decide = Rc::new(decide);
        self.on_admission = Some(Box::new(move |admission| {
            let decide = Rc::clone(&decide);
            Box::pin(async move { decide(admission).await })
        }));
    }

    /// Runs for each socket that connects, before any event of it.
    pub fn on_connection<F: AsyncFn(Socket) + 'static>(&mut self, handler: F) {
        let handler = Rc::new(handler);
        self.on_connection = Some(Box::new(move |socket| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(socket).await })
        }));
    }

    /// Runs for each socket that has gone, after its last event, with the
    /// reason and the rooms it was in.
    pub fn on_disconnect<F: AsyncFn(Socket, Reason, Vec<Box<str>>) + 'static>(
        &mut self,
        handler: F,
    ) {
        let handler = Rc::new(handler);
        self.on_disconnect = Some(Box::new(move |socket, reason, rooms| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(socket, reason, rooms).await })
        }));
    }

    /// Runs for each event of that name: `async |socket, args|`, or `async |socket, args, ack|`.
    ///
    /// A later handler for the same name takes the place of the former.
    pub fn on<M, H: Handler<M>>(&mut self, event: &str, handler: H) {
        self.on_event.insert(event.into(), handler.boxed());
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<_> = self.on_event.keys().collect();
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

/// A function that handles events; see [`Namespace::on`].
pub trait Handler<M>: 'static {
    /// The function in one shape for all.
    #[doc(hidden)]
    fn boxed(self) -> Box<dyn Fn(Socket, Args<'static>, Ack) -> Run>;
}

impl<F, A> Handler<(A,)> for F
where
    F: AsyncFn(Socket, A) + 'static,
    A: FromArgs,
{
    fn boxed(self) -> OnEvent {
        Handler::boxed(async move |socket: Socket, args: A, _: Ack| self(socket, args).await)
    }
}

impl<F, A> Handler<(A, Ack)> for F
where
    F: AsyncFn(Socket, A, Ack) + 'static,
    A: FromArgs,
{
    fn boxed(self) -> OnEvent {
        let handler = Rc::new(self);
        Box::new(move |socket, args, ack| {
            let handler = Rc::clone(&handler);
            Box::pin(async move {
                match A::parse(args) {
                    Ok(args) => handler(socket, args, ack).await,
                    Err(error) => ack.refuse(&error),
                }
            })
        })
    }
}

/// A client that asks to be let into a namespace.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The auth payload of its CONNECT; null if there was none.
    pub auth: Value,
}

/// Why a client is not let in; it hears of it as `connect_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's message.
    pub message: String,
    /// More about it, if not null.
    pub data: Value,
}

impl Refusal {
    /// A refusal with nothing but a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: Value::Null }
    }

    pub(super) fn json(&self) -> String {
        let mut json = serde_json::json!({ "message": self.message });
        if !self.data.is_null() {
            json["data"] = self.data.clone();
        }
        json.to_string()
    }
}
