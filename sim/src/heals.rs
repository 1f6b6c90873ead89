//! The guarantee `heals`: some time after the last fault everybody who wants to be
//! connected is, in the rooms it wants, and hears a probe broadcast.
//!
//! Safety alone is kept by a server that does nothing. So every run ends with a
//! quiet phase: the network is healed, clients say what they want
//! ([`Event::Wish`]), and after the promised time each sends one message to each
//! of its rooms, which every other client that wants to be there must hear.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, History, Mark, MessageId, SocketId};
use crate::judge::Failure;
use crate::promise::HEALS;

/// Judges the quiet phase; of a history that has none, nothing.
pub fn check(history: &History) -> Vec<Failure> {
    let mut recovery = Recovery::default();
    for entry in history.until_settled() {
        recovery.handle(entry.at_us, &entry.event);
    }
    recovery.failures
}

#[derive(Default)]
struct Recovery<'a> {
    /// Of each client that wants to be connected, its rooms.
    wishes: BTreeMap<u32, BTreeSet<&'a str>>,
    /// Of each client, its living socket.
    living: BTreeMap<u32, SocketId>,
    /// The rooms in which a living socket knows itself to be.
    rooms: BTreeMap<SocketId, BTreeSet<&'a str>>,
    /// Who still has to hear which probe message.
    awaited: BTreeSet<(MessageId, &'a str, SocketId)>,
    is_probing: bool,
    failures: Vec<Failure>,
}

impl<'a> Recovery<'a> {
    fn handle(&mut self, at_us: u64, event: &'a Event) {
        match event {
            Event::Connected { socket, client, .. } | Event::Recovered { socket, client } => {
                self.living.insert(*client, *socket);
            }
            Event::Ended { socket, .. } => {
                // Its rooms are those of the socket, should that live again.
                self.living.retain(|_, living| living != socket);
            }
            Event::JoinAcked { socket, room } => self.enter(*socket, room),
            Event::LeaveAcked { socket, room } => self.exit(*socket, room),
            Event::SwitchAcked { socket, from, to } => {
                self.exit(*socket, from);
                self.enter(*socket, to);
            }
            Event::Wish { client, is_connected: true, rooms } => {
                self.wishes.insert(*client, rooms.iter().map(String::as_str).collect());
            }
            Event::Quiet { mark: Mark::Probe } => self.probe(at_us),
            Event::Quiet { mark: Mark::Settled } => self.settle(at_us),
            Event::Sent { message, room, .. } if self.is_probing => self.await_all(*message, room),
            Event::Delivered { socket, room, message, .. } => {
                self.awaited.remove(&(*message, room.as_str(), *socket));
            }
            Event::Acked { .. }
            | Event::Answered { .. }
            | Event::Asked { .. }
            | Event::Backlog { .. }
            | Event::Census { .. }
            | Event::Expelled { .. }
            | Event::Fault { .. }
            | Event::Foreign { .. }
            | Event::GivenUp { .. }
            | Event::HalfOpened { .. }
            | Event::Heard { .. }
            | Event::Illegal { .. }
            | Event::JoinSent { .. }
            | Event::LeaveSent { .. }
            | Event::Notice { .. }
            | Event::Packets { .. }
            | Event::PollCancelled { .. }
            | Event::Ponged { .. }
            | Event::Quiet { mark: Mark::Gone | Mark::Healed }
            | Event::Refused { .. }
            | Event::Replied { .. }
            | Event::Said { .. }
            | Event::Sent { .. }
            | Event::SwitchSent { .. }
            | Event::TypingHeard { .. }
            | Event::TypingSent { .. }
            | Event::Unwatched { .. }
            | Event::UnwatchSent { .. }
            | Event::Upgraded { .. }
            | Event::Watched { .. }
            | Event::WatchSent { .. }
            | Event::Wish { is_connected: false, .. }
            | Event::Witnessed { .. } => {}
        }
    }

    fn enter(&mut self, socket: SocketId, room: &'a str) {
        self.rooms.entry(socket).or_default().insert(room);
    }

    fn exit(&mut self, socket: SocketId, room: &str) {
        if let Some(rooms) = self.rooms.get_mut(&socket) {
            rooms.remove(room);
        }
    }

