//! Property tests: the decoder of text is the second opinion on what a packet is.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::{cases_min, mutate, mutations};
use crate::socketio::{
    DecodeError, Decoder, ID_MAX, Incoming, Kind, Limits, RESERVED_EVENTS, encode_head, json,
};

const LIMITS: Limits = Limits { attachments_max: 5, json_depth_max: 20, packet_bytes_max: 2000 };

/// A value as an application has it.
#[derive(Clone, Debug)]
enum Value {
    Array(Vec<Self>),
    Binary(Vec<u8>),
    Bool(bool),
    Float(f64),
    Negative(i64),
    Null,
    Object(Vec<(String, Self)>),
    Positive(u64),
    Text(String),
    Undefined,
}

/// A packet as an application has it.
#[derive(Clone, Debug)]
struct Packet {
    kind: Kind,
    namespace: String,
    id: Option<u64>,
    data: Option<Value>,
}

proptest! {
    #![proptest_config(cases_min(2048))]

    /// A packet is the same one for a peer of either kind.
    #[test]
    fn encoded_packet_is_the_packet_that_was_encoded(packet in packet()) {
        let expected = as_text(&packet, &LIMITS);
        prop_assume!(expected.is_ok());
        let mut message = Vec::new();
        let (json, attachments) = json_of(&packet);
        let json = packet.data.is_some().then_some(&*json);
        encode(packet.kind, &packet.namespace, packet.id, json, &attachments, &mut message);
        prop_assert_eq!(decode(&message, &LIMITS), expected);
    }

    /// However a peer writes a packet, it is what the JSON parser would have sent, and is
    /// refused if that would have been; only that the reason may be another.
    #[test]
    fn decoded_packet_is_that_of_the_json_parser(
        packet in packet(),
        order in Just(["type", "nsp", "id", "data", "options"]).prop_shuffle(),
        widths in vec(any::<u8>(), 1..20),
    ) {
        let message = Writer { widths: &widths, written: 0 }.message(&packet, &order);
        prop_assert!(message.len() < LIMITS.packet_bytes_max, "{} bytes", message.len());
        let (decoded, expected) = (decode(&message, &LIMITS), as_text(&packet, &LIMITS));
        if decoded.is_ok() || expected.is_ok() {
            prop_assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn damaged_packets_are_refused_or_sound(
        packet in packet(),
        widths in vec(any::<u8>(), 1..20),
        damage in mutations(),
    ) {
        let order = ["type", "data", "id", "nsp", "options"];
        let mut message = Writer { widths: &widths, written: 0 }.message(&packet, &order);
        mutate(&mut message, &damage);
        is_refused_or_sound(&message)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_sound(data in vec(any::<u8>(), 0..60), in_packet: bool) {
        let head: &[u8] = b"\x84\xa4type\x03\xa2id\x00\xa3nsp\xa1/\xa4data\x91";
        is_refused_or_sound(&if in_packet { [head, &data].concat() } else { data })?;
    }

    /// Markers alone nest, lie about their counts and are cut short most.
    #[test]
    fn arbitrary_markers_are_refused_or_sound(data in vec(marker(), 0..60)) {
        let head: &[u8] = b"\x84\xa4type\x03\xa2id\x00\xa3nsp\xa1/\xa4data\x91";
        is_refused_or_sound(&[head, &data].concat())?;
    }

    /// The digits mean the number that was sent, and JSON is what they are.
    #[test]
    fn floats_keep_their_value(bits: u64) {
        let float = f64::from_bits(bits);
        let mut text = String::new();
        number::push_float(float, &mut text);
        prop_assert!(json::scan(&text, 0).is_ok(), "{}", text);
        prop_assert!(text.len() <= 25, "{}", text);
        if float.is_finite() {
            prop_assert_eq!(text.parse(), Ok(float));
        } else {
            prop_assert_eq!(text, "null");
        }
    }
}

/// What is accepted keeps what is promised, and is what it is encoded to.
fn is_refused_or_sound(message: &[u8]) -> Result<(), TestCaseError> {
    let Ok(incoming) = decode(message, &LIMITS) else { return Ok(()) };
    let (kind, namespace, id, json, attachments) = match &incoming {
        Incoming::Ack { namespace, id, args } => {
            (Kind::Ack, namespace, Some(*id), Some(args.json()), args.attachments())
        }
        Incoming::Connect { namespace, data } => {
            (Kind::Connect, namespace, None, data.as_deref(), &[][..])
        }
        Incoming::ConnectError { namespace, data } => {
            (Kind::ConnectError, namespace, None, data.as_deref(), &[][..])
        }
        Incoming::Disconnect { namespace } => (Kind::Disconnect, namespace, None, None, &[][..]),
        Incoming::Event { namespace, id, args } => {
            (Kind::Event, namespace, *id, Some(args.json()), args.attachments())
        }
    };
    let binary: usize = attachments.iter().map(Bytes::len).sum();
    prop_assert!(json.unwrap_or_default().len() + binary <= LIMITS.packet_bytes_max);
    // The decoder of text accepts it, with the same limits but for the few bytes of the head.
    let limits = Limits { packet_bytes_max: 2 * LIMITS.packet_bytes_max, ..LIMITS };
    let as_text = by_text(kind, namespace, id, json.unwrap_or_default(), attachments, &limits);
    prop_assert_eq!(as_text.as_ref(), Ok(&incoming));
    let mut out = Vec::new();
    encode(kind, namespace, id, json, attachments, &mut out);
    prop_assert_eq!(decode(&out, &limits), Ok(incoming));
    Ok(())
}

fn as_text(packet: &Packet, limits: &Limits) -> Result<Incoming<'static>, DecodeError> {
    let (json, attachments) = json_of(packet);
    by_text(packet.kind, &packet.namespace, packet.id, &json, &attachments, limits)
}

/// What the decoder of text makes of a packet.
fn by_text(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    json: &str,
    attachments: &[Bytes],
    limits: &Limits,
) -> Result<Incoming<'static>, DecodeError> {
    let mut text = String::new();
    if !attachments.is_empty() && !matches!(kind, Kind::Event | Kind::Ack) {
        return Err(DecodeError::Payload(kind));
    }
    encode_head(kind, attachments.len(), namespace, id, &mut text);
    text.push_str(json);
    let mut decoder = Decoder::new();
    let mut decoded = decoder.text(&text, limits)?.map(Incoming::into_owned);
    for attachment in attachments {
        assert_eq!(decoded, None, "complete before the last attachment");
        decoded = decoder.binary(attachment, limits)?;
    }
    Ok(decoded.expect("it is complete"))
}

/// What `JSON.stringify` makes of the data, and what its placeholders stand for.
fn json_of(packet: &Packet) -> (String, Vec<Bytes>) {
    let (mut json, mut attachments) = (String::new(), Vec::new());
    if let Some(data) = &packet.data {
        stringify(data, &mut json, &mut attachments);
    }
    (json, attachments)
}

fn stringify(value: &Value, json: &mut String, attachments: &mut Vec<Bytes>) {
    match value {
        Value::Array(elements) => {
            json.push('[');
            for (index, element) in elements.iter().enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                stringify(element, json, attachments);
            }
            json.push(']');
        }
        Value::Binary(bytes) => {
            let number = attachments.len();
            json.push_str(&format!(r#"{{"_placeholder":true,"num":{number}}}"#));
            attachments.push(bytes.clone().into());
        }
        Value::Bool(value) => json.push_str(&value.to_string()),
        Value::Float(value) => number::push_float(*value, json),
        Value::Negative(value) => json.push_str(&value.to_string()),
        Value::Null | Value::Undefined => json.push_str("null"),
        Value::Object(members) => {
            json.push('{');
            let is_there = |member: &&(String, Value)| !matches!(member.1, Value::Undefined);
            for (index, (name, value)) in members.iter().filter(is_there).enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                json.push_str(&serde_json::to_string(name).unwrap());
                json.push(':');
                stringify(value, json, attachments);
            }
            json.push('}');
        }
        Value::Positive(value) => json.push_str(&value.to_string()),
        Value::Text(value) => json.push_str(&serde_json::to_string(value).unwrap()),
    }
}

/// Writes MessagePack, each time in one of the forms that there are, by turns.
struct Writer<'a> {
    widths: &'a [u8],
    written: usize,
}

