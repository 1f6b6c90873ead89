//! How things stand between two deeds: who is where, and nothing else.

use super::{CLIENTS, Deed, Outcome, ROOMS, ROOMS_MAX, Target, Way};

/// Of each room something.
type ByRoom<T> = [T; ROOMS.len()];

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    clients: [Client; CLIENTS],
    /// How many connections there were: the newest has this number less one.
    connections: usize,
    /// The numbered messages of each room since it was last unused.
    counts: ByRoom<u64>,
    /// Sessions that nobody will come back to: their clients have come as somebody else.
    abandoned: usize,
    /// How many of those were in each room.
    held: ByRoom<usize>,
    /// Which deed ended the last tick.
    tick: usize,
}

/// How one client stands.
#[derive(Clone, Copy, Debug, Default)]
enum Client {
    /// It has not come yet, or has gone for good.
    #[default]
    Absent,
    /// Its connection broke: it may come back as who it was.
    Lost(Lost),
    /// It is connected.
    Present(Present),
}

/// A client that may come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// Which deed was its loss.
    pub(super) at: usize,
    number: usize,
    is_in: ByRoom<bool>,
}

/// A client that is connected.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    /// Of its connection.
    number: usize,
    is_in: ByRoom<bool>,
    /// By which deed it began to watch.
    watches_since: ByRoom<Option<usize>>,
}

impl Present {
    fn rooms(&self) -> usize {
        self.is_in.iter().filter(|&&is_in| is_in).count()
    }
}

/// What can be seen in a scene.
impl Scene {
    fn present(&self, client: usize) -> Option<&Present> {
        match &self.clients[client] {
            Client::Present(present) => Some(present),
            Client::Absent | Client::Lost(_) => None,
        }
    }

    /// The client, if it may come back as who it was.
    pub(super) fn lost(&self, client: usize) -> Option<&Lost> {
        match &self.clients[client] {
            Client::Lost(lost) => Some(lost),
            Client::Absent | Client::Present(_) => None,
        }
    }

    pub(super) fn is_connected(&self, client: usize) -> bool {
        self.present(client).is_some()
    }

    fn is_member(&self, client: usize, room: usize) -> bool {
        self.present(client).is_some_and(|present| present.is_in[room])
    }

    fn members(&self, room: usize) -> impl Iterator<Item = usize> {
        (0..CLIENTS).filter(move |&client| self.is_member(client, room))
    }

    /// By which deed a client began to watch a room, if it does.
    pub(super) fn watches_since(&self, client: usize, room: usize) -> Option<usize> {
        self.present(client)?.watches_since[room]
    }

    /// Which deed ended the last tick.
    pub(super) fn tick(&self) -> usize {
        self.tick
    }

    /// How many sessions wait for their clients: some have come as somebody else.
    pub(super) fn waiting(&self) -> usize {
        self.abandoned + (0..CLIENTS).filter(|&client| self.lost(client).is_some()).count()
    }

    /// Whether somebody is in a room, or watches it, or was in it and may come back.
    pub(super) fn is_used(&self, room: usize) -> bool {
        self.held[room] > 0
            || self.clients.iter().any(|client| match client {
                Client::Absent => false,
                Client::Lost(lost) => lost.is_in[room],
                Client::Present(here) => here.is_in[room] || here.watches_since[room].is_some(),
            })
    }

    /// Whether `client`, who is connected, is among those who are meant.
    pub(super) fn means(&self, client: usize, targets: &[Target], except: &[Target]) -> bool {
        let is_one = |targets: &[Target]| {
            targets.iter().any(|&target| match target {
                Target::Room(room) => self.is_member(client, room),
                Target::Socket(one) => one == client,
            })
        };
        (targets.is_empty() || is_one(targets)) && !is_one(except)
    }

    /// Who has come into a room (true) in a later scene, and who has gone, by connection
    /// numbers.
    pub(super) fn changes(&self, later: &Self, room: usize) -> impl Iterator<Item = (bool, usize)> {
        let number = move |scene: &Self, client| {
            let present = scene.present(client).filter(|present| present.is_in[room]);
            present.map(|present| present.number)
        };
        (0..CLIENTS).filter_map(move |client| match (number(self, client), number(later, client)) {
            (None, Some(number)) => Some((true, number)),
            (Some(number), None) => Some((false, number)),
            (None, None) | (Some(_), Some(_)) => None,
        })
    }
}

