//! The guarantee `volatile_only_drops`: a volatile event may be lost on its way to a member
//! that is slow, and is never doubled, invented, out of order, or for somebody else.
//!
//! Volatile events have no names: what is heard of one member in one room is counted, and
//! the messages of that member to that room, which all have names, are the marks in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::{Call, Entry, Event, History, MessageId, SocketId};
use crate::judge::Failure;
use crate::promise::VOLATILE_ONLY_DROPS;

/// Judges what was heard of volatile events.
pub fn check(history: &History) -> Vec<Failure> {
    let mut hearing = Hearing::default();
    for entry in history.until_settled() {
        hearing.read(entry);
    }
    hearing.failures
}

/// Who speaks, in which room.
type Voice<'a> = (SocketId, &'a str);

#[derive(Default)]
struct Hearing<'a> {
    /// Volatile events sent so far.
    sent: BTreeMap<Voice<'a>, u64>,
    /// How many of them were sent before a message.
    before: BTreeMap<MessageId, u64>,
    /// Of each receiver, what it has heard.
    heard: BTreeMap<(SocketId, Voice<'a>), Heard>,
    /// When a socket last asked to be in a room that it may still be in.
    asked: BTreeMap<Voice<'a>, u64>,
    /// When it asked to leave, and has no answer yet.
    leaves: BTreeMap<Voice<'a>, VecDeque<u64>>,
    /// Counts what is asked.
    now: u64,
    failures: Vec<Failure>,
}

/// What a receiver has heard of one voice.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// Volatile events, in all.
    count: u64,
    /// So many were sent, and so many heard, before the last message that was heard.
    mark: (u64, u64),
}

