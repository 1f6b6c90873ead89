//! What stands before a Socket.IO packet's JSON: all that its legality depends on.
//!
//! Who judges a server reads its packets with eyes of its own, not with the decoder that
//! the client has.
//!
//! # Spec
//!
//! Socket.IO protocol v5, "Packet encoding".

/// A packet's type; that an event or ack is binary follows from its attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ack,
    Connect,
    ConnectError,
    Disconnect,
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) kind: Kind,
    /// How many binary messages follow.
    pub(super) attachments: u64,
    pub(super) namespace: &'a str,
    pub(super) id: Option<u64>,
}

impl<'a> Head<'a> {
    /// The head of a packet; none if it is not one.
    pub(super) fn decode(text: &'a str) -> Option<Self> {
        let (kind, is_binary) = match text.as_bytes().first()? {
            b'0' => (Kind::Connect, false),
            b'1' => (Kind::Disconnect, false),
            b'2' => (Kind::Event, false),
            b'3' => (Kind::Ack, false),
            b'4' => (Kind::ConnectError, false),
            b'5' => (Kind::Event, true),
            b'6' => (Kind::Ack, true),
            _ => return None,
        };
        let rest = &text[1..];
        let (attachments, rest) = match is_binary {
            true => {
                let (count, rest) = number(rest);
                (count?, rest.strip_prefix('-')?)
            }
            false => (0, rest),
        };
        let (namespace, rest) = match rest.starts_with('/') {
            true => rest.split_once(',').unwrap_or((rest, "")),
            false => ("/", rest),
        };
        let (id, _) = number(rest);
        Some(Self { kind, attachments, namespace, id })
    }
}

/// The number at the front, if there is one that is not absurd, and what follows it.
fn number(text: &str) -> (Option<u64>, &str) {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    (digits.parse().ok(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_those_of_the_spec() {
        let head = |kind, attachments, namespace, id| Head { kind, attachments, namespace, id };
        for (text, expected) in [
            (r#"0{"sid":"x"}"#, head(Kind::Connect, 0, "/", None)),
            (r#"0/admin,{"sid":"x"}"#, head(Kind::Connect, 0, "/admin", None)),
            ("1", head(Kind::Disconnect, 0, "/", None)),
            ("1/admin,", head(Kind::Disconnect, 0, "/admin", None)),
            ("1/admin", head(Kind::Disconnect, 0, "/admin", None)),
            (r#"2["a",12]"#, head(Kind::Event, 0, "/", None)),
            (r#"2/admin,12["a"]"#, head(Kind::Event, 0, "/admin", Some(12))),
            ("30[]", head(Kind::Ack, 0, "/", Some(0))),
            (r#"4{"message":"no"}"#, head(Kind::ConnectError, 0, "/", None)),
            (r#"52-["a"]"#, head(Kind::Event, 2, "/", None)),
            ("61-/admin,7[]", head(Kind::Ack, 1, "/admin", Some(7))),
        ] {
            assert_eq!(Head::decode(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_has_no_head() {
        for text in ["", "7", "a", "5[]", "5-[]", "51[]", "5x-[]"] {
            assert_eq!(Head::decode(text), None, "{text}");
        }
    }
}
