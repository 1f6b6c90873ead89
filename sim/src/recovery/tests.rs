//! Histories made by hand: `x`, socket 0, is recovered; `y`, socket 1, speaks to it.

use super::*;
use crate::judge::judge;
use crate::plan::Plan;
use crate::swarm::{Profile, generate};

const X: SocketId = SocketId(0);
const Y: SocketId = SocketId(1);

fn connected(socket: SocketId, sid: &str) -> Event {
    let server = "s".to_owned();
    Event::Connected { socket, client: socket.0, sid: sid.to_owned(), server }
}

fn engine(order: Order) -> Event {
    Event::Witnessed { order }
}

fn connect(sid: &str) -> Event {
    engine(Order::Connect { sid: sid.to_owned() })
}

fn gone() -> Event {
    engine(Order::Disconnect { sid: "x".to_owned() })
}

fn join(sid: &str, room: &str) -> Event {
    engine(Order::Join { sid: sid.to_owned(), room: room.to_owned() })
}

fn leave(room: &str) -> Event {
    engine(Order::Leave { sid: "x".to_owned(), room: room.to_owned() })
}

fn message(number: u64) -> MessageId {
    MessageId { by: Y, number }
}

fn sent(number: u64) -> Event {
    Event::Sent { message: message(number), room: "a".to_owned(), attachments: 0, bytes: 9 }
}

fn said(number: u64) -> Event {
    let (sid, room) = ("y".to_owned(), "a".to_owned());
    engine(Order::Broadcast { sid, room, seq: Some(number), message: Some(message(number)) })
}

fn heard(number: u64) -> Event {
    Event::Delivered {
        socket: X,
        room: "a".to_owned(),
        message: message(number),
        from: Some(Y),
        seq: Some(number),
        intact: true,
    }
}

fn ended() -> Event {
    Event::Ended { socket: X, reason: "cut".to_owned() }
}

fn recovered() -> Event {
    Event::Recovered { socket: X, client: 0 }
}

fn is_in(socket: SocketId) -> Vec<Event> {
    let room = || "a".to_owned();
    vec![Event::JoinSent { socket, room: room() }, Event::JoinAcked { socket, room: room() }]
}

/// `x` and `y` are in room `a`; `x` hears message 1, is cut off, and is away for message 2.
fn beginning() -> Vec<Event> {
    let joins = vec![connect("x"), connected(X, "x"), connect("y"), connected(Y, "y")];
    let [x, y] = [(X, "x"), (Y, "y")].map(|(socket, sid)| {
        let mut events = is_in(socket);
        events.insert(1, join(sid, "a"));
        events
    });
    let cut = vec![sent(1), said(1), heard(1), ended(), gone(), sent(2), said(2)];
    [joins, x, y, cut].concat()
}

fn back() -> Vec<Event> {
    vec![connect("x"), join("x", "a"), recovered()]
}

fn settled() -> Event {
    Event::Quiet { mark: Mark::Settled }
}

fn history(parts: &[Vec<Event>]) -> History {
    let mut history = History::default();
    for (at_us, event) in parts.concat().into_iter().enumerate() {
        history.push(at_us as u64, event);
    }
    history
}

fn sentences(parts: &[Vec<Event>]) -> Vec<String> {
    let history = history(parts);
    let dropped = Dropped::of(&generate(0, &Profile::default()), &history);
    let failures = check(&history, dropped).into_iter();
    let sentence =
        |it: Failure| it.sentence.trim_start_matches("client 0 was recovered: ").to_owned();
    failures.map(sentence).collect()
}

/// A plan without faults, and with more patience than these histories are long.
fn calm() -> Plan {
    generate(0, &Profile { faults: false, ..Profile::default() })
}

/// What the engine's order is needed for, and what not.
fn accused_by(parts: &[Vec<Event>]) -> (bool, bool) {
    let failures = judge(&calm(), &history(parts)).failures;
    let by = |witness| {
        failures.iter().any(|it| it.guarantee == RECOVERY_EXACT && it.needs_witness == witness)
    };
    let others: Vec<_> = failures.iter().filter(|it| it.guarantee != RECOVERY_EXACT).collect();
    assert!(others.iter().all(|it| it.guarantee == "heals" || it.needs_witness), "{others:#?}");
    (by(false), by(true))
}

#[test]
fn replay_then_live_traffic_is_exact() {
    let live = vec![sent(3), said(3), heard(2), heard(3), settled()];
    let parts = [beginning(), back(), live];
    assert_eq!(sentences(&parts), [""; 0]);
    assert_eq!(accused_by(&parts), (false, false));
}

