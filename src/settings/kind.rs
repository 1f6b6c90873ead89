//! The kinds of values: how each is read, checked, and written.
//!
//! A kind says in one phrase what it takes, bounds included. That phrase is
//! the help in a printed file and the advice in an error, whatever was wrong:
//! the type, the unit or the range.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use parlor::admin::PasswordHash;
use toml::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::units::{parse_bytes, parse_time, show_bytes, show_time};

const LIST_ITEMS_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 256;

/// A value before it means anything.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// Of the file, which has types.
    Typed(Value),
    /// Of the command line or the environment, where everything is text.
    Word(String),
}

impl Written {
    /// The text, if it is one.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Typed(value) => value.as_str(),
            Self::Word(word) => Some(word),
        }
    }

    /// The number, if it is one that is not negative.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Typed(value) => value.as_integer().and_then(|number| number.try_into().ok()),
            Self::Word(word) => word.parse().ok(),
        }
    }
}

type Read<T> = Box<dyn Fn(&Written) -> Option<T>>;
type Show<T> = Box<dyn Fn(&T) -> Value>;

/// How values of one kind are read and written.
pub(super) struct Kind<T> {
    /// What such a value is called in `--help`.
    pub(super) value_name: &'static str,
    /// What to write: the end of a sentence that begins with "write".
    pub(super) expected: String,
    /// Whether there may be several, each with a flag of its own.
    pub(super) several: bool,
    /// The value that was written, if it is one of this kind.
    pub(super) read: Read<T>,
    /// How the file has it; read again, it is the same.
    pub(super) show: Show<T>,
}

impl<T> Kind<T> {
    fn new(
        value_name: &'static str,
        expected: impl Into<String>,
        read: impl Fn(&Written) -> Option<T> + 'static,
        show: impl Fn(&T) -> Value + 'static,
    ) -> Self {
        let (read, show) = (Box::new(read), Box::new(show));
        Self { value_name, expected: expected.into(), several: false, read, show }
    }
}

/// True or false. On the command line the word is written too: `--reuse-port true`.
pub(super) fn yes_or_no() -> Kind<bool> {
    Kind::new(
        "BOOL",
        "true or false",
        |written| match written {
            Written::Typed(value) => value.as_bool(),
            Written::Word(word) => word.parse().ok(),
        },
        |&value: &bool| value.into(),
    )
}

/// An address to listen on.
pub(super) fn address() -> Kind<SocketAddr> {
    Kind::new(
        "ADDRESS",
        "a numeric address with a port, such as \"127.0.0.1:3000\" or \"[::]:3000\"",
        |written| written.text()?.parse().ok(),
        |address: &SocketAddr| address.to_string().into(),
    )
}

/// Bytes, with or without a unit. The name of such a setting must say that it takes bytes.
pub(super) fn bytes(range: RangeInclusive<u64>) -> Kind<usize> {
    let shown = |bytes: u64| show_bytes(bytes).unwrap_or_else(|| bytes.to_string());
    let expected = format!(
        "bytes, from {} to {}, such as \"1MB\", \"4MiB\" or 1000",
        shown(*range.start()),
        shown(*range.end())
    );
    Kind::new(
        "BYTES",
        expected,
        move |written| {
            let bytes = written.number().or_else(|| parse_bytes(written.text()?))?;
            usize::try_from(bytes).ok().filter(|_| range.contains(&bytes))
        },
        |&bytes| match show_bytes(bytes as u64) {
            Some(text) => text.into(),
            None => integer(bytes as u64),
        },
    )
}

/// One of these words, each of which stands for a value.
pub(super) fn choice<T: Copy + PartialEq + 'static>(words: &'static [(&str, T)]) -> Kind<T> {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Kind::new(
        "WORD",
        quoted.join(" or "),
        |written| {
            let text = written.text()?;
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        },
        |value| {
            let word = words.iter().find(|(_, candidate)| candidate == value);
            word.map(|(word, _)| *word).expect("every value has a word").into()
        },
    )
}

/// A whole number.
pub(super) fn count<T: Copy + TryFrom<u64> + TryInto<u64> + 'static>(
    range: RangeInclusive<u64>,
) -> Kind<T> {
    Kind::new(
        "N",
        format!("a whole number from {} to {}", range.start(), range.end()),
        move |written| written.number().filter(|number| range.contains(number))?.try_into().ok(),
        // No type here has numbers that 64 bits do not hold.
        |&number: &T| integer(number.try_into().unwrap_or(u64::MAX)),
    )
}

/// Any number of such values: a list in the file, else with commas between; a
/// single one needs no list.
pub(super) fn list<T: 'static>(kind: Kind<T>) -> Kind<Vec<T>> {
    let Kind { value_name, expected, several: _, read, show } = kind;
    let read = move |written: &Written| {
        let items: Vec<Written> = match written {
            Written::Typed(Value::Array(items)) => {
                items.iter().cloned().map(Written::Typed).collect()
            }
            Written::Typed(one) => vec![Written::Typed(one.clone())],
            Written::Word(words) => {
                let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
                words.map(|word| Written::Word(word.to_owned())).collect()
            }
        };
        (items.len() <= LIST_ITEMS_MAX).then(|| items.iter().map(&read).collect())?
    };
    let show = move |values: &Vec<T>| Value::Array(values.iter().map(&show).collect());
    let expected = format!("a list of at most {LIST_ITEMS_MAX}, each {expected}");
    Kind { several: true, ..Kind::new(value_name, expected, read, show) }
}

