//! The streams of turmoil-net: real TCP in packets, on one kernel for each host.
//!
//! All hosts share one runtime and one thread, and a socket call goes to the kernel
//! that is current. So whatever touches a socket says first whose it is: a host's
//! future ([`Scoped`]) and each stream ([`Owned`]), since a stream can be polled and
//! dropped by a task that its host has left behind.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use parlor::net::{Dialer, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil_net::HostId;
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};

use super::{LISTEN, PORT, SimNet, stays_put};
use crate::plan::StreamShape;
use crate::shaped::{Pace, ShapedStream};

thread_local! {
    /// Whether a host has had its turn since somebody asked last.
    static STIRRED: Cell<bool> = const { Cell::new(true) };
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    static HOST: Cell<Option<HostId>> = const { Cell::new(None) };
    static SERVER: Cell<IpAddr> = const { Cell::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) };
}

/// Somebody who wants to know when a host has its turn.
struct Watcher {
    before: Box<dyn FnOnce()>,
    waker: Option<Waker>,
}

/// Says whose socket calls the next ones are.
fn enter(host: HostId) {
    if !STIRRED.replace(true)
        && let Some(Watcher { before, waker }) = WATCHER.take()
    {
        before();
        waker.into_iter().for_each(Waker::wake);
    }
    HOST.set(Some(host));
    turmoil_net::set_current(host);
}

/// Waits until some host has its turn, and may have done something to its kernel; `before` is
/// called just before that, if it comes to it.
pub(crate) fn stirred(before: impl FnOnce() + 'static) -> Stirred {
    STIRRED.set(false);
    WATCHER.set(Some(Watcher { before: Box::new(before), waker: None }));
    Stirred
}

/// See [`stirred`].
#[derive(Debug)]
pub(crate) struct Stirred;

impl Future for Stirred {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        WATCHER.with_borrow_mut(|watcher| match watcher {
            Some(watcher) => {
                watcher.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
    }
}

impl Drop for Stirred {
    fn drop(&mut self) {
        drop(WATCHER.take());
    }
}

fn current() -> HostId {
    HOST.get().expect("called by a simulated host")
}

/// Says where the server is from now on.
pub(crate) fn move_server(address: IpAddr) {
    SERVER.set(address);
}

/// The simulated network of the turmoil-net crate.
#[derive(Clone, Copy, Debug)]
pub struct Packets;

impl SimNet for Packets {
    type Listener = PacketListener;
    type Dialer = PacketDialer;

    async fn bind(shape: StreamShape) -> io::Result<PacketListener> {
        let listener = TcpListener::bind(LISTEN).await?;
        Ok(PacketListener { listener: Owned { host: current(), inner: listener }, shape })
    }

    fn dialer(shape: StreamShape, pace: Pace) -> PacketDialer {
        PacketDialer { host: current(), shape, pace }
    }
}

/// A future or a socket of one host.
#[derive(Debug)]
pub struct Owned<T> {
    host: HostId,
    inner: T,
}

/// What is inside is dropped after this.
impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        enter(self.host);
    }
}

/// A future all of whose socket calls go to one host.
pub(crate) type Scoped<T> = Owned<Pin<Box<T>>>;

pub(crate) fn scoped<T: Future>(host: HostId, future: T) -> Scoped<T> {
    Owned { host, inner: Box::pin(future) }
}

impl<T: Future> Future for Owned<Pin<Box<T>>> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        enter(self.host);
        self.inner.as_mut().poll(cx)
    }
}

impl AsyncRead for Owned<TcpStream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        enter(self.host);
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Owned<TcpStream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        enter(self.host);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        enter(self.host);
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        enter(self.host);
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

stays_put!([] Owned<TcpStream>);

/// A listener on every interface of one host.
#[derive(Debug)]
pub struct PacketListener {
    listener: Owned<TcpListener>,
    shape: StreamShape,
}

impl Listener for PacketListener {
    type Io = ShapedStream<Owned<TcpStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)> {
        let host = self.listener.host;
        let (stream, address) = self.listener.inner.accept().await?;
        let stream = Owned { host, inner: stream };
        Ok((ShapedStream::new(stream, self.shape, Pace::default()), address))
    }
}

/// Dials the server from one host, where it is at that moment.
#[derive(Clone, Debug)]
pub struct PacketDialer {
    host: HostId,
    shape: StreamShape,
    pace: Pace,
}

impl Dialer for PacketDialer {
    type Io = ShapedStream<Owned<TcpStream>>;

    async fn dial(&self) -> io::Result<Self::Io> {
        let address = SocketAddr::new(SERVER.get(), PORT);
        let stream = scoped(self.host, TcpStream::connect(address)).await?;
        let stream = Owned { host: self.host, inner: stream };
        Ok(ShapedStream::new(stream, self.shape, self.pace.clone()))
    }
}
