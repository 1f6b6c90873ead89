//! Many packets in one HTTP body: the payloads of long-polling.
//!
//! ```text
//! V4           4hello RS bAQIDBA==            RS is the character 0x1e
//! V3, text     6:4hello10:b4AQIDBA==          lengths in UTF-16 code units
//! V3, octets   0 6 255 4hello 1 5 255 4 1234  text or binary, decimal digits, 255
//! ```
//!
//! This is only the spelling: what the packets mean is decided elsewhere. The
//! number of packets is bounded by that of the bytes; nothing is allocated by
//! a length that a peer declares, and every byte is looked at once.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Packet encoding", "HTTP long-polling"; v3, "Payload".

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// What stands between two packets of revision 4.
const SEPARATOR: u8 = 0x1e;

/// What stands behind the length of a packet among octets of revision 3.
const LENGTH_END: u8 = 255;

/// More digits than any length that fits into memory has.
const LENGTH_DIGITS_MAX: usize = 10;

/// The type of a message, as a character and as the first byte of binary data.
const MESSAGE: u8 = 4;

/// Some clients leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One packet of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The data of a binary message.
    Binary(Cow<'a, [u8]>),
    /// A text packet; its type is the first character.
    Text(&'a str),
}

/// How a payload is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Revision 3, when nothing in it is binary or the peer takes text alone.
    V3Text,
    /// Revision 3, with bytes as they are.
    V3Octets,
    /// Revision 4.
    V4,
}

/// Why bytes from a peer are not a payload.
///
/// Every variant is the peer's fault. The caller must close the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Binary data that is not base64, or not of a message.
    #[error("binary packet that is none")]
    Binary,
    /// No packet where there is to be one.
    #[error("empty packet")]
    Empty,
    /// A length that is none, or beyond the end of the payload.
    #[error("bad packet length")]
    Length,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
}

/// The packets of one body, one after the other.
#[derive(Debug)]
pub struct Payload {
    format: Format,
    body: Vec<u8>,
    /// Where the next packet begins; none behind the last one.
    at: Option<usize>,
}

impl Payload {
    /// The payload that is `body`.
    pub fn new(format: Format, body: Vec<u8>) -> Self {
        Self { format, body, at: Some(0) }
    }

    /// Decodes the next packet; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if what follows is no packet; nothing else comes then.
    pub fn decode(&mut self) -> Result<Option<Message<'_>>, PayloadError> {
        loop {
            let Some(at) = self.at.take() else { return Ok(None) };
            let rest = &self.body[at..];
            let (spelled, end) = match self.format {
                Format::V3Octets => next_octets(rest)?,
                Format::V3Text => next_counted(rest)?,
                Format::V4 => next_separated(rest)?,
            };
            let end = at + end;
            // Behind a separator there is to be another packet.
            let is_separated = self.format == Format::V4 && self.body[end - 1] == SEPARATOR;
            let next = (end < self.body.len() || is_separated).then_some(end);
            if let Some((kind, range)) = spelled {
                let bytes = &self.body[at + range.start..at + range.end];
                let message = packet(kind, bytes, self.format)?;
                self.at = next;
                return Ok(Some(message));
            }
            self.at = next;
        }
    }
}

/// Whether a packet's bytes are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Octets,
    Text,
}

/// Where in the rest of a body a packet lies (none: it is empty and means nothing), and where it ends.
type Spelled = Result<(Option<(Kind, std::ops::Range<usize>)>, usize), PayloadError>;

fn next_separated(rest: &[u8]) -> Spelled {
    let end = rest.iter().position(|&byte| byte == SEPARATOR);
    let range = 0..end.unwrap_or(rest.len());
    if range.is_empty() {
        return Err(PayloadError::Empty);
    }
    Ok((Some((Kind::Text, range)), end.map_or(rest.len(), |end| end + 1)))
}

fn next_counted(rest: &[u8]) -> Spelled {
    let digits = rest.iter().take(LENGTH_DIGITS_MAX + 1).position(|&byte| byte == b':');
    let digits = digits.ok_or(PayloadError::Length)?;
    let units = length(rest[..digits].iter().map(|byte| byte.wrapping_sub(b'0')))?;
    let start = digits + 1;
    let end = start + utf16_prefix(&rest[start..], units)?;
    Ok(((end > start).then_some((Kind::Text, start..end)), end))
}

fn next_octets(rest: &[u8]) -> Spelled {
    let kind = match rest.first() {
        Some(0) => Kind::Text,
        Some(1) => Kind::Octets,
        Some(_) => return Err(PayloadError::Length),
        None => return Err(PayloadError::Empty),
    };
    let digits = rest[1..].iter().take(LENGTH_DIGITS_MAX + 1).position(|&byte| byte == LENGTH_END);
    let digits = digits.ok_or(PayloadError::Length)?;
    let start = digits + 2;
    let end = start.saturating_add(length(rest[1..=digits].iter().copied())?);
    if end > rest.len() {
        return Err(PayloadError::Length);
    }
    Ok(((end > start).then_some((kind, start..end)), end))
}

