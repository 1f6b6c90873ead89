//! What is remembered of messages: the newest one by one, older ones that miss
//! a receiver in a capped list, and all others as runs of numbers.

use std::collections::{BTreeMap, VecDeque};

use super::slots::Slots;
use super::{ClientId, MessageId, Options, RoomId};

/// A position in the history that never comes.
pub(super) const NEVER: u64 = u64::MAX;

/// How many runs of numbers are kept over all senders.
const RUNS_MAX: usize = 64 * 1024;

/// One broadcast.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) room: RoomId,
    /// On which of its sender's connections it was sent, counted from the first.
    pub(super) connection: u32,
    /// Position in the history.
    pub(super) sent_at: u64,
    pub(super) sent_us: u64,
    /// Position of its first sign, ack or delivery; or [`NEVER`].
    pub(super) signed_at: u64,
    pub(super) seq: Option<u64>,
    pub(super) heard: Slots,
    /// Required receivers that have not heard it yet; before the first sign:
    /// those who are required if it is accepted now.
    pub(super) pending: Slots,
    pub(super) place: Option<Box<Place>>,
    pub(super) acked: bool,
    /// Somebody got it, rightly or not.
    pub(super) reached: bool,
    pub(super) refused: bool,
    /// Its deadline has passed before there was any sign of it.
    pub(super) overdue: bool,
    /// It is no longer waited for: what is pending is lost.
    pub(super) expired: bool,
    /// Its sender was a member for certain.
    pub(super) sender_inside: bool,
}

/// What is known of a message beyond what clients saw of this one pair.
#[derive(Debug)]
pub(super) struct Place {
    /// The engine's members at its place in the order, if it has one.
    pub(super) members: Option<Slots>,
    /// Those of them who have not heard it yet.
    pub(super) owed: Slots,
    /// Those who were switching rooms then.
    pub(super) switching: Slots,
}

impl Place {
    pub(super) const EMPTY: Self =
        Self { members: None, owed: Slots::EMPTY, switching: Slots::EMPTY };
}

impl Message {
    /// Whether somebody's hearing it, or not, still decides something.
    pub(super) fn is_open(&self) -> bool {
        !self.expired && self.misses_somebody()
    }

    fn misses_somebody(&self) -> bool {
        !self.pending.is_empty() || self.place.as_ref().is_some_and(|place| !place.owed.is_empty())
    }

    pub(super) fn is_placed(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.members.is_some())
    }

    /// Whether the client of `slot` was switching rooms when the message got its place.
    pub(super) fn is_switching(&self, slot: u32) -> bool {
        self.place.as_ref().is_some_and(|place| place.switching.contains(slot))
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signed_at != NEVER
    }

    pub(super) fn bytes(&self) -> usize {
        self.heard.bytes() + self.pending.bytes()
    }
}

/// Consecutive numbers of one sender, sent to one room on one connection,
/// that are no longer remembered one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) room: RoomId,
    pub(super) connection: u32,
    /// Whether they were refused, and for nobody.
    pub(super) refused: bool,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Position at which the first was sent.
    pub(super) first_sent_at: u64,
    /// Greatest position of a first sign; [`NEVER`] if they had none.
    pub(super) last_signed_at: u64,
}

impl Run {
    pub(super) fn is_signed(&self) -> bool {
        self.last_signed_at != NEVER
    }
}

#[derive(Debug, Default)]
struct Sender {
    /// Serials of the messages remembered, in the order sent.
    serials: VecDeque<u64>,
    runs: Vec<Run>,
    runs_dropped: bool,
    newest: Option<u64>,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// It was never sent.
    Never,
    /// It was sent long ago; everybody who had to hear it has.
    Old(Run),
    /// It is remembered, under this serial.
    Serial(u64),
    /// Too much was forgotten to tell.
    Unsure,
}

/// The memory of messages. A serial counts them in the order sent.
#[derive(Debug, Default)]
pub(super) struct Log {
    base: u64,
    recent: VecDeque<Message>,
    incomplete: BTreeMap<u64, Message>,
    senders: Vec<Sender>,
    bytes: usize,
    runs: usize,
    pub(super) overflow: bool,
}

impl Log {
    /// The serial of the oldest message that is certainly remembered.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The serial of the next message.
    pub(super) fn next(&self) -> u64 {
        self.base + self.recent.len() as u64
    }

