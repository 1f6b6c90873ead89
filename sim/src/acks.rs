//! No ack before what it confirms: with the witness, every join, leave and switch that
//! a client has an ack of stands in the engine's order already.
//!
//! Clients alone see a membership published late only if a message is quick enough to fall
//! into the gap. The witness shows the gap itself.

use std::collections::BTreeMap;

use parlor::check::Guarantee;

use crate::history::{Entry, Event, History, Order, SocketId};
use crate::judge::Failure;

/// What is confirmed: the socket, the rooms left and joined.
type Step<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// Judges every ack against the engine's order so far.
pub fn check(history: &History) -> Vec<Failure> {
    let mut sids: BTreeMap<SocketId, &str> = BTreeMap::new();
    // How many more steps of each kind are in the order than were confirmed.
    let mut unconfirmed: BTreeMap<Step<'_>, u32> = BTreeMap::new();
    let mut failures = Vec::new();
    for entry in history.until_settled() {
        if let Event::Connected { socket, sid, .. } = &entry.event {
            sids.insert(*socket, sid);
        }
        if let Event::Recovered { socket, .. } = &entry.event {
            // What was not confirmed before never is; nor are the rooms it is put back into.
            let sid = sids.get(socket).copied();
            unconfirmed.retain(|(of, ..), _| Some(*of) != sid);
        }
        if let Some(step) = witnessed(&entry.event) {
            *unconfirmed.entry(step).or_default() += 1;
        }
        let Some((socket, left, joined, guarantee)) = confirmed(&entry.event) else { continue };
        let Some(sid) = sids.get(&socket) else { continue };
        let count = unconfirmed.entry((sid, left, joined)).or_default();
        match count.checked_sub(1) {
            Some(fewer) => *count = fewer,
            None => failures.push(early(entry, socket, guarantee)),
        }
    }
    failures
}

fn witnessed(event: &Event) -> Option<Step<'_>> {
    let Event::Witnessed { order } = event else { return None };
    Some(match order {
        Order::Broadcast { .. } | Order::Connect { .. } | Order::Disconnect { .. } => return None,
        Order::Join { sid, room } => (sid, None, Some(room)),
        Order::Leave { sid, room } => (sid, Some(room), None),
        Order::Switch { sid, from, to } => (sid, Some(from), Some(to)),
    })
}

/// What an ack confirms, and the guarantee that it breaks if it is early.
fn confirmed(event: &Event) -> Option<(SocketId, Option<&str>, Option<&str>, Guarantee)> {
    if let Event::JoinAcked { socket, room } = event {
        Some((*socket, None, Some(room), Guarantee::JoinThenHear))
    } else if let Event::LeaveAcked { socket, room } = event {
        Some((*socket, Some(room), None, Guarantee::SilentAfterLeave))
    } else if let Event::SwitchAcked { socket, from, to } = event {
        Some((*socket, Some(from), Some(to), Guarantee::SwitchAtomic))
    } else {
        None
    }
}

fn early(entry: &Entry, socket: SocketId, guarantee: Guarantee) -> Failure {
    let sentence = "an ack arrived for what has no place in the engine's order yet".to_owned();
    let rooms = entry.event.rooms().map(str::to_owned).collect();
    let failure = Failure::new(guarantee.name(), sentence, entry.at_us, [socket]);
    Failure { needs_witness: true, rooms, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId(0);

    fn failures(events: Vec<Event>) -> Vec<String> {
        let mut history = History::default();
        let (sid, server) = ("sid".to_owned(), "s".to_owned());
        history.push(0, Event::Connected { socket: SOCKET, client: 0, sid, server });
        for event in events {
            history.push(0, event);
        }
        check(&history).into_iter().map(|failure| failure.guarantee).collect()
    }

    fn join() -> Event {
        let order = Order::Join { sid: "sid".to_owned(), room: "a".to_owned() };
        Event::Witnessed { order }
    }

    fn acked() -> Event {
        Event::JoinAcked { socket: SOCKET, room: "a".to_owned() }
    }

    #[test]
    fn an_ack_after_its_step_is_in_order() {
        assert_eq!(failures(vec![join(), join(), acked(), acked()]), [""; 0]);
    }

    #[test]
    fn an_ack_before_its_step_is_early() {
        assert_eq!(failures(vec![acked(), join()]), ["join_then_hear"]);
        assert_eq!(failures(vec![join(), acked(), acked(), join()]), ["join_then_hear"]);
    }

    #[test]
    fn a_join_does_not_confirm_a_switch() {
        let (from, to) = ("b".to_owned(), "a".to_owned());
        let acked = Event::SwitchAcked { socket: SOCKET, from, to };
        assert_eq!(failures(vec![join(), acked]), ["switch_atomic"]);
    }
}
