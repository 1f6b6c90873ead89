//! The sessions of a shard and their streams, in one slab.
//!
//! A place is named by a [`ConnId`]. It holds a stream (of a session whose
//! transport is a WebSocket, or of a connection that has not said yet what it
//! is to be), or a session that is served by long-polling, until an upgrade
//! moves a stream there. A session's task polls reads and the ticker polls
//! writes, each borrowing the stream for that one poll; nothing else runs
//! meanwhile. When the shard ends, they are closed in the order of their
//! places, whatever the tasks do.
//!
//! Streams that carry HTTP requests are not here; each belongs to its task.
//! A place outlives its stream: handlers may still run when the stream has been
//! closed, and what is meant for their connection must not reach a successor.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWrite, ReadBuf};

use super::backlog::{Backlog, Bounds};
use super::compression::Compressor;
use super::polling::Polling;
use super::wire::Wire;
use crate::hub::{ConnId, Drops};
use crate::metrics::Queued;
use crate::net::Stream;
use crate::shard::Run;

/// The streams of a shard.
#[derive(Debug)]
pub(super) struct Streams<S> {
    entries: Vec<Option<Entry<S>>>,
    free: Vec<u32>,
    generations: u32,
    /// How much may wait for one peer.
    bounds: Bounds,
    /// What was dropped since that was last asked for.
    drops: Drops,
    /// The most packets and bytes that have ever waited for one connection.
    peak: (usize, usize),
    compressor: Compressor,
}

#[derive(Debug)]
struct Entry<S> {
    generation: u32,
    wire: Wire,
    /// Whether messages to the stream are compressed.
    deflate: bool,
    link: Link<S>,
    /// Of the connection's task; polls of the stream register it, whoever polls.
    waker: Waker,
    /// What the peer did not take yet; exists only as long as there is something.
    backlog: Option<Box<Backlog>>,
}

/// What carries a session.
#[derive(Debug)]
enum Link<S> {
    /// Nothing any more; the place is still taken.
    Closed,
    Polling(Box<Polling>),
    Stream(S),
}

/// What became of bytes handed to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The stream took everything.
    All,
    /// The stream is broken.
    Failed,
    /// More would wait than may: the connection has to end.
    Full,
    /// Some wait in the backlog, and some may have been dropped.
    Some,
}

impl<S: Stream> Streams<S> {
    pub(super) fn new(bounds: Bounds, compressor: Compressor) -> Self {
        let (entries, free, drops) = (Vec::new(), Vec::new(), Drops::default());
        Self { entries, free, generations: 0, bounds, drops, peak: (0, 0), compressor }
    }

    /// Keeps a stream and names its connection.
    pub(super) fn insert(&mut self, stream: S) -> ConnId {
        self.insert_link(Link::Stream(stream), Wire::V4)
    }

    /// Keeps a session that is served by long-polling, and names it.
    pub(super) fn insert_polling(&mut self, polling: Polling) -> ConnId {
        let wire = polling.wire();
        self.insert_link(Link::Polling(Box::new(polling)), wire)
    }

    fn insert_link(&mut self, link: Link<S>, wire: Wire) -> ConnId {
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
        let (deflate, backlog) = (false, None);
        let entry = Entry { generation, wire, deflate, link, waker, backlog };
        self.entries[index as usize] = Some(entry);
        ConnId { index, generation }
    }

