//! What one client may make the server hold, and how fast: each limit at its
//! bound and one past it.

use parlor::{Ack, Config, Io, Policy, Socket};
use serde_json::{Value, json};

use crate::client::{Seen, Wire};
use crate::embedded::Embedded;
use crate::operator::ten_for_a_poller;
use crate::poller::Poller;

/// Emits events on request, numbered from 0, and answers when all are out.
fn flood(io: &mut Io) {
    for (name, policy) in [
        ("/disconnect", Policy::Disconnect),
        ("/drop_newest", Policy::DropNewest),
        ("/drop_oldest", Policy::DropOldest),
    ] {
        let namespace = io.of(name);
        namespace.policy(policy);
        namespace.on("flood", async |socket: Socket, (count, bytes): (u32, usize), ack: Ack| {
            let attachments = [(); 2].map(|()| vec![b'x'; bytes].into());
            for number in 0..count {
                if bytes == 0 {
                    socket.emit("event", number);
                    continue;
                }
                let place = |num: u32| json!({ "_placeholder": true, "num": num });
                let event = json!(["event", number, place(0), place(1)]).to_string();
                socket.room(socket.id().as_str()).emit_json(&event, &attachments);
            }
            ack.send("done");
            socket.broadcast().emit("flooded", ());
        });
    }
}

/// A session that polls and is in this namespace.
fn poller_in(server: &Embedded, namespace: &str) -> Poller {
    let poller = Poller::begin(server.address);
    poller.posts(&format!("40{namespace},"));
    assert!(poller.got().starts_with(&format!("40{namespace},{{")));
    poller
}

#[test]
fn as_many_packets_as_may_wait_for_a_poll_and_one_more_meets_the_policy() {
    let config = Config { outbound_packets_max: 4, ..Config::default() };
    let server = Embedded::start(config, flood);
    for (namespace, count, expected) in [
        ("/disconnect", 3, Some(&["0", "1", "2"][..])),
        ("/disconnect", 4, None),
        ("/drop_newest", 3, Some(&["0", "1", "2"])),
        // The answer is not dropped: it takes the place of an event.
        ("/drop_newest", 4, Some(&["0", "1", "2"])),
        ("/drop_newest", 9, Some(&["0", "1", "2"])),
        ("/drop_oldest", 3, Some(&["0", "1", "2"])),
        ("/drop_oldest", 4, Some(&["1", "2", "3"])),
        ("/drop_oldest", 9, Some(&["6", "7", "8"])),
    ] {
        let poller = poller_in(&server, namespace);
        let response = poller.post(format!("42{namespace},7[\"flood\",{count},0]").as_bytes());
        let Some(expected) = expected else {
            assert!(matches!(response.status, 200 | 400), "{}", response.status);
            std::thread::sleep(std::time::Duration::from_millis(50));
            poller.is_over();
            continue;
        };
        let events = expected.iter().map(|number| format!("42{namespace},[\"event\",{number}]"));
        let all: Vec<String> = events.chain([format!("43{namespace},7[\"done\"]")]).collect();
        assert_eq!(poller.got(), all.join("\x1e"), "{namespace}, {count}");
    }
}

#[test]
fn as_many_bytes_as_may_wait_for_a_poll_and_one_more_meets_the_policy() {
    // Frames of 28 bytes with a header of two, and an answer.
    let event = r#"42/drop_oldest,["event",0]"#.len() + 2;
    let answer = r#"43/drop_oldest,7["done"]"#.len() + 2;
    for (spare, first) in [(0, 0), (event - 1, 0), (event, 0)] {
        let bytes_max = 3 * event + answer + spare;
        let server =
            Embedded::start(Config { outbound_bytes_max: bytes_max, ..Config::default() }, flood);
        for (count, dropped) in
            [(3, 0), (4, usize::from(spare < event)), (5, 1 + usize::from(spare < event))]
        {
            let poller = poller_in(&server, "/drop_oldest");
            poller.posts(&format!("42/drop_oldest,7[\"flood\",{count},0]"));
            let got = poller.got();
            assert_eq!(got.matches("event").count(), count - dropped, "{spare}, {count}: {got}");
            assert!(got.starts_with(&format!("42/drop_oldest,[\"event\",{}]", first + dropped)));
        }
    }
}

