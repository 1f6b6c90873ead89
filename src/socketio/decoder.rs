//! Text and bytes of one connection to packets.
//!
//! # Spec
//!
//! Socket.IO protocol v5, "Packet encoding" and "Sending and receiving data".

use bytes::Bytes;

use super::packet::{DecodeError, Incoming, Packet};

/// What a peer may send at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most attachments of one packet, at most
    /// [`PLACEHOLDERS_MAX`](super::json::PLACEHOLDERS_MAX).
    pub attachments_max: u32,
    /// How many arrays and objects may be nested, at most
    /// [`DEPTH_MAX`](super::json::DEPTH_MAX).
    pub json_depth_max: u32,
    /// The most bytes of one packet: its text and its attachments.
    pub packet_bytes_max: usize,
}

impl Default for Limits {
    /// As Node has them: 10 attachments, and 1 MB.
    fn default() -> Self {
        Self { attachments_max: 10, json_depth_max: 128, packet_bytes_max: 1_000_000 }
    }
}

/// Puts a packet and its attachments together.
///
/// It has no heap memory while no attachment is awaited.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Option<Box<Pending>>,
}

/// A packet that awaits attachments; never all of them are there.
#[derive(Debug)]
struct Pending {
    packet: Packet<'static>,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    /// A decoder at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether attachments are awaited, during which a peer costs memory.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Decodes the text of a message. There is a packet unless it has attachments.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the peer breaks the protocol or the limits. The caller
    /// must close the connection.
    ///
    /// # Spec
    ///
    /// Socket.IO protocol v5, "Packet encoding".
    pub fn text<'a>(
        &mut self,
        text: &'a str,
        limits: &Limits,
    ) -> Result<Option<Incoming<'a>>, DecodeError> {
        if self.pending.take().is_some() {
            return Err(DecodeError::AttachmentsMissing);
        }
        check_len(text.len(), limits)?;
        let packet = Packet::decode(text, limits)?;
        if packet.attachments == 0 {
            return Ok(Some(packet.complete(Vec::new())));
        }
        let packet = packet.into_owned();
        let attachments = Vec::new();
        self.pending = Some(Box::new(Pending { packet, attachments, bytes: text.len() }));
        Ok(None)
    }

    /// Takes a binary message, an attachment of the last packet. There is a packet
    /// once it was the last one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the peer breaks the protocol or the limits. The caller
    /// must close the connection.
    pub fn binary(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<Incoming<'static>>, DecodeError> {
        let mut pending = self.pending.take().ok_or(DecodeError::AttachmentUnexpected)?;
        pending.bytes = pending.bytes.saturating_add(bytes.len());
        check_len(pending.bytes, limits)?;
        pending.attachments.push(Bytes::copy_from_slice(bytes));
        if pending.attachments.len() == pending.packet.attachments as usize {
            return Ok(Some(pending.packet.complete(pending.attachments)));
        }
        self.pending = Some(pending);
        Ok(None)
    }
}

pub(super) fn check_len(len_bytes: usize, limits: &Limits) -> Result<(), DecodeError> {
    let max_bytes = limits.packet_bytes_max;
    if len_bytes <= max_bytes { Ok(()) } else { Err(DecodeError::TooLong { len_bytes, max_bytes }) }
}

#[cfg(test)]
impl Decoder {
    /// How much memory is held beyond this value itself, roughly.
    fn heap_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| {
            size_of::<Pending>()
                + pending.bytes
                + pending.attachments.capacity() * size_of::<Bytes>()
        })
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
