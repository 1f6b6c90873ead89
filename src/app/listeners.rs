//! Which handlers one event of one socket has, and how they run.
//!
//! ```text
//!  packet middleware --refused--> the client is told
//!        |
//!        v
//!  any (namespace, socket) -> on (namespace) -> on, once (socket)      one after the other
//!        |
//!        +-> concurrent ones run beside what comes next
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::args::Raw;
use super::handler::{OnEvent, OnPacket, Run};
use super::io::Namespace;
use super::{Ack, Socket};
use crate::hub::SocketId;
use crate::shard::Core;
use crate::socketio::Args;

/// What was registered on one socket.
#[derive(Default)]
pub(super) struct OwnListeners(RefCell<Own>);

#[derive(Default)]
struct Own {
    any: Vec<OnEvent>,
    by_event: BTreeMap<Box<str>, Vec<Listener>>,
}

struct Listener {
    once: bool,
    run: OnEvent,
}

impl OwnListeners {
    pub(super) fn of(core: &Core, socket: SocketId) -> Rc<Self> {
        core.attached().of_socket_or_default(socket)
    }

    pub(super) fn on(&self, event: &str, once: bool, run: OnEvent) {
        let listeners = &mut self.0.borrow_mut().by_event;
        listeners.entry(event.into()).or_default().push(Listener { once, run });
    }

    pub(super) fn on_any(&self, run: OnEvent) {
        self.0.borrow_mut().any.push(run);
    }

    pub(super) fn off(&self, event: &str) {
        // Dropped outside of the borrow: it is the application's.
        let gone = self.0.borrow_mut().by_event.remove(event);
        drop(gone);
    }

    pub(super) fn off_any(&self) {
        let gone = std::mem::take(&mut self.0.borrow_mut().any);
        drop(gone);
    }

    /// The listeners of this event, each in its turn; those for one event only are gone then.
    fn take(&self, event: &str) -> (Vec<OnEvent>, Vec<OnEvent>) {
        let mut own = self.0.borrow_mut();
        let any = own.any.clone();
        let Some(listeners) = own.by_event.get_mut(event) else { return (any, Vec::new()) };
        let all = listeners.iter().map(|listener| Rc::clone(&listener.run)).collect();
        listeners.retain(|listener| !listener.once);
        if listeners.is_empty() {
            own.by_event.remove(event);
        }
        (any, all)
    }
}

/// The runs that one event causes.
pub(super) struct Runs {
    /// The next event waits for this.
    pub(super) in_turn: Option<Run>,
    /// Nothing waits for these.
    pub(super) concurrent: Vec<Run>,
}

impl Runs {
    pub(super) fn none() -> Self {
        Self { in_turn: None, concurrent: Vec::new() }
    }
}

/// Begins the handlers of one event.
pub(super) fn start_event(
    core: &Rc<Core>,
    here: &Namespace,
    socket: &Socket,
    id: SocketId,
    args: Args<'static>,
    ack: Option<u64>,
) -> Runs {
    let event = args.event();
    let (own_any, own) = match core.attached().of_socket::<OwnListeners>(id) {
        Some(listeners) => listeners.take(&event),
        None => (Vec::new(), Vec::new()),
    };
    let of_namespace = here.on_event.get(&*event).map_or(&[][..], |listeners| &**listeners);
    let in_turn = here.on_any.iter().chain(&own_any).chain(of_namespace).chain(&own);
    let in_turn: Vec<OnEvent> = in_turn.map(Rc::clone).collect();
    let concurrent = here.on_concurrent.get(&*event).map_or(&[][..], |listeners| &**listeners);
    drop(event);
    let ack = Ack::new(Rc::clone(core), id, ack);
    let concurrent: Vec<OnEvent> = concurrent.iter().map(Rc::clone).collect();
    if here.on_packet.is_empty() {
        let begin = |run: &OnEvent| run(socket.clone(), args.clone(), ack.share());
        let concurrent = concurrent.iter().map(begin).collect();
        return Runs { in_turn: one_after_the_other(in_turn, socket, args, ack), concurrent };
    }
    let guards: Vec<OnPacket> = here.on_packet.iter().map(Rc::clone).collect();
    // Behind a guard that may await, nothing can run beside the queue any more.
    let handlers = in_turn.into_iter().chain(concurrent).collect();
    let in_turn = guarded(guards, handlers, socket.clone(), args, ack);
    Runs { in_turn: Some(in_turn), concurrent: Vec::new() }
}

fn one_after_the_other(
    handlers: Vec<OnEvent>,
    socket: &Socket,
    args: Args<'static>,
    ack: Ack,
) -> Option<Run> {
    if let [only] = handlers.as_slice() {
        return Some(only(socket.clone(), args, ack));
    }
    if handlers.is_empty() {
        return None;
    }
    let socket = socket.clone();
    Some(Box::pin(async move {
        for handler in handlers {
            handler(socket.clone(), args.clone(), ack.share()).await;
        }
    }))
}

fn guarded(
    guards: Vec<OnPacket>,
    handlers: Vec<OnEvent>,
    socket: Socket,
    args: Args<'static>,
    ack: Ack,
) -> Run {
    Box::pin(async move {
        for guard in guards {
            if let Err(refusal) = guard(socket.clone(), Raw(args.clone())).await {
                return ack.refuse(&refusal.message);
            }
        }
        for handler in handlers {
            handler(socket.clone(), args.clone(), ack.share()).await;
        }
    })
}
