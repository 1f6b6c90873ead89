//! One session's task: it reads, and runs the handlers of what it read.
//!
//! A session reads from its WebSocket, or takes what was posted, packet by
//! packet, and listens to a WebSocket that would take over. Which of these it
//! does is the only difference: handlers and limits are the same.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use super::polling;
use super::shard::Shard;
use super::upgrade::poll_probe;
use super::wire::Wire;
use crate::app::Dispatch;
use crate::engineio::payload::{self, PayloadError};
use crate::engineio::session;
use crate::hub::{ConnId, Event, Reason};
use crate::net::Stream;
use crate::shard::{Closing, Seat};
use crate::websocket::{Decoder, Message, Opcode, Role, close_code, encode};

/// Reads of one turn before others get theirs.
pub(super) const READS_PER_TURN: usize = 16;

/// One session's task.
pub(super) struct SessionTask<S: Stream> {
    shard: Rc<Shard<S>>,
    conn: ConnId,
    wire: Wire,
    /// Whether it is served by long-polling (still).
    polls: bool,
    decoder: Decoder,
    dispatch: Dispatch,
    /// What came behind the handshake of the WebSocket in the same read.
    unread: Vec<u8>,
    ending: Ending,
    /// Runs while the peer is not read, since it sends too much.
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether the peer is read, as the hub knows it.
    heard: bool,
    _seat: Seat,
}

/// Gives the session's place back even if its task panics.
///
/// Not if the task is dropped: the shard ends then, and closes its streams in
/// an order of its own.
impl<S: Stream> Drop for SessionTask<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shard.release(self.conn);
        }
    }
}

/// How far the end of a connection has come.
///
/// ```text
///  +- told to go -> Leaving -+
///  |                         v
/// Not ------ close -----> Flushing --all written--> Draining --peer closed--> Over
///  |                         |                         |                       ^
///  +------- close now -------+--------- close_timeout -+-----------------------+
/// ```
enum Ending {
    Not,
    /// The server is to end: what has arrived is handled, then it closes.
    Leaving(Pin<Box<Sleep>>),
    /// What is pending is on its way.
    Flushing(Pin<Box<Sleep>>),
    /// Everything is written and the write side closed; what the peer still
    /// says is thrown away, so that the kernel does not answer it with a reset
    /// that would destroy what the peer has not read yet.
    Draining(Pin<Box<Sleep>>),
    /// The stream is closed; handlers may still run.
    Over,
}

impl<S: Stream> SessionTask<S> {
    /// The task of a session with a WebSocket, behind whose handshake `unread` came;
    /// `deflate` says whether messages on it may be compressed.
    pub(super) fn of_websocket(
        shard: Rc<Shard<S>>,
        conn: ConnId,
        wire: Wire,
        deflate: bool,
        unread: Vec<u8>,
        seat: Seat,
    ) -> Self {
        let decoder = Decoder::new(Role::Server).with_deflate(deflate);
        let dispatch = Dispatch::default();
        Self {
            shard,
            conn,
            wire,
            polls: false,
            decoder,
            dispatch,
            unread,
            ending: Ending::Not,
            pause: None,
            heard: true,
            _seat: seat,
        }
    }

    /// The task of a session that is served by long-polling.
    pub(super) fn of_polling(shard: Rc<Shard<S>>, conn: ConnId, wire: Wire, seat: Seat) -> Self {
        let mut session = Self::of_websocket(shard, conn, wire, false, Vec::new(), seat);
        session.polls = true;
        session
    }

