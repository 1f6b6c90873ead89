//! A slow, obvious model of one namespace: the second opinion on the pure hub.
//!
//! It keeps nothing but the list of what was done, and answers every question by
//! reading that list from the start, so it has no state to get wrong. It says which
//! events each client hears at each deed, word for word, and how the deed turned out.

use std::collections::BTreeSet;

/// Clients of the model; few, so that histories collide.
pub const CLIENTS: usize = 4;

/// Rooms of the model.
pub const ROOMS: [&str; 3] = ["a", "b", "ab"];

/// Rooms a client may be in, and as many it may watch: one fewer than there are.
pub const ROOMS_MAX: usize = 2;

/// Something done to a namespace. Clients and rooms are indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A message to the union of `targets` less the union of `except`; to everybody if
    /// there are no targets. From the server itself if there is no sender.
    Broadcast {
        /// Who speaks.
        from: Option<usize>,
        /// Who is meant.
        targets: Vec<Target>,
        /// Who is left out.
        except: Vec<Target>,
        /// Whether it gets the number of its (then only) room.
        stamped: bool,
    },
    /// A client connects.
    Connect(usize),
    /// A client goes, or is put out.
    Disconnect(usize, Way),
    /// A tick ends.
    EndTick,
    /// A client joins a room.
    Join(usize, usize),
    /// A client leaves a room.
    Leave(usize, usize),
    /// A client whose connection broke comes back as who it was.
    Return(usize),
    /// A client leaves one room and joins another.
    Switch(usize, usize, usize),
    /// A client watches a room no longer.
    Unwatch(usize, usize),
    /// A client watches a room.
    Watch(usize, usize),
}

/// Who is meant by a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whoever is in a room.
    Room(usize),
    /// One client, by the id of its socket.
    Socket(usize),
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It leaves the namespace; its connection stays.
    Left,
    /// Its connection breaks.
    Lost,
    /// The server puts it out of the namespace.
    PutOut,
}

/// An event that one client hears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard {
    /// Who.
    pub client: usize,
    /// What: name and argument.
    pub words: Words,
}

/// What is heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Words {
    /// A broadcast, and its number in its room.
    Message(Option<u64>),
    /// Joins (true) and leaves of a room, by connection numbers.
    Presence(usize, Vec<(bool, usize)>),
}

/// How a deed turned out for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broadcast has its place, and perhaps a number.
    Accepted(Option<u64>),
    /// Whoever asked is not connected, or the room is empty.
    Gone,
    /// Whether it was there at all.
    Left(bool),
    /// How many are in the room then.
    Members(usize),
    /// Nobody asked.
    None,
    /// It is in as many rooms as it may be.
    TooMany,
    /// Who is in the room, by connection numbers, sorted.
    Watching(BTreeSet<usize>),
}

/// The past.
#[derive(Clone, Debug, Default)]
pub struct Model {
    past: Vec<Deed>,
}

impl Model {
    /// Adds a deed to the past.
    pub fn apply(&mut self, deed: Deed) {
        self.past.push(deed);
    }

    /// What clients hear of the last deed, sorted.
    pub fn heard(&self) -> Vec<Heard> {
        let Some((last, past)) = self.past.split_last() else { return Vec::new() };
        let before = Past(past);
        let mut heard = match last {
            Deed::Broadcast { from, targets, except, .. } => {
                let Outcome::Accepted(number) = before.outcome(last) else { return Vec::new() };
                let to = before.recipients(*from, targets, except);
                to.map(|client| Heard { client, words: Words::Message(number) }).collect()
            }
            Deed::EndTick => before.notices(),
            Deed::Return(client) => before.missed(*client),
            Deed::Unwatch(client, room) => {
                before.owed(*client, *room).into_iter().collect::<Vec<_>>()
            }
            Deed::Connect(_)
            | Deed::Disconnect(..)
            | Deed::Join(..)
            | Deed::Leave(..)
            | Deed::Switch(..)
            | Deed::Watch(..) => Vec::new(),
        };
        heard.sort();
        heard
    }

    /// How the last deed turned out.
    pub fn outcome(&self) -> Outcome {
        match self.past.split_last() {
            Some((last, past)) => Past(past).outcome(last),
            None => Outcome::None,
        }
    }

