//! A session on a stream.
//!
//! There is one owner, and two ways to drive it, which go together: a task polls it
//! for what arrives and what is due, and [`Connection::send`] says something at any
//! time, also from elsewhere on the thread, without waiting for that task.
//!
//! ```text
//! stream --> shared buffer --> session --> handler
//!    ^                            |           |
//!    |                            v           v
//!    +--- backlog, if it would block <--- shared buffer
//! ```
//!
//! A session that polls has its streams in [`Ports`], until the one of its WebSocket is
//! left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::io::ReadBuf;
use tokio::time::{self, Sleep};

use crate::net::{Dialer, Stream};

use super::polling::Port;
use super::ports::Ports;
use super::{CloseReason, Handler, Join, Options, Outgoing, Scratch, Session, Tap};

/// How many reads one poll may do, so that a server that never stops cannot keep the
/// thread to itself.
const READS_MAX: usize = 16;

/// A session, its streams, and the bytes that they have not taken yet.
#[derive(Debug)]
pub struct Connection<S> {
    link: Link<S>,
    session: Session,
    scratch: Scratch,
    /// Only while the stream would block.
    backlog: Option<Box<Backlog>>,
    is_flushed: bool,
    /// Fires at some deadline of the session that was its next one once: moving it only
    /// when it fires spares a timer operation per ping.
    sleep: Option<Pin<Box<Sleep>>>,
    /// The task that polls this connection.
    parked: Option<Waker>,
}

/// What a session goes over.
#[derive(Debug)]
enum Link<S> {
    Polling(Box<Ports<S>>),
    WebSocket(S),
}

/// Bytes for the stream; never empty.
#[derive(Debug)]
struct Backlog {
    bytes: Vec<u8>,
    written: usize,
}

