//! A session that polls, by scripts of requests and answers, and by whatever bytes a
//! server sends.

use std::rc::Rc;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::client::tap::Outlet;
use crate::client::testing::{Notes, Tapped, at, describe, messages};
use crate::client::{Join, Options, Outgoing, Session};
use crate::websocket::{decode_request, encode_accept, encode_close};

const OPEN: &str = r#"0{"sid":"s 1","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":40}"#;
const CONNECTED: &str = r#"40{"sid":"A"}"#;

/// A session, and a server that answers as it is told to.
struct Client {
    session: Session,
    heard: Vec<String>,
}

impl Client {
    fn with(options: Options) -> Self {
        let (options, mut out) = (Arc::new(options), Vec::new());
        let session = Session::new(options, [Join::new("/")], 1, at(0), &mut out);
        assert!(out.is_empty(), "the ports speak");
        Self { session, heard: Vec::new() }
    }

    fn new(transport: Transport) -> Self {
        Self::with(Options { transport, ..Options::default() })
    }

    /// In the namespace `/`, with a GET under way.
    fn connected(transport: Transport) -> Self {
        let mut client = Self::new(transport);
        client.opens();
        client.replies(Port::Post, "ok");
        client.replies(Port::Get, CONNECTED);
        assert_eq!(client.requests(Port::Get), ["GET"]);
        assert_eq!(client.heard(), ["opened", "connected / A"]);
        client
    }

    fn opens(&mut self) {
        assert_eq!(self.requests(Port::Get), ["GET"]);
        self.replies(Port::Get, OPEN);
        assert_eq!(self.requests(Port::Get), ["GET"]);
        assert_eq!(self.requests(Port::Post), ["POST 40"]);
    }

    /// The probe is answered, and the request for it was in order.
    fn probed(&mut self) {
        let request = self.out(Port::Probe);
        let (request, _) = decode_request(&request).unwrap().unwrap();
        assert_eq!(request.target, "/socket.io/?EIO=4&transport=websocket&sid=s%201");
        let mut bytes = Vec::new();
        encode_accept(request.websocket_key().unwrap(), None, &mut bytes);
        assert_eq!(self.hears(Port::Probe, &bytes), None);
        assert_eq!(frames_of(self.out(Port::Probe)), ["2probe"]);
    }

    fn answers_probe(&mut self) -> Option<Vec<u8>> {
        self.hears(Port::Probe, &text("3probe"))
    }

    fn replies(&mut self, port: Port, body: &str) -> Option<Vec<u8>> {
        self.replies_as(port, "200 OK", "", body)
    }

    fn replies_as(
        &mut self,
        port: Port,
        status: &str,
        header: &str,
        body: &str,
    ) -> Option<Vec<u8>> {
        let length = body.len();
        let reply = format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\n\r\n{body}");
        self.hears(port, reply.as_bytes())
    }

    fn hears(&mut self, port: Port, bytes: &[u8]) -> Option<Vec<u8>> {
        self.hears_at(port, bytes, 0)
    }

    fn hears_at(&mut self, port: Port, bytes: &[u8], seconds: u64) -> Option<Vec<u8>> {
        let heard = &mut self.heard;
        let mut note = |event: crate::client::Event<'_>, outgoing: &mut Outgoing<'_>| {
            heard.push(describe(&event));
            if let crate::client::Event::Event { namespace, args, .. } = event
                && args.event() == "echo"
            {
                outgoing.emit(namespace, args.json(), &[]).unwrap();
            }
        };
        self.session.handle_port(port, bytes, at(seconds), &mut note)
    }

    fn emits(&mut self, json: &str) {
        self.says(0, |outgoing| outgoing.emit("/", json, &[]).unwrap());
    }

