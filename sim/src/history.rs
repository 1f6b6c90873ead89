//! A history: what clients did and saw, in one total order.
//!
//! Everything in a world runs on one thread, so the order in which entries are
//! appended is the order in which things happened. What the engine says of its own
//! order (the *witness*) is in the same sequence, marked as such, and left out
//! where clients alone are asked. A history is JSON lines on disk and has one
//! [`hash`](History::hash): two runs are the same run if their hashes are equal.
//!
//! A *socket* here is one connection of one client, numbered over the whole run
//! in the order of the answers to CONNECT: what a client's old connection still
//! had under way must not be blamed on its new one. Only a connection that is recovered
//! goes on in the next one: both are one socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One connection of one client, and those that go on with it, numbered over the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SocketId(pub u32);

/// A message: who sent it, and which of the sending client's messages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId {
    /// The socket it was sent by.
    pub by: SocketId,
    /// Unique for the client, and growing.
    pub number: u64,
}

/// What [`Event::Fault`] says of a client's link when all that goes over it is reset.
pub const CONNECTIONS_RESET: &str = "all connections are reset";

/// What [`Event::Fault`] says when the server goes down, whatever the cause.
pub const SERVER_KILLED: &str = "the server is killed";

/// How a connection to one namespace ends that goes on in another.
pub const LEFT_NAMESPACE: &str = "it left the namespace";

/// What [`Event::Fault`] says when the server is there again.
pub const SERVER_STARTS: &str = "the server starts again";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in simulated microseconds from the start.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields say what they are: who, where, which message")]
pub enum Event {
    /// A message was acknowledged.
    Acked { message: MessageId, seq: Option<u64> },
    /// A numbered echo came back.
    Answered { socket: SocketId, number: u64 },
    /// A numbered echo was asked for.
    Asked { socket: SocketId, number: u64 },
    /// More waits for one client than at any time since the server started, or more was dropped:
    /// the most packets and bytes since then, and how many events were dropped.
    Backlog { packets: u64, bytes: u64, dropped: u64 },
    /// What the server still holds after everybody has gone, by what it is called.
    Census { held: Vec<(String, u64)> },
    /// CONNECT was answered, and the chat said hello: a socket lives. `server` names one
    /// start of the server.
    Connected { socket: SocketId, client: u32, sid: String, server: String },
    /// A message arrived. `from` is what the envelope claims, the message what the body claims.
    Delivered {
        socket: SocketId,
        room: String,
        message: MessageId,
        from: Option<SocketId>,
        seq: Option<u64>,
        intact: bool,
    },
    /// A connection ended, or its end was noticed.
    Ended { socket: SocketId, reason: String },
    /// An end or an attempt of a client that no network can cause, only a server: it broke the
    /// protocol, said that the client did, or put the client out.
    Expelled { client: u32, reason: String },
    /// The plan changed the network or the server.
    Fault { what: String },
    /// Something arrived that this run did not send.
    Foreign { socket: SocketId, what: String },
    /// The server told its application that a socket has gone, and why.
    GivenUp { sid: String, reason: String },
    /// The server has answered a probe, and the client will never hear it: the connection goes
    /// on over requests.
    HalfOpened { socket: SocketId },
    /// An event of an application arrived.
    Heard { socket: SocketId, name: String, args: Vec<Value> },
    /// The server did, to a connection of a client, what the protocol does not let it do: in
    /// words that follow "the server".
    Illegal { client: u32, what: String },
    /// A join was acknowledged.
    JoinAcked { socket: SocketId, room: String },
    /// A join was sent.
    JoinSent { socket: SocketId, room: String },
    /// A leave was acknowledged.
    LeaveAcked { socket: SocketId, room: String },
    /// A leave was sent.
    LeaveSent { socket: SocketId, room: String },
    /// Who watches a room is told who has come and gone.
    Notice { socket: SocketId, room: String, changes: Vec<Change> },
    /// What has become of single packets, in all; the last entry where there are packets.
    Packets { tally: Tally },
    /// Something in the middle has cancelled a poll and asked again; or, `answered`, it was
    /// seen then that messages were in its answer, which are lost.
    PollCancelled { socket: SocketId, answered: bool },
    /// A client has answered the server's ping.
    Ponged { socket: SocketId },
    /// The quiet phase reached a mark: faults are over, or every client must be back.
    Quiet { mark: Mark },
    /// CONNECT was answered, and the server takes the client for the socket that it was: that
    /// lives again, in its rooms, and hears what it has missed.
    Recovered { socket: SocketId, client: u32 },
    /// The server refused a call.
    Refused { socket: SocketId, call: Call, error: String },
    /// What was said to an application was answered.
    Replied { socket: SocketId, number: u64, args: Vec<Value> },
    /// Something was said to an application. Said again, it keeps its number.
    Said { socket: SocketId, number: u64, name: String, args: Vec<Value> },
    /// A message was sent. `bytes` is how long its body is, attachments included.
    Sent { message: MessageId, room: String, attachments: u8, bytes: u64 },
    /// A switch was acknowledged.
    SwitchAcked { socket: SocketId, from: String, to: String },
    /// A switch was sent.
    SwitchSent { socket: SocketId, from: String, to: String },
    /// Somebody is told that a member is typing, as the event says.
    TypingHeard { socket: SocketId, room: String, from: Option<SocketId> },
    /// A room is told that its member is typing: a volatile event.
    TypingSent { socket: SocketId, room: String },
    /// The end of a watch was acknowledged.
    Unwatched { socket: SocketId, room: String },
    /// The end of a watch was asked for.
    UnwatchSent { socket: SocketId, room: String },
    /// A watch was answered with the members, by the engine's ids.
    Watched { socket: SocketId, room: String, members: Vec<String> },
    /// A watch was asked for.
    WatchSent { socket: SocketId, room: String },
    /// The connection has gone over from requests to a WebSocket, as its client says; or had
    /// done so already when the socket began to live.
    Upgraded { socket: SocketId },
    /// What a client wants when it acts no more.
    Wish { client: u32, is_connected: bool, rooms: Vec<String> },
    /// What the engine says: something has its place in its order.
    Witnessed { order: Order },
}

