//! The server as a URL, and as what a connection needs.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// Where a server is, read from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Name or address, without brackets.
    host: String,
    port: u16,
    /// From the URL's path, as in Socket.IO's own clients; `/` if it has none.
    pub(crate) namespace: String,
}

/// Why a URL is not a server that can be driven. Each says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} has no host; write a URL such as http://127.0.0.1:3000")]
    NoHost(String),
    #[error("{0:?} has no valid port; write a URL such as http://127.0.0.1:3000")]
    Port(String),
    #[error("{0:?} has a query, which is not sent; put what the server needs into --auth")]
    Query(String),
    #[error("{0:?} is not an http or ws URL; write one such as http://127.0.0.1:3000")]
    Scheme(String),
    #[error(
        "{0:?} asks for TLS, which loadgen does not speak; name the http port behind the TLS proxy"
    )]
    Tls(String),
}

impl Target {
    /// Reads `http://host[:port][/namespace]`; `ws` means the same, and so
    /// does no scheme at all.
    ///
    /// # Errors
    ///
    /// [`TargetError`] says what to write instead.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        match scheme {
            "http" | "ws" => {}
            "https" | "wss" => return Err(TargetError::Tls(url.to_owned())),
            _ => return Err(TargetError::Scheme(url.to_owned())),
        }
        if rest.contains(['?', '#']) {
            return Err(TargetError::Query(url.to_owned()));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) =
            split_port(authority).ok_or_else(|| TargetError::Port(url.to_owned()))?;
        if host.is_empty() || host.contains('@') {
            return Err(TargetError::NoHost(url.to_owned()));
        }
        let namespace = if path.is_empty() { "/" } else { path };
        Ok(Self { host: host.to_owned(), port, namespace: namespace.to_owned() })
    }

    /// The target of a server on this machine.
    pub(crate) fn local(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), namespace: "/".to_owned() }
    }

    /// Looks the name up, once: clients then all use one address.
    ///
    /// # Errors
    ///
    /// What the resolver says, or that it knows no address.
    pub(crate) fn resolve(&self) -> std::io::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        addresses.next().ok_or_else(|| std::io::Error::other("the name has no address"))
    }

    /// What the HTTP `Host` header says.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// Splits `host:port`, where an IPv6 host stands in brackets.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match port.strip_prefix(':') {
        Some(port) => Some((host, port.parse().ok().filter(|&port| port != 0)?)),
        None => port.is_empty().then_some((host, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_socket_io_clients_read_them() {
        for (url, host, port, namespace) in [
            ("http://localhost:3000", "localhost", 3000, "/"),
            ("http://localhost:3000/", "localhost", 3000, "/"),
            ("ws://10.0.0.1/chat", "10.0.0.1", 80, "/chat"),
            ("chat.example.com", "chat.example.com", 80, "/"),
            ("127.0.0.1:3000", "127.0.0.1", 3000, "/"),
            ("http://[::1]:3000/a/b", "::1", 3000, "/a/b"),
        ] {
            let expected = Target { host: host.to_owned(), port, namespace: namespace.to_owned() };
            assert_eq!(Target::parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_not_a_server_is_refused() {
        for url in [
            "",
            "http://",
            "http://:3000",
            "http://a:port",
            "http://a:0",
            "http://a:70000",
            "ftp://a",
            "https://a",
            "http://a/?b=c",
            "http://user@a",
            "http://[::1",
            "http://[::1]x",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn host_header_brackets_an_ipv6_address() {
        assert_eq!(Target::parse("http://[::1]:3000").unwrap().authority(), "[::1]:3000");
        assert_eq!(
            Target::local("127.0.0.1:4000".parse().unwrap()).to_string(),
            "http://127.0.0.1:4000"
        );
    }
}
