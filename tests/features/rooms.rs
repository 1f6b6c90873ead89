//! Rooms: who is in them, and that they may be changed at any time.

use serde_json::{Value, json};

use crate::server::on_shards;

const NOTHING: [Value; 0] = [];

#[test]
fn join_is_heard_and_leave_is_not_heard_any_more() {
    on_shards(|server| {
        let [mut speaker, mut member, mut other] = server.peers("/");
        assert_eq!(member.ask(&json!(["join", "a"])), json!([1]));
        assert_eq!(other.ask(&json!(["join", "a"])), json!([2]));
        assert_eq!(other.ask(&json!(["join", "a"])), json!([2]), "joined already");
        speaker.ask(&json!(["say", { "to": ["a"] }, 1]));
        assert_eq!(member.heard(), [json!(["said", 1])]);
        assert_eq!(member.ask(&json!(["leave", "a"])), json!([true]));
        assert_eq!(member.ask(&json!(["leave", "a"])), json!([false]), "left already");
        speaker.ask(&json!(["say", { "to": ["a"] }, 2]));
        assert_eq!(member.heard(), NOTHING);
        assert_eq!(other.heard(), [json!(["said", 1]), json!(["said", 2])]);
        assert_eq!(speaker.heard(), NOTHING);
    });
}

#[test]
fn rooms_are_those_a_socket_is_in() {
    on_shards(|server| {
        let mut peers: [_; 3] = server.peers("/");
        for peer in &mut peers {
            assert_eq!(peer.ask(&json!(["rooms"])), json!([[]]));
            for room in ["b", "a", "c", "a"] {
                peer.ask(&json!(["join", room]));
            }
            peer.ask(&json!(["leave", "b"]));
            peer.ask(&json!(["switch", "c", "d"]));
            assert_eq!(peer.ask(&json!(["rooms"])), json!([["a", "d"]]));
        }
    });
}

#[test]
fn switch_leaves_one_room_and_joins_another_in_one_step() {
    on_shards(|server| {
        let [mut mover, mut speaker] = server.peers("/");
        speaker.ask(&json!(["join", "to"]));
        for round in 0..20 {
            mover.ask(&json!(["join", "from"]));
            // Pairs of messages run against the switch: of each pair exactly one is heard.
            let switch = mover.begin(&json!(["switch", "from", "to"]));
            for number in 0..20 {
                speaker.emit(&json!(["say", { "to": ["from", "to"] }, number]));
            }
            assert_eq!(mover.answer_to(switch), json!([2]));
            speaker.heard();
            let heard = mover.heard();
            let expected: Vec<Value> = (0..20).map(|number| json!(["said", number])).collect();
            assert_eq!(heard, expected, "round {round}");
            assert_eq!(mover.ask(&json!(["leave", "to"])), json!([true]));
        }
        assert_eq!(mover.ask(&json!(["rooms"])), json!([[]]));
    });
}

#[test]
fn ack_of_a_leave_comes_behind_all_that_was_said_before() {
    on_shards(|server| {
        let [mut member, mut speaker] = server.peers("/");
        for round in 0..20 {
            member.ask(&json!(["join", "a"]));
            (0..50).for_each(|number| speaker.emit(&json!(["say", { "to": ["a"] }, number])));
            let leave = member.begin(&json!(["leave", "a"]));
            assert_eq!(member.answer_to(leave), json!([true]));
            let after = member.begin(&json!(["rooms"]));
            speaker.heard();
            let before = member.packet_to(after);
            assert_eq!(before.json, json!([[]]));
            let heard = member.heard();
            let prefix: Vec<Value> =
                (0..heard.len()).map(|number| json!(["said", number])).collect();
            assert_eq!(heard, prefix, "round {round}");
        }
    });
}
