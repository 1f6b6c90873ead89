//! MessagePack, one item at a time. It knows what the bytes say, and not what they mean.
//!
//! # Spec
//!
//! MessagePack specification, "Formats".

use crate::socketio::DecodeError;

/// What stands at one place of a message. Of an array and of a map this is the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    /// So many items follow, as the peer claims.
    Array(u32),
    Binary(&'a [u8]),
    Bool(bool),
    /// Milliseconds since 1970.
    Date(i64),
    Float(f64),
    /// It fits into an `i64` or into a `u64`.
    Integer(i128),
    /// So many pairs of items follow, as the peer claims.
    Map(u32),
    Nil,
    Text(&'a str),
    Undefined,
}

/// The bytes of a message that have not been read yet.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next item.
    pub(super) fn item(&mut self) -> Result<Item<'a>, DecodeError> {
        let start = self.at;
        self.next_item().ok_or(DecodeError::MessagePack { at: start })
    }

    /// The next item, which must be a name in a map.
    pub(super) fn name(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let Some(Item::Text(name)) = self.next_item() else {
            return Err(DecodeError::MessagePack { at: start });
        };
        Ok(name)
    }

    /// The next item; none if there is none, or none that we accept.
    fn next_item(&mut self) -> Option<Item<'a>> {
        let marker = self.byte()?;
        Some(match marker {
            0x00..=0x7f => Item::Integer(marker.into()),
            0x80..=0x8f => Item::Map(u32::from(marker & 0x0f)),
            0x90..=0x9f => Item::Array(u32::from(marker & 0x0f)),
            0xa0..=0xbf => self.text(u32::from(marker & 0x1f))?,
            0xc0 => Item::Nil,
            0xc1 => return None,
            0xc2 => Item::Bool(false),
            0xc3 => Item::Bool(true),
            0xc4..=0xc6 => {
                let len = self.count(marker - 0xc4)?;
                Item::Binary(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.count(marker - 0xc7)?;
                self.ext()?;
                Item::Binary(self.take(len)?)
            }
            0xca => Item::Float(f32::from_be_bytes(self.chunk()?).into()),
            0xcb => Item::Float(f64::from_be_bytes(self.chunk()?)),
            0xcc => Item::Integer(u8::from_be_bytes(self.chunk()?).into()),
            0xcd => Item::Integer(u16::from_be_bytes(self.chunk()?).into()),
            0xce => Item::Integer(u32::from_be_bytes(self.chunk()?).into()),
            0xcf => Item::Integer(u64::from_be_bytes(self.chunk()?).into()),
            0xd0 => Item::Integer(i8::from_be_bytes(self.chunk()?).into()),
            0xd1 => Item::Integer(i16::from_be_bytes(self.chunk()?).into()),
            0xd2 => Item::Integer(i32::from_be_bytes(self.chunk()?).into()),
            0xd3 => Item::Integer(i64::from_be_bytes(self.chunk()?).into()),
            0xd4 => {
                self.ext()?;
                self.byte()?;
                Item::Undefined
            }
            0xd7 => {
                self.ext()?;
                Item::Date(i64::from_be_bytes(self.chunk()?))
            }
            // Nothing that JavaScript has is sent as an ext of these lengths.
            0xd5 | 0xd6 | 0xd8 => return None,
            0xd9..=0xdb => {
                let len = self.count(marker - 0xd9)?;
                self.text(len)?
            }
            0xdc | 0xdd => Item::Array(self.count(marker - 0xdb)?),
            0xde | 0xdf => Item::Map(self.count(marker - 0xdd)?),
            0xe0..=0xff => Item::Integer((marker as i8).into()),
        })
    }

    /// A count of `1 << width` bytes.
    fn count(&mut self, width: u8) -> Option<u32> {
        Some(match width {
            0 => u8::from_be_bytes(self.chunk()?).into(),
            1 => u16::from_be_bytes(self.chunk()?).into(),
            _ => u32::from_be_bytes(self.chunk()?),
        })
    }

    /// The type of an ext; the only one that we accept is 0.
    fn ext(&mut self) -> Option<()> {
        (self.byte()? == 0).then_some(())
    }

    fn text(&mut self, len: u32) -> Option<Item<'a>> {
        std::str::from_utf8(self.take(len)?).ok().map(Item::Text)
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk().map(|[byte]| byte)
    }

    fn chunk<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let chunk = *self.bytes[self.at..].first_chunk()?;
        self.at += LEN;
        Some(chunk)
    }

    fn take(&mut self, len: u32) -> Option<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..usize::try_from(len).ok()?)?;
        self.at += taken.len();
        Some(taken)
    }
}
