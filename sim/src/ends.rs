//! Which end of a socket it is that the server gives a reason for.
//!
//! A handler tells the reason, behind those calls of the socket that still run; that it is
//! gone is witnessed where its namespace is at home, which may be another shard. So either
//! comes first, and a session that has come back meanwhile goes by the same id.
//!
//! ```text
//!   closed --- calls still run --- the reason is told
//!        \
//!         +--- witnessed --- recovered, over another connection
//! ```

use std::collections::{BTreeMap, VecDeque};

/// Ends and their reasons, by the ids of their sockets: what was known at an end is kept
/// until its reason is told.
#[derive(Debug)]
pub(crate) struct Ends<'a, T> {
    open: BTreeMap<&'a str, Open<T>>,
}

/// Of one of the two there have been more so far.
#[derive(Debug)]
struct Open<T> {
    unexplained: VecDeque<T>,
    explained_early: u64,
}

impl<T> Default for Ends<'_, T> {
    fn default() -> Self {
        Self { open: BTreeMap::new() }
    }
}

impl<T> Default for Open<T> {
    fn default() -> Self {
        Self { unexplained: VecDeque::new(), explained_early: 0 }
    }
}

impl<'a, T> Ends<'a, T> {
    /// A socket is gone, of which so much is known now.
    pub(crate) fn witness(&mut self, sid: &'a str, known: T) {
        let open = self.open.entry(sid).or_default();
        match open.explained_early.checked_sub(1) {
            None => open.unexplained.push_back(known),
            Some(left) => open.explained_early = left,
        }
    }

    /// The reason is told of the first end that has none yet: what was known then; nothing
    /// if that end is not witnessed yet, and so all is as it was.
    pub(crate) fn explain(&mut self, sid: &'a str) -> Option<T> {
        let open = self.open.entry(sid).or_default();
        let known = open.unexplained.pop_front();
        open.explained_early += u64::from(known.is_none());
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_that_of_the_end_in_its_place() {
        let mut ends = Ends::default();
        ends.witness("a", 1);
        ends.witness("b", 2);
        ends.witness("a", 3);
        assert_eq!(
            [ends.explain("a"), ends.explain("a"), ends.explain("a")],
            [Some(1), Some(3), None]
        );
        // That one came first, so the next end has its reason.
        ends.witness("a", 4);
        ends.witness("a", 5);
        assert_eq!([ends.explain("a"), ends.explain("b")], [Some(5), Some(2)]);
    }
}
