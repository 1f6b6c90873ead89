//! A scanner of JSON: is it well-formed, how deep is it, where do the elements
//! of an array lie, which placeholders does it hold.
//!
//! It builds no tree, uses no recursion and no heap, and reads every byte once.
//! What is well-formed is what `serde_json` takes for a `RawValue`: numbers may
//! be of any size, and `\ud800` may stand alone.
//!
//! A *placeholder* is the object `{"_placeholder":true,"num":0}`, with its members
//! in either order; it stands for a binary attachment. An object with a member
//! `"_placeholder":true` that is not exactly this is refused wherever it stands:
//! otherwise a peer could have its own text taken for somebody else's attachment.
//!
//! # Spec
//!
//! RFC 8259; Socket.IO protocol v5, "Packet encoding".

/// The deepest nesting that the scanner follows, whatever limit it is given.
pub const DEPTH_MAX: u32 = 128;

/// The name of the member that makes an object a placeholder.
pub(super) const PLACEHOLDER_KEY: &str = "_placeholder";

/// One more than the highest number of a placeholder.
pub const PLACEHOLDERS_MAX: u32 = 128;

/// Why text from a peer is not JSON that we accept. It is always the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// A placeholder that is malformed, used twice, or out of range.
    #[error("bad placeholder at byte {at}")]
    Placeholder {
        /// How many bytes lie before it.
        at: usize,
    },
    /// Not JSON.
    #[error("bad JSON at byte {at}")]
    Syntax {
        /// How many bytes lie before the error.
        at: usize,
    },
    /// Arrays and objects in one another beyond the limit.
    #[error("JSON deeper than {depth_max}")]
    TooDeep {
        /// The limit.
        depth_max: u32,
    },
}

/// One value that has been scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value without the whitespace around it.
    pub text: &'a str,
    /// The placeholders within it.
    pub placeholders: Placeholders,
}

/// A set of placeholder numbers, each of them used once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placeholders(u128);

impl Placeholders {
    /// Whether these are exactly the numbers below `count`.
    pub fn are_all_below(self, count: usize) -> bool {
        self.0.trailing_ones() as usize == count && self.0.count_ones() as usize == count
    }
}

/// Scans `text`, which is to hold one value and whitespace around it.
///
/// `depth_max` is how many arrays and objects may be nested, at most [`DEPTH_MAX`].
///
/// # Errors
///
/// [`JsonError`] says what is wrong first.
pub fn scan(text: &str, depth_max: u32) -> Result<Value<'_>, JsonError> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        depth_max: depth_max.min(DEPTH_MAX),
        kinds: 0,
        placeholders: 0,
    };
    scanner.skip_whitespace();
    let start = scanner.at;
    scanner.value()?;
    let end = scanner.at;
    scanner.skip_whitespace();
    if scanner.at < text.len() {
        return Err(scanner.syntax());
    }
    // Both ends lie next to ASCII, which is never inside a character.
    Ok(Value { text: &text[start..end], placeholders: Placeholders(scanner.placeholders) })
}

/// The texts of the elements of `array`, the text of an array that has been scanned.
pub fn elements(array: &str) -> impl Iterator<Item = &str> {
    Elements { rest: array.trim_start_matches(is_whitespace).strip_prefix('[').unwrap_or("") }
}

/// What a piece of scanned JSON consists of, if one looks only for placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A placeholder with this number.
    Placeholder(usize),
    /// Text up to the next placeholder.
    Text(&'a str),
}

/// Cuts `text`, a piece of scanned JSON, at its placeholders.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let Some((number, len)) = placeholder(rest.as_bytes()) {
            rest = &rest[len..];
            return Some(Piece::Placeholder(number as usize));
        }
        let (text, after) = rest.split_at(text_len(rest.as_bytes()));
        rest = after;
        (!text.is_empty()).then_some(Piece::Text(text))
    })
}

/// The text of a scanned string between its quotes, without escapes; `None` if
/// it is not a string or if it holds half a surrogate pair.
pub(super) fn unescape(string: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inner = string.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.into());
    }
    serde_json::from_str::<String>(string).ok().map(Into::into)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    depth_max: u32,
    /// One bit for each open container, the innermost lowest: 1 for an object.
    kinds: u128,
    placeholders: u128,
}

