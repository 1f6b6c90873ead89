//! What happens to this shard's sockets, kept for whoever watches the server.
//!
//! The hub tells it only while somebody does. It is kept within bounds: what
//! comes when these are reached is lost, and counted, so that who watches knows
//! that it has to look at everything anew.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use super::{Core, State};
use crate::hub::{ConnId, Hub, NamespaceId, Sight, Sighting};
use crate::shard::{Handshake, Transport};

/// Sightings that may wait for who watches.
const SIGHTINGS_MAX: usize = 4096;

/// What they may hold.
const SIGHTING_BYTES_MAX: usize = 4 << 20;

/// What whoever watches the server has not seen yet.
#[derive(Debug, Default)]
pub(super) struct Seen {
    queue: VecDeque<(Sighting, Option<Client>)>,
    bytes: usize,
    lost: u64,
    watcher: Option<Waker>,
}

/// What has happened, in this order, and what there was no room for.
#[derive(Debug, Default)]
pub struct Sightings {
    /// With whom each connection is, if one has begun or changed.
    pub list: Vec<(Sighting, Option<Client>)>,
    /// How many are missing behind these.
    pub lost: u64,
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Names it within the server: twelve characters, of which nothing secret can be learned.
    pub id: String,
    /// The transport that it has now.
    pub transport: Transport,
    /// How it began, if that is kept.
    pub handshake: Option<Handshake>,
}

impl Seen {
    fn push(&mut self, sighting: Sighting, client: Option<Client>) {
        let bytes = sighting.bytes();
        // In order: nothing is seen behind a gap before the gap has been seen.
        let is_full = self.queue.len() == SIGHTINGS_MAX || self.bytes + bytes > SIGHTING_BYTES_MAX;
        if self.lost > 0 || is_full {
            self.lost += 1;
        } else {
            self.bytes += bytes;
            self.queue.push_back((sighting, client));
        }
        self.watcher.take().into_iter().for_each(Waker::wake);
    }

    fn take(&mut self, count: usize) -> Sightings {
        let count = count.min(self.queue.len());
        let list: Vec<_> = self.queue.drain(..count).collect();
        self.bytes -= list.iter().map(|(sighting, _)| sighting.bytes()).sum::<usize>();
        let lost = if self.queue.is_empty() { std::mem::take(&mut self.lost) } else { 0 };
        Sightings { list, lost }
    }
}

impl State {
    pub(super) fn note_seen(&mut self, sighting: Sighting) {
        let client = match sighting.sight {
            Sight::Connected { conn, .. } => Some(self.client(conn)),
            Sight::Data(_)
            | Sight::Disconnected { .. }
            | Sight::Joined(_)
            | Sight::Left(_)
            | Sight::Received(_)
            | Sight::Sent(..)
            | Sight::Upgraded => None,
        };
        self.seen.push(sighting, client);
    }

    fn client(&mut self, conn: ConnId) -> Client {
        let (handshake, upgraded) = match self.slot(conn) {
            Some(slot) => (slot.handshake.clone(), slot.upgraded),
            None => (None, false),
        };
        let began = handshake.as_ref().map(Handshake::transport);
        let is_polling = began == Some(Transport::Polling) && !upgraded;
        let transport = if is_polling { Transport::Polling } else { Transport::WebSocket };
        Client { id: self.hub.client_id(conn), transport, handshake }
    }
}

impl Core {
    /// Tells who waits in [`poll_sightings`](Self::poll_sightings) of what
    /// happens from here on, or of nothing any more. Nothing is told of the
    /// events in the namespace that is given.
    pub fn set_sighted(&self, sighted: Option<NamespaceId>) {
        let mut state = self.state.borrow_mut();
        state.hub.set_sighted(sighted);
        if sighted.is_none() {
            let kept = state.seen.watcher.take();
            state.seen = Seen { watcher: kept, ..Seen::default() };
        }
    }

    /// What has happened since the last time, at most so much; pending if nothing has.
    pub fn poll_sightings(&self, count: usize, cx: &Context<'_>) -> Poll<Sightings> {
        let seen = &mut self.state.borrow_mut().seen;
        if seen.queue.is_empty() && seen.lost == 0 {
            seen.watcher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(seen.take(count))
    }

    /// The client of a connection.
    pub fn client(&self, conn: ConnId) -> Client {
        self.state.borrow_mut().client(conn)
    }

    /// Every socket of this shard that is connected, as if it had connected just now.
    pub fn sightings_now(&self) -> Vec<(Sighting, Client)> {
        let sockets: Vec<_> = self.read(|hub| {
            let of = |conn| hub.sockets_of(conn).into_iter().map(move |socket| (conn, socket));
            hub.connections().into_iter().flat_map(of).collect()
        });
        let sighting = |(conn, socket)| {
            let sighting = self.read(|hub| hub.sighting_now(conn, socket))?;
            Some((sighting, self.client(conn)))
        };
        sockets.into_iter().filter_map(sighting).collect()
    }

    /// A connection has gone over from long-polling to a WebSocket.
    pub fn note_upgrade(&self, conn: ConnId) {
        let mut state = self.state.borrow_mut();
        state.hub.counters.upgraded += 1;
        state.slot(conn).into_iter().for_each(|slot| slot.upgraded = true);
        if state.hub.is_sighted() {
            let sockets = state.hub.sockets_of(conn);
            let sighting = |hub: &Hub, socket| {
                Some(Sighting { sight: Sight::Upgraded, ..hub.sighting_now(conn, socket)? })
            };
            for socket in sockets {
                let upgraded = sighting(&state.hub, socket);
                upgraded.into_iter().for_each(|it| state.seen.push(it, None));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(json: &str) -> Sighting {
        let sight = Sight::Sent(json.into(), Vec::new());
        Sighting { namespace: "/".into(), sockets: Vec::new(), sight }
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_and_counted() {
        for (each, room) in [("", SIGHTINGS_MAX), (&*"x".repeat(1 << 20), 3)] {
            let mut seen = Seen::default();
            for _ in 0..room + 2 {
                seen.push(sent(each), None);
            }
            // Behind a gap comes nothing that would fit, until the gap was seen.
            let Sightings { list, lost } = seen.take(2);
            assert_eq!((list.len(), lost), (2, 0));
            seen.push(sent("small"), None);
            let Sightings { list, lost } = seen.take(usize::MAX);
            assert_eq!((list.len(), lost), (room - 2, 3));
            assert_eq!((seen.bytes, seen.lost), (0, 0));
            seen.push(sent("small"), None);
            assert_eq!(seen.take(usize::MAX).list.len(), 1);
        }
    }
}
