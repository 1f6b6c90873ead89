//! The story of a violation: what happened to the clients and messages
//! concerned, in order, to be read first and in a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use crate::cleanup;
use crate::history::{Call, Change, Connection, Entry, Event, History, MessageId, Order, SocketId};
use crate::judge::Failure;
use crate::promise::{BOUNDED, SILENT_PEER_CLOSED};

/// Longest story; the middle of a longer one is left out.
const LINES_MAX: usize = 60;

/// Tells one failure of a run.
pub fn tell(failure: &Failure, history: &History) -> String {
    let cast = Cast::of(history);
    // How all went in the end concerns only what was seen there.
    let settled = history.until_settled();
    let is_over = settled.last().is_some_and(|last| failure.at_us <= last.at_us);
    let entries = if is_over { settled } else { history.entries() };
    let mut lines: Vec<String> = entries
        .iter()
        .filter(|entry| is_concerned(failure, &cast, &entry.event))
        .map(|entry| line(entry, failure, &cast))
        .collect();
    if lines.len() > LINES_MAX {
        let left_out = lines.len() - LINES_MAX;
        let half = LINES_MAX / 2;
        lines
            .splice(half..half + left_out, [format!("             ... {left_out} more lines ...")]);
    }
    let witness = if failure.needs_witness { " (seen with the engine's witness)" } else { "" };
    let mut story = format!("{}{witness}: {}\n", failure.guarantee, failure.sentence);
    for line in lines {
        story.push_str(&line);
        story.push('\n');
    }
    story
}

/// One sentence for each entry of a history, with its time.
pub(crate) fn sentences(history: &History) -> Vec<String> {
    let cast = Cast::of(history);
    let sentence = |entry: &Entry| {
        let what = happening(&entry.event, &cast);
        format!("{}.{:03} ms: {}", entry.at_us / 1000, entry.at_us % 1000, what.trim_start())
    };
    history.entries().iter().map(sentence).collect()
}

/// Whose sockets are whose.
pub(crate) struct Cast<'a> {
    /// The client of each socket, and how many connections it had before.
    sockets: BTreeMap<SocketId, (u32, usize)>,
    sids: BTreeMap<&'a str, SocketId>,
}

impl<'a> Cast<'a> {
    pub(crate) fn of(history: &'a History) -> Self {
        let mut cast = Self { sockets: BTreeMap::new(), sids: BTreeMap::new() };
        let mut connections: BTreeMap<u32, usize> = BTreeMap::new();
        for Connection { socket, client, sid, .. } in history.connections() {
            let earlier = connections.entry(client).or_default();
            cast.sockets.insert(socket, (client, *earlier));
            cast.sids.insert(sid, socket);
            *earlier += 1;
        }
        cast
    }

    /// Who a message is said to come from.
    fn known(&self, from: Option<SocketId>) -> String {
        match from {
            None => "nobody known".to_owned(),
            Some(from) => self.socket(from),
        }
    }

    /// The client, and which of its connections if there were others before.
    pub(crate) fn socket(&self, socket: SocketId) -> String {
        match self.sockets.get(&socket) {
            None => format!("unknown socket {}", socket.0),
            Some((client, 0)) => format!("client {client}"),
            Some((client, earlier)) => format!("client {client} (connection {})", earlier + 1),
        }
    }

    fn sid(&self, sid: &str) -> String {
        match self.sids.get(sid) {
            None => format!("socket {sid}"),
            Some(&socket) => self.socket(socket),
        }
    }

    /// The sockets that something happens to.
    fn sockets_of(&self, event: &Event) -> impl Iterator<Item = SocketId> {
        let mut own = event.socket();
        if let Event::Witnessed { order } = event {
            own = self.sids.get(order.sid()).copied();
        }
        if let Event::GivenUp { sid, .. } = event {
            own = self.sids.get(sid.as_str()).copied();
        }
        let mut owner = None;
        if let Event::Expelled { client, .. }
        | Event::Illegal { client, .. }
        | Event::Wish { client, .. } = event
        {
            owner = Some(*client);
        }
        let of_client = self.sockets.iter().filter(move |(_, (client, _))| owner == Some(*client));
        own.into_iter().chain(of_client.map(|(&socket, _)| socket))
    }