impl Event {
    /// The names of the rooms it is about.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        let [one, other] = match self {
            Self::Delivered { room, .. }
            | Self::JoinAcked { room, .. }
            | Self::JoinSent { room, .. }
            | Self::LeaveAcked { room, .. }
            | Self::LeaveSent { room, .. }
            | Self::Notice { room, .. }
            | Self::Refused {
                call:
                    Call::Join { room }
                    | Call::Leave { room }
                    | Call::Unwatch { room }
                    | Call::Watch { room },
                ..
            }
            | Self::Sent { room, .. }
            | Self::TypingHeard { room, .. }
            | Self::TypingSent { room, .. }
            | Self::Unwatched { room, .. }
            | Self::UnwatchSent { room, .. }
            | Self::Watched { room, .. }
            | Self::WatchSent { room, .. }
            | Self::Witnessed {
                order:
                    Order::Broadcast { room, .. } | Order::Join { room, .. } | Order::Leave { room, .. },
            } => [Some(room), None],
            Self::Refused { call: Call::Switch { from, to }, .. }
            | Self::SwitchAcked { from, to, .. }
            | Self::SwitchSent { from, to, .. }
            | Self::Witnessed { order: Order::Switch { from, to, .. } } => [Some(from), Some(to)],
            Self::Acked { .. }
            | Self::Answered { .. }
            | Self::Asked { .. }
            | Self::Backlog { .. }
            | Self::Census { .. }
            | Self::Connected { .. }
            | Self::Ended { .. }
            | Self::Expelled { .. }
            | Self::Fault { .. }
            | Self::Foreign { .. }
            | Self::GivenUp { .. }
            | Self::HalfOpened { .. }
            | Self::Heard { .. }
            | Self::Illegal { .. }
            | Self::Packets { .. }
            | Self::PollCancelled { .. }
            | Self::Ponged { .. }
            | Self::Quiet { .. }
            | Self::Recovered { .. }
            | Self::Refused { call: Call::Message { .. }, .. }
            | Self::Replied { .. }
            | Self::Said { .. }
            | Self::Upgraded { .. }
            | Self::Wish { .. }
            | Self::Witnessed { order: Order::Connect { .. } | Order::Disconnect { .. } } => {
                [None, None]
            }
        };
        one.into_iter().chain(other).map(String::as_str)
    }

    /// The client's socket it happened to.
    pub fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Acked { message, .. } | Self::Sent { message, .. } => Some(message.by),
            Self::Answered { socket, .. }
            | Self::Asked { socket, .. }
            | Self::Connected { socket, .. }
            | Self::Delivered { socket, .. }
            | Self::Ended { socket, .. }
            | Self::Foreign { socket, .. }
            | Self::HalfOpened { socket }
            | Self::Heard { socket, .. }
            | Self::JoinAcked { socket, .. }
            | Self::JoinSent { socket, .. }
            | Self::LeaveAcked { socket, .. }
            | Self::LeaveSent { socket, .. }
            | Self::Notice { socket, .. }
            | Self::PollCancelled { socket, .. }
            | Self::Ponged { socket }
            | Self::Recovered { socket, .. }
            | Self::Refused { socket, .. }
            | Self::Replied { socket, .. }
            | Self::Said { socket, .. }
            | Self::SwitchAcked { socket, .. }
            | Self::SwitchSent { socket, .. }
            | Self::TypingHeard { socket, .. }
            | Self::TypingSent { socket, .. }
            | Self::Unwatched { socket, .. }
            | Self::UnwatchSent { socket, .. }
            | Self::Upgraded { socket }
            | Self::Watched { socket, .. }
            | Self::WatchSent { socket, .. } => Some(*socket),
            Self::Backlog { .. }
            | Self::Census { .. }
            | Self::Expelled { .. }
            | Self::Fault { .. }
            | Self::GivenUp { .. }
            | Self::Illegal { .. }
            | Self::Packets { .. }
            | Self::Quiet { .. }
            | Self::Wish { .. }
            | Self::Witnessed { .. } => None,
        }
    }

    /// The message it is about.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Acked { message, .. }
            | Self::Delivered { message, .. }
            | Self::Sent { message, .. } => Some(*message),
            Self::Witnessed { order: Order::Broadcast { message, .. } } => *message,
            Self::Answered { .. }
            | Self::Asked { .. }
            | Self::Backlog { .. }
            | Self::Census { .. }
            | Self::Connected { .. }
            | Self::Ended { .. }
            | Self::Expelled { .. }
            | Self::Fault { .. }
            | Self::Foreign { .. }
            | Self::GivenUp { .. }
            | Self::HalfOpened { .. }
            | Self::Heard { .. }
            | Self::Illegal { .. }
            | Self::JoinAcked { .. }
            | Self::JoinSent { .. }
            | Self::LeaveAcked { .. }
            | Self::LeaveSent { .. }
            | Self::Notice { .. }
            | Self::Packets { .. }
            | Self::PollCancelled { .. }
            | Self::Ponged { .. }
            | Self::Quiet { .. }
            | Self::Recovered { .. }
            | Self::Refused { .. }
            | Self::Replied { .. }
            | Self::Said { .. }
            | Self::SwitchAcked { .. }
            | Self::SwitchSent { .. }
            | Self::TypingHeard { .. }
            | Self::TypingSent { .. }
            | Self::Unwatched { .. }
            | Self::UnwatchSent { .. }
            | Self::Upgraded { .. }
            | Self::Watched { .. }
            | Self::WatchSent { .. }
            | Self::Wish { .. }
            | Self::Witnessed { .. } => None,
        }
    }
}

