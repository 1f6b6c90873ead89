//! Polls that are cancelled: a proxy gives up a GET that waits, and asks again at once over
//! another connection.
//!
//! The client does not know: HTTP lets whoever stands between repeat a GET whose connection
//! has ended before it was answered. The server may see the end first, or the second GET
//! while it holds the first; or it has answered already, and its answer meets the end on its
//! way. That answer is lost, and what was in it: the client's GET then breaks off, as one
//! does that can not be repeated, so that the client knows.
//!
//! ```text
//!  client         proxy                     server
//!    |---- GET ---->|---------- GET -------->|  waits
//!    |              |---------- FIN -------->|  at the moment of the fault
//!    |              |---------- GET -------->|  same sid, another connection
//!    |              |<--- end of the first --|  only then is the second's answer heard
//!    |<-- answer ---|<------- answer --------|
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use parlor::net::{Dialer, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::actor::Actor;
use crate::net::{HEAD_END, stays_put};

/// The most that is read at a time of a connection that was given up.
const READ_BYTES: usize = 1_024;

/// How many polls were cancelled. Shared with streams, which could be sent to other threads.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    answered: AtomicU64,
}

/// How many polls of a client were cancelled so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cancelled {
    /// All of them.
    pub(crate) all: u64,
    /// Those that the server had answered with messages.
    pub(crate) answered: u64,
}

impl Cancelled {
    /// Tells the actor whose polls they are of those that are not told yet.
    pub(crate) fn tell(&mut self, now: Self, actor: &Actor) {
        for _ in self.all..now.all {
            actor.handle_cancelled(false);
        }
        for _ in self.answered..now.answered {
            actor.handle_cancelled(true);
        }
        *self = now;
    }
}

/// Dials streams on which the GETs that wait at some moments are cancelled.
#[derive(Clone, Debug)]
pub(crate) struct CancellingDialer<D> {
    dialer: D,
    /// In the order of time.
    moments: Arc<[Instant]>,
    counts: Arc<Counts>,
}

impl<D> CancellingDialer<D> {
    pub(crate) fn new(dialer: D, mut moments: Vec<Instant>) -> Self {
        moments.sort_unstable();
        Self { dialer, moments: moments.into(), counts: Arc::default() }
    }

    pub(crate) fn cancelled(&self) -> Cancelled {
        Cancelled {
            all: self.counts.all.load(Ordering::Relaxed),
            answered: self.counts.answered.load(Ordering::Relaxed),
        }
    }
}

impl<D: Dialer> Dialer for CancellingDialer<D> {
    type Io = CancellableStream<D::Io>;

    async fn dial(&self) -> io::Result<Self::Io> {
        let stream = self.dialer.dial().await?;
        let is_over = self.moments.last().is_none_or(|&last| last < Instant::now());
        let spare = (!is_over).then(|| Spare::new(self.dialer.clone()));
        let (moments, counts) = (Arc::clone(&self.moments), Arc::clone(&self.counts));
        Ok(CancellableStream {
            stream,
            moments,
            counts,
            spare,
            asked: Vec::new(),
            state: State::Plain,
        })
    }
}

/// A second connection, dialled when it is asked for.
#[derive(Debug)]
struct Spare<S> {
    ask: oneshot::Sender<()>,
    given: oneshot::Receiver<io::Result<S>>,
}

impl<S: Stream> Spare<S> {
    /// A task has the dialer, which belongs to this thread; it ends with the stream.
    fn new<D: Dialer<Io = S>>(dialer: D) -> Self {
        let (ask, asked) = oneshot::channel();
        let (give, given) = oneshot::channel();
        tokio::task::spawn_local(async move {
            if asked.await.is_ok() {
                // Nobody waits for it if the client has gone.
                let _ = give.send(dialer.dial().await);
            }
        });
        Self { ask, given }
    }
}

/// A stream whose GET may be cancelled once.
#[derive(Debug)]
pub(crate) struct CancellableStream<S> {
    stream: S,
    moments: Arc<[Instant]>,
    counts: Arc<Counts>,
    /// None once it was used, or if it never will be.
    spare: Option<Spare<S>>,
    /// What of a poll's request has been sent; empty if none waits.
    asked: Vec<u8>,
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Plain,
    /// A poll waits, until it is cancelled.
    Waiting(Pin<Box<Sleep>>),
    Cancelled(Box<Retry<S>>),
}

