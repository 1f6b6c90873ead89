//! One connection's handlers: in which order they run, and one at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::Value;

use super::RawConnection;
use super::handler::Run;
use super::io::{Admission, Io, Namespace};
use super::listeners::{Runs, start_event};
use super::socket::Socket;
use crate::hub::{ConnId, Event, NamespaceId, Notification, Reason, SocketId};
use crate::room::Sid;
use crate::shard::Core;
use crate::websocket::close_code;

/// The handlers of one connection: those that run, and what waits for them.
///
/// Each namespace has a lane of its own, so that a handler that awaits delays
/// only events of its own socket. A connection for which nothing runs or waits
/// has no lane.
#[derive(Default)]
pub(crate) struct Dispatch {
    lanes: Vec<Lane>,
}

/// One socket's events, or what it takes to get into a namespace.
struct Lane {
    namespace: NamespaceId,
    /// Whose handler runs.
    socket: Option<SocketId>,
    waiting: VecDeque<Notification>,
    running: Option<Timed>,
    /// Handlers that nothing waits for, each with its socket.
    concurrent: Vec<(SocketId, Timed)>,
}

/// A handler, and when it began.
struct Timed {
    run: Run,
    began: Instant,
}

impl Dispatch {
    /// Takes what the hub has for this connection and runs handlers as far as they go.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: ConnId,
        core: &Rc<Core>,
        io: &Rc<Io>,
    ) {
        loop {
            while let Some(notification) = core.next_notification(conn) {
                self.lane(notification.namespace()).push(notification);
            }
            let mut progress = false;
            for lane in &mut self.lanes {
                progress |= lane.poll(cx, conn, core, io);
            }
            // A handler may have caused news for its own connection.
            if !progress {
                break;
            }
        }
        self.lanes.retain(|lane| !lane.is_idle());
        if self.lanes.is_empty() {
            self.lanes = Vec::new();
        }
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many events wait for a handler, or are handled beside the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len() + lane.concurrent.len()).sum()
    }

    fn lane(&mut self, namespace: NamespaceId) -> &mut Lane {
        let known = self.lanes.iter().position(|lane| lane.namespace == namespace);
        let at = known.unwrap_or_else(|| {
            self.lanes.push(Lane {
                namespace,
                socket: None,
                waiting: VecDeque::new(),
                running: None,
                concurrent: Vec::new(),
            });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty() && self.concurrent.is_empty()
    }

    fn push(&mut self, notification: Notification) {
        if let Notification::Disconnected { socket: gone, .. } = notification {
            self.waiting.retain(
                |waiting| !matches!(waiting, Notification::Event { socket, .. } if *socket == gone),
            );
        }
        self.waiting.push_back(notification);
    }

    /// Runs handlers until one is not done or nothing waits; says whether anything was done.
    fn poll(&mut self, cx: &mut Context<'_>, conn: ConnId, core: &Rc<Core>, io: &Rc<Io>) -> bool {
        let mut progress = self.poll_concurrent(cx, conn, core);
        loop {
            if let Some(run) = &mut self.running {
                if poll_run(run, self.socket, cx, conn, core, self.namespace).is_pending() {
                    return progress;
                }
                self.running = None;
                progress = true;
            }
            let Some(next) = self.waiting.pop_front() else { return progress };
            self.socket = next.socket();
            let Runs { in_turn, concurrent } = start(next, conn, core, io);
            let began = core.now();
            self.running = in_turn.map(|run| Timed { run, began });
            let beside = concurrent.into_iter().map(|run| Timed { run, began });
            let beside = beside.filter_map(|run| Some((self.socket?, run)));
            self.concurrent.extend(beside);
            progress = true;
        }
    }

    fn poll_concurrent(&mut self, cx: &mut Context<'_>, conn: ConnId, core: &Rc<Core>) -> bool {
        let before = self.concurrent.len();
        let namespace = self.namespace;
        self.concurrent.retain_mut(|(socket, run)| {
            poll_run(run, Some(*socket), cx, conn, core, namespace).is_pending()
        });
        self.concurrent.len() < before
    }
}

/// Polls a handler. One that panics ends its connection.
fn poll_run(
    Timed { run, began }: &mut Timed,
    socket: Option<SocketId>,
    cx: &mut Context<'_>,
    conn: ConnId,
    core: &Rc<Core>,
    namespace: NamespaceId,
) -> Poll<()> {
    core.set_context(socket);
    let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)));
    let done = !matches!(polled, Ok(Poll::Pending));
    core.end_context(socket, done);
    if done {
        let took = core.now().saturating_duration_since(*began);
        core.count(|counters| counters.handler_time.record(took));
    }
    polled.unwrap_or_else(|_| {
        core.count(|counters| counters.panics += 1);
        core.read(|hub| tracing::error!(namespace = hub.name(namespace), "a handler panicked"));
        let (close_code, reason) = (close_code::INTERNAL_ERROR, Reason::ServerNamespaceDisconnect);
        core.handle(Event::Close { conn, close_code, reason });
        Poll::Ready(())
    })
}

