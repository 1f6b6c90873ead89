//! What is done to many sockets at once, wherever they are.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::on_shards;

const NOTHING: [Value; 0] = [];

#[test]
fn fetch_sockets_finds_ids_and_rooms_on_every_shard() {
    on_shards(|server| {
        let mut peers: [Peer; 5] = server.peers("/");
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.ask(&json!(["join", if number < 3 { "a" } else { "b" }]));
        }
        let ids = peers.each_ref().map(|peer| peer.id.clone());
        for (asker, whom, found) in [
            (0, json!({ "by_server": true, "to": ["a"] }), &[0, 1, 2][..]),
            (1, json!({ "to": ["a"] }), &[0, 2]),
            (4, json!({ "by_server": true }), &[0, 1, 2, 3, 4]),
            (4, json!({ "except": ["a"] }), &[3]),
            (2, json!({ "to": ["nobody"] }), &[]),
        ] {
            let mut expected: Vec<(String, Value)> = found
                .iter()
                .map(|&at| (ids[at].clone(), json!([if at < 3 { "a" } else { "b" }])))
                .collect();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            let answer = peers[asker].ask(&json!(["fetch", whom]));
            let mut fetched: Vec<(String, Value)> = answer[0]
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| (one["id"].as_str().expect("an id").to_owned(), one["rooms"].clone()))
                .collect();
            fetched.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(fetched, expected, "{whom} from {asker}");
        }
    });
}

#[test]
fn sockets_join_and_leave_across_shards() {
    on_shards(|server| {
        let mut peers: [Peer; 5] = server.peers("/");
        for peer in &mut peers[1..4] {
            peer.ask(&json!(["join", "a"]));
        }
        assert_eq!(peers[0].ask(&json!(["sockets-join", { "to": ["a"] }, "b"])), json!([]));
        for (number, peer) in peers.iter_mut().enumerate() {
            // What is done to it by others is seen behind what was accepted before.
            assert_eq!(peer.heard(), NOTHING);
            let rooms = if (1..4).contains(&number) { json!([["a", "b"]]) } else { json!([[]]) };
            assert_eq!(peer.ask(&json!(["rooms"])), rooms, "peer {number}");
        }
        peers[4].ask(&json!(["say", { "to": ["b"] }, 1]));
        peers[1].ask(&json!(["sockets-leave", { "to": ["a"] }, "b"]));
        peers[4].ask(&json!(["say", { "to": ["b"] }, 2]));
        assert_eq!(
            peers[1].heard(),
            [json!(["said", 1]), json!(["said", 2])],
            "it did not mean itself"
        );
        assert_eq!(peers[2].heard(), [json!(["said", 1])]);
        assert_eq!(peers[3].heard(), [json!(["said", 1])]);
        assert_eq!(peers[0].heard(), NOTHING);
    });
}

#[test]
fn disconnect_sockets_ends_sockets_across_shards() {
    on_shards(|server| {
        let mut peers: [Peer; 6] = server.peers("/");
        for peer in &mut peers[..4] {
            peer.ask(&json!(["join", "a"]));
        }
        // The namespace only: the connection stays.
        let whom = json!({ "to": ["a"], "except": [peers[1].id] });
        peers[0].ask(&json!(["disconnect-sockets", whom, false]));
        for peer in &mut peers[2..4] {
            assert_eq!(peer.packet().map(|packet| packet.kind), Some('1'));
            peer.say("40");
            assert_eq!(peer.packet().map(|packet| packet.kind), Some('0'), "it may come back");
        }
        let found = peers[0].ask(&json!(["fetch", { "by_server": true, "to": ["a"] }]));
        assert_eq!(found[0].as_array().map(Vec::len), Some(2));
        // The connection too, and everybody but the one who says so.
        peers[0].ask(&json!(["disconnect-sockets", {}, true]));
        for peer in &mut peers[1..] {
            assert_eq!(peer.packet().map(|packet| packet.kind), Some('1'));
            peer.ends();
        }
        assert_eq!(peers[0].heard(), NOTHING);
    });
}

#[test]
fn sockets_that_were_fetched_can_be_spoken_to_moved_and_ended() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/");
        let [asker, others @ ..] = &mut peers;
        asker.ask(&json!(["each", {}, "emit"]));
        asker.ask(&json!(["each", {}, "join"]));
        asker.ask(&json!(["say", { "to": ["picked"] }, "joined"]));
        asker.ask(&json!(["each", {}, "leave"]));
        asker.ask(&json!(["say", { "to": ["picked"] }, "left"]));
        for peer in &mut *others {
            assert_eq!(peer.heard(), [json!(["said", peer.id]), json!(["said", "joined"])]);
        }
        asker.ask(&json!(["each", { "to": [others[1].id] }, "disconnect"]));
        assert_eq!(others[1].packet().map(|packet| packet.kind), Some('1'));
        others[1].ends();
        assert_eq!(others[0].heard(), NOTHING);
        assert_eq!(others[2].heard(), NOTHING);
    });
}

#[test]
fn server_side_emit_reaches_every_other_shard_once() {
    on_shards(|server| {
        let mut peers: [Peer; 8] = server.peers("/");
        let own = format!("parlor-shard-{}", peers[0].shard);
        assert_eq!(peers[0].ask(&json!(["tell-shards", "x"])), json!([]));
        let mut expected: Vec<String> =
            (0..server.shards).map(|shard| format!("parlor-shard-{shard}")).collect();
        expected.retain(|shard| *shard != own);
        for peer in &mut peers {
            let mut told: Vec<String> = (0..expected.len())
                .map(|_| {
                    let event = peer.event().json;
                    assert_eq!((&event[0], &event[2]), (&json!("told"), &json!("x")));
                    event[1].as_str().expect("a shard").to_owned()
                })
                .collect();
            told.sort();
            assert_eq!(told, expected);
        }
        for peer in &mut peers {
            assert_eq!(peer.heard(), NOTHING);
        }
    });
}