impl Writer<'_> {
    fn message(&mut self, packet: &Packet, order: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let is_there = |name: &&&str| match **name {
            "data" => packet.data.is_some(),
            "id" => packet.id.is_some(),
            _ => true,
        };
        let members: Vec<_> = order.iter().filter(is_there).collect();
        self.head(Some((0x80, 16)), [None, Some(0xde), Some(0xdf)], members.len(), &mut out);
        for name in members {
            self.text(name, &mut out);
            match *name {
                "data" => self.value(packet.data.as_ref().unwrap(), &mut out),
                "id" => self.integer(packet.id.unwrap().into(), &mut out),
                "nsp" => self.text(&packet.namespace, &mut out),
                "type" => self.integer(packet.kind as i128, &mut out),
                _ => out.extend_from_slice(b"\x81\xa8compress\xc3"),
            }
        }
        out
    }

    fn value(&mut self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Array(elements) => {
                self.head(Some((0x90, 16)), [None, Some(0xdc), Some(0xdd)], elements.len(), out);
                elements.iter().for_each(|element| self.value(element, out));
            }
            Value::Binary(bytes) => self.binary(bytes, out),
            Value::Bool(false) => out.push(0xc2),
            Value::Bool(true) => out.push(0xc3),
            Value::Float(float) => {
                let mut forms = vec![[&[0xcb][..], &float.to_be_bytes()].concat()];
                let short = *float as f32;
                if f64::from(short) == *float || float.is_nan() {
                    forms.push([&[0xca][..], &short.to_be_bytes()].concat());
                }
                self.one_of(forms, out);
            }
            Value::Negative(integer) => self.integer((*integer).into(), out),
            Value::Null => out.push(0xc0),
            Value::Object(members) => {
                self.head(Some((0x80, 16)), [None, Some(0xde), Some(0xdf)], members.len(), out);
                for (name, value) in members {
                    self.text(name, out);
                    self.value(value, out);
                }
            }
            Value::Positive(integer) => self.integer((*integer).into(), out),
            Value::Text(text) => self.text(text, out),
            Value::Undefined => out.extend_from_slice(&[0xd4, 0, 0]),
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.head(Some((0xa0, 32)), [Some(0xd9), Some(0xda), Some(0xdb)], text.len(), out);
        out.extend_from_slice(text.as_bytes());
    }

    fn binary(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let is_ext = self.turn(2) == 1;
        let first = if is_ext { 0xc7 } else { 0xc4 };
        self.head(None, [Some(first), Some(first + 1), Some(first + 2)], bytes.len(), out);
        if is_ext {
            out.push(0);
        }
        out.extend_from_slice(bytes);
    }

    fn integer(&mut self, integer: i128, out: &mut Vec<u8>) {
        let mut forms = Vec::new();
        if let -0x20..0x80 = integer {
            forms.push(vec![integer as u8]);
        }
        for (index, bits) in [8, 16, 32, 64].into_iter().enumerate() {
            let bytes = &integer.to_be_bytes()[16 - bits / 8..];
            if (0..1 << bits).contains(&integer) {
                forms.push([&[0xcc + index as u8], bytes].concat());
            }
            if (-(1 << (bits - 1))..1 << (bits - 1)).contains(&integer) {
                forms.push([&[0xd0 + index as u8], bytes].concat());
            }
        }
        self.one_of(forms, out);
    }

    fn head(
        &mut self,
        fixed: Option<(u8, usize)>,
        markers: [Option<u8>; 3],
        len: usize,
        out: &mut Vec<u8>,
    ) {
        let mut forms = Vec::new();
        if let Some((marker, below)) = fixed
            && len < below
        {
            forms.push(vec![marker | len as u8]);
        }
        for (marker, bytes) in markers.into_iter().zip([1, 2, 4]) {
            if let Some(marker) = marker
                && len < 1 << (8 * bytes)
            {
                forms.push([&[marker], &len.to_be_bytes()[8 - bytes..]].concat());
            }
        }
        self.one_of(forms, out);
    }

    fn one_of(&mut self, forms: Vec<Vec<u8>>, out: &mut Vec<u8>) {
        out.extend_from_slice(&forms[self.turn(forms.len())]);
    }

    fn turn(&mut self, choices: usize) -> usize {
        let width = self.widths[self.written % self.widths.len()];
        self.written += 1;
        usize::from(width) % choices
    }
}