/// A client of a namespace that has asked for a flood, and has read nothing of it yet.
fn flooding(server: &Embedded, namespace: &str, count: u32, bytes: usize) -> Wire {
    let mut wire = Wire::open(server.address).1;
    wire.send_text(&format!("40{namespace},"));
    wire.text();
    wire.send_text(&format!("42{namespace},7[\"flood\",{count},{bytes}]"));
    wire
}

/// The events that a client of `/{policy}` gets of a flood, and whether its answer comes.
///
/// It begins to read when another client has heard that all was said, and the
/// server so has written what it could: a quick reader would get everything.
fn flooded(server: &Embedded, namespace: &str, count: u32, bytes: usize) -> (Vec<u64>, Seen) {
    let mut other = Wire::open(server.address).1;
    other.send_text(&format!("40{namespace},"));
    other.text();
    let mut wire = flooding(server, namespace, count, bytes);
    assert_eq!(other.text(), format!("42{namespace},[\"flooded\"]"));
    let head = format!("452-{namespace},");
    let mut numbers = Vec::new();
    loop {
        let seen = wire.next();
        let Seen::Text(text) = &seen else { return (numbers, seen) };
        let Some(event) = text.strip_prefix(&head) else { return (numbers, seen) };
        let event: Value = serde_json::from_str(event).expect("whole packets");
        numbers.push(event[1].as_u64().expect("a number"));
        for _ in 0..2 {
            let attachment = wire.next();
            assert!(matches!(&attachment, Seen::Binary(body) if body.len() == bytes), "{seen:?}");
        }
    }
}

#[test]
fn what_a_slow_reader_gets_is_whole_events_in_order_and_all_answers() {
    // Far more at once than any buffer of the two ends takes.
    let (count, bytes) = (400, 50_000);
    let config = Config { outbound_bytes_max: 1_000_000, ..Config::default() };
    let server = Embedded::start(config, flood);
    let answer = |namespace| Seen::Text(format!("43{namespace},7[\"done\"]"));
    let (newest, seen) = flooded(&server, "/drop_newest", count, bytes);
    assert_eq!(seen, answer("/drop_newest"));
    let length = newest.len() as u64;
    assert!(length > 8 && length < count.into(), "{length} of {count}");
    assert_eq!(newest, (0..length).collect::<Vec<_>>(), "the newest are missing");
    let (oldest, seen) = flooded(&server, "/drop_oldest", count, bytes);
    assert_eq!(seen, answer("/drop_oldest"));
    assert!(oldest.len() > 8 && oldest.len() < count as usize, "{} of {count}", oldest.len());
    assert!(oldest.is_sorted_by(|a, b| a < b), "{oldest:?}");
    assert_eq!(oldest.last(), Some(&u64::from(count - 1)), "the newest is there");
    let last = oldest.windows(2).rposition(|pair| pair[1] != pair[0] + 1);
    assert!(last.is_some(), "some are missing before: {oldest:?}");
    let mut other = Wire::open(server.address).1;
    other.send_text("40/disconnect,");
    other.text();
    let mut wire = flooding(&server, "/disconnect", count, bytes);
    assert_eq!(other.text(), r#"42/disconnect,["flooded"]"#);
    let length = wire.everything().len();
    assert!(length < count as usize * 2 * bytes, "closed before the end");
    let (all, seen) = flooded(&server, "/disconnect", 5, 1000);
    assert_eq!((all.len(), seen), (5, answer("/disconnect")), "others are served");
}

#[test]
fn the_chat_has_the_policy_of_the_settings() {
    let server = crate::server::Server::start(&[
        "--limits-policy",
        "drop_oldest",
        "--limits-outbound-packets-max",
        "3",
    ]);
    let bodies: Vec<String> = ten_for_a_poller(server.address)
        .got()
        .split('\x1e')
        .map(|packet| {
            let event: Value = serde_json::from_str(&packet[2..]).expect("an event");
            event[1]["body"].to_string()
        })
        .collect();
    assert_eq!(bodies, ["7", "8", "9"]);
}