    fn message(&self, message: MessageId) -> String {
        format!("message {} of {}", message.number, self.socket(message.by))
    }
}

/// Messages of the story; the comings and goings of its sockets in its rooms; and
/// every fault.
fn is_concerned(failure: &Failure, cast: &Cast<'_>, event: &Event) -> bool {
    if let Some(message) = event.message() {
        return failure.messages.contains(&message);
    }
    if matches!(event, Event::Census { .. } | Event::Fault { .. } | Event::Quiet { .. }) {
        return true;
    }
    if matches!(event, Event::Backlog { .. }) {
        return failure.guarantee == BOUNDED;
    }
    let is_socket = cast.sockets_of(event).any(|socket| failure.sockets.contains(&socket));
    let rooms: BTreeSet<&str> = event.rooms().collect();
    let is_room = rooms.is_empty()
        || failure.rooms.is_empty()
        || rooms.iter().any(|&room| failure.rooms.contains(room));
    let is_echo = matches!(event, Event::Asked { .. } | Event::Answered { .. });
    let is_beat = matches!(event, Event::Ponged { .. });
    is_socket
        && is_room
        && (!is_echo || failure.guarantee == "connection_fifo")
        && (!is_beat || failure.guarantee == SILENT_PEER_CLOSED)
}

fn line(entry: &Entry, failure: &Failure, cast: &Cast<'_>) -> String {
    let marker = if entry.at_us == failure.at_us { ">>" } else { "  " };
    let ms = entry.at_us / 1000;
    let us = entry.at_us % 1000;
    let mut line = format!("{marker} {ms:6}.{us:03} ms  ");
    write!(line, "{}", happening(&entry.event, cast)).expect("writing to a string never fails");
    line
}

