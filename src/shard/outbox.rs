//! What is to be written in this tick, and to whom.
//!
//! A frame is copied once into an arena of the tick, whatever the number of
//! its recipients; each recipient gets a reference to it. Frames for many lie
//! in one arena, frames for one in another, so that the messages of a busy
//! room lie side by side and a member's references to them merge into one:
//!
//! ```text
//!  shared  [ m1 | m2 | m3 ]        a: shared 0..3            one write, no copy
//!  single  [ ack to b ]            b: shared 0..2, single 0..1, shared 2..3
//! ```
//!
//! A connection without anything to write owns nothing here but eight bytes.
//! Where one packet ends and the next begins is noted once, whatever the number
//! of recipients, and looked up only for a peer that does not take everything.

use crate::hub::{ConnId, Loss};

const NONE: u32 = u32::MAX;

/// Memory of a busy tick that is kept for the next one, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What is to be written in this tick, and to whom.
#[derive(Debug, Default)]
pub struct Outbox {
    shared: Arena,
    single: Arena,
    segments: Vec<Segment>,
    /// By [`ConnId::index`].
    pending: Vec<Pending>,
    /// Who has something pending, in the order in which they got it.
    dirty: Vec<ConnId>,
    /// How many of `dirty` have been taken.
    taken: usize,
}

/// Packets, one behind the other.
#[derive(Debug, Default)]
struct Arena {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

/// The end of a packet in its arena, and whether it may be dropped.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: usize,
    loss: Loss,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    start: usize,
    end: usize,
    shared: bool,
    next: u32,
}

/// A connection's list of segments.
#[derive(Clone, Copy, Debug)]
struct Pending {
    head: u32,
    tail: u32,
}

const EMPTY: Pending = Pending { head: NONE, tail: NONE };

/// What is to be written to one connection: whole packets, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    bytes: &'a [u8],
    /// Where its packets are noted; else it is one packet.
    noted: Option<(&'a Outbox, u32)>,
}

impl<'a> Run<'a> {
    /// A single packet, which may not be dropped.
    pub fn packet(bytes: &'a [u8]) -> Self {
        Self { bytes, noted: None }
    }

    /// All of it.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Hands out its packets, each with whether it may be dropped.
    pub fn for_each_packet(self, mut each: impl FnMut(&'a [u8], Loss)) {
        let Some((outbox, mut at)) = self.noted else { return each(self.bytes, Loss::Never) };
        let mut rest = self.bytes;
        while at != NONE {
            let segment = outbox.segments[at as usize];
            let mut start = segment.start;
            for mark in outbox.arena(segment).marks_from(start) {
                if start == segment.end {
                    break;
                }
                let (packet, behind) = rest.split_at(mark.end - start);
                each(packet, mark.loss);
                (rest, start) = (behind, mark.end);
            }
            at = segment.next;
        }
    }
}

impl Arena {
    fn push(&mut self, frame: &[u8], loss: Loss) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        let end = self.bytes.len();
        self.marks.push(Mark { end, loss });
        (start, end)
    }

    /// The marks of the packets that begin at `start` or later.
    fn marks_from(&self, start: usize) -> &[Mark] {
        &self.marks[self.marks.partition_point(|mark| mark.end <= start)..]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.marks.clear();
        self.marks.shrink_to(KEPT_BYTES_MAX / size_of::<Mark>());
    }
}

impl Outbox {
    /// Appends `frame` (the frames of one whole packet) to what each of `to` has pending.
    pub fn push(&mut self, frame: &[u8], to: &[ConnId], loss: Loss) {
        // Without a recipient no tick is owed, hence nothing would clear it.
        if to.is_empty() {
            return;
        }
        let shared = to.len() > 1;
        let arena = if shared { &mut self.shared } else { &mut self.single };
        let (start, end) = arena.push(frame, loss);
        for &conn in to {
            self.append(conn, Segment { start, end, shared, next: NONE });
        }
    }

    /// The next connection with something pending; each is returned once per tick and burst.
    pub fn next_dirty(&mut self) -> Option<ConnId> {
        let Some(&conn) = self.dirty.get(self.taken) else {
            self.end_tick();
            return None;
        };
        self.taken += 1;
        Some(conn)
    }

