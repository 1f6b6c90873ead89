//! A blocking WebSocket client that sends any bytes and reads strictly.
//!
//! Independent of the engine's codec on purpose: what both of them got wrong
//! in the same way could not be seen.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::process::PATIENCE;

/// The answer to the key of [`UPGRADE`], which is the example of RFC 6455, section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Where a client asks for a WebSocket.
pub(crate) const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Headers of a good upgrade, each with its line end.
pub(crate) const UPGRADE: [&str; 5] = [
    "Host: localhost\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Sec-WebSocket-Version: 13\r\n",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
];

/// What the server did next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Binary(Vec<u8>),
    Close(Option<u16>),
    /// The stream ended, or was reset.
    End,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Text(String),
}

/// An answer to an HTTP request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Everything up to the empty line.
    pub(crate) head: String,
    /// As much as the head says; else all that came before the stream ended.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body, which must be text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
    }
}

/// Breaks a connection off: its end hears of it by a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the option can be set");
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        reset(self.stream);
    }

    /// A TCP connection on which nothing was said.
    pub(crate) fn dial(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("the option can be set");
        Self { stream, unread: Vec::new() }
    }

    /// A WebSocket; the open packet is not read yet.
    pub(crate) fn upgrade(server: SocketAddr) -> Self {
        let mut wire = Self::dial(server);
        wire.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
        let head = wire.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let answer = format!("sec-websocket-accept: {}", ACCEPT.to_ascii_lowercase());
        assert!(head.to_ascii_lowercase().contains(&answer), "{head}");
        wire
    }

    /// An Engine.IO connection: its open packet, and the connection.
    pub(crate) fn open(server: SocketAddr) -> (Value, Self) {
        let mut wire = Self::upgrade(server);
        let text = wire.text();
        let json = text.strip_prefix('0').unwrap_or_else(|| panic!("an open packet: {text}"));
        (serde_json::from_str(json).expect("the open packet is JSON"), wire)
    }

    /// A socket of the namespace `/`: CONNECT is answered and `hello` was read.
    pub(crate) fn chat(server: SocketAddr) -> Self {
        let mut wire = Self::open(server).1;
        wire.send_text("40");
        let connected = wire.text();
        assert!(connected.starts_with("40{\"sid\":"), "{connected}");
        let hello = wire.text();
        assert!(hello.starts_with("42[\"hello\","), "{hello}");
        wire
    }

    /// Sends raw bytes. The server may have closed already: what it said is then still read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) => assert!(is_end(error.kind()), "{error}"),
        }
    }

    /// Sends one text frame.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(&text_frame(text));
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        // The server may have reset the connection, which is its answer then.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next frame, or the end. Fails if neither comes.
    pub(crate) fn next(&mut self) -> Seen {
        loop {
            if let Some((seen, length)) = parse_frame(&self.unread) {
                self.unread.drain(..length);
                return seen;
            }
            if !self.read_more() {
                assert_eq!(self.unread, b"", "the stream ended inside a frame");
                return Seen::End;
            }
        }
    }

    /// The next frame, compressed or not: its first byte and its payload.
    pub(crate) fn raw_frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((first, payload, length)) = split_frame(&self.unread) {
                let frame = (first, payload.to_vec());
                self.unread.drain(..length);
                return frame;
            }
            assert!(self.read_more(), "the stream ended instead of a frame");
        }
    }

    /// The next frame, which must be text.
    pub(crate) fn text(&mut self) -> String {
        let seen = self.next();
        let Seen::Text(text) = seen else { panic!("text was expected, not {seen:?}") };
        text
    }

    /// An answer to what was sent as HTTP.
    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("a status line: {head}"));
        let mut response = Response { status, head, body: Vec::new() };
        let length: Option<usize> =
            response.header("content-length").map(|length| length.parse().expect("a length"));
        // These have no body and say nothing of it.
        let length = length.or_else(|| matches!(status, 101 | 204).then_some(0));
        while length.is_none_or(|length| self.unread.len() < length) && self.read_more() {}
        let length = length.unwrap_or(self.unread.len());
        assert!(self.unread.len() >= length, "the stream ended inside the body");
        response.body = self.unread.drain(..length).collect();
        response
    }

    /// Reads until the stream ends, and returns whatever came.
    pub(crate) fn everything(&mut self) -> Vec<u8> {
        self.everything_until(|_| false)
    }

    /// Reads until the stream ends, whatever comes.
    pub(crate) fn ends(&mut self) {
        while self.read_more() {
            self.unread.clear();
        }
    }

    /// Reads until `enough` has come or the stream ends, and returns whatever came.
    pub(crate) fn everything_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        while !enough(&self.unread) && self.read_more() {}
        std::mem::take(&mut self.unread)
    }

    /// A round trip through the chat, which shows that this connection is served.
    pub(crate) fn echoes(&mut self, word: &str) {
        self.send_text(&format!("421[\"echo\",\"{word}\"]"));
        loop {
            match self.text() {
                ping if ping == "2" => self.send_text("3"),
                ack => return assert_eq!(ack, format!("431[\"{word}\"]")),
            }
        }
    }

    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).expect("the head is text");
            }
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(self.read_more(), "the stream ended inside the head: {so_far:?}");
        }
    }

    /// Reads what there is; false at the end of the stream.
    pub(crate) fn read_more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if is_end(error.kind()) => false,
            Err(error) => panic!("neither an answer nor the end came: {error}"),
        }
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

/// Reads one frame of a server: whole, unmasked, without reserved bits.
fn parse_frame(bytes: &[u8]) -> Option<(Seen, usize)> {
    let (first, payload, length) = split_frame(bytes)?;
    assert_eq!(first & 0xf0, 0x80, "one frame is one message: {first:#x}");
    let seen = match first & 0xf {
        1 => Seen::Text(String::from_utf8(payload.to_vec()).expect("text is UTF-8")),
        2 => Seen::Binary(payload.to_vec()),
        8 => Seen::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        9 => Seen::Ping(payload.to_vec()),
        10 => Seen::Pong(payload.to_vec()),
        other => panic!("a server sends no frame with opcode {other}"),
    };
    Some((seen, length))
}

/// The first byte of a server's frame, its payload, and how long it is.
fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (length, rest) = match second {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(*short), rest),
    };
    let payload = rest.get(..usize::try_from(length).expect("the length fits"))?;
    Some((*first, payload, bytes.len() - rest.len() + payload.len()))
}

/// One masked frame: `first` is the first byte (FIN, reserved bits, opcode).
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = header(first, 0x80, payload.len() as u64);
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The header of a frame that declares `length`, without a mask key.
pub(crate) fn header(first: u8, mask_bit: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(mask_bit | length as u8),
        126..0x1_0000 => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// One text message.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// One binary message.
pub(crate) fn binary_frame(bytes: &[u8]) -> Vec<u8> {
    frame(0x82, bytes)
}
