//! From long-polling to a WebSocket: the probe, and when it takes over.
//!
//! ```text
//!  101 --> adopt --> probe: 2probe, 3probe --> 5 --> the session's transport
//!                      |                               (queue first)
//!                      +-- closed, late, or wrong --> closed; polling goes on
//! ```

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use super::shard::Shard;
use super::streams::Written;
use crate::engineio::Revision;
use crate::engineio::session::{Action, Event};
use crate::hub::{self, ConnId, Reason};
use crate::net::Stream;
use crate::room::Sid;
use crate::shard::Run;
use crate::websocket::{Decoder, Message, Opcode, Role, close_code, encode, encode_close};

/// A WebSocket that may become the transport of a session.
#[derive(Debug)]
pub(super) struct Probe {
    /// Where its stream lies until then.
    place: ConnId,
    decoder: Decoder,
    unread: Vec<u8>,
    late: Pin<Box<Sleep>>,
}

/// What a session's task needs to go on with a WebSocket.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) decoder: Decoder,
    pub(super) unread: Vec<u8>,
}

/// Makes a stream, on which the WebSocket handshake is done, the probe of a
/// session; `deflate` says whether messages on it may be compressed, `unread` is what came
/// behind the handshake.
///
/// # Errors
///
/// The stream, if the session has a WebSocket already, or has gone.
pub(super) fn adopt<S: Stream>(
    shard: &Rc<Shard<S>>,
    sid: Sid,
    revision: Revision,
    deflate: bool,
    stream: S,
    unread: Vec<u8>,
) -> Result<(), S> {
    let Ok(conn) = shard.session(sid, Some(revision)) else { return Err(stream) };
    let mut streams = shard.streams.borrow_mut();
    let held = streams
        .polling(conn)
        .is_some_and(|polling| polling.handle(Event::Probe, &mut None) == [Action::HoldProbe]);
    if !held {
        return Err(stream);
    }
    let place = streams.insert(stream);
    if deflate {
        streams.compress(place);
    }
    let late = Box::pin(tokio::time::sleep(shard.config.upgrade_timeout));
    let decoder = Decoder::new(Role::Server).with_deflate(deflate);
    let probe = Probe { place, decoder, unread, late };
    if let Some(polling) = streams.polling(conn) {
        polling.probe = Some(Box::new(probe));
    }
    streams.wake(conn);
    Ok(())
}

/// Reads what the probe of a session says, if there is one; ready once it has
/// become the session's transport.
pub(super) fn poll_probe<S: Stream>(
    shard: &Rc<Shard<S>>,
    conn: ConnId,
    cx: &mut Context<'_>,
) -> Poll<Adopted> {
    let taken = shard.streams.borrow_mut().polling(conn).and_then(|here| here.probe.take());
    let Some(mut probe) = taken else { return Poll::Pending };
    match probe.poll(shard, conn, cx) {
        Step::Adopt(unread) => Poll::Ready(probe.take_over(shard, conn, unread)),
        Step::Drop => {
            probe.close(shard);
            Poll::Pending
        }
        Step::Wait => {
            if let Some(polling) = shard.streams.borrow_mut().polling(conn) {
                polling.probe = Some(probe);
            }
            Poll::Pending
        }
    }
}

/// What is to become of a probe.
enum Step {
    /// The session's transport; this has come behind the packet that said so.
    Adopt(Vec<u8>),
    Drop,
    Wait,
}

impl Probe {
    /// Tells the client that this WebSocket is not needed.
    pub(super) fn close<S: Stream>(&self, shard: &Shard<S>) {
        let mut frame = Vec::new();
        encode_close(close_code::NORMAL_CLOSURE, None, &mut frame);
        let mut streams = shard.streams.borrow_mut();
        // Whether it arrives or not, the stream ends.
        let _ = streams.write(self.place, Run::packet(&frame));
        streams.remove(self.place);
    }

