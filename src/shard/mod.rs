//! A shard's state, with one owner: the thread that runs it.
//!
//! Everything that the shard knows lies in one [`Core`], which its tasks and
//! the application's handles share by `Rc`. They change it by plain calls that
//! never await, so there is no lock, and the order of the calls is the order
//! of events. What a call causes is applied before it returns: frames go to
//! the [`Outbox`], news for the application to the inbox of their connection.
//!
//! Shards tell each other what concerns sockets of another one by the
//! [`Exchange`]; no shard touches the state of another.
//!
//! Not here: streams, tasks, timers (the server), and what handlers look like
//! (the application's side).

mod attached;
mod core;
mod exchange;
mod handshake;
mod ids;
mod mailbox;
mod outbox;
mod seats;
mod tally;
mod tickets;

pub use self::core::{Client, Closing, Core, Now, Sightings, Witness};
pub use attached::Attached;
pub use exchange::{Exchange, Parcel, mesh};
pub use handshake::{Handshake, Transport};
pub use ids::Ids;
pub use outbox::{Outbox, Run};
pub use seats::Seat;
pub use tickets::{Replies, Waiting};
