//! The seam between the engine and a network.
//!
//! Only *making* connections is abstract: once made, a connection is any
//! [`AsyncRead`] + [`AsyncWrite`]. Time needs no seam, since drivers use tokio's
//! clock, which a simulation pauses. Real sockets are implemented here;
//! simulated ones live with the simulation.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use crate::hub::Address;

/// A byte stream to one peer.
///
/// A stream may have to move to another shard, whose thread has an I/O driver
/// of its own: it is taken off the one and put on the other.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static + Sized {
    /// A stream that no driver watches.
    type Detached: Send + 'static;

    /// Whether nobody between here and the peer can read along.
    const IS_SECURE: bool = false;

    /// Takes the stream off this thread's driver. Nothing that was written is lost.
    ///
    /// # Errors
    ///
    /// The driver's; the stream is closed then.
    fn detach(self) -> io::Result<Self::Detached>;

    /// Puts it on this thread's driver.
    ///
    /// # Errors
    ///
    /// The driver's; the stream is closed then.
    fn attach(detached: Self::Detached) -> io::Result<Self>;
}

impl Stream for TcpStream {
    type Detached = std::net::TcpStream;

    fn detach(self) -> io::Result<Self::Detached> {
        self.into_std()
    }

    fn attach(detached: Self::Detached) -> io::Result<Self> {
        Self::from_std(detached)
    }
}

/// A stream in memory has no driver.
impl Stream for DuplexStream {
    type Detached = Self;

    fn detach(self) -> io::Result<Self> {
        Ok(self)
    }

    fn attach(detached: Self) -> io::Result<Self> {
        Ok(detached)
    }
}

/// Accepts connections.
pub trait Listener: 'static {
    /// The stream of an accepted connection.
    type Io: Stream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// An error concerns one connection that could not be accepted (no
    /// descriptors left, reset before accept). The caller goes on accepting,
    /// after a pause.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost when the future is dropped before it is ready.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>>;
}

/// Opens connections to one server.
pub trait Dialer: Clone + 'static {
    /// The stream of an opened connection.
    type Io: Stream;

    /// Opens one connection.
    ///
    /// # Errors
    ///
    /// Whatever the network says: refused, unreachable, out of ports.
    fn dial(&self) -> impl Future<Output = io::Result<Self::Io>>;
}

/// Connections that may wait to be accepted; the kernel has a bound of its own.
const BACKLOG: i32 = 4096;

/// Listens on `address`, ready for thousands who come at once.
///
/// # Errors
///
/// The address is in use, or not one of this machine.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    bind(address, Sharing::Alone)
}

/// Listens on `address` once for each of `shards`; the kernel deals the
/// connections to them. Port 0 picks one free port for all.
///
/// With `shared`, another process may listen on the same address, if it is of
/// the same user and shares it too: so a new server takes over from an old one.
///
/// # Errors
///
/// The address is in use, or not one of this machine.
pub fn listen_shards(
    address: SocketAddr,
    shards: u8,
    shared: bool,
) -> io::Result<Vec<std::net::TcpListener>> {
    if shards == 1 && !shared {
        return Ok(vec![listen(address)?]);
    }
    if !shared {
        // The kernel would let a second server in; a person would not want that.
        drop(listen(address)?);
    }
    let mut listeners = vec![bind(address, Sharing::WithOthers)?];
    let address = listeners[0].local_addr()?;
    for _ in 1..shards {
        listeners.push(bind(address, Sharing::WithOthers)?);
    }
    Ok(listeners)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    WithOthers,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::WithOthers)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets this process have as many descriptors as it may; returns how many, if there is a bound.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused by some containers; then the soft limit stays.
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Descriptors that are left for other things than connections: one for each
/// of these and some for the process.
const RESERVED: usize = 64;
/// For each shard: its listener, its driver, and those who are being turned away.
const RESERVED_PER_SHARD: usize = 24;

/// How many connections a server with so many shards has descriptors for, a
/// reserve left for all else; 0 if there is no bound.
pub fn connections_max(shards: u8) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    descriptors.map_or(0, |count| {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let reserve = RESERVED + RESERVED_PER_SHARD * usize::from(shards);
        // With very few the server should still be of use.
        count.saturating_sub(reserve).max(count / 2).max(1)
    })
}

/// Who a connection comes from, as far as limits are concerned.
pub fn address(ip: IpAddr) -> Address {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Address::V4(ip.octets()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            Address::V6([a, b, c, d, e, f, g, h])
        }
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        // A broadcast is one write per member: waiting to merge it with the
        // next one would only add latency.
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }
}

/// Opens TCP connections to one address.
#[derive(Clone, Copy, Debug)]
pub struct TcpDialer {
    /// The server's address.
    pub server: SocketAddr,
}

impl Dialer for TcpDialer {
    type Io = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_whole_and_of_ipv6_its_network() {
        let of = |text: &str| address(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), Address::V4([192, 0, 2, 7]));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"), "heard on an IPv6 socket");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn there_are_fewer_connections_than_descriptors() {
        let descriptors = getrlimit(Resource::Nofile).current;
        let descriptors = descriptors.map_or(usize::MAX, |count| count as usize);
        for shards in [1, 255] {
            assert!(
                (1..descriptors).contains(&connections_max(shards)) || descriptors == usize::MAX
            );
        }
    }
}
