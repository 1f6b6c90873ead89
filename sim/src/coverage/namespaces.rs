//! Situations in which clients share connections, in namespaces of their own.

use std::collections::BTreeMap;

use crate::history::{Event, History, LEFT_NAMESPACE, MessageId, Order};
use crate::plan::{Namespace, Plan};

use super::{Situation, Times};

/// Counts what concerns more than one namespace.
pub(super) fn count(plan: &Plan, history: &History, times: &mut Times) {
    let mut count = |situation, happens| {
        if happens {
            *times.entry(situation).or_default() += 1;
        }
    };
    // Of each client, when its connection ended and when it began, last.
    let (mut ended, mut begun) = (BTreeMap::new(), BTreeMap::new());
    let mut clients = BTreeMap::new();
    let mut under_way: BTreeMap<MessageId, &str> = BTreeMap::new();
    for entry in history.until_settled() {
        if let Event::Connected { socket, client, .. } | Event::Recovered { socket, client } =
            &entry.event
        {
            clients.insert(*socket, *client);
            begun.insert(*client, entry.at_us);
            let has_come_back = |id: &u32| ended.contains_key(id) && ended.get(id) < begun.get(id);
            let party = || plan.party(plan.host_of(*client)).map(|it| it.id);
            let is_whole = party().count() > 1 && party().all(|id| has_come_back(&id));
            count(Situation::NamespacesComeBack, is_whole);
        } else if let Event::Ended { socket, reason } = &entry.event {
            if let Some(&client) = clients.get(socket) {
                ended.insert(client, entry.at_us);
            }
            count(Situation::NamespaceLeft, reason == LEFT_NAMESPACE);
        } else if let Event::Sent { message, room, .. } = &entry.event {
            let speaks = under_way.values().any(|other| is_twin(room, other));
            count(Situation::TwinRoomsSpeak, speaks);
            under_way.insert(*message, room);
        } else if let Event::Witnessed { order: Order::Broadcast { message: Some(message), .. } } =
            &entry.event
        {
            under_way.remove(message);
        }
    }
}

/// Whether two rooms have one name, in two namespaces.
fn is_twin(one: &str, other: &str) -> bool {
    let pairs = [(one, other), (other, one)];
    pairs.into_iter().any(|(root, side)| side != root && side == Namespace::Side.qualified(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SocketId;
    use crate::swarm::{Profile, generate};

    /// Clients 0 and 1 share a connection.
    fn plan() -> Plan {
        let mut plan = generate(0, &Profile { clients: 2, ..Profile::default() });
        plan.clients[1].over = Some(plan.clients[0].id);
        plan.clients[1].namespace = Namespace::Side;
        plan
    }

    fn times(events: impl IntoIterator<Item = Event>) -> Times {
        let mut history = History::default();
        for (at_us, event) in (0..).zip(events) {
            history.push(at_us, event);
        }
        let mut times = Times::new();
        count(&plan(), &history, &mut times);
        times
    }

    fn connected(socket: u32, client: u32) -> Event {
        let (sid, server) = (socket.to_string(), "start-1".to_owned());
        Event::Connected { socket: SocketId(socket), client, sid, server }
    }

    fn ended(socket: u32, reason: &str) -> Event {
        Event::Ended { socket: SocketId(socket), reason: reason.to_owned() }
    }

    fn sent(by: u32, room: &str) -> Event {
        let (message, room) = (MessageId { by: SocketId(by), number: 1 }, room.to_owned());
        Event::Sent { message, room, attachments: 0, bytes: 1 }
    }

    #[test]
    fn a_connection_that_comes_back_with_both_counts_once() {
        let first = [connected(0, 0), connected(1, 1)];
        assert_eq!(times(first.clone()), Times::new(), "nobody has come back");
        let lost = [ended(0, "lost"), ended(1, "lost"), connected(2, 0)];
        let half = first.into_iter().chain(lost);
        assert_eq!(times(half.clone()), Times::new(), "one has");
        let both = times(half.chain([connected(3, 1)]));
        assert_eq!(both, Times::from([(Situation::NamespacesComeBack, 1)]));
    }

    #[test]
    fn leaving_a_namespace_is_told_from_other_ends() {
        let events = |reason| [connected(0, 0), connected(1, 1), ended(1, reason)];
        assert_eq!(times(events("it left")), Times::new());
        let left = times(events(LEFT_NAMESPACE));
        assert_eq!(left, Times::from([(Situation::NamespaceLeft, 1)]));
    }

    #[test]
    fn rooms_of_one_name_in_two_namespaces_are_twins() {
        let side = |room| Namespace::Side.qualified(room);
        assert_eq!(times([sent(0, "a"), sent(1, "b")]), Times::new());
        assert_eq!(times([sent(0, "a"), sent(1, &side("b"))]), Times::new());
        let twins = times([sent(0, "a"), sent(1, &side("a"))]);
        assert_eq!(twins, Times::from([(Situation::TwinRoomsSpeak, 1)]));
    }
}
