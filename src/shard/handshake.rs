//! How a connection began.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::engineio::Revision;
use crate::websocket::decode_query;

/// The request with which a connection began, as an application may ask for it.
///
/// It is one piece of text, taken apart when somebody asks, so that a
/// connection that nobody asks about costs little. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// A line of our own, the target, then a line `name: value` for each header.
    text: Arc<str>,
}

/// The transport that a connection began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// Its name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl Handshake {
    /// What a request said; its header names are in lower case.
    pub fn new<'a>(
        address: SocketAddr,
        time: SystemTime,
        revision: Revision,
        transport: Transport,
        is_secure: bool,
        target: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let revision = match revision {
            Revision::V3 => '3',
            Revision::V4 => '4',
        };
        let (transport, ms) = (transport.as_str(), since_epoch.as_millis());
        let scheme = if is_secure { "https" } else { "http" };
        let mut text = format!("{address} {ms} {revision} {transport} {scheme}\n{target}");
        for (name, value) in headers.filter(|(name, _)| !of_one_hop(name)) {
            // No header holds a line break: the parser of the head saw to that.
            text.extend(["\n", name, ": ", value]);
        }
        Self { text: text.into() }
    }

    /// Where the connection came from.
    pub fn address(&self) -> SocketAddr {
        self.word(0).parse().expect("it was written by `new`")
    }

    /// When it began; whole milliseconds.
    pub fn time(&self) -> SystemTime {
        let ms = self.word(1).parse().expect("it was written by `new`");
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// Which revision of Engine.IO the client speaks.
    pub fn revision(&self) -> Revision {
        if self.word(2) == "3" { Revision::V3 } else { Revision::V4 }
    }

    /// The transport that the connection began with.
    pub fn transport(&self) -> Transport {
        if self.word(3) == "polling" { Transport::Polling } else { Transport::WebSocket }
    }

    /// Whether it came over TLS.
    pub fn is_secure(&self) -> bool {
        self.word(4) == "https"
    }

    fn word(&self, place: usize) -> &str {
        let line = self.text.split('\n').next().unwrap_or_default();
        line.split(' ').nth(place).unwrap_or_default()
    }

    /// The path and the query, as sent.
    pub fn url(&self) -> &str {
        self.text.split('\n').nth(1).unwrap_or_default()
    }

    /// The pairs of the query, decoded, in the order sent.
    pub fn query(&self) -> Vec<(String, String)> {
        decode_query(self.url().split_once('?').map_or("", |(_, query)| query))
    }

    /// Names (in lower case) and values of the headers, in the order sent;
    /// without those that concern the connection alone.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.split('\n').skip(2).filter_map(|line| line.split_once(": "))
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
            SystemTime::UNIX_EPOCH + Duration::from_millis(1234),
            Revision::V4,
            Transport::WebSocket,
            true,
            "/socket.io/?EIO=4&a=%20b",
            [("host", "h"), ("upgrade", "websocket"), ("cookie", "a: b"), ("x", "")].into_iter(),
        );
        assert_eq!(handshake.address(), ([127, 0, 0, 1], 9).into());
        assert_eq!(handshake.time(), SystemTime::UNIX_EPOCH + Duration::from_millis(1234));
        assert_eq!(handshake.revision(), Revision::V4);
        assert_eq!(handshake.transport(), Transport::WebSocket);
        assert!(handshake.is_secure());
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
