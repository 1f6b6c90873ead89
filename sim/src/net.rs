//! The simulated network behind the engine's seam: turmoil's streams, or the packets
//! of turmoil-net ([`packets`]).
//!
//! [`SimNet`] names what a world needs of a network, so that another substrate can
//! take turmoil's place; the engine and the clients see only
//! [`Listener`](parlor::net::Listener) and [`Dialer`](parlor::net::Dialer).

pub mod packets;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use parlor::net::{Dialer, Listener};
use turmoil::net::{TcpListener, TcpStream};

use crate::plan::StreamShape;
use crate::shaped::{Pace, ShapedStream};

/// What a world needs of a simulated network.
pub trait SimNet {
    /// Accepts connections on the server's host.
    type Listener: Listener;
    /// Connects from a client's host to the server.
    type Dialer: Dialer;

    /// Binds the server's port on the current host.
    fn bind(shape: StreamShape) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Dials the server from the current host, which reads at this pace.
    fn dialer(shape: StreamShape, pace: Pace) -> Self::Dialer;
}

/// What ends the head of a request or an answer.
pub(crate) const HEAD_END: &[u8] = b"\r\n\r\n";

/// Makes a stream one of the engine's that has no driver to be taken off: all hosts of a
/// world share a thread.
macro_rules! stays_put {
    ([$($bounds:tt)*] $stream:ty) => {
        impl<$($bounds)*> parlor::net::Stream for $stream {
            type Detached = Self;

            fn detach(self) -> std::io::Result<Self> {
                Ok(self)
            }

            fn attach(detached: Self) -> std::io::Result<Self> {
                Ok(detached)
            }
        }
    };
}
pub(crate) use stays_put;

/// How a host ends; none does so before the world.
pub type HostResult = Result<(), Box<dyn Error>>;

/// The name of the server's host.
pub const SERVER: &str = "server";

const PORT: u16 = 3000;

/// Where the server listens: on every interface of its host.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);

thread_local! {
    static READERS: RefCell<BTreeMap<IpAddr, Pace>> = const { RefCell::new(BTreeMap::new()) };
}

/// Says at which pace the host at an address reads: turmoil takes whatever is sent, and so the
/// sender has to know.
pub(crate) fn reads_at(address: IpAddr, pace: Pace) {
    READERS.with_borrow_mut(|readers| readers.insert(address, pace));
}

/// The simulated network of the turmoil crate.
#[derive(Clone, Copy, Debug)]
pub struct Turmoil;

impl SimNet for Turmoil {
    type Listener = SimListener;
    type Dialer = SimDialer;

    async fn bind(shape: StreamShape) -> io::Result<SimListener> {
        Ok(SimListener { listener: TcpListener::bind(LISTEN).await?, shape })
    }

    fn dialer(shape: StreamShape, pace: Pace) -> SimDialer {
        SimDialer { shape, pace }
    }
}

/// A simulated listener, on every interface of the current host.
// No Debug, because turmoil's listener has none.
pub struct SimListener {
    listener: TcpListener,
    shape: StreamShape,
}

impl Listener for SimListener {
    type Io = ShapedStream<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        let reader = READERS.with_borrow(|readers| readers.get(&address.ip()).cloned());
        let stream = ShapedStream::new(stream, self.shape, Pace::default());
        Ok((stream.with_reader(reader.unwrap_or_default()), address))
    }
}

/// Dials the server's host.
#[derive(Clone, Debug)]
pub struct SimDialer {
    shape: StreamShape,
    pace: Pace,
}

impl Dialer for SimDialer {
    type Io = ShapedStream<TcpStream>;

    async fn dial(&self) -> io::Result<Self::Io> {
        let stream = TcpStream::connect((SERVER, PORT)).await?;
        Ok(ShapedStream::new(stream, self.shape, self.pace.clone()))
    }
}
