//! The opening handshake: an HTTP request and its 101 answer.
//!
//! Only heads are read and written here. What a server answers to a request
//! that is no WebSocket handshake is not decided here.
//!
//! # Spec
//!
//! RFC 6455, section 4; RFC 7692, section 7.1; WHATWG URL, "application/x-www-form-urlencoded parsing".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

use super::deflate;

/// The longest head of a request or of an answer, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The most header lines in one head.
pub const HEADERS_MAX: usize = 100;

const KEY_BYTES: usize = 16;

/// What RFC 6455 has a server append to the key before it hashes both.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why bytes from a peer are not the handshake that we expect.
///
/// Every variant is the peer's fault. A server answers with
/// [`status`](Self::status) and closes; a client closes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server's accept key does not belong to our key.
    #[error("accept key does not answer our key")]
    AcceptKey,
    /// A handshake that announces a body; its bytes would pass for frames.
    #[error("handshake request with a body")]
    Body,
    /// The server uses an extension that we have not offered.
    #[error("server uses an extension that was not offered")]
    Extension,
    /// A head over the limit.
    #[error("head of more than {max_bytes} bytes")]
    HeadTooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// A header that is missing, there twice, or says something else.
    #[error("header {0} is missing or wrong")]
    Header(&'static str),
    /// Not a GET request of HTTP/1.1.
    #[error("a handshake is a GET request of HTTP/1.1")]
    Method,
    /// The server answers, but not with 101.
    #[error("server answered HTTP status {0}")]
    Status(u16),
    /// Not HTTP.
    #[error("not HTTP/1: {0}")]
    Syntax(httparse::Error),
    /// More header lines than the limit.
    #[error("more than {max} headers")]
    TooManyHeaders {
        /// The limit.
        max: usize,
    },
    /// A version of the WebSocket protocol other than 13.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
}

impl HandshakeError {
    /// The HTTP status with which a server answers.
    ///
    /// # Spec
    ///
    /// RFC 6455, section 4.4 (426); RFC 6585, section 5 (431).
    pub fn status(&self) -> u16 {
        match self {
            Self::AcceptKey
            | Self::Body
            | Self::Extension
            | Self::Header(_)
            | Self::Status(_)
            | Self::Syntax(_) => 400,
            Self::HeadTooLong { .. } | Self::TooManyHeaders { .. } => 431,
            Self::Method => 405,
            Self::Version => 426,
        }
    }
}

/// The head of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// The target, as sent.
    pub target: String,
    /// The target up to the question mark, as sent.
    pub path: String,
    /// The pairs of the query, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// Names in lower case, and values, in the order sent.
    pub headers: Vec<(String, String)>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor_version: u8,
}

impl Request {
    /// The value of the first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// The first value of this name in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// The key of a WebSocket handshake, to be handed to [`encode_accept`].
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] if this is not a handshake of version 13.
    ///
    /// # Spec
    ///
    /// RFC 6455, section 4.2.1.
    pub fn websocket_key(&self) -> Result<&str, HandshakeError> {
        if self.method != "GET" || self.minor_version != 1 {
            return Err(HandshakeError::Method);
        }
        if !self.asks_for_websocket() {
            return Err(HandshakeError::Header("Upgrade"));
        }
        if !has_token(self.headers("connection"), "upgrade") {
            return Err(HandshakeError::Header("Connection"));
        }
        if !self.headers("sec-websocket-version").eq(["13"]) {
            return Err(HandshakeError::Version);
        }
        let body = self.header("content-length").is_some_and(|length| length != "0");
        if body || self.header("transfer-encoding").is_some() {
            return Err(HandshakeError::Body);
        }
        let mut keys = self.headers("sec-websocket-key");
        match (keys.next(), keys.next()) {
            (Some(key), None) if decodes_to_key(key) => Ok(key),
            _ => Err(HandshakeError::Header("Sec-WebSocket-Key")),
        }
    }

    /// What to answer, if it offers compression that can be met; to be handed to
    /// [`encode_accept`], unless messages are not to be compressed.
    pub fn deflate(&self) -> Option<&'static str> {
        deflate::agree(self.headers("sec-websocket-extensions"))
    }

    /// Whether it asks for a WebSocket, well or badly.
    pub fn asks_for_websocket(&self) -> bool {
        has_token(self.headers("upgrade"), "websocket")
    }

    fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |pair| pair.0 == name).map(|pair| pair.1.as_str())
    }
}

/// Decodes the request at the front of `bytes` and says how long its head is;
/// `None` if more bytes are needed.
///
/// # Errors
///
/// [`HandshakeError`] if this is not HTTP/1 or its head is over a limit.
pub fn decode_request(bytes: &[u8]) -> Result<Option<(Request, usize)>, HandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let Some(head_len) = head_len(request.parse(bytes), bytes)? else { return Ok(None) };
    let complete = "a complete request has it";
    let target = request.path.expect(complete);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: request.method.expect(complete).to_owned(),
        target: target.to_owned(),
        path: path.to_owned(),
        query: decode_query(query),
        headers: owned_headers(request.headers),
        minor_version: request.version.expect(complete),
    };
    Ok(Some((request, head_len)))
}

