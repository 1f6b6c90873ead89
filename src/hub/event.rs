//! What goes into the hub, and what it wants done.

use std::ops::Range;

use bytes::Bytes;

use super::Loss;
use super::NamespaceId;
use super::Sighting;
use super::exchange::{Message, Reply};
use crate::room::{JoinError, ShardId, Sid, SocketKey};
use crate::socketio::Args;

/// Names one Engine.IO connection of the shard; an index is reused, a generation never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId {
    /// Place in the shard's table of connections.
    pub index: u32,
    /// Counts the connections of the shard.
    pub generation: u32,
}

/// Names one socket: a connection's part in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// The socket within it.
    pub key: SocketKey,
}

/// Names something asked of the hub whose outcome somebody awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Why a socket or a connection ended, in Socket.IO's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The peer sends events faster than it may, or than handlers that await its answers take them.
    EventFlood,
    /// The peer broke the protocol.
    ParseError,
    /// No pong in time.
    PingTimeout,
    /// The application disconnected the socket.
    ServerNamespaceDisconnect,
    /// The server is shutting down.
    ServerShuttingDown,
    /// The peer does not read, and more is waiting for it than the configured bound. Its
    /// session can be recovered, unless it was recovered already.
    SlowReader,
    /// The peer closed the connection.
    TransportClose,
    /// The connection broke.
    TransportError,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::ClientNamespaceDisconnect,
        Self::EventFlood,
        Self::ParseError,
        Self::PingTimeout,
        Self::ServerNamespaceDisconnect,
        Self::ServerShuttingDown,
        Self::SlowReader,
        Self::TransportClose,
        Self::TransportError,
    ];

    /// One word for each reason, also where Socket.IO has the same for several.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client_namespace_disconnect",
            Self::EventFlood => "event_flood",
            Self::ParseError => "parse_error",
            Self::PingTimeout => "ping_timeout",
            Self::ServerNamespaceDisconnect => "server_namespace_disconnect",
            Self::ServerShuttingDown => "server_shutting_down",
            Self::SlowReader => "slow_reader",
            Self::TransportClose => "transport_close",
            Self::TransportError => "transport_error",
        }
    }

    /// The words that Socket.IO's users know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::EventFlood | Self::SlowReader => "forced server close",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }
}

/// The arguments of a packet to send: a JSON array as text, and its attachments.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// For an event `["name",arg,..]`, for an ack `[arg,..]`.
    pub json: &'a str,
    /// What the placeholders in `json` stand for.
    pub attachments: &'a [Bytes],
}

/// Who is meant by a broadcast: the union of `rooms` less the union of `except`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Room names or socket ids; none at all means the whole namespace.
    pub rooms: &'a [Box<str>],
    /// Room names or socket ids that are left out.
    pub except: &'a [Box<str>],
}

/// A message to many.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a> {
    /// Where.
    pub namespace: NamespaceId,
    /// The sender, who does not hear it; none if the server itself speaks.
    pub from: Option<(SocketKey, Sid)>,
    /// To whom.
    pub target: Target<'a>,
    /// What.
    pub payload: Payload<'a>,
    /// Adds `"seq":n` to the object that ends the arguments, n being the place
    /// in the (single) target room's order.
    pub stamped: bool,
    /// May be dropped for who can not take it at once.
    pub volatile: bool,
    /// Each socket is to answer: the ticket resolves to [`Outcome::Expecting`]
    /// and collects an [`Action::Replied`] of each.
    pub replies: bool,
    /// Resolves to [`Outcome::Accepted`] once the message has its place in the order.
    pub ticket: Option<Ticket>,
}

