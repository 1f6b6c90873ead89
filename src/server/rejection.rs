//! Why a request is refused, as Node's servers number it.

use crate::engineio::session::Refusal;
use crate::websocket::HandshakeError;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    BadMethod,
    BadRequest,
    /// By HTTP alone.
    Status(u16),
    UnknownSession,
    UnknownTransport,
    UnsupportedVersion,
}

impl Rejection {
    /// The HTTP status, and a JSON body if there is one.
    pub(super) fn status_and_body(self) -> (u16, String) {
        match self {
            Self::Status(status) => (status, String::new()),
            Self::UnknownTransport => (400, error_body(0, "Transport unknown")),
            Self::UnknownSession => (400, error_body(1, "Session ID unknown")),
            Self::BadMethod => (400, error_body(2, "Bad handshake method")),
            Self::BadRequest => (400, error_body(3, "Bad request")),
            Self::UnsupportedVersion => (400, error_body(5, "Unsupported protocol version")),
        }
    }

    /// Appends a whole HTTP answer, behind which the connection closes.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let (status, body) = self.status_and_body();
        let reason = match status {
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
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

impl From<&HandshakeError> for Rejection {
    fn from(error: &HandshakeError) -> Self {
        match error.status() {
            400 => Self::BadRequest,
            status => Self::Status(status),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadRequest => Self::BadRequest,
            Refusal::Gone => Self::UnknownSession,
        }
    }
}

fn error_body(code: u8, message: &str) -> String {
    format!(r#"{{"code":{code},"message":"{message}"}}"#)
}