/// A file of this machine.
pub(super) fn file() -> Kind<PathBuf> {
    Kind::new(
        "FILE",
        "the path of a file",
        |written| written.text().filter(|path| !path.is_empty()).map(PathBuf::from),
        // It was text when it was read.
        |path| path.to_string_lossy().into_owned().into(),
    )
}

/// What is logged, as tracing's filter takes it.
pub(super) fn log_filter() -> Kind<String> {
    Kind::new(
        "FILTER",
        "off, error, warn, info, debug or trace, alone or for parts, such as \"info,parlor::server=debug\"",
        |written| {
            let text = written.text()?.trim();
            // The filter takes a misspelt level for a part of the program, and
            // then logs nothing else.
            let understood = |directive: &str| {
                let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
                is_level || directive.contains(['=', '['])
            };
            let valid =
                text.split(',').map(str::trim).all(understood) && EnvFilter::try_new(text).is_ok();
            valid.then(|| text.to_owned())
        },
        |filter| filter.as_str().into(),
    )
}

/// A site, as browsers name it, or all of them.
pub(super) fn origin() -> Kind<String> {
    Kind::new(
        "ORIGIN",
        "an origin such as \"https://chat.example.com\", without a path, or \"*\"",
        |written| {
            let origin = written.text()?;
            let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            let is_plain = |site: &str| {
                !site.is_empty()
                    && !site.contains(['/', ',', '*'])
                    && !site.contains(char::is_whitespace)
            };
            (origin == "*" || site.is_some_and(is_plain)).then(|| origin.to_owned())
        },
        |origin: &String| origin.as_str().into(),
    )
}

/// The hash of a password.
pub(super) fn password_hash() -> Kind<PasswordHash> {
    Kind::new(
        "HASH",
        "a bcrypt hash such as \"$2b$10$..\", of a cost of at most 15",
        |written| PasswordHash::parse(written.text()?),
        |hash| hash.as_str().into(),
    )
}

/// A name that a person types.
pub(super) fn user_name() -> Kind<String> {
    Kind::new(
        "NAME",
        format!("a name of 1 to {NAME_BYTES_MAX} bytes, such as \"admin\""),
        |written| {
            let name = written.text()?;
            let valid = !name.is_empty()
                && name.len() <= NAME_BYTES_MAX
                && !name.contains(char::is_control);
            valid.then(|| name.to_owned())
        },
        |name: &String| name.as_str().into(),
    )
}

/// The name of a namespace.
pub(super) fn namespace() -> Kind<String> {
    Kind::new(
        "NAME",
        format!(
            "a name of up to {NAME_BYTES_MAX} bytes that begins with a slash, such as \"/team\""
        ),
        |written| {
            let name = written.text()?;
            // Commas end a name in a packet, and a question mark begins what is not of it.
            let valid = name.len() <= NAME_BYTES_MAX
                && name.starts_with('/')
                && !name.contains([',', '?'])
                && !name.contains(char::is_control);
            valid.then(|| name.to_owned())
        },
        |name| name.as_str().into(),
    )
}

/// A value or else a word that stands for none.
pub(super) fn or_word<T: 'static>(word: &'static str, kind: Kind<T>) -> Kind<Option<T>> {
    let Kind { value_name, expected, several, read, show } = kind;
    let expected = format!("\"{word}\" or {expected}");
    let read = move |written: &Written| {
        if written.text() == Some(word) { Some(None) } else { read(written).map(Some) }
    };
    let show = move |value: &Option<T>| value.as_ref().map_or_else(|| word.into(), &show);
    Kind { several, ..Kind::new(value_name, expected, read, show) }
}

/// A time with its unit.
pub(super) fn time(range: RangeInclusive<Duration>) -> Kind<Duration> {
    let (min, max) = (show_time(*range.start()), show_time(*range.end()));
    Kind::new(
        "TIME",
        format!("a time in ms, s, m or h, from {min} to {max}, such as \"300ms\" or \"25s\""),
        move |written| parse_time(written.text()?).filter(|time| range.contains(time)),
        |time| show_time(*time).into(),
    )
}

/// A path of a URL, with both slashes.
pub(super) fn url_path() -> Kind<String> {
    Kind::new(
        "PATH",
        format!(
            "a path of up to {NAME_BYTES_MAX} bytes that begins with a slash, such as \"/socket.io/\""
        ),
        |written| {
            let path = written.text()?;
            let valid = path.len() <= NAME_BYTES_MAX
                && path.starts_with('/')
                && path.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#'));
            // The same path with or without it; the engine's has it.
            let end = if path.ends_with('/') { "" } else { "/" };
            valid.then(|| format!("{path}{end}"))
        },
        |path| path.as_str().into(),
    )
}

fn integer(number: u64) -> Value {
    // The bounds of every setting lie far below; the file knows no greater number.
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
