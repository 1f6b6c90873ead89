//! What waits for a peer that does not take what is sent to it.
//!
//! Packets wait whole, each as it will be written, up to a number and up to a
//! sum of bytes. What happens at either bound is for each packet's namespace to
//! say ([`Policy`]). This is pure; streams and polls take from it what they can.
//!
//! ```text
//!            +-- to be kept -----------+
//!  push  --> +-- newest is dropped ----+ --> in the order of pushes --> being written
//!            +-- oldest is dropped ----+                                (never dropped)
//! ```
//!
//! # Guarantees
//!
//! * What comes out is whole packets, in the order in which they were pushed.
//! * Never more is held than the bounds say, what is being written included.
//! * A packet that may not be dropped comes out, or the push says that the
//!   connection has to end.
//! * Every operation takes a time that does not depend on how much waits, except
//!   that of what it drops or hands out.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::hub::{Drops, Loss, Policy};

/// What is taken at a time to be written.
const CHUNK_BYTES: usize = 64 * 1024;

/// How much may wait for one peer, and what happens then.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) bytes_max: usize,
    pub(super) packets_max: usize,
    /// Of each namespace, by the number of its registration.
    pub(super) policies: Vec<Policy>,
}

impl Bounds {
    fn line(&self, loss: Loss) -> Line {
        let namespace = match loss {
            Loss::Never => return Line::Kept,
            Loss::Policy(namespace) | Loss::Volatile(namespace) => namespace,
        };
        match self.policies.get(namespace.template()) {
            Some(Policy::Disconnect) | None => Line::Kept,
            Some(Policy::DropNewest) => Line::Newest,
            Some(Policy::DropOldest) => Line::Oldest,
        }
    }
}

/// A packet that may not be dropped does not fit: the connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What waits for one peer.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// What is being written.
    chunk: Vec<u8>,
    written: usize,
    /// Where those packets of `chunk` end that are not written yet.
    ends: VecDeque<usize>,
    /// By [`Line`].
    lines: [Packets; 3],
    /// How many packets were pushed.
    pushed: u64,
}

/// Where a packet waits: by what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Kept,
    Newest,
    Oldest,
}

/// Packets that wait, each with its number among all that were pushed.
#[derive(Debug, Default)]
struct Packets {
    queue: VecDeque<(u64, Box<[u8]>)>,
    bytes: usize,
}

impl Packets {
    fn pop_front(&mut self) -> Option<Box<[u8]>> {
        let (_, packet) = self.queue.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }

    fn pop_back(&mut self) -> Option<Box<[u8]>> {
        let (_, packet) = self.queue.pop_back()?;
        self.bytes -= packet.len();
        Some(packet)
    }
}

