//! One frame: its header, what may be wrong with it, and how to write one.
//!
//! # Spec
//!
//! RFC 6455, section 5.2.

use super::{close_code, mask};

/// The most bytes a frame header has: two, a length of eight, a key of four.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame, in bytes.
const CONTROL_BYTES_MAX: usize = 125;

/// RSV1: the frame begins a message that is compressed (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Expects frames without a mask and sends them with one.
    Client,
    /// Expects masked frames and sends them without a mask.
    Server,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of the message that was begun before.
    Continuation = 0,
    /// Text, which is UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of what the sender has to say.
    Close = 8,
    /// To be answered with a pong that carries the same payload.
    Ping = 9,
    /// The answer to a ping, or a sign of life.
    Pong = 10,
}

/// Why bytes from a peer are not the WebSocket messages we accept.
///
/// Every variant is the peer's fault. The caller sends a close frame with
/// [`close_code`](Self::close_code), closes the connection, and does not use
/// that decoder again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A close code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A close frame whose payload is one byte, too short for a code.
    #[error("close payload of 1 byte")]
    ClosePayload,
    /// A compressed message that is cut or damaged.
    #[error("compressed message is cut or damaged")]
    Compression,
    /// A continuation frame while no message is open.
    #[error("continuation of no message")]
    ContinuationOfNothing,
    /// A control frame without FIN.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame that declares more than 125 bytes.
    #[error("control frame of more than {CONTROL_BYTES_MAX} bytes")]
    ControlTooLong,
    /// A new text or binary frame while a message is open.
    #[error("new message inside a fragmented one")]
    DataInsideMessage,
    /// A length in more bytes than it needs.
    #[error("payload length {0} in too many bytes")]
    LengthNotMinimal(u64),
    /// A length of 64 bits with the top bit set.
    #[error("payload length with the top bit set")]
    LengthTopBit,
    /// A client's frame without a mask.
    #[error("frame from a client without a mask")]
    MaskMissing,
    /// A server's frame with a mask.
    #[error("frame from a server with a mask")]
    MaskUnexpected,
    /// A message, by what its frames declare, over the limit.
    #[error("message of {len_bytes} bytes is over the limit of {max_bytes}")]
    MessageTooLong {
        /// The bytes received and declared so far.
        len_bytes: u64,
        /// The limit.
        max_bytes: usize,
    },
    /// An opcode that RFC 6455 does not define.
    #[error("opcode {0} is not defined")]
    OpcodeUnknown(u8),
    /// RSV1, RSV2 or RSV3, where no extension that we have agreed on has them.
    #[error("reserved bits set")]
    ReservedBits,
    /// A message cut into more than [`FRAGMENTS_MAX`](super::FRAGMENTS_MAX) pieces.
    #[error("message of more than {max} fragments")]
    TooManyFragments {
        /// The limit.
        max: u32,
    },
    /// A text message or a close reason that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
}

impl FrameError {
    /// The code of the close frame that answers this error.
    ///
    /// # Spec
    ///
    /// RFC 6455, section 7.4.1.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::CloseCode(_)
            | Self::ClosePayload
            | Self::ContinuationOfNothing
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::DataInsideMessage
            | Self::LengthNotMinimal(_)
            | Self::LengthTopBit
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::OpcodeUnknown(_)
            | Self::ReservedBits => close_code::PROTOCOL_ERROR,
            Self::Compression | Self::Utf8 => close_code::INVALID_PAYLOAD,
            Self::MessageTooLong { .. } | Self::TooManyFragments { .. } => {
                close_code::MESSAGE_TOO_BIG
            }
        }
    }
}

/// Appends one unfragmented frame to `out`; its payload is `parts`, one after
/// the other.
///
/// A client must hand in a fresh, unpredictable `mask` for every frame; a server
/// hands in none.
///
/// # Panics
///
/// If a control frame's payload is over 125 bytes.
pub fn encode(opcode: Opcode, parts: &[&[u8]], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    encode_frame(0x80, opcode, parts, mask, out);
}

/// Appends the frame of a message that is compressed, without a mask.
///
/// # Panics
///
/// If it is a control frame, which is never compressed.
pub fn encode_compressed(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    assert!(!opcode.is_control(), "compressed control frame");
    encode_frame(0x80 | COMPRESSED, opcode, &[payload], None, out);
}

fn encode_frame(
    flags: u8,
    opcode: Opcode,
    parts: &[&[u8]],
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(!opcode.is_control() || len <= CONTROL_BYTES_MAX, "control frame of {len} bytes");
    out.reserve(HEADER_BYTES_MAX + len);
    out.push(flags | opcode as u8);
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    match len {
        0..=125 => out.push(mask_bit | len as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], <[u8; 4]>::as_slice));
    let start = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    if let Some(key) = mask {
        mask::apply(&mut out[start..], key, 0);
    }
}

/// Appends a close frame with `code` and no reason to `out`.
pub fn encode_close(code: u16, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    encode(Opcode::Close, &[&code.to_be_bytes()], mask, out);
}

