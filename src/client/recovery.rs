//! What a client shows to a server to be taken for who it was.
//!
//! ```text
//!  CONNECT answered with a pid --> events, each with an offset --> the connection ends
//!               ^                                                        |
//!               +--------------- CONNECT with both <---------------------+
//! ```
//!
//! A connection keeps this value up to date and knows nothing of others: who makes the
//! next one carries it over, from [`Session::recovery`](super::Session::recovery) to
//! [`Join::with_recovery`](super::Join::with_recovery). It decides as the JavaScript client does, so that a server
//! sees from us what it sees from everybody. In particular, once a pid is known, whatever
//! string an event ends with is its offset; and one that outlived its session stays
//! until there is another.
//!
//! # Spec
//!
//! Socket.IO, "Connection state recovery".

use crate::socketio::Args;

/// Who a client was in a namespace, and how far it had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The private id of the session, from the answer to CONNECT.
    pub pid: Box<str>,
    /// The offset of the last event that carried one.
    pub offset: Option<Box<str>>,
}

impl Recovery {
    /// What CONNECT says: this, and then `auth`, which is a JSON object, if anything.
    pub(super) fn connect_json(&self, auth: &str) -> String {
        let mut json = format!(r#"{{"pid":{}"#, quoted(&self.pid));
        if let Some(offset) = &self.offset {
            json.push_str(r#","offset":"#);
            json.push_str(&quoted(offset));
        }
        let rest = auth.trim_start().strip_prefix('{').map_or("}", str::trim_start);
        if !rest.starts_with('}') {
            json.push(',');
        }
        json.push_str(rest);
        json
    }

    /// The server has answered CONNECT with this pid, if with any. Whether we are who we were.
    pub(super) fn handle_answer(known: &mut Option<Box<Self>>, pid: Option<Box<str>>) -> bool {
        let former = known.take();
        let is_same = pid.is_some() && former.as_ref().map(|it| &it.pid) == pid.as_ref();
        let offset = former.and_then(|former| former.offset);
        *known = pid.map(|pid| Box::new(Self { pid, offset }));
        is_same
    }

    /// An event has arrived.
    pub(super) fn handle_event(&mut self, args: &Args<'_>) {
        let last = args.elements().skip(1).last();
        if let Some(offset) = last.and_then(|json| serde_json::from_str(json).ok()) {
            self.offset = Some(offset);
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(offset: Option<&str>) -> Recovery {
        Recovery { pid: "p".into(), offset: offset.map(Into::into) }
    }

    #[test]
    fn connect_says_who_we_were_and_then_who_we_are() {
        for (offset, auth, expected) in [
            (None, "", r#"{"pid":"p"}"#),
            (Some("o"), "", r#"{"pid":"p","offset":"o"}"#),
            (Some("\""), " { } ", r#"{"pid":"p","offset":"\""} "#),
            (Some("o"), r#"{"token":1}"#, r#"{"pid":"p","offset":"o","token":1}"#),
        ] {
            assert_eq!(recovery(offset).connect_json(auth), expected);
        }
    }

    #[test]
    fn only_the_same_pid_is_the_same_session() {
        for (known, answer, is_same) in [
            (None, None, false),
            (None, Some("p"), false),
            (Some("p"), None, false),
            (Some("p"), Some("q"), false),
            (Some("p"), Some("p"), true),
        ] {
            let mut state = known
                .map(|pid: &str| Box::new(Recovery { pid: pid.into(), ..recovery(Some("o")) }));
            assert_eq!(Recovery::handle_answer(&mut state, answer.map(Into::into)), is_same);
            assert_eq!(state.as_ref().map(|it| &*it.pid), answer);
            // As the JavaScript client: the old offset outlives its session.
            let offset = state.and_then(|it| it.offset);
            assert_eq!(offset.is_some(), known.is_some() && answer.is_some());
        }
    }

    #[test]
    fn the_last_string_of_an_event_is_its_offset() {
        let mut recovery = recovery(None);
        for (json, offset) in [
            (r#"["only a name"]"#, None),
            (r#"["a",1]"#, None),
            (r#"["a",1,"x"]"#, Some("x")),
            (r#"["a","y",2]"#, Some("x")),
            (r#"["a",["z"]]"#, Some("x")),
            (r#"["a","\u0079"]"#, Some("y")),
        ] {
            recovery.handle_event(&Args::new(json, Vec::new()));
            assert_eq!(recovery.offset.as_deref(), offset, "{json}");
        }
    }
}