    /// Whether somebody has something pending.
    pub fn is_dirty(&self) -> bool {
        self.taken < self.dirty.len()
    }

    /// Whether this connection has something pending.
    pub fn has_pending(&self, conn: ConnId) -> bool {
        self.pending.get(conn.index as usize).is_some_and(|pending| pending.head != NONE)
    }

    /// Bytes that are held for this tick.
    pub fn bytes(&self) -> usize {
        self.shared.bytes.len() + self.single.bytes.len()
    }

    /// Takes what `conn` has pending; `scratch` holds it if it lies in several places.
    pub fn take<'a>(&'a mut self, conn: ConnId, scratch: &'a mut Vec<u8>) -> Run<'a> {
        let pending = self.pending.get_mut(conn.index as usize);
        let Pending { head, tail } =
            pending.map_or(EMPTY, |pending| std::mem::replace(pending, EMPTY));
        let noted = Some((&*self, head));
        if head == NONE {
            return Run { bytes: &[], noted };
        }
        if head == tail {
            return Run { bytes: self.slice(self.segments[head as usize]), noted };
        }
        scratch.clear();
        let mut at = head;
        while at != NONE {
            let segment = self.segments[at as usize];
            scratch.extend_from_slice(self.slice(segment));
            at = segment.next;
        }
        Run { bytes: scratch, noted }
    }

    /// Forgets what a connection that has gone had pending: its place will be somebody
    /// else's, or is already.
    pub fn forget(&mut self, conn: ConnId) {
        let mut dirty = self.dirty[self.taken..].iter_mut();
        // Without an entry of its own, what is pending in its place is a successor's.
        if let Some(dirty) = dirty.find(|dirty| **dirty == conn) {
            // The successor must become dirty anew to be written to.
            *dirty = ConnId { index: NONE, generation: 0 };
            self.pending[conn.index as usize] = EMPTY;
        }
    }

    fn append(&mut self, conn: ConnId, segment: Segment) {
        let index = conn.index as usize;
        if self.pending.len() <= index {
            self.pending.resize(index + 1, EMPTY);
        }
        let pending = &mut self.pending[index];
        if pending.head == NONE {
            self.dirty.push(conn);
        } else {
            let tail = &mut self.segments[pending.tail as usize];
            if tail.shared == segment.shared && tail.end == segment.start {
                tail.end = segment.end;
                return;
            }
        }
        let at = u32::try_from(self.segments.len()).expect("a tick has fewer than 2^32 segments");
        self.segments.push(segment);
        if pending.head == NONE {
            pending.head = at;
        } else {
            self.segments[pending.tail as usize].next = at;
        }
        pending.tail = at;
    }

    fn arena(&self, segment: Segment) -> &Arena {
        if segment.shared { &self.shared } else { &self.single }
    }

    fn slice(&self, segment: Segment) -> &[u8] {
        &self.arena(segment).bytes[segment.start..segment.end]
    }

