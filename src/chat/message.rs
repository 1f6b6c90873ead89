//! A chat message, as it comes in and as it goes out.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::app::Raw;
use crate::room::Sid;

/// What a client sends: the body and the id stay the text that they are, so
/// that they arrive byte for byte.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    pub(super) room: String,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// An id of `null` was sent, hence is there.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads the first argument of a `message` event.
    ///
    /// # Errors
    ///
    /// A sentence for the client's author.
    pub(super) fn parse(raw: &'a Raw) -> Result<Self, String> {
        let argument = raw.arguments().next().ok_or("a message needs {\"room\",\"body\"}")?;
        serde_json::from_str(argument)
            .map_err(|error| format!("a message needs {{\"room\",\"body\"}}: {error}"))
    }

    /// The event for the other members, as far as the room's number that is added to it.
    pub(super) fn event_json(&self, raw: &Raw, from: Sid) -> (String, Vec<Bytes>) {
        let room = serde_json::to_string(&self.room).expect("a string is JSON");
        let mut json = format!(r#"["message",{{"room":{room},"from":"{from}","body":"#);
        let mut attachments = Vec::new();
        raw.0.forward(self.body.get(), &mut json, &mut attachments);
        if let Some(id) = self.id {
            json.push_str(r#","id":"#);
            raw.0.forward(id.get(), &mut json, &mut attachments);
        }
        json.push_str("}]");
        (json, attachments)
    }
}
