//! A session while it polls: packets into requests, answers into packets, and the probe
//! of a WebSocket beside them.
//!
//! This is pure: it does not own the streams. Each of the three ports has bytes for its
//! stream, says whether it needs one, and is told what came from there or that the
//! stream has ended.
//!
//! ```text
//! Port::Get    GET, GET, GET ...      each answer: packets of the server
//! Port::Post   POST, POST ...         each body: packets from the queue
//! Port::Probe  handshake, 2probe, 5   then it is the session's stream, and this ends
//! ```
//!
//! # Spec
//!
//! Engine.IO protocol v4, "HTTP long-polling", "Upgrade".

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::engineio::payload::{self, Format, Payload};
use crate::engineio::{Open, Packet};
use crate::websocket::{
    self, HandshakeError, Message, Opcode, Role, decode_accept, encode, encode_request, frames,
};

use super::http::{self, Answer, HttpError, Reply, encode_component};
use super::session::{Core, State, Turn};
use super::tap::{Passing, Way};
use super::transports::{Action, Event, Transports};
use super::{CloseReason, ProtocolError, Transport};

/// A stream that was idle for so long is not used again: servers close such streams
/// (Node's after five seconds), and a POST on one that is being closed may be lost.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// The longest message of a server on a probe: it has one word to say.
const PROBE_BYTES_MAX: usize = 128;

/// Which of a session's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Get,
    Post,
    Probe,
}

impl Port {
    pub(super) const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Probe];
}

/// One end of a stream that is the driver's.
#[derive(Debug, Default)]
pub(super) struct End {
    /// What the stream is to be given. With something here, a stream is needed.
    pub(super) out: Vec<u8>,
    /// The stream, if there is one, is not to be used any more.
    pub(super) is_worn: bool,
    /// The answer to the request that is under way.
    answer: Option<Answer>,
    idle_since: Option<Instant>,
}

/// What a session has while it polls.
#[derive(Debug)]
pub(super) struct Polling {
    transports: Transports,
    upgrades: bool,
    /// The server's name for this session, as it stands in a query; empty until known.
    sid: String,
    /// The most bytes that the server takes in one POST.
    post_bytes_max: usize,
    queue: VecDeque<(Opcode, Vec<u8>)>,
    queue_bytes: usize,
    ends: [End; 3],
    probe: Option<Probe>,
}

/// A WebSocket that may become the transport.
#[derive(Debug)]
struct Probe {
    key: [u8; 16],
    /// The first bytes of the answer to the handshake; none once that is complete.
    head: Option<Vec<u8>>,
    decoder: websocket::Decoder,
    /// When it is given up.
    until: Instant,
}

/// What a server says on a probe's stream.
enum Said {
    Answer,
    Nothing,
    Ping(Vec<u8>),
    Wrong,
}

impl Polling {
    /// A session that begins with the first GET.
    pub(super) fn new(core: &Core) -> Self {
        let mut polling = Self {
            transports: Transports::new(),
            upgrades: core.options.transport == Transport::PollingThenUpgrade,
            sid: String::new(),
            post_bytes_max: usize::MAX,
            queue: VecDeque::new(),
            queue_bytes: 0,
            ends: Default::default(),
            probe: None,
        };
        polling.request(Port::Get, None, core);
        polling
    }

    /// One of its ends.
    pub(super) fn end(&mut self, port: Port) -> &mut End {
        &mut self.ends[port as usize]
    }

    /// Whether a stream is of use here; one that is not is to be closed.
    pub(super) fn is_wanted(&self, port: Port) -> bool {
        match port {
            Port::Get | Port::Post => true,
            Port::Probe => self.probe.is_some(),
        }
    }

    /// Whether the WebSocket is the transport, and this of no further use.
    pub(super) fn is_upgraded(&self) -> bool {
        self.transports.is_upgraded()
    }

    /// What is left of it: where the WebSocket's frames are decoded, and what goes there.
    ///
    /// # Panics
    ///
    /// If the WebSocket is not the transport.
    pub(super) fn into_websocket(mut self) -> (websocket::Decoder, Vec<u8>) {
        let out = std::mem::take(&mut self.end(Port::Probe).out);
        let probe = self.probe.expect("what was probed took over");
        (probe.decoder, out)
    }

