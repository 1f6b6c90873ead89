//! An obvious model of one namespace: the second opinion on the pure hub.
//!
//! It is a film: what was done, deed by deed, and how things stood before and after
//! each, in a [`scene`] that says no more than who is where. A question is answered by
//! looking at scenes: who came into a room is who is in it after a deed and was not
//! before. It says which events each client hears at each deed, word for word, and how
//! the deed turned out. It knows of no shards, frames, queues or memory.

mod draw;
mod scene;

use std::collections::BTreeSet;

use scene::{Lost, Scene};

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

/// The film.
#[derive(Clone, Debug)]
pub struct Model {
    /// What was done, and how it turned out.
    deeds: Vec<(Deed, Outcome)>,
    /// How things stood before each deed, and after the last one.
    scenes: Vec<Scene>,
}

impl Default for Model {
    fn default() -> Self {
        Self { deeds: Vec::new(), scenes: vec![Scene::default()] }
    }
}

impl Model {
    /// Adds a deed.
    pub fn apply(&mut self, deed: Deed) {
        let now = self.now();
        let outcome = now.outcome(&deed);
        let next = now.after(&deed, &outcome, self.deeds.len());
        self.deeds.push((deed, outcome));
        self.scenes.push(next);
    }

    /// Whether a deed can be done now: nobody comes twice, or goes without having come.
    pub fn is_possible(&self, deed: &Deed) -> bool {
        match *deed {
            Deed::Connect(client) => !self.is_connected(client),
            Deed::Disconnect(client, _) => self.is_connected(client),
            Deed::Return(client) => self.now().lost(client).is_some(),
            Deed::Broadcast { .. }
            | Deed::EndTick
            | Deed::Join(..)
            | Deed::Leave(..)
            | Deed::Switch(..)
            | Deed::Unwatch(..)
            | Deed::Watch(..) => true,
        }
    }

    /// What clients hear of the last deed, sorted.
    pub fn heard(&self) -> Vec<Heard> {
        let Some((deed, outcome)) = self.deeds.last() else { return Vec::new() };
        let before = &self.scenes[self.deeds.len() - 1];
        let mut heard = match deed {
            Deed::Broadcast { from, targets, except, .. } => {
                let Outcome::Accepted(number) = outcome else { return Vec::new() };
                let is_meant = |client: &usize| {
                    before.is_connected(*client)
                        && Some(*client) != *from
                        && before.means(*client, targets, except)
                };
                let words = Words::Message(*number);
                let heard = |client| Heard { client, words: words.clone() };
                (0..CLIENTS).filter(is_meant).map(heard).collect()
            }
            Deed::EndTick => self.notices(before),
            Deed::Return(client) => {
                before.lost(*client).map_or(Vec::new(), |lost| self.missed(*client, lost))
            }
            Deed::Unwatch(client, room) => self.owed(before, *client, *room).into_iter().collect(),
            Deed::Connect(_)
            | Deed::Disconnect(..)
            | Deed::Join(..)
            | Deed::Leave(..)
            | Deed::Switch(..)
            | Deed::Watch(..) => Vec::new(),
        };
        heard.sort_unstable();
        heard
    }

    /// How the last deed turned out.
    pub fn outcome(&self) -> &Outcome {
        self.deeds.last().map_or(&Outcome::None, |(_, outcome)| outcome)
    }

    /// Whether a client is connected.
    pub fn is_connected(&self, client: usize) -> bool {
        self.now().is_connected(client)
    }

    /// How many sessions wait for their clients.
    pub fn waiting(&self) -> usize {
        self.now().waiting()
    }

    /// How many rooms somebody is in, or may come back to, or watches.
    pub fn rooms(&self) -> usize {
        (0..ROOMS.len()).filter(|&room| self.now().is_used(room)).count()
    }

    /// How many clients are connected.
    pub fn sockets(&self) -> usize {
        (0..CLIENTS).filter(|&client| self.is_connected(client)).count()
    }

    fn now(&self) -> &Scene {
        self.scenes.last().expect("the first scene is always there")
    }

    /// What somebody has missed that comes back now: what was for it as it was when it went.
    fn missed(&self, client: usize, lost: &Lost) -> Vec<Heard> {
        let then = &self.scenes[lost.at];
        let heard = self.deeds[lost.at..].iter().filter_map(|done| {
            let (Deed::Broadcast { from, targets, except, .. }, Outcome::Accepted(number)) = done
            else {
                return None;
            };
            let is_meant = *from != Some(client) && then.means(client, targets, except);
            is_meant.then_some(Heard { client, words: Words::Message(*number) })
        });
        heard.collect()
    }

    /// What everybody who watches is owed at the end of a tick.
    fn notices(&self, before: &Scene) -> Vec<Heard> {
        let pairs =
            (0..CLIENTS).flat_map(|client| (0..ROOMS.len()).map(move |room| (client, room)));
        pairs.filter_map(|(client, room)| self.owed(before, client, room)).collect()
    }

    /// What a client is owed of a room it watches: the changes since it began to
    /// watch, or since the last tick ended.
    fn owed(&self, before: &Scene, client: usize, room: usize) -> Option<Heard> {
        let since = before.watches_since(client, room)?.max(before.tick());
        let scenes = self.scenes[since..self.deeds.len()].windows(2);
        let changes: Vec<(bool, usize)> =
            scenes.flat_map(|pair| pair[0].changes(&pair[1], room)).collect();
        let is_owed = !changes.is_empty();
        is_owed.then_some(Heard { client, words: Words::Presence(room, changes) })
    }
}
