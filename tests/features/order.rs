//! What one handler sends to one socket arrives in that order, whatever way it takes.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::on_shards;

const COUNT: u64 = 1000;

/// The next numbers that come.
fn numbers(peer: &mut Peer, count: u64) -> Vec<u64> {
    let number = |_| {
        let event = peer.event().json;
        assert_eq!(event[0], "number");
        event[1].as_u64().expect("a number")
    };
    (0..count).map(number).collect()
}

/// Takes what is meant for the whole namespace off everybody's inbox.
fn clear(peers: &mut [Peer]) {
    for peer in peers {
        peer.heard();
    }
}

#[test]
fn emits_and_broadcasts_of_a_handler_to_its_own_socket_arrive_in_order() {
    on_shards(|server| {
        let mut peers: [Peer; 3] = server.peers("/order");
        for seed in 0..peers.len() {
            clear(&mut peers);
            let peer = &mut peers[seed];
            peer.ask(&json!(["join", "shared"]));
            let id = peer.id.clone();
            peer.emit(&json!(["mix", id, COUNT, seed]));
            // The next event is handled after it, and so is what it causes.
            peer.emit(&json!(["say", { "by_server": true, "to": [id] }, "after"]));
            assert!(numbers(peer, COUNT).into_iter().eq(0..COUNT), "seed {seed}");
            assert_eq!(peer.event().json, json!(["said", "after"]));
            peer.ask(&json!(["leave", "shared"]));
        }
    });
}

#[test]
fn an_ack_arrives_behind_all_that_its_handler_sent_before() {
    on_shards(|server| {
        let mut peers: [Peer; 3] = server.peers("/order");
        for at in 0..peers.len() {
            clear(&mut peers);
            let peer = &mut peers[at];
            peer.ask(&json!(["join", "shared"]));
            for seed in 0..20 {
                let id = peer.id.clone();
                assert_eq!(peer.ask(&json!(["mix", id, 50, seed])), json!([]));
                // Kept while the answer was awaited: all of them, so they came before it.
                let kept = peer.kept();
                assert!(kept.iter().map(|event| &event[1]).eq(&numbers_up_to(50)), "{kept:?}");
            }
            peer.ask(&json!(["leave", "shared"]));
        }
    });
}

fn numbers_up_to(count: u64) -> Vec<Value> {
    (0..count).map(Value::from).collect()
}

#[test]
fn emits_and_broadcasts_of_a_handler_to_another_socket_arrive_in_order() {
    on_shards(|server| {
        // With two shards, two on each: a handle of the other one is at hand, or is not.
        let mut peers: [Peer; 4] = server.peers("/order");
        for pair in 0..16 {
            if let Ok([speaker, hearer]) = peers.get_disjoint_mut([pair / 4, pair % 4]) {
                hearer.ask(&json!(["join", "shared"]));
                assert_eq!(speaker.ask(&json!(["mix", hearer.id, COUNT, pair])), json!([]));
                assert!(numbers(hearer, COUNT).into_iter().eq(0..COUNT));
                hearer.ask(&json!(["leave", "shared"]));
            }
            clear(&mut peers);
        }
    });
}
