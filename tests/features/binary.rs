//! Attachments: in events and in acks, both ways, up to ten of them.

use serde_json::{Value, json};

use crate::peer::{Packet, Peer};
use crate::server::on_shards;

/// What stands for the attachment of that number.
fn placeholder(number: usize) -> Value {
    json!({ "_placeholder": true, "num": number })
}

/// Packets to send: arguments without a name, and their attachments.
fn samples() -> Vec<(Vec<Value>, Vec<Vec<u8>>)> {
    let all = (0..10).map(placeholder).collect::<Vec<_>>();
    let many = (0..10).map(|number| vec![number; usize::from(number) * 7]).collect();
    vec![
        (vec![placeholder(0)], vec![vec![0, 1, 2, 255]]),
        (vec![json!("text"), placeholder(0), json!(7)], vec![Vec::new()]),
        (
            vec![json!({ "a": [placeholder(1), { "b": placeholder(0) }] })],
            vec![vec![7; 70_000], b"42[\"text\"]".to_vec()],
        ),
        (vec![json!({ "all": all })], many),
    ]
}

fn named(name: &str, args: &[Value]) -> Value {
    let mut event = vec![json!(name)];
    event.extend_from_slice(args);
    Value::Array(event)
}

fn send(peer: &mut Peer, kind: char, id: Option<u64>, json: &Value, attachments: &[Vec<u8>]) {
    let attachments: Vec<&[u8]> = attachments.iter().map(Vec::as_slice).collect();
    peer.send(kind, id, json, &attachments);
}

/// The arguments and the attachments they stand for, in the arguments' order.
fn resolved(packet: &Packet) -> Value {
    fn resolve(value: &Value, packet: &Packet) -> Value {
        match value {
            Value::Object(object) if object.contains_key("_placeholder") => {
                let number = object["num"].as_u64().expect("a number") as usize;
                json!({ "bytes": packet.attachments[number] })
            }
            Value::Object(object) => {
                object.iter().map(|(key, value)| (key.clone(), resolve(value, packet))).collect()
            }
            Value::Array(array) => array.iter().map(|value| resolve(value, packet)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    resolve(&packet.json, packet)
}

fn sent(kind: char, json: Value, attachments: &[Vec<u8>]) -> Value {
    let namespace = String::new();
    resolved(&Packet { kind, namespace, id: None, json, attachments: attachments.to_vec() })
}

#[test]
fn binary_events_go_both_ways() {
    on_shards(|server| {
        let mut peers: [Peer; 2] = server.peers("/binary");
        for peer in &mut peers {
            for (args, attachments) in samples() {
                send(peer, '5', None, &named("back", &args), &attachments);
                let event = peer.event();
                assert_eq!((event.kind, event.attachments.len()), ('5', attachments.len()));
                let expected = sent('5', named("binary", &args), &attachments);
                assert_eq!(resolved(&event), expected);
            }
        }
    });
}

#[test]
fn binary_acks_go_both_ways() {
    on_shards(|server| {
        let mut peers: [Peer; 2] = server.peers("/binary");
        for peer in &mut peers {
            for (number, (args, attachments)) in (100..).zip(samples()) {
                let expected = sent('6', Value::Array(args.clone()), &attachments);
                send(peer, '5', Some(number), &named("echo", &args), &attachments);
                assert_eq!(resolved(&peer.packet_to(number)), expected);
                let asked = peer.begin(&json!(["ask-me"]));
                let question = peer.event();
                send(peer, '6', question.id, &Value::Array(args), &attachments);
                assert_eq!(resolved(&peer.packet_to(asked)), expected);
            }
        }
    });
}

#[test]
fn binary_broadcasts_cross_shards() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/binary");
        for (args, attachments) in samples() {
            let expected = sent('5', named("binary", &args), &attachments);
            send(&mut peers[0], '5', Some(0), &named("share", &args), &attachments);
            assert_eq!(peers[0].packet_to(0).json, json!([]));
            for peer in &mut peers[1..] {
                assert_eq!(resolved(&peer.event()), expected);
            }
        }
    });
}

#[test]
fn frames_of_a_packet_are_adjacent_whatever_else_is_under_way() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/binary");
        let (args, attachments) = samples().swap_remove(3);
        // `Packet`s are read strictly: a frame in between would be no attachment.
        for _ in 0..50 {
            for speaker in &mut peers[1..] {
                speaker.emit(&json!(["say", {}, "text"]));
                send(speaker, '5', None, &named("share", &args), &attachments);
            }
        }
        let events: Vec<Packet> = (0..300).map(|_| peers[0].event()).collect();
        let binary = events.iter().filter(|event| event.kind == '5').count();
        assert_eq!(binary, 150);
    });
}
