//! This client against the server's own rules, over a network with delays.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::engineio::session as server;

proptest! {
    /// Both directions, numbered, over polling, across the upgrade or one that fails,
    /// and over the WebSocket.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        upgrades: bool,
        steps in vec(0..STEPS, 0..400),
    ) {
        let mut world = World::new(upgrades);
        for step in steps {
            world.step(step);
        }
        world.settle();
        prop_assert_eq!(&world.heard_by_client, &(0..world.said_by_server).collect::<Vec<_>>());
        prop_assert_eq!(&world.heard_by_server, &(0..world.said_by_client).collect::<Vec<_>>());
        prop_assert_eq!(world.client.is_upgraded(), upgrades && !world.has_failed);
        prop_assert_eq!(world.is_adopted, world.client.is_upgraded());
    }
}

const STEPS: u8 = 12;

/// How many packets one POST takes.
const POST_MAX: usize = 2;

/// One session, and everything that is on its way between its two ends.
struct World {
    client: Transports,
    server: server::Session,
    upgrades: bool,
    /// The probe has broken.
    has_failed: bool,

    said_by_client: u32,
    said_by_server: u32,
    heard_by_client: Vec<u32>,
    heard_by_server: Vec<u32>,
    client_queue: VecDeque<u32>,
    server_queue: Vec<u32>,
    /// The server's transport is the WebSocket.
    is_adopted: bool,
    /// The rest of the POST that the server handles.
    posted: Option<VecDeque<u32>>,

    get_up: bool,
    get_down: Option<Vec<u32>>,
    is_open: bool,
    post_up: Option<VecDeque<u32>>,
    post_down: bool,
    socket_up: VecDeque<Frame>,
    socket_down: VecDeque<Frame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Number(u32),
    Open,
    Text(&'static str),
}

impl World {
    fn new(upgrades: bool) -> Self {
        let mut world = Self {
            client: Transports::new(),
            server: server::Session::default(),
            upgrades,
            has_failed: false,
            said_by_client: 0,
            said_by_server: 0,
            heard_by_client: Vec::new(),
            heard_by_server: Vec::new(),
            client_queue: VecDeque::new(),
            server_queue: Vec::new(),
            is_adopted: false,
            posted: None,
            get_up: true,
            get_down: None,
            is_open: false,
            post_up: None,
            post_down: false,
            socket_up: VecDeque::new(),
            socket_down: VecDeque::new(),
        };
        // The open packet.
        world.serve(server::Event::Queued);
        world
    }

    fn step(&mut self, step: u8) {
        match step {
            0 | 1 => self.client_speaks(),
            2 | 3 => self.server_speaks(),
            4 if std::mem::take(&mut self.get_up) => self.serve(server::Event::Get),
            5 => self.answer_arrives(),
            6 => self.post_arrives(),
            7 => self.packet_is_handled(),
            8 if std::mem::take(&mut self.post_down) => self.tell(Event::PostAnswered),
            9 => self.frame_goes_up(),
            10 => self.frame_goes_down(),
            11 => self.probe_breaks(),
            _ => {}
        }
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..500 {
            for step in [4, 5, 6, 7, 8, 9, 10] {
                self.step(step);
            }
        }
    }

    fn client_speaks(&mut self) {
        let number = self.said_by_client;
        self.said_by_client += 1;
        if self.client.is_upgraded() {
            self.socket_up.push_back(Frame::Number(number));
        } else {
            self.client_queue.push_back(number);
            self.tell(Event::Queued);
        }
    }

    fn server_speaks(&mut self) {
        let number = self.said_by_server;
        self.said_by_server += 1;
        if self.is_adopted {
            self.socket_down.push_back(Frame::Number(number));
        } else {
            self.server_queue.push(number);
            self.serve(server::Event::Queued);
        }
    }

    fn answer_arrives(&mut self) {
        let Some(numbers) = self.get_down.take() else { return };
        self.heard_by_client.extend(numbers);
        if std::mem::replace(&mut self.is_open, true) {
            self.tell(Event::GetAnswered);
        } else {
            self.tell(Event::Opened { upgrades: self.upgrades });
        }
    }