    /// Whether nothing older than [`base`](Self::base) is remembered.
    pub(super) fn has_only_recent(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// # Panics
    ///
    /// If the sender sent this number, or a greater one, before.
    pub(super) fn push(&mut self, message: Message) -> u64 {
        let serial = self.next();
        let sender = message.id.sender.0 as usize;
        if sender >= self.senders.len() {
            self.senders.resize_with(sender + 1, Sender::default);
        }
        let sender = &mut self.senders[sender];
        assert!(
            sender.newest < Some(message.id.number),
            "message numbers of a sender increase: {:?}",
            message.id
        );
        sender.newest = Some(message.id.number);
        sender.serials.push_back(serial);
        self.bytes += message.bytes();
        self.recent.push_back(message);
        serial
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Message> {
        match serial.checked_sub(self.base) {
            Some(index) => self.recent.get(index as usize),
            None => self.incomplete.get(&serial),
        }
    }

    /// Changes a message, keeping count of its memory. It must be remembered.
    pub(super) fn change<T>(&mut self, serial: u64, change: impl FnOnce(&mut Message) -> T) -> T {
        let (message, is_recent) = match serial.checked_sub(self.base) {
            Some(index) => (&mut self.recent[index as usize], true),
            None => (
                self.incomplete.get_mut(&serial).expect("the serial is of a message remembered"),
                false,
            ),
        };
        let before = message.bytes();
        let result = change(message);
        if is_recent {
            self.bytes = self.bytes + message.bytes() - before;
        }
        result
    }

    pub(super) fn find(&self, id: MessageId) -> Known {
        let Some(sender) = self.senders.get(id.sender.0 as usize) else { return Known::Never };
        let number = |serial: u64| self.get(serial).map_or(0, |message| message.id.number);
        if let Ok(i) = sender.serials.binary_search_by_key(&id.number, |&serial| number(serial)) {
            return Known::Serial(sender.serials[i]);
        }
        let after = sender.runs.partition_point(|run| run.first <= id.number);
        match after.checked_sub(1).map(|i| sender.runs[i]) {
            Some(run) if id.number <= run.last => Known::Old(run),
            Some(_) | None if sender.runs_dropped && sender.newest >= Some(id.number) => {
                Known::Unsure
            }
            Some(_) | None => Known::Never,
        }
    }

    /// The serials of the messages that the sender of `serial` sent later and that are remembered.
    pub(super) fn later_of_sender(
        &self,
        serial: u64,
        sender: ClientId,
    ) -> impl Iterator<Item = u64> {
        let serials = &self.senders[sender.0 as usize].serials;
        serials.range(serials.partition_point(|&other| other <= serial)..).copied()
    }

    /// The last forgotten message that was sent after `message` by the same
    /// sender on the same connection to the same room: all who had to heard it.
    pub(super) fn later_forgotten(&self, message: &Message) -> Option<MessageId> {
        let sender = message.id.sender;
        let is_later = |run: &&Run| {
            (run.room, run.connection, run.refused) == (message.room, message.connection, false)
                && run.last > message.id.number
        };
        let run = self.senders[sender.0 as usize].runs.iter().rev().find(is_later)?;
        Some(MessageId { sender, number: run.last })
    }

    /// Forgets the oldest message if there is no room for another. Returns it, unless it
    /// misses a receiver and is put aside.
    pub(super) fn evict(&mut self, options: &Options) -> Option<Option<(u64, Message)>> {
        let is_full = self.recent.len() >= options.messages_max.max(1);
        let is_over = is_full || self.bytes > options.receivers_bytes_max;
        if !is_over {
            return None;
        }
        let message = self.recent.pop_front()?;
        let serial = self.base;
        self.base += 1;
        self.bytes -= message.bytes();
        if !message.misses_somebody() {
            self.remember_number(&message);
        } else if self.incomplete.len() < options.incomplete_max {
            self.incomplete.insert(serial, message);
            return Some(None);
        } else {
            self.senders[message.id.sender.0 as usize].runs_dropped = true;
            self.overflow = true;
        }
        self.drop_serial(serial, message.id.sender);
        Some(Some((serial, message)))
    }

    /// Forgets a message that was put aside and now has all its receivers.
    pub(super) fn forget_complete(&mut self, serial: u64) -> Option<Message> {
        let is_complete =
            self.incomplete.get(&serial).is_some_and(|message| !message.misses_somebody());
        if !is_complete {
            return None;
        }
        let message = self.incomplete.remove(&serial)?;
        self.drop_serial(serial, message.id.sender);
        self.remember_number(&message);
        Some(message)
    }

    fn drop_serial(&mut self, serial: u64, sender: ClientId) {
        let serials = &mut self.senders[sender.0 as usize].serials;
        if let Ok(i) = serials.binary_search(&serial) {
            serials.remove(i);
        }
    }

    /// A message known by its number alone turns out to have been refused.
    pub(super) fn refuse_number(&mut self, id: MessageId) {
        let runs = &mut self.senders[id.sender.0 as usize].runs;
        let Some(i) = runs.iter().position(|run| (run.first..=run.last).contains(&id.number))
        else {
            return;
        };
        let run = runs[i];
        let before = id.number.checked_sub(1).map(|last| Run { last, ..run });
        let refused = Run { first: id.number, last: id.number, refused: true, ..run };
        let after = id.number.checked_add(1).map(|first| Run { first, ..run });
        let parts = [before, Some(refused), after].into_iter().flatten();
        runs.splice(i..=i, parts.filter(|run| run.first <= run.last));
    }

    fn remember_number(&mut self, message: &Message) {
        let sender = &mut self.senders[message.id.sender.0 as usize];
        let number = message.id.number;
        let runs = &mut sender.runs;
        let i = runs.partition_point(|run| run.first < number);
        runs.insert(
            i,
            Run {
                room: message.room,
                connection: message.connection,
                refused: message.refused,
                first: number,
                last: number,
                first_sent_at: message.sent_at,
                last_signed_at: message.signed_at,
            },
        );
        let merged = merge(runs, i) + i.checked_sub(1).map_or(0, |before| merge(runs, before));
        self.runs = self.runs + 1 - merged;
        if self.runs > RUNS_MAX && merged == 0 {
            runs.remove(i);
            sender.runs_dropped = true;
            self.runs -= 1;
        }
    }
}

/// Makes one run of the `i`th and the next, if they are of one kind and
/// consecutive. Says how many fewer there are.
fn merge(runs: &mut Vec<Run>, i: usize) -> usize {
    let kind = |run: &Run| (run.room, run.connection, run.refused, run.is_signed());
    let [run, next, ..] = runs[i..] else { return 0 };
    if kind(&run) != kind(&next) || run.last + 1 != next.first {
        return 0;
    }
    runs[i].last = next.last;
    runs[i].last_signed_at = run.last_signed_at.max(next.last_signed_at);
    runs.remove(i + 1);
    1
}
