//! Getting into a namespace, and what the server keeps with a socket.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Wire;
use crate::peer::Peer;
use crate::server::on_shards;

#[test]
fn namespaces_share_a_connection_and_nothing_else() {
    on_shards(|server| {
        let [mut speaker, mut listener] = server.peers("/");
        let mut elsewhere = server.peer("/acks");
        for peer in [&mut speaker, &mut listener, &mut elsewhere] {
            assert!(peer.ask(&json!(["join", "a"]))[0].is_u64());
        }
        // The same connection goes into a second namespace, under another id.
        listener.say("40/acks,");
        let entered = listener.packet().expect("it is let in");
        assert_eq!((entered.kind, &*entered.namespace), ('0', "/acks"));
        assert_ne!(entered.json["sid"], listener.id);
        assert_eq!(speaker.ask(&json!(["say", {}, "to all of /"])), json!([]));
        assert_eq!(speaker.ask(&json!(["say", { "to": ["a"] }, "to a of /"])), json!([]));
        let said = [json!(["said", "to all of /"]), json!(["said", "to a of /"])];
        assert_eq!(listener.heard(), said);
        assert_eq!(elsewhere.heard(), [] as [Value; 0]);
        elsewhere.ask(&json!(["say", {}, "to all of /acks"]));
        let heard = listener.event();
        assert_eq!(&*heard.namespace, "/acks");
        assert_eq!(heard.json, json!(["said", "to all of /acks"]));
        assert_eq!(speaker.heard(), [] as [Value; 0]);
    });
}

#[test]
fn a_namespace_that_is_not_served_is_a_connect_error() {
    on_shards(|server| {
        let refused = server.ask_in("/nowhere", &json!(null));
        assert_eq!(refused.err(), Some(json!({ "message": "Invalid namespace" })));
    });
}

/// The error for who asks for a namespace that there is not.
fn invalid() -> Option<Value> {
    Some(json!({ "message": "Invalid namespace" }))
}

#[test]
fn dynamic_namespaces_by_pattern_are_each_their_own() {
    on_shards(|server| {
        let [mut speaker, mut listener] = server.peers("/room-a");
        let [mut elsewhere, mut nowhere] = [server.peer("/room-b"), server.peer("/")];
        for peer in [&mut speaker, &mut listener, &mut elsewhere, &mut nowhere] {
            peer.ask(&json!(["join", "x"]));
        }
        speaker.ask(&json!(["say", {}, "to all"]));
        speaker.ask(&json!(["say", { "by_server": true, "to": ["x"] }, "to x"]));
        let said = [json!(["said", "to all"]), json!(["said", "to x"])];
        assert_eq!(listener.heard(), said);
        assert_eq!(speaker.heard(), said[1..]);
        for peer in [&mut elsewhere, &mut nowhere] {
            assert_eq!(peer.heard(), [] as [Value; 0]);
        }
        for name in ["/room-", "/room-a/b", "/room", "/a/room-a"] {
            assert_eq!(server.ask_in(name, &json!(null)).err(), invalid(), "{name}");
        }
        // When its sockets have gone nothing of them is left.
        for peer in [&mut speaker, &mut listener] {
            peer.say("41/room-a,");
        }
        let mut late = server.peer("/room-a");
        // They come from other shards: each question is a chance for them to arrive.
        let mut asked = (0..10_000).map(|_| late.ask(&json!(["fetch", { "by_server": true }])));
        assert!(asked.any(|found| found[0].as_array().is_some_and(|found| found.len() == 1)));
        assert_eq!(late.ask(&json!(["join", "x"])), json!([1]));
    });
}

#[test]
fn dynamic_namespaces_by_function_are_for_those_it_accepts() {
    on_shards(|server| {
        let enter = |name, key| server.ask_in(name, &json!({ "key": key }));
        for (name, key) in [("/locked-a", "b"), ("/locked-b", "a"), ("/locked", "a")] {
            assert_eq!(enter(name, key).err(), invalid(), "{name}, {key}");
        }
        assert_eq!(server.ask_in("/locked-a", &json!(null)).err(), invalid(), "no key at all");
        let mut others = enter("/locked-b", "b").expect("its key");
        let [mut one, mut two] = [(), ()].map(|()| enter("/locked-a", "a").expect("its key"));
        // That there is one lets nobody else into it, on whatever shard.
        for _ in 0..8 {
            assert_eq!(enter("/locked-a", "b").err(), invalid());
        }
        one.ask(&json!(["say", {}, 1]));
        assert_eq!(two.heard(), [json!(["said", 1])]);
        assert_eq!(others.heard(), [] as [Value; 0]);
    });
}