    /// Whether it is still open which transport it is going to be.
    pub(super) fn is_upgrading(&self) -> bool {
        self.upgrades && self.transports.is_upgrading()
    }

    /// When the probe is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probe.as_ref().map(|probe| probe.until)
    }

    /// How much is queued or waits for a stream.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.queue_bytes + self.ends.iter().map(|end| end.out.len()).sum::<usize>()
    }

    /// Queues what the session says: whole frames without a mask.
    pub(super) fn push(&mut self, bytes: &[u8], core: &mut Core, now: Instant) {
        let bytes_max = core.options.backlog_bytes_max;
        for (opcode, payload) in frames(bytes) {
            if payload.len() > bytes_max.saturating_sub(self.backlog_bytes()) {
                return core.end(CloseReason::BacklogFull { bytes_max });
            }
            self.queue_bytes += payload.len();
            self.queue.push_back((opcode, payload.to_vec()));
        }
        if !bytes.is_empty() {
            self.handle(Event::Queued, core, now);
        }
        if matches!(core.state, State::Closing(_)) {
            self.handle(Event::Close, core, now);
        }
    }

    /// Takes bytes of the stream that requests of this kind go over.
    ///
    /// `Ok` with a reply once it is complete.
    fn take_reply(
        &mut self,
        port: Port,
        input: &[u8],
        now: Instant,
        bytes_max: usize,
    ) -> Result<Option<Reply>, HttpError> {
        let end = self.end(port);
        let Some(answer) = &mut end.answer else { return Err(HttpError::Unasked) };
        let reply = answer.take(input, bytes_max)?;
        if let Some(reply) = &reply {
            end.answer = None;
            end.is_worn |= !reply.is_kept;
            end.idle_since = Some(now);
        }
        Ok(reply)
    }

    /// Takes bytes of an answer to a GET, and hands on its packets once it is complete.
    pub(super) fn take_get(
        &mut self,
        input: &[u8],
        core: &mut Core,
        turn: &mut Turn<'_>,
    ) -> Result<(), CloseReason> {
        let bytes_max = core.options.answer_bytes_max;
        let Some(reply) = self.take_reply(Port::Get, input, turn.now, bytes_max)? else {
            return Ok(());
        };
        let is_first = self.sid.is_empty();
        match reply.status {
            200 => {}
            status if is_first => {
                return Err(CloseReason::Handshake(HandshakeError::Status(status)));
            }
            status => return Err(HttpError::Status(status).into()),
        }
        self.take_payload(reply.body, core, turn)?;
        core.tap.tell(Passing::Answered);
        // What was said in answer has no mask, so it goes before what may follow now.
        self.push(&std::mem::take(turn.out), core, turn.now);
        let opened = Event::Opened { upgrades: self.upgrades };
        self.handle(if is_first { opened } else { Event::GetAnswered }, core, turn.now);
        Ok(())
    }

    fn take_payload(
        &mut self,
        body: Vec<u8>,
        core: &mut Core,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProtocolError> {
        let mut payload = Payload::new(Format::V4, body);
        while let Some(decoded) = payload.decode()? {
            let message = match &decoded {
                payload::Message::Binary(bytes) => Message::Binary(bytes),
                payload::Message::Text(text) => Message::Text(text),
            };
            core.tap.tell(Passing::Heard { way: Way::Polling, message });
            if self.sid.is_empty() {
                self.take_open(&decoded)?;
            }
            core.handle_message(message, turn)?;
            if matches!(core.state, State::Closed(_)) {
                break;
            }
        }
        Ok(())
    }

    /// The first packet says what all requests are to say.
    fn take_open(&mut self, message: &payload::Message<'_>) -> Result<(), ProtocolError> {
        let payload::Message::Text(text) = message else { return Err(ProtocolError::NotOpen) };
        let Packet::Open(json) = Packet::decode(text)? else { return Err(ProtocolError::NotOpen) };
        let open = Open::decode(json)?;
        encode_component(&open.sid, &mut self.sid);
        if self.sid.is_empty() {
            return Err(ProtocolError::NotOpen);
        }
        self.upgrades &= open.upgrades.iter().any(|name| name == "websocket");
        self.post_bytes_max = open.max_payload;
        Ok(())
    }

    /// Takes bytes of an answer to a POST.
    pub(super) fn take_post(
        &mut self,
        input: &[u8],
        core: &mut Core,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let bytes_max = core.options.answer_bytes_max;
        let Some(reply) = self.take_reply(Port::Post, input, now, bytes_max)? else {
            return Ok(());
        };
        if reply.status != 200 {
            return Err(HttpError::Status(reply.status).into());
        }
        self.handle(Event::PostAnswered, core, now);
        if self.transports.is_closed() {
            core.end(CloseReason::Client);
        }
        Ok(())
    }

    /// Takes bytes of the probe's stream.
    pub(super) fn take_probe(&mut self, input: &[u8], core: &mut Core, now: Instant) {
        let Some(mut input) = self.take_head(input, core, now) else { return };
        let mut at = 0;
        while let Some(probe) = &mut self.probe {
            let (taken, said) = match probe.decoder.decode(&mut input[at..], PROBE_BYTES_MAX) {
                Ok((_, None)) => return,
                Ok((taken, Some(message))) => {
                    core.tap.tell(Passing::Heard { way: Way::Probe, message });
                    (taken, said(&message))
                }
                Err(_) => (0, Said::Wrong),
            };
            at += taken;
            match said {
                // A GET is under way: only its answer lets this client go over.
                Said::Answer if self.transports.is_probing() => {
                    self.handle(Event::ProbeAnswered, core, now);
                }
                Said::Answer | Said::Wrong => self.handle(Event::ProbeFailed, core, now),
                Said::Nothing => {}
                Said::Ping(payload) => self.say_to_probe(Opcode::Pong, &payload, core),
            }
        }
    }

    /// Takes the answer to the probe's handshake off the front, and gives the frames
    /// behind it.
    fn take_head(&mut self, input: &[u8], core: &mut Core, now: Instant) -> Option<Vec<u8>> {
        let probe = self.probe.as_mut()?;
        let Some(mut head) = probe.head.take() else { return Some(input.to_vec()) };
        head.extend_from_slice(input);
        match decode_accept(&head, probe.key) {
            Ok(Some(len)) => {
                self.say_to_probe(Opcode::Text, b"2probe", core);
                Some(head.split_off(len))
            }
            Ok(None) => {
                probe.head = Some(head);
                None
            }
            Err(_) => {
                self.handle(Event::ProbeFailed, core, now);
                None
            }
        }
    }

    /// The stream of this port could not be opened, or has ended.
    pub(super) fn lose(&mut self, port: Port, reason: CloseReason, core: &mut Core, now: Instant) {
        let end = self.end(port);
        end.is_worn = true;
        match port {
            Port::Get | Port::Post if end.answer.is_some() => core.end(reason),
            // It was idle.
            Port::Get | Port::Post => {}
            Port::Probe if self.is_upgraded() => core.end(reason),
            Port::Probe => self.handle(Event::ProbeFailed, core, now),
        }
    }

    /// Gives up a probe that is late.
    pub(super) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.handle(Event::ProbeFailed, core, now);
        }
    }

    fn handle(&mut self, event: Event, core: &mut Core, now: Instant) {
        if matches!(core.state, State::Closed(_)) {
            return;
        }
        let mut actions = Vec::new();
        self.transports.handle(event, &mut actions);
        for action in actions {
            match action {
                Action::DropProbe => {
                    self.probe = None;
                    *self.end(Port::Probe) = End { is_worn: true, ..End::default() };
                    core.tap.tell(Passing::ProbeGone);
                }
                Action::Get => {
                    self.ask(Port::Get, None, core, now);
                    core.tap.tell(Passing::Asked);
                }
                Action::Post => {
                    let body = self.next_payload(core);
                    self.ask(Port::Post, Some(&body), core, now);
                    if !self.queue.is_empty() {
                        self.handle(Event::Queued, core, now);
                    }
                }
                Action::Probe => self.begin_probe(core, now),
                Action::Upgrade => self.upgrade(core, now),
            }
        }
    }

    /// Sends a request, over the stream of the last one if that is fresh.
    fn ask(&mut self, port: Port, body: Option<&[u8]>, core: &Core, now: Instant) {
        let end = self.end(port);
        end.is_worn |= end.idle_since.take().is_some_and(|since| now - since > IDLE_MAX);
        self.request(port, body, core);
    }

    fn request(&mut self, port: Port, body: Option<&[u8]>, core: &Core) {
        let target = self.target("polling", core);
        let options = &core.options;
        let end = self.end(port);
        http::encode(&options.host, &target, &options.headers, body, &mut end.out);
        end.answer = Some(Answer::default());
    }

    fn target(&self, transport: &str, core: &Core) -> String {
        let separator = if self.sid.is_empty() { "" } else { "&sid=" };
        let (path, sid) = (&core.options.path, &self.sid);
        format!("{path}?EIO=4&transport={transport}{separator}{sid}")
    }

    /// Takes off the queue what fits into one POST, and at least one packet.
    fn next_payload(&mut self, core: &mut Core) -> Vec<u8> {
        let (mut count, mut bytes) = (0, 0);
        for (opcode, payload) in &self.queue {
            let spelled = match opcode {
                // Base64, with a letter in front.
                Opcode::Binary => 1 + payload.len().div_ceil(3) * 4,
                Opcode::Close
                | Opcode::Continuation
                | Opcode::Ping
                | Opcode::Pong
                | Opcode::Text => payload.len(),
            };
            bytes += usize::from(count > 0) + spelled;
            if count > 0 && bytes > self.post_bytes_max {
                break;
            }
            count += 1;
        }
        let taken: Vec<_> = self.queue.drain(..count).collect();
        self.queue_bytes -= taken.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        for (opcode, payload) in &taken {
            core.tap.tell_said(Way::Polling, *opcode, &[payload]);
        }
        let messages = taken.iter().map(|(opcode, payload)| match opcode {
            Opcode::Binary => payload::Message::Binary(Cow::Borrowed(payload)),
            Opcode::Close | Opcode::Continuation | Opcode::Ping | Opcode::Pong | Opcode::Text => {
                payload::Message::Text(str::from_utf8(payload).expect("packets are made of text"))
            }
        });
        let mut body = Vec::new();
        payload::encode(Format::V4, messages, &mut body);
        body
    }

    fn begin_probe(&mut self, core: &mut Core, now: Instant) {
        let key = core.random.next_key();
        let target = self.target("websocket", core);
        let options = &core.options;
        let out = &mut self.end(Port::Probe).out;
        encode_request(&options.host, &target, key, &options.headers, out);
        let decoder = websocket::Decoder::new(Role::Client);
        let until = now + options.connect_timeout;
        self.probe = Some(Probe { key, head: Some(Vec::new()), decoder, until });
    }

    fn say_to_probe(&mut self, opcode: Opcode, payload: &[u8], core: &mut Core) {
        core.tap.tell_said(Way::Probe, opcode, &[payload]);
        self.write_to_probe(opcode, payload, core);
    }

    fn write_to_probe(&mut self, opcode: Opcode, payload: &[u8], core: &mut Core) {
        let mask = Some(core.random.next_mask());
        encode(opcode, &[payload], mask, &mut self.end(Port::Probe).out);
    }

    /// From here on the WebSocket is the transport; what is queued goes there first.
    fn upgrade(&mut self, core: &mut Core, now: Instant) {
        self.say_to_probe(Opcode::Text, b"5", core);
        for (opcode, payload) in std::mem::take(&mut self.queue) {
            core.tap.tell_said(Way::WebSocket, opcode, &[&payload]);
            self.write_to_probe(opcode, &payload, core);
        }
        self.queue_bytes = 0;
        core.is_polling = false;
        core.phases.upgraded_at = Some(now);
    }
}

fn said(message: &Message<'_>) -> Said {
    match message {
        Message::Text("3probe") => Said::Answer,
        Message::Text("6") | Message::Pong(_) => Said::Nothing,
        Message::Ping(payload) => Said::Ping(payload.to_vec()),
        Message::Binary(_) | Message::Close(_) | Message::Text(_) => Said::Wrong,
    }
}

#[cfg(test)]
mod tests;