    /// Whether a client is connected.
    pub fn is_connected(&self, client: usize) -> bool {
        Past(&self.past).connection(client).is_some()
    }

    /// Whether a client can come back as who it was.
    pub fn may_return(&self, client: usize) -> bool {
        Past(&self.past).may_return(client)
    }

    /// How many sessions wait for their clients.
    pub fn waiting(&self) -> usize {
        Past(&self.past).ghosts().count()
    }

    /// How many connections there were: the newest has this number less one.
    pub fn connections(&self) -> usize {
        Past(&self.past).connections()
    }

    /// How many rooms somebody is in, or may come back to, or watches.
    pub fn rooms(&self) -> usize {
        let now = Past(&self.past);
        let is_used = |room: &usize| now.is_used(*room);
        (0..ROOMS.len()).filter(is_used).count()
    }

    /// How many clients are connected.
    pub fn sockets(&self) -> usize {
        (0..CLIENTS).filter(|&client| self.is_connected(client)).count()
    }
}

/// A past, to be read from the start again and again.
#[derive(Clone, Copy)]
struct Past<'a>(&'a [Deed]);

impl<'a> Past<'a> {
    /// Every deed with the past before it.
    fn moments(self) -> impl DoubleEndedIterator<Item = (Self, &'a Deed)> {
        self.0.iter().enumerate().map(move |(at, deed)| (Self(&self.0[..at]), deed))
    }

    fn connections(self) -> usize {
        self.0.iter().filter(|deed| matches!(deed, Deed::Connect(_))).count()
    }

    /// The number of a client's connection, if it is connected.
    fn connection(self, client: usize) -> Option<usize> {
        match self.last_turn(client)? {
            (past, Deed::Connect(_)) => Some(past.connections()),
            (past, Deed::Return(_)) => past.last_turn(client)?.0.connection(client),
            _ => None,
        }
    }

    /// The last deed by which a client came or went.
    fn last_turn(self, client: usize) -> Option<(Self, &'a Deed)> {
        self.moments().rfind(|(_, deed)| turns(deed) == Some(client))
    }

    fn may_return(self, client: usize) -> bool {
        matches!(self.last_turn(client), Some((_, Deed::Disconnect(_, Way::Lost))))
    }

    /// The moments at which clients were lost that have not come back as who they were: some
    /// have as somebody else.
    fn ghosts(self) -> impl Iterator<Item = (Self, usize)> {
        let lost = self.moments().filter_map(move |(past, deed)| {
            let Deed::Disconnect(client, Way::Lost) = deed else { return None };
            Some((past, *client))
        });
        lost.filter(move |(past, client)| {
            let mut since = self.0[past.0.len() + 1..].iter();
            let next = since.find(|deed| turns(deed) == Some(*client));
            !matches!(next, Some(Deed::Return(_)))
        })
    }

    /// What somebody has missed that comes back now: what was for it as it was when it went.
    fn missed(self, client: usize) -> Vec<Heard> {
        let Some((then, _)) = self.last_turn(client) else { return Vec::new() };
        let is_its = |targets: &[Target]| {
            targets.iter().any(|&target| then.occupants(target).contains(&client))
        };
        let since = self.moments().skip(then.0.len());
        let heard = since.filter_map(|(past, deed)| {
            let Deed::Broadcast { from, targets, except, .. } = deed else { return None };
            let Outcome::Accepted(number) = past.outcome(deed) else { return None };
            let is_meant = (targets.is_empty() || is_its(targets)) && !is_its(except);
            let words = Words::Message(number);
            (is_meant && *from != Some(client)).then_some(Heard { client, words })
        });
        heard.collect()
    }

    fn outcome(self, deed: &Deed) -> Outcome {
        match deed {
            Deed::Broadcast { targets, stamped, .. } => self.broadcast_outcome(targets, *stamped),
            Deed::Connect(_) | Deed::Disconnect(..) | Deed::EndTick | Deed::Return(_) => {
                Outcome::None
            }
            Deed::Join(client, room) => self.join_outcome(*client, *room, None),
            Deed::Leave(client, room) => Outcome::Left(self.is_member(*client, *room)),
            Deed::Switch(client, from, to) => self.join_outcome(*client, *to, Some(*from)),
            Deed::Unwatch(client, room) => {
                Outcome::Left(self.watches_since(*client, *room).is_some())
            }
            Deed::Watch(client, room) => self.watch_outcome(*client, *room),
        }
    }

