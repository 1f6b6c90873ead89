//! One packet: what stands before its JSON, and what its JSON must be.
//!
//! # Spec
//!
//! Socket.IO protocol v5, "Packet encoding".

use std::borrow::Cow;

use super::json::{self, JsonError};
use super::{Args, Limits};

/// The highest id of an ack: beyond it, numbers in JavaScript are not exact.
pub const ID_MAX: u64 = 1 << 53;

/// Names that an event cannot have, since client libraries use them for their own.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What a peer says, attachments included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The answer to an event of ours.
    Ack {
        /// Where the event was sent.
        namespace: Cow<'a, str>,
        /// The id that the event carried.
        id: u64,
        /// What the peer answers.
        args: Args<'a>,
    },
    /// A client joins a namespace, or a server says that it has.
    Connect {
        /// Which one.
        namespace: Cow<'a, str>,
        /// A JSON object.
        data: Option<Cow<'a, str>>,
    },
    /// A server refuses to let a client join a namespace.
    ConnectError {
        /// Which one.
        namespace: Cow<'a, str>,
        /// A JSON object or string.
        data: Option<Cow<'a, str>>,
    },
    /// The peer leaves a namespace.
    Disconnect {
        /// Which one.
        namespace: Cow<'a, str>,
    },
    /// An event; its name is a string, and not reserved.
    Event {
        /// Where it was sent.
        namespace: Cow<'a, str>,
        /// The id for the answer, if the peer wants one.
        id: Option<u64>,
        /// The name and the arguments.
        args: Args<'a>,
    },
}

/// A packet's type; that an event or ack is binary follows from its attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`Incoming::Connect`].
    Connect,
    /// See [`Incoming::Disconnect`].
    Disconnect,
    /// See [`Incoming::Event`].
    Event,
    /// See [`Incoming::Ack`].
    Ack,
    /// See [`Incoming::ConnectError`].
    ConnectError,
}

/// Why what a peer sent is not a Socket.IO packet that we accept.
///
/// Every variant is the peer's fault. The caller must close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A number of attachments that is missing, zero, or over the limit.
    #[error("bad number of attachments; the limit is {max}")]
    AttachmentCount {
        /// The limit.
        max: u32,
    },
    /// Bytes that no packet has announced.
    #[error("attachment that was not announced")]
    AttachmentUnexpected,
    /// Text while attachments are still to come.
    #[error("packet before the attachments of the last one")]
    AttachmentsMissing,
    /// An event's name that is missing, no string, no Unicode, or reserved.
    #[error("bad or reserved event name")]
    EventName,
    /// An id that is missing, out of place, or above [`ID_MAX`].
    #[error("bad ack id")]
    Id,
    /// Data that is not the JSON we accept.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Bytes that are not the MessagePack we accept.
    #[error("bad MessagePack at byte {at}")]
    MessagePack {
        /// How many bytes lie before what is wrong.
        at: usize,
    },
    /// A namespace that is missing, or that the text of a packet could not name.
    #[error("bad namespace")]
    Namespace,
    /// Data of another shape than the packet's type asks for.
    #[error("bad payload of a packet of type {0:?}")]
    Payload(Kind),
    /// Attachments announced without a placeholder, or the other way round.
    #[error("placeholders do not match the {announced} attachments announced")]
    Placeholders {
        /// How many were announced.
        announced: u32,
    },
    /// A packet, attachments included, over the limit.
    #[error("packet of {len_bytes} bytes is over the limit of {max_bytes}")]
    TooLong {
        /// The bytes received so far.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A type that the specification does not define, or none at all.
    #[error("unknown packet type")]
    UnknownType,
}

/// Appends what stands before a packet's JSON; the JSON, if any, is to follow.
pub fn encode_head(
    kind: Kind,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
    out: &mut String,
) {
    debug_assert!(namespace.starts_with('/') && !namespace.contains(','), "{namespace:?}");
    let plain = match kind {
        Kind::Connect => '0',
        Kind::Disconnect => '1',
        Kind::Event => '2',
        Kind::Ack => '3',
        Kind::ConnectError => '4',
    };
    if attachments == 0 {
        out.push(plain);
    } else {
        out.push(match kind {
            Kind::Event => '5',
            Kind::Ack => '6',
            Kind::Connect | Kind::ConnectError | Kind::Disconnect => {
                panic!("{kind:?} has no attachments")
            }
        });
        push_number(attachments as u64, out);
        out.push('-');
    }
    if namespace != "/" {
        out.push_str(namespace);
        out.push(',');
    }
    if let Some(id) = id {
        push_number(id, out);
    }
}

