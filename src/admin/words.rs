//! What the stock page is told, in its words.

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::date;
use crate::hub::{Sight, Sighting};
use crate::room::Sid;
use crate::shard::{Client, Handshake, Transport};

/// JSON and attachments of an event from which on it is shown without its arguments.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// One event for the page: JSON, and what its placeholders stand for.
pub(super) type Word = (String, Vec<Bytes>);

/// A socket that is connected.
pub(super) fn socket(sighting: &Sighting, client: &Client) -> Value {
    let (rooms, data) = match &sighting.sight {
        Sight::Connected { rooms, data, .. } => (&**rooms, &**data),
        Sight::Data(_)
        | Sight::Disconnected { .. }
        | Sight::Joined(_)
        | Sight::Left(_)
        | Sight::Received(_)
        | Sight::Sent(..)
        | Sight::Upgraded => (&[][..], "null"),
    };
    let id = sighting.sockets.first().map_or("", Sid::as_str);
    let rooms: Vec<&str> = [id].into_iter().chain(rooms.iter().map(|room| &**room)).collect();
    json!({
        "id": id,
        "clientId": client.id,
        "transport": client.transport.as_str(),
        "nsp": &*sighting.namespace,
        "data": shown(data),
        "handshake": client.handshake.as_ref().map_or_else(|| json!({}), handshake),
        "rooms": rooms,
    })
}

/// What the page is told of a sighting, in order.
pub(super) fn words(sighting: &Sighting, client: Option<&Client>, now: SystemTime) -> Vec<Word> {
    let (nsp, at) = (&*sighting.namespace, date::iso(now));
    let id = sighting.sockets.first().map_or("", Sid::as_str);
    let room = |event, room: &str| plain(&json!([event, nsp, room, id, at]));
    match &sighting.sight {
        Sight::Connected { rooms, .. } => {
            let Some(client) = client else { return Vec::new() };
            let joined = [id].into_iter().chain(rooms.iter().map(|room| &**room));
            let joined = joined.map(|name| room("room_joined", name));
            let connected = plain(&json!(["socket_connected", socket(sighting, client), at]));
            joined.chain([connected]).collect()
        }
        Sight::Data(data) => {
            let updated = json!({ "id": id, "nsp": nsp, "data": shown(data) });
            vec![plain(&json!(["socket_updated", updated]))]
        }
        Sight::Disconnected { reason, rooms } => {
            let gone = plain(&json!(["socket_disconnected", nsp, id, reason.as_str(), at]));
            let left = [id].into_iter().chain(rooms.iter().map(|room| &**room));
            [gone].into_iter().chain(left.map(|name| room("room_left", name))).collect()
        }
        Sight::Joined(name) => vec![room("room_joined", name)],
        Sight::Left(name) => vec![room("room_left", name)],
        Sight::Received(args) => {
            vec![event("event_received", nsp, id, (args.json(), args.attachments()), &at)]
        }
        Sight::Sent(json, attachments) => {
            let sent = |id: &Sid| event("event_sent", nsp, id.as_str(), (json, attachments), &at);
            sighting.sockets.iter().map(sent).collect()
        }
        Sight::Upgraded => {
            let transport = Transport::WebSocket.as_str();
            let updated = json!({ "id": id, "nsp": nsp, "transport": transport });
            vec![plain(&json!(["socket_updated", updated]))]
        }
    }
}

fn plain(word: &Value) -> Word {
    (word.to_string(), Vec::new())
}

/// The page shows an event as it was, attachments included, unless it is very large.
fn event(name: &str, nsp: &str, id: &str, what: (&str, &[Bytes]), at: &str) -> Word {
    let (json, attachments) = what;
    let bytes = json.len() + attachments.iter().map(Bytes::len).sum::<usize>();
    let [name, nsp, id, at] = [name, nsp, id, at].map(|text| json!(text));
    if bytes <= EVENT_BYTES_MAX {
        return (format!("[{name},{nsp},{id},{json},{at}]"), attachments.to_vec());
    }
    let event: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    let event = event.into_iter().next().unwrap_or_default();
    plain(&json!([name, nsp, id, [event, format!("{bytes} bytes")], at]))
}

/// The page shows the members of an object.
fn shown(data: &str) -> Value {
    match serde_json::from_str(data).unwrap_or_default() {
        Value::Null => Value::Object(Map::new()),
        Value::Object(data) => Value::Object(data),
        data @ (Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            json!({ "data": data })
        }
    }
}

fn handshake(handshake: &Handshake) -> Value {
    let mut headers = Map::new();
    for (name, value) in handshake.headers() {
        headers.entry(name).or_insert_with(|| value.into());
    }
    let query: Map<String, Value> =
        handshake.query().into_iter().map(|(key, value)| (key, value.into())).collect();
    // Who it is behind a proxy; as good as what the proxy says.
    let forwarded = ["cf-connecting-ip", "x-forwarded-for"];
    let address = forwarded.into_iter().find_map(|name| handshake.header(name));
    let address = address.map_or_else(|| handshake.address().ip().to_string(), str::to_owned);
    json!({
        "address": address,
        "headers": headers,
        "query": query,
        "issued": date::ms(handshake.time()),
        "secure": handshake.is_secure(),
        "time": date::long(handshake.time()),
        "url": handshake.url(),
        "xdomain": handshake.header("origin").is_some(),
    })
}
