//! What an application registers: namespaces, and what happens in them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::sync::broadcast;
use tower_service::Service;

use super::args::{FromArgs, Raw};
use super::emit::Emitter;
use super::engine::Task;
use super::fallback::Fallback;
use super::handle::{Calls, Handle, handle};
use super::handler::{
    Handler, OnAdmission, OnConnection, OnDisconnect, OnEvent, OnPacket, OnServerSide,
};
use super::observer::Look;
use super::outgoing::{OnOutgoing, Outgoing};
use super::raw::{OnMessage, RawConnection};
use super::socket::Socket;
use crate::hub::{NamespaceId, Policy, RawMessage, Reason};
use crate::shard::Core;

/// All namespaces of an application, with their handlers.
#[derive(Default)]
pub struct Io {
    namespaces: Vec<Namespace>,
    pub(super) on_message: Option<OnMessage>,
    /// What observers ask of this shard, until it begins.
    pub(super) looks: Option<broadcast::Receiver<Look>>,
    fallback: Option<Fallback>,
    handle: Option<(Handle, Calls)>,
    /// What runs beside the handlers, until it does.
    pub(super) tasks: Vec<Task>,
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

    /// Has `service` answer all requests that are not for Socket.IO, on the same
    /// connections; without one the answer is 404.
    ///
    /// Any service in tower's sense will do. The client's address is among the
    /// request's extensions, as a [`SocketAddr`](std::net::SocketAddr). A service
    /// that upgrades a connection keeps it beyond the server's end and limits.
    ///
    /// ```
    /// use axum::{Router, routing};
    ///
    /// # async fn run(listeners: Vec<std::net::TcpListener>) -> Result<(), parlor::ServeError> {
    /// let site = Router::new().route("/health", routing::get(async || "well"));
    /// let app = move |io: &mut parlor::Io| {
    ///     io.fallback(site.clone());
    ///     io.of("/").on_connection(async |socket: parlor::Socket| socket.emit("hello", ()));
    /// };
    /// # let shutdown = async {};
    /// parlor::serve(listeners, parlor::Config::default(), app, shutdown).await
    /// # }
    /// ```
    pub fn fallback<S, B>(&mut self, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.fallback = Some(Fallback::new(service));
    }

    /// The server for the rest of the program: other threads, tasks of any
    /// runtime, the [`fallback`](Self::fallback) service.
    ///
    /// What it says goes through this shard; every shard's reaches all sockets.
    ///
    /// ```
    /// use std::sync::mpsc::SyncSender;
    ///
    /// fn app(handles: SyncSender<parlor::app::Handle>) -> impl Fn(&mut parlor::Io) + Clone + Send {
    ///     move |io| {
    ///         io.of("/");
    ///         // One is enough: the others are not wanted.
    ///         let _ = handles.try_send(io.handle());
    ///     }
    /// }
    ///
    /// // On any thread:
    /// async fn announce(handle: &parlor::app::Handle) -> Result<(), parlor::app::HandleError> {
    ///     handle.of("/").to("lobby").emit("news", "it is nine").await
    /// }
    /// ```
    pub fn handle(&mut self) -> Handle {
        self.handle.get_or_insert_with(handle).0.clone()
    }

    /// What handles say, if somebody has one.
    pub(crate) fn take_calls(&mut self) -> Option<Calls> {
        self.handle.take().map(|(_, calls)| calls)
    }

    pub(crate) fn answering(&self) -> Option<&Fallback> {
        self.fallback.as_ref()
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.on_message.is_some()
    }

    /// A template: namespaces that are made when a client asks for a name that
    /// `accepts` accepts, given the auth payload, and that go with their last
    /// socket. All have these handlers; each has sockets and rooms of its own.
    ///
    /// Templates are asked in the order of registration, for names that are not
    /// registered themselves; on every shard alike, so `accepts` must not depend
    /// on anything that differs between shards.
    pub fn of_matching(
        &mut self,
        accepts: impl Fn(&str, &Value) -> bool + 'static,
    ) -> &mut Namespace {
        assert!(self.on_message.is_none(), "raw Engine.IO has no namespaces");
        let accepts: Option<Accepts> = Some(Box::new(accepts));
        self.namespaces.push(Namespace { accepts, ..Namespace::default() });
        self.namespaces.last_mut().expect("just pushed")
    }