impl<'a> Hearing<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no business of this")]
    fn read(&mut self, Entry { at_us, event }: &'a Entry) {
        match event {
            Event::JoinSent { socket, room } => self.ask((*socket, room)),
            Event::LeaveSent { socket, room } => self.leave((*socket, room)),
            Event::SwitchSent { socket, from, to } => {
                self.leave((*socket, from));
                self.ask((*socket, to));
            }
            Event::LeaveAcked { socket, room } => self.answer((*socket, room), true),
            Event::SwitchAcked { socket, from, .. } => self.answer((*socket, from), true),
            Event::Refused { socket, call: Call::Leave { room }, .. } => {
                self.answer((*socket, room), false);
            }
            Event::Refused { socket, call: Call::Switch { from, .. }, .. } => {
                self.answer((*socket, from), false);
            }
            Event::TypingSent { socket, room } => {
                *self.sent.entry((*socket, room)).or_default() += 1;
            }
            Event::Sent { message, room, .. } => {
                let count = self.sent.get(&(message.by, room.as_str())).copied();
                self.before.insert(*message, count.unwrap_or_default());
            }
            Event::Delivered { socket, room, message, .. } => {
                self.mark(*at_us, *socket, room, *message);
            }
            Event::TypingHeard { socket, room, from } => self.hear(*at_us, *socket, room, *from),
            _ => {}
        }
    }

    fn ask(&mut self, place: Voice<'a>) {
        self.now += 1;
        self.asked.insert(place, self.now);
    }

    fn leave(&mut self, place: Voice<'a>) {
        self.now += 1;
        self.leaves.entry(place).or_default().push_back(self.now);
    }

    /// It has left, unless it has asked to be there since then.
    fn answer(&mut self, place: Voice<'a>, has_left: bool) {
        let Some(left) = self.leaves.get_mut(&place).and_then(VecDeque::pop_front) else { return };
        if has_left && self.asked.get(&place).is_some_and(|&asked| asked < left) {
            self.asked.remove(&place);
        }
    }

    /// A message with a name: what was sent before it is heard before it, or never.
    fn mark(&mut self, at_us: u64, socket: SocketId, room: &'a str, message: MessageId) {
        let Some(&before) = self.before.get(&message) else { return };
        let heard = self.heard.entry((socket, (message.by, room))).or_default();
        if heard.count > before {
            let count = heard.count;
            let sentence = format!(
                "{count} volatile events were heard in {room:?} before a message that only {before} were sent before"
            );
            self.accuse(at_us, socket, message.by, room, sentence);
        } else {
            heard.mark = (before, heard.count);
        }
    }

    fn hear(&mut self, at_us: u64, socket: SocketId, room: &'a str, from: Option<SocketId>) {
        let Some(from) = from.filter(|from| self.sent.contains_key(&(*from, room))) else {
            let sentence = format!("a volatile event of nobody was heard in {room:?}");
            return self.accuse(at_us, socket, socket, room, sentence);
        };
        if from == socket {
            let sentence = format!("a volatile event to {room:?} came back to its sender");
            return self.accuse(at_us, socket, from, room, sentence);
        }
        if !self.asked.contains_key(&(socket, room)) {
            let sentence = format!("a volatile event to {room:?} was heard by who is not there");
            return self.accuse(at_us, socket, from, room, sentence);
        }
        let sent = self.sent[&(from, room)];
        let heard = self.heard.entry((socket, (from, room))).or_default();
        heard.count += 1;
        let (sent_before, heard_before) = heard.mark;
        if heard.count - heard_before > sent - sent_before {
            let (more, most) = (heard.count - heard_before, sent - sent_before);
            let sentence =
                format!("{more} volatile events to {room:?} were heard of {most} that could be");
            self.accuse(at_us, socket, from, room, sentence);
        }
    }

    fn accuse(
        &mut self,
        at_us: u64,
        socket: SocketId,
        from: SocketId,
        room: &str,
        sentence: String,
    ) {
        let failure = Failure::new(VOLATILE_ONLY_DROPS, sentence, at_us, [socket, from]);
        self.failures.push(Failure { rooms: BTreeSet::from([room.to_owned()]), ..failure });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "a";

    /// J, L, j: 1 asks to be in the room; asks to leave; has left it. T: 0 types. M, m: 0 sends
    /// its next message; 1 hears the next. t: 1 hears that 0 types; x: that 2 does. o: 0 hears
    /// that itself types.
    fn failures(story: &str) -> usize {
        let mut history = History::default();
        let (mut sent, mut heard) = (0, 0);
        let room = || ROOM.to_owned();
        for (at_us, sign) in (0..).zip(story.chars()) {
            let message = |number| MessageId { by: SocketId(0), number };
            let socket = SocketId(1);
            history.push(
                at_us,
                match sign {
                    'J' => Event::JoinSent { socket, room: room() },
                    'L' => Event::LeaveSent { socket, room: room() },
                    'j' => Event::LeaveAcked { socket, room: room() },
                    'T' => Event::TypingSent { socket: SocketId(0), room: room() },
                    't' => Event::TypingHeard { socket, room: room(), from: Some(SocketId(0)) },
                    'o' => Event::TypingHeard {
                        socket: SocketId(0),
                        room: room(),
                        from: Some(SocketId(0)),
                    },
                    'x' => Event::TypingHeard { socket, room: room(), from: Some(SocketId(2)) },
                    'M' => {
                        sent += 1;
                        let message = message(sent);
                        Event::Sent { message, room: room(), attachments: 0, bytes: 0 }
                    }
                    _ => {
                        heard += 1;
                        let (message, from, seq) = (message(heard), None, None);
                        Event::Delivered { socket, room: room(), message, from, seq, intact: true }
                    }
                },
            );
        }
        check(&history).len()
    }

    #[test]
    fn what_is_lost_is_lost() {
        for story in ["JTTt", "JTMTmt", "JTMTtm", "JTTMMtmm", "JTMTMmtm", "JTtLj", "JLJjTt"] {
            assert_eq!(failures(story), 0, "{story}");
        }
    }

    #[test]
    fn nothing_else_may_happen() {
        let stories = [
            ("JTtt", "doubled"),
            ("Jt", "invented"),
            ("JTx", "of nobody"),
            ("JTo", "by its sender"),
            ("Tt", "by who never was there"),
            ("JTLjt", "after leaving"),
            ("JMTtm", "before a message that was sent before it"),
            ("JTMmt", "after a message that was sent after it"),
        ];
        for (story, what) in stories {
            assert_eq!(failures(story), 1, "{story}: {what}");
        }
    }
}
