//! From MessagePack to the packet that a peer with the JSON parser would have sent.

use bytes::Bytes;

use super::reader::{Item, Reader};
use super::{date, number};
use crate::socketio::decoder::check_len;
use crate::socketio::json::{self, JsonError};
use crate::socketio::packet::Packet;
use crate::socketio::{DecodeError, Incoming, Kind, Limits};

/// The kinds of packets by their number in `type`.
const KINDS: [Kind; 5] =
    [Kind::Connect, Kind::Disconnect, Kind::Event, Kind::Ack, Kind::ConnectError];

/// The most bytes set aside for JSON before there is any.
const JSON_BYTES_FIRST: usize = 512;

/// Decodes one binary message, which is a whole packet.
///
/// `limits` hold for the packet as it is here and as it would be with the JSON parser.
///
/// # Errors
///
/// [`DecodeError`] if the peer breaks the protocol or the limits. The caller
/// must close the connection.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Incoming<'static>, DecodeError> {
    check_len(bytes.len(), limits)?;
    let mut reader = Reader::new(bytes);
    let Item::Map(members) = reader.item()? else {
        return Err(DecodeError::MessagePack { at: 0 });
    };
    let mut packet = Members::default();
    for _ in 0..members {
        packet.read(&mut reader, limits)?;
    }
    if reader.remaining() > 0 {
        return Err(DecodeError::MessagePack { at: reader.at() });
    }
    packet.into_incoming()
}

/// What a packet says, as far as it has been read.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Kind>,
    namespace: Option<&'a str>,
    id: Option<u64>,
    data: Option<Data>,
}

impl<'a> Members<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, limits: &Limits) -> Result<(), DecodeError> {
        let name = reader.name()?;
        let item = reader.item()?;
        match name {
            "data" => self.data = data(item, reader, limits)?,
            "id" => self.id = id(item)?,
            "nsp" => self.namespace = Some(namespace(item)?),
            "type" => self.kind = Some(kind(item)?),
            _ => drop(Data::read(item, reader, limits)?),
        }
        Ok(())
    }

    fn into_incoming(self) -> Result<Incoming<'static>, DecodeError> {
        let kind = self.kind.ok_or(DecodeError::UnknownType)?;
        let namespace = self.namespace.ok_or(DecodeError::Namespace)?;
        let (json, attachments) =
            self.data.map_or_else(Default::default, |data| (Some(data.json), data.attachments));
        let json = json.map(Into::into);
        let count = attachments.len() as u32;
        let packet = Packet::from_parts(kind, namespace.into(), self.id, json, count)?;
        Ok(packet.into_owned().complete(attachments))
    }
}

fn kind(item: Item<'_>) -> Result<Kind, DecodeError> {
    let Item::Integer(number) = item else { return Err(DecodeError::UnknownType) };
    let kind = usize::try_from(number).ok().and_then(|number| KINDS.get(number));
    kind.copied().ok_or(DecodeError::UnknownType)
}

fn namespace(item: Item<'_>) -> Result<&str, DecodeError> {
    let Item::Text(namespace) = item else { return Err(DecodeError::Namespace) };
    Ok(namespace)
}

fn id(item: Item<'_>) -> Result<Option<u64>, DecodeError> {
    if is_absent(item) {
        return Ok(None);
    }
    let Item::Integer(id) = item else { return Err(DecodeError::Id) };
    u64::try_from(id).map(Some).map_err(|_| DecodeError::Id)
}

fn data<'a>(
    item: Item<'a>,
    reader: &mut Reader<'a>,
    limits: &Limits,
) -> Result<Option<Data>, DecodeError> {
    if is_absent(item) { Ok(None) } else { Data::read(item, reader, limits).map(Some) }
}

fn is_absent(item: Item<'_>) -> bool {
    matches!(item, Item::Nil | Item::Undefined)
}

/// A value as JSON, and what its placeholders stand for.
struct Data {
    json: String,
    attachments: Vec<Bytes>,
    attachments_bytes: usize,
    /// The arrays and maps that have not ended, the innermost last.
    open: Vec<Open>,
}

/// An array or a map that has not ended.
#[derive(Clone, Copy)]
struct Open {
    is_map: bool,
    /// How many elements or members are still to come, as the peer claims.
    left: u32,
}