    /// Closes a stream, or ends a polling session. Its place stays taken until
    /// all else that goes by its name has gone.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(entry) = self.entry(conn) {
            (entry.link, entry.backlog) = (Link::Closed, None);
        }
    }

    /// Closes it if it is not yet, and frees its place.
    pub(super) fn remove(&mut self, conn: ConnId) {
        drop(self.take_entry(conn));
    }

    /// Takes a stream away, to carry something else, and frees its place.
    pub(super) fn take(&mut self, conn: ConnId) -> Option<S> {
        match self.take_entry(conn)?.link {
            Link::Closed | Link::Polling(_) => None,
            Link::Stream(stream) => Some(stream),
        }
    }

    /// Makes the stream at `from` the transport of the polling session at
    /// `conn`, with what waits for the peer; returns what had been there.
    pub(super) fn adopt(&mut self, conn: ConnId, from: ConnId) -> Option<Box<Polling>> {
        let Entry { deflate, link, waker, backlog, .. } = self.take_entry(from)?;
        let entry = self.entry(conn)?;
        (entry.deflate, entry.waker, entry.backlog) = (deflate, waker, backlog);
        match std::mem::replace(&mut entry.link, link) {
            Link::Polling(polling) => Some(polling),
            Link::Closed | Link::Stream(_) => None,
        }
    }

    /// The session at this place, if it is served by long-polling.
    pub(super) fn polling(&mut self, conn: ConnId) -> Option<&mut Polling> {
        match &mut self.entry(conn)?.link {
            Link::Polling(polling) => Some(polling),
            Link::Closed | Link::Stream(_) => None,
        }
    }

    /// How this session's packets are spelled.
    pub(super) fn wire(&mut self, conn: ConnId) -> Option<Wire> {
        self.entry(conn).map(|entry| entry.wire)
    }

    /// How this session's packets are spelled from now on.
    pub(super) fn set_wire(&mut self, conn: ConnId, wire: Wire) {
        if let Some(entry) = self.entry(conn) {
            entry.wire = wire;
        }
    }

    /// Messages to this stream are compressed from now on.
    pub(super) fn compress(&mut self, conn: ConnId) {
        if let Some(entry) = self.entry(conn) {
            entry.deflate = true;
        }
    }

    /// What is remembered for the messages of a tick is needed no more.
    pub(super) fn end_tick(&mut self) {
        self.compressor.forget();
    }

    /// Wakes the session's task.
    pub(super) fn wake(&mut self, conn: ConnId) {
        if let Some(entry) = self.entry(conn) {
            entry.waker.wake_by_ref();
        }
    }

    fn take_entry(&mut self, conn: ConnId) -> Option<Entry<S>> {
        self.entry(conn)?;
        let taken = self.entries[conn.index as usize].take();
        self.free.push(conn.index);
        if self.free.len() == self.entries.len() {
            self.entries = Vec::new();
            self.free = Vec::new();
        }
        taken
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
        let Some(entry) = self.entry(conn) else { return Poll::Ready(Ok(0)) };
        let stream = match &mut entry.link {
            Link::Closed => return Poll::Ready(Ok(0)),
            // It has nothing to be read from.
            Link::Polling(_) => return Poll::Pending,
            Link::Stream(stream) => stream,
        };
        let mut buffer = ReadBuf::new(buffer);
        let read = Pin::new(stream).poll_read(cx, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }

    /// Sends a run (frames as within the engine) behind what waits already;
    /// keeps, within the bounds, what the stream does not take, or no poll has
    /// asked for.
    pub(super) fn write(&mut self, conn: ConnId, run: Run<'_>) -> Written {
        let place = self.entries.get_mut(conn.index as usize).and_then(Option::as_mut);
        let Some(entry) = place.filter(|entry| entry.generation == conn.generation) else {
            return Written::All;
        };
        let Entry { link, waker, wire, deflate, backlog, .. } = entry;
        let mut spelling = Spelling::new(*wire, *deflate, &mut self.compressor);
        let stream = match link {
            Link::Closed => return Written::All,
            Link::Polling(polling) => {
                let written = polling.push(run, &self.bounds, &mut self.drops);
                raise(&mut self.peak, polling.queued());
                return written;
            }
            Link::Stream(stream) => stream,
        };
        let mut written = 0;
        // What is new must not overtake what waits.
        if backlog.is_none() {
            let mut cx = Context::from_waker(waker);
            let bytes = &*spelling.frames(run.bytes());
            match write_and_flush(stream, &mut cx, bytes, &mut written) {
                Poll::Ready(Ok(())) => return Written::All,
                Poll::Ready(Err(_)) => return Written::Failed,
                Poll::Pending => {}
            }
        }
        let backlog = backlog.get_or_insert_default();
        let written = keep(run, spelling, written, backlog, &self.bounds, &mut self.drops);
        raise(&mut self.peak, backlog);
        written
    }

    /// Sends what has waited for polls, behind what waits for the stream already.
    pub(super) fn write_queue(&mut self, conn: ConnId, queue: Backlog) -> Written {
        let place = self.entries.get_mut(conn.index as usize).and_then(Option::as_mut);
        let Some(entry) = place.filter(|entry| entry.generation == conn.generation) else {
            return Written::All;
        };
        let waker = entry.waker.clone();
        let mut spelling = Spelling::new(entry.wire, entry.deflate, &mut self.compressor);
        entry.backlog.get_or_insert_default().absorb(queue, |frames| spelling.frames(frames));
        // No tick may be under way that would see to that.
        self.compressor.forget();
        match self.poll_backlog(conn, &mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(())) => Written::All,
            Poll::Ready(Err(_)) => Written::Failed,
            Poll::Pending => Written::Some,
        }
    }

    /// How many sessions poll, and what waits for all that do not take it.
    pub(super) fn census(&self) -> (usize, Queued) {
        let (packets_peak, bytes_peak) = self.peak;
        let (mut polling, mut queued) =
            (0, Queued { packets_peak, bytes_peak, ..Queued::default() });
        for entry in self.entries.iter().flatten() {
            let waiting = match &entry.link {
                Link::Closed => None,
                Link::Polling(here) => {
                    polling += 1;
                    Some(here.queued())
                }
                Link::Stream(_) => entry.backlog.as_deref(),
            };
            if let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) {
                queued.connections += 1;
                queued.packets += waiting.packets();
                queued.bytes += waiting.bytes();
                queued.packets_max = queued.packets_max.max(waiting.packets());
                queued.bytes_max = queued.bytes_max.max(waiting.bytes());
            }
        }
        (polling, queued)
    }

    /// How many packets a policy has dropped since those were last taken.
    pub(super) fn dropped(&self) -> u64 {
        self.drops.by_policy()
    }

    /// What was dropped since this was last asked.
    pub(super) fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// Writes what waits; ready when nothing does.
    pub(super) fn poll_backlog(
        &mut self,
        conn: ConnId,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(entry) = self.entry(conn) else { return Poll::Ready(Ok(())) };
        let Some(backlog) = &mut entry.backlog else { return Poll::Ready(Ok(())) };
        let Link::Stream(stream) = &mut entry.link else { return Poll::Ready(Ok(())) };
        loop {
            let mut written = 0;
            let result = write_and_flush(stream, cx, backlog.unwritten(), &mut written);
            backlog.advance(written);
            if matches!(result, Poll::Ready(Ok(()))) && !backlog.is_empty() {
                continue;
            }
            if result.is_ready() {
                entry.backlog = None;
            }
            return result;
        }
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
        let Some(entry) = self.entry(conn) else { return Poll::Ready(Ok(())) };
        let Link::Stream(stream) = &mut entry.link else { return Poll::Ready(Ok(())) };
        Pin::new(stream).poll_shutdown(cx)
    }

    fn entry(&mut self, conn: ConnId) -> Option<&mut Entry<S>> {
        self.entries
            .get_mut(conn.index as usize)?
            .as_mut()
            .filter(|entry| entry.generation == conn.generation)
    }
}

