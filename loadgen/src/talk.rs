//! What one client has said, and what it hears.
//!
//! Everything goes into the books at the moment it is heard; nothing here waits.

use std::collections::VecDeque;

use parlor::client::{Event, Outgoing};

use crate::accounting::{Arrival, Sent};
use crate::chat::{self, Answer};
use crate::fleet::{Books, Fleet};
use crate::recorder::Phase;

/// What it has said and is waiting for.
pub(crate) struct Talk {
    pub(crate) stage: Stage,
    /// Messages whose acknowledgement has not arrived, oldest first.
    pub(crate) awaited: VecDeque<Awaited>,
}

/// How far it has come.
pub(crate) enum Stage {
    /// CONNECT is not answered yet.
    Connecting,
    /// The join's acknowledgement, of this id, has not arrived yet.
    Joining { ack_id: u64 },
    /// It is in its room.
    Joined,
    /// The server did not want it, for this reason.
    Refused(String),
}

/// An acknowledgement that is due.
#[derive(Clone, Copy)]
pub(crate) struct Awaited {
    pub(crate) ack_id: u64,
    pub(crate) number: u32,
    pub(crate) intended_us: u64,
    pub(crate) sent_us: u64,
}

/// Takes what one client hears, into the books.
pub(crate) struct Ear<'e> {
    pub(crate) fleet: &'e Fleet,
    pub(crate) client: u32,
    pub(crate) books: &'e mut Books,
    pub(crate) talk: &'e mut Talk,
    /// What is heard now can have lain readable since then.
    pub(crate) readable_since_us: Option<u64>,
}

impl Ear<'_> {
    /// Takes one event.
    pub(crate) fn hear(&mut self, event: Event<'_>, outgoing: &mut Outgoing<'_>) {
        if self.books.closed {
            return;
        }
        match event {
            Event::Ack { id, args, .. } => self.take_ack(id, args.elements().next()),
            Event::Connected { namespace, sid, .. } => {
                self.books.ids[self.client as usize] = sid.into();
                // Who may come back to another server has to know first which one this is.
                if !self.fleet.brief.options.session.reconnect {
                    self.begin_join(namespace, outgoing);
                }
            }
            Event::Event { namespace, args, .. } if args.event() == chat::HELLO => {
                let server = args.elements().nth(1).and_then(chat::server);
                if let (Stage::Connecting, Some(server)) = (&self.talk.stage, server)
                    && self.fleet.brief.options.session.reconnect
                {
                    self.books.greeted(self.client, &server);
                    self.begin_join(namespace, outgoing);
                }
            }
            Event::Event { args, .. } if args.event() == chat::MESSAGE => {
                self.take_message(args.elements().nth(1).unwrap_or_default());
            }
            Event::Refused { data, .. } => {
                let why = data.and_then(refusal).unwrap_or_else(|| "no reason given".to_owned());
                self.talk.stage = Stage::Refused(format!("connect: refused by the server: {why}"));
            }
            // The end of the connection follows, and says why; other events
            // are the application's business.
            Event::Disconnected { .. } | Event::Event { .. } | Event::Opened { .. } => {}
        }
    }

    fn begin_join(&mut self, namespace: &str, outgoing: &mut Outgoing<'_>) {
        let room = self.fleet.room(self.client);
        let place = self.books.place(self.client, room);
        self.books.accounting.joining(self.fleet.now_us(), self.client, place);
        let json = chat::join(self.fleet.brief.nonce, room);
        let ack_id = outgoing.emit_with_ack(namespace, &json, &[]);
        self.talk.stage = Stage::Joining { ack_id: ack_id.expect("the namespace is connected") };
    }

    fn take_ack(&mut self, id: u64, argument: Option<&str>) {
        let now_us = self.fleet.now_us();
        if let Stage::Joining { ack_id } = self.talk.stage
            && ack_id == id
        {
            self.talk.stage = match Answer::read(argument) {
                Answer::Accepted { .. } => {
                    let place = self.books.place(self.client, self.fleet.room(self.client));
                    self.books.accounting.joined(now_us, self.client, place);
                    Stage::Joined
                }
                Answer::Refused(why) => {
                    Stage::Refused(format!("join: refused by the server: {why}"))
                }
            };
            return;
        }
        // The oldest, almost always.
        let Some(place) = self.talk.awaited.iter().position(|awaited| awaited.ack_id == id) else {
            return self.books.error("ack: of nothing that was sent, or a second one".to_owned());
        };
        let Some(awaited) = self.talk.awaited.remove(place) else { return };
        self.books.unanswered -= 1;
        let message = Sent { client: self.client, number: awaited.number };
        match Answer::read(argument) {
            Answer::Accepted { seq } => {
                self.books.accounting.acked(now_us, message, seq);
                self.books.messages.acked += 1;
                self.books.time(Phase::Ack, awaited.intended_us, now_us);
                self.books.time(Phase::AckService, awaited.sent_us, now_us);
            }
            Answer::Refused(why) => {
                self.books.accounting.refused(now_us, message);
                self.books.messages.refused += 1;
                self.books.error(format!("message: refused by the server: {why}"));
            }
        }
    }

    fn take_message(&mut self, argument: &str) {
        let (now_us, nonce) = (self.fleet.now_us(), self.fleet.brief.nonce);
        let message = chat::Message::read(argument);
        let ours = message
            .as_ref()
            .and_then(|message| message.signature(nonce))
            .filter(|signature| (signature.client as usize) < self.books.ids.len());
        let (Some(message), Some(signature)) = (message, ours) else {
            return self.books.accounting.foreign(now_us, self.client);
        };
        let from =
            message.from.as_deref().and_then(|from| self.books.client_of(from, signature.client));
        let room = self.fleet.room_of_name(&message.room);
        let arrival = Arrival {
            place: room.map(|room| self.books.place(self.client, room)),
            message: Sent { client: signature.client, number: signature.number },
            from,
            seq: message.seq,
            intact: message.is_intact(&self.fleet.bodies, signature),
        };
        let is_last = self.books.accounting.delivered(now_us, self.client, &arrival);
        self.books.time(Phase::Delivery, signature.intended_us, now_us);
        self.books.time(Phase::DeliveryService, signature.sent_us, now_us);
        if is_last {
            self.books.time(Phase::LastRecipient, signature.intended_us, now_us);
        }
        // It was not readable before it was sent.
        let readable_us =
            self.readable_since_us.map_or(now_us, |since| since.max(signature.sent_us));
        self.books.time(Phase::ReceiveLag, readable_us, now_us);
        self.fleet.brief.counters.delivered.count();
    }
}

/// The message of a CONNECT_ERROR, which Node wraps into an object.
fn refusal(data: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Refusal {
        Object { message: String },
        Text(String),
    }
    Some(match serde_json::from_str(data).ok()? {
        Refusal::Object { message } | Refusal::Text(message) => message,
    })
}
