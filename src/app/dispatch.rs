//! One connection's handlers: in which order they run, and one at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::handler::{Admission, Io, Run};
use super::{Ack, RawConnection, Socket};
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

struct Lane {
    namespace: NamespaceId,
    waiting: VecDeque<Notification>,
    running: Option<Run>,
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
        self.lanes.retain(|lane| lane.running.is_some() || !lane.waiting.is_empty());
        if self.lanes.is_empty() {
            self.lanes = Vec::new();
        }
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many events wait for a handler.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    fn lane(&mut self, namespace: NamespaceId) -> &mut Lane {
        let known = self.lanes.iter().position(|lane| lane.namespace == namespace);
        let at = known.unwrap_or_else(|| {
            self.lanes.push(Lane { namespace, waiting: VecDeque::new(), running: None });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

impl Lane {
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
        let mut progress = false;
        loop {
            if let Some(run) = &mut self.running {
                match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => return progress,
                    Ok(Poll::Ready(())) => {}
                    Err(_) => {
                        let names = io.names();
                        let namespace = names.get(usize::from(self.namespace.0));
                        tracing::error!(namespace, "a handler panicked");
                        let (close_code, reason) =
                            (close_code::INTERNAL_ERROR, Reason::ServerNamespaceDisconnect);
                        core.handle(Event::Close { conn, close_code, reason });
                    }
                }
                self.running = None;
                progress = true;
            }
            let Some(next) = self.waiting.pop_front() else { return progress };
            self.running = start(next, conn, core, io);
            progress = true;
        }
    }
}

/// Begins the handler for this, if there is one.
fn start(notification: Notification, conn: ConnId, core: &Rc<Core>, io: &Rc<Io>) -> Option<Run> {
    let handle = |id: SocketId, sid: Sid| Socket::new(Rc::clone(core), id, sid);
    match notification {
        Notification::Connect { namespace, attempt, auth } => {
            let Some(decide) = &io.at(namespace).on_admission else {
                core.handle(Event::Admit { conn, namespace, attempt });
                return None;
            };
            let auth = auth.map_or_else(Default::default, |auth| {
                serde_json::from_str(&auth).unwrap_or_default()
            });
            let (core, decision) = (Rc::clone(core), decide(Admission { auth }));
            Some(Box::pin(async move {
                match decision.await {
                    Ok(()) => core.handle(Event::Admit { conn, namespace, attempt }),
                    Err(refusal) => core.handle(Event::Refuse {
                        conn,
                        namespace,
                        attempt,
                        json: &refusal.json(),
                    }),
                }
            }))
        }
        Notification::Connected { socket, sid } => {
            let here = io.at(socket.namespace);
            Some((here.on_connection.as_ref()?)(handle(socket, sid)))
        }
        Notification::Disconnected { socket, sid, reason, rooms } => {
            let here = io.at(socket.namespace);
            Some((here.on_disconnect.as_ref()?)(handle(socket, sid), reason, rooms))
        }
        Notification::Event { socket, ack, args } => {
            let handler = io.at(socket.namespace).on_event.get(&*args.event())?;
            // A socket that has gone since has no id any more, and hears nothing.
            let sid = core.read(|hub| hub.sid(socket))?;
            Some(handler(handle(socket, sid), args, Ack::new(Rc::clone(core), socket, ack)))
        }
        Notification::Raw(message) => {
            let connection = RawConnection::new(Rc::clone(core), conn);
            Some((io.on_message.as_ref()?)(connection, message))
        }
    }
}
