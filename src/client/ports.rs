//! The streams of a connection that polls: opened when a request needs one, kept for
//! the next one, and closed when they are of no more use.
//!
//! ```text
//! Closed --something to send--> Dialing --> Open --> worn, lost, not wanted: Closed
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::ReadBuf;

use crate::net::{Dialer, Stream};

use super::polling::{End, Port};
use super::{CloseReason, Session};

type Dial<S> = Pin<Box<dyn Future<Output = io::Result<S>>>>;

/// The streams of one session that polls.
pub(super) struct Ports<S> {
    dial: Box<dyn Fn() -> Dial<S>>,
    streams: [Slot<S>; 3],
}

enum Slot<S> {
    Closed,
    Dialing(Dial<S>),
    Open {
        stream: S,
        is_flushed: bool,
        /// A read had to wait, and nothing was written since.
        is_drained: bool,
    },
}

impl<S: Stream> Ports<S> {
    /// The first stream is there, and takes the first request.
    pub(super) fn new<D: Dialer<Io = S>>(stream: S, dialer: &D) -> Self {
        let dialer = dialer.clone();
        let dial = move || -> Dial<S> {
            let dialer = dialer.clone();
            Box::pin(async move { dialer.dial().await })
        };
        let first = Slot::opened(stream);
        Self { dial: Box::new(dial), streams: [first, Slot::Closed, Slot::Closed] }
    }

    /// Opens, closes and writes as the session wants it.
    pub(super) fn drive(&mut self, session: &mut Session, cx: &mut Context<'_>, now: Instant) {
        // What one port loses may give another one something to do.
        while self.drive_each(session, cx, now).is_err() {}
    }

    /// Does that once, and breaks off where a stream was lost.
    fn drive_each(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<(), ()> {
        if session.closed().is_some() {
            return Ok(());
        }
        for port in Port::ALL {
            let Some(polling) = &mut session.polling else { break };
            let is_wanted = polling.is_wanted(port);
            let end = polling.end(port);
            let slot = &mut self.streams[port as usize];
            if std::mem::take(&mut end.is_worn) || !is_wanted {
                *slot = Slot::Closed;
            }
            if let Poll::Ready(Err(reason)) = slot.poll_out(end, &self.dial, cx) {
                *slot = Slot::Closed;
                session.lose_port(port, reason, now);
                return Err(());
            }
        }
        Ok(())
    }

    /// What is read from now on may be there, though it was not before.
    pub(super) fn wake(&mut self) {
        for slot in &mut self.streams {
            if let Slot::Open { is_drained, .. } = slot {
                *is_drained = false;
            }
        }
    }

    /// Reads once from a port; pending also if there is no stream, and if its last read since
    /// [`wake`](Self::wake) was: whoever reads one port until it has nothing more asks the
    /// others in between, and each such question is a system call.
    pub(super) fn poll_read(
        &mut self,
        port: Port,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.streams[port as usize] {
            Slot::Closed | Slot::Dialing(_) => Poll::Pending,
            Slot::Open { is_drained: true, .. } => Poll::Pending,
            Slot::Open { stream, is_drained, .. } => {
                let read = Pin::new(stream).poll_read(cx, buffer);
                *is_drained = read.is_pending();
                read
            }
        }
    }

    /// Takes the stream of the probe, if it is there.
    pub(super) fn take_probe(&mut self) -> Option<S> {
        match std::mem::replace(&mut self.streams[Port::Probe as usize], Slot::Closed) {
            Slot::Closed | Slot::Dialing(_) => None,
            Slot::Open { stream, .. } => Some(stream),
        }
    }
}

impl<S: Stream> Slot<S> {
    fn opened(stream: S) -> Self {
        Self::Open { stream, is_flushed: true, is_drained: false }
    }

    /// Writes what there is, over a stream that is opened if there is none.
    fn poll_out(
        &mut self,
        end: &mut End,
        dial: &dyn Fn() -> Dial<S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CloseReason>> {
        if matches!(self, Self::Closed) && !end.out.is_empty() {
            *self = Self::Dialing(dial());
        }
        if let Self::Dialing(dialing) = self {
            let dialed = ready!(dialing.as_mut().poll(cx));
            let stream = dialed.map_err(|error| CloseReason::Dial(error.kind()))?;
            *self = Self::opened(stream);
        }
        let Self::Open { stream, is_flushed, is_drained } = self else {
            return Poll::Ready(Ok(()));
        };
        let failed = |error: io::Error| CloseReason::Io(error.kind());
        while !end.out.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, &end.out)).map_err(failed)?;
            if count == 0 {
                return Poll::Ready(Err(CloseReason::Io(io::ErrorKind::WriteZero)));
            }
            (*is_flushed, *is_drained) = (false, false);
            end.out.drain(..count);
        }
        if !*is_flushed {
            ready!(Pin::new(stream).poll_flush(cx)).map_err(failed)?;
            *is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> fmt::Debug for Ports<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use tokio::io::{AsyncRead, AsyncWrite};

    use super::*;

    /// Has nothing to read, and counts who asks.
    #[derive(Clone, Default)]
    struct Silent(Arc<AtomicUsize>);

    impl AsyncRead for Silent {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }
    }

    impl AsyncWrite for Silent {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Stream for Silent {
        type Detached = Self;

        fn detach(self) -> io::Result<Self> {
            Ok(self)
        }

        fn attach(detached: Self) -> io::Result<Self> {
            Ok(detached)
        }
    }

    impl Dialer for Silent {
        type Io = Self;

        async fn dial(&self) -> io::Result<Self> {
            Ok(self.clone())
        }
    }

    #[test]
    fn who_has_nothing_is_asked_again_once_woken_or_written_to() {
        let stream = Silent::default();
        let mut ports = Ports::new(stream.clone(), &stream);
        let mut cx = Context::from_waker(Waker::noop());
        let mut asked = |ports: &mut Ports<Silent>| {
            let mut bytes = [0; 8];
            for _ in 0..3 {
                let read = ports.poll_read(Port::Get, &mut cx, &mut ReadBuf::new(&mut bytes));
                assert!(read.is_pending());
            }
            stream.0.load(Ordering::Relaxed)
        };
        assert_eq!(asked(&mut ports), 1);
        ports.wake();
        assert_eq!(asked(&mut ports), 2);
        let mut end = End::default();
        end.out.extend_from_slice(b"GET");
        let slot = &mut ports.streams[Port::Get as usize];
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(slot.poll_out(&mut end, &ports.dial, &mut cx), Poll::Ready(Ok(()))));
        assert_eq!(asked(&mut ports), 3);
    }
}
