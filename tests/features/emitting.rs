//! Messages to many: whom they reach, and how.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::{Server, on_shards};

const NOTHING: [Value; 0] = [];

/// Members of some rooms each, on different shards; the first is only in its own.
fn members(server: &Server) -> [Peer; 5] {
    let mut peers = server.peers("/");
    for (peer, rooms) in peers.iter_mut().zip([&[][..], &["a"], &["b"], &["a", "b"], &["a", "c"]]) {
        for room in rooms {
            peer.ask(&json!(["join", room]));
        }
    }
    peers
}

/// Lets the peer number `speaker` say something, which those numbered hear once, and nobody else.
fn hear(peers: &mut [Peer], speaker: usize, whom: &Value, hearers: &[usize]) {
    assert_eq!(peers[speaker].ask(&json!(["say", whom, "x"])), json!([]));
    for (at, peer) in peers.iter_mut().enumerate() {
        let expected = if hearers.contains(&at) { vec![json!(["said", "x"])] } else { Vec::new() };
        assert_eq!(peer.heard(), expected, "{whom} from {speaker}, peer {at}");
    }
}

#[test]
fn to_reaches_the_room_without_the_sender_and_a_room_of_the_server_with_it() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 1, &json!({ "to": ["a"] }), &[3, 4]);
        hear(&mut peers, 1, &json!({ "by_server": true, "to": ["a"] }), &[1, 3, 4]);
        hear(&mut peers, 0, &json!({ "to": ["a"] }), &[1, 3, 4]);
        hear(&mut peers, 0, &json!({ "within": ["c"] }), &[4]);
        hear(&mut peers, 0, &json!({ "to": ["nobody is here"] }), &[]);
    });
}

#[test]
fn to_an_id_reaches_that_socket_wherever_it_is() {
    on_shards(|server| {
        let mut peers = members(server);
        for (speaker, hearer) in [(0, 1), (1, 0), (2, 4), (4, 3)] {
            let id = peers[hearer].id.clone();
            hear(&mut peers, speaker, &json!({ "to": [id] }), &[hearer]);
        }
        let own = peers[2].id.clone();
        hear(&mut peers, 2, &json!({ "by_server": true, "to": [own] }), &[2]);
        hear(&mut peers, 2, &json!({ "to": [own] }), &[]);
    });
}

#[test]
fn chained_rooms_are_a_union_and_each_socket_gets_one_copy() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 0, &json!({ "to": ["a", "b"] }), &[1, 2, 3, 4]);
        hear(&mut peers, 0, &json!({ "to": ["a"], "within": ["b", "c", "a"] }), &[1, 2, 3, 4]);
        hear(&mut peers, 3, &json!({ "to": ["b", "c"] }), &[2, 4]);
        let id = peers[3].id.clone();
        hear(&mut peers, 0, &json!({ "to": ["b", id, id] }), &[2, 3]);
    });
}

#[test]
fn except_leaves_out_a_room_or_a_socket() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 0, &json!({ "to": ["a", "b"], "except": ["c"] }), &[1, 2, 3]);
        hear(&mut peers, 0, &json!({ "except": ["a"] }), &[2]);
        hear(&mut peers, 0, &json!({ "by_server": true, "except": ["a", "b"] }), &[0]);
        let id = peers[3].id.clone();
        hear(&mut peers, 0, &json!({ "to": ["a"], "except": [id] }), &[1, 4]);
    });
}

#[test]
fn broadcast_reaches_the_whole_namespace_without_the_sender() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 2, &json!({}), &[0, 1, 3, 4]);
        hear(&mut peers, 2, &json!({ "by_server": true }), &[0, 1, 2, 3, 4]);
    });
}

#[test]
fn local_reaches_all_sockets_of_this_server() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 0, &json!({ "local": true }), &[1, 2, 3, 4]);
        hear(&mut peers, 3, &json!({ "to": ["a"], "local": true }), &[1, 4]);
    });
}

#[test]
fn send_is_the_event_message() {
    on_shards(|server| {
        let [mut speaker, mut listener] = server.peers("/");
        speaker.ask(&json!(["send", {}, "x"]));
        assert_eq!(listener.heard(), [json!(["message", "x"])]);
        assert_eq!(speaker.heard(), [json!(["message", "x"])], "to itself");
    });
}

/// What a slow member has heard: numbers, in the order of their arrival.
fn numbers(heard: &[Value]) -> Vec<u64> {
    heard.iter().map(|event| event[1].as_u64().expect("a number")).collect()
}

/// Numbers said, each with as many bytes: more together than buffers of the
/// system hold, and than the server would hold for one client.
const SAID: u64 = 400;
const SAID_BYTES: usize = 64 << 10;

/// Of these, what is not volatile: less than the server holds for one client.
const PLAIN_EVERY: u64 = 20;

#[test]
fn volatile_is_dropped_for_who_does_not_read_and_never_reordered() {
    on_shards(|server| {
        let [mut speaker, mut reader, mut sleeper] = server.peers("/");
        for member in [&mut reader, &mut sleeper] {
            member.ask(&json!(["join", "a"]));
        }
        for number in 0..SAID {
            let is_volatile = number % PLAIN_EVERY != 0;
            let whom = json!({ "to": ["a"], "volatile": is_volatile });
            speaker.ask(&json!(["say-number", whom, number, SAID_BYTES]));
            assert!(reader.heard().len() <= 1, "of each at most one copy");
        }
        let heard = numbers(&sleeper.heard());
        assert!(heard.is_sorted_by(|a, b| a < b), "in order and once: {heard:?}");
        let plain = heard.iter().filter(|number| *number % PLAIN_EVERY == 0).count();
        assert_eq!(plain as u64, SAID / PLAIN_EVERY, "what is not volatile is not dropped");
        let volatile = heard.len() - plain;
        assert!(volatile > 0, "what it could take is not dropped");
        assert!((heard.len() as u64) < SAID, "what it could not take is dropped");
    });
}

#[test]
fn volatile_to_one_socket_is_dropped_while_it_does_not_read_and_nothing_else_is() {
    on_shards(|server| {
        let [mut sleeper, mut witness] = server.peers("/");
        let asked = sleeper.begin(&json!(["tell-me", SAID, SAID_BYTES, PLAIN_EVERY]));
        assert_eq!(witness.event().json, json!(["told"]), "all was said");
        assert_eq!(sleeper.answer_to(asked), json!([]));
        let heard = numbers(&sleeper.heard());
        assert!(heard.is_sorted_by(|a, b| a < b), "in order and once: {heard:?}");
        let plain = heard.iter().filter(|number| *number % PLAIN_EVERY == 0).count();
        assert_eq!(plain as u64, SAID / PLAIN_EVERY, "what is not volatile is not dropped");
        assert!(heard.len() > plain, "what it could take is not dropped");
        assert!((heard.len() as u64) < SAID, "what it could not take is dropped");
        // Who reads again is told again.
        let asked = sleeper.begin(&json!(["tell-me", 2, 1, 2]));
        assert_eq!(sleeper.answer_to(asked), json!([]));
        assert_eq!(numbers(&sleeper.heard()), [0, 1]);
    });
}

#[test]
fn volatile_reaches_who_reads() {
    on_shards(|server| {
        let mut peers = members(server);
        hear(&mut peers, 0, &json!({ "to": ["a"], "volatile": true }), &[1, 3, 4]);
        hear(&mut peers, 2, &json!({ "volatile": true }), &[0, 1, 3, 4]);
        assert_eq!(peers[0].heard(), NOTHING);
    });
}
