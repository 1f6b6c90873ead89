//! Upgrades that stay half open: a client's WebSocket is probed, the server answers the
//! probe, and the client never hears it.
//!
//! So the client never says that it goes over, as behind a proxy that lets a handshake
//! through and no frames. It has to go on over polling, and nothing may be lost of what
//! the server has for it while it takes the client to be about to go over. Only what
//! the client reads is touched; all else is as the network carries it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use parlor::net::{Dialer, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::{HEAD_END, stays_put};
use crate::plan::HalfOpen;

/// What only the request for a WebSocket says.
const WANTS_WEBSOCKET: &[u8] = b"transport=websocket";

/// Dials streams on which no probe's answer is heard, if the plan wants that.
#[derive(Clone, Debug)]
pub(crate) struct HalfOpenDialer<D> {
    dialer: D,
    wanted: Option<HalfOpen>,
    /// Answers to probes that were kept from the client. Shared with streams, which could
    /// be sent to other threads.
    kept: Arc<AtomicU64>,
}

impl<D> HalfOpenDialer<D> {
    pub(crate) fn new(dialer: D, wanted: Option<HalfOpen>) -> Self {
        Self { dialer, wanted, kept: Arc::default() }
    }

    /// What it dials with.
    pub(crate) fn inner(&self) -> &D {
        &self.dialer
    }

    /// How many answers to probes were kept from the client so far.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}

impl<D: Dialer> Dialer for HalfOpenDialer<D> {
    type Io = HalfOpenStream<D::Io>;

    async fn dial(&self) -> io::Result<Self::Io> {
        let stream = self.dialer.dial().await?;
        let phase = self.wanted.map_or(Phase::Plain, Phase::Unused);
        Ok(HalfOpenStream { stream, phase, kept: Arc::clone(&self.kept) })
    }
}

/// A stream that may turn out to be a probe's.
#[derive(Debug)]
pub(crate) struct HalfOpenStream<S> {
    stream: S,
    phase: Phase,
    kept: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server has answered the probe.
    Answered(HalfOpen),
    /// The handshake is under way; so many bytes of the end of its answer's head were read.
    Handshake(HalfOpen, usize),
    /// No probe's.
    Plain,
    /// Nothing was asked yet.
    Unused(HalfOpen),
}

impl<S: AsyncRead + Unpin> AsyncRead for HalfOpenStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (wanted, seen) = match self.phase {
            // The end of the stream, which is read as often as the client likes.
            Phase::Answered(HalfOpen::Closed) => return Poll::Ready(Ok(())),
            // Whoever waits for it wakes by a deadline.
            Phase::Answered(HalfOpen::Silent) => return Poll::Pending,
            Phase::Handshake(wanted, seen) => (wanted, seen),
            Phase::Plain | Phase::Unused(_) => {
                return Pin::new(&mut self.stream).poll_read(cx, buffer);
            }
        };
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        let (head, seen) = head_len(read, seen);
        if head == read.len() {
            self.phase = Phase::Handshake(wanted, seen);
            return Poll::Ready(Ok(()));
        }
        buffer.set_filled(before + head);
        self.phase = Phase::Answered(wanted);
        self.kept.fetch_add(1, Ordering::Relaxed);
        if head == 0 { self.poll_read(cx, buffer) } else { Poll::Ready(Ok(())) }
    }
}

/// How many of these bytes belong to a head of whose end so many bytes were read before
/// them, and how many of its end are read then.
fn head_len(bytes: &[u8], mut seen: usize) -> (usize, usize) {
    for (at, &byte) in bytes.iter().enumerate() {
        if seen == HEAD_END.len() {
            return (at, seen);
        }
        seen = match byte {
            byte if byte == HEAD_END[seen] => seen + 1,
            byte if byte == HEAD_END[0] => 1,
            _ => 0,
        };
    }
    (bytes.len(), seen)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HalfOpenStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Phase::Unused(wanted) = self.phase {
            let is_probe = bytes.windows(WANTS_WEBSOCKET.len()).any(|it| it == WANTS_WEBSOCKET);
            self.phase = if is_probe { Phase::Handshake(wanted, 0) } else { Phase::Plain };
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

stays_put!([S: Stream] HalfOpenStream<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n";
    const PROBE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket&sid=x HTTP/1.1\r\n\r\n";
    const POLL: &[u8] = b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\n\r\n";

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime without drivers needs nothing of the system").block_on(test);
    }

    fn pair(wanted: HalfOpen) -> (HalfOpenStream<DuplexStream>, DuplexStream) {
        let (stream, far) = duplex(1000);
        let phase = Phase::Unused(wanted);
        (HalfOpenStream { stream, phase, kept: Arc::default() }, far)
    }

    async fn said(near: &mut HalfOpenStream<DuplexStream>) -> Vec<u8> {
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.expect("open");
        heard
    }

    #[test]
    fn the_handshake_is_heard_and_the_answer_to_the_probe_is_not() {
        run(async {
            // However the bytes are cut.
            for cut in 0..=HEAD.len() {
                let (mut near, mut far) = pair(HalfOpen::Closed);
                near.write_all(PROBE).await.expect("open");
                far.write_all(&HEAD[..cut]).await.expect("open");
                let mut heard = vec![0; cut];
                near.read_exact(&mut heard).await.expect("open");
                far.write_all(&[&HEAD[cut..], b"\x81\x063probe"].concat()).await.expect("open");
                heard.extend(said(&mut near).await);
                assert_eq!(heard, HEAD, "{cut}");
                assert_eq!(near.kept.load(Ordering::Relaxed), 1);
            }
        });
    }

    #[test]
    fn a_silent_one_stays_open() {
        run(async {
            let (mut near, mut far) = pair(HalfOpen::Silent);
            near.write_all(PROBE).await.expect("open");
            far.write_all(&[HEAD, b"\x81\x063probe"].concat()).await.expect("open");
            let mut heard = [0; HEAD.len()];
            near.read_exact(&mut heard).await.expect("open");
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut more = [0; 10];
            let poll = Pin::new(&mut near).poll_read(&mut cx, &mut ReadBuf::new(&mut more));
            assert!(poll.is_pending());
        });
    }

    #[test]
    fn requests_are_as_they_are() {
        run(async {
            let (mut near, mut far) = pair(HalfOpen::Closed);
            near.write_all(POLL).await.expect("open");
            let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &b"6"[..]].concat();
            far.write_all(&answer).await.expect("open");
            drop(far);
            assert_eq!(said(&mut near).await, answer);
            assert_eq!(near.kept.load(Ordering::Relaxed), 0);
        });
    }
}