/// Somebody (by the engine's id) has come into a room, or is no longer in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change(pub bool, pub String);

/// What has become of single packets, beside what partitions swallow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Sent again, whether it had arrived or not.
    pub again: u64,
    /// Overtaken by later ones.
    pub late: u64,
    /// Lost.
    pub lost: u64,
    /// Made up by the network: there is room again in a socket.
    pub probes: u64,
    /// Had to wait for a narrow link.
    pub queued: u64,
    /// Made up by the network: a connection is reset.
    pub resets: u64,
    /// Arrived twice.
    pub twice: u64,
}

/// Marks of the quiet phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The server knows that everybody has gone.
    Gone,
    /// The last fault is over and clients act no more.
    Healed,
    /// Everybody must be back by now; probe messages follow.
    Probe,
    /// All that was sent has had the time to arrive.
    Settled,
}

/// A call that can be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields say what they are: which room, which message")]
pub enum Call {
    /// A join.
    Join { room: String },
    /// A leave.
    Leave { room: String },
    /// A message.
    Message { number: u64 },
    /// A switch.
    Switch { from: String, to: String },
    /// The end of a watch.
    Unwatch { room: String },
    /// A watch.
    Watch { room: String },
}

/// The engine's own order, by the ids it gives to sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields say what they are: whose, which room")]
pub enum Order {
    /// A broadcast to a room.
    Broadcast { sid: String, room: String, seq: Option<u64>, message: Option<MessageId> },
    /// A socket is there; one that was there before is there again, in its rooms, which the
    /// joins behind this name.
    Connect { sid: String },
    /// A socket is gone.
    Disconnect { sid: String },
    /// A socket is a member from now on.
    Join { sid: String, room: String },
    /// A socket is no member from now on.
    Leave { sid: String, room: String },
    /// Both at once.
    Switch { sid: String, from: String, to: String },
}

