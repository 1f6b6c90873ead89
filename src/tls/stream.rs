//! A stream that speaks TLS, from the handshake on.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, server};

use crate::net::Stream;

/// The server's side of a TLS connection on `S`.
///
/// Whoever reads or writes first makes the handshake. An end without a
/// goodbye of TLS is an end like that of TCP: WebSocket and HTTP know
/// themselves whether something is missing.
pub struct TlsStream<S: Stream>(
    // Boxed, since this is large and is moved.
    Box<State<S>>,
);

enum State<S: Stream> {
    Failed,
    Handshake(Accept<Carrier<S>>),
    Open(server::TlsStream<Carrier<S>>),
}

impl<S: Stream> TlsStream<S> {
    /// TLS on `stream`, on which nothing was said yet.
    pub(super) fn new(acceptor: &TlsAcceptor, stream: S) -> Self {
        Self(Box::new(State::Handshake(acceptor.accept(Carrier::Here(stream)))))
    }

    /// The connection once its handshake is done.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut server::TlsStream<Carrier<S>>>>> {
        if let State::Handshake(accept) = &mut *self.0 {
            *self.0 = match ready!(Pin::new(accept).poll(cx)) {
                Ok(stream) => State::Open(stream),
                Err(error) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    *self.0 = State::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(match &mut *self.0 {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Failed | State::Handshake(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    fn carrier(&mut self) -> io::Result<&mut Carrier<S>> {
        match &mut *self.0 {
            State::Failed => None,
            State::Handshake(accept) => accept.get_mut(),
            State::Open(stream) => Some(stream.get_mut().0),
        }
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// It moves as it is, keys and what was read ahead included; only the stream
/// within changes its driver.
impl<S: Stream> Stream for TlsStream<S> {
    type Detached = Self;

    const IS_SECURE: bool = true;

    fn detach(mut self) -> io::Result<Self> {
        self.carrier()?.detach()?;
        Ok(self)
    }

    fn attach(mut detached: Self) -> io::Result<Self> {
        detached.carrier()?.attach()?;
        Ok(detached)
    }
}

impl<S: Stream> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.poll_open(cx))?.poll_read(cx, buffer);
        read.map(|read| match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read,
        })
    }
}

impl<S: Stream> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_shutdown(cx)
    }
}

impl<S: Stream> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the keys.
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}

/// The stream that carries TLS, with a driver or on its way to another one.
enum Carrier<S: Stream> {
    Here(S),
    Lost,
    Moving(S::Detached),
}

// Nothing in it is ever pinned where it lies.
impl<S: Stream> Unpin for Carrier<S> {}

impl<S: Stream> Carrier<S> {
    fn detach(&mut self) -> io::Result<()> {
        *self = Self::Moving(match std::mem::replace(self, Self::Lost) {
            Self::Here(stream) => stream.detach()?,
            Self::Lost | Self::Moving(_) => return Err(io::ErrorKind::NotConnected.into()),
        });
        Ok(())
    }

    fn attach(&mut self) -> io::Result<()> {
        *self = Self::Here(match std::mem::replace(self, Self::Lost) {
            Self::Moving(detached) => S::attach(detached)?,
            Self::Here(_) | Self::Lost => return Err(io::ErrorKind::NotConnected.into()),
        });
        Ok(())
    }

    fn here(&mut self) -> io::Result<Pin<&mut S>> {
        match self {
            Self::Here(stream) => Ok(Pin::new(stream)),
            Self::Lost | Self::Moving(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Stream> AsyncRead for Carrier<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.here()?.poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Carrier<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(cx)
    }
}