    fn post_arrives(&mut self) {
        if let Some(numbers) = self.post_up.take() {
            self.posted = Some(numbers);
            self.serve(server::Event::Post);
        }
    }

    fn packet_is_handled(&mut self) {
        match self.posted.as_mut().map(VecDeque::pop_front) {
            None => {}
            Some(Some(number)) => self.heard_by_server.push(number),
            Some(None) => {
                self.posted = None;
                self.serve(server::Event::PostDone);
            }
        }
    }

    fn frame_goes_up(&mut self) {
        match self.socket_up.pop_front() {
            None => {}
            Some(Frame::Open) => self.serve(server::Event::Probe),
            Some(Frame::Text(text)) => self.serve(server::Event::ProbeText(text)),
            Some(Frame::Number(number)) => {
                assert!(self.is_adopted, "the server follows before the first message");
                self.heard_by_server.push(number);
            }
        }
    }

    fn frame_goes_down(&mut self) {
        match self.socket_down.pop_front() {
            None => {}
            Some(Frame::Open) => self.socket_up.push_back(Frame::Text("2probe")),
            Some(Frame::Text(text)) => {
                assert_eq!(text, "3probe");
                self.tell(Event::ProbeAnswered);
            }
            Some(Frame::Number(number)) => {
                assert!(self.client.is_upgraded(), "it was told so first");
                self.heard_by_client.push(number);
            }
        }
    }

    /// The probe's connection breaks, before the client goes over.
    fn probe_breaks(&mut self) {
        if self.is_open && self.upgrades && self.client.is_upgrading() && !self.has_failed {
            self.has_failed = true;
            let has_arrived = !self.socket_up.contains(&Frame::Open);
            self.socket_up.clear();
            self.socket_down.clear();
            if has_arrived {
                self.serve(server::Event::ProbeClosed);
            }
            self.tell(Event::ProbeFailed);
        }
    }

    fn tell(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.client.handle(event, &mut actions);
        for action in actions {
            match action {
                Action::DropProbe => assert!(self.has_failed),
                Action::Get => assert!(!std::mem::replace(&mut self.get_up, true)),
                Action::Post => {
                    let count = self.client_queue.len().min(POST_MAX);
                    assert!(count > 0, "an empty POST is none");
                    self.post_up = Some(self.client_queue.drain(..count).collect());
                    if !self.client_queue.is_empty() {
                        self.tell(Event::Queued);
                    }
                }
                Action::Probe => self.socket_up.push_back(Frame::Open),
                Action::Upgrade => {
                    self.socket_up.push_back(Frame::Text("5"));
                    self.socket_up.extend(self.client_queue.drain(..).map(Frame::Number));
                }
            }
        }
    }

    fn serve(&mut self, event: server::Event<'_>) {
        let mut actions = Vec::new();
        self.server.handle(event, &mut actions);
        for action in actions {
            match action {
                server::Action::Adopt => {
                    self.is_adopted = true;
                    self.socket_down.extend(self.server_queue.drain(..).map(Frame::Number));
                }
                server::Action::Answer(server::Answer::Queue) => {
                    self.get_down = Some(std::mem::take(&mut self.server_queue));
                }
                server::Action::Answer(server::Answer::Noop) => self.get_down = Some(Vec::new()),
                server::Action::AnswerPost { ok } => {
                    assert!(ok);
                    self.post_down = true;
                }
                server::Action::HoldProbe => self.socket_down.push_back(Frame::Open),
                server::Action::ReplyProbe => self.socket_down.push_back(Frame::Text("3probe")),
                server::Action::DropProbe | server::Action::HoldGet | server::Action::HoldPost => {}
                server::Action::Answer(server::Answer::Close)
                | server::Action::Ended(_)
                | server::Action::Refuse(_)
                | server::Action::RefuseProbe => panic!("{action:?} to a client like ours"),
            }
        }
    }
}
