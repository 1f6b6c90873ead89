//! What a client of an application says: an event with its arguments.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event that a client emits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// The event's name.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<Value>,
    /// Whether the server is asked for an answer.
    #[serde(default)]
    pub ack: bool,
    /// Whether it is said again over each new connection until it is answered.
    #[serde(default)]
    pub retries: bool,
}

impl Say {
    /// An event that asks for no answer. Arguments that are no array are one argument.
    pub fn new(name: &str, args: Value) -> Self {
        let args = match args {
            Value::Array(args) => args,
            Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::Object(_)
            | Value::String(_) => vec![args],
        };
        Self { name: name.to_owned(), args, ack: false, retries: false }
    }

    /// It asks for an answer.
    #[must_use]
    pub fn with_ack(self) -> Self {
        Self { ack: true, ..self }
    }

    /// It asks for an answer, and is said again over each new connection until there is one.
    #[must_use]
    pub fn until_answered(self) -> Self {
        Self { ack: true, retries: true, ..self }
    }

    /// The JSON array that goes over the wire.
    pub(crate) fn json(&self) -> String {
        let name = Value::from(self.name.as_str());
        let parts = std::iter::once(&name).chain(&self.args).map(Value::to_string);
        format!("[{}]", parts.collect::<Vec<_>>().join(","))
    }
}
