//! The guarantee `cleanup`: when the last client has gone, nothing is left of any.
//!
//! Every run ends with a phase in which all clients go: some say so, some drop their
//! connections, some vanish and are noticed by their silence. Then the server counts
//! what it holds ([`Event::Census`]), and that has to be nothing.

use crate::history::{Entry, Event, History, Mark};
use crate::judge::Failure;
use crate::promise::CLEANUP;

/// Judges what the server holds in the end; of a history that has no such count, nothing.
pub fn check(history: &History) -> Vec<Failure> {
    let mut is_told = false;
    let mut failures = Vec::new();
    for Entry { at_us, event } in history.entries() {
        if let Event::Census { held } = event {
            is_told = true;
            if !held.is_empty() {
                failures.push(failure(*at_us, &list(held)));
            }
        } else if *event == (Event::Quiet { mark: Mark::Gone }) && !is_told {
            failures.push(failure(*at_us, "what it does not say"));
        }
    }
    failures
}

fn failure(at_us: u64, held: &str) -> Failure {
    let sentence = format!("everybody has gone, and the server still holds {held}");
    Failure { needs_witness: true, ..Failure::new(CLEANUP, sentence, at_us, []) }
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
