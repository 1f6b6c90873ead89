//! One connection's task: it reads, and runs the handlers of what it read.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use super::handshake::handshake;
use super::shard::Shard;
use crate::app::Dispatch;
use crate::hub::{ConnId, Event, Reason};
use crate::net::Stream;
use crate::shard::Closing;
use crate::websocket::{Decoder, Message, Opcode, Role, close_code, encode};

/// Reads of one turn before others get theirs.
const READS_PER_TURN: usize = 16;

/// Runs one connection from its first byte to its last handler.
pub(super) async fn run_connection<S: Stream>(shard: Rc<Shard<S>>, conn: ConnId) {
    let place = Place { shard: Rc::clone(&shard), conn };
    // Boxed, since it is large and soon over.
    let limit = shard.config.limits.connect_timeout;
    match Box::pin(tokio::time::timeout(limit, handshake(&shard, conn))).await {
        Ok(Ok(Some(unread))) => {
            let mut connection = Connection {
                shard,
                conn,
                decoder: Decoder::new(Role::Server),
                dispatch: Dispatch::default(),
                unread,
                ending: Ending::Not,
            };
            poll_fn(|cx| {
                connection.open(cx);
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| connection.poll(cx)).await;
        }
        Ok(Ok(None)) => {
            let mut end = Box::pin(linger(&shard, conn));
            end.as_mut().await;
        }
        Ok(Err(_)) | Err(_) => {}
    }
    place.shard.release(conn);
}

/// A connection's place in the shard, given back even if its task panics.
///
/// Not if the task is dropped: the shard ends then, and closes its streams in
/// an order of its own.
struct Place<S: Stream> {
    shard: Rc<Shard<S>>,
    conn: ConnId,
}

impl<S: Stream> Drop for Place<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shard.release(self.conn);
        }
    }
}

struct Connection<S: Stream> {
    shard: Rc<Shard<S>>,
    conn: ConnId,
    decoder: Decoder,
    dispatch: Dispatch,
    /// What came behind the HTTP request in the same read.
    unread: Vec<u8>,
    ending: Ending,
}

/// How far the end of a connection has come.
///
/// ```text
/// Not --close--> Flushing --all written--> Draining --peer closed--> Over
///  |                |                         |                      ^
///  +--close now-----+--------- close_timeout -+----------------------+
/// ```
enum Ending {
    Not,
    /// What is pending is on its way.
    Flushing(Pin<Box<Sleep>>),
    /// Everything is written and the write side closed; what the peer still
    /// says is thrown away, so that the kernel does not answer it with a reset
    /// that would destroy what the peer has not read yet.
    Draining(Pin<Box<Sleep>>),
    /// The stream is closed; handlers may still run.
    Over,
}

