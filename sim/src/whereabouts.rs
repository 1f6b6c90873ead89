//! Where a client is for certain, as it knows itself: what an interrupted request has come
//! to, it does not.

use std::collections::BTreeMap;

/// The rooms that a client has asked about over its session.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(BTreeMap<String, Place>);

#[derive(Debug, Default)]
struct Place {
    /// What the last answer left it as.
    is_in: bool,
    /// Requests without an answer.
    open: u32,
}

impl Whereabouts {
    /// A request is on its way.
    pub(crate) fn ask(&mut self, room: &str) {
        self.0.entry(room.to_owned()).or_default().open += 1;
    }

    /// A request was answered; what was refused changes nothing.
    pub(crate) fn answer(&mut self, room: &str, is_in: Option<bool>) {
        let place = self.0.entry(room.to_owned()).or_default();
        place.open = place.open.saturating_sub(1);
        place.is_in = is_in.unwrap_or(place.is_in);
    }

    /// Its connection has ended: what has no answer gets none.
    pub(crate) fn interrupt(&mut self) {
        self.0.retain(|_, place| place.open == 0);
    }

    /// Whether it is in the room, whatever may be under way.
    pub(crate) fn are_in(&self, room: &str) -> bool {
        self.0.get(room).is_some_and(|place| place.is_in && place.open == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_last_request_is_certain() {
        let mut whereabouts = Whereabouts::default();
        let mut story = Vec::new();
        for answer in [None, Some(Some(true)), None, None, Some(Some(false)), Some(Some(true))] {
            match answer {
                None => whereabouts.ask("a"),
                Some(is_in) => whereabouts.answer("a", is_in),
            }
            story.push(whereabouts.are_in("a"));
        }
        assert_eq!(story, [false, true, false, false, false, true]);
        whereabouts.ask("a");
        whereabouts.answer("a", None);
        assert!(whereabouts.are_in("a"), "a refusal changes nothing");
        whereabouts.interrupt();
        assert!(whereabouts.are_in("a"), "nothing was interrupted");
        whereabouts.ask("a");
        whereabouts.interrupt();
        assert!(!whereabouts.are_in("a"));
    }
}
