//! Who wants to hear of a room's joins and leaves, and what they are owed.

use super::{Sid, SocketKey};

/// A join or a leave, whatever ended the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The socket with this id came.
    Join(Sid),
    /// The socket with this id went.
    Leave(Sid),
}

/// The changes of one room in one tick, for watchers who are owed the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Who is to be told.
    pub watchers: &'a [SocketKey],
    /// What, in the namespace's order.
    pub changes: &'a [Change],
}

/// The watchers of one room, and its changes since the last notice.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Those who are owed all changes of this tick.
    watchers: Vec<SocketKey>,
    /// Those who began to watch in this tick, each with the number of changes that its list has in it already.
    fresh: Vec<(SocketKey, usize)>,
    changes: Vec<Change>,
}

impl Presence {
    pub(super) fn watch(&mut self, socket: SocketKey) {
        // Watching again starts again: the new list holds what the old notices said.
        self.unwatch(socket);
        if self.changes.is_empty() {
            self.watchers.push(socket);
        } else {
            self.fresh.push((socket, self.changes.len()));
        }
    }

    /// Ends a watch; returns what the watcher is owed up to here.
    pub(super) fn unwatch(&mut self, socket: SocketKey) -> &[Change] {
        let fresh = self.fresh.iter().position(|&(watcher, _)| watcher == socket);
        if let Some(place) = fresh {
            let (_, seen) = self.fresh.remove(place);
            return &self.changes[seen..];
        }
        let known = self.watchers.iter().position(|&watcher| watcher == socket);
        match known {
            Some(place) => {
                self.watchers.remove(place);
                &self.changes
            }
            None => &[],
        }
    }

    pub(super) fn is_unwatched(&self) -> bool {
        self.watchers.is_empty() && self.fresh.is_empty()
    }

    /// Notes a change; true if it is the first one of this tick.
    pub(super) fn note(&mut self, change: Change) -> bool {
        self.changes.push(change);
        self.changes.len() == 1
    }

    pub(super) fn end_tick(&mut self, mut notice: impl FnMut(Notice<'_>)) {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() && !self.watchers.is_empty() {
            notice(Notice { watchers: &self.watchers, changes: &changes });
        }
        for (watcher, seen) in std::mem::take(&mut self.fresh) {
            if seen < changes.len() {
                notice(Notice { watchers: &[watcher], changes: &changes[seen..] });
            }
            self.watchers.push(watcher);
        }
    }
}