impl<S: Stream> Connection<S> {
    fn open(&mut self, cx: &mut Context<'_>) {
        self.shard.streams.borrow_mut().set_waker(self.conn, cx.waker());
        self.shard.core.open(self.conn, cx.waker());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shard.streams.borrow_mut().set_waker(self.conn, cx.waker());
        self.shard.core.set_waker(self.conn, cx.waker());
        let mut unread = std::mem::take(&mut self.unread);
        self.receive(cx, &mut unread);
        for _ in 0..READS_PER_TURN {
            self.dispatch.poll(cx, self.conn, &self.shard.core, &self.shard.io);
            if let Some(closing) = self.shard.core.closing(self.conn) {
                return self.poll_end(cx, closing);
            }
            self.write_backlog(cx);
            if self.dispatch.waiting() >= self.shard.config.events_waiting_max {
                if self.shard.core.read(|hub| hub.awaits_ack(self.conn)) {
                    // A handler waits for an answer that would never be read.
                    let (close_code, reason) = (close_code::POLICY_VIOLATION, Reason::EventFlood);
                    self.shard.core.handle(Event::Close { conn: self.conn, close_code, reason });
                    continue;
                }
                // Not read until handlers have caught up; they wake this task.
                return Poll::Pending;
            }
            if self.shard.core.poll_budget(cx).is_pending() {
                // Too much of this shard is under way on others; its end wakes this task.
                return Poll::Pending;
            }
            if self.read(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once, and handles all that came.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = self.shard.take_buffer();
        let read = self.shard.streams.borrow_mut().poll_read(self.conn, cx, &mut buffer);
        let gone = |reason| self.shard.core.handle(Event::Gone { conn: self.conn, reason });
        match &read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => gone(Reason::TransportClose),
            Poll::Ready(Ok(count)) => self.receive(cx, &mut buffer[..*count]),
            Poll::Ready(Err(_)) => gone(Reason::TransportError),
        }
        *self.shard.buffer.borrow_mut() = buffer;
        read.map(drop)
    }

    /// Handles bytes from the peer, message by message, each with its handlers
    /// as far as they go: an event that was sent before a disconnect is
    /// handled before it.
    fn receive(&mut self, cx: &mut Context<'_>, mut bytes: &mut [u8]) {
        let max = self.shard.config.limits.max_payload;
        while self.shard.core.closing(self.conn).is_none() {
            let taken = match self.decoder.decode(bytes, max) {
                // All is taken, also when nothing was left: the decoder has
                // freed what the last message lay in.
                Ok((_, None)) => return,
                Ok((taken, Some(message))) => {
                    handle(&self.shard, self.conn, message);
                    taken
                }
                Err(error) => {
                    let (close_code, reason) = (error.close_code(), Reason::ParseError);
                    self.shard.core.handle(Event::Close { conn: self.conn, close_code, reason });
                    return;
                }
            };
            bytes = &mut bytes[taken..];
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
        if matches!(self.ending, Ending::Not) {
            let timeout = self.shard.config.close_timeout;
            self.ending = match closing {
                Closing::Now => Ending::Over,
                Closing::AfterFlush => Ending::Flushing(Box::pin(tokio::time::sleep(timeout))),
            };
            if closing == Closing::Now {
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
                Ending::Flushing(_) | Ending::Draining(_) | Ending::Not | Ending::Over => {
                    Ending::Over
                }
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
                let mut streams = self.shard.streams.borrow_mut();
                let _ = ready!(streams.poll_backlog(self.conn, cx));
                streams.poll_shutdown(self.conn, cx).map(|_| ())
            }
            Ending::Draining(_) => poll_drain(&self.shard, self.conn, cx),
            Ending::Not | Ending::Over => Poll::Ready(()),
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.ending {
            Ending::Flushing(timeout) | Ending::Draining(timeout) => {
                timeout.as_mut().poll(cx).is_ready()
            }
            Ending::Not | Ending::Over => true,
        }
    }
}

/// Hands one WebSocket message to who it is for.
fn handle<S: Stream>(shard: &Shard<S>, conn: ConnId, message: Message<'_>) {
    match message {
        Message::Binary(bytes) => shard.core.handle(Event::Binary { conn, bytes }),
        Message::Close(_) => {
            let (close_code, reason) = (close_code::NORMAL_CLOSURE, Reason::TransportClose);
            shard.core.handle(Event::Close { conn, close_code, reason });
        }
        Message::Ping(payload) => {
            let mut frame = Vec::new();
            encode(Opcode::Pong, &[payload], None, &mut frame);
            shard.core.send_frame(conn, &frame);
        }
        Message::Pong(_) => {}
        Message::Text(text) => shard.core.handle(Event::Text { conn, text }),
    }
}

/// Throws away what the peer still says; ready at its end.
fn poll_drain<S: Stream>(shard: &Shard<S>, conn: ConnId, cx: &mut Context<'_>) -> Poll<()> {
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

/// Closes the write side and waits, not for long, until the peer has closed too.
async fn linger<S: Stream>(shard: &Shard<S>, conn: ConnId) {
    let closed = async {
        let _ = poll_fn(|cx| shard.streams.borrow_mut().poll_shutdown(conn, cx)).await;
        poll_fn(|cx| poll_drain(shard, conn, cx)).await;
    };
    let _ = tokio::time::timeout(shard.config.close_timeout, closed).await;
}