    fn says(&mut self, seconds: u64, say: impl FnOnce(&mut Outgoing<'_>)) {
        let mut out = Vec::new();
        say(&mut self.session.outgoing(at(seconds), &mut out));
        self.session.queue(&out, at(seconds));
    }

    fn polling(&mut self) -> &mut Polling {
        self.session.polling.as_mut().unwrap()
    }

    fn out(&mut self, port: Port) -> Vec<u8> {
        std::mem::take(&mut self.polling().end(port).out)
    }

    /// The request since the last call, if there is one: method and body.
    fn requests(&mut self, port: Port) -> Vec<String> {
        let text = String::from_utf8(self.out(port)).unwrap();
        let request = text.split_once("\r\n\r\n").map(|(head, body)| {
            let method = head.split(' ').next().unwrap();
            format!("{method} {}", body.replace('\u{1e}', "|")).trim_end().to_owned()
        });
        request.into_iter().collect()
    }

    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    fn closed(&self) -> String {
        self.session.closed().map(ToString::to_string).unwrap_or_default()
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(Opcode::Text, &[text.as_bytes()], None, &mut bytes);
    bytes
}

fn frames_of(mut bytes: Vec<u8>) -> Vec<String> {
    messages(&mut websocket::Decoder::new(Role::Server), &mut bytes)
}

#[test]
fn a_client_that_polls_says_what_the_javascript_client_says() {
    let mut client = Client::new(Transport::Polling);
    let request = String::from_utf8(client.out(Port::Get)).unwrap();
    assert!(request.starts_with("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"));
    client.replies(Port::Get, OPEN);
    let request = String::from_utf8(client.out(Port::Get)).unwrap();
    assert!(
        request.starts_with("GET /socket.io/?EIO=4&transport=polling&sid=s%201 HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(client.requests(Port::Post), ["POST 40"]);
    assert!(client.out(Port::Probe).is_empty(), "it was not asked to upgrade");
    client.replies(Port::Post, "ok");
    client.replies(Port::Get, &format!("{CONNECTED}\u{1e}42[\"echo\",1]\u{1e}2\u{1e}42[\"b\"]"));
    assert_eq!(
        client.heard(),
        ["opened", "connected / A", r#"event / None ["echo",1] []"#, r#"event / None ["b"] []"#]
    );
    // What is said in the meantime waits for the answer, and goes together.
    assert_eq!(client.requests(Port::Post), [r#"POST 42["echo",1]|3"#]);
    client.emits(r#"["c"]"#);
    let bytes = [bytes::Bytes::from_static(&[1, 2, 3, 4])];
    client.says(0, |outgoing| {
        outgoing.emit("/", r#"["d",{"_placeholder":true,"num":0}]"#, &bytes).unwrap()
    });
    assert_eq!(client.requests(Port::Post), [""; 0]);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), [r#"POST 42["c"]"#]);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), [r#"POST 451-["d",{"_placeholder":true,"num":0}]"#]);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), ["POST bAQIDBA=="]);
}

#[test]
fn a_post_takes_what_the_server_said_it_takes_and_at_least_one_packet() {
    let mut client = Client::connected(Transport::Polling);
    client.emits(r#"["busy"]"#);
    client.requests(Port::Post);
    // 2 + 17, 1 and 2 + 18 bytes are one too many for 40 with a separator; one less fits.
    client.emits(r#"["aaaaaaaaaaaaa"]"#);
    client.emits(r#"["bbbbbbbbbbbbb1"]"#);
    client.emits(r#"["c"]"#);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), [r#"POST 42["aaaaaaaaaaaaa"]|42["bbbbbbbbbbbbb1"]"#]);
    client.emits(&format!(r#"["{}"]"#, "d".repeat(100)));
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), [r#"POST 42["c"]"#]);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post).len(), 1, "the server has the last word on it");
    assert_eq!(client.polling().backlog_bytes(), 0);
}

#[test]
fn what_was_queued_goes_over_the_websocket_and_in_order() {
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.emits(r#"["a"]"#);
    assert_eq!(client.requests(Port::Post), [r#"POST 42["a"]"#]);
    client.probed();
    assert!(client.session.is_upgrading());
    assert_eq!(client.answers_probe(), None);
    client.emits(r#"["b"]"#);
    client.replies(Port::Post, "ok");
    assert_eq!(client.requests(Port::Post), [""; 0], "it pauses");
    // The answer to the last GET, and what is said to that, go first.
    let first = client.replies(Port::Get, r#"42["echo"]"#).unwrap();
    assert_eq!(frames_of(first), ["5", r#"42["b"]"#, r#"42["echo"]"#]);
    assert!(client.session.polling.is_none() && !client.session.is_upgrading());
    assert!(client.session.phases().upgraded_at.is_some());
    let mut out = Vec::new();
    let mut ignore = |_: crate::client::Event<'_>, _: &mut Outgoing<'_>| {};
    client.session.handle_bytes(&mut text("2"), at(1), &mut out, &mut ignore);
    client.session.outgoing(at(1), &mut out).emit("/", r#"["c"]"#, &[]).unwrap();
    assert_eq!(frames_of(out), ["3", r#"42["c"]"#]);
}

#[test]
fn a_tap_sees_what_leaves_and_by_which_way() {
    let mut client = Client::new(Transport::PollingThenUpgrade);
    let tapped = Tapped::default();
    client.session.core.tap = Outlet::new(Box::new(Notes(Rc::clone(&tapped))));
    client.opens();
    client.replies(Port::Get, CONNECTED);
    assert_eq!(client.requests(Port::Get), ["GET"]);
    // This waits for the answer to the POST.
    client.emits(r#"["a"]"#);
    client.probed();
    client.answers_probe();
    client.replies(Port::Post, "ok");
    // The answer to the GET is all that is missing.
    client.replies(Port::Get, "2\u{1e}6");
    let open = format!("heard Polling {OPEN}");
    let expected = [
        &open,
        "answered",
        "said Polling 40",
        "asked",
        r#"heard Polling 40{"sid":"A"}"#,
        "answered",
        "asked",
        "said Probe 2probe",
        "heard Probe 3probe",
        "heard Polling 2",
        "heard Polling 6",
        "answered",
        "said Probe 5",
        r#"said WebSocket 42["a"]"#,
        "said WebSocket 3",
    ];
    assert_eq!(*tapped.borrow(), expected);
}

#[test]
fn a_probe_that_fails_leaves_polling_as_it_was() {
    let mut close = Vec::new();
    encode_close(1000, None, &mut close);
    let twice = [text("3probe"), text("3probe")].concat();
    let refusals: [&[u8]; 5] = [&text("3"), &text("41"), &close, &[0xff; 4], &twice];
    for refusal in refusals {
        let mut client = Client::connected(Transport::PollingThenUpgrade);
        client.probed();
        assert_eq!(client.hears(Port::Probe, refusal), None);
        client.is_polling();
    }
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.replies_as(Port::Probe, "400 Bad Request", "", "");
    client.is_polling();
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.probed();
    client.session.lose_port(Port::Probe, CloseReason::Eof, at(0));
    client.is_polling();
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.probed();
    client.answers_probe();
    assert_eq!(client.session.deadline(), Some(at(20)));
    client.session.handle_timeout(at(20), &mut Vec::new());
    client.is_polling();
}

impl Client {
    fn is_polling(&mut self) {
        assert!(!self.session.is_upgrading() && !self.polling().is_wanted(Port::Probe));
        assert!(self.out(Port::Probe).is_empty());
        self.emits(r#"["a"]"#);
        assert_eq!(self.requests(Port::Post), [r#"POST 42["a"]"#]);
        self.replies(Port::Get, r#"42["b"]"#);
        assert_eq!(self.heard(), [r#"event / None ["b"] []"#]);
        assert_eq!(self.requests(Port::Get), ["GET"]);
        assert_eq!(self.session.deadline(), Some(at(45)));
        assert_eq!(self.closed(), "");
    }
}

#[test]
fn a_server_that_offers_no_websocket_is_not_probed() {
    let mut client = Client::new(Transport::PollingThenUpgrade);
    client.replies(Port::Get, &OPEN.replace(r#""websocket""#, ""));
    assert!(client.out(Port::Probe).is_empty());
    assert!(!client.session.is_upgrading());
}

#[test]
fn a_ping_of_the_server_on_the_probe_is_answered_there() {
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.probed();
    let mut ping = Vec::new();
    encode(Opcode::Ping, &[b"p"], None, &mut ping);
    client.hears(Port::Probe, &ping);
    assert_eq!(frames_of(client.out(Port::Probe)), ["pong [112]"]);
    assert_eq!(client.closed(), "");
}

#[test]
fn a_close_goes_by_post_and_drops_the_probe() {
    let mut client = Client::connected(Transport::PollingThenUpgrade);
    client.probed();
    client.answers_probe();
    client.says(0, |outgoing| outgoing.close());
    assert!(!client.polling().is_wanted(Port::Probe));
    assert_eq!(client.requests(Port::Post), ["POST 41|1"]);
    client.replies(Port::Get, "6");
    assert_eq!(client.requests(Port::Get), [""; 0], "the server knows the session no more");
    assert_eq!(client.closed(), "");
    client.replies(Port::Post, "ok");
    assert_eq!(client.session.closed(), Some(&CloseReason::Client));

    let mut client = Client::connected(Transport::Polling);
    client.says(0, |outgoing| outgoing.close());
    assert_eq!(client.session.deadline(), Some(at(5)));
    client.session.handle_timeout(at(5), &mut Vec::new());
    assert_eq!(client.session.closed(), Some(&CloseReason::Client));

    let mut client = Client::new(Transport::Polling);
    client.says(0, |outgoing| outgoing.close());
    assert_eq!(client.session.closed(), Some(&CloseReason::Client));
}

#[test]
fn ends_have_names() {
    type Step = fn(&mut Client);
    let steps: [(Step, &str); 8] = [
        (|client| drop(client.replies(Port::Get, "1")), "session closed by the server"),
        (
            |client| drop(client.replies_as(Port::Get, "400 Bad", "", "{}")),
            "polling: server answered HTTP status 400",
        ),
        (
            |client| {
                client.emits(r#"["a"]"#);
                client.replies_as(Port::Post, "413 Long", "", "");
            },
            "polling: server answered HTTP status 413",
        ),
        (|client| drop(client.replies(Port::Get, "")), "protocol: payload: empty packet"),
        (
            |client| drop(client.hears(Port::Post, b"HTTP/1.1 200 OK\r\n")),
            "polling: answer to no request",
        ),
        (|client| client.session.lose_port(Port::Get, CloseReason::Eof, at(0)), "stream ended"),
        (
            |client| {
                let json = format!(r#"["{}"]"#, "a".repeat(1 << 20));
                client.emits(&json);
            },
            "more than 1048576 bytes wait to be sent",
        ),
        (|client| client.session.handle_timeout(at(45), &mut Vec::new()), "no ping in time"),
    ];
    for (step, reason) in steps {
        let mut client = Client::connected(Transport::Polling);
        step(&mut client);
        assert_eq!(client.closed(), reason);
    }
    let mut client = Client::new(Transport::Polling);
    client.replies_as(Port::Get, "404 Not Found", "", "");
    assert_eq!(client.closed(), "handshake: server answered HTTP status 404");
    for first in ["6", "4hello", "40", "bAA=="] {
        let mut client = Client::new(Transport::Polling);
        client.replies(Port::Get, first);
        assert_eq!(client.closed(), "protocol: packet before the session was open", "{first}");
    }
}

#[test]
fn an_answer_is_bounded() {
    for (bytes_max, reason) in
        [(OPEN.len(), ""), (OPEN.len() - 1, "polling: answer of more than 104 bytes")]
    {
        let options = Options {
            transport: Transport::Polling,
            answer_bytes_max: bytes_max,
            ..Options::default()
        };
        let mut client = Client::with(options);
        client.replies(Port::Get, OPEN);
        assert_eq!(client.closed(), reason.replace("104", &bytes_max.to_string()));
    }
}

#[test]
fn streams_are_used_again_unless_they_are_closed_or_old() {
    let mut client = Client::connected(Transport::Polling);
    let posts_after = |client: &mut Client, seconds: u64| {
        client.says(seconds, |outgoing| outgoing.emit("/", "[\"a\"]", &[]).unwrap());
        client.requests(Port::Post);
        std::mem::take(&mut client.polling().end(Port::Post).is_worn)
    };
    assert!(!posts_after(&mut client, 4), "idle since 0");
    client.hears_at(Port::Post, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 4);
    assert!(posts_after(&mut client, 9), "idle since 4");
    client.replies_as(Port::Post, "200 OK", "Connection: close\r\n", "ok");
    assert!(std::mem::take(&mut client.polling().end(Port::Post).is_worn));
    client.session.lose_port(Port::Post, CloseReason::Eof, at(9));
    assert!(client.polling().end(Port::Post).is_worn);
    assert_eq!(client.closed(), "", "an idle stream may end");
}

proptest! {
    #[test]
    fn cuts_change_nothing(cuts in vec(1..50_usize, 0..40)) {
        let mut client = Client::new(Transport::PollingThenUpgrade);
        let body = [OPEN, CONNECTED, r#"42["echo",1]"#, "2"].join("\u{1e}");
        let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut rest = bytes.as_bytes();
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            if !piece.is_empty() {
                client.hears(Port::Get, piece);
            }
            rest = behind;
        }
        if !rest.is_empty() {
            client.hears(Port::Get, rest);
        }
        let expected = ["opened", "connected / A", r#"event / None ["echo",1] []"#];
        prop_assert_eq!(client.heard(), expected);
    }

    /// To any port, in any phase: an end with a name, or nothing.
    #[test]
    fn any_bytes_are_harmless(
        phase in 0..4,
        port in 0..3_usize,
        is_answer: bool,
        bytes in vec(any::<u8>(), 0..100),
    ) {
        let mut client = Client::new(Transport::PollingThenUpgrade);
        if phase > 0 {
            client.opens();
        }
        if phase > 1 {
            client.probed();
        }
        if phase > 2 {
            client.answers_probe();
        }
        if is_answer {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
            client.hears(Port::ALL[port], head.as_bytes());
        }
        client.hears(Port::ALL[port], &bytes);
    }
}
