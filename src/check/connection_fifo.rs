//! `connection_fifo`: events of one socket are handled in the order it sent
//! them, one at a time, and what is emitted to it arrives in that order.
//!
//! Decided from numbered echoes: the next answer must be to the oldest question
//! still open on this connection. A question never answered is no violation by
//! itself; one that is overtaken is.

use std::collections::VecDeque;

use super::ClientId;

/// How many echoes one client may have open.
const ASKS_MAX: usize = 64 * 1024;

/// The echoes one client has open on its connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Asks(VecDeque<u64>);

impl Asks {
    /// A new connection owes nothing to the old one.
    pub(super) fn reset(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Notes a question. Says whether there was room for it.
    #[must_use]
    pub(super) fn ask(&mut self, number: u64) -> bool {
        let has_room = self.0.len() < ASKS_MAX;
        if has_room {
            self.0.push_back(number);
        }
        has_room
    }

    /// Takes an answer. Returns what is wrong with it, if something is.
    pub(super) fn answer(&mut self, client: ClientId, number: u64) -> Option<String> {
        let client = client.0;
        let Some(position) = self.0.iter().position(|&asked| asked == number) else {
            return Some(format!(
                "client {client} was answered {number}, which it had not asked or had been answered"
            ));
        };
        self.0.remove(position);
        let overtaken = self.0.front().filter(|_| position > 0)?;
        Some(format!(
            "client {client} was answered {number} while {overtaken}, which it asked before, was open"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_echoes_may_be_open_as_the_bound_says() {
        let mut asks = Asks::default();
        assert!((0..ASKS_MAX as u64).all(|number| asks.ask(number)));
        assert!(!asks.ask(ASKS_MAX as u64));
        assert_eq!(asks.answer(ClientId(0), 0), None);
        assert!(asks.ask(ASKS_MAX as u64));
    }
}
