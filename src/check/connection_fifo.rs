//! `connection_fifo`: events of one socket are handled in the order it sent
//! them, one at a time, and what is emitted to it arrives in that order.
//!
//! Decided from numbered echoes: the next answer must be to the oldest question
//! still open on this connection. A question never answered is no violation by
//! itself; one that is overtaken is.

use std::collections::VecDeque;

use super::{ClientId, Guarantee, Options, Verdict, Violation};

/// How many echoes one client may have open.
const ASKS_MAX: usize = 64 * 1024;

/// The echoes one client has open on its connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Asks(Option<Box<VecDeque<u64>>>);

impl Asks {
    /// A new connection owes nothing to the old one.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }

    pub(super) fn ask(&mut self, number: u64, verdict: &mut Verdict) {
        let open = self.0.get_or_insert_default();
        if open.len() == ASKS_MAX {
            verdict.overflow = Some("too many echoes of one client are unanswered");
            return;
        }
        open.push_back(number);
    }

    pub(super) fn answer(
        &mut self,
        at_us: u64,
        client: ClientId,
        number: u64,
        options: &Options,
        verdict: &mut Verdict,
    ) {
        let open = self.0.get_or_insert_default();
        let oldest = open.front().copied();
        if oldest == Some(number) {
            open.pop_front();
            return;
        }
        let story = match open.iter().position(|&asked| asked == number) {
            Some(overtaken) => {
                open.remove(overtaken);
                let oldest = oldest.unwrap_or_default();
                format!(
                    "client {} was answered {number} while its earlier {oldest} was still open",
                    client.0
                )
            }
            None => format!(
                "client {} was answered {number}, which it had not asked or was answered already",
                client.0
            ),
        };
        verdict.accuse(options, Guarantee::ConnectionFifo, || Violation {
            guarantee: Guarantee::ConnectionFifo,
            at_us,
            clients: vec![client],
            messages: Vec::new(),
            rooms: Vec::new(),
            story,
        });
    }
}