fn packet() -> impl Strategy<Value = Packet> {
    let kind = prop_oneof![
        1 => Just(Kind::Connect),
        1 => Just(Kind::Disconnect),
        4 => Just(Kind::Event),
        2 => Just(Kind::Ack),
        1 => Just(Kind::ConnectError),
    ];
    let namespace =
        prop_oneof![2 => Just("/".to_owned()), 1 => "/[a-z?=#/]{1,8}", 1 => "/[^,]{1,3}"];
    let id = prop_oneof![8 => 0..20_u64, 2 => 0..=ID_MAX, 1 => any::<u64>()];
    let any_data = proptest::option::of(
        value()
            .prop_filter("it is there", |value| !matches!(value, Value::Null | Value::Undefined)),
    );
    (kind, namespace, id, vec(value(), 0..4), event(), any_data, 0..10_u8).prop_map(
        |(kind, namespace, id, mut args, name, any_data, luck)| {
            let id = match kind {
                Kind::Ack => luck > 0,
                Kind::Event => luck > 4,
                Kind::Connect | Kind::ConnectError | Kind::Disconnect => luck == 0,
            }
            .then_some(id);
            let data = match kind {
                _ if luck == 1 => any_data,
                Kind::Ack => Some(Value::Array(args)),
                Kind::Connect | Kind::ConnectError => {
                    let members = args.into_iter().map(|value| ("a\"".to_owned(), value));
                    (luck > 4).then(|| Value::Object(members.collect()))
                }
                Kind::Disconnect => None,
                Kind::Event => {
                    args.insert(0, name);
                    Some(Value::Array(args))
                }
            };
            Packet { kind, namespace, id, data }
        },
    )
}

