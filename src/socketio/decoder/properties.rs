//! Property tests of the packet decoder: sound, damaged and arbitrary messages.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mutation::{Mutation, mutate_text, mutations};
use crate::socketio::{Args, ID_MAX, Kind, RESERVED_EVENTS, encode_head, json as scanner};

const LIMITS: Limits = Limits { attachments_max: 5, json_depth_max: 20, packet_bytes_max: 2000 };

/// A message of the layer below.
#[derive(Clone, Debug)]
enum Message {
    Binary(Vec<u8>),
    Text(String),
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(packets in vec(packet(), 0..5)) {
        let mut decoder = Decoder::new();
        for packet in packets {
            let mut decoded = None;
            for message in encode(&packet) {
                prop_assert!(decoded.is_none(), "complete before its last message");
                decoded = receive(&mut decoder, &message).unwrap();
            }
            prop_assert_eq!(decoded, Some(packet));
            prop_assert!(!decoder.is_pending());
        }
    }

    /// Damaged packets are refused, or are packets that keep what is promised:
    /// they are then decoded from what they are encoded to.
    #[test]
    fn damaged_packets_are_refused_or_sound(
        packets in vec(packet(), 1..4),
        damage in vec(mutations(), 1..4),
    ) {
        let messages = packets.iter().flat_map(encode).collect::<Vec<_>>();
        let damaged = |(message, damage): (&Message, &Vec<Mutation>)| match message {
            Message::Binary(bytes) => Message::Binary(bytes.clone()),
            Message::Text(text) => Message::Text(mutate_text(text, damage)),
        };
        harmless(messages.iter().zip(damage.iter().cycle()).map(damaged))?;
    }

    #[test]
    fn arbitrary_messages_are_refused_or_sound(messages in vec(message(), 0..8)) {
        harmless(messages.into_iter())?;
    }
}

/// A peer sends these; after an error it would be closed, so begins anew.
fn harmless(messages: impl Iterator<Item = Message>) -> Result<(), TestCaseError> {
    let mut decoder = Decoder::new();
    for message in messages {
        let result = receive(&mut decoder, &message);
        prop_assert!(decoder.heap_bytes() <= LIMITS.packet_bytes_max + 1000);
        match result {
            Err(_) => prop_assert!(!decoder.is_pending()),
            Ok(None) => prop_assert!(decoder.is_pending()),
            Ok(Some(incoming)) => {
                is_sound(&incoming)?;
                let mut fresh = Decoder::new();
                let again =
                    encode(&incoming).iter().map(|message| receive(&mut fresh, message)).last();
                prop_assert_eq!(again, Some(Ok(Some(incoming))));
            }
        }
    }
    Ok(())
}

/// Checks what the module promises, with `serde_json` and a walk over its tree.
fn is_sound(incoming: &Incoming<'_>) -> Result<(), TestCaseError> {
    match incoming {
        Incoming::Ack { id, args, .. } => {
            prop_assert!(*id <= ID_MAX);
            args_are_sound(args)?;
        }
        Incoming::Connect { data, .. } => {
            let object = |data| serde_json::from_str::<Value>(data).map(|value| value.is_object());
            prop_assert!(data.as_deref().is_none_or(|data| object(data).unwrap_or(true)));
        }
        Incoming::ConnectError { .. } | Incoming::Disconnect { .. } => {}
        Incoming::Event { id, args, .. } => {
            prop_assert!(id.is_none_or(|id| id <= ID_MAX));
            let elements = args_are_sound(args)?;
            if let Some(elements) = elements {
                let name = elements.first().and_then(Value::as_str);
                prop_assert_eq!(name, Some(&*args.event()));
            }
            prop_assert!(!RESERVED_EVENTS.contains(&&*args.event()));
        }
    }
    Ok(())
}

/// The arguments as `serde_json` sees them; it refuses a few that are sound, such
/// as half a surrogate pair and 1e999.
fn args_are_sound(args: &Args<'_>) -> Result<Option<Vec<Value>>, TestCaseError> {
    prop_assert!(args.json().starts_with('[') && args.json().ends_with(']'));
    prop_assert!(scanner::scan(args.json(), LIMITS.json_depth_max).is_ok());
    let Ok(elements) = serde_json::from_str::<Vec<Value>>(args.json()) else { return Ok(None) };
    prop_assert_eq!(elements.len(), args.elements().count());
    let mut found = Vec::new();
    elements.iter().for_each(|element| placeholders(element, &mut found));
    found.sort_unstable();
    prop_assert_eq!(found, (0..args.attachments().len() as u64).collect::<Vec<_>>());
    Ok(Some(elements))
}

fn placeholders(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|value| placeholders(value, found)),
        Value::Object(members) if members.get("_placeholder") == Some(&Value::Bool(true)) => {
            found.push(members["num"].as_u64().unwrap());
        }
        Value::Object(members) => members.values().for_each(|value| placeholders(value, found)),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