/// Appends the 101 answer to a handshake with this key; `extensions` are what was agreed on.
///
/// # Spec
///
/// RFC 6455, section 4.2.2.
pub fn encode_accept(key: &str, extensions: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\n\
          Upgrade: websocket\r\n\
          Connection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept_key(key).as_bytes());
    if let Some(extensions) = extensions {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        out.extend_from_slice(extensions.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends a client's handshake request.
///
/// `target` is the path with the query, encoded. `key` is fresh and random for
/// every connection. `headers` come on top of those that a handshake needs.
///
/// # Panics
///
/// If a line break in an argument would begin another header.
///
/// # Spec
///
/// RFC 6455, section 4.1.
pub fn encode_request(
    host: &str,
    target: &str,
    key: [u8; 16],
    headers: &[(String, String)],
    out: &mut Vec<u8>,
) {
    let mut push = |pieces: &[&str]| {
        for piece in pieces {
            assert!(!piece.contains(['\r', '\n', '\0']), "line break in {piece:?}");
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    };
    push(&["GET ", target, " HTTP/1.1"]);
    push(&["Host: ", host]);
    push(&["Upgrade: websocket"]);
    push(&["Connection: Upgrade"]);
    push(&["Sec-WebSocket-Version: 13"]);
    push(&["Sec-WebSocket-Key: ", &BASE64.encode(key)]);
    for (name, value) in headers {
        push(&[name, ": ", value]);
    }
    push(&[]);
}

/// Decodes the answer to a handshake with this key and says how long its head
/// is; `None` if more bytes are needed.
///
/// # Errors
///
/// [`HandshakeError`] if the server does not accept;
/// [`HandshakeError::Status`] names its reason.
///
/// # Spec
///
/// RFC 6455, section 4.1, the checks on the server's response.
pub fn decode_accept(bytes: &[u8], key: [u8; 16]) -> Result<Option<usize>, HandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let Some(head_len) = head_len(response.parse(bytes), bytes)? else { return Ok(None) };
    match response.code {
        Some(101) => {}
        status => return Err(HandshakeError::Status(status.unwrap_or_default())),
    }
    let headers = owned_headers(response.headers);
    let values = |name| headers.iter().filter(move |pair| pair.0 == name).map(|pair| &*pair.1);
    if !has_token(values("upgrade"), "websocket") {
        return Err(HandshakeError::Header("Upgrade"));
    }
    if !has_token(values("connection"), "upgrade") {
        return Err(HandshakeError::Header("Connection"));
    }
    if !values("sec-websocket-accept").eq([accept_key(&BASE64.encode(key)).as_str()]) {
        return Err(HandshakeError::AcceptKey);
    }
    if values("sec-websocket-extensions").next().is_some() {
        return Err(HandshakeError::Extension);
    }
    Ok(Some(head_len))
}

/// What a server answers to a handshake with this key.
///
/// # Spec
///
/// RFC 6455, section 4.2.2.
pub fn accept_key(key: &str) -> String {
    BASE64.encode(Sha1::new_with_prefix(key).chain_update(ACCEPT_SUFFIX).finalize())
}

fn decodes_to_key(key: &str) -> bool {
    BASE64.decode(key).is_ok_and(|key| key.len() == KEY_BYTES)
}

/// How long a complete head is, if it is one and within the limits.
fn head_len(
    parsed: httparse::Result<usize>,
    bytes: &[u8],
) -> Result<Option<usize>, HandshakeError> {
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => Some(len),
        Ok(httparse::Status::Partial) => None,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(HandshakeError::TooManyHeaders { max: HEADERS_MAX });
        }
        Err(error) => return Err(HandshakeError::Syntax(error)),
    };
    // An incomplete head that fills the limit would end beyond it.
    let least = len.unwrap_or(bytes.len() + 1);
    if least > REQUEST_BYTES_MAX {
        return Err(HandshakeError::HeadTooLong { max_bytes: REQUEST_BYTES_MAX });
    }
    Ok(len)
}

fn owned_headers(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let owned = |header: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    };
    headers.iter().map(owned).collect()
}

/// Whether one of the comma-separated lists names `token`, in whatever case.
fn has_token<'a>(mut lists: impl Iterator<Item = &'a str>, token: &str) -> bool {
    lists.any(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

/// The pairs of a query (what stands behind the question mark), decoded, in the order given.
pub fn decode_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_percent(name), decode_percent(value))
    };
    pairs.map(decoded).collect()
}

/// Decodes `%41` and `+`. As in browsers and in Node, a percent sign without two
/// hexadecimal digits stands for itself, and what is not UTF-8 is replaced.
fn decode_percent(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = tail;
                hex(*high) << 4 | hex(*low)
            }
            _ => byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
