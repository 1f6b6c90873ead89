//! A client that polls: every request on a connection of its own, so that any
//! two of them can be under way at a time.

use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Response, UPGRADE, Wire};

/// One session, and what its requests look like.
#[derive(Clone)]
pub(crate) struct Poller {
    server: SocketAddr,
    revision: u8,
    pub(crate) sid: String,
    /// What the server said when the session began.
    pub(crate) open: Value,
}

impl Poller {
    /// A session of today's protocol.
    pub(crate) fn begin(server: SocketAddr) -> Self {
        let response = request(server, "GET", &target(4, ""), "", b"");
        assert_eq!(response.status, 200, "{}", response.head);
        let json = response.text().strip_prefix('0').expect("an open packet");
        Self::new(server, 4, serde_json::from_str(json).expect("the open packet is JSON"))
    }

    /// A session of revision 3; `query` is what else it asks for.
    pub(crate) fn begin_v3(server: SocketAddr, query: &str) -> (Self, String) {
        let response = request(server, "GET", &target(3, query), "", b"");
        assert_eq!(response.status, 200, "{}", response.head);
        let (length, rest) = response.text().split_once(':').expect("a length");
        let (packet, rest) = rest.split_at(length.parse().expect("ASCII: as many bytes"));
        let json = packet.strip_prefix('0').expect("an open packet");
        let open = serde_json::from_str(json).expect("the open packet is JSON");
        (Self::new(server, 3, open), rest.to_owned())
    }

    fn new(server: SocketAddr, revision: u8, open: Value) -> Self {
        let sid = open["sid"].as_str().expect("a session id").to_owned();
        Self { server, revision, sid, open }
    }

    /// Where the session's requests go.
    pub(crate) fn target(&self) -> String {
        target(self.revision, &format!("&sid={}", self.sid))
    }

    /// Begins a poll; its answer may take a while.
    pub(crate) fn poll(&self) -> Wire {
        let mut wire = Wire::dial(self.server);
        send(&mut wire, "GET", &self.target(), "", b"");
        wire
    }

    /// Polls, and waits for the answer.
    pub(crate) fn get(&self) -> Response {
        self.poll().response()
    }

    /// The text that a poll brings.
    pub(crate) fn got(&self) -> String {
        let response = self.get();
        assert_eq!(response.status, 200, "{}", response.text());
        response.text().to_owned()
    }

    pub(crate) fn post(&self, body: &[u8]) -> Response {
        self.post_as("text/plain;charset=UTF-8", body)
    }

    pub(crate) fn post_as(&self, kind: &str, body: &[u8]) -> Response {
        let kind = format!("Content-Type: {kind}\r\n");
        request(self.server, "POST", &self.target(), &kind, body)
    }

    /// Posts what must be taken.
    pub(crate) fn posts(&self, body: &str) {
        let response = self.post(body.as_bytes());
        assert_eq!((response.status, response.text()), (200, "ok"));
    }

    /// A WebSocket for this session.
    pub(crate) fn websocket(&self) -> Wire {
        let mut wire = self.ask_for_websocket(self.revision);
        let response = wire.response();
        assert_eq!(response.status, 101, "{}", response.head);
        wire
    }

    /// Asks for a WebSocket as a client of some revision.
    pub(crate) fn ask_for_websocket(&self, revision: u8) -> Wire {
        let mut wire = Wire::dial(self.server);
        let target = target(revision, &format!("&sid={}", self.sid));
        let target = target.replace("polling", "websocket");
        wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
        wire
    }

    /// The session is over: each request is refused so.
    pub(crate) fn is_over(&self) {
        for (method, body) in [("GET", &b""[..]), ("POST", b"4late")] {
            let response = request(self.server, method, &self.target(), "", body);
            assert_eq!(response.status, 400, "{method}");
            let error: Value = serde_json::from_slice(&response.body).expect("JSON");
            assert_eq!(error["code"], 1, "{method}: {error}");
        }
        let response = self.ask_for_websocket(self.revision).response();
        assert_eq!(response.status, 400);
    }
}

fn target(revision: u8, query: &str) -> String {
    format!("/socket.io/?EIO={revision}&transport=polling{query}")
}

/// Sends one request on a connection that stays open.
pub(crate) fn send(wire: &mut Wire, method: &str, target: &str, headers: &str, body: &[u8]) {
    let length = match method {
        "GET" | "OPTIONS" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let mut bytes =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n")
            .into_bytes();
    bytes.extend_from_slice(body);
    wire.send(&bytes);
}

/// One request on a connection of its own.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Response {
    let mut wire = Wire::dial(server);
    send(&mut wire, method, target, headers, body);
    wire.response()
}
