//! Random interleavings: a client that keeps the rules loses nothing, and one
//! that keeps none gets no further than its own end.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    /// Both directions, numbered, over polling, across the upgrade (or several
    /// that fail), and over the WebSocket.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(steps in vec(0..STEPS, 0..400)) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        world.settle();
        prop_assert_eq!(&world.heard_by_client, &(0..world.said_by_server).collect::<Vec<_>>());
        prop_assert_eq!(&world.heard_by_server, &(0..world.said_by_client).collect::<Vec<_>>());
    }

    #[test]
    fn every_request_is_answered_once_whatever_comes(events in vec(event(), 0..60)) {
        let mut session = Session::default();
        let (mut get, mut post, mut probe, mut ended) = (false, false, false, false);
        for event in events.into_iter().chain([Event::End]) {
            let mut actions = Vec::new();
            get &= event != Event::GetAborted;
            session.handle(event, &mut actions);
            for action in actions {
                match action {
                    Action::HoldGet => prop_assert!(!std::mem::replace(&mut get, true)),
                    Action::HoldPost => prop_assert!(!std::mem::replace(&mut post, true)),
                    Action::HoldProbe => prop_assert!(!std::mem::replace(&mut probe, true)),
                    Action::Answer(_) => prop_assert!(std::mem::take(&mut get)),
                    Action::AnswerPost { .. } => prop_assert!(std::mem::take(&mut post)),
                    Action::Adopt => prop_assert!(std::mem::take(&mut probe)),
                    Action::DropProbe => prop_assert!(std::mem::take(&mut probe)),
                    Action::ReplyProbe => prop_assert!(probe),
                    Action::RefuseProbe => prop_assert_eq!(event, Event::Probe),
                    Action::Refuse(_) => prop_assert!(matches!(event, Event::Get | Event::Post)),
                    Action::Ended(_) => prop_assert!(!std::mem::replace(&mut ended, true)),
                }
            }
        }
        prop_assert!(!get && !post && !probe, "nobody is left waiting");
        prop_assert!(session.is_closed());
    }
}

fn event() -> impl Strategy<Value = Event<'static>> {
    prop_oneof![
        1 => Just(Event::Close),
        1 => Just(Event::CloseReceived),
        1 => Just(Event::End),
        6 => Just(Event::Get),
        1 => Just(Event::GetAborted),
        6 => Just(Event::Post),
        1 => Just(Event::PostAborted),
        6 => Just(Event::PostDone),
        1 => Just(Event::PostIllegal),
        6 => Just(Event::Probe),
        2 => Just(Event::ProbeClosed),
        1 => Just(Event::ProbeLate),
        6 => prop_oneof![Just("2probe"), Just("5"), Just("4")].prop_map(Event::ProbeText),
        6 => Just(Event::Queued),
    ]
}

const STEPS: u8 = 14;

/// One session, its client, and everything that is on its way between them.
///
/// A request is at most one at a time of its kind; a WebSocket keeps its order.
#[derive(Default)]
struct World {
    session: Session,
    queue: Vec<u32>,
    said_by_server: u32,
    heard_by_server: Vec<u32>,
    /// The rest of the POST that the server handles.
    posted: Option<VecDeque<u32>>,
    upgraded: bool,

    said_by_client: u32,
    heard_by_client: Vec<u32>,
    client: Client,
    /// Whether the client waits for an answer.
    getting: bool,
    posting: bool,