fn event() -> impl Strategy<Value = Value> {
    prop_oneof![
        20 => ".{0,4}".prop_map(Value::Text),
        2 => proptest::sample::select(RESERVED_EVENTS.to_vec())
            .prop_map(|name| Value::Text(name.to_owned())),
        1 => any::<u64>().prop_map(Value::Positive),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let integer = prop_oneof![any::<i64>(), any::<i32>().prop_map(Into::into), -300..300_i64];
    let scalar = prop_oneof![
        2 => Just(Value::Null),
        2 => Just(Value::Undefined),
        2 => any::<bool>().prop_map(Value::Bool),
        4 => integer.prop_map(|integer| {
            u64::try_from(integer).map_or(Value::Negative(integer), Value::Positive)
        }),
        1 => any::<u64>().prop_map(Value::Positive),
        2 => any::<f64>().prop_map(Value::Float),
        1 => any::<f32>().prop_map(|float| Value::Float(float.into())),
        4 => text().prop_map(Value::Text),
        2 => vec(any::<u8>(), 0..20).prop_map(Value::Binary),
    ];
    let deep = scalar.prop_recursive(5, 24, 6, |value| {
        prop_oneof![
            vec(value.clone(), 0..6).prop_map(Value::Array),
            vec((text(), value), 0..6).prop_map(Value::Object),
        ]
    });
    // Now and then something of more than 15 elements or members, or of more than 31 bytes.
    prop_oneof![
        20 => deep,
        1 => (0..40_usize).prop_map(|len| Value::Array(vec![Value::Null; len])),
        1 => (0..40_usize).prop_map(|len| Value::Object(vec![(String::new(), Value::Null); len])),
        1 => (0..300_usize).prop_map(|len| Value::Text("x".repeat(len))),
        1 => (0..300_usize).prop_map(|len| Value::Binary(vec![7; len])),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z]{0,40}",
        4 => ".{0,6}",
        2 => "[\\x00-\\x1f\"\\\\é😀]{0,6}",
        1 => proptest::sample::select(vec!["_placeholder", "num", "__proto__"]).prop_map(str::to_owned),
    ]
}

fn marker() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => 0xc0..=0xdf_u8,
        2 => proptest::sample::select(vec![0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0xa0, 0xa1]),
        2 => 0..4_u8,
        1 => any::<u8>(),
    ]
}
