//! How a connection began.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::engineio::Revision;
use crate::websocket::decode_query;

/// The request with which a connection began, as an application may ask for it.
///
/// Its text is kept in one piece and taken apart when somebody asks, so that a
/// connection that nobody asks about costs little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Where the connection came from.
    pub address: SocketAddr,
    /// When.
    pub time: SystemTime,
    /// Which revision of Engine.IO the client speaks.
    pub revision: Revision,
    /// The transport that it began with.
    pub transport: &'static str,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// The target, then a line `name: value` for each header.
    text: Box<str>,
}

impl Handshake {
    /// What `request` said; its header names are in lower case.
    pub fn new<'a>(
        address: SocketAddr,
        time: SystemTime,
        revision: Revision,
        transport: &'static str,
        target: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut text = target.to_owned();
        for (name, value) in headers.filter(|(name, _)| !of_one_hop(name)) {
            // No header holds a line break: the parser of the head saw to that.
            text.extend(["\n", name, ": ", value]);
        }
        let (is_secure, text) = (false, text.into_boxed_str());
        Self { address, time, revision, transport, is_secure, text }
    }

    /// The path and the query, as sent.
    pub fn url(&self) -> &str {
        self.text.split('\n').next().unwrap_or_default()
    }

    /// The pairs of the query, decoded, in the order sent.
    pub fn query(&self) -> Vec<(String, String)> {
        decode_query(self.url().split_once('?').map_or("", |(_, query)| query))
    }

    /// Names (in lower case) and values of the headers, in the order sent;
    /// without those that concern the connection alone.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.split('\n').skip(1).filter_map(|line| line.split_once(": "))
    }

    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|header| header.0 == name).map(|header| header.1)
    }
}

/// Headers that say how this one connection is spoken, and nothing of the client.
fn of_one_hop(name: &str) -> bool {
    name.starts_with("sec-websocket-") || matches!(name, "connection" | "upgrade" | "keep-alive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_hop_by_hop_is_kept() {
        let handshake = Handshake::new(
            ([127, 0, 0, 1], 9).into(),
            SystemTime::UNIX_EPOCH,
            Revision::V4,
            "websocket",
            "/socket.io/?EIO=4&a=%20b",
            [("host", "h"), ("upgrade", "websocket"), ("cookie", "a: b"), ("x", "")].into_iter(),
        );
        assert_eq!(handshake.url(), "/socket.io/?EIO=4&a=%20b");
        assert_eq!(handshake.query()[1], ("a".to_owned(), " b".to_owned()));
        assert_eq!(
            handshake.headers().collect::<Vec<_>>(),
            [("host", "h"), ("cookie", "a: b"), ("x", "")]
        );
        assert_eq!(handshake.header("cookie"), Some("a: b"));
        assert_eq!(handshake.header("upgrade"), None);
    }
}