    get_up: bool,
    get_down: Option<Vec<u32>>,
    post_up: Option<VecDeque<u32>>,
    post_down: bool,
    socket_up: VecDeque<Frame>,
    socket_down: VecDeque<Frame>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Client {
    #[default]
    Polling,
    Probing,
    /// Its probe was answered; it waits for its requests to be answered.
    Pausing,
    Upgraded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Open,
    Text(&'static str),
    Number(u32),
}

impl World {
    fn step(&mut self, step: u8) {
        match step {
            0 | 1 => self.client_speaks(),
            2 => self.client_polls(),
            3 => self.client_probes(),
            4 => self.server_speaks(),
            5 if std::mem::take(&mut self.get_up) => self.handle(Event::Get),
            6 => self.answer_arrives(),
            7 => self.post_arrives(),
            8 => self.packet_is_handled(),
            9 if std::mem::take(&mut self.post_down) => self.posting = false,
            10 => self.frame_goes_up(),
            11 => self.frame_goes_down(),
            12 => self.probe_fails(Event::ProbeClosed),
            13 => self.probe_fails(Event::ProbeLate),
            _ => {}
        }
        // The client goes over when it has heard the answers to all it asked.
        if self.client == Client::Pausing && !self.getting && !self.posting {
            self.client = Client::Upgraded;
            self.socket_up.push_back(Frame::Text("5"));
        }
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..200 {
            for step in [2, 5, 6, 7, 8, 9, 10, 11] {
                self.step(step);
            }
        }
    }

    fn client_speaks(&mut self) {
        let number = self.said_by_client;
        match self.client {
            Client::Upgraded => self.socket_up.push_back(Frame::Number(number)),
            Client::Polling | Client::Probing if !self.posting => {
                self.posting = true;
                self.post_up = Some([number, number + 1].into());
                self.said_by_client += 1;
            }
            Client::Polling | Client::Probing | Client::Pausing => return,
        }
        self.said_by_client += 1;
    }

    fn client_polls(&mut self) {
        let polls = matches!(self.client, Client::Polling | Client::Probing);
        if polls && !self.getting {
            (self.getting, self.get_up) = (true, true);
        }
    }

    fn client_probes(&mut self) {
        if self.client == Client::Polling {
            self.client = Client::Probing;
            self.socket_up.extend([Frame::Open, Frame::Text("2probe")]);
        }
    }

    fn server_speaks(&mut self) {
        let number = self.said_by_server;
        self.said_by_server += 1;
        if self.upgraded {
            self.socket_down.push_back(Frame::Number(number));
        } else {
            self.queue.push(number);
            self.handle(Event::Queued);
        }
    }

    fn answer_arrives(&mut self) {
        if let Some(numbers) = self.get_down.take() {
            self.heard_by_client.extend(numbers);
            self.getting = false;
        }
    }

    fn post_arrives(&mut self) {
        if let Some(numbers) = self.post_up.take() {
            self.posted = Some(numbers);
            self.handle(Event::Post);
        }
    }

    fn packet_is_handled(&mut self) {
        match self.posted.as_mut().map(VecDeque::pop_front) {
            None => {}
            Some(Some(number)) => self.heard_by_server.push(number),
            Some(None) => {
                self.posted = None;
                self.handle(Event::PostDone);
            }
        }
    }

    fn frame_goes_up(&mut self) {
        match self.socket_up.pop_front() {
            None => {}
            Some(Frame::Open) => self.handle(Event::Probe),
            Some(Frame::Text(text)) => self.handle(Event::ProbeText(text)),
            Some(Frame::Number(number)) => {
                assert!(self.upgraded, "the server follows before the first message");
                self.heard_by_server.push(number);
            }
        }
    }

    fn frame_goes_down(&mut self) {
        match self.socket_down.pop_front() {
            Some(Frame::Text("3probe")) => self.client = Client::Pausing,
            Some(Frame::Number(number)) => {
                assert_eq!(self.client, Client::Upgraded);
                self.heard_by_client.push(number);
            }
            Some(Frame::Open | Frame::Text(_)) | None => {}
        }
    }

    /// The probe's connection breaks, before the client went over.
    fn probe_fails(&mut self, event: Event<'static>) {
        if matches!(self.client, Client::Probing | Client::Pausing) {
            self.client = Client::Polling;
            self.socket_up.clear();
            self.socket_down.clear();
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.session.handle(event, &mut actions);
        for action in actions {
            match action {
                Action::Adopt => {
                    self.upgraded = true;
                    self.socket_down.extend(self.queue.drain(..).map(Frame::Number));
                }
                Action::Answer(Answer::Queue) => {
                    self.get_down = Some(std::mem::take(&mut self.queue));
                }
                Action::Answer(Answer::Noop) => self.get_down = Some(Vec::new()),
                Action::AnswerPost { ok } => {
                    assert!(ok);
                    self.post_down = true;
                }
                Action::ReplyProbe => self.socket_down.push_back(Frame::Text("3probe")),
                Action::DropProbe | Action::HoldGet | Action::HoldPost | Action::HoldProbe => {}
                Action::Answer(Answer::Close)
                | Action::Ended(_)
                | Action::Refuse(_)
                | Action::RefuseProbe => panic!("{action:?} for a client that keeps the rules"),
            }
        }
    }
}