#[test]
fn a_gap_is_seen_by_clients_too() {
    for rest in [vec![settled()], vec![sent(3), said(3), heard(3), settled()]] {
        let parts = [beginning(), back(), rest];
        assert_eq!(sentences(&parts), ["it was a member, and never hears something"]);
        assert_eq!(accused_by(&parts), (true, true));
    }
}

#[test]
fn a_duplicate_is_seen_by_clients_too() {
    for rest in [vec![heard(1), heard(2)], vec![heard(2), heard(2)]] {
        let parts = [beginning(), back(), rest, vec![settled()]];
        assert_eq!(sentences(&parts), ["it hears something which it had heard before"]);
        assert_eq!(accused_by(&parts), (true, true));
    }
}

#[test]
fn a_live_message_before_the_replay_is_out_of_order() {
    let parts = [beginning(), back(), vec![sent(3), said(3), heard(3), heard(2), settled()]];
    assert_eq!(sentences(&parts), ["it hears something after what was said later"]);
    assert_eq!(accused_by(&parts), (true, true));
}

#[test]
fn it_must_be_put_back_into_exactly_its_rooms() {
    for rooms in [vec![], vec!["b"], vec!["a", "b"]] {
        let joins = rooms.iter().map(|room| join("x", room)).collect();
        let parts = [beginning(), vec![connect("x")], joins, vec![recovered(), heard(2)]];
        assert!(
            sentences(&parts)[0].starts_with("it was in {\"a\"}, and is put back"),
            "{rooms:?}"
        );
    }
}

#[test]
fn what_is_of_no_room_of_its_is_not_for_it() {
    let mut events = beginning();
    events.insert(events.len() - 4, leave("a"));
    let parts = [events, vec![connect("x"), recovered(), heard(2), settled()]];
    assert_eq!(sentences(&parts), ["it hears something which was not for it"]);
}

#[test]
fn a_session_has_one_connection_at_a_time() {
    let mut events = beginning();
    events.retain(|event| *event != gone());
    let parts = [events, back(), vec![heard(2), settled()]];
    assert_eq!(sentences(&parts), ["the engine has two connections for it at once"]);
    // Or as its client sees it, which never lost the first.
    let mut events = beginning();
    events.retain(|event| *event != ended());
    let parts = [events, back(), vec![heard(2), settled()]];
    assert_eq!(sentences(&parts), ["its client has two connections at once"]);
}

#[test]
fn who_is_not_recovered_or_away_at_the_end_may_lack_the_last() {
    assert_eq!(sentences(&[beginning(), vec![settled()]]), [""; 0]);
    assert_eq!(sentences(&[beginning(), back(), vec![ended(), settled()]]), [""; 0]);
    // But nothing in the middle.
    let parts = [beginning(), back(), vec![sent(3), said(3), heard(3), ended(), settled()]];
    assert_eq!(sentences(&parts).len(), 1);
}

#[test]
fn its_own_messages_are_none_of_its_stream() {
    let own = MessageId { by: X, number: 9 };
    let (sid, room) = ("x".to_owned(), "a".to_owned());
    let broadcast = engine(Order::Broadcast { sid, room, seq: Some(2), message: Some(own) });
    let parts = [beginning(), back(), vec![heard(2), broadcast, settled()]];
    assert_eq!(sentences(&parts), [""; 0]);
}

#[test]
fn what_is_dropped_for_who_is_slow_is_no_gap_but_ends_its_session() {
    let dropped = vec![Event::Backlog { packets: 1, bytes: 1, dropped: 1 }];
    let lossy = vec![heard(2), sent(3), said(3), sent(4), said(4), heard(4)];
    let parts = [beginning(), back(), lossy.clone(), vec![settled()]];
    assert_eq!(sentences(&parts), ["it was a member, and never hears something"]);
    let parts = [dropped.clone(), beginning(), back(), lossy.clone(), vec![settled()]];
    assert_eq!(sentences(&parts), [""; 0]);
    let again = vec![ended(), gone()];
    let parts = [dropped.clone(), beginning(), back(), lossy, again, back(), vec![settled()]];
    assert_eq!(sentences(&parts), ["it had lost something for good before"]);
    // What it missed while it was away is said again, and not dropped.
    let parts = [dropped, beginning(), back(), vec![settled()]];
    assert_eq!(sentences(&parts), ["it was a member, and never hears something"]);
}