/// Something that happened outside, or that the application asks for.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The application answers an event that asked for an ack.
    Ack {
        /// Who asked.
        socket: SocketId,
        /// The client's number for it.
        id: u64,
        /// The answer.
        payload: Payload<'a>,
    },
    /// The application lets a client into a namespace.
    Admit {
        /// Whose CONNECT it was.
        conn: ConnId,
        /// To which namespace.
        namespace: NamespaceId,
        /// Which attempt; another one than the last is void.
        attempt: u32,
    },
    /// A binary message of a connection.
    Binary {
        /// Which one.
        conn: ConnId,
        /// An attachment.
        bytes: &'a [u8],
    },
    /// A message to many.
    Broadcast(Broadcast<'a>),
    /// A connection is to be closed with this code, after what is pending for it.
    Close {
        /// Which one.
        conn: ConnId,
        /// RFC 6455, section 7.4.1.
        close_code: u16,
        /// Why.
        reason: Reason,
    },
    /// The application has found out which template accepts a name, if one does.
    Found {
        /// Whose CONNECT it was.
        conn: ConnId,
        /// The name.
        name: &'a str,
        /// The number of the registration.
        template: Option<usize>,
        /// The auth payload.
        auth: Option<&'a str>,
    },
    /// The application ends a socket, and its connection too if `close`.
    Disconnect {
        /// Whom.
        socket: SocketId,
        /// Whether the connection goes as well.
        close: bool,
    },
    /// The application ends sockets, wherever they are.
    DisconnectSockets {
        /// Where.
        namespace: NamespaceId,
        /// Whom.
        target: Target<'a>,
        /// Whether their connections go as well.
        close: bool,
    },
    /// The application emits to one socket; `ticket` resolves to the ack.
    Emit {
        /// To whom.
        socket: SocketId,
        /// What.
        payload: Payload<'a>,
        /// May be dropped if the socket can not take it at once.
        volatile: bool,
        /// Awaits the client's ack.
        ticket: Option<Ticket>,
    },
    /// Another shard says something.
    Exchange {
        /// Which one.
        from: ShardId,
        /// What.
        message: Message,
    },
    /// The application wants to know who is there.
    Fetch {
        /// Where.
        namespace: NamespaceId,
        /// Whom.
        target: Target<'a>,
        /// Resolves to [`Outcome::Sockets`].
        ticket: Ticket,
    },
    /// A connection has ended, or is to end at once.
    Gone {
        /// Which one.
        conn: ConnId,
        /// Why.
        reason: Reason,
    },
    /// The handler that was in progress for this socket is done.
    HandlerDone {
        /// Whose.
        socket: SocketId,
    },
    /// A socket enters a room.
    Join {
        /// Who.
        socket: SocketId,
        /// Which one.
        room: &'a str,
        /// Resolves to [`Outcome::Members`].
        ticket: Ticket,
    },
    /// A socket leaves a room.
    Leave {
        /// Who.
        socket: SocketId,
        /// Which one.
        room: &'a str,
        /// Resolves to [`Outcome::Left`].
        ticket: Ticket,
    },
    /// Events for this connection were dropped: its sessions can not be
    /// recovered any more.
    Lossy {
        /// Which one.
        conn: ConnId,
    },
    /// The application keeps a client out of a namespace.
    Refuse {
        /// Whose CONNECT it was.
        conn: ConnId,
        /// To which namespace.
        namespace: NamespaceId,
        /// Which attempt.
        attempt: u32,
        /// A JSON object with `message` and perhaps `data`.
        json: &'a str,
    },
    /// The application tells those of all other shards something.
    ServerSide {
        /// Where.
        namespace: NamespaceId,
        /// What.
        payload: Payload<'a>,
    },
    /// The application keeps something with a socket for as long as it is connected.
    SetData {
        /// Which one.
        socket: SocketId,
        /// What; null is nothing.
        data: &'a serde_json::Value,
    },
    /// The application puts sockets into rooms, wherever they are.
    SocketsJoin {
        /// Where.
        namespace: NamespaceId,
        /// Whom.
        target: Target<'a>,
        /// Into which.
        rooms: &'a [Box<str>],
    },
    /// The application takes sockets out of rooms, wherever they are.
    SocketsLeave {
        /// Where.
        namespace: NamespaceId,
        /// Whom.
        target: Target<'a>,
        /// Out of which.
        rooms: &'a [Box<str>],
    },
    /// A socket leaves one room and enters another, in one step.
    Switch {
        /// Who.
        socket: SocketId,
        /// From.
        previous: &'a str,
        /// To.
        next: &'a str,
        /// Resolves to [`Outcome::Members`].
        ticket: Ticket,
    },
    /// A text message of a connection.
    Text {
        /// Which one.
        conn: ConnId,
        /// An Engine.IO packet.
        text: &'a str,
    },
    /// A socket wants to hear of the joins and leaves of a room no longer.
    Unwatch {
        /// Who.
        socket: SocketId,
        /// Which one.
        room: &'a str,
        /// Resolves to [`Outcome::Left`].
        ticket: Ticket,
    },
    /// A socket wants to hear of the joins and leaves of a room.
    Watch {
        /// Who.
        socket: SocketId,
        /// Which one.
        room: &'a str,
        /// Resolves to [`Outcome::Watching`].
        ticket: Ticket,
    },
}

/// What became of something that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The message has its place in the order; its number, if it was to be stamped.
    Accepted(Option<u64>),
    /// The client's answer.
    Acked(Args<'static>),
    /// How many sockets are to answer.
    Expecting(usize),
    /// The socket has gone, or the room was empty of everybody.
    Gone,
    /// Whether the socket was there at all.
    Left(bool),
    /// How many are in the room joined.
    Members(Result<usize, JoinError>),
    /// Who was there, at one moment of the namespace's order.
    Sockets(Vec<Found>),
    /// Who was in the room when the watch began.
    Watching(Result<Vec<Sid>, JoinError>),
}

/// What is known of one socket, wherever it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its public id.
    pub sid: Sid,
    /// The rooms it is in, without the one of its own id.
    pub rooms: Vec<Box<str>>,
    /// What the application keeps with it.
    pub data: serde_json::Value,
}

