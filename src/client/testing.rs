//! Both ends of a session for tests: a client that notes what it hears, and a server
//! that says what it is told to.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::websocket::{self, Message, Opcode, Role, decode_request, encode, encode_accept};

use super::tap::Outlet;
use super::{Event, Handler, Join, Options, Outgoing, Passing, Session, Tap};

pub(super) const OPENED: &str = r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
pub(super) const CONNECTED: &str = r#"40{"sid":"A"}"#;

/// A moment of the tests' time.
pub(super) fn at(seconds: u64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(|| tokio::time::Instant::now().into_std());
    *START + Duration::from_secs(seconds)
}

/// A server's end: encodes what it says, and decodes what it is told.
pub(super) struct Server {
    /// Said, and not yet taken by the client.
    pub(super) bytes: Vec<u8>,
    key: String,
}

impl Server {
    /// Answers the handshake in these bytes.
    pub(super) fn new(request: &[u8]) -> Self {
        let (request, _) = decode_request(request).unwrap().unwrap();
        Self { bytes: Vec::new(), key: request.websocket_key().unwrap().to_owned() }
    }

    pub(super) fn accept(&mut self) {
        encode_accept(&self.key, None, &mut self.bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        encode(Opcode::Text, &[text.as_bytes()], None, &mut self.bytes);
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) {
        encode(Opcode::Binary, &[bytes], None, &mut self.bytes);
    }

    pub(super) fn close(&mut self, code: u16) {
        websocket::encode_close(code, None, &mut self.bytes);
    }
}

/// A client's session with its surroundings.
pub(super) struct Client {
    pub(super) session: Session,
    /// What it has sent, and nobody has looked at.
    pub(super) out: Vec<u8>,
    pub(super) server: Server,
    heard: Vec<String>,
}

impl Client {
    pub(super) fn new(joins: impl IntoIterator<Item = Join>) -> Self {
        Self::with_seed(joins, 1)
    }

    pub(super) fn with_seed(joins: impl IntoIterator<Item = Join>, seed: u64) -> Self {
        let mut out = Vec::new();
        let session = Session::new(Arc::new(Options::default()), joins, seed, at(0), &mut out);
        let server = Server::new(&out);
        Self { session, out, server, heard: Vec::new() }
    }

    /// In the namespace `/`, and with nothing on the way.
    pub(super) fn connected() -> Self {
        let mut client = Self::new([Join::new("/")]);
        client.out.clear();
        client.server.accept();
        client.server.text(OPENED);
        client.server.text(CONNECTED);
        client.hear(0);
        assert_eq!(client.said(), ["40"]);
        assert_eq!(client.heard(), ["opened", "connected / A"]);
        client
    }

    /// Takes what the server has said.
    pub(super) fn hear(&mut self, seconds: u64) {
        self.hear_with(seconds, &mut |_, _| {});
    }

    pub(super) fn hear_and_close(&mut self, closes_at: usize) {
        let mut count = self.heard.len();
        self.hear_with(0, &mut |_, outgoing| {
            count += 1;
            if count == closes_at {
                outgoing.close();
            }
        });
    }

    pub(super) fn hear_with(&mut self, seconds: u64, handler: &mut Handler<'_>) {
        let mut bytes = std::mem::take(&mut self.server.bytes);
        let heard = &mut self.heard;
        let mut note = |event: Event<'_>, outgoing: &mut Outgoing<'_>| {
            heard.push(describe(&event));
            handler(event, outgoing);
        };
        self.session.handle_bytes(&mut bytes, at(seconds), &mut self.out, &mut note);
    }

