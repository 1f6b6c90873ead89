//! The checker: one history in, one verdict out.

use super::connection_fifo::Asks;
use super::{Accepted, ClientId, Options, Record, Verdict};

/// Judges one history while it happens.
///
/// ```
/// use parlor::check::{Checker, ClientId, Options, Record};
///
/// let mut checker = Checker::new(Options::default());
/// checker.observe(0, &Record::Connected { client: ClientId(0) });
/// assert!(checker.finish(1_000_000).is_clean());
/// ```
#[derive(Debug)]
pub struct Checker {
    options: Options,
    verdict: Verdict,
    clients: Vec<Client>,
}

#[derive(Debug, Default)]
struct Client {
    asks: Asks,
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, verdict: Verdict::default(), clients: Vec::new() }
    }

    /// Takes the next record of the history. Times never decrease.
    pub fn observe(&mut self, at_us: u64, record: &Record) {
        match *record {
            Record::Connected { client } | Record::Disconnected { client } => {
                self.client(client).asks.reset()
            }
            Record::Answered { client, number } => {
                let (options, verdict) = (self.options.clone(), &mut self.verdict);
                self.clients[client.0 as usize]
                    .asks
                    .answer(at_us, client, number, &options, verdict);
            }
            Record::Asked { .. }
            | Record::Acked { .. }
            | Record::Delivered { .. }
            | Record::JoinAcked { .. }
            | Record::JoinSent { .. }
            | Record::LeaveAcked { .. }
            | Record::LeaveSent { .. }
            | Record::Refused { .. }
            | Record::Sent { .. }
            | Record::SwitchAcked { .. }
            | Record::SwitchSent { .. } => {}
            Record::Foreign { .. } => self.verdict.foreign += 1,
        }
    }

    /// Takes the next step of the engine's own order; see [`Accepted`] for which to pass.
    pub fn witness(&mut self, _at_us: u64, _step: &Accepted) {}

    /// Judges what is left, when nothing more will arrive.
    ///
    /// If the run is cut short while messages are under way, record every
    /// client's `Disconnected` first: nothing is then called lost that was not.
    pub fn finish(self, _at_us: u64) -> Verdict {
        self.verdict
    }

    fn client(&mut self, client: ClientId) -> &mut Client {
        let index = client.0 as usize;
        if index >= self.clients.len() {
            self.clients.resize_with(index + 1, Client::default);
        }
        &mut self.clients[index]
    }
}
