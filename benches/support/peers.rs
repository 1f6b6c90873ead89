//! Clients that cost as little as possible: one epoll, one buffer, and just
//! enough of the protocol to speak and to count what is heard.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use parlor::websocket::{Opcode, encode};
use rustix::event::epoll;

/// Some clients of one server.
pub(crate) struct Peers {
    streams: Vec<(TcpStream, Counter)>,
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    frame_bytes: usize,
}

/// Where one stream is in its frames.
#[derive(Clone, Copy, Default)]
struct Counter {
    /// Bytes of the frame that are still to come.
    left: usize,
    head: [u8; 4],
    head_bytes: usize,
    /// The first byte of the payload tells messages from everything else.
    is_long: bool,
}

impl Peers {
    /// Connects `count` clients and puts all of them into `room`.
    pub(crate) fn connect(server: SocketAddr, count: usize, room: &str) -> Self {
        let join = masked(&format!(r#"420["join","{room}"]"#));
        let streams = (0..count).map(|_| {
            let mut stream = TcpStream::connect(server).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            let mut request = Vec::new();
            let target = "/socket.io/?EIO=4&transport=websocket";
            parlor::websocket::encode_request(
                &server.to_string(),
                target,
                [7; 16],
                &[],
                &mut request,
            );
            request.extend(masked("40"));
            request.extend(&join);
            stream.write_all(&request).expect("the server reads");
            read_until(&mut stream, br#"430[{"#);
            read_until(&mut stream, b"]");
            stream
        });
        Self::adopt(streams.collect())
    }

    /// Takes connected streams, at the start of a frame.
    pub(crate) fn adopt(streams: Vec<TcpStream>) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        for (at, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true).expect("a TCP socket");
            let data = epoll::EventData::new_u64(at as u64);
            epoll::add(&epoll, stream, data, epoll::EventFlags::IN).expect("a stream");
        }
        let streams = streams.into_iter().map(|stream| (stream, Counter::default())).collect();
        Self {
            streams,
            epoll,
            events: Vec::with_capacity(256),
            buffer: vec![0; 1 << 16],
            frame_bytes: 0,
        }
    }

    /// Lets one client say something that is encoded already.
    pub(crate) fn send(&mut self, peer: usize, frame: &[u8]) {
        let stream = &mut self.streams[peer].0;
        let mut rest = frame;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("the server closed a client: {error}"),
            }
        }
    }

    /// Waits until something comes; returns how many messages it was.
    pub(crate) fn receive(&mut self) -> usize {
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        epoll::wait(&self.epoll, spare, None).expect("an epoll");
        let mut heard = 0;
        for event in &self.events {
            let (stream, counter) = &mut self.streams[event.data.u64() as usize];
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => panic!("the server closed a client"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("a client failed: {error}"),
            };
            heard += counter.count(&self.buffer[..count], &mut self.frame_bytes);
        }
        heard
    }

    /// Bytes of the last message heard, frame included.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }
}

impl Counter {
    /// Counts the messages (frames of 126 bytes and more) that end in `bytes`.
    fn count(&mut self, mut bytes: &[u8], frame_bytes: &mut usize) -> usize {
        let mut messages = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head[self.head_bytes] = bytes[0];
                self.head_bytes += 1;
                bytes = &bytes[1..];
                self.is_long = self.head[1] == 126;
                let wanted = if self.head_bytes >= 2 && !self.is_long { 2 } else { 4 };
                if self.head_bytes == wanted {
                    self.left = match self.head[1] {
                        126 => usize::from(u16::from_be_bytes([self.head[2], self.head[3]])),
                        short => usize::from(short),
                    };
                    *frame_bytes = if self.is_long { self.left + 4 } else { *frame_bytes };
                    self.head_bytes = 0;
                }
            } else {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                messages += usize::from(self.left == 0 && self.is_long);
            }
        }
        messages
    }
}

/// A `message` event of the chat, without an ack, as a client sends it.
pub(crate) fn message_packet(room: &str, body_bytes: usize) -> Vec<u8> {
    let body = "x".repeat(body_bytes);
    masked(&format!(r#"42["message",{{"room":"{room}","body":"{body}"}}]"#))
}

fn masked(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(Opcode::Text, &[text.as_bytes()], Some([1, 2, 3, 4]), &mut frame);
    frame
}

/// Reads byte by byte, so that nothing behind the end is lost.
fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(end) {
        stream.read_exact(&mut byte).expect("the server answers");
        seen.push(byte[0]);
    }
}
