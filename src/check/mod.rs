//! Histories, and one checker per guarantee.
//!
//! A [`Checker`] reads one sequence of [`Record`]s, what clients did and saw,
//! and says at the end which promises of the contract were broken. It is
//! streaming, near-linear, bounded in memory and pure: times and ids come in, a
//! [`Verdict`] comes out. The simulation and `loadgen` use the same one; rooms
//! may be dealt to several checkers, each getting whole rooms.
//!
//! # What can be decided
//!
//! A message was accepted at some moment between its `Sent` and the first sign
//! of it (its ack, or any delivery). Its recipients are those who were members
//! at that moment. What clients alone know of a pair (message, recipient):
//!
//! ```text
//!                 Sent                first sign
//!   ---------------|---- accepted ------|-------------------> time
//!   join acked ....|....................|.... leave sent        required
//!                  |                    |  join sent ....       forbidden
//!   ... leave acked|                    |  join sent ....       forbidden
//!   anything else                                               indeterminate
//! ```
//!
//! Required pairs that do not arrive are lost, unless a connection ended first.
//! Forbidden ones that do arrive are violations. Indeterminate ones may or may
//! not arrive. With the engine's own order ([`Checker::witness`]) membership at the
//! moment of acceptance is known for every pair; what clients can decide
//! without it is always decided without it as well, since a broken engine's
//! witness is broken too.
//!
//! # Guarantees
//!
//! * A correct server is never accused, by clients alone or with the witness.
//! * Counts are exact, or [`Verdict::overflow`] says that they are not.

mod checker;
mod connection_fifo;
mod delivery;
mod hearing;
mod log;
mod membership;
mod options;
mod order;
mod order_graph;
mod record;
mod silence;
mod slots;
mod switch_atomic;
mod verdict;
mod witness;

#[cfg(test)]
mod tests;

pub use checker::Checker;
pub use options::{Guarantees, Options, OrderBy};
pub use record::{Accepted, ClientId, MessageId, Record, Request, RoomId};
pub use verdict::{Guarantee, Verdict, Violation};