/// How a deed turns out.
impl Scene {
    pub(super) fn outcome(&self, deed: &Deed) -> Outcome {
        match *deed {
            Deed::Broadcast { ref targets, stamped, .. } => {
                self.broadcast_outcome(targets, stamped)
            }
            Deed::Connect(_) | Deed::Disconnect(..) | Deed::EndTick | Deed::Return(_) => {
                Outcome::None
            }
            Deed::Join(client, room) => self.join_outcome(client, room, None),
            Deed::Leave(client, room) => Outcome::Left(self.is_member(client, room)),
            Deed::Switch(client, from, to) => self.join_outcome(client, to, Some(from)),
            Deed::Unwatch(client, room) => {
                Outcome::Left(self.watches_since(client, room).is_some())
            }
            Deed::Watch(client, room) => self.watch_outcome(client, room),
        }
    }

    /// Who has gone may still speak: its last handlers do.
    fn broadcast_outcome(&self, targets: &[Target], stamped: bool) -> Outcome {
        match *targets {
            [Target::Room(room)] if stamped => match self.members(room).next() {
                Some(_) => Outcome::Accepted(Some(self.counts[room] + 1)),
                None => Outcome::Gone,
            },
            _ => Outcome::Accepted(None),
        }
    }

    /// Who leaves a room by the same deed has a place more.
    fn join_outcome(&self, client: usize, room: usize, leaves: Option<usize>) -> Outcome {
        let Some(present) = self.present(client) else { return Outcome::Gone };
        let mut after = *present;
        if let Some(left) = leaves {
            after.is_in[left] = false;
        }
        after.is_in[room] = true;
        if !present.is_in[room] && after.rooms() > ROOMS_MAX {
            return Outcome::TooMany;
        }
        Outcome::Members(self.members(room).filter(|&other| other != client).count() + 1)
    }

    fn watch_outcome(&self, client: usize, room: usize) -> Outcome {
        let Some(present) = self.present(client) else { return Outcome::Gone };
        let watched = present.watches_since.iter().flatten().count();
        if present.watches_since[room].is_none() && watched >= ROOMS_MAX {
            return Outcome::TooMany;
        }
        let members = self.members(room).filter_map(|member| self.present(member));
        Outcome::Watching(members.map(|member| member.number).collect())
    }
}

/// What a deed changes.
impl Scene {
    /// The scene after the deed with this number.
    pub(super) fn after(&self, deed: &Deed, outcome: &Outcome, at: usize) -> Self {
        let mut next = self.clone();
        match *deed {
            Deed::Broadcast { ref targets, .. } => next.count(targets, outcome),
            Deed::Connect(client) => next.connect(client),
            Deed::Disconnect(client, way) => next.disconnect(client, way, at),
            Deed::EndTick => next.tick = at,
            Deed::Join(client, room) => next.change(client, outcome, |it| it.is_in[room] = true),
            Deed::Leave(client, room) => next.change(client, outcome, |it| it.is_in[room] = false),
            Deed::Return(client) => next.come_back(client),
            Deed::Switch(client, from, to) => next.change(client, outcome, |it| {
                it.is_in[from] = false;
                it.is_in[to] = true;
            }),
            Deed::Unwatch(client, room) => {
                next.change(client, outcome, |it| it.watches_since[room] = None);
            }
            Deed::Watch(client, room) => {
                next.change(client, outcome, |it| it.watches_since[room] = Some(at));
            }
        }
        next.forget_unused();
        next
    }

    /// What a client that is connected does, if it may.
    fn change(&mut self, client: usize, outcome: &Outcome, does: impl FnOnce(&mut Present)) {
        if let Client::Present(present) = &mut self.clients[client]
            && *outcome != Outcome::TooMany
        {
            does(present);
        }
    }

    /// Numbers are of the room's own, and go with it.
    fn forget_unused(&mut self) {
        for room in 0..ROOMS.len() {
            if !self.is_used(room) {
                self.counts[room] = 0;
            }
        }
    }

    fn count(&mut self, targets: &[Target], outcome: &Outcome) {
        if let ([Target::Room(room)], Outcome::Accepted(Some(number))) = (targets, outcome) {
            self.counts[*room] = *number;
        }
    }

    fn connect(&mut self, client: usize) {
        if let Client::Lost(lost) = self.clients[client] {
            self.abandoned += 1;
            for (held, is_in) in self.held.iter_mut().zip(lost.is_in) {
                *held += usize::from(is_in);
            }
        }
        let number = self.connections;
        self.connections += 1;
        self.clients[client] = Client::Present(Present { number, ..Present::default() });
    }

    fn disconnect(&mut self, client: usize, way: Way, at: usize) {
        let Some(&Present { number, is_in, .. }) = self.present(client) else { return };
        self.clients[client] = match way {
            Way::Left | Way::PutOut => Client::Absent,
            Way::Lost => Client::Lost(Lost { at, number, is_in }),
        };
    }

    /// It is in its rooms again, but watches none.
    fn come_back(&mut self, client: usize) {
        let Some(&Lost { number, is_in, .. }) = self.lost(client) else { return };
        self.clients[client] =
            Client::Present(Present { number, is_in, watches_since: [None; ROOMS.len()] });
    }
}