    /// As [`of_matching`](Self::of_matching), for names like `pattern`, in which
    /// each `*` stands for one or more characters that are no slash.
    ///
    /// # Panics
    ///
    /// If `pattern` does not begin with a slash.
    pub fn of_pattern(&mut self, pattern: &str) -> &mut Namespace {
        assert!(pattern.starts_with('/'), "a namespace begins with a slash: {pattern:?}");
        let pattern: Box<str> = pattern.into();
        self.of_matching(move |name, _| is_like(name, &pattern))
    }

    /// The number of the first template that accepts a name.
    pub(super) fn template(&self, name: &str, auth: &Value) -> Option<usize> {
        let accepts = |namespace: &Namespace| {
            namespace.accepts.as_ref().is_some_and(|accepts| accepts(name, auth))
        };
        self.namespaces.iter().position(accepts)
    }

    /// In the order of registration; templates have none.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.namespaces.iter().map(|namespace| &*namespace.name).collect()
    }

    /// What each registration has for a peer that does not read, in their order.
    pub(crate) fn policies(&self, default: Policy) -> Vec<Policy> {
        self.namespaces.iter().map(|namespace| namespace.policy.unwrap_or(default)).collect()
    }

    pub(super) fn at(&self, namespace: NamespaceId) -> &Namespace {
        &self.namespaces[namespace.template()]
    }

    /// Hands to the shard what its handles have to find.
    pub(crate) fn attach(&self, core: &Core) {
        for (at, namespace) in self.namespaces.iter().enumerate() {
            if !namespace.on_any_outgoing.is_empty() {
                let listeners = Outgoing(namespace.on_any_outgoing.clone());
                core.attached().set_of_template(at, Rc::new(listeners));
            }
        }
    }

    /// Runs the handlers of what other shards' applications have said.
    pub(crate) fn run_server_side(&self, core: &Rc<Core>) {
        while let Some((namespace, args)) = core.next_server_side() {
            let here = self.at(namespace);
            let listeners = here.on_server_side.get(&*args.event());
            for listener in listeners.into_iter().flatten() {
                let emitter = Emitter::new(Rc::clone(core), namespace, None);
                let raw = Raw(args.clone());
                if catch_unwind(AssertUnwindSafe(|| listener(emitter, raw))).is_err() {
                    tracing::error!(namespace = &*here.name, "a server-side handler panicked");
                }
            }
        }
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
    /// Empty for a template.
    name: Box<str>,
    accepts: Option<Accepts>,
    policy: Option<Policy>,
    pub(super) on_admission: Vec<OnAdmission>,
    pub(super) on_connection: Option<OnConnection>,
    pub(super) on_disconnecting: Option<OnDisconnect>,
    pub(super) on_disconnect: Option<OnDisconnect>,
    pub(super) on_packet: Vec<OnPacket>,
    pub(super) on_any: Vec<OnEvent>,
    pub(super) on_event: BTreeMap<Box<str>, Vec<OnEvent>>,
    pub(super) on_concurrent: BTreeMap<Box<str>, Vec<OnEvent>>,
    on_any_outgoing: Vec<OnOutgoing>,
    on_server_side: BTreeMap<Box<str>, Vec<OnServerSide>>,
}

impl Namespace {
    /// What is done with an event for a client for which as much waits already
    /// as may; without it the server's configuration says.
    pub fn policy(&mut self, policy: Policy) {
        self.policy = Some(policy);
    }

    /// Decides who gets in; without it everybody does.
    ///
    /// Of several, each is asked in its turn, and the first refusal counts.
    pub fn on_admission<F>(&mut self, decide: F)
    where
        F: AsyncFn(Admission) -> Result<(), Refusal> + 'static,
    {
        let decide = Rc::new(decide);
        self.on_admission.push(Rc::new(move |admission| {
            let decide = Rc::clone(&decide);
            Box::pin(async move { decide(admission).await })
        }));
    }

