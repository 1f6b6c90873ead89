//! Whether a request may become a session, or part of one.

use std::net::SocketAddr;

use super::Config;
use super::rejection::Rejection;
use super::shard::Shard;
use super::wire::Wire;
use crate::engineio::Revision;
use crate::net::Stream;
use crate::room::Sid;
use crate::shard::{Handshake, Transport};
use crate::websocket::Request;

/// A request for a WebSocket that is granted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    /// What the answer's key is made from.
    pub(super) key: String,
    /// The answer to an offer of compression; if there is one, messages are compressed.
    pub(super) extensions: Option<&'static str>,
    pub(super) wire: Wire,
    /// The session that it is to go on with; none: it is a new one.
    pub(super) sid: Option<Sid>,
}

/// Checks a request for a WebSocket in the order in which Node's servers do.
pub(super) async fn accept<S: Stream>(
    shard: &Shard<S>,
    request: &Request,
) -> Result<Accepted, Rejection> {
    match request.query("transport") {
        Some("websocket") => {}
        // It asks for what can not be upgraded.
        Some("polling") => return Err(Rejection::BadRequest),
        Some(_) | None => return Err(Rejection::UnknownTransport),
    }
    let (revision, sid) = (revision(request), sid(request)?);
    if let Some(sid) = sid {
        shard.has_session(sid, revision).await?;
    }
    if request.method != "GET" {
        return Err(Rejection::BadMethod);
    }
    let key = request.websocket_key().map_err(|error| Rejection::from(&error))?.to_owned();
    let revision = shard.config.speaks(revision).ok_or(Rejection::UnsupportedVersion)?;
    if sid.is_none() && shard.draining.get() {
        return Err(Rejection::Status(503));
    }
    let extensions = shard.config.websocket_compression.then(|| request.deflate()).flatten();
    Ok(Accepted { key, extensions, wire: Wire::new(revision, takes_text_alone(request)), sid })
}

/// The revision that a client says it speaks.
pub(super) fn revision(request: &Request) -> Option<Revision> {
    match request.query("EIO")? {
        "3" => Some(Revision::V3),
        "4" => Some(Revision::V4),
        _ => None,
    }
}

/// Whether a client of revision 3 wants binary messages as text.
pub(super) fn takes_text_alone(request: &Request) -> bool {
    request.query("b64").is_some_and(|value| !value.is_empty())
}

/// The session that a request belongs to.
pub(super) fn sid(request: &Request) -> Result<Option<Sid>, Rejection> {
    let sid = request.query("sid").filter(|sid| !sid.is_empty());
    sid.map(|sid| Sid::parse(sid).ok_or(Rejection::UnknownSession)).transpose()
}

/// What is kept of the request that a connection begins with, if anything is.
pub(super) fn keep<S: Stream>(
    shard: &Shard<S>,
    address: SocketAddr,
    revision: Revision,
    transport: Transport,
    request: &Request,
) -> Option<Handshake> {
    shard.config.keep_handshake.then(|| {
        let headers = request.headers.iter().map(|(name, value)| (&**name, &**value));
        let time = (shard.config.time_of_day)();
        Handshake::new(address, time, revision, transport, S::IS_SECURE, &request.target, headers)
    })
}

impl Config {
    /// The revision, if clients that speak it are served.
    pub(super) fn speaks(&self, revision: Option<Revision>) -> Option<Revision> {
        revision.filter(|revision| *revision == Revision::V4 || self.allow_eio3)
    }

    /// Whether a request's path is the one that Socket.IO is served under.
    pub(super) fn is_path(&self, path: &str) -> bool {
        path.trim_end_matches('/') == self.path.trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::app::Io;
    use crate::shard::Exchange;
    use crate::tls::TlsStream;
    use crate::websocket::decode_request;

    fn is_secure<S: Stream>() -> bool {
        let shard = Shard::<S>::new(Exchange::alone(), Config::default(), None, Io::default()).0;
        let (request, _) = decode_request(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap();
        let address = ([127, 0, 0, 1], 9).into();
        keep(&shard, address, Revision::V4, Transport::Polling, &request).unwrap().is_secure()
    }

    #[test]
    fn a_handshake_says_whether_it_came_over_tls() {
        assert!(is_secure::<TlsStream<DuplexStream>>());
        assert!(!is_secure::<DuplexStream>());
    }
}