impl Data {
    /// Reads the value that begins with `first`.
    fn read<'a>(
        first: Item<'a>,
        reader: &mut Reader<'a>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let mut data = Self {
            json: String::with_capacity(reader.remaining().min(JSON_BYTES_FIRST)),
            attachments: Vec::new(),
            attachments_bytes: 0,
            open: Vec::new(),
        };
        data.begin(first, limits)?;
        while let Some(open) = data.open.last_mut() {
            if open.left == 0 {
                data.json.push(if open.is_map { '}' } else { ']' });
                data.open.pop();
                continue;
            }
            open.left -= 1;
            if open.is_map {
                data.member(reader, limits)?;
            } else {
                let item = reader.item()?;
                data.separate();
                data.begin(item, limits)?;
            }
        }
        data.check_len(limits)?;
        Ok(data)
    }

    /// A member of a map, its value only begun.
    fn member<'a>(&mut self, reader: &mut Reader<'a>, limits: &Limits) -> Result<(), DecodeError> {
        let at = reader.at();
        let name = reader.name()?;
        let item = reader.item()?;
        if name == json::PLACEHOLDER_KEY && item == Item::Bool(true) {
            return Err(JsonError::Placeholder { at }.into());
        }
        if item == Item::Undefined {
            return Ok(());
        }
        self.separate();
        self.push_text(name, limits)?;
        self.json.push(':');
        self.begin(item, limits)
    }

    /// A value, or how it begins.
    fn begin(&mut self, item: Item<'_>, limits: &Limits) -> Result<(), DecodeError> {
        match item {
            Item::Array(left) => self.push_open('[', Open { is_map: false, left }, limits)?,
            Item::Binary(bytes) => self.push_placeholder(bytes, limits)?,
            Item::Bool(true) => self.json.push_str("true"),
            Item::Bool(false) => self.json.push_str("false"),
            Item::Date(time_ms) => match date::iso(time_ms) {
                Some(text) => self.push_text(&text, limits)?,
                None => self.json.push_str("null"),
            },
            Item::Float(float) => number::push_float(float, &mut self.json),
            Item::Integer(integer) => number::push_integer(integer, &mut self.json),
            Item::Map(left) => self.push_open('{', Open { is_map: true, left }, limits)?,
            Item::Nil | Item::Undefined => self.json.push_str("null"),
            Item::Text(text) => self.push_text(text, limits)?,
        }
        self.check_len(limits)
    }

    fn push_open(&mut self, bracket: char, open: Open, limits: &Limits) -> Result<(), DecodeError> {
        self.check_depth(limits)?;
        self.json.push(bracket);
        self.open.push(open);
        Ok(())
    }

    fn push_placeholder(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
        self.check_depth(limits)?;
        let max = limits.attachments_max.min(json::PLACEHOLDERS_MAX);
        let number = self.attachments.len();
        if number == max as usize {
            return Err(DecodeError::AttachmentCount { max });
        }
        self.json.push_str("{\"_placeholder\":true,\"num\":");
        number::push_integer(number as i128, &mut self.json);
        self.json.push('}');
        self.attachments_bytes += bytes.len();
        self.attachments.push(Bytes::copy_from_slice(bytes));
        Ok(())
    }

    /// A string with quotes, and with those escapes that `JSON.stringify` writes.
    fn push_text(&mut self, text: &str, limits: &Limits) -> Result<(), DecodeError> {
        self.json.push('"');
        let mut rest = text;
        loop {
            let (plain, after) = rest.split_at(json::plain_len(rest.as_bytes()));
            self.json.push_str(plain);
            let Some(&special) = after.as_bytes().first() else { break };
            match special {
                b'"' => self.json.push_str("\\\""),
                b'\\' => self.json.push_str("\\\\"),
                b'\n' => self.json.push_str("\\n"),
                b'\r' => self.json.push_str("\\r"),
                b'\t' => self.json.push_str("\\t"),
                0x08 => self.json.push_str("\\b"),
                0x0c => self.json.push_str("\\f"),
                control => self.json.push_str(&format!("\\u{control:04x}")),
            }
            // What is longer with its escapes need not become much longer than permitted.
            self.check_len(limits)?;
            rest = &after[1..];
        }
        self.json.push('"');
        Ok(())
    }

    /// Sets what comes next apart from what came before it.
    fn separate(&mut self) {
        if !self.json.ends_with(['[', '{']) {
            self.json.push(',');
        }
    }

    /// Whether there may be one more array or object within those that are open.
    fn check_depth(&self, limits: &Limits) -> Result<(), DecodeError> {
        let depth_max = limits.json_depth_max.min(json::DEPTH_MAX);
        if self.open.len() == depth_max as usize {
            return Err(JsonError::TooDeep { depth_max }.into());
        }
        Ok(())
    }

    fn check_len(&self, limits: &Limits) -> Result<(), DecodeError> {
        check_len(self.json.len() + self.attachments_bytes, limits)
    }
}