impl Order {
    /// The engine's id of the socket concerned.
    pub fn sid(&self) -> &str {
        let (Self::Broadcast { sid, .. }
        | Self::Connect { sid }
        | Self::Disconnect { sid }
        | Self::Join { sid, .. }
        | Self::Leave { sid, .. }
        | Self::Switch { sid, .. }) = self;
        sid
    }
}

/// A connection: its number in the run, whose it is, and what the engine calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Its number.
    pub socket: SocketId,
    /// The client it is of.
    pub client: u32,
    /// The engine's id.
    pub sid: &'a str,
    /// The start of the server that it is to.
    pub server: &'a str,
}

/// What happened in one run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Appends what has just happened.
    pub fn push(&mut self, at_us: u64, event: Event) {
        self.entries.push(Entry { at_us, event });
    }

    /// All entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries up to the mark that all has arrived: what clients do then, they do to go.
    pub fn until_settled(&self) -> &[Entry] {
        let is_last = |entry: &Entry| entry.event == Event::Quiet { mark: Mark::Settled };
        match self.entries.iter().position(is_last) {
            Some(last) => &self.entries[..=last],
            None => &self.entries,
        }
    }

    /// Every connection, in the order of the sockets' numbers.
    pub fn connections(&self) -> impl Iterator<Item = Connection<'_>> {
        self.entries.iter().filter_map(|entry| {
            let Event::Connected { socket, client, sid, server } = &entry.event else {
                return None;
            };
            Some(Connection { socket: *socket, client: *client, sid, server })
        })
    }

    /// One JSON object a line.
    pub fn encode(&self) -> String {
        let mut lines = String::new();
        for entry in &self.entries {
            lines.push_str(&entry.encode());
            lines.push('\n');
        }
        lines
    }

    /// A number that is the same for the same history, in every process and build.
    pub fn hash(&self) -> u64 {
        let mut hash = Fnv::default();
        for entry in &self.entries {
            hash.write(entry.encode().as_bytes());
            hash.write(b"\n");
        }
        hash.0
    }
}

impl Entry {
    fn encode(&self) -> String {
        serde_json::to_string(self).expect("an entry has only strings as keys")
    }
}

/// FNV-1a with 64 bits: fixed for ever, unlike the standard library's hashers.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_agrees_with_its_published_vectors() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv::default();
            hash.write(text.as_bytes());
            assert_eq!(hash.0, expected, "{text:?}");
        }
    }

    #[test]
    fn the_hash_sees_content_time_and_order() {
        let asked = |number| Event::Asked { socket: SocketId(0), number };
        let history = |entries: &[(u64, u64)]| {
            let mut history = History::default();
            for &(at_us, number) in entries {
                history.push(at_us, asked(number));
            }
            history.hash()
        };
        let base = history(&[(1, 1), (1, 2)]);
        assert_eq!(base, history(&[(1, 1), (1, 2)]));
        for other in [&[(1, 1), (1, 3)], &[(1, 1), (2, 2)], &[(1, 2), (1, 1)]] {
            assert_ne!(base, history(other));
        }
    }

    #[test]
    fn entries_survive_the_disk_one_a_line() {
        let mut history = History::default();
        let message = MessageId { by: SocketId(1), number: 2 };
        history
            .push(5, Event::Sent { message, room: "a\nb".to_owned(), attachments: 0, bytes: 20 });
        history.push(6, Event::Quiet { mark: Mark::Healed });
        let order = Order::Leave { sid: "x".to_owned(), room: "a".to_owned() };
        history.push(7, Event::Witnessed { order });
        let decoded: Vec<Entry> = history
            .encode()
            .lines()
            .map(|line| serde_json::from_str(line).expect("one entry a line"))
            .collect();
        assert_eq!(decoded, history.entries());
    }
}