fn happening(event: &Event, cast: &Cast<'_>) -> String {
    let who = |socket: &SocketId| cast.socket(*socket);
    match event {
        Event::Acked { message, seq } => {
            format!("{} has its ack{}", cast.message(*message), seq_of(*seq))
        }
        Event::Answered { socket, number } => format!("{} has echo {number} back", who(socket)),
        Event::Asked { socket, number } => format!("{} asks for echo {number}", who(socket)),
        Event::Connected { socket, sid, .. } => format!("{} is connected as {sid}", who(socket)),
        Event::Delivered { socket, room, message, from, seq, intact } => {
            let damage = if *intact { "" } else { ", DAMAGED" };
            let (from, seq) = (cast.known(*from), seq_of(*seq));
            let (who, what) = (who(socket), cast.message(*message));
            format!("{who} hears {what} in {room:?} from {from}{seq}{damage}")
        }
        Event::Ended { socket, reason } => format!("{} is cut off: {reason}", who(socket)),
        Event::Expelled { client, reason } => blame(*client, reason),
        Event::Backlog { packets, bytes, dropped } => backlog(*packets, *bytes, *dropped),
        Event::Census { held } => format!("--- all have gone; left is {}", cleanup::list(held)),
        Event::Fault { what } => format!("--- {what}"),
        Event::Foreign { socket, what } => format!("{} hears of nobody: {what}", who(socket)),
        Event::GivenUp { sid, reason } => format!("    engine: {}: {reason}", cast.sid(sid)),
        Event::HalfOpened { socket } => format!("{} can not finish its upgrade", who(socket)),
        Event::Heard { socket, name, args } => heard(&who(socket), name, args),
        Event::Illegal { client, what } => offence(*client, what),
        Event::JoinAcked { socket, room } => format!("{} knows it is in {room:?}", who(socket)),
        Event::JoinSent { socket, room } => format!("{} joins {room:?}", who(socket)),
        Event::LeaveAcked { socket, room } => format!("{} knows it has left {room:?}", who(socket)),
        Event::LeaveSent { socket, room } => format!("{} leaves {room:?}", who(socket)),
        Event::Notice { socket, room, changes } => {
            let changes: Vec<String> = changes.iter().map(|it| change(it, cast)).collect();
            format!("{} is told of {room:?}: {}", who(socket), changes.join(", "))
        }
        Event::Recovered { socket, .. } => format!("{} is recovered, as who it was", who(socket)),
        Event::PollCancelled { socket, answered } => cancelled(&who(socket), *answered),
        Event::Ponged { socket } => format!("{} answers a ping", who(socket)),
        Event::Packets { tally } => format!("--- of all packets: {tally:?}").to_lowercase(),
        Event::Quiet { mark } => format!("--- quiet phase: {mark:?}").to_lowercase(),
        Event::Refused { socket, call, error } => {
            format!("{} is refused its {}: {error}", who(socket), asked(call))
        }
        Event::Replied { socket, number, args } => replied(&who(socket), *number, args),
        Event::Said { socket, number, name, args } => said(&who(socket), *number, name, args),
        Event::Sent { message, room, .. } => {
            format!("{} is sent to {room:?}", cast.message(*message))
        }
        Event::SwitchAcked { socket, from, to } => {
            format!("{} knows it is in {to:?}, not in {from:?}", who(socket))
        }
        Event::SwitchSent { socket, from, to } => {
            format!("{} switches from {from:?} to {to:?}", who(socket))
        }
        Event::TypingHeard { socket, room, from } => {
            format!("{} hears in {room:?} that {} is typing", who(socket), cast.known(*from))
        }
        Event::TypingSent { socket, room } => format!("{} is typing in {room:?}", who(socket)),
        Event::Unwatched { socket, room } => format!("{} watches {room:?} no longer", who(socket)),
        Event::UnwatchSent { socket, room } => {
            format!("{} wants to watch {room:?} no longer", who(socket))
        }
        Event::Watched { socket, room, members } => {
            let members: Vec<String> = members.iter().map(|sid| cast.sid(sid)).collect();
            format!("{} watches {room:?}, where there are [{}]", who(socket), members.join(", "))
        }
        Event::WatchSent { socket, room } => format!("{} asks to watch {room:?}", who(socket)),
        Event::Upgraded { socket } => format!("{} has gone over to a WebSocket", who(socket)),
        Event::Wish { client, is_connected, rooms } => wish(*client, *is_connected, rooms),
        Event::Witnessed { order } => format!("    engine: {}", step(order, cast)),
    }
}

fn cancelled(who: &str, answered: bool) -> String {
    if answered {
        format!("the answer to that poll of {who} is lost, with messages in it")
    } else {
        format!("a poll of {who} is cancelled on its way, and asked again")
    }
}

fn wish(client: u32, is_connected: bool, rooms: &[String]) -> String {
    let wish = if is_connected { "connected" } else { "away" };
    let rooms = if rooms.is_empty() { String::new() } else { format!(", in {rooms:?}") };
    format!("client {client} wants to be {wish}{rooms}")
}

/// Of the server, by a client.
pub(crate) fn blame(client: u32, reason: &str) -> String {
    format!("client {client} blames the server: {reason}")
}

/// What a server must not do to a client.
pub(crate) fn offence(client: u32, what: &str) -> String {
    format!("to client {client} the server {what}")
}

fn backlog(packets: u64, bytes: u64, dropped: u64) -> String {
    format!(
        "    engine: up to {packets} packets, {bytes} bytes wait for one client; {dropped} dropped"
    )
}

fn seq_of(seq: Option<u64>) -> String {
    seq.map_or(String::new(), |seq| format!(" (seq {seq})"))
}

fn heard(who: &str, name: &str, args: &[Value]) -> String {
    format!("{who} hears {name}{}", listed(args))
}

