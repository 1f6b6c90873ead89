//! The guarantee `namespace_isolation`, as far as it is about who is there: a client that
//! leaves one namespace has left no other. That no message crosses is judged with the
//! [rooms](crate::judge), whose names have a meaning only in their namespaces.

use std::collections::{BTreeMap, BTreeSet};

use parlor::Reason;

use crate::history::{Event, History, SocketId};
use crate::judge::Failure;
use crate::promise::NAMESPACE_ISOLATION;

/// Judges whose leaving the server says it was.
pub fn check(history: &History) -> Vec<Failure> {
    let sockets: BTreeMap<&str, (SocketId, u32)> =
        history.connections().map(|it| (it.sid, (it.socket, it.client))).collect();
    let mut living = BTreeSet::new();
    let mut failures = Vec::new();
    for entry in history.until_settled() {
        if let Event::Connected { socket, .. } | Event::Recovered { socket, .. } = &entry.event {
            living.insert(*socket);
        } else if let Event::Ended { socket, .. } = &entry.event {
            living.remove(socket);
        } else if let Event::GivenUp { sid, reason } = &entry.event
            && *reason == Reason::ClientNamespaceDisconnect.name()
            && let Some(&(socket, client)) = sockets.get(sid.as_str())
            && living.contains(&socket)
        {
            let sentence =
                format!("the server takes client {client} for gone, which never said so");
            let failure = Failure::new(NAMESPACE_ISOLATION, sentence, entry.at_us, [socket]);
            failures.push(Failure { needs_witness: true, ..failure });
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::LEFT_NAMESPACE;

    fn history(has_left: bool) -> History {
        let (socket, sid) = (SocketId(0), "sid".to_owned());
        let mut history = History::default();
        let server = "start-1".to_owned();
        history.push(0, Event::Connected { socket, client: 3, sid: sid.clone(), server });
        if has_left {
            history.push(1, Event::Ended { socket, reason: LEFT_NAMESPACE.to_owned() });
        }
        history.push(
            2,
            Event::GivenUp { sid, reason: Reason::ClientNamespaceDisconnect.name().to_owned() },
        );
        history
    }

    #[test]
    fn who_left_has_gone() {
        assert_eq!(check(&history(true)), []);
    }

    #[test]
    fn who_left_another_namespace_has_not_gone() {
        let failures = check(&history(false));
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].guarantee, NAMESPACE_ISOLATION);
    }
}