/// A packet whose attachments, if any, are still to come.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) attachments: u32,
    kind: Kind,
    namespace: Cow<'a, str>,
    id: Option<u64>,
    json: Option<Cow<'a, str>>,
}

impl<'a> Packet<'a> {
    /// Decodes the text of a packet and checks all that can be wrong with it.
    pub(super) fn decode(text: &'a str, limits: &Limits) -> Result<Self, DecodeError> {
        let (kind, binary, rest) = decode_kind(text)?;
        let (attachments, rest) = if binary { decode_count(rest, limits)? } else { (0, rest) };
        let (namespace, rest) = decode_namespace(rest);
        let (id, rest) = decode_id(rest)?;
        let value = match rest {
            "" => None,
            json => Some(json::scan(json, limits.json_depth_max)?),
        };
        if !value.unwrap_or_default().placeholders.are_all_below(attachments as usize) {
            return Err(DecodeError::Placeholders { announced: attachments });
        }
        let json = value.map(|value| value.text);
        check(kind, id, json)?;
        let json = json.map(Cow::Borrowed);
        Ok(Self { attachments, kind, namespace: Cow::Borrowed(namespace), id, json })
    }

    /// A packet that came in another form than text, held to the same rules.
    ///
    /// `json` must have been scanned, and its placeholders number all `attachments`.
    pub(super) fn from_parts(
        kind: Kind,
        namespace: Cow<'a, str>,
        id: Option<u64>,
        json: Option<Cow<'a, str>>,
        attachments: u32,
    ) -> Result<Self, DecodeError> {
        if !namespace.starts_with('/') || namespace.contains(',') {
            return Err(DecodeError::Namespace);
        }
        if id.is_some_and(|id| id > ID_MAX) {
            return Err(DecodeError::Id);
        }
        check(kind, id, json.as_deref())?;
        match kind {
            Kind::Connect | Kind::ConnectError | Kind::Disconnect if attachments > 0 => {
                Err(DecodeError::Payload(kind))
            }
            Kind::Ack | Kind::Connect | Kind::ConnectError | Kind::Disconnect | Kind::Event => {
                Ok(Self { attachments, kind, namespace, id, json })
            }
        }
    }

    /// This packet without a borrow.
    pub(super) fn into_owned(self) -> Packet<'static> {
        Packet {
            attachments: self.attachments,
            kind: self.kind,
            namespace: Cow::Owned(self.namespace.into_owned()),
            id: self.id,
            json: self.json.map(|json| Cow::Owned(json.into_owned())),
        }
    }

    /// This packet with its attachments.
    pub(super) fn complete(self, attachments: Vec<bytes::Bytes>) -> Incoming<'a> {
        let Self { kind, namespace, id, json: data, .. } = self;
        let args = |data: Option<Cow<'a, str>>| {
            Args::new(data.expect("checked: these kinds have an array"), attachments)
        };
        match kind {
            Kind::Connect => Incoming::Connect { namespace, data },
            Kind::Disconnect => Incoming::Disconnect { namespace },
            Kind::Event => Incoming::Event { namespace, id, args: args(data) },
            Kind::Ack => {
                let id = id.expect("checked: an ack has an id");
                Incoming::Ack { namespace, id, args: args(data) }
            }
            Kind::ConnectError => Incoming::ConnectError { namespace, data },
        }
    }
}

fn decode_kind(text: &str) -> Result<(Kind, bool, &str), DecodeError> {
    let (kind, binary) = match text.as_bytes().first() {
        Some(b'0') => (Kind::Connect, false),
        Some(b'1') => (Kind::Disconnect, false),
        Some(b'2') => (Kind::Event, false),
        Some(b'3') => (Kind::Ack, false),
        Some(b'4') => (Kind::ConnectError, false),
        Some(b'5') => (Kind::Event, true),
        Some(b'6') => (Kind::Ack, true),
        _ => return Err(DecodeError::UnknownType),
    };
    Ok((kind, binary, &text[1..]))
}

