//! The streams of a shard, in one slab.
//!
//! A stream lies here for its whole life. Its task polls reads and the ticker
//! polls writes, each borrowing it for that one poll; nothing else runs
//! meanwhile. When the shard ends, they are closed in the order of their
//! places, whatever the tasks do.
//!
//! A place outlives its stream: handlers may still run when the stream has been
//! closed, and what is meant for their connection must not reach a successor.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWrite, ReadBuf};

use crate::hub::ConnId;
use crate::net::Stream;

/// The streams of a shard.
#[derive(Debug)]
pub(super) struct Streams<S> {
    entries: Vec<Option<Entry<S>>>,
    free: Vec<u32>,
    generations: u32,
}

#[derive(Debug)]
struct Entry<S> {
    generation: u32,
    /// None once it has been closed.
    stream: Option<S>,
    /// Of the connection's task; polls of the stream register it, whoever polls.
    waker: Waker,
    /// What the peer did not take yet; exists only as long as there is something.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    written: usize,
}

/// What became of bytes handed to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The stream took everything.
    All,
    /// Some wait in the backlog: this many bytes.
    Some(usize),
    /// The stream is broken.
    Failed,
}

impl<S: Stream> Streams<S> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), generations: 0 }
    }

    /// Keeps a stream and names its connection.
    pub(super) fn insert(&mut self, stream: S) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1)
                .expect("fewer than 2^32 connections fit in memory")
        });
        self.generations = self
            .generations
            .checked_add(1)
            .expect("a shard does not see 2^32 connections in its life");
        let (generation, waker) = (self.generations, Waker::noop().clone());
        let stream = Some(stream);
        self.entries[index as usize] = Some(Entry { generation, stream, waker, backlog: None });
        ConnId { index, generation }
    }

    /// Closes a stream; its place stays taken.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(entry) = self.entry(conn) {
            entry.stream = None;
            entry.backlog = None;
        }
    }

    /// Closes a stream and frees its place.
    pub(super) fn remove(&mut self, conn: ConnId) {
        if self.entry(conn).is_some() {
            self.entries[conn.index as usize] = None;
            self.free.push(conn.index);
            if self.free.len() == self.entries.len() {
                self.entries = Vec::new();
                self.free = Vec::new();
            }
        }
    }

    /// Closes all streams, in the order of their places.
    pub(super) fn clear(&mut self) {
        self.entries.iter_mut().for_each(|entry| drop(entry.take()));
        self.entries.clear();
        self.free.clear();
    }

    /// Who is to be woken for this stream from now on.
    pub(super) fn set_waker(&mut self, conn: ConnId, waker: &Waker) {
        if let Some(entry) = self.entry(conn)
            && !entry.waker.will_wake(waker)
        {
            entry.waker = waker.clone();
        }
    }

    /// Reads what there is into `buffer`; 0 bytes at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        conn: ConnId,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.entry(conn).and_then(|entry| entry.stream.as_mut());
        let Some(stream) = stream else { return Poll::Ready(Ok(0)) };
        let mut buffer = ReadBuf::new(buffer);
        let read = Pin::new(stream).poll_read(cx, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }

    /// Writes `bytes` behind what waits already; keeps what the stream does not take.
    pub(super) fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        let Some(entry) = self.entry(conn) else { return Written::All };
        if let Some(backlog) = &mut entry.backlog {
            // A new frame must not overtake what waits.
            backlog.bytes.extend_from_slice(bytes);
            return Written::Some(backlog.bytes.len() - backlog.written);
        }
        let Entry { stream: Some(stream), waker, .. } = entry else { return Written::All };
        let mut cx = Context::from_waker(waker);
        let mut written = 0;
        match write_and_flush(stream, &mut cx, bytes, &mut written) {
            Poll::Ready(Ok(())) => Written::All,
            Poll::Ready(Err(_)) => Written::Failed,
            Poll::Pending => {
                let rest = &bytes[written..];
                entry.backlog = Some(Box::new(Backlog { bytes: rest.to_vec(), written: 0 }));
                Written::Some(rest.len())
            }
        }
    }

    /// Writes what waits; ready when nothing does.
    pub(super) fn poll_backlog(
        &mut self,
        conn: ConnId,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(entry) = self.entry(conn) else { return Poll::Ready(Ok(())) };
        let (Some(stream), Some(backlog)) = (&mut entry.stream, &mut entry.backlog) else {
            return Poll::Ready(Ok(()));
        };
        let result = write_and_flush(stream, cx, &backlog.bytes, &mut backlog.written);
        if result.is_ready() {
            entry.backlog = None;
        } else if backlog.written > backlog.bytes.len() / 2 {
            backlog.bytes.drain(..backlog.written);
            backlog.written = 0;
        }
        result
    }

    /// Whether something waits for this peer.
    pub(super) fn has_backlog(&mut self, conn: ConnId) -> bool {
        self.entry(conn).is_some_and(|entry| entry.backlog.is_some())
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn poll_shutdown(
        &mut self,
        conn: ConnId,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.entry(conn).and_then(|entry| entry.stream.as_mut());
        let Some(stream) = stream else { return Poll::Ready(Ok(())) };
        Pin::new(stream).poll_shutdown(cx)
    }

    fn entry(&mut self, conn: ConnId) -> Option<&mut Entry<S>> {
        self.entries
            .get_mut(conn.index as usize)?
            .as_mut()
            .filter(|entry| entry.generation == conn.generation)
    }
}

fn write_and_flush<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    while *written < bytes.len() {
        match Pin::new(&mut *stream).poll_write(cx, &bytes[*written..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => *written += count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Pin::new(stream).poll_flush(cx)
}
