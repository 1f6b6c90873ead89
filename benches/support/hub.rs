//! A hub with sockets, without anything around it.

use std::time::Instant;

use parlor::Limits;
use parlor::hub::{
    Action, Actions, ConnId, Event, Hub, NamespaceId, Notification, Opening, Place, SocketId,
};
use parlor::room::ShardId;
use parlor::shard::Ids;

/// A hub with one namespace, in which so many sockets are connected. What it did
/// meanwhile goes through `actions`, as with a hub's owner, and is left there.
pub(crate) fn hub_with_sockets(
    count: u32,
    now: Instant,
    actions: &mut Actions,
) -> (Hub, Vec<SocketId>) {
    let ids = Box::new(Ids::new([1; 32], ShardId(0)));
    let mut hub = Hub::new(Place::ALONE, Limits::default(), &["/"], ids, false, now);
    let mut sockets = Vec::new();
    for index in 0..count {
        let conn = ConnId { index, generation: 1 };
        hub.open(conn, Opening::default(), now, actions);
        hub.handle(Event::Text { conn, text: "40" }, now, actions);
        let (namespace, attempt) = (NamespaceId::registered(0), 1);
        actions.clear();
        hub.handle(Event::Admit { conn, namespace, attempt }, now, actions);
        let connected = actions.list.drain(..).find_map(|action| {
            let Action::Notify(_, Notification::Connected { socket, .. }) = action else {
                return None;
            };
            Some(socket)
        });
        sockets.push(connected.expect("it is let in"));
    }
    (hub, sockets)
}