#[test]
fn ids_have_20_characters_and_are_unique() {
    on_shards(|server| {
        let peers: [Peer; 24] = server.peers("/");
        let others: [Peer; 8] = server.peers("/acks");
        let ids = peers.iter().chain(&others).map(|peer| peer.id.as_str());
        let ids: BTreeSet<&str> = ids.inspect(|id| assert_eq!(id.len(), 20, "{id}")).collect();
        assert_eq!(ids.len(), peers.len() + others.len());
    });
}

#[test]
fn middleware_on_connection_refuses_in_order_with_message_and_data() {
    on_shards(|server| {
        for (auth, error) in [
            (json!(null), json!({ "message": "no token" })),
            (json!({ "age": 17 }), json!({ "message": "no token" })),
            (
                json!({ "token": "guess", "age": 17 }),
                json!({ "message": "wrong token", "data": { "code": 7 } }),
            ),
            (json!({ "token": "secret", "age": 17 }), json!({ "message": "too young" })),
        ] {
            assert_eq!(server.ask_in("/guarded", &auth).err(), Some(error), "{auth}");
        }
    });
}

#[test]
fn auth_payload_lets_in_and_the_connection_handler_runs_first() {
    on_shards(|server| {
        let auth = json!({ "token": "secret", "age": 18 });
        for _ in 0..4 {
            let mut peer = server.ask_in("/guarded", &auth).expect("it is let in");
            peer.emit(&json!(["say", { "by_server": true, "to": [peer.id] }, 1]));
            assert_eq!(peer.event().json, json!(["welcome"]));
            assert_eq!(peer.event().json, json!(["said", 1]));
        }
    });
}

#[test]
fn who_was_refused_may_try_again_on_the_same_connection() {
    on_shards(|server| {
        let mut wire = Wire::open(server.address).1;
        wire.send_text("40/guarded,{\"token\":\"guess\"}");
        assert!(wire.text().starts_with("44/guarded,{"));
        let auth = json!({ "token": "secret", "age": 30 });
        let mut peer = Peer::connect(wire, "/guarded", &auth).expect("it is let in");
        assert_eq!(peer.event().json, json!(["welcome"]));
    });
}

#[test]
fn middleware_per_packet_refuses_by_ack_or_by_error_message() {
    on_shards(|server| {
        let [mut peer, mut other] = server.peers("/filtered");
        let long = "x".repeat(101);
        let rude_and_long = format!("damn {long}");
        for (what, error) in
            [("damn", "too rude"), (&*long, "too long"), (&*rude_and_long, "too long")]
        {
            let refusal = json!({ "ok": false, "error": error });
            assert_eq!(peer.ask(&json!(["mutter", what])), json!([refusal]));
            peer.emit(&json!(["mutter", what]));
            assert_eq!(peer.event().json, json!(["error_message", refusal]));
        }
        // What is in order is handled, in order, also behind guards that wait.
        (0..20).for_each(|number| peer.emit(&json!(["mutter", number])));
        for number in 0..20 {
            assert_eq!(peer.event().json, json!(["muttered", number]));
        }
        assert_eq!(other.heard(), [] as [Value; 0]);
    });
}

#[test]
fn data_of_a_socket_is_seen_from_every_shard() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/");
        for (number, peer) in peers.iter_mut().enumerate() {
            let data = json!({ "name": format!("peer {number}"), "number": number });
            assert_eq!(peer.ask(&json!(["keep", data])), json!([data]));
        }
        let ids = peers.each_ref().map(|peer| peer.id.clone());
        for asker in &mut peers {
            for (number, id) in ids.iter().enumerate() {
                let found = asker.ask(&json!(["fetch", { "by_server": true, "to": [id] }]));
                let data = json!({ "name": format!("peer {number}"), "number": number });
                assert_eq!(found, json!([[{ "id": id, "rooms": [], "data": data }]]));
            }
        }
        peers[0].ask(&json!(["keep", null]));
        let found = peers[3].ask(&json!(["fetch", { "to": [ids[0]] }]));
        assert_eq!(found[0][0]["data"], json!(null));
    });
}
