//! From a fresh stream to a WebSocket of Engine.IO: the HTTP part.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::shard::Shard;
use super::streams::Written;
use crate::hub::ConnId;
use crate::net::Stream;
use crate::websocket::{HandshakeError, REQUEST_BYTES_MAX, Request, decode_request, encode_accept};

/// Why a request does not become a connection, as Node's servers number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejection {
    Status(u16),
    BadMethod,
    BadRequest,
    UnknownSession,
    UnknownTransport,
    UnsupportedVersion,
}

/// Reads the request, answers it, and returns what came behind it; `None` if
/// it was no upgrade (it has been answered then).
///
/// # Errors
///
/// The stream's, or that it ended before the request did.
pub(super) async fn handshake<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let answer = loop {
        match decode_request(&head) {
            Ok(Some((request, length))) => {
                break accept(&request, &shard.config.path).map(|key| (key, length));
            }
            Err(error) => break Err(rejection_of(&error)),
            Ok(None) if head.len() >= REQUEST_BYTES_MAX => break Err(Rejection::Status(431)),
            Ok(None) => read_some(shard, conn, &mut head).await?,
        }
    };
    let mut response = Vec::new();
    match answer {
        Ok((key, length)) => {
            encode_accept(&key, &mut response);
            head.drain(..length);
            write_all(shard, conn, &response).await?;
            Ok(Some(head))
        }
        Err(rejection) => {
            rejection.encode(&mut response);
            write_all(shard, conn, &response).await?;
            Ok(None)
        }
    }
}

/// Checks a request in the order in which Node's servers do; returns its key.
fn accept(request: &Request, path: &str) -> Result<String, Rejection> {
    if request.path.trim_end_matches('/') != path.trim_end_matches('/') {
        return Err(Rejection::Status(404));
    }
    if request.query("transport") != Some("websocket") {
        return Err(Rejection::UnknownTransport);
    }
    if request.query("sid").is_some() {
        return Err(Rejection::UnknownSession);
    }
    if request.method != "GET" {
        return Err(Rejection::BadMethod);
    }
    let key = request.websocket_key().map_err(|error| rejection_of(&error))?;
    if request.query("EIO") != Some("4") {
        return Err(Rejection::UnsupportedVersion);
    }
    Ok(key.to_owned())
}

fn rejection_of(error: &HandshakeError) -> Rejection {
    match error.status() {
        400 => Rejection::BadRequest,
        status => Rejection::Status(status),
    }
}

impl Rejection {
    fn encode(self, out: &mut Vec<u8>) {
        let (status, body) = match self {
            Self::Status(status) => (status, String::new()),
            Self::UnknownTransport => (400, error_body(0, "Transport unknown")),
            Self::UnknownSession => (400, error_body(1, "Session ID unknown")),
            Self::BadMethod => (400, error_body(2, "Bad handshake method")),
            Self::BadRequest => (400, error_body(3, "Bad request")),
            Self::UnsupportedVersion => (400, error_body(5, "Unsupported protocol version")),
        };
        let reason = match status {
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            _ => "Error",
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} {reason}\r\n{kind}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        out.extend_from_slice(text.as_bytes());
    }
}

fn error_body(code: u8, message: &str) -> String {
    format!(r#"{{"code":{code},"message":"{message}"}}"#)
}

async fn read_some<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    head: &mut Vec<u8>,
) -> io::Result<()> {
    poll_fn(|cx| {
        let mut buffer = shard.take_buffer();
        // Never more than the bound beyond the bound.
        let space = &mut buffer[..REQUEST_BYTES_MAX];
        let read = shard.streams.borrow_mut().poll_read(conn, cx, space);
        if let Poll::Ready(Ok(count)) = read {
            head.extend_from_slice(&buffer[..count]);
        }
        *shard.buffer.borrow_mut() = buffer;
        read.map(|read| match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        })
    })
    .await
}

async fn write_all<S: Stream>(shard: &Shard<S>, conn: ConnId, bytes: &[u8]) -> io::Result<()> {
    let mut begun = false;
    poll_fn(|cx| {
        let mut streams = shard.streams.borrow_mut();
        streams.set_waker(conn, cx.waker());
        if !begun {
            begun = true;
            match streams.write(conn, bytes) {
                Written::All => return Poll::Ready(Ok(())),
                Written::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Written::Some(_) => {}
            }
        }
        streams.poll_backlog(conn, cx)
    })
    .await
}