fn replied(who: &str, number: u64, args: &[Value]) -> String {
    format!("{who} has the answer to its call {number}:{}", listed(args))
}

fn said(who: &str, number: u64, name: &str, args: &[Value]) -> String {
    format!("{who} says {name}{} (call {number})", listed(args))
}

/// Arguments, each after a space.
pub(crate) fn listed(args: &[Value]) -> String {
    args.iter().map(|argument| format!(" {argument}")).collect()
}

fn change(Change(is_in, sid): &Change, cast: &Cast<'_>) -> String {
    format!("{} is {}", cast.sid(sid), if *is_in { "in" } else { "out" })
}

fn asked(call: &Call) -> String {
    match call {
        Call::Join { room } => format!("join of {room:?}"),
        Call::Leave { room } => format!("leave of {room:?}"),
        Call::Message { number } => format!("message {number}"),
        Call::Switch { from, to } => format!("switch from {from:?} to {to:?}"),
        Call::Unwatch { room } => format!("end of its watch of {room:?}"),
        Call::Watch { room } => format!("watch of {room:?}"),
    }
}

fn step(order: &Order, cast: &Cast<'_>) -> String {
    match order {
        Order::Broadcast { sid, room, seq, message } => {
            let what = message.map_or("a message".to_owned(), |message| cast.message(message));
            let seq = seq.map_or(String::new(), |seq| format!(" with seq {seq}"));
            format!("{what} from {} goes to {room:?}{seq}", cast.sid(sid))
        }
        Order::Connect { sid } => format!("{} is there", cast.sid(sid)),
        Order::Disconnect { sid } => format!("{} is gone", cast.sid(sid)),
        Order::Join { sid, room } => format!("{} is in {room:?}", cast.sid(sid)),
        Order::Leave { sid, room } => format!("{} is out of {room:?}", cast.sid(sid)),
        Order::Switch { sid, from, to } => {
            format!("{} is out of {from:?} and in {to:?}", cast.sid(sid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_tells_what_concerns_it_and_nothing_else() {
        let mut history = History::default();
        let connected = |socket, client| Event::Connected {
            socket: SocketId(socket),
            client,
            sid: format!("sid{socket}"),
            server: "s".to_owned(),
        };
        let mut push = |at_us, event| history.push(at_us, event);
        push(1_000, connected(0, 4));
        push(1_500, connected(1, 7));
        push(1_700, connected(2, 9));
        push(2_000, Event::JoinAcked { socket: SocketId(0), room: "a".to_owned() });
        push(2_100, Event::JoinAcked { socket: SocketId(2), room: "a".to_owned() });
        push(2_200, Event::JoinAcked { socket: SocketId(0), room: "b".to_owned() });
        let mut story_message = None;
        for number in 0..3 {
            let message = MessageId { by: SocketId(1), number };
            push(
                3_000 + number,
                Event::Sent { message, room: "a".to_owned(), attachments: 0, bytes: 20 },
            );
            story_message = Some(message);
        }
        push(4_000, Event::Fault { what: "server killed".to_owned() });
        let failure = Failure {
            guarantee: "join_then_hear".to_owned(),
            sentence: "it was lost".to_owned(),
            at_us: 3_002,
            needs_witness: false,
            sockets: [SocketId(0), SocketId(1)].into(),
            messages: story_message.into_iter().collect(),
            rooms: ["a".to_owned()].into(),
        };
        assert_eq!(
            tell(&failure, &history),
            "join_then_hear: it was lost\n\
             \x20       1.000 ms  client 4 is connected as sid0\n\
             \x20       1.500 ms  client 7 is connected as sid1\n\
             \x20       2.000 ms  client 4 knows it is in \"a\"\n\
             >>      3.002 ms  message 2 of client 7 is sent to \"a\"\n\
             \x20       4.000 ms  --- server killed\n"
        );
    }
}
