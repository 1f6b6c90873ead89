//! From a packet as JSON to MessagePack that the stock parser takes for the same.

use bytes::Bytes;

use crate::socketio::json;
use crate::socketio::packet::Kind;

/// Appends one packet, which is then a whole binary message.
///
/// `json` is the data, if there are any; its placeholders must number all of
/// `attachments`. Numbers become ints if they are written as integers and fit into 64
/// bits, else floats. Half a surrogate pair, which UTF-8 can not say, becomes U+FFFD.
///
/// # Panics
///
/// If `json` is not well-formed, it may; a debug build always does. And if a placeholder
/// names an attachment that is not there.
pub fn encode(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    json: Option<&str>,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
) {
    debug_assert!(
        json.is_none_or(|json| is_sound(json, attachments)),
        "no data of a packet: {json:?}"
    );
    let members = 2 + usize::from(json.is_some()) + usize::from(id.is_some());
    push_head(&MAP, members, out);
    push_text("type", out);
    push_integer(number(kind), out);
    if let Some(json) = json {
        push_text("data", out);
        Writer { attachments, open: Vec::new(), out }.write(json);
    }
    if let Some(id) = id {
        push_text("id", out);
        push_integer(id, out);
    }
    push_text("nsp", out);
    push_text(namespace, out);
}

fn is_sound(json: &str, attachments: &[Bytes]) -> bool {
    json::scan(json, json::DEPTH_MAX)
        .is_ok_and(|value| value.placeholders.are_all_below(attachments.len()))
}

/// The number of a kind in `type`.
fn number(kind: Kind) -> u64 {
    match kind {
        Kind::Connect => 0,
        Kind::Disconnect => 1,
        Kind::Event => 2,
        Kind::Ack => 3,
        Kind::ConnectError => 4,
    }
}

struct Writer<'a> {
    attachments: &'a [Bytes],
    /// The arrays and objects that have not ended, the innermost last.
    open: Vec<Open>,
    out: &'a mut Vec<u8>,
}

/// An array or an object that has not ended.
struct Open {
    /// Where its head belongs. One byte is left for it, which mostly is enough.
    at: usize,
    is_map: bool,
    /// How many values it has so far; names of members are among them.
    values: usize,
}

impl Writer<'_> {
    fn write(&mut self, json: &str) {
        let mut at = 0;
        while at < json.len() {
            at += self.token(&json[at..]);
        }
    }

    /// Writes what is at the front, and says how long it is.
    fn token(&mut self, json: &str) -> usize {
        match json.as_bytes()[0] {
            b'"' => self.string(json),
            b'[' => self.begin(false),
            b'{' => match json::placeholder(json.as_bytes()) {
                Some((number, len)) => self.attachment(number, len),
                None => self.begin(true),
            },
            b']' | b'}' => self.end(),
            b'f' => self.literal(0xc2, "false".len()),
            b'n' => self.literal(0xc0, "null".len()),
            b't' => self.literal(0xc3, "true".len()),
            b'-' | b'0'..=b'9' => self.number(json),
            // Colons and commas say nothing that the order does not, and whitespace
            // says nothing at all.
            _ => 1,
        }
    }

    fn begin(&mut self, is_map: bool) -> usize {
        self.count();
        self.open.push(Open { at: self.out.len(), is_map, values: 0 });
        self.out.push(0);
        1
    }

    fn end(&mut self) -> usize {
        let Open { at, is_map, values } = self.open.pop().expect("what ends has begun");
        let (formats, len) = if is_map { (&MAP, values / 2) } else { (&ARRAY, values) };
        if len < formats.fixed_len as usize {
            self.out[at] = formats.fixed | len as u8;
            return 1;
        }
        // All within makes room, so a byte moves at most once per level.
        let mut head = Vec::new();
        push_head(formats, len, &mut head);
        self.out.splice(at..=at, head);
        1
    }

    /// Every value is one of what is around it.
    fn count(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.values += 1;
        }
    }

    fn attachment(&mut self, number: u32, len: usize) -> usize {
        self.count();
        let bytes = &self.attachments[number as usize];
        push_head(&BINARY, bytes.len(), self.out);
        self.out.extend_from_slice(bytes);
        len
    }

    fn literal(&mut self, marker: u8, len: usize) -> usize {
        self.count();
        self.out.push(marker);
        len
    }

    fn number(&mut self, json: &str) -> usize {
        self.count();
        let is_of_number =
            |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let len = json.bytes().take_while(is_of_number).count();
        let digits = &json[..len];
        if let Ok(integer) = digits.parse() {
            push_integer(integer, self.out);
        } else if let Ok(integer @ ..0) = digits.parse() {
            push_negative(integer, self.out);
        } else {
            let float: f64 = digits.parse().expect("it was scanned, and is a number");
            self.out.push(0xcb);
            self.out.extend_from_slice(&float.to_be_bytes());
        }
        len
    }

    fn string(&mut self, json: &str) -> usize {
        self.count();
        let len = json::string_len(json.as_bytes());
        let inner = &json[1..len - 1];
        if !inner.contains('\\') {
            push_text(inner, self.out);
            return len;
        }
        push_head(&TEXT, unescaped(inner).map(char::len_utf8).sum(), self.out);
        for character in unescaped(inner) {
            self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        len
    }
}

