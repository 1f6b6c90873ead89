//! Which end of a socket it is that the server gives a reason for.
//!
//! A handler tells the reason, behind those calls of the connection that still run; that the
//! socket is gone is witnessed where its namespace is at home, which may be another shard. So
//! either comes first; and a session that has come back over another connection goes by the
//! same id, with its next end, whose reason may be told before.
//!
//! ```text
//!   closed --- calls still run ------------------------------ the reason is told
//!        \
//!         +--- witnessed --- recovered --- closed --- the reason is told
//! ```
//!
//! So a reason is that of any end so far which it fits, and then of no other. One that fits
//! none of them, nor what is known now, is wrong.

use std::collections::BTreeMap;

/// What was known at ends whose reasons may still be told, by the ids of their sockets.
#[derive(Debug)]
pub(crate) struct Ends<'a, T> {
    open: BTreeMap<&'a str, Vec<T>>,
}

impl<T> Default for Ends<'_, T> {
    fn default() -> Self {
        Self { open: BTreeMap::new() }
    }
}

impl<'a, T> Ends<'a, T> {
    /// A socket is gone, of which so much is known now.
    pub(crate) fn witness(&mut self, sid: &'a str, known: T) {
        self.open.entry(sid).or_default().push(known);
    }

    /// Whether there is an end that a reason which is told now fits: it is that one's then.
    pub(crate) fn explain(&mut self, sid: &str, fits: impl Fn(&T) -> bool) -> bool {
        let Some(open) = self.open.get_mut(sid) else { return false };
        let place = open.iter().position(fits);
        if let Some(place) = place {
            open.remove(place);
        }
        place.is_some()
    }

    /// What was known at the latest end.
    pub(crate) fn latest(&self, sid: &str) -> Option<&T> {
        self.open.get(sid)?.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_that_of_one_end_which_it_fits() {
        let mut ends = Ends::default();
        ends.witness("a", 1);
        ends.witness("b", 2);
        ends.witness("a", 3);
        assert!(!ends.explain("b", |&known| known > 2));
        assert_eq!(ends.latest("a"), Some(&3));
        assert!(ends.explain("a", |&known| known > 2), "though an earlier one has none yet");
        assert!(!ends.explain("a", |&known| known > 2), "that one has its reason");
        assert!(ends.explain("a", |&known| known > 0));
        assert!(!ends.explain("c", |_| true));
    }
}
