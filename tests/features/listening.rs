//! Listeners: which run for an event, in which order, and one at a time or not.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::on_shards;

/// Who runs for the event `try`.
fn ran(peer: &mut Peer) -> Vec<String> {
    peer.emit(&json!(["try", 1]));
    let ran = |event: Value| {
        assert_eq!(event[0], "ran");
        event[1].as_str().expect("a name").to_owned()
    };
    peer.heard().into_iter().map(ran).collect()
}

#[test]
fn catch_all_hears_every_event_first() {
    on_shards(|server| {
        let [mut peer, mut other] = server.peers("/listening");
        assert_eq!(ran(&mut peer), ["any of the namespace: try", "first", "second"]);
        peer.emit(&json!(["try-what-nobody-listens-to"]));
        let event = peer.event();
        assert_eq!(event.json[1], "any of the namespace: try-what-nobody-listens-to");
        peer.ask(&json!(["own-any"]));
        let all = ["any of the namespace: try", "any of the socket: try", "first", "second"];
        assert_eq!(ran(&mut peer), all);
        assert_eq!(ran(&mut other).len(), 3, "another socket's are its own");
        peer.ask(&json!(["own-off-any"]));
        assert_eq!(ran(&mut peer), ["any of the namespace: try", "first", "second"]);
    });
}

#[test]
fn several_handlers_of_an_event_run_in_the_order_of_registration() {
    on_shards(|server| {
        for mut peer in server.peers::<3>("/listening") {
            for number in 0..10 {
                assert_eq!(ran(&mut peer)[1..], ["first", "second"], "time {number}");
            }
        }
    });
}

#[test]
fn on_stays_once_runs_once_and_off_takes_away() {
    on_shards(|server| {
        let [mut peer, mut other] = server.peers("/listening");
        peer.ask(&json!(["own-once"]));
        peer.ask(&json!(["own-on"]));
        assert_eq!(ran(&mut peer)[1..], ["first", "second", "own, once", "own"]);
        assert_eq!(ran(&mut peer)[1..], ["first", "second", "own"]);
        peer.ask(&json!(["own-on"]));
        assert_eq!(ran(&mut peer)[1..], ["first", "second", "own", "own"]);
        assert_eq!(ran(&mut other)[1..], ["first", "second"], "another socket's are its own");
        peer.ask(&json!(["own-once"]));
        peer.ask(&json!(["own-off"]));
        assert_eq!(ran(&mut peer)[1..], ["first", "second"]);
    });
}

#[test]
fn outgoing_catch_all_hears_each_emit_once() {
    on_shards(|server| {
        let [mut peer, mut other] = server.peers("/listening");
        peer.ask(&json!(["outgoing"]));
        other.ask(&json!(["outgoing"]));
        peer.ask(&json!(["say", {}, "to others"]));
        peer.ask(&json!(["say", { "by_server": true, "to": [other.id] }, 1]));
        peer.emit(&json!(["try", 1]));
        assert_eq!(other.heard().len(), 2);
        let outgoing = peer.ask(&json!(["outgoing"]));
        let expected = [
            r#"["said","to others"]"#,
            r#"["said",1]"#,
            r#"["ran","any of the namespace: try"]"#,
            r#"["ran","first"]"#,
            r#"["ran","second"]"#,
        ];
        assert_eq!(outgoing, json!([expected]));
        assert_eq!(peer.ask(&json!(["outgoing"])), json!([[]]), "acks are not among them");
    });
}

#[test]
fn on_handles_one_event_of_a_socket_at_a_time() {
    on_shards(|server| {
        let [mut peer, mut other] = server.peers("/listening");
        peer.emit(&json!(["in-turn", "a"]));
        peer.emit(&json!(["in-turn", "b"]));
        let gate = peer.event();
        assert_eq!(gate.json, json!(["gate", "a"]));
        assert_eq!(ran(&mut other).len(), 3, "others do not wait");
        peer.answer(&gate, &json!([]));
        assert_eq!(peer.event().json, json!(["ran", "a"]), "before the next begins");
        let gate = peer.event();
        assert_eq!(gate.json, json!(["gate", "b"]));
        peer.answer(&gate, &json!([]));
        assert_eq!(peer.event().json, json!(["ran", "b"]));
    });
}

#[test]
fn on_concurrent_handles_events_beside_each_other() {
    on_shards(|server| {
        let [mut peer] = server.peers("/listening");
        for name in ["a", "b", "c"] {
            peer.emit(&json!(["beside", name]));
        }
        let gates = [peer.event(), peer.event(), peer.event()];
        let names = gates.each_ref().map(|gate| gate.json[1].clone());
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(ran(&mut peer).len(), 3, "nor do other events wait");
        for gate in [&gates[2], &gates[0], &gates[1]] {
            peer.answer(gate, &json!([]));
            assert_eq!(peer.event().json, json!(["ran", gate.json[1]]));
        }
    });
}