/// The number with these decimal digits.
fn length(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, PayloadError> {
    if digits.len() == 0 || digits.len() > LENGTH_DIGITS_MAX {
        return Err(PayloadError::Length);
    }
    let mut length = 0u64;
    for digit in digits {
        if digit > 9 {
            return Err(PayloadError::Length);
        }
        length = length * 10 + u64::from(digit);
    }
    usize::try_from(length).map_err(|_| PayloadError::Length)
}

/// How many bytes the first `units` UTF-16 code units of `text` have.
fn utf16_prefix(text: &[u8], units: usize) -> Result<usize, PayloadError> {
    let (mut left, mut at) = (units, 0);
    while left > 0 {
        let (taken, bytes) = match text.get(at) {
            None => return Err(PayloadError::Length),
            Some(0xf0..) => (2, 4),
            Some(0xe0..) => (1, 3),
            Some(0xc0..) => (1, 2),
            Some(_) => (1, 1),
        };
        // A length that ends between the two halves of a character.
        left = left.checked_sub(taken).ok_or(PayloadError::Length)?;
        at += bytes;
    }
    if at <= text.len() { Ok(at) } else { Err(PayloadError::Length) }
}

fn packet(kind: Kind, bytes: &[u8], format: Format) -> Result<Message<'_>, PayloadError> {
    match (kind, bytes) {
        (Kind::Octets, [MESSAGE, data @ ..]) => Ok(Message::Binary(Cow::Borrowed(data))),
        (Kind::Octets, _) => Err(PayloadError::Binary),
        (Kind::Text, [b'b', b'4', base64 @ ..]) if format != Format::V4 => binary(base64),
        (Kind::Text, [b'b', base64 @ ..]) if format == Format::V4 => binary(base64),
        (Kind::Text, [b'b', ..]) => Err(PayloadError::Binary),
        (Kind::Text, text) => {
            str::from_utf8(text).map(Message::Text).map_err(|_| PayloadError::Utf8)
        }
    }
}

fn binary(base64: &[u8]) -> Result<Message<'static>, PayloadError> {
    let data = BASE64.decode(base64).map_err(|_| PayloadError::Binary)?;
    Ok(Message::Binary(Cow::Owned(data)))
}

/// Decodes one message of revision 3 that came over WebSocket as text.
///
/// # Errors
///
/// [`PayloadError::Binary`] if it says that it is binary and is not.
pub fn decode_v3_text(text: &str) -> Result<Message<'_>, PayloadError> {
    packet(Kind::Text, text.as_bytes(), Format::V3Text)
}

/// Decodes one message of revision 3 that came over WebSocket as bytes.
///
/// # Errors
///
/// [`PayloadError::Binary`] if it is not a message.
pub fn decode_v3_octets(bytes: &[u8]) -> Result<Message<'_>, PayloadError> {
    packet(Kind::Octets, bytes, Format::V3Octets)
}

/// Appends the packets of a payload to `out`, spelled as `format` says.
pub fn encode<'a>(
    format: Format,
    messages: impl IntoIterator<Item = Message<'a>>,
    out: &mut Vec<u8>,
) {
    let mut scratch = Vec::new();
    for (place, message) in messages.into_iter().enumerate() {
        match format {
            Format::V3Octets => encode_octets(&message, out),
            Format::V3Text => {
                scratch.clear();
                encode_text(&message, "b4", &mut scratch);
                let units = scratch.iter().map(|byte| utf16_units(*byte)).sum::<usize>();
                out.extend_from_slice(units.to_string().as_bytes());
                out.push(b':');
                out.extend_from_slice(&scratch);
            }
            Format::V4 => {
                if place > 0 {
                    out.push(SEPARATOR);
                }
                encode_text(&message, "b", out);
            }
        }
    }
}

/// Appends one packet as text; `mark` is what tells binary data from other text.
pub fn encode_text(message: &Message<'_>, mark: &str, out: &mut Vec<u8>) {
    match message {
        Message::Binary(data) => {
            out.extend_from_slice(mark.as_bytes());
            let start = out.len();
            let length = base64::encoded_len(data.len(), true).expect("it fits into memory");
            out.resize(start + length, 0);
            let encoded = general_purpose::STANDARD.encode_slice(data, &mut out[start..]);
            debug_assert_eq!(encoded, Ok(length));
        }
        Message::Text(text) => out.extend_from_slice(text.as_bytes()),
    }
}

fn encode_octets(message: &Message<'_>, out: &mut Vec<u8>) {
    let (kind, prefix, data): (_, &[u8], _) = match message {
        Message::Binary(data) => (1, &[MESSAGE], &**data),
        Message::Text(text) => (0, &[], text.as_bytes()),
    };
    out.push(kind);
    let length = (prefix.len() + data.len()).to_string();
    out.extend(length.bytes().map(|digit| digit - b'0'));
    out.push(LENGTH_END);
    out.extend_from_slice(prefix);
    out.extend_from_slice(data);
}

/// How many UTF-16 code units the character has that begins with this byte; none inside of one.
fn utf16_units(byte: u8) -> usize {
    match byte {
        0xf0.. => 2,
        0x80..0xc0 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