impl<S: Stream> Connection<S> {
    /// Begins a session on a stream that was just opened. Nothing is sent before the
    /// first poll. If the session polls, it opens more streams by `dialer`.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn new(
        stream: S,
        dialer: &impl Dialer<Io = S>,
        options: Arc<Options>,
        joins: impl IntoIterator<Item = Join>,
        seed: u64,
        now: Instant,
        scratch: Scratch,
    ) -> Self {
        let mut bytes = Vec::new();
        let session = Session::new(options, joins, seed, now, &mut bytes);
        let link = match session.polling {
            Some(_) => Link::Polling(Box::new(Ports::new(stream, dialer))),
            None => Link::WebSocket(stream),
        };
        let backlog = Backlog::of(bytes);
        Self { link, session, scratch, backlog, is_flushed: true, sleep: None, parked: None }
    }

    /// Shows all that passes from now on to `tap`.
    #[must_use]
    pub fn with_tap(self, tap: Box<dyn Tap>) -> Self {
        Self { session: self.session.with_tap(tap), ..self }
    }

    /// Handles what has arrived and what is due, and writes what waits. Ready once the
    /// connection has ended; the stream is then of no further use. What it would not take
    /// by then, a last close frame perhaps, is not waited for.
    ///
    /// The task of `cx` is the one to be woken from now on. What has arrived goes before
    /// what is due: if this program was late, that is not the server's silence.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost between two polls.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        handler: &mut Handler<'_>,
    ) -> Poll<CloseReason> {
        self.park(cx.waker());
        self.write_backlog(cx);
        let is_drained = match &self.link {
            Link::Polling(_) => self.read_ports(cx, now, handler),
            Link::WebSocket(_) => self.read(cx, now, handler),
        };
        if is_drained {
            self.expire(cx, now);
        } else {
            cx.waker().wake_by_ref();
        }
        self.flush(cx);
        match self.session.closed() {
            Some(reason) => Poll::Ready(reason.clone()),
            None => Poll::Pending,
        }
    }

    /// [`poll`](Self::poll) until the connection has ended, by tokio's clock.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again.
    pub async fn run(&mut self, handler: &mut Handler<'_>) -> CloseReason {
        poll_fn(|cx| self.poll(cx, time::Instant::now().into_std(), handler)).await
    }

    /// Says something now, from wherever: what the stream takes is written before this
    /// returns, the rest by the task that polls this connection.
    ///
    /// A task that writes to more than some hundred connections at a time should be
    /// [`unconstrained`](tokio::task::unconstrained): beyond its budget tokio has every
    /// stream refuse, and the rest goes the longer way round.
    pub fn send<T>(&mut self, now: Instant, say: impl FnOnce(&mut Outgoing<'_>) -> T) -> T {
        let waker = self.parked.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut cx = Context::from_waker(&waker);
        let deadline = self.session.deadline();
        let mut out = self.scratch.take_write();
        let said = say(&mut self.session.outgoing(now, &mut out));
        match &mut self.link {
            Link::Polling(ports) => {
                self.session.queue(&out, now);
                ports.drive(&mut self.session, &mut cx, now);
            }
            Link::WebSocket(_) => {
                self.write(&mut cx, &out);
                self.flush(&mut cx);
            }
        }
        self.scratch.return_write(out);
        if self.session.deadline() != deadline {
            // The end, or a timeout that the task does not know of.
            waker.wake();
        }
        said
    }

    /// The state of the protocol.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How many bytes wait for a stream to take them.
    pub fn backlog_bytes(&self) -> usize {
        let polling = self.session.polling.as_ref();
        self.backlog.as_ref().map_or(0, |backlog| backlog.bytes.len() - backlog.written)
            + polling.map_or(0, |polling| polling.backlog_bytes())
    }

    fn park(&mut self, waker: &Waker) {
        if !self.parked.as_ref().is_some_and(|parked| parked.will_wake(waker)) {
            self.parked = Some(waker.clone());
        }
    }

    /// Reads until there is nothing more to read, and says whether that was reached.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant, handler: &mut Handler<'_>) -> bool {
        let mut buffer = self.scratch.take_read();
        let mut out = self.scratch.take_write();
        let mut is_drained = false;
        for _ in 0..READS_MAX {
            let Link::WebSocket(stream) = &mut self.link else { break };
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    self.session.handle_end(CloseReason::Eof);
                }
                Poll::Ready(Ok(())) => {
                    self.session.handle_bytes(read.filled_mut(), now, &mut out, handler);
                    self.write(cx, &out);
                    out.clear();
                }
                Poll::Ready(Err(error)) => {
                    self.session.handle_end(CloseReason::Io(error.kind()));
                }
                Poll::Pending => is_drained = true,
            }
            is_drained |= self.session.closed().is_some();
            if is_drained {
                break;
            }
        }
        self.scratch.return_read(buffer);
        self.scratch.return_write(out);
        is_drained
    }

    /// [`read`](Self::read), while the session polls.
    fn read_ports(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        handler: &mut Handler<'_>,
    ) -> bool {
        let mut buffer = self.scratch.take_read();
        let mut is_drained = false;
        if let Link::Polling(ports) = &mut self.link {
            ports.wake();
        }
        for _ in 0..READS_MAX {
            let Link::Polling(ports) = &mut self.link else { break };
            ports.drive(&mut self.session, cx, now);
            is_drained = true;
            for port in Port::ALL {
                let Link::Polling(ports) = &mut self.link else { break };
                let mut read = ReadBuf::new(&mut buffer);
                let Poll::Ready(result) = ports.poll_read(port, cx, &mut read) else { continue };
                is_drained = false;
                let lost = match result {
                    Ok(()) if read.filled().is_empty() => CloseReason::Eof,
                    Ok(()) => {
                        let first = self.session.handle_port(port, read.filled(), now, handler);
                        if let Some(first) = first {
                            self.go_over(first);
                        }
                        continue;
                    }
                    Err(error) => CloseReason::Io(error.kind()),
                };
                self.session.lose_port(port, lost, now);
            }
            is_drained |= self.session.closed().is_some();
            if is_drained {
                break;
            }
        }
        self.scratch.return_read(buffer);
        is_drained
    }

    /// The probe's stream is the session's from here on, and takes these bytes first.
    fn go_over(&mut self, first: Vec<u8>) {
        let Link::Polling(ports) = &mut self.link else { return };
        match ports.take_probe() {
            Some(stream) => {
                self.link = Link::WebSocket(stream);
                self.backlog = Backlog::of(first);
            }
            // It would have to be lost between being read and being gone over to.
            None => self.session.handle_end(CloseReason::Eof),
        }
    }

    /// Does what is due, or sees to it that the task is woken when it is.
    fn expire(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Some(deadline) = self.session.deadline() else { return };
        if now >= deadline {
            let mut out = self.scratch.take_write();
            self.session.handle_timeout(now, &mut out);
            self.write(cx, &out);
            self.scratch.return_write(out);
            if self.session.closed().is_none() {
                // That was not all there is to wait for.
                cx.waker().wake_by_ref();
            }
            return;
        }
        let deadline = time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        let mut fired = sleep.as_mut().poll(cx).is_ready();
        if fired && sleep.deadline() < deadline {
            sleep.as_mut().reset(deadline);
            fired = sleep.as_mut().poll(cx).is_ready();
        }
        if fired {
            // The clock is past the deadline, and only `now` is not.
            cx.waker().wake_by_ref();
        }
    }

    /// Writes as much of `bytes` as the stream takes, after what waits already.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let written = if self.backlog.is_some() { 0 } else { self.write_some(cx, bytes) };
        let rest = &bytes[written..];
        if rest.is_empty() {
            return;
        }
        let bytes_max = self.session.options().backlog_bytes_max;
        if rest.len() > bytes_max.saturating_sub(self.backlog_bytes()) {
            self.backlog = None;
            self.session.handle_end(CloseReason::BacklogFull { bytes_max });
        } else {
            match &mut self.backlog {
                Some(backlog) => backlog.append(rest),
                None => self.backlog = Backlog::of(rest.to_vec()),
            }
        }
    }

    fn write_backlog(&mut self, cx: &mut Context<'_>) {
        let Some(mut backlog) = self.backlog.take() else { return };
        backlog.written += self.write_some(cx, &backlog.bytes[backlog.written..]);
        if backlog.written < backlog.bytes.len() {
            self.backlog = Some(backlog);
        }
    }

    /// Writes until the stream would block, and says how far that went.
    fn write_some(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let Link::WebSocket(stream) = &mut self.link else { return 0 };
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut *stream).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => {
                    self.session.handle_end(CloseReason::Io(std::io::ErrorKind::WriteZero));
                    return bytes.len();
                }
                Poll::Ready(Ok(count)) => {
                    self.is_flushed = false;
                    written += count;
                }
                Poll::Ready(Err(error)) => {
                    self.session.handle_end(CloseReason::Io(error.kind()));
                    return bytes.len();
                }
                Poll::Pending => break,
            }
        }
        written
    }

    /// A stream may keep bytes to itself until it is told to send them, as TLS does.
    fn flush(&mut self, cx: &mut Context<'_>) {
        if self.is_flushed {
            return;
        }
        let Link::WebSocket(stream) = &mut self.link else { return };
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.is_flushed = true,
            Poll::Ready(Err(error)) => self.session.handle_end(CloseReason::Io(error.kind())),
            Poll::Pending => {}
        }
    }
}

impl Backlog {
    /// Bytes of which nothing is written yet; none without bytes.
    fn of(bytes: Vec<u8>) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, written: 0 }))
    }

    /// Written bytes give way once they are the larger part: the buffer is then at
    /// most twice what waits, and no byte is moved more than once on average.
    fn append(&mut self, bytes: &[u8]) {
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;
