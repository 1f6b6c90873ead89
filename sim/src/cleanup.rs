//! The guarantee `cleanup`: when the last client has gone, nothing is left of any.
//!
//! Every run ends with a phase in which all clients go: some say so, some drop their
//! connections, some vanish and are noticed by their silence. Then the server counts
//! what it holds ([`Event::Census`]), and that has to be nothing.

use std::collections::BTreeSet;

use crate::history::{Entry, Event, History, Mark};
use crate::judge::Failure;
use crate::promise::CLEANUP;

/// Judges what the server holds in the end; of a history that has no such count, nothing.
pub fn check(history: &History) -> Vec<Failure> {
    let failure = |at_us, held: &[(String, u64)]| Failure {
        guarantee: CLEANUP.to_owned(),
        sentence: format!("everybody has gone, and the server still holds {}", list(held)),
        at_us,
        needs_witness: true,
        sockets: BTreeSet::new(),
        messages: BTreeSet::new(),
        rooms: BTreeSet::new(),
    };
    let judge = |entry: &Entry| {
        let Event::Census { held } = &entry.event else { return None };
        (!held.is_empty()).then(|| failure(entry.at_us, held))
    };
    let entries = history.entries();
    let is_over = |entry: &Entry| entry.event == Event::Quiet { mark: Mark::Gone };
    let is_told = |entry: &Entry| matches!(entry.event, Event::Census { .. });
    if let Some(end) = entries.iter().find(|entry| is_over(entry))
        && !entries.iter().any(is_told)
    {
        return vec![failure(end.at_us, &[("what it does not say".to_owned(), 1)])];
    }
    entries.iter().filter_map(judge).collect()
}

/// What is held, for people.
pub(crate) fn list(held: &[(String, u64)]) -> String {
    let held = held.iter().map(|(what, many)| format!("{many} {what}"));
    let held: Vec<String> = held.collect();
    if held.is_empty() { "nothing".to_owned() } else { held.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(held: &[(&str, u64)]) -> Vec<String> {
        let mut history = History::default();
        let held = held.iter().map(|&(what, many)| (what.to_owned(), many)).collect();
        history.push(0, Event::Census { held });
        check(&history).into_iter().map(|failure| failure.sentence).collect()
    }

    #[test]
    fn nothing_is_left_or_it_is_named() {
        assert_eq!(sentences(&[]), [""; 0]);
        let mut silent = History::default();
        silent.push(0, Event::Quiet { mark: Mark::Gone });
        assert_eq!(check(&silent).len(), 1);
        assert_eq!(
            sentences(&[("rooms", 2), ("sockets", 1)]),
            ["everybody has gone, and the server still holds 2 rooms, 1 sockets"]
        );
    }
}
