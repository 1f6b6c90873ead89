//! The history: what clients did and saw, and what the engine says of its own order.
//!
//! All records of one [`Checker`](super::Checker) form one sequence in true
//! time order. To stay on the safe side of the clock, write down what a client
//! *does* before its bytes leave, and what it *sees* after its bytes arrived:
//! every interval in which something must have happened is then never too short.

/// One client, over all its connections. Dense: used as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// One room of one namespace. Dense: used as an index.
///
/// A namespace has rooms of its own, so rooms of the same name in two
/// namespaces are two ids; a delivery that crosses is a `room_isolation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomId(pub u32);

/// One broadcast. Numbers increase from message to message of a sender, over
/// all its rooms and connections; without gaps they are cheapest to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// Who sent it.
    pub sender: ClientId,
    /// Its place among all that this client ever sent.
    pub number: u64,
}

/// What a client asked for and was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A join of `room`.
    Join {
        /// The room it wanted to be in.
        room: RoomId,
    },
    /// A leave of `room`.
    Leave {
        /// The room it wanted to leave.
        room: RoomId,
    },
    /// A broadcast: it must reach nobody.
    Message {
        /// The message's number.
        number: u64,
    },
    /// A switch; neither membership changes.
    Switch {
        /// The room it wanted to leave.
        from: RoomId,
        /// The room it wanted to be in.
        to: RoomId,
    },
}

/// One thing that one client did or saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A message's ack arrived, with the room's sequence number if it names one.
    Acked {
        /// The message.
        message: MessageId,
        /// Its place in the room, as the ack says.
        seq: Option<u64>,
    },
    /// The answer to [`Record::Asked`] of the same number arrived.
    Answered {
        /// Who asked.
        client: ClientId,
        /// The number that came back.
        number: u64,
    },
    /// A numbered echo was sent: the probe for `connection_fifo`.
    Asked {
        /// Who asks.
        client: ClientId,
        /// Any number not yet used on this connection.
        number: u64,
    },
    /// The namespace's CONNECT was answered. A client does nothing before.
    Connected {
        /// Who.
        client: ClientId,
    },
    /// A broadcast arrived.
    Delivered {
        /// Who received it.
        client: ClientId,
        /// The room named by the envelope.
        room: RoomId,
        /// The message, as its body claims.
        message: MessageId,
        /// The sender, as the envelope claims, if it names one.
        from: Option<ClientId>,
        /// Its place in the room, as the envelope claims.
        seq: Option<u64>,
        /// Whether the body is byte for byte what `message` was sent with.
        intact: bool,
    },
    /// The end of the connection was noticed, or decided. Everything in flight
    /// in either direction is from here on indeterminate.
    Disconnected {
        /// Who.
        client: ClientId,
    },
    /// Something arrived that is not of this run: counted, never judged.
    Foreign {
        /// Who received it.
        client: ClientId,
    },
    /// The connection ended, and its client is going to go on with another one as who it
    /// was: what it hears is one stream over both, and nothing of it may be missing. What
    /// it asked and was not answered may have been done until here, or never.
    Interrupted {
        /// Who.
        client: ClientId,
    },
    /// A join's ack arrived.
    JoinAcked {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// A join was sent. Of a room the client is in already it changes nothing.
    JoinSent {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// A leave's ack arrived.
    LeaveAcked {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// A leave was sent.
    LeaveSent {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// A request was answered with a refusal: it changed nothing.
    Refused {
        /// Who asked.
        client: ClientId,
        /// For what.
        request: Request,
    },
    /// A broadcast was sent.
    Sent {
        /// The message; its number is greater than all before of this sender.
        message: MessageId,
        /// The room it is for.
        room: RoomId,
    },
    /// A switch's ack arrived.
    SwitchAcked {
        /// Who.
        client: ClientId,
        /// The room it has left.
        from: RoomId,
        /// The room it is in now.
        to: RoomId,
    },
    /// A switch was sent. `from == to` is a join.
    SwitchSent {
        /// Who.
        client: ClientId,
        /// The room it leaves.
        from: RoomId,
        /// The room it joins in the same step.
        to: RoomId,
    },
}

/// One step of the engine's own order: the witness.
///
/// Pass every `Broadcast`, but of a client's joins, leaves, switches and
/// disconnects only those of the connection it holds at that moment: the engine
/// may learn of a broken connection's end long after the client has made a new
/// one, and the checker knows clients, not sockets. Steps stand in the same
/// sequence as the records; at equal times the engine's step goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The message got its place.
    Broadcast {
        /// The message.
        message: MessageId,
        /// The room.
        room: RoomId,
    },
    /// The client's connection left all its rooms.
    Disconnect {
        /// Who.
        client: ClientId,
    },
    /// The client became a member (or was one already).
    Join {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// The client is no longer a member.
    Leave {
        /// Who.
        client: ClientId,
        /// The room.
        room: RoomId,
    },
    /// The client left one room and joined another in one step.
    Switch {
        /// Who.
        client: ClientId,
        /// The room it left.
        from: RoomId,
        /// The room it joined.
        to: RoomId,
    },
}
