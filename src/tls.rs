//! TLS around the streams of any listener.
//!
//! [`TlsListener`] wraps a [`Listener`]. What it accepts is a stream at once:
//! the handshake is made by the first that reads from it or writes to it. So it
//! holds up no accept, it is part of the time that a client has for its first
//! request ([`Limits::connect_timeout`](crate::Limits::connect_timeout)), and
//! the engine above knows nothing of TLS.
//!
//! A certificate and its key are an [`Identity`]. A listener takes the one that
//! its channel holds when a connection comes: a new one is sent there, and
//! connections that are there already go on.
//!
//! Not here: certificates of clients, HTTP/2 (the ALPN protocol is
//! `http/1.1`), and names by which a client asks for one of several identities.
//!
//! # Costs
//!
//! An idle connection holds its keys, some kilobytes. To a peer that does not
//! read, TLS keeps up to 64 KiB encrypted, beyond
//! [`Config::outbound_bytes_max`](crate::Config::outbound_bytes_max). Handshakes
//! run on the shard's thread; a certificate with an ECDSA key costs it less than
//! one with RSA.
//!
//! # Spec
//!
//! RFC 8446 (TLS 1.3) and RFC 5246 (TLS 1.2), as rustls has them.

mod identity;
mod stream;

use std::io;
use std::net::SocketAddr;

use tokio::sync::watch;

pub use identity::{Identity, TlsError};
pub use stream::TlsStream;

use crate::net::Listener;

/// A listener whose connections speak TLS.
#[derive(Clone, Debug)]
pub struct TlsListener<L> {
    listener: L,
    identity: watch::Receiver<Identity>,
}

impl<L: Listener> TlsListener<L> {
    /// Wraps `listener`; each connection is shown the identity that `identity`
    /// holds when it is accepted.
    pub fn new(listener: L, identity: watch::Receiver<Identity>) -> Self {
        Self { listener, identity }
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Io = TlsStream<L::Io>;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        let acceptor = self.identity.borrow().acceptor();
        Ok((TlsStream::new(&acceptor, stream), address))
    }
}
