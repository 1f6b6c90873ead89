//! What shards tell each other.
//!
//! Each namespace has one home shard. It knows every socket of the namespace
//! and the rooms it is in, and puts all that happens there in one order; the
//! shards that own the connections encode and write.
//!
//! ```text
//!   shard of the asker              home shard              shard of a member
//!         |------ Request ------------->|                          |
//!         |                             |------ Deliver ---------->|
//!         |<----- Deliver, Moved -------|                          |
//!         |<----- Answer ---------------|                          |
//!         |                             |                          |
//!         |<----------------------------- Reply (to a broadcast) --|
//! ```
//!
//! Between two shards messages keep their order. So whatever a request caused
//! for its own shard has arrived there before its answer has, and what reaches
//! a socket from its namespace's home comes in the namespace's order.
//!
//! A request names rooms and sockets, not connections: a node of a cluster can
//! ask for the same.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::journal::{Offset, Remains, Restored};
use super::{NamespaceId, Outcome, Payload, Target, Ticket};
use crate::room::{ShardId, Sid, SocketKey};
use crate::socketio::Args;

/// What one shard tells another.
#[derive(Clone, Debug)]
pub enum Message {
    /// The home shard has handled the receiver's requests up to `number`.
    Answer {
        /// Counts the receiver's requests to this home, from 1.
        number: u64,
        /// What became of request `number`, and who waits for that.
        outcome: Option<(Ticket, Outcome)>,
    },
    /// Packets for some of the receiver's sockets.
    Deliver(Delivery),
    /// A socket of the receiver has its place in the namespace's order: its
    /// client can be told.
    Entered {
        /// Where.
        namespace: NamespaceId,
        /// Who.
        socket: SocketKey,
        /// Its session, if sessions can be recovered.
        begun: Option<Box<Begun>>,
    },
    /// A socket of the receiver has been moved.
    Moved {
        /// Where.
        namespace: NamespaceId,
        /// Who.
        socket: SocketKey,
        /// The room it is in no longer.
        left: Option<Box<str>>,
        /// The room it is in from here on.
        joined: Option<Box<str>>,
    },
    /// These sockets of the receiver are to be disconnected.
    PutOut {
        /// Where.
        namespace: NamespaceId,
        /// Whom.
        sockets: Vec<SocketKey>,
        /// Whether their connections go as well.
        close: bool,
    },
    /// One socket's answer to a broadcast that asked for answers.
    Reply(Ticket, Reply),
    /// To the home shard: something for which the order matters.
    Request {
        /// Where.
        namespace: NamespaceId,
        /// What.
        request: Request,
        /// Who waits for the outcome.
        ticket: Option<Ticket>,
        /// Packets wait for the answer to earlier requests: it is to come before
        /// whatever this one causes.
        answer_first: bool,
    },
    /// An event for the receiver's application itself.
    ServerSide {
        /// Where.
        namespace: NamespaceId,
        /// What.
        packet: Packet,
    },
    /// A client has come back elsewhere: its old socket is to end.
    Surrender {
        /// Where.
        namespace: NamespaceId,
        /// Whose.
        socket: SocketKey,
    },
}

/// One packet for some sockets of one shard.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where.
    pub namespace: NamespaceId,
    /// What.
    pub packet: Arc<Packet>,
    /// Whom.
    pub to: Vec<SocketKey>,
    /// How.
    pub manner: Manner,
    /// The number of the last broadcast in the namespace, this one included.
    pub number: u64,
}

/// A socket's session, as its home has it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// What the client presents to come back to it.
    pub pid: Sid,
    /// The number of the last broadcast in the namespace.
    pub number: u64,
    /// How it goes on, if it is an old one.
    pub restored: Option<Restored>,
}

/// A session that is to begin, or to go on.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// What the client is to present later, if it is a new one.
    pub pid: Sid,
    /// The shard's count of what it emitted to single sockets.
    pub own: u64,
    /// The session that the client wants back.
    pub claim: Option<Claimed>,
}

/// What a client presents to come back to its session.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    /// The session.
    pub pid: Sid,
    /// The last offset that it has seen.
    pub offset: Option<Offset>,
}