fn decode_count<'a>(text: &'a str, limits: &Limits) -> Result<(u32, &'a str), DecodeError> {
    let max = limits.attachments_max.min(json::PLACEHOLDERS_MAX);
    let bad = DecodeError::AttachmentCount { max };
    let Some((number, rest)) = decode_number(text) else { return Err(bad) };
    match (number, rest.strip_prefix('-')) {
        (Some(count), Some(rest)) if (1..=u64::from(max)).contains(&count) => {
            Ok((count as u32, rest))
        }
        _ => Err(bad),
    }
}

/// A namespace begins with a slash and ends at a comma or with the packet; `/`
/// is left away.
fn decode_namespace(text: &str) -> (&str, &str) {
    if text.starts_with('/') { text.split_once(',').unwrap_or((text, "")) } else { ("/", text) }
}

fn decode_id(text: &str) -> Result<(Option<u64>, &str), DecodeError> {
    match decode_number(text) {
        None => Ok((None, text)),
        Some((Some(id), rest)) if id <= ID_MAX => Ok((Some(id), rest)),
        Some(_) => Err(DecodeError::Id),
    }
}

/// The digits at the front as a number, if there are any; it is none if it does
/// not fit.
fn decode_number(text: &str) -> Option<(Option<u64>, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    (len > 0).then(|| (digits.parse().ok(), rest))
}

/// Checks id and data against what the packet's type asks for.
fn check(kind: Kind, id: Option<u64>, json: Option<&str>) -> Result<(), DecodeError> {
    let first = json.and_then(|json| json.bytes().next());
    let (id_fits, payload_fits) = match kind {
        Kind::Connect => (id.is_none(), matches!(first, None | Some(b'{'))),
        Kind::Disconnect => (id.is_none(), first.is_none()),
        Kind::Event => (true, first == Some(b'[')),
        Kind::Ack => (id.is_some(), first == Some(b'[')),
        Kind::ConnectError => (id.is_none(), matches!(first, None | Some(b'{' | b'"'))),
    };
    if !id_fits {
        return Err(DecodeError::Id);
    }
    if !payload_fits {
        return Err(DecodeError::Payload(kind));
    }
    if kind == Kind::Event {
        let name = json.and_then(|json| json::elements(json).next()).and_then(json::unescape);
        if name.is_none_or(|name| RESERVED_EVENTS.contains(&&*name)) {
            return Err(DecodeError::EventName);
        }
    }
    Ok(())
}

pub(super) fn push_number(number: u64, out: &mut String) {
    if number >= 10 {
        push_number(number / 10, out);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
impl Incoming<'_> {
    /// This packet without a borrow.
    pub(super) fn into_owned(self) -> Incoming<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Ack { namespace, id, args } => {
                Incoming::Ack { namespace: owned(namespace), id, args: args.into_owned() }
            }
            Self::Connect { namespace, data } => {
                Incoming::Connect { namespace: owned(namespace), data: data.map(owned) }
            }
            Self::ConnectError { namespace, data } => {
                Incoming::ConnectError { namespace: owned(namespace), data: data.map(owned) }
            }
            Self::Disconnect { namespace } => Incoming::Disconnect { namespace: owned(namespace) },
            Self::Event { namespace, id, args } => {
                Incoming::Event { namespace: owned(namespace), id, args: args.into_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_those_of_the_spec() {
        for (kind, attachments, namespace, id, head) in [
            (Kind::Connect, 0, "/", None, "0"),
            (Kind::Connect, 0, "/admin", None, "0/admin,"),
            (Kind::Disconnect, 0, "/admin", None, "1/admin,"),
            (Kind::Event, 0, "/", None, "2"),
            (Kind::Event, 0, "/", Some(12), "212"),
            (Kind::Event, 1, "/admin", Some(0), "51-/admin,0"),
            (Kind::Ack, 0, "/", Some(ID_MAX), "39007199254740992"),
            (Kind::Ack, 10, "/", Some(7), "610-7"),
            (Kind::ConnectError, 0, "/", None, "4"),
        ] {
            let mut out = String::new();
            encode_head(kind, attachments, namespace, id, &mut out);
            assert_eq!(out, head);
        }
    }
}
