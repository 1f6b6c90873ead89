//! Bytes to messages: frames are put together, checked and unmasked.
//!
//! ```text
//! input ---- whole, unfragmented frame ----------------> message in the input
//!   |
//!   +------- anything else -> Partial (boxed) ----------> message in the box
//! ```
//!
//! A compressed message is inflated, into the box, once it is there as a whole.
//!
//! # Spec
//!
//! RFC 6455, sections 5.4 to 5.6, 7.4 and 8.1; RFC 7692, section 6.2.

use super::deflate::inflate;
use super::frame::{FrameError, HEADER_BYTES_MAX, Header, Opcode, Role};
use super::mask;

/// The most frames that one message may consist of.
///
/// Bytes alone do not bound the work: an empty fragment costs no byte of payload.
pub const FRAGMENTS_MAX: u32 = 1024;

/// A complete message of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Bytes.
    Binary(&'a [u8]),
    /// The peer closes, with this code. Nothing that follows is to be decoded.
    Close(Option<u16>),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong(&'a [u8]),
    /// Text.
    Text(&'a str),
}

/// Finds the messages in the bytes of one peer.
///
/// An idle decoder has no heap memory. What is incomplete is kept in a box,
/// which grows with the bytes received, never with those declared; it is freed
/// by the call of [`decode`](Self::decode) after the one that returned its message.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// Whether messages may be compressed.
    deflate: bool,
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// A decoder for what arrives at this end.
    pub fn new(role: Role) -> Self {
        Self { role, deflate: false, partial: None }
    }

    /// The same, for a connection whose handshake said whether messages may be compressed.
    pub fn with_deflate(self, deflate: bool) -> Self {
        Self { deflate, ..self }
    }

    /// How many bytes the last message has, if it was compressed: more than came.
    pub fn inflated_bytes(&self) -> usize {
        let inflated = self.partial.as_ref().filter(|partial| partial.inflated);
        inflated.map_or(0, |partial| partial.data.len())
    }

    /// Takes bytes off the front of `input`, unmasking them in place.
    ///
    /// Returns how many bytes were taken, and the message they complete. Without
    /// a message all of `input` has been taken. The caller calls again with the
    /// rest, even if that is empty, until there is no message.
    ///
    /// `message_bytes_max` bounds the payload of a text or binary message, all
    /// fragments together: as it comes, and as it is once inflated.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the peer breaks the protocol or the limits. The caller
    /// must close the connection; this decoder is of no further use.
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        message_bytes_max: usize,
    ) -> Result<(usize, Option<Message<'a>>), FrameError> {
        self.forget_delivered();
        if self.partial.is_none()
            && let Some((header, at)) = Header::decode(input, self.role, self.deflate)?
            && let Some(end) = header.end_of_whole_message(at, input.len())
        {
            check_len(&header, 0, message_bytes_max)?;
            let payload = &mut input[at..end];
            if let Some(key) = header.mask {
                mask::apply(payload, key, 0);
            }
            if header.compressed {
                let data = inflate(payload, message_bytes_max)?;
                let partial = self.partial.insert(Partial::inflated(header.opcode, data));
                return Ok((end, Some(partial.message(header.opcode)?)));
            }
            return Ok((end, Some(Message::new(header.opcode, payload)?)));
        }
        self.decode_partial(input, message_bytes_max)
    }

    fn decode_partial<'a>(
        &'a mut self,
        input: &mut [u8],
        message_bytes_max: usize,
    ) -> Result<(usize, Option<Message<'a>>), FrameError> {
        if input.is_empty() {
            return Ok((0, None));
        }
        let partial = self.partial.get_or_insert_default();
        let mut taken = 0;
        loop {
            let rest = &mut input[taken..];
            if partial.frame.is_none() {
                taken += partial.take_header(rest, self.role, self.deflate, message_bytes_max)?;
            } else {
                taken += partial.take_payload(rest);
            }
            if let Some(opcode) = partial.finish_frame() {
                partial.inflate(opcode, message_bytes_max)?;
                return Ok((taken, Some(partial.message(opcode)?)));
            }
            if taken == input.len() {
                return Ok((taken, None));
            }
        }
    }

    /// Frees the message that the last call returned.
    fn forget_delivered(&mut self) {
        let Some(partial) = &mut self.partial else { return };
        match partial.delivered.take() {
            None => {}
            // A control frame came between two fragments: those are kept.
            Some(opcode) if opcode.is_control() && partial.message.is_some() => {
                partial.control = Vec::new();
            }
            Some(_) => self.partial = None,
        }
    }
}

/// What has arrived of a message that is not complete.
#[derive(Debug, Default)]
struct Partial {
    /// The first bytes of a header, while it is incomplete.
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// The frame whose payload is arriving, and how much of that has arrived.
    frame: Option<(Header, usize)>,
    /// Text or binary, once the first header of a message is there.
    message: Option<Opcode>,
    fragments: u32,
    /// Whether that message is compressed.
    compressed: bool,
    /// Whether the message that the last call returned was.
    inflated: bool,
    /// The payload of the message so far, unmasked.
    data: Vec<u8>,
    /// The payload so far of the control frame that is arriving.
    control: Vec<u8>,
    /// Which message the last call returned; its payload is not needed any more.
    delivered: Option<Opcode>,
}

