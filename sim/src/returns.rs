//! Which ends of a history are only interruptions, because the same socket lives again.
//!
//! A client says so by [`Event::Recovered`]. The engine's own order has the end of every
//! connection, and if the session goes on with another one, the same id connects again.

use std::collections::BTreeSet;

use crate::history::{Event, History, Order};

/// The rows of a history at which something ends that goes on later.
#[derive(Debug, Default)]
pub(crate) struct Returns(BTreeSet<usize>);

impl Returns {
    /// Looks a history through from its end.
    pub(crate) fn of(history: &History) -> Self {
        let mut rows = BTreeSet::new();
        let (mut clients, mut engine) = (BTreeSet::new(), BTreeSet::new());
        for (row, entry) in history.entries().iter().enumerate().rev() {
            let is_interruption = match Turn::of(&entry.event) {
                None => false,
                Some(Turn::Back(socket)) => {
                    clients.insert(socket);
                    false
                }
                Some(Turn::Connect(sid)) => {
                    engine.insert(sid);
                    false
                }
                Some(Turn::Disconnect(sid)) => engine.remove(sid),
                Some(Turn::Off(socket)) => clients.remove(&socket),
            };
            if is_interruption {
                rows.insert(row);
            }
        }
        Self(rows)
    }

    /// Whether the end at this row is only an interruption.
    pub(crate) fn is_interruption(&self, row: usize) -> bool {
        self.0.contains(&row)
    }
}

/// What ends, or begins again.
enum Turn<'a> {
    Back(crate::history::SocketId),
    Connect(&'a str),
    Disconnect(&'a str),
    Off(crate::history::SocketId),
}

impl<'a> Turn<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        if let Event::Ended { socket, .. } = event {
            Some(Self::Off(*socket))
        } else if let Event::Recovered { socket, .. } = event {
            Some(Self::Back(*socket))
        } else if let Event::Witnessed { order: Order::Connect { sid } } = event {
            Some(Self::Connect(sid))
        } else if let Event::Witnessed { order: Order::Disconnect { sid } } = event {
            Some(Self::Disconnect(sid))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SocketId;

    #[test]
    fn an_end_is_an_interruption_if_the_same_comes_again() {
        let ended = |socket| Event::Ended { socket: SocketId(socket), reason: String::new() };
        let recovered = |socket| Event::Recovered { socket: SocketId(socket), client: 0 };
        let connect = |sid: &str| Order::Connect { sid: sid.to_owned() };
        let disconnect = |sid: &str| Order::Disconnect { sid: sid.to_owned() };
        let step = |order| Event::Witnessed { order };
        let events = [
            (step(connect("x")), false),
            (ended(0), true),
            (ended(1), false),
            (step(disconnect("x")), true),
            (step(disconnect("y")), false),
            (step(connect("x")), false),
            (recovered(0), false),
            (ended(0), false),
            (step(disconnect("x")), false),
        ];
        let mut history = History::default();
        events.iter().for_each(|(event, _)| history.push(0, event.clone()));
        let returns = Returns::of(&history);
        for (row, (event, expected)) in events.iter().enumerate() {
            assert_eq!(returns.is_interruption(row), *expected, "{event:?}");
        }
    }
}
