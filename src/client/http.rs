//! HTTP as long-polling needs it: requests as bytes, and answers from bytes.
//!
//! One request is answered before the next one goes over the same stream. Answers are
//! not decompressed, since no request says that they may be compressed.
//!
//! # Spec
//!
//! RFC 9112, sections 3 (requests), 6.3 (length of a body) and 7.1 (chunks).

use crate::websocket::{HEADERS_MAX, REQUEST_BYTES_MAX};

/// Why bytes of a server are not the answer to a poll or a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A head over the limit.
    #[error("head of more than {max_bytes} bytes")]
    HeadTooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// The body does not say how long it is, or not as it is to be said.
    #[error("length of an answer is missing or wrong")]
    Length,
    /// Not the status of a success.
    #[error("server answered HTTP status {0}")]
    Status(u16),
    /// Not HTTP, or too many headers.
    #[error("not HTTP/1: {0}")]
    Syntax(httparse::Error),
    /// A body over the limit.
    #[error("answer of more than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// More than was asked for.
    #[error("answer to no request")]
    Unasked,
}

/// Appends a request; with a `body` it is a POST of text.
///
/// # Panics
///
/// If a line break in an argument would begin another header.
pub(super) fn encode(
    host: &str,
    target: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let mut push = |pieces: &[&str]| {
        for piece in pieces {
            assert!(!piece.contains(['\r', '\n', '\0']), "line break in {piece:?}");
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    };
    push(&[if body.is_some() { "POST " } else { "GET " }, target, " HTTP/1.1"]);
    push(&["Host: ", host]);
    push(&["Accept: */*"]);
    if let Some(body) = body {
        push(&["Content-Type: text/plain;charset=UTF-8"]);
        push(&["Content-Length: ", &body.len().to_string()]);
    }
    for (name, value) in headers {
        push(&[name, ": ", value]);
    }
    push(&[]);
    out.extend_from_slice(body.unwrap_or_default());
}

/// Appends `text` as it may stand in a query.
pub(super) fn encode_component(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Whether the server keeps the stream for another request.
    pub(super) is_kept: bool,
    pub(super) body: Vec<u8>,
}

/// The answer to one request, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What has arrived and is not understood yet.
    bytes: Vec<u8>,
    /// What the head said, once it is complete.
    head: Option<Head>,
    /// The chunks so far.
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    is_kept: bool,
    /// Of the body; none if that comes in chunks.
    length: Option<usize>,
}

impl Answer {
    /// Takes what has arrived, and returns the answer if that completes it.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; the stream is of no further use.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        bytes_max: usize,
    ) -> Result<Option<Reply>, HttpError> {
        let is_first = self.bytes.is_empty();
        self.bytes.extend_from_slice(input);
        let head = match self.head {
            Some(head) => head,
            // Nothing more is understood of it before a line ends, or there is too much of it.
            None if !is_first
                && !input.contains(&b'\n')
                && self.bytes.len() < REQUEST_BYTES_MAX =>
            {
                return Ok(None);
            }
            None => match decode_head(&self.bytes)? {
                Some((head, len)) => {
                    self.bytes.drain(..len);
                    *self.head.insert(head)
                }
                None => return Ok(None),
            },
        };
        let is_complete = match head.length {
            Some(length) => self.take_length(length, bytes_max)?,
            None => self.take_chunks(bytes_max)?,
        };
        if !is_complete {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.body);
        Ok(Some(Reply { status: head.status, is_kept: head.is_kept, body }))
    }

    fn take_length(&mut self, length: usize, bytes_max: usize) -> Result<bool, HttpError> {
        if length > bytes_max {
            return Err(HttpError::TooLong { bytes_max });
        }
        if self.bytes.len() > length {
            return Err(HttpError::Unasked);
        }
        if self.bytes.len() == length {
            self.body = std::mem::take(&mut self.bytes);
            return Ok(true);
        }
        Ok(false)
    }

    fn take_chunks(&mut self, bytes_max: usize) -> Result<bool, HttpError> {
        const LINE_END: &[u8] = b"\r\n";
        let mut at = 0;
        let is_complete = loop {
            let rest = &self.bytes[at..];
            let parsed = httparse::parse_chunk_size(rest).map_err(|_| HttpError::Length)?;
            let httparse::Status::Complete((start, size)) = parsed else {
                // A size has few digits; what may follow it is for nobody.
                let is_line = rest.len() <= CHUNK_LINE_BYTES_MAX;
                break if is_line { Ok(false) } else { Err(HttpError::Length) };
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > bytes_max - self.body.len() {
                break Err(HttpError::TooLong { bytes_max });
            }
            let Some((chunk, behind)) = rest[start..].split_at_checked(size) else {
                break Ok(false);
            };
            let Some(end) = behind.get(..LINE_END.len()) else { break Ok(false) };
            if end != LINE_END {
                break Err(HttpError::Length);
            }
            self.body.extend_from_slice(chunk);
            at += start + size + LINE_END.len();
            if size == 0 {
                let is_all = at == self.bytes.len();
                break if is_all { Ok(true) } else { Err(HttpError::Unasked) };
            }
        };
        self.bytes.drain(..at);
        is_complete
    }
}