    fn end_tick(&mut self) {
        self.taken = 0;
        self.dirty.clear();
        self.segments.clear();
        self.shared.clear();
        self.single.clear();
        self.segments.shrink_to(KEPT_BYTES_MAX / size_of::<Segment>());
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::NamespaceId;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: index + 10 }
    }

    fn drain(outbox: &mut Outbox) -> Vec<(u32, String)> {
        let mut written = Vec::new();
        while let Some(conn) = outbox.next_dirty() {
            let bytes = outbox.take(conn, &mut Vec::new()).bytes().to_vec();
            written.push((conn.index, String::from_utf8(bytes).unwrap()));
        }
        written
    }

    #[test]
    fn each_connection_gets_its_frames_in_order_and_once() {
        let mut outbox = Outbox::default();
        outbox.push(b"m1,", &[conn(0), conn(1)], Loss::Never);
        outbox.push(b"ack,", &[conn(0)], Loss::Never);
        outbox.push(b"m2,", &[conn(0), conn(1)], Loss::Never);
        outbox.push(b"ack2,", &[conn(0)], Loss::Never);
        let expected = [(0, "m1,ack,m2,ack2,".to_owned()), (1, "m1,m2,".to_owned())];
        assert_eq!(drain(&mut outbox), expected);
        assert_eq!(drain(&mut outbox), []);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn messages_of_one_room_merge_into_one_piece() {
        let mut outbox = Outbox::default();
        for _ in 0..16 {
            outbox.push(b"message", &[conn(0), conn(1)], Loss::Never);
            outbox.push(b"ack", &[conn(2)], Loss::Never);
        }
        let mut scratch = Vec::new();
        assert_eq!(outbox.take(conn(1), &mut scratch).bytes().len(), 16 * 7);
        assert!(scratch.is_empty(), "no copy was needed");
    }

    #[test]
    fn frame_for_nobody_is_not_kept() {
        let mut outbox = Outbox::default();
        outbox.push(b"volatile, and everybody is congested", &[], Loss::Never);
        assert!(!outbox.is_dirty(), "nobody would end the tick");
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn what_comes_during_the_flush_is_flushed_too() {
        let mut outbox = Outbox::default();
        outbox.push(b"a", &[conn(0), conn(1)], Loss::Never);
        let first = outbox.next_dirty().unwrap();
        assert_eq!(outbox.take(first, &mut Vec::new()).bytes(), b"a");
        outbox.push(b"b", &[conn(0), conn(1)], Loss::Never);
        assert_eq!(drain(&mut outbox), [(1, "ab".to_owned()), (0, "b".to_owned())]);
    }

    #[test]
    fn nothing_pending_reaches_a_successor() {
        let mut outbox = Outbox::default();
        outbox.push(b"secret", &[conn(0), conn(1)], Loss::Never);
        outbox.forget(conn(0));
        let successor = ConnId { index: 0, generation: 99 };
        outbox.push(b"hello", &[successor], Loss::Never);
        let mut written = Vec::new();
        while let Some(conn) = outbox.next_dirty() {
            written.push((conn, outbox.take(conn, &mut Vec::new()).bytes().to_vec()));
        }
        written.retain(|(_, bytes)| !bytes.is_empty());
        assert_eq!(written, [(conn(1), b"secret".to_vec()), (successor, b"hello".to_vec())]);
    }

    #[test]
    fn a_run_knows_its_packets_and_which_of_them_may_be_dropped() {
        let namespace = NamespaceId::registered(7);
        let mut outbox = Outbox::default();
        outbox.push(b"not yours", &[conn(1), conn(2)], Loss::Never);
        for (frame, loss) in
            [(&b"one"[..], Loss::Policy(namespace)), (b"three", Loss::Volatile(namespace))]
        {
            outbox.push(frame, &[conn(0), conn(1)], loss);
            outbox.push(b"ack", &[conn(0)], Loss::Never);
            outbox.push(b"two", &[conn(0), conn(1)], loss);
        }
        let mut seen = Vec::new();
        let mut scratch = Vec::new();
        let run = outbox.take(conn(0), &mut scratch);
        run.for_each_packet(|packet, loss| seen.push((packet.to_vec(), loss)));
        let bytes: Vec<u8> = seen.iter().flat_map(|(packet, _)| packet.clone()).collect();
        assert_eq!(bytes, run.bytes());
        let seen: Vec<_> = seen.iter().map(|(packet, loss)| (&packet[..], *loss)).collect();
        let (policy, volatile) = (Loss::Policy(namespace), Loss::Volatile(namespace));
        let expected: [(&[u8], Loss); 6] = [
            (b"one", policy),
            (b"ack", Loss::Never),
            (b"two", policy),
            (b"three", volatile),
            (b"ack", Loss::Never),
            (b"two", volatile),
        ];
        assert_eq!(seen, expected);
        let mut count = 0;
        outbox.take(conn(1), &mut scratch).for_each_packet(|_, _| count += 1);
        outbox.take(conn(3), &mut scratch).for_each_packet(|_, _| count += 1);
        assert_eq!(count, 5);
    }

    /// A stream that carries HTTP requests has given its place away long before it ends.
    #[test]
    fn who_goes_late_takes_nothing_of_a_successor_along() {
        let mut outbox = Outbox::default();
        let successor = ConnId { index: 0, generation: 99 };
        outbox.push(b"hello", &[successor], Loss::Never);
        outbox.forget(conn(0));
        assert_eq!(drain(&mut outbox), [(0, "hello".to_owned())]);
    }
}