/// The characters that the inside of a string means.
fn unescaped(inner: &str) -> impl Iterator<Item = char> {
    let mut characters = inner.chars();
    std::iter::from_fn(move || {
        let character = characters.next()?;
        if character != '\\' {
            return Some(character);
        }
        Some(match characters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (character, len) = unicode(characters.as_str());
                characters = characters.as_str()[len..].chars();
                character
            }
            itself => itself,
        })
    })
}

/// The character after `\u`, and how long what says it is.
fn unicode(text: &str) -> (char, usize) {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let first = unit(text).unwrap_or_default();
    if !(0xd800..0xdc00).contains(&first) {
        return (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4);
    }
    let second = text.get(4..).and_then(|text| unit(text.strip_prefix("\\u")?));
    match second {
        Some(second @ 0xdc00..0xe000) => {
            let pair = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER), 10)
        }
        Some(_) | None => (char::REPLACEMENT_CHARACTER, 4),
    }
}

/// How the head of something that has a length is written.
struct Formats {
    /// The byte to which a length below `fixed_len` is added.
    fixed: u8,
    fixed_len: u32,
    /// What comes before a length of one byte, if that may be.
    one: Option<u8>,
    /// What comes before a length of two bytes.
    two: u8,
    /// What comes before a length of four bytes.
    four: u8,
}

const ARRAY: Formats = Formats { fixed: 0x90, fixed_len: 16, one: None, two: 0xdc, four: 0xdd };
const BINARY: Formats = Formats { fixed: 0, fixed_len: 0, one: Some(0xc4), two: 0xc5, four: 0xc6 };
const MAP: Formats = Formats { fixed: 0x80, fixed_len: 16, one: None, two: 0xde, four: 0xdf };
const TEXT: Formats =
    Formats { fixed: 0xa0, fixed_len: 32, one: Some(0xd9), two: 0xda, four: 0xdb };

fn push_head(formats: &Formats, len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(len).expect("no message is as long as 4 GiB");
    if len < formats.fixed_len {
        out.push(formats.fixed | len as u8);
    } else if let (Some(marker), Ok(len)) = (formats.one, u8::try_from(len)) {
        out.extend_from_slice(&[marker, len]);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(formats.two);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(formats.four);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    push_head(&TEXT, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn push_integer(integer: u64, out: &mut Vec<u8>) {
    if integer < 0x80 {
        out.push(integer as u8);
    } else if let Ok(integer) = u8::try_from(integer) {
        out.extend_from_slice(&[0xcc, integer]);
    } else if let Ok(integer) = u16::try_from(integer) {
        out.push(0xcd);
        out.extend_from_slice(&integer.to_be_bytes());
    } else if let Ok(integer) = u32::try_from(integer) {
        out.push(0xce);
        out.extend_from_slice(&integer.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&integer.to_be_bytes());
    }
}

fn push_negative(integer: i64, out: &mut Vec<u8>) {
    if integer >= -0x20 {
        // The last byte of the two's complement is the marker itself.
        out.push(integer as u8);
    } else if let Ok(integer) = i8::try_from(integer) {
        out.push(0xd0);
        out.extend_from_slice(&integer.to_be_bytes());
    } else if let Ok(integer) = i16::try_from(integer) {
        out.push(0xd1);
        out.extend_from_slice(&integer.to_be_bytes());
    } else if let Ok(integer) = i32::try_from(integer) {
        out.push(0xd2);
        out.extend_from_slice(&integer.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&integer.to_be_bytes());
    }
}
