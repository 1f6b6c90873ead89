//! A stream that takes and gives only so many bytes at a time.
//!
//! turmoil's segments are whole writes of any size, and its streams hold a thousand
//! of them: a sender never blocks, and a reader gets frames whole. Real sockets do
//! neither, and what an engine does then (partial frames, backlogs) is where its
//! mistakes are. So a plan gives its streams a send buffer that drains at a rate,
//! and a bound on what one read returns.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::net::stays_put;
use crate::plan::StreamShape;

/// tokio's timers are no finer than this.
const DRAIN_PERIOD: Duration = Duration::from_millis(1);

/// What is given out a few bytes at a time is read in pieces of this size: a read of the
/// simulated kernel costs as much as the simulation of a message.
const AHEAD_BYTES: usize = 256;

/// How much of what has arrived a host reads, of each of its streams; as much as there is,
/// unless somebody sets it. Clones are one.
// Streams could be sent to other threads, so this is one that can.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<AtomicU32>);

impl Pace {
    /// Reads so many bytes a millisecond from now on; whether that is another pace than before.
    pub(crate) fn set(&self, bytes_per_ms: Option<u32>) -> bool {
        let next = bytes_per_ms.unwrap_or_default();
        self.0.swap(next, Ordering::Relaxed) != next
    }

    fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&bytes_per_ms| bytes_per_ms > 0)
    }
}

/// What was read of a stream and not given out yet.
#[derive(Debug, Default)]
struct Ahead {
    /// Room for a piece, once one was read.
    bytes: Vec<u8>,
    range: Range<usize>,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Reads a piece; it is empty at the end of the stream.
    fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.bytes.resize(AHEAD_BYTES, 0);
        let mut part = ReadBuf::new(&mut self.bytes);
        ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        self.range = 0..part.filled().len();
        Poll::Ready(Ok(()))
    }

    /// Gives out at most so many bytes.
    fn give(&mut self, buffer: &mut ReadBuf<'_>, count: usize) {
        let (given, rest) = self.bytes[self.range.clone()].split_at(count.min(self.range.len()));
        buffer.put_slice(given);
        self.range = self.range.end - rest.len()..self.range.end;
    }
}

/// A stream in the shape that a plan wants.
#[derive(Debug)]
pub struct ShapedStream<S> {
    stream: S,
    shape: StreamShape,
    pace: Pace,
    /// At which the other end reads.
    peer: Pace,
    ahead: Ahead,
    /// Until the next portion may be read.
    resting: Option<Pin<Box<Sleep>>>,
    /// Bytes in the send buffer when it was last looked at.
    buffered: u64,
    looked_at: Instant,
    /// Until there is room again.
    full: Option<Pin<Box<Sleep>>>,
}

impl<S> ShapedStream<S> {
    /// Gives a stream a shape.
    pub fn new(stream: S, shape: StreamShape, pace: Pace) -> Self {
        let (ahead, resting, peer) = (Ahead::default(), None, Pace::default());
        let (buffered, looked_at, full) = (0, Instant::now(), None);
        Self { stream, shape, pace, peer, ahead, resting, buffered, looked_at, full }
    }

    /// To who reads at this pace: no more leaves the send buffer.
    pub(crate) fn with_reader(self, peer: Pace) -> Self {
        Self { peer, ..self }
    }

    /// How many bytes may be read now: one portion in each millisecond, if there is a pace.
    fn poll_portion(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(bytes_per_ms) = self.pace.get() else {
            self.resting = None;
            return Poll::Ready(usize::MAX);
        };
        if let Some(resting) = &mut self.resting {
            ready!(resting.as_mut().poll(cx));
            self.resting = None;
        }
        Poll::Ready(usize::try_from(bytes_per_ms).unwrap_or(usize::MAX))
    }

    /// How many bytes the send buffer has room for now.
    fn room(&mut self) -> u64 {
        let now = Instant::now();
        let periods = (now - self.looked_at).as_millis();
        let bytes_per_ms = self.shape.bytes_per_ms.min(self.peer.get().unwrap_or(u32::MAX));
        let drained = u64::try_from(periods)
            .map_or(u64::MAX, |periods| periods.saturating_mul(u64::from(bytes_per_ms)));
        if periods > 0 {
            self.buffered = self.buffered.saturating_sub(drained);
            self.looked_at = now;
        }
        u64::from(self.shape.buffer_bytes).saturating_sub(self.buffered)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ShapedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let room = self.room();
            if room > 0 {
                self.full = None;
                let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..count]))?;
                self.buffered += written as u64;
                return Poll::Ready(Ok(written));
            }
            let full = self.full.get_or_insert_with(|| Box::pin(sleep(DRAIN_PERIOD)));
            ready!(full.as_mut().poll(cx));
            self.full = None;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ShapedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let portion = ready!(self.poll_portion(cx));
        let count = buffer.remaining().min(self.shape.read_bytes_max as usize).min(portion);
        let Self { stream, ahead, .. } = &mut *self;
        if ahead.is_empty() && count < AHEAD_BYTES && portion == usize::MAX {
            ready!(ahead.poll_fill(stream, cx))?;
        }
        if ahead.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(count));
            ready!(Pin::new(stream).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        } else {
            ahead.give(buffer, count);
        }
        self.resting = (portion != usize::MAX).then(|| Box::pin(sleep(DRAIN_PERIOD)));
        Poll::Ready(Ok(()))
    }
}

