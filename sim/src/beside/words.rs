//! What hubs say, in the model's words.

use parlor::hub::Outcome as HubOutcome;
use parlor::room::{JoinError, Sid};
use parlor::websocket::{Decoder, Message};
use serde::Deserialize;

use crate::model::{Outcome, ROOMS, Words};

/// A packet to a client.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    /// It is in the namespace.
    Connected {
        /// By which it may come back.
        pid: &'a str,
    },
    /// It hears something.
    Event {
        /// What.
        words: Words,
        /// How far it has come then.
        offset: &'a str,
    },
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Connected<'a> {
    pid: &'a str,
}

/// The argument of an event of ours, whichever it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument<'a> {
    changes: Option<Vec<(char, &'a str)>>,
    room: Option<&'a str>,
    seq: Option<u64>,
}

/// Reads the one packet in a frame; `sids` are those of the connections, by their numbers.
pub(super) fn packet<'a>(
    decoder: &'a mut Decoder,
    frame: &'a mut [u8],
    sids: &[Sid],
) -> Packet<'a> {
    let text = text(decoder, frame);
    if let Some(json) = text.strip_prefix("42") {
        let (name, argument, offset) = serde_json::from_str(json).expect("one argument, an offset");
        return Packet::Event { words: words(name, &argument, sids), offset };
    }
    match text.strip_prefix("40") {
        Some(json) => {
            let Connected { pid } = serde_json::from_str(json).expect("it can be recovered");
            Packet::Connected { pid }
        }
        None => Packet::Other,
    }
}

/// The one text message in a whole frame.
fn text<'a>(decoder: &'a mut Decoder, frame: &'a mut [u8]) -> &'a str {
    let length = frame.len();
    match decoder.decode(frame, 1 << 20) {
        Ok((taken, Some(Message::Text(text)))) if taken == length => text,
        other => panic!("not one whole text frame: {other:?}"),
    }
}

fn words(name: &str, argument: &Argument<'_>, sids: &[Sid]) -> Words {
    match (name, argument) {
        ("message", &Argument { seq, changes: None, room: None }) => Words::Message(seq),
        ("presence", Argument { changes: Some(changes), room: Some(room), seq: None }) => {
            let room = ROOMS.iter().position(|name| name == room).expect("a room of ours");
            let change = |&(sign, sid): &(char, &str)| (sign == '+', number(sid, sids));
            Words::Presence(room, changes.iter().map(change).collect())
        }
        _ => panic!("nobody said {name} like this"),
    }
}

/// What became of something that was asked for.
pub(super) fn outcome(outcome: &HubOutcome, sids: &[Sid]) -> Outcome {
    match outcome {
        HubOutcome::Accepted(seq) => Outcome::Accepted(*seq),
        HubOutcome::Left(left) => Outcome::Left(*left),
        HubOutcome::Members(Ok(members)) => Outcome::Members(*members),
        HubOutcome::Gone
        | HubOutcome::Members(Err(JoinError::Gone))
        | HubOutcome::Watching(Err(JoinError::Gone)) => Outcome::Gone,
        HubOutcome::Members(Err(JoinError::TooMany { .. }))
        | HubOutcome::Watching(Err(JoinError::TooMany { .. })) => Outcome::TooMany,
        HubOutcome::Watching(Ok(there)) => {
            Outcome::Watching(there.iter().map(|sid| number(sid.as_str(), sids)).collect())
        }
        HubOutcome::Acked(_) | HubOutcome::Expecting(_) | HubOutcome::Sockets(_) => {
            panic!("nothing here asks a client, or who is there")
        }
    }
}

/// The number of a connection.
fn number(sid: &str, sids: &[Sid]) -> usize {
    let known = sids.iter().rposition(|known| known.as_str() == sid);
    known.expect("the id of a socket of ours")
}