    /// Runs the session to its last handler, and gives its place back.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_session(cx));
        self.shard.release(self.conn);
        Poll::Ready(())
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shard.streams.borrow_mut().set_waker(self.conn, cx.waker());
        self.shard.core.set_waker(self.conn, cx.waker());
        for _ in 0..READS_PER_TURN {
            self.dispatch.poll(cx, self.conn, &self.shard.core, &self.shard.io);
            if let Some(closing) = self.shard.core.closing(self.conn) {
                return self.poll_end(cx, closing);
            }
            let leaving = self.is_leaving();
            if leaving && self.poll_patience(cx).is_ready() {
                self.go();
                continue;
            }
            self.write_backlog(cx);
            if self.waits_for_unread() {
                let (close_code, reason) = (close_code::POLICY_VIOLATION, Reason::EventFlood);
                self.shard.core.handle(Event::Close { conn: self.conn, close_code, reason });
                continue;
            }
            let room = self.poll_room(cx);
            self.set_heard(room.is_ready());
            let Poll::Ready(bytes_max) = room else { return Poll::Pending };
            let read = if self.polls { self.read_polled(cx) } else { self.read(cx, bytes_max) };
            if read.is_pending() {
                if leaving && self.is_quiet(cx) {
                    self.go();
                    continue;
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether more events wait than may.
    fn is_behind(&self) -> bool {
        self.dispatch.waiting() >= self.shard.config.events_waiting_max
    }

    /// Whether a handler waits for an answer that would never be read.
    fn waits_for_unread(&self) -> bool {
        self.is_behind() && self.shard.core.read(|hub| hub.awaits_ack(self.conn))
    }

    /// How much may be read now; ready once that is something.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if self.is_behind() {
            // Not read until handlers have caught up; they wake this task.
            return Poll::Pending;
        }
        // Or too much of this shard is under way on others; its end wakes this task.
        ready!(self.shard.core.poll_budget(cx));
        // Or it sends too much; the end of the pause wakes this task.
        self.poll_allowance(cx)
    }

    /// Tells the hub when the peer is read no more, and when it is again: nobody is to be
    /// given up for an answer that is not read.
    fn set_heard(&mut self, heard: bool) {
        if self.heard != heard {
            self.heard = heard;
            self.shard.core.set_heard(self.conn, heard);
        }
    }

    /// How much its rates allow to read now; ready once that is something.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if !self.shard.measures_bytes {
            return Poll::Ready(usize::MAX);
        }
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.shard.core.may_read(self.conn) {
                Ok(bytes_max) => return Poll::Ready(bytes_max),
                Err(until) => {
                    self.shard.core.count(|counters| counters.pauses += 1);
                    self.pause = Some(Box::pin(tokio::time::sleep_until(until.into())));
                }
            }
        }
    }

    fn note_read(&self, bytes: usize) {
        self.shard.core.note_read(self.conn, bytes);
    }

    /// Whether it has been told to go.
    fn is_leaving(&self) -> bool {
        self.shard.draining.get() && self.shard.core.is_leaving(self.conn)
    }

    /// Ready when what it still does has taken too long: the other half of the
    /// time is for what is to be written.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.ending, Ending::Not) {
            let patience = self.shard.config.close_timeout / 2;
            self.ending = Ending::Leaving(Box::pin(tokio::time::sleep(patience)));
        }
        if self.is_late(cx) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether all that has arrived is handled and answered.
    fn is_quiet(&self, cx: &Context<'_>) -> bool {
        if !self.dispatch.is_idle() {
            // Handlers wake this task.
            return false;
        }
        let is_held = self.shard.core.read(|hub| hub.is_held(self.conn));
        if is_held {
            // Nobody else does; but it is a matter of moments.
            cx.waker().wake_by_ref();
        }
        !is_held
    }

    /// Closes the transport alone: a stock client reconnects then.
    fn go(&self) {
        // What others have said before is for this client too.
        self.shard.core.catch_up();
        let (close_code, reason) = (close_code::GOING_AWAY, Reason::ServerShuttingDown);
        self.shard.core.handle(Event::Close { conn: self.conn, close_code, reason });
    }

    /// Takes one posted packet, or what a WebSocket says that would take over.
    fn read_polled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let taken =
            self.shard.streams.borrow_mut().polling(self.conn).and_then(|here| here.take_payload());
        if let Some(mut payload) = taken {
            self.shard.core.catch_up();
            let event = self.posted(payload.decode());
            match event {
                None => {
                    if let Some(here) = self.shard.streams.borrow_mut().polling(self.conn) {
                        here.put_back(payload);
                    }
                }
                // Such events are never refused.
                Some(event) => drop(polling::handle(&self.shard, self.conn, event, &mut None)),
            }
            return Poll::Ready(());
        }
        let adopted = ready!(poll_probe(&self.shard, self.conn, cx));
        (self.decoder, self.unread, self.polls) = (adopted.decoder, adopted.unread, false);
        self.shard.core.note_upgrade(self.conn);
        Poll::Ready(())
    }

    /// Handles one posted packet; returns what that is to its session, if it is the last one.
    fn posted(
        &self,
        packet: Result<Option<payload::Message<'_>>, PayloadError>,
    ) -> Option<session::Event<'static>> {
        match packet {
            Ok(None) => Some(session::Event::PostDone),
            Ok(Some(payload::Message::Text("1"))) => Some(session::Event::CloseReceived),
            Ok(Some(message)) => {
                self.handle_packet(&message);
                // Nothing but this packet can have closed it.
                let closed = self.shard.core.closing(self.conn).is_some();
                closed.then_some(session::Event::PostIllegal)
            }
            Err(_) => Some(session::Event::PostIllegal),
        }
    }

    /// Hands one packet to the hub.
    fn handle_packet(&self, message: &payload::Message<'_>) {
        let conn = self.conn;
        self.note_read(match message {
            payload::Message::Binary(bytes) => bytes.len(),
            payload::Message::Text(text) => text.len(),
        });
        self.shard.core.handle(match message {
            payload::Message::Binary(bytes) => Event::Binary { conn, bytes },
            payload::Message::Text(text) => Event::Text { conn, text },
        });
    }

    /// Reads once, not more than `bytes_max`, and handles all that came.
    fn read(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<()> {
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            self.note_read(unread.len());
            self.receive(cx, &mut unread);
            return Poll::Ready(());
        }
        let mut buffer = self.shard.take_buffer();
        let length = bytes_max.min(buffer.len());
        let space = &mut buffer[..length];
        let read = self.shard.streams.borrow_mut().poll_read(self.conn, cx, space);
        let gone = |reason| self.shard.core.handle(Event::Gone { conn: self.conn, reason });
        match &read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => gone(Reason::TransportClose),
            Poll::Ready(Ok(count)) => {
                self.note_read(*count);
                self.receive(cx, &mut buffer[..*count]);
            }
            Poll::Ready(Err(_)) => gone(Reason::TransportError),
        }
        *self.shard.buffer.borrow_mut() = buffer;
        read.map(drop)
    }

    /// Handles bytes from the peer, message by message, each with its handlers
    /// as far as they go: an event that was sent before a disconnect is
    /// handled before it.
    fn receive(&mut self, cx: &mut Context<'_>, mut bytes: &mut [u8]) {
        self.shard.core.catch_up();
        let max = self.shard.config.limits.max_payload;
        while self.shard.core.closing(self.conn).is_none() {
            let taken = match self.decoder.decode(bytes, max) {
                // All is taken, also when nothing was left: the decoder has
                // freed what the last message lay in.
                Ok((_, None)) => return,
                Ok((taken, Some(message))) => {
                    handle(&self.shard, self.conn, self.wire, message);
                    taken
                }
                Err(error) => {
                    let (close_code, reason) = (error.close_code(), Reason::ParseError);
                    self.shard.core.handle(Event::Close { conn: self.conn, close_code, reason });
                    return;
                }
            };
            bytes = &mut bytes[taken..];
            let inflated = self.decoder.inflated_bytes();
            if inflated > 0 {
                // A rate of bytes would be none if a few of them could stand for many.
                self.shard.core.note_inflated(self.conn, inflated);
            }
            self.dispatch.poll(cx, self.conn, &self.shard.core, &self.shard.io);
        }
    }

    fn write_backlog(&mut self, cx: &mut Context<'_>) {
        let mut streams = self.shard.streams.borrow_mut();
        if !streams.has_backlog(self.conn) {
            return;
        }
        let written = streams.poll_backlog(self.conn, cx);
        drop(streams);
        match written {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.shard.core.set_congested(self.conn, false),
            Poll::Ready(Err(_)) => {
                self.shard
                    .core
                    .handle(Event::Gone { conn: self.conn, reason: Reason::TransportError });
            }
        }
    }

    /// Ends the stream, then waits for the handlers that still run.
    fn poll_end(&mut self, cx: &mut Context<'_>, closing: Closing) -> Poll<()> {
        if matches!(self.ending, Ending::Not | Ending::Leaving(_)) {
            let timeout = self.shard.config.close_timeout;
            self.ending = match closing {
                Closing::Now => Ending::Over,
                Closing::AfterFlush => Ending::Flushing(Box::pin(tokio::time::sleep(timeout))),
            };
            if closing == Closing::Now {
                self.close_polled(session::Event::End);
                self.shard.streams.borrow_mut().close(self.conn);
            }
        }
        while !matches!(self.ending, Ending::Over) {
            let step = self.poll_ending(cx);
            if step.is_pending() && !self.is_late(cx) {
                return Poll::Pending;
            }
            self.ending = match std::mem::replace(&mut self.ending, Ending::Over) {
                Ending::Flushing(timeout) if step.is_ready() => Ending::Draining(timeout),
                Ending::Draining(_)
                | Ending::Flushing(_)
                | Ending::Leaving(_)
                | Ending::Not
                | Ending::Over => Ending::Over,
            };
            if matches!(self.ending, Ending::Over) {
                self.shard.streams.borrow_mut().close(self.conn);
            }
        }
        self.dispatch.poll(cx, self.conn, &self.shard.core, &self.shard.io);
        if self.dispatch.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// One step of the end; ready when it is done (or pointless).
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.ending {
            Ending::Flushing(_) => {
                if self.shard.core.has_pending(self.conn) {
                    // The ticker will write it, and may find the stream full;
                    // it runs behind this task.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.close_polled(session::Event::Close);
                let mut streams = self.shard.streams.borrow_mut();
                let _ = ready!(streams.poll_backlog(self.conn, cx));
                streams.poll_shutdown(self.conn, cx).map(|_| ())
            }
            Ending::Draining(_) if self.polls => self.poll_last_answer(),
            Ending::Draining(_) => poll_drain(&self.shard, self.conn, cx),
            Ending::Leaving(_) | Ending::Not | Ending::Over => Poll::Ready(()),
        }
    }

    /// Tells a polling session that it is to end.
    fn close_polled(&self, event: session::Event<'static>) {
        if self.polls {
            // Such events are never refused.
            let _ = polling::handle(&self.shard, self.conn, event, &mut None);
        }
    }

    /// Ready once a poll has taken what was left to say; that wakes this task.
    fn poll_last_answer(&self) -> Poll<()> {
        let mut streams = self.shard.streams.borrow_mut();
        match streams.polling(self.conn) {
            Some(here) if !here.is_closed() => Poll::Pending,
            Some(_) | None => Poll::Ready(()),
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.ending {
            Ending::Draining(timeout) | Ending::Flushing(timeout) | Ending::Leaving(timeout) => {
                timeout.as_mut().poll(cx).is_ready()
            }
            Ending::Not | Ending::Over => true,
        }
    }
}

/// Hands one WebSocket message to who it is for.
fn handle<S: Stream>(shard: &Shard<S>, conn: ConnId, wire: Wire, message: Message<'_>) {
    let packet = match message {
        Message::Binary(bytes) => wire.binary(bytes),
        Message::Close(_) => {
            let (close_code, reason) = (close_code::NORMAL_CLOSURE, Reason::TransportClose);
            return shard.core.handle(Event::Close { conn, close_code, reason });
        }
        Message::Ping(payload) => {
            let mut frame = Vec::new();
            encode(Opcode::Pong, &[payload], None, &mut frame);
            return shard.core.send_frame(conn, &frame);
        }
        Message::Pong(_) => return,
        Message::Text(text) => wire.text(text),
    };
    shard.core.handle(match &packet {
        Ok(payload::Message::Binary(bytes)) => Event::Binary { conn, bytes },
        Ok(payload::Message::Text(text)) => Event::Text { conn, text },
        Err(_) => {
            let (close_code, reason) = (close_code::PROTOCOL_ERROR, Reason::ParseError);
            Event::Close { conn, close_code, reason }
        }
    });
}

/// Throws away what the peer still says; ready at its end.
pub(super) fn poll_drain<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let mut buffer = shard.take_buffer();
    let mut end = Poll::Pending;
    for turn in 0..=READS_PER_TURN {
        if turn == READS_PER_TURN {
            cx.waker().wake_by_ref();
            break;
        }
        match shard.streams.borrow_mut().poll_read(conn, cx, &mut buffer) {
            Poll::Pending => break,
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(Ok(_) | Err(_)) => {
                end = Poll::Ready(());
                break;
            }
        }
    }
    *shard.buffer.borrow_mut() = buffer;
    end
}