/// A poll that is asked again.
#[derive(Debug)]
struct Retry<S> {
    request: Vec<u8>,
    second: Second<S>,
    /// The first connection is not closed yet for writing.
    is_closing: bool,
    /// What came over the first connection since it was given up.
    heard: Vec<u8>,
    /// Nothing more will come over it.
    has_ended: bool,
}

/// The second connection.
#[derive(Debug)]
enum Second<S> {
    Dialled(oneshot::Receiver<io::Result<S>>),
    /// With so much of the request sent.
    Open(S, usize),
}

/// Whether it is the head of a request for what there is for a session.
fn is_poll(bytes: &[u8]) -> bool {
    let has = |what: &[u8]| bytes.windows(what.len()).any(|it| it == what);
    bytes.starts_with(b"GET ") && has(b"transport=polling") && has(b"sid=")
}

impl<S: Stream> CancellableStream<S> {
    fn note_written(&mut self, offered: &[u8], taken: usize) {
        let is_under_way = !self.asked.is_empty() && !self.asked.ends_with(HEAD_END);
        if !is_under_way {
            self.asked.clear();
        }
        if self.spare.is_some() && (is_under_way || is_poll(offered)) {
            self.asked.extend_from_slice(&offered[..taken]);
        }
    }

    /// When the poll that waits is cancelled, if it is.
    fn next_moment(&self) -> Option<Instant> {
        let now = Instant::now();
        let waits = self.spare.is_some() && self.asked.ends_with(HEAD_END);
        self.moments.iter().copied().find(|&at| waits && at > now)
    }

    fn cancel(&mut self) {
        let Some(Spare { ask, given }) = self.spare.take() else { return };
        // The task that dials waits for this alone.
        let _ = ask.send(());
        self.counts.all.fetch_add(1, Ordering::Relaxed);
        self.state = State::Cancelled(Box::new(Retry {
            request: std::mem::take(&mut self.asked),
            second: Second::Dialled(given),
            is_closing: true,
            heard: Vec::new(),
            has_ended: false,
        }));
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Plain)
            && let Some(at) = self.next_moment()
        {
            self.state = State::Waiting(Box::pin(sleep_until(at)));
        }
        match &mut self.state {
            State::Waiting(moment) => moment.as_mut().poll(cx),
            State::Plain | State::Cancelled(_) => Poll::Pending,
        }
    }
}

