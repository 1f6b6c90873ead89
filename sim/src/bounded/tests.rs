//! Histories made by hand: socket 0 is slow, socket 1 speaks.

use super::*;
use crate::history::Order;
use crate::plan::{FaultKind, Outbound, Policy, StreamShape, Substrate, Transport};
use crate::swarm::{Profile, generate};

const SLOW: SocketId = SocketId(0);
const SPEAKER: SocketId = SocketId(1);

/// Twenty packets may wait, in ten thousand bytes; everything is there within 30 ms.
fn plan(policy: Policy) -> Plan {
    let profile = Profile { faults: false, all_of_the_chat: false, ..Profile::default() };
    let mut plan = generate(0, &profile);
    plan.network.latency.max_ms = plan.network.latency.min_ms;
    plan.network.stream = StreamShape::WIDE;
    plan.network.substrate = Substrate::Turmoil;
    plan.server.shards = 1;
    plan.server.outbound = Some(Outbound { packets_max: 20, bytes_max: 10_000, policy });
    for client in &mut plan.clients {
        (client.transport, client.half_open) = (Transport::WebSocket, None);
    }
    assert!(plan.delivery_ms() < 100, "{}", plan.delivery_ms());
    plan
}

fn connected(socket: SocketId) -> Event {
    let (sid, server) = (format!("sid {}", socket.0), "s".to_owned());
    Event::Connected { socket, client: socket.0, sid, server }
}

fn message(number: u64) -> MessageId {
    MessageId { by: SPEAKER, number }
}

/// So many messages, sent and accepted.
fn said(count: u64) -> Vec<Event> {
    let room = || "a".to_owned();
    let pairs = (1..=count).map(|number| {
        let sent =
            Event::Sent { message: message(number), room: room(), attachments: 0, bytes: 20 };
        let (sid, seq) = ("sid 1".to_owned(), Some(number));
        let order = Order::Broadcast { sid, room: room(), seq, message: Some(message(number)) };
        [sent, Event::Witnessed { order }]
    });
    pairs.flatten().collect()
}

fn heard(number: u64) -> Event {
    Event::Delivered {
        socket: SLOW,
        room: "a".to_owned(),
        message: message(number),
        from: Some(SPEAKER),
        seq: Some(number),
        intact: true,
    }
}

fn closed() -> Event {
    Event::GivenUp { sid: "sid 0".to_owned(), reason: SLOW_READER.to_owned() }
}

fn pong() -> Event {
    Event::Ponged { socket: SLOW }
}

fn backlog(packets: u64, bytes: u64, dropped: u64) -> Event {
    Event::Backlog { packets, bytes, dropped }
}

fn history(events: &[(u64, Event)]) -> History {
    let mut history = History::default();
    for (at_ms, event) in events {
        history.push(at_ms * 1000, event.clone());
    }
    history
}

fn sentences(plan: &Plan, events: &[(u64, Event)]) -> Vec<String> {
    check(plan, &history(events)).into_iter().map(|failure| failure.sentence).collect()
}

fn at_once(parts: &[Vec<Event>]) -> Vec<(u64, Event)> {
    let both = vec![connected(SLOW), connected(SPEAKER)];
    both.into_iter().chain([joined(SLOW)]).chain(parts.concat()).map(|event| (0, event)).collect()
}

fn joined(socket: SocketId) -> Event {
    let (sid, room) = (format!("sid {}", socket.0), "a".to_owned());
    Event::Witnessed { order: Order::Join { sid, room } }
}

fn left(socket: SocketId) -> Event {
    let (sid, room) = (format!("sid {}", socket.0), "a".to_owned());
    Event::Witnessed { order: Order::Leave { sid, room } }
}

fn asked(number: u64) -> Event {
    Event::Asked { socket: SLOW, number }
}

#[test]
fn no_more_waits_than_may() {
    let plan = plan(Policy::DropNewest);
    assert_eq!(sentences(&plan, &[(0, backlog(20, 10_000, 7))]), [""; 0]);
    assert_eq!(
        sentences(&plan, &[(0, backlog(21, 10_001, 0))]),
        [
            "21 packets wait for one client, and 20 may",
            "10001 bytes wait for one client, and 10000 may"
        ]
    );
}