stays_put!([S: AsyncRead + AsyncWrite + Send + Unpin + 'static] ShapedStream<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const SHAPE: StreamShape = StreamShape { read_bytes_max: 3, buffer_bytes: 10, bytes_per_ms: 5 };

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without sockets needs nothing of the system");
        runtime.block_on(test);
    }

    #[test]
    fn writes_fill_the_buffer_and_then_go_at_the_rate() {
        run(async {
            let (near, mut far) = duplex(1000);
            let mut near = ShapedStream::new(near, SHAPE, Pace::default());
            let start = Instant::now();
            assert_eq!(near.write(&[1; 60]).await.expect("open"), 10);
            assert_eq!(start.elapsed().as_millis(), 0);
            near.write_all(&[2; 50]).await.expect("open");
            assert_eq!(start.elapsed().as_millis(), 10, "50 bytes at 5 a millisecond");
            let mut received = [0; 60];
            far.read_exact(&mut received).await.expect("open");
            assert_eq!((received[9], received[10]), (1, 2));
        });
    }

    #[test]
    fn who_reads_at_a_pace_reads_one_portion_in_each_millisecond() {
        run(async {
            let pace = Pace::default();
            let (near, mut far) = duplex(1000);
            let mut near = ShapedStream::new(near, StreamShape::WIDE, pace.clone());
            far.write_all(&[1; 50]).await.expect("open");
            assert!(pace.set(Some(4)) && !pace.set(Some(4)));
            let start = Instant::now();
            near.read_exact(&mut [0; 40]).await.expect("open");
            assert_eq!(start.elapsed().as_millis(), 9, "the first portion is there at once");
            assert!(pace.set(None));
            near.read_exact(&mut [0; 10]).await.expect("open");
            assert_eq!(start.elapsed().as_millis(), 9);
        });
    }

    #[test]
    fn what_is_for_a_slow_reader_stays_in_the_send_buffer() {
        run(async {
            let (near, _far) = duplex(1000);
            let pace = Pace::default();
            let mut near =
                ShapedStream::new(near, SHAPE, Pace::default()).with_reader(pace.clone());
            assert_eq!(near.write(&[1; 60]).await.expect("open"), 10);
            let start = Instant::now();
            assert!(pace.set(Some(1)));
            near.write_all(&[2; 10]).await.expect("open");
            assert_eq!(start.elapsed().as_millis(), 10, "10 bytes at 1 a millisecond");
            assert!(pace.set(None));
            near.write_all(&[3; 10]).await.expect("open");
            assert_eq!(start.elapsed().as_millis(), 12, "10 bytes at 5 a millisecond");
        });
    }

    #[test]
    fn a_read_returns_no_more_than_its_bound_and_loses_nothing() {
        run(async {
            let (near, mut far) = duplex(1000);
            let mut near = ShapedStream::new(near, SHAPE, Pace::default());
            far.write_all(b"abcdefg").await.expect("open");
            drop(far);
            let mut reads = Vec::new();
            let mut buffer = [0; 100];
            loop {
                match near.read(&mut buffer).await.expect("open") {
                    0 => break,
                    count => reads.push(buffer[..count].to_vec()),
                }
            }
            assert_eq!(reads, [&b"abc"[..], b"def", b"g"]);
        });
    }

    #[test]
    fn who_becomes_slow_reads_at_its_pace_what_was_read_ahead() {
        run(async {
            let (near, mut far) = duplex(1000);
            let pace = Pace::default();
            let mut near = ShapedStream::new(near, SHAPE, pace.clone());
            far.write_all(&[7; 300]).await.expect("open");
            near.read_exact(&mut [0; 3]).await.expect("open");
            assert!(pace.set(Some(2)));
            let start = Instant::now();
            let mut rest = [0; 297];
            near.read_exact(&mut rest).await.expect("open");
            // Of 253 and of 44, two at a time.
            assert_eq!(start.elapsed().as_millis(), 148);
            assert_eq!(rest, [7; 297]);
        });
    }
}
