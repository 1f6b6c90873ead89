//! What connections' tasks have yet to hear.

use std::collections::VecDeque;
use std::mem;

/// How many buffers are kept for the next ones; in a busy moment there are more.
const SPARES_MAX: usize = 64;

/// Buffers that have grown beyond so many notices are not kept.
const CAPACITY_MAX: usize = 64;

/// What waits for one connection's task, the oldest first.
///
/// It has a buffer while something waits and no longer: of thousands of
/// connections nearly all have nothing to hear.
#[derive(Debug)]
pub(super) struct Mailbox<T>(VecDeque<T>);

/// Buffers that no mailbox needs now.
#[derive(Debug)]
pub(super) struct Spares<T>(Vec<VecDeque<T>>);

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Mailbox<T> {
    pub(super) fn put(&mut self, notice: T, spares: &mut Spares<T>) {
        if self.0.capacity() == 0 {
            self.0 = spares.0.pop().unwrap_or_default();
        }
        self.0.push_back(notice);
    }

    pub(super) fn take(&mut self, spares: &mut Spares<T>) -> Option<T> {
        let notice = self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > 0 {
            let buffer = mem::take(&mut self.0);
            if spares.0.len() < SPARES_MAX && buffer.capacity() <= CAPACITY_MAX {
                spares.0.push(buffer);
            }
        }
        notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(mailbox: &mut Mailbox<usize>, count: usize, spares: &mut Spares<usize>) {
        (0..count).for_each(|number| mailbox.put(number, spares));
    }

    #[test]
    fn an_empty_mailbox_holds_no_memory() {
        let (mut mailbox, mut spares) = (Mailbox::default(), Spares::default());
        put(&mut mailbox, 3, &mut spares);
        let taken: Vec<_> = std::iter::from_fn(|| mailbox.take(&mut spares)).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(mailbox.0.capacity(), 0);
    }

    #[test]
    fn buffers_are_used_again_and_big_ones_are_not_kept() {
        let (mut first, mut second) = (Mailbox::default(), Mailbox::default());
        let mut spares = Spares::default();
        put(&mut first, 1, &mut spares);
        first.take(&mut spares);
        assert_eq!(spares.0.len(), 1);
        put(&mut second, 1, &mut spares);
        assert_eq!(spares.0.len(), 0, "the second has what the first had");
        put(&mut second, CAPACITY_MAX, &mut spares);
        while second.take(&mut spares).is_some() {}
        assert_eq!(spares.0.len(), 0);
    }

    #[test]
    fn only_a_few_buffers_are_kept() {
        let mut spares = Spares::default();
        let mut mailboxes: Vec<_> = (0..2 * SPARES_MAX).map(|_| Mailbox::default()).collect();
        mailboxes.iter_mut().for_each(|mailbox| put(mailbox, 1, &mut spares));
        assert!(mailboxes.iter_mut().all(|mailbox| mailbox.take(&mut spares).is_some()));
        assert_eq!(spares.0.len(), SPARES_MAX);
    }
}