#[test]
fn nothing_is_dropped_but_by_a_policy_that_drops() {
    let events = [(0, backlog(20, 900, 1))];
    assert_eq!(sentences(&plan(Policy::DropOldest), &events), [""; 0]);
    assert_eq!(
        sentences(&plan(Policy::Disconnect), &events),
        ["1 events were dropped, which is not the policy"]
    );
}

/// So much was for who is closed now, at most; nothing if that is as much as may wait.
fn accused(plan: &Plan, parts: &[Vec<Event>]) -> Option<String> {
    let sentences = sentences(plan, &at_once(&[parts.concat(), vec![closed()]]));
    assert!(sentences.len() < 2, "{sentences:?}");
    let words: Vec<&str> = sentences.first()?.split(' ').collect();
    let packets = words.iter().position(|word| *word == "packets")?;
    Some(words[packets - 1].to_owned())
}

#[test]
fn who_is_closed_as_too_slow_had_that_much_to_hear() {
    let plan = plan(Policy::Disconnect);
    let too_few = |count: u64| Some(count.to_string());
    // Of twenty that may wait three can be a ping, a noop, and a close.
    assert_eq!(accused(&plan, &[said(18)]), None);
    assert_eq!(accused(&plan, &[said(17)]), too_few(20));
    // What it has heard does not wait, nor what was said before that.
    assert_eq!(accused(&plan, &[said(18), vec![heard(1)]]), too_few(20));
    assert_eq!(accused(&plan, &[said(30), vec![heard(25)]]), too_few(8));
    // What is said to a room of others is not for it.
    assert_eq!(accused(&plan, &[vec![left(SLOW)], said(30)]), too_few(3));
}

#[test]
fn answers_wait_until_a_later_one_has_come() {
    let plan = plan(Policy::Disconnect);
    let answered = |number| Event::Answered { socket: SLOW, number };
    let questions: Vec<Event> = (1..=5).map(asked).collect();
    let accused = |more: Vec<Event>| accused(&plan, &[said(13), questions.clone(), more]);
    assert_eq!(accused(Vec::new()), None);
    assert_eq!(accused(vec![answered(4)]).as_deref(), Some("17"));
    assert_eq!(accused(vec![answered(5)]).as_deref(), Some("16"));
}

#[test]
fn who_types_may_be_told_to_all_and_who_comes_to_watchers() {
    let plan = plan(Policy::Disconnect);
    let typing = || Event::TypingSent { socket: SPEAKER, room: "a".to_owned() };
    let hints = |count| (0..count).map(|_| typing()).collect::<Vec<_>>();
    assert_eq!(accused(&plan, &[hints(18)]), None);
    // What was said before the last pong but one has arrived.
    assert_eq!(accused(&plan, &[hints(18), vec![pong()]]), None);
    assert_eq!(accused(&plan, &[hints(18), vec![pong(), pong()]]).as_deref(), Some("3"));
    let changes = || (0..18).map(|_| joined(SPEAKER)).collect::<Vec<_>>();
    let watch = Event::WatchSent { socket: SLOW, room: "a".to_owned() };
    assert_eq!(accused(&plan, &[changes()]).as_deref(), Some("3"));
    assert_eq!(accused(&plan, &[vec![watch], changes()]), None);
}

#[test]
fn all_that_share_a_connection_count() {
    let mut plan = plan(Policy::Disconnect);
    plan.clients[1].over = Some(plan.clients[0].id);
    let typing = || Event::TypingSent { socket: SPEAKER, room: "a".to_owned() };
    let hints = |count| (0..count).map(|_| typing()).collect::<Vec<_>>();
    // A greeting of three packets for each, a ping, a noop, a close; and of each hint one
    // packet to each, and another if it is refused.
    assert_eq!(accused(&plan, &[hints(3)]).as_deref(), Some("18"));
    assert_eq!(accused(&plan, &[hints(4)]), None);
}

#[test]
fn a_session_that_has_come_back_may_have_been_closed_before() {
    let mut plan = plan(Policy::Disconnect);
    plan.server.recovery_window_ms = 1_000;
    let gone = Event::Witnessed { order: Order::Disconnect { sid: "sid 0".to_owned() } };
    let since = vec![Event::Recovered { socket: SLOW, client: 0 }, heard(30), pong()];
    assert_eq!(accused(&plan, &[said(30), vec![gone], since.clone()]), None);
    assert_eq!(accused(&plan, &[said(30), since]).as_deref(), Some("6"));
}

