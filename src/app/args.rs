//! Arguments of events and acks: Rust values on one side, JSON and attachments on the other.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::socketio::{Args, RESERVED_EVENTS};

/// Something that can be the arguments of an emit or an ack: a tuple of
/// serializable values, or one plain value.
pub trait ToArgs {
    /// Appends the arguments, each as JSON, joined by commas.
    fn write(&self, json: &mut String);

    /// What placeholders in the JSON stand for.
    fn attachments(&self) -> &[Bytes] {
        &[]
    }
}

/// Something that the arguments of an event are parsed into.
pub trait FromArgs: Sized + 'static {
    /// Parses the arguments; more than are wanted do no harm.
    ///
    /// # Errors
    ///
    /// A sentence for the person on the other side.
    fn parse(args: Args<'static>) -> Result<Self, String>;
}

/// The arguments as they came: name, JSON of each, attachments.
#[derive(Clone, Debug)]
pub struct Raw(pub Args<'static>);

impl Raw {
    /// The JSON of each argument, without the event's name.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.elements().skip(1)
    }
}

impl FromArgs for Raw {
    fn parse(args: Args<'static>) -> Result<Self, String> {
        Ok(Self(args))
    }
}

fn write_one(value: &impl Serialize, json: &mut String) {
    // What can not be JSON (a map with keys that are no strings) is a mistake
    // in the application, as an unwrap there would be.
    let text = serde_json::to_string(value).expect("arguments of an emit are serializable as JSON");
    json.push_str(&text);
}

macro_rules! plain {
    ($($plain:ty),*) => {$(
        impl ToArgs for $plain {
            fn write(&self, json: &mut String) {
                write_one(self, json);
            }
        }
    )*};
}

plain!(&str, String, &String, Value, &Value, bool, i32, i64, u32, u64, usize, f64);

/// Sent on as they came, without the event's name.
impl ToArgs for Raw {
    fn write(&self, json: &mut String) {
        let arguments: Vec<&str> = self.arguments().collect();
        json.push_str(&arguments.join(","));
    }

    fn attachments(&self) -> &[Bytes] {
        self.0.attachments()
    }
}

impl ToArgs for () {
    fn write(&self, _: &mut String) {}
}

impl FromArgs for () {
    fn parse(_: Args<'static>) -> Result<Self, String> {
        Ok(())
    }
}

macro_rules! tuple {
    ($count:literal: $($name:ident $place:tt),*) => {
        impl<$($name: Serialize),*> ToArgs for ($($name,)*) {
            fn write(&self, json: &mut String) {
                $(
                    if $place > 0 {
                        json.push(',');
                    }
                    write_one(&self.$place, json);
                )*
            }
        }

        impl<$($name: DeserializeOwned + 'static),*> FromArgs for ($($name,)*) {
            fn parse(args: Args<'static>) -> Result<Self, String> {
                let mut elements = args.elements().skip(1);
                Ok(($(one::<$name>(elements.next(), $place, $count)?,)*))
            }
        }
    };
}

fn one<T: DeserializeOwned>(
    element: Option<&str>,
    place: usize,
    count: usize,
) -> Result<T, String> {
    let number = place + 1;
    let element = element.ok_or_else(|| format!("argument {number} of {count} is missing"))?;
    serde_json::from_str(element)
        .map_err(|error| format!("argument {number} is not as expected: {error}"))
}

tuple!(1: A 0);
tuple!(2: A 0, B 1);
tuple!(3: A 0, B 1, C 2);
tuple!(4: A 0, B 1, C 2, D 3);
tuple!(5: A 0, B 1, C 2, D 3, E 4);
tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);

/// `["name",arg,..]`.
pub(super) fn event_json(event: &str, args: &impl ToArgs) -> String {
    // Stock clients end the connection of who sends them such a thing.
    assert!(!RESERVED_EVENTS.contains(&event), "{event:?} is a reserved event name");
    let mut json = String::from("[");
    write_one(&event, &mut json);
    let end = json.len();
    json.push(',');
    args.write(&mut json);
    if json.len() == end + 1 {
        json.truncate(end);
    }
    json.push(']');
    json
}

/// `[arg,..]`.
pub(super) fn ack_json(args: &impl ToArgs) -> String {
    let mut json = String::from("[");
    args.write(&mut json);
    json.push(']');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_arguments_and_values_are_one() {
        assert_eq!(event_json("a", &()), r#"["a"]"#);
        assert_eq!(event_json("a\"", &"x"), r#"["a\"","x"]"#);
        assert_eq!(event_json("a", &(1, "x", vec![1, 2])), r#"["a",1,"x",[1,2]]"#);
        assert_eq!(ack_json(&()), "[]");
        assert_eq!(ack_json(&(true, ())), "[true,null]");
    }

    #[test]
    #[should_panic(expected = "\"disconnecting\" is a reserved event name")]
    fn reserved_names_are_not_emitted() {
        event_json("disconnecting", &());
    }

    #[test]
    fn missing_and_odd_arguments_are_named() {
        let args = |json: &'static str| Args::new(json, Vec::new());
        assert_eq!(<(String, u8)>::parse(args(r#"["e","a",7,"more"]"#)), Ok(("a".to_owned(), 7)));
        assert_eq!(
            <(String, u8)>::parse(args(r#"["e","a"]"#)),
            Err("argument 2 of 2 is missing".to_owned())
        );
        let error = <(String,)>::parse(args(r#"["e",7]"#)).unwrap_err();
        assert!(error.starts_with("argument 1 is not as expected: invalid type"), "{error}");
    }
}
