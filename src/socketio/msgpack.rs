//! Packets as single binary messages in MessagePack, as the stock
//! `socket.io-msgpack-parser` writes and reads them.
//!
//! A message is one map: `{type, data?, id?, nsp}`, in any order. Binary data lies
//! where it belongs, so there are no attachments that follow and no types for them.
//! Inside parlor a packet looks the same in either form: [`decode`] makes the JSON
//! text, the attachments and the placeholders that a peer with the JSON parser would
//! have sent, and [`encode`] goes the other way.
//!
//! | MessagePack | JSON |
//! |---|---|
//! | array, bool, map, nil, str | the same |
//! | int | its decimal digits, all of them |
//! | float | as `JSON.stringify` writes it; no number: `null` |
//! | bin, ext 8 to 32 of type 0 (an `ArrayBuffer`) | a placeholder |
//! | fixext 8 of type 0 (a `Date`) | its ISO string; no date: `null` |
//! | fixext 1 of type 0 (`undefined`) | `null` in an array; in a map the member is left out |
//!
//! All the rules of JSON packets hold here too. Where the stock parser is laxer, it is
//! followed if that does no harm: members of the packet that nobody knows are dropped
//! (the stock client sends `options`), the last of two with one name counts. `id` and
//! `data` may be nil for absent, which only other clients send. Refused are a name in
//! a map that is no string, any other ext, and a map with `_placeholder: true`.
//!
//! # Guarantees
//!
//! * Whatever a peer sends, [`decode`] does not panic and takes linear time; it follows
//!   no nesting by recursion, and allocates nothing by a declared count.
//!
//! # Spec
//!
//! MessagePack specification, "Formats"; notepack.io 2.2 for the ext types.

mod date;
mod decode;
mod encode;
mod number;
mod reader;

pub use decode::decode;
pub use encode::encode;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
