//! Rooms: who is in which one, in which order things happen there, who hears of it.
//!
//! Pure: no sockets, no clock, no randomness, no locks. The owner of a
//! [`Rooms`] calls it in one order, and that order *is* the namespace's order.
//!
//! Not here: encoding and sending (the hub), and the room of its own that each
//! socket has by its id (the hub finds it without a membership).
//!
//! # Guarantees
//!
//! * A socket that has gone can not be revived: a late join of it is refused.
//! * Both directions of the relation socket-room always agree, and no room
//!   without members and watchers is kept.
//! * `seq` of a room counts 1, 2, 3, ... for as long as somebody is in it, or may come back
//!   to it.

mod ids;
mod membership;
mod presence;

pub use ids::{IdSource, ShardId, Sid, SocketKey};
pub use membership::{JoinError, Rooms};
pub use presence::{Change, Notice};
