//! The arguments of an event or of an ack.

use std::borrow::Cow;

use bytes::Bytes;

use super::json::{self, Piece};

/// The arguments of an event or of an ack: a JSON array, with what its
/// placeholders stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    json: Cow<'a, str>,
    attachments: Vec<Bytes>,
}

impl<'a> Args<'a> {
    /// Arguments of our own making.
    ///
    /// `json` must be the text of an array without whitespace around it, and its
    /// placeholders must number all of `attachments`; a debug build checks this.
    pub fn new(json: impl Into<Cow<'a, str>>, attachments: Vec<Bytes>) -> Self {
        let args = Self { json: json.into(), attachments };
        debug_assert!(args.are_valid(), "no arguments: {}", args.json);
        args
    }

    /// The JSON array; for an event its first element is the event's name.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What the placeholders stand for, by number.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The JSON texts of the elements.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        json::elements(&self.json)
    }

    /// The event's name, unescaped; empty if the first element is no string, as
    /// may be with an ack.
    pub fn event(&self) -> Cow<'_, str> {
        self.elements().next().and_then(json::unescape).unwrap_or_default()
    }

    /// These arguments without a borrow from the bytes they came in.
    pub fn into_owned(self) -> Args<'static> {
        Args { json: Cow::Owned(self.json.into_owned()), attachments: self.attachments }
    }

    /// Appends `fragment`, a piece of this JSON, to `json`. Its placeholders are
    /// numbered anew, to continue `attachments`, which gets what they stand for.
    ///
    /// # Panics
    ///
    /// If `fragment` is not of this JSON and names an attachment that is not there.
    pub fn forward(&self, fragment: &str, json: &mut String, attachments: &mut Vec<Bytes>) {
        if self.attachments.is_empty() {
            json.push_str(fragment);
            return;
        }
        for piece in json::pieces(fragment) {
            match piece {
                Piece::Placeholder(number) => {
                    let renumbered = attachments.len();
                    json.push_str(&format!(r#"{{"_placeholder":true,"num":{renumbered}}}"#));
                    attachments.push(self.attachments[number].clone());
                }
                Piece::Text(text) => json.push_str(text),
            }
        }
    }

    fn are_valid(&self) -> bool {
        json::scan(&self.json, json::DEPTH_MAX).is_ok_and(|value| {
            value.text.starts_with('[')
                && value.text.len() == self.json.len()
                && value.placeholders.are_all_below(self.attachments.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_name_is_unescaped() {
        for (json, name) in [
            (r#"["chat",1]"#, "chat"),
            (r#"[ "" ]"#, ""),
            (r#"["a\"\u00e9\n"]"#, "a\"é\n"),
            ("[]", ""),
            (r#"[{"a":1}]"#, ""),
        ] {
            assert_eq!(Args::new(json, vec![]).event(), name, "{json}");
        }
    }

    #[test]
    fn forwarded_placeholders_continue_the_attachments() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let args = Args::new(
            r#"["message",{"body":[{"num":1,"_placeholder":true},"{"]},{ "_placeholder" : true, "num" : 0 }]"#,
            vec![bytes("zero"), bytes("one")],
        );
        let mut json = "[".to_owned();
        let mut attachments = vec![bytes("mine")];
        for fragment in args.elements().skip(1) {
            args.forward(fragment, &mut json, &mut attachments);
            json.push(',');
        }
        assert_eq!(
            json,
            r#"[{"body":[{"_placeholder":true,"num":1},"{"]},{"_placeholder":true,"num":2},"#
        );
        assert_eq!(attachments, [bytes("mine"), bytes("one"), bytes("zero")]);
    }
}