/// How the frames of one stream are spelled there.
struct Spelling<'a> {
    wire: Wire,
    /// If messages are compressed.
    compressor: Option<&'a mut Compressor>,
}

impl<'a> Spelling<'a> {
    fn new(wire: Wire, deflate: bool, compressor: &'a mut Compressor) -> Self {
        Self { wire, compressor: deflate.then_some(compressor) }
    }

    /// Frames as they go to the stream; the same bytes for each, alone or among others.
    fn frames<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let bytes = self.wire.frames(bytes);
        match &mut self.compressor {
            None => bytes,
            Some(compressor) => compressor.frames(bytes),
        }
    }
}

/// Notes how much waits for one connection, in packets and bytes, if that is more than ever.
fn raise((packets, bytes): &mut (usize, usize), waiting: &Backlog) {
    *packets = (*packets).max(waiting.packets());
    *bytes = (*bytes).max(waiting.bytes());
}

/// Keeps what the stream did not take of a run: it took `written` bytes, as they are spelled there.
fn keep(
    run: Run<'_>,
    mut spelling: Spelling<'_>,
    mut written: usize,
    backlog: &mut Backlog,
    bounds: &Bounds,
    drops: &mut Drops,
) -> Written {
    let mut kept = Written::Some;
    run.for_each_packet(|packet, loss| {
        let packet = &*spelling.frames(packet);
        let pushed = if written >= packet.len() {
            written -= packet.len();
            Ok(())
        } else if written > 0 {
            backlog.push_rest(&packet[std::mem::take(&mut written)..], bounds)
        } else {
            backlog.push(packet, loss, bounds, drops)
        };
        if pushed.is_err() {
            kept = Written::Full;
        }
    });
    kept
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