impl<S: Stream> Retry<S> {
    /// Gives the second stream, once the request is sent there and the first has ended
    /// without an answer.
    fn poll(
        &mut self,
        first: &mut S,
        cx: &mut Context<'_>,
        counts: &Counts,
    ) -> Poll<io::Result<()>> {
        if self.is_closing {
            self.is_closing = Pin::new(&mut *first).poll_shutdown(cx).is_pending();
        }
        let is_sent = self.poll_second(cx)?.is_ready();
        while !self.has_ended {
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            // Of a connection that breaks nobody knows whether it was answered.
            ready!(Pin::new(&mut *first).poll_read(cx, &mut buffer))?;
            self.has_ended = buffer.filled().is_empty();
            self.heard.extend_from_slice(buffer.filled());
        }
        if !self.heard.is_empty() {
            counts.answered.fetch_add(u64::from(has_messages(&self.heard)), Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if is_sent { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_second(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Second::Dialled(given) = &mut self.second {
            let lost = |_| Err(io::ErrorKind::BrokenPipe.into());
            let stream = ready!(Pin::new(given).poll(cx)).unwrap_or_else(lost)?;
            self.second = Second::Open(stream, 0);
        }
        let Second::Open(stream, sent) = &mut self.second else { return Poll::Pending };
        while *sent < self.request.len() {
            let taken = ready!(Pin::new(&mut *stream).poll_write(cx, &self.request[*sent..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += taken;
        }
        Pin::new(stream).poll_flush(cx)
    }
}

/// Whether an answer holds what the server had for its client.
fn has_messages(answer: &[u8]) -> bool {
    let head = answer.windows(HEAD_END.len()).position(|it| it == HEAD_END);
    let body = head.map_or(&[][..], |at| &answer[at + HEAD_END.len()..]);
    answer.starts_with(b"HTTP/1.1 200") && matches!(body.first(), Some(b'4' | b'b'))
}

impl<S: Stream> AsyncRead for CancellableStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !matches!(this.state, State::Cancelled(_)) {
            let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
            if read.is_ready() {
                this.asked.clear();
                this.state = State::Plain;
                return read;
            }
            ready!(this.poll_waiting(cx));
            this.cancel();
        }
        if let State::Cancelled(retry) = &mut this.state {
            ready!(retry.poll(&mut this.stream, cx, &this.counts))?;
        }
        if let State::Cancelled(retry) = std::mem::replace(&mut this.state, State::Plain)
            && let Second::Open(stream, _) = retry.second
        {
            this.stream = stream;
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for CancellableStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.note_written(bytes, taken);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

stays_put!([S: Stream] CancellableStream<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StreamShape;
    use crate::shaped::{Pace, ShapedStream};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::LocalSet;
    use tokio::time::{sleep, timeout};

    const POLL: &[u8] = b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\n\r\n";
    const OPENING: &[u8] = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n42[\"x\"]";
    const MOMENT: Duration = Duration::from_millis(100);

    /// The far ends of what was dialled.
    #[derive(Clone, Debug, Default)]
    struct Far(Rc<RefCell<Vec<DuplexStream>>>);

    /// Requests go in pieces.
    type Near = ShapedStream<DuplexStream>;

    const NARROW: StreamShape = StreamShape { buffer_bytes: 7, ..StreamShape::WIDE };

    impl Dialer for Far {
        type Io = Near;

        async fn dial(&self) -> io::Result<Near> {
            let (near, far) = duplex(1000);
            self.0.borrow_mut().push(far);
            Ok(ShapedStream::new(near, NARROW, Pace::default()))
        }
    }

    impl Far {
        fn take(&self, index: usize) -> DuplexStream {
            let (_, empty) = duplex(1);
            std::mem::replace(&mut self.0.borrow_mut()[index], empty)
        }
    }

    /// A client that has asked this, what was dialled for it, and what was counted; its poll
    /// is cancelled at [`MOMENT`].
    fn run<F: Future<Output = ()>>(
        request: &'static [u8],
        test: impl FnOnce(CancellableStream<Near>, Far, CancellingDialer<Far>) -> F,
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let far = Far::default();
            let dialer = CancellingDialer::new(far.clone(), vec![Instant::now() + MOMENT]);
            let mut near = dialer.dial().await.expect("dialled");
            near.write_all(request).await.expect("open");
            test(near, far, dialer).await;
        });
    }

    async fn asked(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; POLL.len()];
        far.read_exact(&mut bytes).await.expect("a request");
        bytes
    }

    #[test]
    fn a_poll_that_waits_is_asked_again_once_its_connection_has_ended() {
        run(POLL, async |mut near, far, dialer| {
            let heard = tokio::task::spawn_local(async move {
                let mut heard = vec![0; ANSWER.len()];
                near.read_exact(&mut heard).await.map(|_| heard)
            });
            let mut first = far.take(0);
            assert_eq!(asked(&mut first).await, POLL);
            assert_eq!(first.read(&mut [0]).await.expect("closed in order"), 0);
            sleep(Duration::from_millis(1)).await;
            let mut second = far.take(1);
            assert_eq!(asked(&mut second).await, POLL);
            second.write_all(ANSWER).await.expect("open");
            sleep(Duration::from_millis(1)).await;
            assert!(!heard.is_finished(), "the first may still bring something");
            drop(first);
            assert_eq!(heard.await.expect("no panic").expect("answered"), ANSWER);
            assert_eq!(dialer.cancelled(), Cancelled { all: 1, answered: 0 });
        });
    }

    #[test]
    fn an_answer_that_meets_the_end_is_lost_and_the_client_knows() {
        run(POLL, async |mut near, far, dialer| {
            let heard = tokio::task::spawn_local(async move { near.read(&mut [0; 100]).await });
            sleep(MOMENT + Duration::from_millis(1)).await;
            let mut first = far.take(0);
            first.write_all(ANSWER).await.expect("read still");
            drop(first);
            let error = heard.await.expect("no panic").expect_err("it must not be heard");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(dialer.cancelled(), Cancelled { all: 1, answered: 1 });
        });
    }

    #[test]
    fn what_was_answered_before_and_what_begins_a_session_is_as_it_is() {
        for (request, at) in [(POLL, MOMENT / 2), (OPENING, 2 * MOMENT)] {
            run(request, async |mut near, far, dialer| {
                let mut heard = vec![0; ANSWER.len()];
                let wait = timeout(at, near.read_exact(&mut heard)).await;
                assert!(wait.is_err(), "nothing was said yet");
                far.take(0).write_all(ANSWER).await.expect("open");
                near.read_exact(&mut heard).await.expect("answered");
                assert_eq!((heard, dialer.cancelled()), (ANSWER.to_vec(), Cancelled::default()));
            });
        }
    }
}
