//! One session's transports: which request is answered when and with what, and
//! how long-polling gives way to a WebSocket.
//!
//! ```text
//!            GET, POST            2probe               5
//!  Polling ------------ probe ------------ probed ---------> Upgraded
//!     |    <-- closed, late --|<-- closed, late --|             |
//!     |                                                         | (a plain
//!     +-- close --> Closing -- GETs, or time ----> Closed       |  WebSocket
//!     +-- overlap, abort, bad packet ------------> Closed       v  from here)
//! ```
//!
//! This is pure, and holds no messages: the owner queues them, says so by
//! [`Event::Queued`], and hands them over where an [`Action`] says. Only what
//! concerns several requests is decided here; whether one request is in order
//! by itself is for the owner.
//!
//! # Guarantees
//!
//! * What is queued leaves by exactly one way: the answer to one GET, or the
//!   WebSocket. So nothing is lost, doubled or reordered by an upgrade, for a
//!   client that sends `5` only after its requests are answered, as the
//!   specification demands.
//! * While a probe is answered but not confirmed, no GET waits.
//! * Whatever the client does, each of its requests is answered once.
//! * A close packet is alone in its answer. Stock clients handle it at once and
//!   the packets before it a little later: those would come after the end.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Transports", "Upgrade".

/// Something that concerns the transports of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The server closes the session, after what is queued.
    Close,
    /// A packet in a POST says that the client closes the session.
    CloseReceived,
    /// The session ends now.
    End,
    /// A GET has come.
    Get,
    /// The client of a GET has gone before it had its answer.
    GetAborted,
    /// The head of a POST has come; its body is still to be read.
    Post,
    /// The client of a POST has gone, or was too slow.
    PostAborted,
    /// All packets of the POST are handled.
    PostDone,
    /// The POST is not a payload, or has a packet that breaks the protocol.
    PostIllegal,
    /// A WebSocket for this session has come.
    Probe,
    /// That WebSocket has closed.
    ProbeClosed,
    /// That WebSocket took too long.
    ProbeLate,
    /// That WebSocket says something.
    ProbeText(&'a str),
    /// There is something in the queue.
    Queued,
}

/// Something the owner must now do, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the probe the session's transport; what is queued goes there first.
    Adopt,
    /// Answer the GET that waits.
    Answer(Answer),
    /// Answer the POST.
    AnswerPost {
        /// That it was in order.
        ok: bool,
    },
    /// Close the probe.
    DropProbe,
    /// The client ended the session, or broke it.
    Ended(End),
    /// Keep this GET: it waits now.
    HoldGet,
    /// Keep this POST: its body may be read.
    HoldPost,
    /// Keep this WebSocket as the probe.
    HoldProbe,
    /// Refuse the GET or POST that has just come.
    Refuse(Refusal),
    /// Close the WebSocket that has just come.
    RefuseProbe,
    /// Send the answer to the probe.
    ReplyProbe,
}

/// What a GET is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A close packet.
    Close,
    /// A packet that means nothing.
    Noop,
    /// What is queued.
    Queue,
}

/// Why a client's session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said so.
    Closed,
    /// A request was broken off, or came before the last one was answered.
    Broken,
    /// It sent what is no packet.
    Illegal,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The session is served by another transport, or another request is.
    BadRequest,
    /// The session is over.
    Gone,
}

/// The transports of one session that began with long-polling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    phase: Phase,
    probe: Probe,
    /// A GET waits for its answer.
    get: bool,
    /// A POST is being read or handled.
    post: bool,
    /// Something is queued. Never while a GET waits.
    queued: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    Closed,
    /// What is queued, and that the session is over, is still to be told.
    Closing,
    #[default]
    Polling,
    Upgraded,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Probe {
    /// Its first packet was answered.
    Answered,
    /// It has said nothing yet.
    Silent,
    #[default]
    None,
}

impl Session {
    /// Whether nothing is to be told to this client any more.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether a probe was answered: the client is about to go over.
    pub fn is_upgrading(&self) -> bool {
        self.probe == Probe::Answered
    }