impl Backlog {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        let unwritten = self.chunk.len() - self.written;
        unwritten + self.lines.iter().map(|line| line.bytes).sum::<usize>()
    }

    /// Packets that wait, the one that is partly written included.
    pub(super) fn packets(&self) -> usize {
        self.ends.len() + self.lines.iter().map(|line| line.queue.len()).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The rest of a packet whose beginning was written already, before any other.
    ///
    /// # Errors
    ///
    /// [`Full`] if that alone is too much.
    pub(super) fn push_rest(&mut self, rest: &[u8], bounds: &Bounds) -> Result<(), Full> {
        debug_assert!(self.is_empty(), "what is partly written comes first");
        (self.chunk, self.written, self.ends) = (rest.to_vec(), 0, [rest.len()].into());
        if rest.len() > bounds.bytes_max { Err(Full) } else { Ok(()) }
    }

    /// A packet behind all that waits. Makes room for it, or drops it, as the
    /// policies say; what is dropped is counted.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room, and none can be made.
    pub(super) fn push(
        &mut self,
        packet: &[u8],
        loss: Loss,
        bounds: &Bounds,
        drops: &mut Drops,
    ) -> Result<(), Full> {
        let line = bounds.line(loss);
        // What could not make room for itself drops nothing first.
        let fits = match line {
            Line::Kept => self.has_room(packet, bounds, &[Line::Oldest, Line::Newest]),
            Line::Newest => self.has_room(packet, bounds, &[]),
            Line::Oldest => self.has_room(packet, bounds, &[Line::Oldest]),
        };
        if !fits {
            match line {
                Line::Kept => return Err(Full),
                Line::Newest => drops.newest += 1,
                Line::Oldest => drops.oldest += 1,
            }
            return Ok(());
        }
        while !self.has_room(packet, bounds, &[]) {
            if self.lines[Line::Oldest as usize].pop_front().is_some() {
                drops.oldest += 1;
            } else if self.lines[Line::Newest as usize].pop_back().is_some() {
                drops.newest += 1;
            }
        }
        self.append(packet.into(), line);
        Ok(())
    }

    /// A packet that is taken at once, behind nothing, and so never waits.
    pub(super) fn pass(&mut self, packet: &[u8]) {
        self.append(packet.into(), Line::Kept);
    }

    /// Appends all that waits elsewhere, each packet spelled anew, whatever the
    /// bounds: they held there.
    pub(super) fn absorb(
        &mut self,
        mut other: Self,
        mut respell: impl for<'a> FnMut(&'a [u8]) -> Cow<'a, [u8]>,
    ) {
        debug_assert!(other.chunk.is_empty(), "nothing of it is being written");
        while let Some((line, packet)) = other.pop() {
            self.append(respell(&packet).as_ref().into(), line);
        }
    }

    /// Takes all that waits, as one run of bytes.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        let mut all = self.chunk.split_off(self.written);
        all.reserve(self.bytes());
        while let Some((_, packet)) = self.pop() {
            all.extend_from_slice(&packet);
        }
        *self = Self::default();
        all
    }

    /// What is to be written next; empty only if nothing waits.
    pub(super) fn unwritten(&mut self) -> &[u8] {
        if self.chunk.is_empty() {
            while self.chunk.len() < CHUNK_BYTES
                && let Some((_, packet)) = self.pop()
            {
                if self.chunk.is_empty() {
                    self.chunk = packet.into_vec();
                } else {
                    self.chunk.extend_from_slice(&packet);
                }
                self.ends.push_back(self.chunk.len());
            }
        }
        &self.chunk[self.written..]
    }

    /// Notes how much of [`unwritten`](Self::unwritten) has been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        debug_assert!(self.written <= self.chunk.len(), "only what was handed out is written");
        if self.written == self.chunk.len() {
            (self.chunk, self.written, self.ends) = (Vec::new(), 0, VecDeque::new());
        }
        while self.ends.front().is_some_and(|&end| end <= self.written) {
            self.ends.pop_front();
        }
    }

    /// Whether `packet` fits, once these lines have been emptied as far as it takes.
    fn has_room(&self, packet: &[u8], bounds: &Bounds, emptied: &[Line]) -> bool {
        let (mut bytes, mut packets) = (self.bytes(), self.packets());
        for &line in emptied {
            bytes -= self.lines[line as usize].bytes;
            packets -= self.lines[line as usize].queue.len();
        }
        bytes + packet.len() <= bounds.bytes_max && packets < bounds.packets_max
    }

    fn append(&mut self, packet: Box<[u8]>, line: Line) {
        let line = &mut self.lines[line as usize];
        line.bytes += packet.len();
        line.queue.push_back((self.pushed, packet));
        self.pushed += 1;
    }

    /// Takes the packet that was pushed first.
    fn pop(&mut self) -> Option<(Line, Box<[u8]>)> {
        let number =
            |line: Line| self.lines[line as usize].queue.front().map(|&(number, _)| (number, line));
        let fronts = [Line::Kept, Line::Newest, Line::Oldest].into_iter().filter_map(number);
        let (_, line) = fronts.min_by_key(|&(number, _)| number)?;
        Some((line, self.lines[line as usize].pop_front()?))
    }
}

#[cfg(test)]
mod tests;
