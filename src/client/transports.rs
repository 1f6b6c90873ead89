//! A client's transports: when it polls, when it posts, and how long-polling gives
//! way to a WebSocket. The counterpart of [`engineio::session`](crate::engineio::session).
//!
//! ```text
//!          open packet           3probe          no request is left
//! Opening ------------> Probing --------> Pausing -----------------> Upgraded
//!    |                     | failed, closing |
//!    |   may not upgrade   v                 |
//!    +-----------------> Polling <-----------+
//! ```
//!
//! This is pure, and holds no packets: the owner queues them, says so by
//! [`Event::Queued`], and sends them where an [`Action`] says.
//!
//! # Guarantees
//!
//! * What is queued leaves by exactly one way: one POST, or the WebSocket. The next
//!   POST waits for the answer to the last one, and the WebSocket for the answers to
//!   all requests. So nothing is lost, doubled or reordered in either direction.
//! * Unless a probe is answered, or the session opens or closes, a GET is under way.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Transports", "Upgrade".

/// Something that concerns the transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The client closes the session, after what is queued.
    Close,
    /// All packets of the answer to the GET are handled.
    GetAnswered,
    /// The first GET is answered: the session is open.
    Opened {
        /// Whether the client is to go over to a WebSocket.
        upgrades: bool,
    },
    /// The POST is answered.
    PostAnswered,
    /// The server has answered the probe.
    ProbeAnswered,
    /// The probe's WebSocket did not come about, or has ended.
    ProbeFailed,
    /// There is something in the queue.
    Queued,
}

/// Something the owner must now do, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Close the probe's WebSocket, if it is there.
    DropProbe,
    /// Send a GET.
    Get,
    /// Send a POST with what is queued. If it does not take all, say so by
    /// [`Event::Queued`].
    Post,
    /// Open a WebSocket, and probe it.
    Probe,
    /// Say to the WebSocket that it is the transport, and then what is queued.
    Upgrade,
}

/// The transports of one session that begins with long-polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transports {
    phase: Phase,
    /// A GET is not answered yet.
    getting: bool,
    /// A POST is not answered yet.
    posting: bool,
    queued: bool,
    closing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first GET is not answered.
    Opening,
    /// The probe was answered: nothing is asked any more.
    Pausing,
    Polling,
    Probing,
    Upgraded,
}

impl Transports {
    /// A session whose first GET is under way.
    pub(super) fn new() -> Self {
        let phase = Phase::Opening;
        Self { phase, getting: true, posting: false, queued: false, closing: false }
    }

    /// Whether the WebSocket is the transport.
    pub(super) fn is_upgraded(&self) -> bool {
        self.phase == Phase::Upgraded
    }

    /// Whether it is still open which transport it is going to be.
    pub(super) fn is_upgrading(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Pausing | Phase::Probing)
    }

    /// Whether a probe is not answered yet.
    pub(super) fn is_probing(&self) -> bool {
        self.phase == Phase::Probing
    }

    /// Whether the server has been told all there was, and that this was all.
    pub(super) fn is_closed(&self) -> bool {
        self.closing && !self.posting && !self.queued
    }

    /// Applies one event and appends what it causes to `actions`.
    pub(super) fn handle(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Close => self.close(actions),
            Event::GetAnswered => self.getting = false,
            Event::Opened { upgrades } => self.open(upgrades, actions),
            Event::PostAnswered => self.posting = false,
            Event::ProbeAnswered if self.phase == Phase::Probing => self.phase = Phase::Pausing,
            Event::ProbeFailed => self.give_up_probe(actions),
            Event::ProbeAnswered => {}
            Event::Queued => self.queued = true,
        }
        self.ask(actions);
    }

    fn open(&mut self, upgrades: bool, actions: &mut Vec<Action>) {
        self.getting = false;
        if self.phase == Phase::Opening {
            self.phase = Phase::Polling;
            if upgrades && !self.closing {
                self.phase = Phase::Probing;
                actions.push(Action::Probe);
            }
        }
    }

    fn close(&mut self, actions: &mut Vec<Action>) {
        self.closing = true;
        self.give_up_probe(actions);
    }

    fn give_up_probe(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Pausing | Phase::Probing) {
            self.phase = Phase::Polling;
            actions.push(Action::DropProbe);
        }
    }

    /// Asks the server what may be asked now, or goes over once nothing is asked.
    fn ask(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Opening | Phase::Upgraded => {}
            Phase::Pausing => {
                if !self.getting && !self.posting {
                    (self.phase, self.queued) = (Phase::Upgraded, false);
                    actions.push(Action::Upgrade);
                }
            }
            Phase::Polling | Phase::Probing => {
                if self.queued && !self.posting {
                    (self.posting, self.queued) = (true, false);
                    actions.push(Action::Post);
                }
                // A server that is told of the end answers no further GET.
                if !self.getting && !self.closing {
                    self.getting = true;
                    actions.push(Action::Get);
                }
            }
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