#[test]
fn few_long_messages_may_be_too_much_as_well() {
    let plan = plan(Policy::Disconnect);
    let long =
        Event::Sent { message: message(1), room: "a".to_owned(), attachments: 0, bytes: 9_000 };
    let events = [vec![long], said(1)[1..].to_vec(), vec![closed()]];
    assert_eq!(sentences(&plan, &at_once(&[said(1), vec![closed()]])).len(), 1);
    assert_eq!(sentences(&plan, &at_once(&events)), [""; 0]);
}

#[test]
fn nobody_is_closed_as_too_slow_within_the_usual_bounds() {
    let mut plan = plan(Policy::Disconnect);
    plan.server.outbound = None;
    assert_eq!(sentences(&plan, &at_once(&[said(100), vec![closed()]])).len(), 1);
}

#[test]
fn nobody_waits_for_others() {
    let mut plan = plan(Policy::Disconnect);
    let late = |at_ms| {
        let mut events = at_once(&[said(1)]);
        events.push((at_ms, heard(1)));
        events
    };
    // A message of 20 bytes, perhaps in base 64, in its envelope, behind nothing.
    let most_ms = plan.passage_ms() + plan.through_us(327) / 1000;
    assert_eq!(sentences(&plan, &late(most_ms)), [""; 0]);
    assert_eq!(sentences(&plan, &late(most_ms + 1)).len(), 1);
    // Unless something was wrong with its own connection, or it had another one then.
    let mut back = late(most_ms + 1);
    back.insert(back.len() - 1, (5, Event::Recovered { socket: SLOW, client: 0 }));
    assert_eq!(sentences(&plan, &back), [""; 0]);
    let kind = FaultKind::SlowReader { clients: vec![0], bytes_per_ms: 1 };
    plan.faults = vec![Fault { from_ms: 0, until_ms: 1, kind }];
    assert_eq!(sentences(&plan, &late(most_ms + 1)), [""; 0]);
    plan.faults[0].kind = FaultKind::SlowReader { clients: vec![1], bytes_per_ms: 1 };
    assert_eq!(sentences(&plan, &late(most_ms + 1)).len(), 1);
}

#[test]
fn each_start_of_the_server_counts_anew_what_it_drops() {
    let starts = Event::Fault { what: SERVER_STARTS.to_owned() };
    let events = [(0, backlog(1, 1, 2)), (1, backlog(1, 1, 3)), (2, starts), (3, backlog(1, 1, 1))];
    let dropped = Dropped::of(&plan(Policy::DropNewest), &history(&events));
    assert_eq!(dropped.told, 4);
    assert!(dropped.uncounted(4, 0).is_none());
    let sentence = dropped.uncounted(5, 0).expect("one more").sentence;
    assert_eq!(sentence, "members have lost 5 messages, and the server has dropped 4");
}

#[test]
fn who_is_killed_may_have_dropped_what_it_never_told() {
    let killed = history(&[(0, Event::Fault { what: SERVER_KILLED.to_owned() })]);
    assert!(Dropped::of(&plan(Policy::DropOldest), &killed).uncounted(1, 0).is_none());
    assert!(Dropped::of(&plan(Policy::Disconnect), &killed).uncounted(1, 0).is_some());
}

/// Two ends of one session, the first of which is explained after the second.
#[test]
fn the_reason_of_an_end_may_be_told_before_that_of_an_earlier_one() {
    let mut plan = plan(Policy::Disconnect);
    plan.server.recovery_window_ms = 1_000;
    let gone = || Event::Witnessed { order: Order::Disconnect { sid: "sid 0".to_owned() } };
    let back = Event::Recovered { socket: SLOW, client: 0 };
    let ends = vec![gone(), back];
    assert_eq!(accused(&plan, &[ends.clone(), said(30), vec![gone()]]), None);
    assert_eq!(
        accused(&plan, &[ends, vec![gone()], said(30), vec![heard(30), pong(), pong()]]).as_deref(),
        Some("6")
    );
}
