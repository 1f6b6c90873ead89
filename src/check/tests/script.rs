//! Histories in words, for tests: `A say 1 R; B hear A1 R; A acked 1`.
//!
//! Clients are `A` to `D`, rooms `R` to `T`. What a client sends is in the
//! imperative (`join`), the answer in the past (`joined`). With a star it is
//! the engine that speaks: `*A join R`.

use super::super::{Accepted, ClientId, MessageId, Record, Request, RoomId};
use super::reference::Fact;

/// The history that `text` tells.
pub(super) fn facts(text: &str) -> Vec<(u64, Fact)> {
    let sentences = text.split(';').map(str::trim).filter(|sentence| !sentence.is_empty());
    sentences.zip(0..).map(|(sentence, at_us)| (at_us, fact(sentence))).collect()
}

fn fact(sentence: &str) -> Fact {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let (who, what) = words.split_first().expect("a sentence has a subject");
    match who.strip_prefix('*') {
        Some(who) => Fact::Step(step(client(who), what)),
        None => Fact::Record(record(client(who), what)),
    }
}

fn client(name: &str) -> ClientId {
    ClientId(letter(name, 'A'))
}

fn room(name: &str) -> RoomId {
    RoomId(letter(name, 'R'))
}

fn letter(name: &str, first: char) -> u32 {
    name.chars().next().expect("a name has a letter") as u32 - first as u32
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn request(words: &[&str]) -> Request {
    match *words {
        ["join", name] => Request::Join { room: room(name) },
        ["leave", name] => Request::Leave { room: room(name) },
        ["message", text] => Request::Message { number: number(text) },
        ["switch", from, to] => Request::Switch { from: room(from), to: room(to) },
        _ => panic!("not a request: {words:?}"),
    }
}

fn record(client: ClientId, words: &[&str]) -> Record {
    let message = |text: &str| MessageId { sender: client, number: number(text) };
    match *words {
        ["acked", text] => Record::Acked { message: message(text), seq: None },
        ["acked", text, seq] => {
            Record::Acked { message: message(text), seq: Some(number(&seq[1..])) }
        }
        ["answered", text] => Record::Answered { client, number: number(text) },
        ["ask", text] => Record::Asked { client, number: number(text) },
        ["connect"] => Record::Connected { client },
        ["disconnect"] => Record::Disconnected { client },
        ["foreign"] => Record::Foreign { client },
        ["hear", message, name, ..] => delivery(client, message, name, &words[3..]),
        ["interrupted"] => Record::Interrupted { client },
        ["join", name] => Record::JoinSent { client, room: room(name) },
        ["joined", name] => Record::JoinAcked { client, room: room(name) },
        ["leave", name] => Record::LeaveSent { client, room: room(name) },
        ["left", name] => Record::LeaveAcked { client, room: room(name) },
        ["refused", ..] => Record::Refused { client, request: request(&words[1..]) },
        ["say", text, name] => Record::Sent { message: message(text), room: room(name) },
        ["switch", from, to] => Record::SwitchSent { client, from: room(from), to: room(to) },
        ["switched", from, to] => Record::SwitchAcked { client, from: room(from), to: room(to) },
        _ => panic!("not a record: {words:?}"),
    }
}

/// `A1 R`, then any of `#7` for its place, `from C`, and `corrupted`.
fn delivery(receiver: ClientId, message: &str, name: &str, details: &[&str]) -> Record {
    let seq = details.iter().find_map(|detail| detail.strip_prefix('#')).map(number);
    let from = details.iter().position(|&detail| detail == "from").map(|i| client(details[i + 1]));
    Record::Delivered {
        client: receiver,
        room: room(name),
        message: MessageId { sender: client(message), number: number(&message[1..]) },
        from,
        seq,
        intact: !details.contains(&"corrupted"),
    }
}

fn step(client: ClientId, words: &[&str]) -> Accepted {
    match *words {
        ["gone"] => Accepted::Disconnect { client },
        ["join", name] => Accepted::Join { client, room: room(name) },
        ["leave", name] => Accepted::Leave { client, room: room(name) },
        ["say", text, name] => Accepted::Broadcast {
            message: MessageId { sender: client, number: number(text) },
            room: room(name),
        },
        ["switch", from, to] => Accepted::Switch { client, from: room(from), to: room(to) },
        _ => panic!("not a step: {words:?}"),
    }
}