fn receive(
    decoder: &mut Decoder,
    message: &Message,
) -> Result<Option<Incoming<'static>>, DecodeError> {
    match message {
        Message::Binary(bytes) => decoder.binary(bytes, &LIMITS),
        Message::Text(text) => Ok(decoder.text(text, &LIMITS)?.map(Incoming::into_owned)),
    }
}

fn attachments<'a>(incoming: &'a Incoming<'_>) -> &'a [Bytes] {
    match incoming {
        Incoming::Ack { args, .. } | Incoming::Event { args, .. } => args.attachments(),
        Incoming::Connect { .. } | Incoming::ConnectError { .. } | Incoming::Disconnect { .. } => {
            &[]
        }
    }
}

fn encode(incoming: &Incoming<'_>) -> Vec<Message> {
    let (kind, namespace, id, json) = match incoming {
        Incoming::Ack { namespace, id, args } => (Kind::Ack, namespace, Some(*id), args.json()),
        Incoming::Connect { namespace, data } => {
            (Kind::Connect, namespace, None, data.as_deref().unwrap_or_default())
        }
        Incoming::ConnectError { namespace, data } => {
            (Kind::ConnectError, namespace, None, data.as_deref().unwrap_or_default())
        }
        Incoming::Disconnect { namespace } => (Kind::Disconnect, namespace, None, ""),
        Incoming::Event { namespace, id, args } => (Kind::Event, namespace, *id, args.json()),
    };
    let mut text = String::new();
    encode_head(kind, attachments(incoming).len(), namespace, id, &mut text);
    text.push_str(json);
    let binary = |bytes: &Bytes| Message::Binary(bytes.to_vec());
    std::iter::once(Message::Text(text)).chain(attachments(incoming).iter().map(binary)).collect()
}

fn packet() -> impl Strategy<Value = Incoming<'static>> {
    let namespace =
        || prop_oneof![Just("/".to_owned()), "/[a-z?=#/]{1,8}", "/[^,]{1,3}"].prop_map(Into::into);
    let id = || prop_oneof![0..20_u64, 0..=ID_MAX];
    let data =
        || proptest::option::of("[a-z\"]{0,5}".prop_map(|a| json!({ "a": a }).to_string().into()));
    prop_oneof![
        1 => (namespace(), id(), args(false))
            .prop_map(|(namespace, id, args)| Incoming::Ack { namespace, id, args }),
        1 => (namespace(), data()).prop_map(|(namespace, data)| Incoming::Connect { namespace, data }),
        1 => (namespace(), data())
            .prop_map(|(namespace, data)| Incoming::ConnectError { namespace, data }),
        1 => namespace().prop_map(|namespace| Incoming::Disconnect { namespace }),
        4 => (namespace(), proptest::option::of(id()), args(true))
            .prop_map(|(namespace, id, args)| Incoming::Event { namespace, id, args }),
    ]
}

/// Arguments of scalars and of attachments, these in any order and depth.
fn args(named: bool) -> impl Strategy<Value = Args<'static>> {
    let bytes = || vec(any::<u8>(), 0..20);
    let scalars = vec(
        prop_oneof![any::<i64>().prop_map(Value::from), "\\PC{0,5}".prop_map(Value::from)],
        0..4,
    );
    (".{0,4}", scalars, vec((bytes(), 0..3_u8), 0..4).prop_shuffle()).prop_map(
        move |(name, scalars, binary)| {
            let name = named.then(|| Value::from(name));
            let placeholder = |(num, (_, depth)): (usize, &(Vec<u8>, u8))| match depth {
                0 => json!({ "_placeholder": true, "num": num }),
                1 => json!([{ "_placeholder": true, "num": num }]),
                _ => json!({ "a": [1, { "_placeholder": true, "num": num }] }),
            };
            let placeholders = binary.iter().enumerate().rev().map(placeholder);
            let elements: Vec<_> = name.into_iter().chain(placeholders).chain(scalars).collect();
            let attachments = binary.iter().map(|(bytes, _)| bytes.clone().into()).collect();
            Args::new(Value::from(elements).to_string(), attachments)
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let data = prop_oneof![
        Just(String::new()),
        Just(r#"["a"]"#.to_owned()),
        Just(r#"["a",{"_placeholder":true,"num":0}]"#.to_owned()),
        Just("{}".to_owned()),
        "\\PC{0,10}",
    ];
    let head = "[0-7]([0-3]-)?(/[a-z]{0,2},?)?[0-9]{0,2}";
    prop_oneof![
        3 => (head, data).prop_map(|(head, data)| Message::Text(head + &data)),
        1 => "\\PC{0,20}".prop_map(Message::Text),
        1 => vec(any::<u8>(), 0..10).prop_map(Message::Binary),
    ]
}
