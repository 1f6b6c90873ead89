//! Tables and property tests of the opening handshake.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::{mutate, mutations};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The request of RFC 6455, section 1.2, as one line for each header.
const REQUEST: [&str; 8] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Origin: http://example.com",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Version: 13",
];

#[test]
fn handshake_of_the_rfc_example() {
    let request = request(&REQUEST);
    assert_eq!(request.websocket_key(), Ok(KEY));
    let mut out = Vec::new();
    encode_accept(KEY, None, &mut out);
    let answer = String::from_utf8(out).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
}

#[test]
fn both_ends_agree() {
    let key = [7; 16];
    let cookie = ("Cookie".to_owned(), "a=b".to_owned());
    let mut bytes = Vec::new();
    encode_request("chat:80", "/socket.io/?EIO=4&x=a%20b+c", key, &[cookie], &mut bytes);
    let (request, head_len) = decode_request(&bytes).unwrap().unwrap();
    assert_eq!(head_len, bytes.len());
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/socket.io/"));
    assert_eq!((request.query("EIO"), request.query("x")), (Some("4"), Some("a b c")));
    assert_eq!((request.header("cookie"), request.header("host")), (Some("a=b"), Some("chat:80")));

    let mut answer = Vec::new();
    encode_accept(request.websocket_key().unwrap(), None, &mut answer);
    assert_eq!(decode_accept(&answer, key), Ok(Some(answer.len())));
    assert_eq!(decode_accept(&answer, [8; 16]), Err(HandshakeError::AcceptKey));
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let bytes = format!("{}\x01\x02", head(&REQUEST));
    let (_, head_len) = decode_request(bytes.as_bytes()).unwrap().unwrap();
    assert_eq!(&bytes.as_bytes()[head_len..], b"\x01\x02");
}

#[test]
fn incomplete_heads_need_more_bytes() {
    let bytes = head(&REQUEST);
    for len in 0..bytes.len() {
        assert_eq!(decode_request(&bytes.as_bytes()[..len]), Ok(None), "{len} bytes");
    }
    let mut answer = Vec::new();
    encode_accept(KEY, None, &mut answer);
    for len in 0..answer.len() {
        assert_eq!(decode_accept(&answer[..len], [0; 16]), Ok(None), "{len} bytes");
    }
}

#[test]
fn query_is_decoded_as_browsers_do() {
    for (query, pairs) in [
        ("", &[][..]),
        ("&&", &[]),
        ("EIO=4&transport=websocket", &[("EIO", "4"), ("transport", "websocket")]),
        ("a", &[("a", "")]),
        ("a=1&a=2", &[("a", "1"), ("a", "2")]),
        ("a=b=c", &[("a", "b=c")]),
        ("%41%3d=%C3%a9+%2B", &[("A=", "é +")]),
        ("a=%&b=%4&c=%zz&d=%4g", &[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "%4g")]),
        ("a=%ff", &[("a", "\u{fffd}")]),
        ("__proto__=1", &[("__proto__", "1")]),
    ] {
        let request = request(&[&format!("GET /socket.io/?{query} HTTP/1.1")]);
        let found: Vec<_> = request.query.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!((found.as_slice(), request.path.as_str()), (pairs, "/socket.io/"), "{query}");
    }
    let first = request(&["GET /?a=1&a=2 HTTP/1.1"]);
    assert_eq!((first.query("a"), first.query("b")), (Some("1"), None));
}

#[test]
fn lists_of_tokens_may_be_written_in_many_ways() {
    for (at, line) in [
        (2, "upgrade: h2c, WebSocket"),
        (3, "CONNECTION: keep-alive,UPGRADE"),
        (3, "Connection: keep-alive\r\nConnection: Upgrade"),
        (5, "Content-Length: 0"),
    ] {
        let mut lines = REQUEST;
        lines[at] = line;
        assert_eq!(request(&lines).websocket_key(), Ok(KEY), "{line}");
    }
}

