//! What a server tells a client when a session begins.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Handshake".

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DecodeError;

/// The data of an open packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The session's id.
    pub sid: String,
    /// The transports that the client may go over to.
    pub upgrades: Vec<String>,
    /// From one pong to the next ping; whole milliseconds.
    pub ping_interval: Duration,
    /// How long after a ping its pong may take; whole milliseconds.
    pub ping_timeout: Duration,
    /// The most bytes in one payload or message.
    pub max_payload: usize,
}

impl Open {
    /// The JSON of this packet.
    pub fn encode(&self) -> String {
        let ms = |duration: Duration| duration.as_millis().try_into().unwrap_or(u32::MAX);
        let wire = Wire {
            sid: Cow::Borrowed(&self.sid),
            upgrades: Cow::Borrowed(&self.upgrades),
            ping_interval: ms(self.ping_interval),
            ping_timeout: ms(self.ping_timeout),
            max_payload: self.max_payload,
        };
        serde_json::to_string(&wire).expect("strings and numbers are JSON")
    }

    /// Decodes the JSON of a packet. Keys that the specification does not name
    /// are ignored; `maxPayload`, which older servers do not send, is 1 MB then.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Open`] if a key is missing or its value is of another type;
    /// an interval is at most 2^32 - 1 milliseconds.
    pub fn decode(json: &str) -> Result<Self, DecodeError> {
        let wire: Wire<'_> =
            serde_json::from_str(json).map_err(|error| DecodeError::Open(error.to_string()))?;
        Ok(Self {
            sid: wire.sid.into_owned(),
            upgrades: wire.upgrades.into_owned(),
            ping_interval: Duration::from_millis(wire.ping_interval.into()),
            ping_timeout: Duration::from_millis(wire.ping_timeout.into()),
            max_payload: wire.max_payload,
        })
    }
}

/// The open packets of one server: they differ in the session's id and its transports,
/// and the rest is spelled once, however many sessions begin.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// What stands behind the list of transports.
    end: Box<str>,
}

impl Greeting {
    /// That of a server with these times and this bound, as in [`Open`].
    pub fn new(ping_interval: Duration, ping_timeout: Duration, max_payload: usize) -> Self {
        let (sid, upgrades) = (String::new(), Vec::new());
        let json = Open { sid, upgrades, ping_interval, ping_timeout, max_payload }.encode();
        let (_, end) = json.split_once("[]").expect("the list of transports is empty");
        Self { end: end.into() }
    }

    /// The JSON of one session's packet, in parts; `sid` is put into it as it is.
    pub fn parts<'a>(&'a self, sid: &'a str, may_upgrade: bool) -> [&'a str; 4] {
        debug_assert!(!sid.contains(['"', '\\']), "{sid:?} is no id");
        let upgrades =
            if may_upgrade { r#"","upgrades":["websocket"]"# } else { r#"","upgrades":[]"# };
        [r#"{"sid":""#, sid, upgrades, &self.end]
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    sid: Cow<'a, str>,
    upgrades: Cow<'a, [String]>,
    ping_interval: u32,
    ping_timeout: u32,
    #[serde(default = "max_payload_default")]
    max_payload: usize,
}

fn max_payload_default() -> usize {
    1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

    #[test]
    fn keys_are_those_of_node_in_its_order() {
        let open = Open {
            sid: "lv_VI97HAXpY6yYWAAAC".to_owned(),
            upgrades: vec!["websocket".to_owned()],
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
        };
        assert_eq!(open.encode(), NODE);
        assert_eq!(Open::decode(NODE), Ok(open));
    }

    #[test]
    fn greeting_is_the_open_packet_of_each_session() {
        let (ping_interval, ping_timeout) = (Duration::from_millis(1), Duration::from_secs(20));
        let max_payload = 1_234_567;
        let greeting = Greeting::new(ping_interval, ping_timeout, max_payload);
        for (may_upgrade, upgrades) in [(true, vec!["websocket".to_owned()]), (false, Vec::new())] {
            let sid = "lv_VI97HAXpY6yYWAAAC".to_owned();
            let open = Open { sid, upgrades, ping_interval, ping_timeout, max_payload };
            assert_eq!(greeting.parts(&open.sid, may_upgrade).concat(), open.encode());
        }
    }

    #[test]
    fn max_payload_may_be_missing_and_more_may_be_there() {
        let json = r#"{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":2,"more":[]}"#;
        let open = Open::decode(json).unwrap();
        assert_eq!((open.max_payload, open.ping_timeout.as_millis()), (1_000_000, 2));
    }

    #[test]
    fn what_is_no_open_packet_is_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"sid":1,"upgrades":[],"pingInterval":1,"pingTimeout":2}"#,
            r#"{"sid":"a","upgrades":[],"pingInterval":-1,"pingTimeout":2}"#,
            r#"{"sid":"a","upgrades":[],"pingInterval":4294967296,"pingTimeout":2}"#,
        ] {
            assert!(matches!(Open::decode(json), Err(DecodeError::Open(_))), "{json:?}");
        }
    }
}