/// Begins the handlers of this, if there are any.
fn start(notification: Notification, conn: ConnId, core: &Rc<Core>, io: &Rc<Io>) -> Runs {
    let in_turn = match notification {
        Notification::Connect { namespace, attempt, auth } => {
            start_admission(conn, namespace, attempt, auth.as_deref(), core, io.at(namespace))
        }
        Notification::Connected { socket, sid } => {
            let run = io.at(socket.namespace).on_connection.as_ref();
            run.map(|run| run(Socket::new(Rc::clone(core), socket, sid)))
        }
        Notification::Disconnected { socket, sid, reason, rooms } => {
            Some(start_disconnect(socket, sid, reason, rooms, core, io.at(socket.namespace)))
        }
        Notification::Event { socket: id, ack, args } => {
            // A socket that has gone since has no id any more, and hears nothing.
            let Some(sid) = core.read(|hub| hub.sid(id)) else { return Runs::none() };
            let socket = Socket::new(Rc::clone(core), id, sid);
            return start_event(core, io.at(id.namespace), &socket, id, args, ack);
        }
        Notification::Find { name, auth } => {
            let auth_value = parsed(auth.as_deref());
            let template = io.template(&name, &auth_value);
            core.handle(Event::Found { conn, name: &name, template, auth: auth.as_deref() });
            None
        }
        Notification::Raw(message) => {
            let connection = RawConnection::new(Rc::clone(core), conn);
            io.on_message.as_ref().map(|run| run(connection, message))
        }
    };
    Runs { in_turn, concurrent: Vec::new() }
}

/// An auth payload; null if there was none.
fn parsed(auth: Option<&str>) -> Value {
    auth.map_or(Value::Null, |auth| serde_json::from_str(auth).unwrap_or_default())
}

fn start_admission(
    conn: ConnId,
    namespace: NamespaceId,
    attempt: u32,
    auth: Option<&str>,
    core: &Rc<Core>,
    here: &Namespace,
) -> Option<Run> {
    if here.on_admission.is_empty() {
        core.handle(Event::Admit { conn, namespace, attempt });
        return None;
    }
    let client_id = core.read(|hub| hub.client_id(conn));
    let admission = Admission { auth: parsed(auth), client_id };
    let (core, guards) = (Rc::clone(core), here.on_admission.clone());
    Some(Box::pin(async move {
        for decide in guards {
            if let Err(refusal) = decide(admission.clone()).await {
                let json = &refusal.json();
                return core.handle(Event::Refuse { conn, namespace, attempt, json });
            }
        }
        core.handle(Event::Admit { conn, namespace, attempt });
    }))
}

fn start_disconnect(
    id: SocketId,
    sid: Sid,
    reason: Reason,
    rooms: Vec<Box<str>>,
    core: &Rc<Core>,
    here: &Namespace,
) -> Run {
    let last = Socket::gone(Rc::clone(core), id, sid, &rooms);
    let socket = Socket::new(Rc::clone(core), id, sid);
    let disconnecting = here.on_disconnecting.as_ref().map(Rc::clone);
    let disconnect = here.on_disconnect.as_ref().map(Rc::clone);
    let core = Rc::clone(core);
    Box::pin(async move {
        if let Some(run) = disconnecting {
            run(last, reason, Vec::new()).await;
        }
        if let Some(run) = disconnect {
            run(socket, reason, rooms).await;
        }
        core.attached().forget(id);
    })
}