    pub(super) fn say<T>(&mut self, say: impl FnOnce(&mut Outgoing<'_>) -> T) -> T {
        say(&mut self.session.outgoing(at(0), &mut self.out))
    }

    /// Puts a tap on; returns what it sees, from now on.
    pub(super) fn tap(&mut self) -> Tapped {
        let tapped = Tapped::default();
        self.session.core.tap = Outlet::new(Box::new(Notes(Rc::clone(&tapped))));
        tapped
    }

    /// What was heard since the last call.
    pub(super) fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    /// The messages sent since the last call, as a server understands them.
    pub(super) fn said(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.out);
        if bytes.starts_with(b"GET ") {
            let (_, len) = decode_request(&bytes).unwrap().unwrap();
            bytes.drain(..len);
        }
        messages(&mut websocket::Decoder::new(Role::Server), &mut bytes)
    }
}

/// The messages in these bytes of a client.
pub(super) fn messages(decoder: &mut websocket::Decoder, bytes: &mut [u8]) -> Vec<String> {
    let mut messages = Vec::new();
    let mut at = 0;
    loop {
        let (taken, message) = decoder.decode(&mut bytes[at..], usize::MAX).unwrap();
        at += taken;
        let Some(message) = message else { return messages };
        messages.push(show(message));
    }
}

fn show(message: Message<'_>) -> String {
    match message {
        Message::Binary(bytes) => format!("binary {bytes:?}"),
        Message::Close(code) => format!("close {code:?}"),
        Message::Ping(payload) => format!("ping {payload:?}"),
        Message::Pong(payload) => format!("pong {payload:?}"),
        Message::Text(text) => text.to_owned(),
    }
}

/// What a tap has seen, one line for each.
pub(super) type Tapped = Rc<RefCell<Vec<String>>>;

/// A tap that takes notes.
#[derive(Debug)]
pub(super) struct Notes(pub(super) Tapped);

impl Tap for Notes {
    fn handle(&mut self, passing: Passing<'_>) {
        let note = match passing {
            Passing::Answered => "answered".to_owned(),
            Passing::Asked => "asked".to_owned(),
            Passing::Heard { way, message } => format!("heard {way:?} {}", show(message)),
            Passing::ProbeGone => "probe gone".to_owned(),
            Passing::Said { way, message } => format!("said {way:?} {}", show(message)),
        };
        self.0.borrow_mut().push(note);
    }
}

/// One line for an event.
pub(super) fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Ack { namespace, id, args } => {
            format!("ack {namespace} {id} {} {:?}", args.json(), args.attachments())
        }
        Event::Connected { namespace, sid, recovered } => {
            let again = if *recovered { " again" } else { "" };
            format!("connected {namespace} {sid}{again}")
        }
        Event::Disconnected { namespace } => format!("disconnected {namespace}"),
        Event::Event { namespace, id, args } => {
            format!("event {namespace} {id:?} {} {:?}", args.json(), args.attachments())
        }
        Event::Opened { .. } => "opened".to_owned(),
        Event::Refused { namespace, data } => {
            format!("refused {namespace} {}", data.unwrap_or_default())
        }
    }
}

/// A server's end of a stream.
pub(super) struct Peer {
    stream: DuplexStream,
    decoder: websocket::Decoder,
    said: Server,
    heard: VecDeque<String>,
}

impl Peer {
    /// Answers the handshake.
    pub(super) async fn accept(mut stream: DuplexStream) -> Self {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let mut said = Server::new(&request);
        said.accept();
        let decoder = websocket::Decoder::new(Role::Server);
        let mut peer = Self { stream, decoder, said, heard: VecDeque::new() };
        peer.send().await;
        peer
    }

    /// Lets a client into `/`.
    pub(super) async fn let_in(stream: DuplexStream) -> Self {
        let mut peer = Self::accept(stream).await;
        peer.text(OPENED).await;
        assert_eq!(peer.next().await, "40");
        peer.text(CONNECTED).await;
        peer
    }

    pub(super) async fn text(&mut self, text: &str) {
        self.said.text(text);
        self.send().await;
    }

    pub(super) async fn close(&mut self) {
        self.said.close(1000);
        self.send().await;
    }

    async fn send(&mut self) {
        let bytes = std::mem::take(&mut self.said.bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message of the client, or `end` at the end of the stream.
    pub(super) async fn next(&mut self) -> String {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return message;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.unwrap();
            if count == 0 {
                return "end".to_owned();
            }
            self.heard.extend(messages(&mut self.decoder, &mut bytes[..count]));
        }
    }
}
