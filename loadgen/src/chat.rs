//! The chat protocol in JSON: what a client says, and how the answers are read.
//!
//! This is pure. Arguments are whole Socket.IO argument lists, the event's name
//! first; what goes out is written by hand, since it happens for every message
//! and nothing in it needs an escape.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{Bodies, Nonce, Signature};

/// The event that carries messages, in both directions.
pub(crate) const MESSAGE: &str = "message";

/// The event by which the chat says which server it is.
pub(crate) const HELLO: &str = "hello";

/// What the argument of `hello` calls the server; none if it does not say.
pub(crate) fn server(argument: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Hello<'a> {
        #[serde(borrow)]
        server: Cow<'a, str>,
    }
    serde_json::from_str(argument).ok().map(|Hello { server }| server)
}

/// The arguments of a join.
pub(crate) fn join(nonce: Nonce, room: u32) -> String {
    format!(r#"["join","{}"]"#, nonce.room(room))
}

/// Writes the arguments of a message into `json`, in place of what it held.
pub(crate) fn write_message(
    json: &mut String,
    nonce: Nonce,
    bodies: &Bodies,
    room: u32,
    signature: Signature,
) {
    json.clear();
    let body = bodies.body(signature.client, signature.number);
    let (room, id) = (nonce.room(room), nonce.sign(signature));
    write!(json, r#"["{MESSAGE}",{{"room":"{room}","body":"{body}","id":"{id}"}}]"#)
        .expect("a String takes all text");
}

/// A message that arrived.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) room: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) from: Option<Cow<'a, str>>,
    pub(crate) seq: Option<u64>,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// Reads the argument of a `message` event; none if it is not the chat's.
    pub(crate) fn read(argument: &'a str) -> Option<Self> {
        serde_json::from_str(argument).ok()
    }

    /// What the id says; none if the message is not of this run.
    pub(crate) fn signature(&self, nonce: Nonce) -> Option<Signature> {
        nonce.read(self.id.as_deref()?)
    }

    /// Whether the body is byte for byte what was sent under this signature.
    pub(crate) fn is_intact(&self, bodies: &Bodies, signature: Signature) -> bool {
        let body = self.body.get().strip_prefix('"').and_then(|body| body.strip_suffix('"'));
        body == Some(bodies.body(signature.client, signature.number))
    }
}

/// What the server says to a join or a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; a message then has this place in its room.
    Accepted { seq: Option<u64> },
    /// It is not, for this reason.
    Refused(String),
}

impl Answer {
    /// Reads the first argument of an acknowledgement. A server that
    /// acknowledges without a word accepts.
    pub(crate) fn read(argument: Option<&str>) -> Self {
        #[derive(Deserialize)]
        struct Fields {
            ok: Option<bool>,
            seq: Option<u64>,
            error: Option<String>,
        }
        let fields = argument.and_then(|argument| serde_json::from_str::<Fields>(argument).ok());
        match fields {
            Some(Fields { ok: Some(false), error, .. }) => {
                Self::Refused(error.unwrap_or_else(|| "no reason given".to_owned()))
            }
            Some(Fields { seq, .. }) => Self::Accepted { seq },
            None => Self::Accepted { seq: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let (nonce, signature) =
            (Nonce::random(), Signature { client: 7, number: 3, intended_us: 5, sent_us: 9 });
        let bodies = Bodies::new(nonce, 40);
        let mut json = "what was there before".to_owned();
        write_message(&mut json, nonce, &bodies, 12, signature);

        let (event, argument): (String, &RawValue) = serde_json::from_str(&json).unwrap();
        assert_eq!(event, MESSAGE);
        let message = Message::read(argument.get()).unwrap();
        assert_eq!(message.room, nonce.room(12));
        assert_eq!(message.signature(nonce), Some(signature));
        assert!(message.is_intact(&bodies, signature));
        assert!(!message.is_intact(&bodies, Signature { number: 4, ..signature }));
        assert_eq!((message.from, message.seq), (None, None));
    }

    #[test]
    fn an_altered_body_is_not_intact() {
        let (nonce, signature) =
            (Nonce::random(), Signature { client: 0, number: 0, intended_us: 0, sent_us: 0 });
        let bodies = Bodies::new(nonce, 4);
        let body = bodies.body(0, 0).to_owned();
        for (json, intact) in [
            (format!(r#"{{"room":"r","body":"{body}","from":"x","seq":4}}"#), true),
            (format!(r#"{{"room":"r","body":"{body} "}}"#), false),
            (format!(r#"{{"room":"r","body":["{body}"]}}"#), false),
            (r#"{"room":"r","body":null}"#.to_owned(), false),
        ] {
            let message = Message::read(&json).unwrap();
            assert_eq!(message.is_intact(&bodies, signature), intact, "{json}");
            assert_eq!(message.signature(nonce), None);
        }
    }

    #[test]
    fn what_is_not_a_chat_message_is_none() {
        for json in ["", "null", "5", "{}", r#"{"room":5,"body":1}"#, r#"{"room":"r"}"#] {
            assert!(Message::read(json).is_none(), "{json}");
        }
    }

    #[test]
    fn a_server_is_known_by_what_its_hello_calls_it() {
        assert_eq!(server(r#"{"id":"x","server":"a\"b"}"#).as_deref(), Some("a\"b"));
        for other in ["", "5", r#""x""#, "{}", r#"{"server":5}"#] {
            assert_eq!(server(other), None, "{other}");
        }
    }

    #[test]
    fn answers_are_read_with_and_without_words() {
        let accepted = |seq| Answer::Accepted { seq };
        for (argument, answer) in [
            (None, accepted(None)),
            (Some(r#"{"ok":true,"members":3}"#), accepted(None)),
            (Some(r#"{"ok":true,"seq":17}"#), accepted(Some(17))),
            (Some(r#""done""#), accepted(None)),
            (
                Some(r#"{"ok":false,"error":"not a member"}"#),
                Answer::Refused("not a member".to_owned()),
            ),
            (Some(r#"{"ok":false}"#), Answer::Refused("no reason given".to_owned())),
        ] {
            assert_eq!(Answer::read(argument), answer, "{argument:?}");
        }
    }
}