/// More than the line before a chunk has, of whoever does not want to use up memory.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// The head at the front of `bytes`, and its length, once it is complete.
fn decode_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes).map_err(HttpError::Syntax)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial if bytes.len() < REQUEST_BYTES_MAX => return Ok(None),
        httparse::Status::Partial => {
            return Err(HttpError::HeadTooLong { max_bytes: REQUEST_BYTES_MAX });
        }
    };
    let (mut length, mut is_chunked) = (None, false);
    let mut is_kept = response.version == Some(1);
    for header in response.headers.iter() {
        let value = str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().map_err(|_| HttpError::Length)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            is_kept &= !value.eq_ignore_ascii_case("close");
        }
    }
    if length.is_none() && !is_chunked {
        return Err(HttpError::Length);
    }
    let length = if is_chunked { None } else { length };
    let status = response.code.unwrap_or_default();
    Ok(Some((Head { status, is_kept, length }, len)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 20;

    fn answer(bytes: &[u8]) -> Result<Option<Reply>, HttpError> {
        Answer::default().take(bytes, BYTES_MAX)
    }

    fn reply(status: u16, is_kept: bool, body: &[u8]) -> Reply {
        Reply { status, is_kept, body: body.to_vec() }
    }

    #[test]
    fn requests_are_what_a_server_expects() {
        let mut out = Vec::new();
        let headers = [("Origin".to_owned(), "here".to_owned())];
        encode("host", "/a?b", &headers, None, &mut out);
        encode("host", "/a?b", &[], Some(b"4hi"), &mut out);
        let expected = "GET /a?b HTTP/1.1\r\nHost: host\r\nAccept: */*\r\nOrigin: here\r\n\r\n\
             POST /a?b HTTP/1.1\r\nHost: host\r\nAccept: */*\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 3\r\n\r\n4hi";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }

    #[test]
    fn an_id_can_not_leave_its_place_in_the_query() {
        let mut out = String::new();
        encode_component("aZ9-._~ &\r\né", &mut out);
        assert_eq!(out, "aZ9-._~%20%26%0D%0A%C3%A9");
    }

    #[test]
    fn answers_have_a_length_or_chunks() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", reply(200, true, b"ok")),
            ("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n", reply(400, true, b"")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n4ab\r\n2;x\r\nc1\r\n0\r\n\r\n",
                reply(200, true, b"4abc1"),
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n6",
                reply(200, false, b"6"),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n6", reply(200, false, b"6")),
        ] {
            assert_eq!(answer(bytes.as_bytes()), Ok(Some(expected)), "{bytes}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (bytes, error) in [
            ("HTTP/1.1 200 OK\r\n\r\n", HttpError::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", HttpError::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n66", HttpError::Unasked),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n",
                HttpError::TooLong { bytes_max: BYTES_MAX },
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n",
                HttpError::TooLong { bytes_max: BYTES_MAX },
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n6xx", HttpError::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", HttpError::Length),
            ("\u{1}", HttpError::Syntax(httparse::Error::Version)),
        ] {
            assert_eq!(answer(bytes.as_bytes()), Err(error), "{bytes:?}");
        }
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'a'; REQUEST_BYTES_MAX]].concat();
        assert!(matches!(answer(&endless), Err(HttpError::HeadTooLong { .. })));
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;".as_slice();
        let endless = [chunks, &[b'a'; CHUNK_LINE_BYTES_MAX]].concat();
        assert_eq!(answer(&endless), Err(HttpError::Length));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in vec(1..9_usize, 0..40), chunked: bool) {
            let bytes: &[u8] = if chunked {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n4ab\r\n2\r\nc1\r\n0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n4abc1"
            };
            let (mut answer, mut rest) = (Answer::default(), bytes);
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len() - 1));
                prop_assert_eq!(answer.take(piece, BYTES_MAX), Ok(None));
                rest = behind;
            }
            prop_assert_eq!(answer.take(rest, BYTES_MAX), Ok(Some(reply(200, true, b"4abc1"))));
        }

        #[test]
        fn any_bytes_are_harmless(bytes in vec(any::<u8>(), 0..200), chunked: bool) {
            let head: &[u8] = if chunked {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            } else {
                b""
            };
            let mut whole = head.to_vec();
            whole.extend(bytes);
            if let Ok(Some(reply)) = answer(&whole) {
                prop_assert!(reply.body.len() <= BYTES_MAX);
            }
        }
    }
}
