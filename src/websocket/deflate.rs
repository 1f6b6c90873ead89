//! Compression of messages: who agrees on it, and how one message is spelled.
//!
//! Every message is compressed by itself, both ways: nothing is remembered from
//! one to the next, so an idle connection keeps no window, and a message for
//! many is compressed once.
//!
//! # Guarantees
//!
//! * [`inflate`] accounts for every byte of a message, and never holds more than
//!   one byte above the limit, whatever a few bytes would become.
//! * [`Deflater::deflate`] is a function of the message alone.
//!
//! # Spec
//!
//! RFC 7692; RFC 1951.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::FrameError;

/// What every compressed message ends with, and so is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The tail, and behind it a last block, empty: a message after which this does
/// not end the stream to the byte was cut, or is none.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// What is allocated at first for a message, times the bytes that came.
const GROWTH: usize = 4;

const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The same to a client that wants to know our window; the compressor has no other.
const ACCEPTED_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
    client_no_context_takeover; server_max_window_bits=15";

/// What a server answers to these values of `Sec-WebSocket-Extensions`: the
/// first offer of compression that can be met, if there is one.
///
/// # Spec
///
/// RFC 7692, sections 5.1 and 7.1; RFC 6455, section 9.1.
pub fn agree<'a>(mut offers: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    offers.find_map(|list| split(list, ',').find_map(answer))
}

/// The answer to one offer, if it can be met.
fn answer(offer: &str) -> Option<&'static str> {
    let mut parts = split(offer, ';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            None => (part, None),
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
        };
        let known = match (name, value) {
            ("client_no_context_takeover" | "server_no_context_takeover", None)
            | ("client_max_window_bits", None)
            // Ours would have to be smaller too.
            | ("server_max_window_bits", Some("15")) => true,
            ("client_max_window_bits", Some(bits)) => is_window(bits),
            _ => false,
        };
        if !known || seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    let named = seen.contains(&"server_max_window_bits");
    Some(if named { ACCEPTED_WITH_WINDOW } else { ACCEPTED })
}

fn is_window(bits: &str) -> bool {
    ["8", "9", "10", "11", "12", "13", "14", "15"].contains(&bits)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// The pieces between `separator`, which does not count within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

/// Compresses messages, one at a time.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        // Each message is compressed once for all who hear it, and a shard has
        // one thread for everything: speed is what is short.
        Self(Compress::new(Compression::fast(), false))
    }
}

impl Deflater {
    /// The payload of a compressed frame that says `payload`; nothing, if that
    /// would not be shorter.
    pub fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.0.reset();
        let mut out = Vec::with_capacity(payload.len() + TAIL.len());
        self.0.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        // A full buffer says that there is more to come.
        let is_whole = self.0.total_in() == payload.len() as u64 && out.len() < out.capacity();
        let length = out.strip_suffix(&TAIL).filter(|_| is_whole)?.len();
        out.truncate(length);
        (length < payload.len()).then_some(out)
    }
}

/// The message that a compressed one says.
///
/// # Errors
///
/// [`FrameError::MessageTooLong`] as soon as it has more than `bytes_max`
/// bytes, and [`FrameError::Compression`] if it is cut, damaged, or followed by
/// something else.
pub fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let mut inflater = Decompress::new(false);
    let mut out = Vec::with_capacity(growth(payload.len().saturating_mul(GROWTH), bytes_max));
    let mut rest = payload;
    let mut behind = &END[..];
    loop {
        let (taken, given) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress_vec(rest, &mut out, FlushDecompress::None);
        let status = status.map_err(|_| FrameError::Compression)?;
        rest = &rest[(inflater.total_in() - taken) as usize..];
        if out.len() > bytes_max {
            let len_bytes = out.len() as u64;
            return Err(FrameError::MessageTooLong { len_bytes, max_bytes: bytes_max });
        }
        if status == Status::StreamEnd {
            return if is_end(rest, behind) { Ok(out) } else { Err(FrameError::Compression) };
        }
        if out.len() == out.capacity() {
            let capacity = growth(out.capacity().saturating_mul(2), bytes_max);
            out.reserve_exact(capacity - out.len());
        } else if (inflater.total_in(), inflater.total_out()) == (taken, given) {
            if !rest.is_empty() || behind.is_empty() {
                return Err(FrameError::Compression);
            }
            rest = std::mem::take(&mut behind);
        }
    }
}

/// How much to hold: one byte above the limit shows that there is too much.
fn growth(wanted: usize, bytes_max: usize) -> usize {
    wanted.clamp(1, bytes_max.saturating_add(1))
}

/// Whether nothing is left behind the stream's last block: if that is our own,
/// literally; if it is the sender's, but for the empty block that it may append.
fn is_end(rest: &[u8], behind: &[u8]) -> bool {
    match behind {
        [] => rest.is_empty(),
        _ => matches!(rest, [] | [0]),
    }
}

#[cfg(test)]
mod tests;