/// Something the owner of the hub must now do, in the order given.
#[derive(Debug)]
pub enum Action {
    /// Report to the witness, if there is one.
    Accepted(Accepted),
    /// Close the transport: after what is pending if `close_code` is given, else at once.
    Close {
        /// Which one.
        conn: ConnId,
        /// RFC 6455, section 7.4.1.
        close_code: Option<u16>,
    },
    /// Tell another shard.
    Exchange {
        /// Which one.
        to: ShardId,
        /// What.
        message: Message,
    },
    /// Tell the application.
    Notify(ConnId, Notification),
    /// Tell who collects the answers to a broadcast.
    Replied(Ticket, Reply),
    /// Tell whoever waits.
    Resolve(Ticket, Outcome),
    /// Tell whoever watches the server.
    Seen(Box<Sighting>),
    /// Send `frame` to each of `to`; both are ranges of the [`Actions`]' arenas.
    Send {
        /// Whole WebSocket frames, in [`Actions::bytes`].
        frame: Range<usize>,
        /// In [`Actions::recipients`].
        to: Range<usize>,
        /// Whether it may be dropped.
        loss: Loss,
    },
    /// Tell the application what another shard's application says.
    ServerSide(NamespaceId, Args<'static>),
}

/// Something the application hears of; handled per connection in this order.
#[derive(Debug)]
pub enum Notification {
    /// A client asks to be let into a namespace; answered by `Admit` or `Refuse`.
    Connect {
        /// The namespace.
        namespace: NamespaceId,
        /// To be repeated in the answer.
        attempt: u32,
        /// The auth payload: a JSON object as text.
        auth: Option<Box<str>>,
    },
    /// A socket is connected.
    Connected {
        /// Who.
        socket: SocketId,
        /// Its public id.
        sid: Sid,
    },
    /// A socket has gone.
    Disconnected {
        /// Who.
        socket: SocketId,
        /// Its public id.
        sid: Sid,
        /// Why.
        reason: Reason,
        /// The rooms it was in.
        rooms: Vec<Box<str>>,
    },
    /// An event arrived.
    Event {
        /// From whom.
        socket: SocketId,
        /// The number to answer under, if an answer is wanted.
        ack: Option<u64>,
        /// Name and arguments.
        args: Args<'static>,
    },
    /// A client asks for a name that is not known: is there a template for it?
    /// Answered by `Found`.
    Find {
        /// The name.
        name: Box<str>,
        /// The auth payload: a JSON object as text.
        auth: Option<Box<str>>,
    },
    /// A message of a connection that does not speak Socket.IO.
    Raw(RawMessage),
}

/// A message as Engine.IO carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMessage {
    /// Bytes.
    Binary(Bytes),
    /// Text.
    Text(Box<str>),
}

impl Notification {
    /// The socket that is concerned, if there is one yet.
    pub fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Connect { .. } | Self::Find { .. } | Self::Raw(_) => None,
            Self::Connected { socket, .. }
            | Self::Disconnected { socket, .. }
            | Self::Event { socket, .. } => Some(*socket),
        }
    }

    /// The namespace that is concerned.
    pub fn namespace(&self) -> NamespaceId {
        match self {
            Self::Connect { namespace, .. } => *namespace,
            Self::Connected { socket, .. }
            | Self::Disconnected { socket, .. }
            | Self::Event { socket, .. } => socket.namespace,
            // There is no namespace yet, or never: all of these wait in one line.
            Self::Find { .. } | Self::Raw(_) => NamespaceId::NONE,
        }
    }
}

/// The engine's own word for the order of a namespace: a witness, never trusted alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The namespace's name.
    pub namespace: Box<str>,
    /// The socket concerned; none for a broadcast by the server itself.
    pub socket: Option<Sid>,
    /// What was accepted.
    pub step: Step,
}

/// One step in the order of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message to `rooms` got its place, and its number if it is stamped.
    Broadcast {
        /// The target rooms.
        rooms: Vec<Box<str>>,
        /// The place in the single room's order.
        seq: Option<u64>,
        /// The event as JSON, without the stamp.
        json: Box<str>,
    },
    /// The socket is connected.
    Connect,
    /// The socket has gone, and with it all its memberships.
    Disconnect,
    /// The socket is in this room from here on.
    Join(Box<str>),
    /// The socket is in this room no longer.
    Leave(Box<str>),
    /// The socket left one room and entered another.
    Switch {
        /// From.
        previous: Box<str>,
        /// To.
        next: Box<str>,
    },
}

/// What the hub wants done, with the bytes and recipients that it speaks of.
///
/// One value is used again and again, so that a broadcast allocates nothing.
#[derive(Debug, Default)]
pub struct Actions {
    /// In the order to be done.
    pub list: Vec<Action>,
    /// Frames.
    pub bytes: Vec<u8>,
    /// Connections.
    pub recipients: Vec<ConnId>,
    /// What stands before a packet's JSON while it is encoded.
    pub(super) head: String,
}

impl Actions {
    /// Tells another shard something.
    pub(super) fn tell(&mut self, to: ShardId, message: Message) {
        self.list.push(Action::Exchange { to, message });
    }

    /// Forgets everything, keeps the memory (up to a bound, so that one huge packet is not remembered for ever).
    pub fn clear(&mut self) {
        const KEPT_BYTES_MAX: usize = 256 * 1024;
        self.list.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.recipients.clear();
        self.recipients.shrink_to(KEPT_BYTES_MAX);
    }
}