    /// Runs for each socket that connects, before any event of it.
    pub fn on_connection<F: AsyncFn(Socket) + 'static>(&mut self, handler: F) {
        let handler = Rc::new(handler);
        self.on_connection = Some(Rc::new(move |socket| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(socket).await })
        }));
    }

    /// Runs for each socket that has gone, after its last event and before
    /// [`on_disconnect`](Self::on_disconnect): [`Socket::rooms`] still says
    /// which rooms it was in.
    pub fn on_disconnecting<F: AsyncFn(Socket, Reason) + 'static>(&mut self, handler: F) {
        let handler = Rc::new(handler);
        self.on_disconnecting = Some(Rc::new(move |socket, reason, _| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(socket, reason).await })
        }));
    }

    /// Runs for each socket that has gone, after its last event, with the
    /// reason and the rooms it was in.
    pub fn on_disconnect<F: AsyncFn(Socket, Reason, Vec<Box<str>>) + 'static>(
        &mut self,
        handler: F,
    ) {
        let handler = Rc::new(handler);
        self.on_disconnect = Some(Rc::new(move |socket, reason, rooms| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(socket, reason, rooms).await })
        }));
    }

    /// Decides of each event, before any handler, whether it is handled.
    ///
    /// An event that is refused is answered with `{"ok":false,"error":".."}`,
    /// as the ack if one is wanted, else as the event `error_message`.
    pub fn on_packet<F>(&mut self, decide: F)
    where
        F: AsyncFn(Socket, Raw) -> Result<(), Refusal> + 'static,
    {
        let decide = Rc::new(decide);
        self.on_packet.push(Rc::new(move |socket, raw| {
            let decide = Rc::clone(&decide);
            Box::pin(async move { decide(socket, raw).await })
        }));
    }

    /// Runs for each event of that name: `async |socket, args|`, or `async |socket, args, ack|`.
    ///
    /// Several handlers of one event run one after the other, in the order in
    /// which they were registered.
    pub fn on<M, H: Handler<M>>(&mut self, event: &str, handler: H) {
        self.on_event.entry(event.into()).or_default().push(handler.boxed());
    }

    /// As [`on`](Self::on), but the socket's next event does not wait until the
    /// handler is done: it may be handled before this one.
    pub fn on_concurrent<M, H: Handler<M>>(&mut self, event: &str, handler: H) {
        self.on_concurrent.entry(event.into()).or_default().push(handler.boxed());
    }

    /// Runs for every event, whatever its name, before the handlers of that name.
    pub fn on_any<F: AsyncFn(Socket, Raw) + 'static>(&mut self, handler: F) {
        self.on_any.push(handler.boxed());
    }

    /// Hears, as JSON `["name",arg,..]`, every event that is emitted in this
    /// namespace from this shard, once for each emit whatever the number of
    /// recipients; acks are not among them.
    pub fn on_any_outgoing(&mut self, listener: impl Fn(&str) + 'static) {
        self.on_any_outgoing.push(Rc::new(listener));
    }

    /// Runs for each event of that name that another shard's application emits
    /// by [`Socket::server_side_emit`]; not for those of this shard itself.
    ///
    /// The handler gets the whole namespace, to emit to.
    pub fn on_server_side<A: FromArgs>(
        &mut self,
        event: &str,
        handler: impl Fn(Emitter, A) + 'static,
    ) {
        let run: OnServerSide = Box::new(move |emitter, raw| match A::parse(raw.0) {
            Ok(args) => handler(emitter, args),
            Err(error) => tracing::warn!(%error, "a server-side event was not understood"),
        });
        self.on_server_side.entry(event.into()).or_default().push(run);
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

/// Whether a template accepts a name, given the auth payload.
type Accepts = Box<dyn Fn(&str, &Value) -> bool>;

/// Whether `name` is like `pattern`, in which `*` stands for one or more
/// characters that are no slash.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let end = rest.find('/').unwrap_or(rest.len());
    let ends = rest[..end].char_indices().map(|(at, character)| at + character.len_utf8());
    ends.into_iter().any(|at| is_like(&rest[at..], after))
}

/// A client that asks to be let into a namespace.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The auth payload of its CONNECT; null if there was none.
    pub auth: Value,
    pub(super) client_id: String,
}

/// Why a client is not let in, or an event not handled; a client that is not
/// let in hears of it as `connect_error`.
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

/// A decision in the making.
pub(super) type Decision = Pin<Box<dyn Future<Output = Result<(), Refusal>>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_part_of_a_name() {
        for (name, pattern, expected) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/team-7", "/team-*", true),
            ("/team-", "/team-*", false),
            ("/team-7/x", "/team-*", false),
            ("/team-7/x", "/team-*/*", true),
            ("/a-b-c", "/*-c", true),
            ("/\u{e9}-c", "/*-c", true),
            ("/a-c-d", "/*-c", false),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn the_first_template_that_accepts_counts() {
        let mut io = Io::default();
        io.of("/");
        io.of_matching(|name, auth| name == "/x" && auth["key"] == 1);
        io.of_pattern("/*");
        assert_eq!(io.names(), ["/", "", ""]);
        assert_eq!(io.template("/x", &serde_json::json!({ "key": 1 })), Some(1));
        assert_eq!(io.template("/x", &Value::Null), Some(2));
        assert_eq!(io.template("/x/y", &Value::Null), None);
    }
}