    fn poll<S: Stream>(
        &mut self,
        shard: &Rc<Shard<S>>,
        conn: ConnId,
        cx: &mut Context<'_>,
    ) -> Step {
        shard.streams.borrow_mut().set_waker(self.place, cx.waker());
        let mut bytes = std::mem::take(&mut self.unread);
        loop {
            if let Some(step) = self.receive(shard, conn, &mut bytes) {
                return step;
            }
            if shard.streams.borrow_mut().poll_backlog(self.place, cx).is_pending() {
                // A client that does not read its few bytes says no more either.
                break;
            }
            match self.read(shard, cx) {
                Poll::Pending => break,
                Poll::Ready(Some(read)) => bytes = read,
                Poll::Ready(None) => {
                    let _ = say(shard, conn, Event::ProbeClosed);
                    return Step::Drop;
                }
            }
        }
        if self.late.as_mut().poll(cx).is_ready() {
            let _ = say(shard, conn, Event::ProbeLate);
            return Step::Drop;
        }
        Step::Wait
    }

    /// What has come; none at the end.
    fn read<S: Stream>(&self, shard: &Shard<S>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut buffer = shard.take_buffer();
        let read = shard.streams.borrow_mut().poll_read(self.place, cx, &mut buffer);
        let read = read.map(|read| match read {
            Ok(count) if count > 0 => Some(buffer[..count].to_vec()),
            Ok(_) | Err(_) => None,
        });
        *shard.buffer.borrow_mut() = buffer;
        read
    }

    /// Handles all that has come; says if that decides something.
    fn receive<S: Stream>(
        &mut self,
        shard: &Rc<Shard<S>>,
        conn: ConnId,
        mut bytes: &mut [u8],
    ) -> Option<Step> {
        loop {
            let (taken, actions) = match self.decoder.decode(bytes, PROBE_BYTES_MAX) {
                Ok((_, None)) => return None,
                Ok((taken, Some(message))) => (taken, said(shard, conn, self.place, message)),
                Err(_) => {
                    let _ = say(shard, conn, Event::ProbeClosed);
                    return Some(Step::Drop);
                }
            };
            bytes = &mut bytes[taken..];
            for action in actions {
                match action {
                    Action::Adopt => return Some(Step::Adopt(bytes.to_vec())),
                    Action::DropProbe => return Some(Step::Drop),
                    Action::ReplyProbe => {
                        let mut frame = Vec::new();
                        encode(Opcode::Text, &[b"3probe"], None, &mut frame);
                        // What the stream does not take waits in its backlog.
                        let reply = Run::packet(&frame);
                        let _ = shard.streams.borrow_mut().write(self.place, reply);
                    }
                    Action::Answer(_)
                    | Action::AnswerPost { .. }
                    | Action::Ended(_)
                    | Action::HoldGet
                    | Action::HoldPost
                    | Action::HoldProbe
                    | Action::Refuse(_)
                    | Action::RefuseProbe => {}
                }
            }
        }
    }

    /// Moves the stream to the session, and what is queued to the stream.
    fn take_over<S: Stream>(self, shard: &Shard<S>, conn: ConnId, unread: Vec<u8>) -> Adopted {
        let mut streams = shard.streams.borrow_mut();
        let polling = streams.adopt(conn, self.place);
        let queue = polling.map(|mut polling| polling.take_queue()).unwrap_or_default();
        let written =
            if queue.is_empty() { Written::All } else { streams.write_queue(conn, queue) };
        drop(streams);
        match written {
            Written::All => shard.core.set_congested(conn, false),
            Written::Failed | Written::Full => {
                let reason = Reason::TransportError;
                shard.core.handle(hub::Event::Gone { conn, reason });
            }
            Written::Some => shard.core.set_congested(conn, true),
        }
        Adopted { decoder: self.decoder, unread }
    }
}

/// The longest message of a probe: it has two words to say.
const PROBE_BYTES_MAX: usize = 128;

fn said<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    place: ConnId,
    message: Message<'_>,
) -> Vec<Action> {
    match message {
        Message::Binary(_) => say(shard, conn, Event::ProbeText("")),
        Message::Close(_) => say(shard, conn, Event::ProbeClosed),
        Message::Ping(payload) => {
            let mut frame = Vec::new();
            encode(Opcode::Pong, &[payload], None, &mut frame);
            let _ = shard.streams.borrow_mut().write(place, Run::packet(&frame));
            Vec::new()
        }
        Message::Pong(_) => Vec::new(),
        Message::Text(text) => say(shard, conn, Event::ProbeText(text)),
    }
}

/// What the session makes of it.
fn say<S: Stream>(shard: &Shard<S>, conn: ConnId, event: Event<'_>) -> Vec<Action> {
    let mut streams = shard.streams.borrow_mut();
    streams.polling(conn).map(|polling| polling.handle(event, &mut None)).unwrap_or_default()
}
