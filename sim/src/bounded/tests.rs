//! Histories made by hand: socket 0 is slow, socket 1 speaks.

use super::*;
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
    both.into_iter().chain(parts.concat()).map(|event| (0, event)).collect()
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

#[test]
fn who_is_closed_as_too_slow_had_that_much_to_hear() {
    let plan = plan(Policy::Disconnect);
    assert_eq!(sentences(&plan, &at_once(&[said(10), vec![closed()]])), [""; 0]);
    let early = sentences(&plan, &at_once(&[said(2), vec![closed()]]));
    assert!(early[0].contains("no more than 14 packets"), "{early:?}");
    // What was said before the last pong but one has arrived.
    let pongs = || vec![pong(), pong()];
    let read = sentences(&plan, &at_once(&[said(10), pongs(), vec![closed()]]));
    assert!(read[0].contains("no more than 10 packets"), "{read:?}");
    let late = at_once(&[said(10), vec![pong()], vec![closed()]]);
    assert_eq!(sentences(&plan, &late), [""; 0]);
}

#[test]
fn few_long_messages_may_be_too_much_as_well() {
    let plan = plan(Policy::Disconnect);
    let long =
        Event::Sent { message: message(1), room: "a".to_owned(), attachments: 0, bytes: 9_000 };
    let events = [vec![long], said(1)[1..].to_vec(), vec![closed()]];
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
    let most_ms = plan.passage_ms();
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
    assert_eq!(dropped(&history(&events)), 4);
    assert!(uncounted(4, 4, 0).is_none());
    let sentence = uncounted(5, 4, 0).expect("one more").sentence;
    assert_eq!(sentence, "members have lost 5 messages, and the server has dropped 4");
}
