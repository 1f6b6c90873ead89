//! What clients alone can tell of a recovered socket.
//!
//! The checkers take it for one client over all its connections, and so they see what is
//! missing, doubled or out of order over an interruption, without the witness, wherever
//! clients can decide it. Here such a violation gets the name of the promise that it breaks.

use std::collections::BTreeMap;

use parlor::check::Guarantee;

use crate::history::{Event, History, MessageId, SocketId};
use crate::judge::Failure;
use crate::promise::RECOVERY_EXACT;
use crate::returns::Returns;

/// What an interrupted stream can break.
const STREAM: [Guarantee; 4] = [
    Guarantee::JoinThenHear,
    Guarantee::NoDuplicate,
    Guarantee::RoomTotalOrder,
    Guarantee::SenderFifo,
];

/// When sockets were away that came back, and when messages were sent.
#[derive(Debug, Default)]
pub(crate) struct Interruptions {
    away: BTreeMap<SocketId, Vec<(u64, u64)>>,
    sent_us: BTreeMap<MessageId, u64>,
}

impl Interruptions {
    pub(crate) fn of(history: &History, returns: &Returns) -> Self {
        let mut interruptions = Self::default();
        for (row, entry) in history.entries().iter().enumerate() {
            let at_us = entry.at_us;
            if let Event::Ended { socket, .. } = &entry.event
                && returns.is_interruption(row)
            {
                interruptions.away.entry(*socket).or_default().push((at_us, at_us));
            } else if let Event::Recovered { socket, .. } = &entry.event
                && let Some(last) = interruptions.away.get_mut(socket).and_then(|it| it.last_mut())
            {
                last.1 = at_us;
            } else if let Event::Sent { message, .. } = &entry.event {
                interruptions.sent_us.insert(*message, at_us);
            }
        }
        interruptions
    }

    /// The failure, named for the recovery of its `sufferer` if that has to do with it: the
    /// message was on its way before one was over, and what is wrong shows after it began.
    pub(crate) fn named(&self, failure: Failure, sufferer: SocketId) -> Failure {
        let is_of_stream = STREAM.iter().any(|it| it.name() == failure.guarantee);
        let sent = failure.messages.iter().filter_map(|message| self.sent_us.get(message)).min();
        let Some(sent_us) = sent.filter(|_| is_of_stream) else { return failure };
        let away = self.away.get(&sufferer).into_iter().flatten();
        let spans =
            |&&(from_us, to_us): &&(u64, u64)| *sent_us <= to_us && from_us <= failure.at_us;
        if away.filter(spans).count() == 0 {
            return failure;
        }
        let sentence = format!("over an interruption: {}", failure.sentence);
        Failure { guarantee: RECOVERY_EXACT.to_owned(), sentence, ..failure }
    }
}