/// How a packet is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Each socket is to answer, to this shard under this ticket.
    Answered(ShardId, Ticket),
    /// Of a room's joins and leaves: not before the answer to the watch.
    Notice,
    /// As it comes.
    Plain,
    /// May be dropped for who can not take it at once.
    Volatile,
}

/// The arguments of an event, owned.
#[derive(Clone, Debug)]
pub struct Packet {
    /// `["name",arg,..]`.
    pub json: Box<str>,
    /// What the placeholders stand for.
    pub attachments: Vec<Bytes>,
}

impl Packet {
    /// A packet of its own.
    pub fn new(payload: Payload<'_>) -> Self {
        Self { json: payload.json.into(), attachments: payload.attachments.to_vec() }
    }

    /// How much it holds.
    pub fn bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Its arguments.
    pub fn payload(&self) -> Payload<'_> {
        Payload { json: &self.json, attachments: &self.attachments }
    }
}

/// One socket's part in the answers to a broadcast.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It answered.
    Acked(Args<'static>),
    /// It has gone, and will not.
    Gone,
}

/// Who is meant, owned.
#[derive(Clone, Debug, Default)]
pub struct Whom {
    /// Room names or socket ids; none at all means the whole namespace.
    pub rooms: Vec<Box<str>>,
    /// Room names or socket ids that are left out.
    pub except: Vec<Box<str>>,
}

impl Whom {
    /// A target of its own.
    pub fn new(target: Target<'_>) -> Self {
        Self { rooms: target.rooms.to_vec(), except: target.except.to_vec() }
    }

    /// The target.
    pub fn target(&self) -> Target<'_> {
        Target { rooms: &self.rooms, except: &self.except }
    }
}

/// Something for which a namespace's order matters.
#[derive(Clone, Debug)]
pub enum Request {
    /// A message to many.
    Broadcast {
        /// The sender, if it is a socket.
        from: Option<(SocketKey, Sid)>,
        /// To whom.
        whom: Whom,
        /// What.
        packet: Packet,
        /// Whether the room's number is added to it.
        stamped: bool,
        /// Whether it may be dropped.
        volatile: bool,
        /// Whether each socket is to answer.
        replies: bool,
    },
    /// A socket is there.
    Connect {
        /// Its key.
        socket: SocketKey,
        /// Its public id.
        sid: Sid,
        /// The namespace's name, if it was made of a template.
        name: Option<Box<str>>,
        /// Its session, if sessions can be recovered.
        begin: Option<Begin>,
    },
    /// A socket has gone.
    Disconnect {
        /// Its key.
        socket: SocketKey,
        /// What is left for its session, if that can be recovered.
        remains: Option<Box<Remains>>,
    },
    /// Sockets are to be disconnected.
    DisconnectSockets {
        /// Whom.
        whom: Whom,
        /// Whether their connections go as well.
        close: bool,
    },
    /// Who is there, and what is known of them?
    Fetch {
        /// Whom.
        whom: Whom,
    },
    /// A socket enters a room.
    Join {
        /// Who.
        socket: SocketKey,
        /// Which one.
        room: Box<str>,
    },
    /// A socket leaves a room.
    Leave {
        /// Who.
        socket: SocketKey,
        /// Which one.
        room: Box<str>,
    },
    /// The application keeps something with a socket.
    SetData {
        /// Which one.
        socket: SocketKey,
        /// What.
        data: Value,
    },
    /// Many enter rooms.
    SocketsJoin {
        /// Who.
        whom: Whom,
        /// Which ones.
        rooms: Vec<Box<str>>,
    },
    /// Many leave rooms.
    SocketsLeave {
        /// Who.
        whom: Whom,
        /// Which ones.
        rooms: Vec<Box<str>>,
    },
    /// A socket leaves one room and enters another.
    Switch {
        /// Who.
        socket: SocketKey,
        /// From.
        previous: Box<str>,
        /// To.
        next: Box<str>,
    },
    /// A socket wants to hear of a room's joins and leaves no longer.
    Unwatch {
        /// Who.
        socket: SocketKey,
        /// Which one.
        room: Box<str>,
    },
    /// A socket wants to hear of a room's joins and leaves.
    Watch {
        /// Who.
        socket: SocketKey,
        /// Which one.
        room: Box<str>,
    },
}
