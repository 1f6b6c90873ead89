//! A stream that HTTP is spoken on: it begins with what was read already, and
//! ends so that the last answer arrives.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::net::Stream;

/// Bytes of what a peer still says that are thrown away at a time.
const DRAIN_BYTES: usize = 4096;

/// Reads of one turn before others get theirs.
const DRAINS_PER_TURN: usize = 16;

/// Whether an answer has not yet been written to its last byte. Shared with a stream, which
/// could be sent to another thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten(Arc<AtomicBool>);

impl Unwritten {
    /// An answer is about to be written; whether an earlier one still was.
    pub(super) fn set(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that HTTP is spoken on.
#[derive(Debug)]
pub(super) struct HttpStream<S> {
    /// What was read before; given out first.
    read: Vec<u8>,
    stream: S,
    close_timeout: Duration,
    unwritten: Unwritten,
    /// Runs once the write side is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream> HttpStream<S> {
    pub(super) fn new(
        read: Vec<u8>,
        stream: S,
        close_timeout: Duration,
        unwritten: Unwritten,
    ) -> Self {
        Self { read, stream, close_timeout, unwritten, closing: None }
    }

    /// What nobody has read yet, and the stream.
    pub(super) fn into_parts(self) -> (Vec<u8>, S) {
        (self.read, self.stream)
    }
}

impl<S: Stream> AsyncRead for HttpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.read.len());
        buffer.put_slice(&self.read[..count]);
        self.read.drain(..count);
        if self.read.is_empty() {
            self.read = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for HttpStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Asked for once all of an answer has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unwritten.0.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// Closes the write side, then throws away what the peer still says (the
    /// rest of a body that is too long, say), until it closes too or time is
    /// up: the kernel would answer unread bytes with a reset that destroys what
    /// the peer has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let timeout = this.close_timeout;
        let closing = this.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; DRAIN_BYTES];
        for _ in 0..DRAINS_PER_TURN {
            let mut buffer = ReadBuf::new(&mut space);
            let drained = Pin::new(&mut this.stream).poll_read(cx, &mut buffer);
            if ready!(drained).is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}