impl Partial {
    /// A message that was compressed, complete.
    fn inflated(opcode: Opcode, data: Vec<u8>) -> Box<Self> {
        Box::new(Self { data, delivered: Some(opcode), inflated: true, ..Self::default() })
    }

    /// Takes what belongs to the header from the front of `input`.
    fn take_header(
        &mut self,
        input: &[u8],
        role: Role,
        deflate: bool,
        message_bytes_max: usize,
    ) -> Result<usize, FrameError> {
        let before = self.header_len;
        let more = input.len().min(HEADER_BYTES_MAX - before);
        self.header[before..before + more].copy_from_slice(&input[..more]);
        let Some((header, len)) = Header::decode(&self.header[..before + more], role, deflate)?
        else {
            self.header_len += more;
            return Ok(more);
        };
        self.begin_frame(&header)?;
        check_len(&header, self.data.len(), message_bytes_max)?;
        self.header_len = 0;
        self.frame = Some((header, 0));
        Ok(len - before)
    }

    /// Checks whether a frame with this header may come now.
    fn begin_frame(&mut self, header: &Header) -> Result<(), FrameError> {
        match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => return Ok(()),
            Opcode::Continuation if self.message.is_none() => {
                return Err(FrameError::ContinuationOfNothing);
            }
            Opcode::Continuation => {}
            Opcode::Binary | Opcode::Text if self.message.is_some() => {
                return Err(FrameError::DataInsideMessage);
            }
            Opcode::Binary | Opcode::Text => {
                (self.message, self.compressed) = (Some(header.opcode), header.compressed);
            }
        }
        self.fragments += 1;
        if self.fragments > FRAGMENTS_MAX {
            return Err(FrameError::TooManyFragments { max: FRAGMENTS_MAX });
        }
        Ok(())
    }

    /// Takes what belongs to the frame's payload from the front of `input`.
    fn take_payload(&mut self, input: &mut [u8]) -> usize {
        let (header, received) = self.frame.as_mut().expect("called while a frame is arriving");
        // The length is within the limit on messages, which is a usize.
        let more = input.len().min(header.payload_len as usize - *received);
        let payload = &mut input[..more];
        if let Some(key) = header.mask {
            mask::apply(payload, key, *received);
        }
        *received += more;
        let target = if header.opcode.is_control() { &mut self.control } else { &mut self.data };
        target.extend_from_slice(payload);
        more
    }

    /// If the frame is complete, ends it, and says which message it completes.
    fn finish_frame(&mut self) -> Option<Opcode> {
        let (header, received) = self.frame?;
        if (received as u64) < header.payload_len {
            return None;
        }
        self.frame = None;
        self.delivered = match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => Some(header.opcode),
            Opcode::Binary | Opcode::Continuation | Opcode::Text if header.last => {
                self.message.take()
            }
            Opcode::Binary | Opcode::Continuation | Opcode::Text => None,
        };
        self.delivered
    }

    /// Inflates the message that is complete, if it is a compressed one.
    fn inflate(&mut self, opcode: Opcode, message_bytes_max: usize) -> Result<(), FrameError> {
        if self.compressed && !opcode.is_control() {
            (self.data, self.inflated) = (inflate(&self.data, message_bytes_max)?, true);
        }
        Ok(())
    }

    fn message(&self, opcode: Opcode) -> Result<Message<'_>, FrameError> {
        let payload = if opcode.is_control() { &self.control } else { &self.data };
        Message::new(opcode, payload)
    }
}

impl<'a> Message<'a> {
    fn new(opcode: Opcode, payload: &'a [u8]) -> Result<Self, FrameError> {
        Ok(match opcode {
            Opcode::Binary => Self::Binary(payload),
            Opcode::Close => Self::Close(close_code(payload)?),
            Opcode::Continuation => unreachable!("a message has the opcode of its first frame"),
            Opcode::Ping => Self::Ping(payload),
            Opcode::Pong => Self::Pong(payload),
            Opcode::Text => Self::Text(str::from_utf8(payload).map_err(|_| FrameError::Utf8)?),
        })
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, FrameError> {
    let Some((&code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(FrameError::ClosePayload) };
    };
    let code = u16::from_be_bytes(code);
    // 1004 to 1006 and 1015 stand for what never travels; 1012 to 1014 are
    // registered with IANA since the RFC; from 3000 on codes are free to use.
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(FrameError::CloseCode(code)),
    }
    str::from_utf8(reason).map_err(|_| FrameError::Utf8)?;
    Ok(Some(code))
}

fn check_len(header: &Header, before: usize, max_bytes: usize) -> Result<(), FrameError> {
    // A length has its top bit clear, and so has that of a vector.
    let len_bytes = before as u64 + header.payload_len;
    if header.opcode.is_control() || len_bytes <= max_bytes as u64 {
        return Ok(());
    }
    Err(FrameError::MessageTooLong { len_bytes, max_bytes })
}

#[cfg(test)]
impl Decoder {
    /// How much memory is held beyond this value itself.
    fn heap_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            size_of::<Partial>() + partial.data.capacity() + partial.control.capacity()
        })
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
