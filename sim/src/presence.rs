//! The guarantee `presence_truthful`: what a watcher is told is what became true.
//!
//! A watch begins with a list and goes on with notices. With the engine's own
//! order as witness both can be checked, word for word:
//!
//! ```text
//!  changes of a room    +a  +b  -a  +c  +d          (witness)
//!                           ^ list: a, b
//!  notices of a watch           -a  +c  +d
//! ```
//!
//! The list is the membership at one moment between the request and its answer;
//! the notices are the changes from there on, each once and in order. A watch
//! that ended may lack the last of them, one that lives at the end of the run may
//! not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::{Call, Change, Entry, Event, History, Mark, Order, SocketId};
use crate::judge::Failure;
use crate::promise::PRESENCE_TRUTHFUL;
use crate::story::Cast;

/// Judges every watch against the engine's order.
pub fn check(history: &History) -> Vec<Failure> {
    let mut audience = Audience::new(Cast::of(history));
    for entry in history.until_settled() {
        audience.handle(entry);
    }
    audience.failures
}

/// A room of one start of the server: nothing outlives that.
type Place<'a> = (&'a str, &'a str);

struct Audience<'a> {
    cast: Cast<'a>,
    /// Of each socket, which start of the server it is connected to.
    servers: BTreeMap<SocketId, &'a str>,
    /// The same, by the engine's ids.
    servers_by_sid: BTreeMap<&'a str, &'a str>,
    rooms: BTreeMap<Place<'a>, Room<'a>>,
    /// How many changes there were when each list was asked for that was not given yet.
    asked: BTreeMap<(SocketId, &'a str), VecDeque<usize>>,
    watches: BTreeMap<(SocketId, &'a str), Watch<'a>>,
    failures: Vec<Failure>,
}

#[derive(Default)]
struct Room<'a> {
    members: BTreeSet<&'a str>,
    changes: Vec<(bool, &'a str)>,
}

/// A list, and what was told since.
struct Watch<'a> {
    /// After how many changes the list was true, of those moments at which it may have been made.
    moments: Vec<usize>,
    told: Vec<(bool, &'a str)>,
}

impl<'a> Audience<'a> {
    fn new(cast: Cast<'a>) -> Self {
        Self {
            cast,
            servers: BTreeMap::new(),
            servers_by_sid: BTreeMap::new(),
            rooms: BTreeMap::new(),
            asked: BTreeMap::new(),
            watches: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    fn handle(&mut self, entry: &'a Entry) {
        let at_us = entry.at_us;
        match &entry.event {
            Event::Connected { socket, sid, server, .. } => {
                self.servers.insert(*socket, server);
                self.servers_by_sid.insert(sid, server);
            }
            Event::Ended { socket, .. } => {
                self.end_all(at_us, |(watcher, _)| watcher == *socket);
                self.asked.retain(|(watcher, _), _| watcher != socket);
            }
            Event::Quiet { mark: Mark::Settled } => self.settle(at_us),
            Event::WatchSent { socket, room } => {
                let changes = self.changes(*socket, room);
                self.asked.entry((*socket, room)).or_default().push_back(changes);
            }
            Event::Watched { socket, room, members } => {
                self.begin(at_us, *socket, room, members);
            }
            Event::Unwatched { socket, room } => {
                self.end_all(at_us, |watch| watch == (*socket, room.as_str()));
            }
            Event::Notice { socket, room, changes } => self.tell(at_us, *socket, room, changes),
            Event::Refused { socket, call: Call::Watch { room }, .. } => {
                self.asked(*socket, room);
            }
            Event::Witnessed { order } => self.witness(order),
            Event::Acked { .. }
            | Event::Answered { .. }
            | Event::Asked { .. }
            | Event::Backlog { .. }
            | Event::Census { .. }
            | Event::Delivered { .. }
            | Event::Expelled { .. }
            | Event::Fault { .. }
            | Event::Foreign { .. }
            | Event::GivenUp { .. }
            | Event::HalfOpened { .. }
            | Event::Heard { .. }
            | Event::Illegal { .. }
            | Event::JoinAcked { .. }
            | Event::JoinSent { .. }
            | Event::LeaveAcked { .. }
            | Event::LeaveSent { .. }
            | Event::Packets { .. }
            | Event::PollCancelled { .. }
            | Event::Ponged { .. }
            | Event::Quiet { mark: Mark::Gone | Mark::Healed | Mark::Probe }
            | Event::Recovered { .. }
            | Event::Refused { .. }
            | Event::Replied { .. }
            | Event::Said { .. }
            | Event::Sent { .. }
            | Event::SwitchAcked { .. }
            | Event::SwitchSent { .. }
            | Event::TypingHeard { .. }
            | Event::TypingSent { .. }
            | Event::UnwatchSent { .. }
            | Event::Upgraded { .. }
            | Event::Wish { .. } => {}
        }
    }

    /// A step of the engine's order, as far as it changes who is in a room.
    fn witness(&mut self, order: &'a Order) {
        // Who was never heard of by its client is in no room.
        let Some(&server) = self.servers_by_sid.get(order.sid()) else { return };
        match order {
            Order::Broadcast { .. } | Order::Connect { .. } => {}
            Order::Disconnect { sid } => {
                for (place, room) in &mut self.rooms {
                    if place.0 == server {
                        room.change(false, sid);
                    }
                }
            }
            Order::Join { sid, room } => self.room((server, room)).change(true, sid),
            Order::Leave { sid, room } => self.room((server, room)).change(false, sid),
            Order::Switch { sid, from, to } if from == to => {
                self.room((server, to)).change(true, sid)
            }
            Order::Switch { sid, from, to } => {
                self.room((server, from)).change(false, sid);
                self.room((server, to)).change(true, sid);
            }
        }
    }

    fn room(&mut self, place: Place<'a>) -> &mut Room<'a> {
        self.rooms.entry(place).or_default()
    }

    fn place(&self, socket: SocketId, room: &'a str) -> Place<'a> {
        (self.servers.get(&socket).copied().unwrap_or_default(), room)
    }

    /// How many changes of this room the engine has told.
    fn changes(&self, socket: SocketId, room: &'a str) -> usize {
        self.rooms.get(&self.place(socket, room)).map_or(0, |room| room.changes.len())
    }

    fn begin(&mut self, at_us: u64, socket: SocketId, room: &'a str, members: &'a [String]) {
        // A second list stands for the first: what came before it belongs to that.
        self.end_all(at_us, |watch| watch == (socket, room));
        let list: BTreeSet<&str> = members.iter().map(String::as_str).collect();
        if list.len() < members.len() {
            self.accuse(at_us, socket, room, "a member is listed twice".to_owned());
        }
        let from = self.asked(socket, room).unwrap_or_default();
        let moments = self.room(self.place(socket, room)).moments(&list, from);
        if moments.is_empty() {
            let what = format!("the list {list:?} was true at no moment since it was asked for");
            return self.accuse(at_us, socket, room, what);
        }
        self.watches.insert((socket, room), Watch { moments, told: Vec::new() });
    }

    /// The request that is answered next: answers come in the order of requests.
    fn asked(&mut self, socket: SocketId, room: &'a str) -> Option<usize> {
        self.asked.get_mut(&(socket, room))?.pop_front()
    }

    fn tell(&mut self, at_us: u64, socket: SocketId, room: &'a str, changes: &'a [Change]) {
        let told = changes.iter().map(|Change(is_in, sid)| (*is_in, sid.as_str()));
        match self.watches.get_mut(&(socket, room)) {
            Some(watch) => watch.told.extend(told),
            // An unsound list has been told of already.
            None if self.failures.iter().any(|failure| failure.sockets.contains(&socket)) => {}
            None => self.accuse(at_us, socket, room, "a notice without a list".to_owned()),
        }
    }

    /// Ends the watches that `is_meant`: they may lack the last changes.
    fn end_all(&mut self, at_us: u64, is_meant: impl Fn((SocketId, &str)) -> bool) {
        let ended: Vec<_> = self.watches.extract_if(.., |watch, _| is_meant(*watch)).collect();
        for ((socket, room), watch) in ended {
            self.judge(at_us, socket, room, &watch, false);
        }
    }

    /// All that was told has arrived: who still watches lacks nothing.
    fn settle(&mut self, at_us: u64) {
        for ((socket, room), watch) in std::mem::take(&mut self.watches) {
            self.judge(at_us, socket, room, &watch, true);
        }
    }

    fn judge(
        &mut self,
        at_us: u64,
        socket: SocketId,
        room: &'a str,
        watch: &Watch<'a>,
        is_whole: bool,
    ) {
        let nothing = Room::default();
        let truth = self.rooms.get(&self.place(socket, room)).unwrap_or(&nothing);
        let fits = |&at: &usize| {
            let rest = &truth.changes[at..];
            if is_whole { rest == watch.told } else { rest.starts_with(&watch.told) }
        };
        if !watch.moments.iter().any(fits) {
            let expected = watch.moments.last().map_or(&[][..], |&at| &truth.changes[at..]);
            let what = format!(
                "the notices are {:?}, what became true is {:?}",
                words(&watch.told),
                words(expected)
            );
            self.accuse(at_us, socket, room, what);
        }
    }

    fn accuse(&mut self, at_us: u64, socket: SocketId, room: &str, what: String) {
        let sentence = format!("{} watches {room:?}: {what}", self.cast.socket(socket));
        let failure = Failure::new(PRESENCE_TRUTHFUL, sentence, at_us, [socket]);
        let rooms = BTreeSet::from([room.to_owned()]);
        self.failures.push(Failure { needs_witness: true, rooms, ..failure });
    }
}

impl<'a> Room<'a> {
    /// Notes a change; what was so already is none.
    fn change(&mut self, is_in: bool, sid: &'a str) {
        let has_changed = if is_in { self.members.insert(sid) } else { self.members.remove(sid) };
        if has_changed {
            self.changes.push((is_in, sid));
        }
    }

    /// After how many of its changes, `from` or more, the members were those of `list`.
    fn moments(&self, list: &BTreeSet<&str>, from: usize) -> Vec<usize> {
        // Back from what is the case now: a room has many changes, an answer is soon there.
        let mut members = self.members.clone();
        let mut moments = Vec::new();
        for at in (from..=self.changes.len()).rev() {
            if members == *list {
                moments.push(at);
            }
            let Some(&(was_in, sid)) = at.checked_sub(1).map(|last| &self.changes[last]) else {
                break;
            };
            if was_in {
                members.remove(sid)
            } else {
                members.insert(sid)
            };
        }
        moments.reverse();
        moments
    }
}

fn words(changes: &[(bool, &str)]) -> Vec<String> {
    changes.iter().map(|(is_in, sid)| format!("{}{sid}", if *is_in { '+' } else { '-' })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHER: SocketId = SocketId(0);

    fn connected(socket: u32, sid: &str) -> Event {
        let server = "start-1".to_owned();
        Event::Connected { socket: SocketId(socket), client: socket, sid: sid.to_owned(), server }
    }

    fn join(sid: &str) -> Event {
        let order = Order::Join { sid: sid.to_owned(), room: "a".to_owned() };
        Event::Witnessed { order }
    }

    fn gone(sid: &str) -> Event {
        Event::Witnessed { order: Order::Disconnect { sid: sid.to_owned() } }
    }

    fn asks() -> Event {
        Event::WatchSent { socket: WATCHER, room: "a".to_owned() }
    }

    fn list(members: &[&str]) -> Event {
        let members = members.iter().map(|&sid| sid.to_owned()).collect();
        Event::Watched { socket: WATCHER, room: "a".to_owned(), members }
    }

    fn notice(changes: &[(bool, &str)]) -> Event {
        let changes = changes.iter().map(|&(is_in, sid)| Change(is_in, sid.to_owned())).collect();
        Event::Notice { socket: WATCHER, room: "a".to_owned(), changes }
    }

    fn settled() -> Event {
        Event::Quiet { mark: Mark::Settled }
    }

    /// What is wrong with these events, behind three clients' connecting.
    fn sentences(events: Vec<Event>) -> Vec<String> {
        let mut history = History::default();
        let connected = [connected(0, "w"), connected(1, "x"), connected(2, "y")];
        for (at_us, event) in connected.into_iter().chain(events).enumerate() {
            history.push(at_us as u64, event);
        }
        check(&history).into_iter().map(|failure| failure.sentence).collect()
    }

    #[test]
    fn a_list_and_its_notices_fit() {
        let (plus, minus) = ((true, "y"), (false, "x"));
        let events = vec![
            join("x"),
            asks(),
            list(&["x"]),
            join("y"),
            notice(&[plus]),
            gone("x"),
            notice(&[minus]),
        ];
        assert_eq!(sentences([events, vec![settled()]].concat()), [""; 0]);
    }

    #[test]
    fn the_list_may_be_of_any_moment_since_it_was_asked_for() {
        for (members, notices) in [(vec!["x"], vec![(true, "y")]), (vec!["x", "y"], vec![])] {
            let events =
                vec![join("x"), asks(), join("y"), list(&members), notice(&notices), settled()];
            assert_eq!(sentences(events), [""; 0]);
        }
        let old = vec![asks(), list(&[]), notice(&[]), join("x"), asks(), list(&[])];
        assert!(sentences(old)[0].contains("true at no moment"));
    }

    #[test]
    fn lists_that_are_asked_for_at_once_are_answered_in_order() {
        let events = vec![asks(), join("x"), asks(), list(&[]), list(&["x"]), settled()];
        assert_eq!(sentences(events), [""; 0]);
        let events = vec![asks(), join("x"), asks(), list(&["x"]), list(&[]), settled()];
        assert!(sentences(events)[0].contains("true at no moment"));
    }

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_seen() {
        let (x, y) = ((true, "x"), (true, "y"));
        for told in [vec![x], vec![x, x, y], vec![y, x], vec![], vec![x, y, (false, "x")]] {
            let events = vec![asks(), list(&[]), join("x"), join("y"), notice(&told), settled()];
            assert!(sentences(events)[0].contains("the notices are"), "{told:?}");
        }
    }

    #[test]
    fn a_watch_that_has_ended_may_lack_the_last() {
        let ended = Event::Ended { socket: WATCHER, reason: "gone".to_owned() };
        let begin = || vec![asks(), list(&[]), join("x"), join("y")];
        let lacks = [begin(), vec![notice(&[(true, "x")]), ended.clone(), settled()]].concat();
        assert_eq!(sentences(lacks), [""; 0]);
        let skips = [begin(), vec![notice(&[(true, "y")]), ended, settled()]].concat();
        assert_eq!(sentences(skips).len(), 1);
    }

    #[test]
    fn a_notice_to_who_does_not_watch_is_seen() {
        assert!(sentences(vec![notice(&[])])[0].contains("without a list"));
        let unwatched = Event::Unwatched { socket: WATCHER, room: "a".to_owned() };
        let events = vec![asks(), list(&[]), unwatched, notice(&[(true, "x")]), settled()];
        assert!(sentences(events)[0].contains("without a list"));
    }
}
