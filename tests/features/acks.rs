//! Answers: to one, from one, and from many.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::on_shards;

#[test]
fn emit_with_ack_is_answered_in_both_directions() {
    on_shards(|server| {
        let mut peers: [Peer; 3] = server.peers("/acks");
        for peer in &mut peers {
            let asked = peer.begin(&json!(["ask-me", { "how": "are you" }]));
            let question = peer.event();
            assert_eq!(question.json, json!(["question", { "how": "are you" }]));
            // The answer does not wait in the queue of events, behind the handler that awaits it.
            let whom = json!({ "by_server": true, "to": [peer.id] });
            peer.emit(&json!(["say", whom, "later"]));
            peer.answer(&question, &json!(["well", 1]));
            assert_eq!(peer.answer_to(asked), json!([["well", 1]]));
            assert_eq!(peer.event().json, json!(["said", "later"]));
        }
    });
}

#[test]
fn an_ack_that_does_not_come_in_time_is_an_error_and_a_late_one_is_ignored() {
    on_shards(|server| {
        let [mut peer] = server.peers("/acks");
        let asked = peer.begin(&json!(["ask-me-soon", 50]));
        let question = peer.event();
        let error = json!({ "ok": false, "error": "the client did not answer within 50ms" });
        assert_eq!(peer.answer_to(asked), json!([error]));
        peer.answer(&question, &json!(["too late"]));
        let asked = peer.begin(&json!(["ask-me-soon", 30_000]));
        let question = peer.event();
        peer.answer(&question, &json!(["in time"]));
        assert_eq!(peer.answer_to(asked), json!([["in time"]]));
    });
}

/// Begins a broadcast that all are to answer; returns its number and what each was asked.
fn ask_all(peers: &mut [Peer], whom: &Value) -> (u64, Vec<crate::peer::Packet>) {
    let id = peers[0].begin(&json!(["ask-all", whom, "who?"]));
    let question = |peer: &mut Peer| {
        let question = peer.event();
        assert_eq!(question.json, json!(["question", "who?"]));
        assert!(question.id.is_some(), "it is to be answered");
        question
    };
    (id, peers[1..].iter_mut().map(question).collect())
}

fn sorted(answers: &Value) -> Vec<String> {
    let mut answers: Vec<String> =
        answers.as_array().expect("a list").iter().map(Value::to_string).collect();
    answers.sort();
    answers
}

#[test]
fn broadcast_with_acks_has_all_answers() {
    on_shards(|server| {
        let mut peers: [Peer; 5] = server.peers("/acks");
        let (id, questions) = ask_all(&mut peers, &json!({}));
        for (number, question) in (1..).zip(&questions) {
            peers[number].answer(question, &json!([number]));
        }
        let outcome = peers[0].answer_to(id);
        assert_eq!(
            (sorted(&outcome[0]).join(","), &outcome[1]),
            ("[1],[2],[3],[4]".into(), &json!(0))
        );
        // Of nobody nothing is awaited.
        let outcome = peers[0].ask(&json!(["ask-all", { "to": ["nobody"] }, "who?"]));
        assert_eq!(outcome, json!([[], 0]));
    });
}

#[test]
fn broadcast_with_acks_has_those_that_came_in_time() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/acks");
        let (id, questions) = ask_all(&mut peers, &json!({ "timeout_ms": 400 }));
        for number in [1, 3] {
            peers[number].answer(&questions[number - 1], &json!([number]));
        }
        let outcome = peers[0].answer_to(id);
        assert_eq!(sorted(&outcome[0]), ["[1]", "[3]"]);
        assert_eq!(outcome[1], 1, "one is missing");
        peers[2].answer(&questions[1], &json!(["too late"]));
        assert_eq!(peers[2].heard(), [] as [Value; 0], "which does no harm");
    });
}

#[test]
fn broadcast_with_acks_does_not_wait_for_who_disconnects() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/acks");
        let (id, questions) = ask_all(&mut peers, &json!({}));
        peers[1].answer(&questions[0], &json!([1]));
        peers[2].say("41/acks,");
        peers[3].answer(&questions[2], &json!([3]));
        let outcome = peers[0].answer_to(id);
        assert_eq!(sorted(&outcome[0]), ["[1]", "[3]"]);
        assert_eq!(outcome[1], 1, "one is missing");
    });
}