    fn probe(&mut self, at_us: u64) {
        self.is_probing = true;
        for (client, wanted) in &self.wishes {
            let Some(socket) = self.living.get(client) else {
                let sentence = format!("client {client} wants to be connected and is not");
                self.failures.push(failure(at_us, sentence, [], [], []));
                continue;
            };
            let none = BTreeSet::new();
            let rooms = self.rooms.get(socket).unwrap_or(&none);
            for room in wanted.difference(rooms) {
                let sentence = format!("client {client} wants to be in {room:?} and is not");
                self.failures.push(failure(at_us, sentence, [*socket], [], [room]));
            }
        }
    }

    fn await_all(&mut self, message: MessageId, room: &'a str) {
        for (client, wanted) in &self.wishes {
            let Some(&socket) = self.living.get(client) else { continue };
            if wanted.contains(room) && socket != message.by {
                self.awaited.insert((message, room, socket));
            }
        }
    }

    fn settle(&mut self, at_us: u64) {
        for &(message, room, socket) in &self.awaited {
            let sentence = format!("a probe message to {room:?} did not reach a client there");
            self.failures.push(failure(at_us, sentence, [socket, message.by], [message], [room]));
        }
    }
}

fn failure<const S: usize, const M: usize, const R: usize>(
    at_us: u64,
    sentence: String,
    sockets: [SocketId; S],
    messages: [MessageId; M],
    rooms: [&str; R],
) -> Failure {
    Failure {
        messages: messages.into(),
        rooms: rooms.iter().map(|&room| room.to_owned()).collect(),
        ..Failure::new(HEALS, sentence, at_us, sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(client: u32) -> Event {
        Event::Connected {
            socket: SocketId(client),
            client,
            sid: format!("sid-{client}"),
            server: "s".to_owned(),
        }
    }

    fn wish(client: u32) -> Event {
        Event::Wish { client, is_connected: true, rooms: vec!["a".to_owned()] }
    }

    fn joined(client: u32) -> Event {
        Event::JoinAcked { socket: SocketId(client), room: "a".to_owned() }
    }

    fn quiet(mark: Mark) -> Event {
        Event::Quiet { mark }
    }

    const PROBE: MessageId = MessageId { by: SocketId(0), number: 1 };

    fn heard(client: u32) -> Event {
        Event::Delivered {
            socket: SocketId(client),
            room: "a".to_owned(),
            message: PROBE,
            from: Some(PROBE.by),
            seq: None,
            intact: true,
        }
    }

    fn sentences(events: Vec<Event>) -> Vec<String> {
        let mut history = History::default();
        for event in events {
            history.push(0, event);
        }
        check(&history).into_iter().map(|failure| failure.sentence).collect()
    }

    fn two_members() -> Vec<Event> {
        vec![connected(0), connected(1), joined(0), joined(1), wish(0), wish(1)]
    }

    fn sent() -> Event {
        Event::Sent { message: PROBE, room: "a".to_owned(), attachments: 0, bytes: 20 }
    }

    #[test]
    fn who_is_back_and_hears_the_probe_has_healed() {
        let mut events = two_members();
        events.extend([quiet(Mark::Probe), sent(), heard(1), quiet(Mark::Settled)]);
        assert_eq!(sentences(events), [""; 0]);
    }

    #[test]
    fn who_stays_away_has_not() {
        let mut events = two_members();
        events.push(Event::Ended { socket: SocketId(1), reason: "reset".to_owned() });
        events.push(quiet(Mark::Probe));
        assert_eq!(sentences(events), ["client 1 wants to be connected and is not"]);
    }

    #[test]
    fn who_is_back_without_its_room_has_not() {
        let mut events = two_members();
        events.push(Event::LeaveAcked { socket: SocketId(1), room: "a".to_owned() });
        events.push(quiet(Mark::Probe));
        assert_eq!(sentences(events), ["client 1 wants to be in \"a\" and is not"]);
    }

    #[test]
    fn who_does_not_hear_the_probe_has_not() {
        let mut events = two_members();
        events.extend([quiet(Mark::Probe), sent(), quiet(Mark::Settled)]);
        assert_eq!(sentences(events), ["a probe message to \"a\" did not reach a client there"]);
    }

    #[test]
    fn who_wants_to_be_away_need_not() {
        let mut events = two_members();
        events.push(Event::Ended { socket: SocketId(1), reason: "left".to_owned() });
        let away = Event::Wish { client: 1, is_connected: false, rooms: Vec::new() };
        events.retain(|event| *event != wish(1));
        events.extend([away, quiet(Mark::Probe), sent(), quiet(Mark::Settled)]);
        assert_eq!(sentences(events), [""; 0]);
    }
}