impl Scanner<'_> {
    fn value(&mut self) -> Result<(), JsonError> {
        loop {
            self.skip_whitespace();
            let value_follows = match self.bytes.get(self.at) {
                Some(b'"') => self.string().map(|()| false),
                Some(b'[') => self.open_array(),
                Some(b'{') => self.open_object(),
                Some(b'f') => self.literal(b"false"),
                Some(b'n') => self.literal(b"null"),
                Some(b't') => self.literal(b"true"),
                _ => self.number().map(|()| false),
            }?;
            if !value_follows && !self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Goes on to the next value, over what closes; says whether there is one.
    fn after_value(&mut self) -> Result<bool, JsonError> {
        while self.depth > 0 {
            self.skip_whitespace();
            let in_object = self.kinds & 1 == 1;
            match (self.bytes.get(self.at), in_object) {
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b','), true) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(true);
                }
                (Some(b']'), false) | (Some(b'}'), true) => self.close(),
                _ => return Err(self.syntax()),
            }
        }
        Ok(false)
    }

    /// Says whether a value follows, as it does unless the array is empty.
    fn open_array(&mut self) -> Result<bool, JsonError> {
        self.open(0)?;
        self.skip_whitespace();
        if self.bytes.get(self.at) == Some(&b']') {
            self.close();
            return Ok(false);
        }
        Ok(true)
    }

    fn open_object(&mut self) -> Result<bool, JsonError> {
        let start = self.at;
        self.open(1)?;
        if let Some((number, len)) = placeholder(&self.bytes[start..]) {
            let bit = 1_u128.checked_shl(number).unwrap_or(0);
            if bit == 0 || self.placeholders & bit != 0 {
                return Err(JsonError::Placeholder { at: start });
            }
            self.placeholders |= bit;
            self.at = start + len - 1;
            self.close();
            return Ok(false);
        }
        self.skip_whitespace();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.close();
            return Ok(false);
        }
        self.key()?;
        Ok(true)
    }

    fn open(&mut self, kind: u128) -> Result<(), JsonError> {
        if self.depth == self.depth_max {
            return Err(JsonError::TooDeep { depth_max: self.depth_max });
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | kind;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.kinds >>= 1;
        self.at += 1;
    }

    /// A member's name and the colon.
    fn key(&mut self) -> Result<(), JsonError> {
        self.skip_whitespace();
        let start = self.at;
        self.string()?;
        let end = self.at;
        self.skip_whitespace();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        if is_placeholder_key(&self.bytes[start..end])
            && token(&self.bytes[self.at..], b"true").is_some()
        {
            return Err(JsonError::Placeholder { at: start });
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.syntax());
        }
        self.at += 1;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let digits = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.syntax()),
        };
        let start = self.at + 2;
        match self.bytes.get(start..start + digits) {
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => {
                self.at = start + digits;
                Ok(())
            }
            _ => Err(self.syntax()),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<bool, JsonError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(false)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let len = digits_len(&self.bytes[self.at..]);
        if len == 0 {
            return Err(self.syntax());
        }
        self.at += len;
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }
}

struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches(is_whitespace);
        let (element, after) = rest.split_at(value_len(rest.as_bytes()));
        let after = after.trim_start_matches(is_whitespace);
        self.rest = after.strip_prefix(',').unwrap_or("");
        (!element.is_empty()).then_some(element)
    }
}

/// How long the scanned value at the front is; 0 at the end of an array.
fn value_len(bytes: &[u8]) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_len(&bytes[at..]) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b']' | b'}' | b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// How much of scanned JSON comes before the next placeholder.
///
/// Strings need no care: a brace within one is never followed by a whole string.
fn text_len(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes[*at] == b'{' && placeholder(&bytes[*at..]).is_some();
    (0..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// How long the scanned string at the front is, quotes included.
pub(super) fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += plain_len(&bytes[at.min(bytes.len())..]);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(_) => return at + 1,
            None => return bytes.len(),
        }
    }
}

/// How many bytes come before the next quote, backslash or control character.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = 0;
    while let Some(&word) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(word);
        // The lowest byte that is zero, or below a bound, gets its top bit set
        // by the subtraction; only bytes above it may get a false one.
        let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero_in(word ^ (ONES * b'"' as u64));
        let backslash = zero_in(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(special).unwrap_or(bytes.len() - at)
}

/// The number of the placeholder at the front, and how long it is.
pub(super) fn placeholder(bytes: &[u8]) -> Option<(u32, usize)> {
    let flag = |bytes| token(token(token(bytes, b"\"_placeholder\"")?, b":")?, b"true");
    let number = |bytes| placeholder_number(token(token(bytes, b"\"num\"")?, b":")?);
    let members = bytes.strip_prefix(b"{")?;
    let (num, rest) = match flag(members) {
        Some(rest) => number(token(rest, b",")?)?,
        None => {
            let (num, rest) = number(members)?;
            (num, flag(token(rest, b",")?)?)
        }
    };
    let rest = token(rest, b"}")?;
    Some((num, bytes.len() - rest.len()))
}

fn placeholder_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let bytes = &bytes[whitespace_len(bytes)..];
    let len = digits_len(&bytes[..bytes.len().min(4)]);
    let (digits, rest) = bytes.split_at(len);
    if len == 0 || len > 3 || (len > 1 && digits[0] == b'0') {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    Some((number, rest))
}

/// Whether a member's name, quotes included, is that of placeholders, however it is written.
fn is_placeholder_key(key: &[u8]) -> bool {
    if !key.contains(&b'\\') {
        return &key[1..key.len() - 1] == PLACEHOLDER_KEY.as_bytes();
    }
    // An escape takes at most 6 bytes for a character.
    key.len() <= 2 + 6 * PLACEHOLDER_KEY.len()
        && serde_json::from_slice::<String>(key).is_ok_and(|name| name == PLACEHOLDER_KEY)
}

/// What follows `token`, if it stands at the front after whitespace.
fn token<'a>(bytes: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    bytes[whitespace_len(bytes)..].strip_prefix(token)
}

fn digits_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn whitespace_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| is_whitespace(byte.into())).count()
}

fn is_whitespace(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