    /// Who has gone may still speak: its last handlers do.
    fn broadcast_outcome(self, targets: &[Target], stamped: bool) -> Outcome {
        match targets {
            [Target::Room(room)] if stamped && self.members(*room).is_empty() => Outcome::Gone,
            [Target::Room(room)] if stamped => Outcome::Accepted(Some(self.count(*room) + 1)),
            _ => Outcome::Accepted(None),
        }
    }

    fn join_outcome(self, client: usize, room: usize, leaves: Option<usize>) -> Outcome {
        if self.connection(client).is_none() {
            return Outcome::Gone;
        }
        let mut after = self.rooms_of(client);
        after.retain(|&other| Some(other) != leaves);
        after.insert(room);
        if !self.is_member(client, room) && after.len() > ROOMS_MAX {
            return Outcome::TooMany;
        }
        let others = self.members(room).into_iter().filter(|&other| other != client);
        Outcome::Members(others.count() + 1)
    }

    fn watch_outcome(self, client: usize, room: usize) -> Outcome {
        if self.connection(client).is_none() {
            return Outcome::Gone;
        }
        let watched = |room: &usize| self.watches_since(client, *room).is_some();
        if !watched(&room) && (0..ROOMS.len()).filter(watched).count() >= ROOMS_MAX {
            return Outcome::TooMany;
        }
        let number = |client| self.connection(client).expect("members are connected");
        Outcome::Watching(self.members(room).into_iter().map(number).collect())
    }

    /// Whether a client is in a room: the last deed about it says so.
    fn is_member(self, client: usize, room: usize) -> bool {
        let said = self.moments().rev().find_map(|(past, deed)| {
            let is_in = || matches!(past.outcome(deed), Outcome::Members(_));
            match *deed {
                Deed::Connect(who) | Deed::Disconnect(who, _) => (who == client).then_some(false),
                Deed::Return(who) => {
                    let then = past.last_turn(client).map(|(then, _)| then);
                    (who == client).then(|| then.is_some_and(|then| then.is_member(client, room)))
                }
                Deed::Leave(who, left) => ((who, left) == (client, room)).then_some(false),
                Deed::Join(who, joined) => {
                    ((who, joined) == (client, room) && is_in()).then_some(true)
                }
                Deed::Switch(who, from, to) => {
                    let is_about = who == client && (from == room || to == room) && is_in();
                    is_about.then_some(to == room)
                }
                Deed::Broadcast { .. } | Deed::EndTick | Deed::Unwatch(..) | Deed::Watch(..) => {
                    None
                }
            }
        });
        said.unwrap_or(false)
    }

    fn members(self, room: usize) -> BTreeSet<usize> {
        (0..CLIENTS).filter(|&client| self.is_member(client, room)).collect()
    }

    fn rooms_of(self, client: usize) -> BTreeSet<usize> {
        (0..ROOMS.len()).filter(|&room| self.is_member(client, room)).collect()
    }

    /// The numbered messages of a room since it was last unused.
    fn count(self, room: usize) -> u64 {
        let mut count = 0;
        for (past, deed) in self.moments().rev() {
            if let Deed::Broadcast { targets, stamped: true, .. } = deed
                && **targets == [Target::Room(room)]
                && past.broadcast_outcome(targets, true) != Outcome::Gone
            {
                count += 1;
            }
            if !past.is_used(room) {
                break;
            }
        }
        count
    }

    fn occupants(self, target: Target) -> BTreeSet<usize> {
        match target {
            Target::Room(room) => self.members(room),
            Target::Socket(client) => {
                self.connection(client).is_some().then_some(client).into_iter().collect()
            }
        }
    }

    fn recipients(
        self,
        from: Option<usize>,
        targets: &[Target],
        except: &[Target],
    ) -> impl Iterator<Item = usize> {
        let is_in = move |client: usize, targets: &[Target]| {
            targets.iter().any(|&target| self.occupants(target).contains(&client))
        };
        (0..CLIENTS).filter(move |&client| {
            self.connection(client).is_some()
                && Some(client) != from
                && (targets.is_empty() || is_in(client, targets))
                && !is_in(client, except)
        })
    }