    /// Applies one event and appends what it causes to `actions`.
    pub fn handle(&mut self, event: Event<'_>, actions: &mut Vec<Action>) {
        match event {
            Event::Close => self.close(actions),
            Event::CloseReceived => self.end(Some(End::Closed), Answer::Noop, true, actions),
            Event::End => self.end(None, Answer::Close, false, actions),
            Event::Get => self.get(actions),
            Event::GetAborted => {
                self.get = false;
                self.end(Some(End::Broken), Answer::Close, false, actions);
            }
            Event::Post => self.post(actions),
            Event::PostAborted => self.end(Some(End::Broken), Answer::Close, false, actions),
            Event::PostDone => self.answer_post(true, actions),
            Event::PostIllegal => self.end(Some(End::Illegal), Answer::Close, false, actions),
            Event::Probe => self.probe(actions),
            Event::ProbeClosed | Event::ProbeLate => self.drop_probe(actions),
            Event::ProbeText(text) => self.probe_text(text, actions),
            Event::Queued => self.queued(actions),
        }
        debug_assert!(!(self.get && self.queued), "what is queued answers the GET that waits");
        debug_assert!(
            !(self.get && self.probe == Probe::Answered),
            "no GET waits behind an answered probe"
        );
    }

    fn get(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Closed => return actions.push(Action::Refuse(Refusal::Gone)),
            Phase::Upgraded => return actions.push(Action::Refuse(Refusal::BadRequest)),
            Phase::Closing if !self.queued => {
                actions.extend([Action::HoldGet, Action::Answer(Answer::Close)]);
                self.phase = Phase::Closed;
                return;
            }
            Phase::Closing | Phase::Polling => {}
        }
        if self.get {
            self.end(Some(End::Broken), Answer::Close, false, actions);
            return actions.push(Action::Refuse(Refusal::BadRequest));
        }
        actions.push(Action::HoldGet);
        self.get = true;
        if self.queued {
            self.answer(Answer::Queue, actions);
        } else if self.probe == Probe::Answered {
            self.answer(Answer::Noop, actions);
        }
    }

    fn post(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Closed | Phase::Closing => actions.push(Action::Refuse(Refusal::Gone)),
            Phase::Upgraded => actions.push(Action::Refuse(Refusal::BadRequest)),
            Phase::Polling if self.post => {
                self.end(Some(End::Broken), Answer::Close, false, actions);
                actions.push(Action::Refuse(Refusal::BadRequest));
            }
            Phase::Polling => {
                self.post = true;
                actions.push(Action::HoldPost);
            }
        }
    }

    fn probe(&mut self, actions: &mut Vec<Action>) {
        if self.phase == Phase::Polling && self.probe == Probe::None {
            self.probe = Probe::Silent;
            actions.push(Action::HoldProbe);
        } else {
            actions.push(Action::RefuseProbe);
        }
    }

    fn probe_text(&mut self, text: &str, actions: &mut Vec<Action>) {
        match (self.probe, text) {
            (Probe::Silent, "2probe") => {
                self.probe = Probe::Answered;
                actions.push(Action::ReplyProbe);
                // Sets the client free to go over.
                self.answer(Answer::Noop, actions);
            }
            // A client goes over after its last POST is answered: the order of
            // its messages would be unknown otherwise.
            (Probe::Answered, "5") if !self.post => {
                (self.phase, self.probe, self.queued) = (Phase::Upgraded, Probe::None, false);
                actions.push(Action::Adopt);
            }
            (Probe::Answered | Probe::None | Probe::Silent, _) => self.drop_probe(actions),
        }
    }

    fn queued(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Closing | Phase::Polling => {
                self.queued = true;
                self.answer(Answer::Queue, actions);
            }
            Phase::Closed | Phase::Upgraded => {}
        }
    }

    fn close(&mut self, actions: &mut Vec<Action>) {
        if self.phase != Phase::Polling {
            return;
        }
        self.drop_probe(actions);
        self.answer_post(true, actions);
        self.phase = if self.get { Phase::Closed } else { Phase::Closing };
        self.answer(Answer::Close, actions);
    }

    /// Ends the session at once: `last` is for the GET that waits, `ok` for the POST.
    fn end(&mut self, end: Option<End>, last: Answer, ok: bool, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Closed => return,
            // The WebSocket's own end says it.
            Phase::Upgraded => {}
            Phase::Closing | Phase::Polling => {
                self.answer(last, actions);
                self.answer_post(ok, actions);
                self.drop_probe(actions);
            }
        }
        self.phase = Phase::Closed;
        actions.extend(end.map(Action::Ended));
    }

    fn answer(&mut self, answer: Answer, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.get) {
            actions.push(Action::Answer(answer));
            self.queued &= answer != Answer::Queue;
        }
    }

    fn answer_post(&mut self, ok: bool, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.post) {
            actions.push(Action::AnswerPost { ok });
        }
    }

    fn drop_probe(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.probe) != Probe::None {
            actions.push(Action::DropProbe);
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