/// The frames in `bytes`, which a server has encoded whole and without a mask:
/// what each carries, and its payload.
///
/// # Panics
///
/// If they are no such frames: they are ours, and never a peer's.
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (Opcode, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let header = Header::decode(bytes, Role::Client, false).ok().flatten();
        let (header, at) = header.expect("whole frames were encoded here");
        let end = header.end_of_whole_message(at, bytes.len()).expect("each is a message");
        let payload = &bytes[at..end];
        bytes = &bytes[end..];
        Some((header.opcode, payload))
    })
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        self as u8 >= 8
    }

    fn decode(nibble: u8) -> Result<Self, FrameError> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            unknown => return Err(FrameError::OpcodeUnknown(unknown)),
        })
    }
}

/// A frame header that is in order by itself; whether it may come now is for
/// the decoder to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) payload_len: u64,
    /// Whether it begins a message that is compressed.
    pub(super) compressed: bool,
}

impl Header {
    /// Decodes the header at the front of `bytes`, and says how long it is;
    /// `None` if more bytes are needed.
    ///
    /// What is wrong is said as soon as the byte that shows it is there, and
    /// checks come in the order of the bytes: so an error does not depend on how
    /// many bytes have arrived.
    ///
    /// `deflate` says whether messages may be compressed.
    pub(super) fn decode(
        bytes: &[u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let compressed = first & COMPRESSED != 0;
        if first & 0x30 != 0 || (compressed && !deflate) {
            return Err(FrameError::ReservedBits);
        }
        let last = first & 0x80 != 0;
        let opcode = Opcode::decode(first & 0x0f)?;
        // A message is compressed as a whole, and its first frame says so.
        if compressed && !matches!(opcode, Opcode::Binary | Opcode::Text) {
            return Err(FrameError::ReservedBits);
        }
        if opcode.is_control() && !last {
            return Err(FrameError::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match role {
            Role::Client if masked => return Err(FrameError::MaskUnexpected),
            Role::Server if !masked => return Err(FrameError::MaskMissing),
            Role::Client | Role::Server => {}
        }
        if opcode.is_control() && usize::from(second & 0x7f) > CONTROL_BYTES_MAX {
            return Err(FrameError::ControlTooLong);
        }
        let Some((payload_len, at)) = decode_len(second & 0x7f, &bytes[2..])? else {
            return Ok(None);
        };
        if !masked {
            return Ok(Some((Self { last, opcode, mask: None, payload_len, compressed }, at)));
        }
        let Some(&key) = bytes[at..].first_chunk() else { return Ok(None) };
        Ok(Some((Self { last, opcode, mask: Some(key), payload_len, compressed }, at + 4)))
    }

    /// Where the frame whose payload starts `at` ends, if it is a message by
    /// itself and lies within `input_len` bytes.
    pub(super) fn end_of_whole_message(&self, at: usize, input_len: usize) -> Option<usize> {
        let alone = self.last && self.opcode != Opcode::Continuation;
        let fits = self.payload_len <= (input_len - at) as u64;
        (alone && fits).then(|| at + self.payload_len as usize)
    }
}

/// Decodes the payload length and says where in the frame it ends.
fn decode_len(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (len, min, end) = match short {
        126 => {
            let Some(&len) = bytes.first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(len)), 126, 4)
        }
        127 => {
            let Some(&len) = bytes.first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(len), 0x1_0000, 10)
        }
        _ => (u64::from(short), 0, 2),
    };
    if len >> 63 != 0 {
        return Err(FrameError::LengthTopBit);
    }
    if len < min {
        return Err(FrameError::LengthNotMinimal(len));
    }
    Ok(Some((len, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_rfc_examples() {
        let mut out = Vec::new();
        encode(Opcode::Text, &[b"Hel", b"lo"], None, &mut out);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);

        out.clear();
        encode(Opcode::Text, &[b"Hello"], Some([0x37, 0xfa, 0x21, 0x3d]), &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);

        out.clear();
        encode(Opcode::Binary, &[&[7; 256]], None, &mut out);
        assert_eq!(out[..4], [0x82, 0x7e, 0x01, 0x00]);

        out.clear();
        encode(Opcode::Binary, &[&[7; 65536]], None, &mut out);
        assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn close_frame_carries_its_code() {
        let mut out = Vec::new();
        encode_close(1002, None, &mut out);
        assert_eq!(out, [0x88, 2, 0x03, 0xea]);
    }

    #[test]
    fn frames_are_found_again() {
        let mut out = Vec::new();
        let long = vec![7; 70_000];
        encode(Opcode::Text, &[b"4a"], None, &mut out);
        encode(Opcode::Binary, &[&long], None, &mut out);
        encode_close(1000, None, &mut out);
        let found: Vec<_> = frames(&out).collect();
        let close = &[0x03, 0xe8][..];
        assert_eq!(
            found,
            [(Opcode::Text, &b"4a"[..]), (Opcode::Binary, &long), (Opcode::Close, close)]
        );
        assert_eq!(frames(&[]).next(), None);
    }

    #[test]
    fn length_is_written_in_the_fewest_bytes() {
        for (len, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            encode(Opcode::Binary, &[&vec![0; len]], None, &mut out);
            assert_eq!(out.len(), header + len);
        }
    }

    #[test]
    #[should_panic(expected = "control frame of 126 bytes")]
    fn control_frame_over_its_limit_is_our_bug() {
        encode(Opcode::Ping, &[&[0; 126]], None, &mut Vec::new());
    }
}