    /// How long the past was when a client began to watch a room, if it still does.
    fn watches_since(self, client: usize, room: usize) -> Option<usize> {
        let said = self.moments().rev().find_map(|(past, deed)| match *deed {
            Deed::Connect(who) | Deed::Disconnect(who, _) | Deed::Return(who) => {
                (who == client).then_some(None)
            }
            Deed::Unwatch(who, of) => ((who, of) == (client, room)).then_some(None),
            Deed::Watch(who, of) => {
                let began = matches!(past.outcome(deed), Outcome::Watching(_));
                ((who, of) == (client, room) && began).then_some(Some(past.0.len()))
            }
            Deed::Broadcast { .. }
            | Deed::EndTick
            | Deed::Join(..)
            | Deed::Leave(..)
            | Deed::Switch(..) => None,
        });
        said.flatten()
    }

    fn is_watched(self, room: usize) -> bool {
        (0..CLIENTS).any(|client| self.watches_since(client, room).is_some())
    }

    fn is_used(self, room: usize) -> bool {
        !self.members(room).is_empty()
            || self.is_watched(room)
            || self.ghosts().any(|(then, client)| then.is_member(client, room))
    }

    /// What a client is owed of a room it watches: the changes since it began to
    /// watch, or since the last tick ended.
    fn owed(self, client: usize, room: usize) -> Option<Heard> {
        let began = self.watches_since(client, room)?;
        let tick = self.0.iter().rposition(|deed| *deed == Deed::EndTick).unwrap_or(0);
        let changes: Vec<(bool, usize)> = self
            .moments()
            .skip(began.max(tick))
            .flat_map(|(past, deed)| past.changes(room, deed))
            .collect();
        let words = Words::Presence(room, changes.clone());
        (!changes.is_empty()).then_some(Heard { client, words })
    }

    fn notices(self) -> Vec<Heard> {
        let pairs =
            (0..CLIENTS).flat_map(|client| (0..ROOMS.len()).map(move |room| (client, room)));
        pairs.filter_map(|(client, room)| self.owed(client, room)).collect()
    }

    /// Who comes into a room and who goes by a deed, by connection numbers.
    fn changes(self, room: usize, deed: &Deed) -> Vec<(bool, usize)> {
        let number = |client| self.connection(client).expect("members are connected");
        let goes = |client| self.is_member(client, room).then(|| (false, number(client)));
        let comes = |client| (!self.is_member(client, room)).then(|| (true, number(client)));
        let is_in = || matches!(self.outcome(deed), Outcome::Members(_));
        let change = match *deed {
            Deed::Disconnect(client, _) => goes(client),
            Deed::Return(client) => {
                let then = self.last_turn(client).map(|(then, _)| then);
                let then = then.filter(|then| then.is_member(client, room));
                then.and_then(|then| then.connection(client)).map(|number| (true, number))
            }
            Deed::Leave(client, left) => (left == room).then(|| goes(client)).flatten(),
            Deed::Join(client, joined) => {
                (joined == room && is_in()).then(|| comes(client)).flatten()
            }
            Deed::Switch(client, _, to) if to == room && is_in() => comes(client),
            Deed::Switch(client, from, _) if from == room && is_in() => goes(client),
            Deed::Switch(..)
            | Deed::Broadcast { .. }
            | Deed::Connect(_)
            | Deed::EndTick
            | Deed::Unwatch(..)
            | Deed::Watch(..) => None,
        };
        change.into_iter().collect()
    }
}

/// Who comes or goes by a deed.
fn turns(deed: &Deed) -> Option<usize> {
    match deed {
        Deed::Connect(client) | Deed::Disconnect(client, _) | Deed::Return(client) => Some(*client),
        Deed::Broadcast { .. }
        | Deed::EndTick
        | Deed::Join(..)
        | Deed::Leave(..)
        | Deed::Switch(..)
        | Deed::Unwatch(..)
        | Deed::Watch(..) => None,
    }
}