/// CVE-2023-31125: a crafted request on the upgrade path.
#[test]
fn what_is_no_handshake_is_refused_with_its_status() {
    let header = HandshakeError::Header;
    for (at, line, error, status) in [
        (0, "POST /chat HTTP/1.1", HandshakeError::Method, 405),
        (0, "GET /chat HTTP/1.0", HandshakeError::Method, 405),
        (2, "X: y", header("Upgrade"), 400),
        (2, "Upgrade: websockets", header("Upgrade"), 400),
        (3, "Connection: keep-alive", header("Connection"), 400),
        (4, "X: y", header("Sec-WebSocket-Key"), 400),
        (4, "Sec-WebSocket-Key:", header("Sec-WebSocket-Key"), 400),
        (4, "Sec-WebSocket-Key: c2hvcnQ=", header("Sec-WebSocket-Key"), 400),
        (4, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=", header("Sec-WebSocket-Key"), 400),
        (4, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==", header("Sec-WebSocket-Key"), 400),
        (5, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", header("Sec-WebSocket-Key"), 400),
        (5, "Content-Length: 5", HandshakeError::Body, 400),
        (5, "Transfer-Encoding: chunked", HandshakeError::Body, 400),
        (7, "X: y", HandshakeError::Version, 426),
        (7, "Sec-WebSocket-Version: 8", HandshakeError::Version, 426),
    ] {
        let mut lines = REQUEST;
        lines[at] = line;
        assert_eq!(request(&lines).websocket_key(), Err(error.clone()), "{line}");
        assert_eq!(error.status(), status, "{line}");
    }
}

#[test]
fn what_is_not_http_is_refused_with_400() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET / HTTP/2.0\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n",
    ] {
        let error = decode_request(bytes).unwrap_err();
        assert!(matches!(error, HandshakeError::Syntax(_)), "{bytes:?}");
        assert_eq!(error.status(), 400);
    }
}

/// CVE-2024-37890: more headers than a server's limit ended its process.
#[test]
fn headers_are_limited_in_number() {
    let lines = |count| "a: b\r\n".repeat(count);
    let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", lines(count));
    assert!(decode_request(head(HEADERS_MAX).as_bytes()).unwrap().is_some());
    let error = HandshakeError::TooManyHeaders { max: HEADERS_MAX };
    assert_eq!(decode_request(head(HEADERS_MAX + 1).as_bytes()), Err(error.clone()));
    assert_eq!(error.status(), 431);
}

/// CVE-2023-43669: a head without end burns time.
#[test]
fn heads_are_limited_in_length() {
    let head = |len: usize| {
        let frame = "GET / HTTP/1.1\r\na: \r\n\r\n";
        frame.replace("a: ", &format!("a: {}", "b".repeat(len - frame.len())))
    };
    let too_long = HandshakeError::HeadTooLong { max_bytes: REQUEST_BYTES_MAX };
    let longest = head(REQUEST_BYTES_MAX);
    assert!(decode_request(longest.as_bytes()).unwrap().is_some());
    assert!(decode_request(format!("{longest}more").as_bytes()).unwrap().is_some());
    assert_eq!(decode_request(head(REQUEST_BYTES_MAX + 1).as_bytes()), Err(too_long.clone()));
    assert_eq!(too_long.status(), 431);

    let endless = head(2 * REQUEST_BYTES_MAX);
    assert_eq!(decode_request(&endless.as_bytes()[..REQUEST_BYTES_MAX - 1]), Ok(None));
    assert_eq!(decode_request(&endless.as_bytes()[..REQUEST_BYTES_MAX]), Err(too_long));
}

#[test]
fn client_refuses_what_does_not_accept_its_key() {
    let mut accept = Vec::new();
    encode_accept(&BASE64.encode([7; 16]), None, &mut accept);
    let accept = String::from_utf8(accept).unwrap();
    for (answer, error) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(), HandshakeError::Status(400)),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), HandshakeError::Status(200)),
        (accept.replace("Upgrade: websocket", "Upgrade: h2c"), HandshakeError::Header("Upgrade")),
        (accept.replace("Connection: Upgrade", "A: b"), HandshakeError::Header("Connection")),
        (accept.replace("Sec-WebSocket-Accept", "A"), HandshakeError::AcceptKey),
        (accept.replace("\r\n\r\n", "A\r\n\r\n"), HandshakeError::AcceptKey),
        (
            accept.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            HandshakeError::Extension,
        ),
    ] {
        assert_eq!(decode_accept(answer.as_bytes(), [7; 16]), Err(error), "{answer}");
    }
    assert_eq!(decode_accept(accept.as_bytes(), [7; 16]), Ok(Some(accept.len())));
}

#[test]
#[should_panic(expected = "line break")]
fn line_breaks_of_our_own_do_not_become_headers() {
    let header = ("Cookie".to_owned(), "a\r\nEvil: yes".to_owned());
    encode_request("chat", "/", [0; 16], &[header], &mut Vec::new());
}

proptest! {
    #[test]
    fn damaged_heads_are_harmless(damage in mutations(), end in any::<proptest::sample::Index>()) {
        let mut bytes = head(&REQUEST).into_bytes();
        mutate(&mut bytes, &damage);
        let mut answer = Vec::new();
        encode_accept(KEY, None, &mut answer);
        mutate(&mut answer, &damage);
        for bytes in [bytes, answer] {
            decoded_is_within(&bytes)?;
            decoded_is_within(&bytes[..end.index(bytes.len() + 1)])?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_harmless(bytes in vec(any::<u8>(), 0..200)) {
        decoded_is_within(&bytes)?;
    }
}

fn decoded_is_within(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(Some((request, head_len))) = decode_request(bytes) {
        prop_assert!(head_len <= bytes.len());
        let _ = request.websocket_key();
    }
    if let Ok(Some(head_len)) = decode_accept(bytes, [0; 16]) {
        prop_assert!(head_len <= bytes.len());
    }
    Ok(())
}

fn request(lines: &[&str]) -> Request {
    decode_request(head(lines).as_bytes()).unwrap().expect("a complete head").0
}

fn head(lines: &[&str]) -> String {
    lines.join("\r\n") + "\r\n\r\n"
}
