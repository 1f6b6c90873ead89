//! The end of a socket: why, what is still known, and who notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use parlor::Config;
use serde_json::{Value, json};
use socket2::SockRef;

use crate::client::{TARGET, UPGRADE, frame, text_frame};
use crate::peer::Peer;
use crate::server::{SHARDS, Server, on_shards, on_shards_with};

/// What `watcher` hears of a socket's end: first the rooms while it goes, then when it has gone.
fn goes(watcher: &mut Peer, id: &str, reason: &str, rooms: &[&str]) {
    assert_eq!(watcher.event().json, json!(["going", id, reason, rooms]));
    assert_eq!(watcher.event().json, json!(["gone", id, reason, rooms, [[], false]]));
}

fn in_rooms(mut peer: Peer, rooms: &[&str]) -> Peer {
    for room in rooms {
        peer.ask(&json!(["join", room]));
    }
    peer
}

#[test]
fn disconnecting_runs_with_the_rooms_readable_and_disconnect_after_it() {
    on_shards(|server| {
        let [mut watcher, goer, second] = server.peers("/ending");
        for goer in [goer, second] {
            let mut goer = in_rooms(goer, &["y", "x"]);
            goer.say("41/ending,");
            goes(&mut watcher, &goer.id, "client namespace disconnect", &["x", "y"]);
        }
    });
}

#[test]
fn to_a_room_still_works_in_on_disconnect() {
    on_shards(|server| {
        let [mut goer, mut friend, mut stranger] = server.peers("/ending");
        for (peer, room) in [(&mut goer, "a"), (&mut friend, "a"), (&mut stranger, "b")] {
            peer.ask(&json!(["join", room]));
        }
        goer.say("41/ending,");
        let first = friend.event().json;
        assert_eq!(first[0], "going");
        assert_eq!(friend.event().json, json!(["left", goer.id, "a"]));
        goes(&mut stranger, &goer.id, "client namespace disconnect", &["a"]);
    });
}

#[test]
fn reason_is_in_socket_ios_words_when_the_client_ends_it() {
    on_shards(|server| {
        let mut watcher = server.peer("/ending");
        for (say, reason) in [
            ("41/ending,", "client namespace disconnect"),
            ("1", "transport close"),
            ("7", "parse error"),
            ("42/ending,[1]", "parse error"),
        ] {
            let mut goer = server.peer("/ending");
            goer.say(say);
            goes(&mut watcher, &goer.id, reason, &[]);
        }
        let goer = server.peer("/ending");
        let id = goer.id.clone();
        drop(goer);
        goes(&mut watcher, &id, "transport close", &[]);
        let id = reset(server);
        goes(&mut watcher, &id, "transport error", &[]);
    });
}

/// A socket whose connection breaks; returns its id.
fn reset(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let upgrade = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    stream.write_all(upgrade.as_bytes()).expect("it reads");
    stream.write_all(&text_frame("40/ending,")).expect("it reads");
    let mut seen = Vec::new();
    let id = loop {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).expect("it answers");
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen);
        if let Some((_, id)) = text.split_once("40/ending,{\"sid\":\"")
            && let Some((id, _)) = id.split_once('"')
        {
            break id.to_owned();
        }
    };
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the option can be set");
    id
}

#[test]
fn reason_is_in_socket_ios_words_when_the_server_ends_it() {
    on_shards(|server| {
        let mut watcher = server.peer("/ending");
        for (event, end) in [
            (json!(["go", false]), None),
            (json!(["go", true]), Some(1000)),
            (json!(["panic"]), Some(1011)),
        ] {
            let mut goer = server.peer("/ending");
            goer.emit(&event);
            goes(&mut watcher, &goer.id, "server namespace disconnect", &[]);
            if let Some(code) = end {
                assert_eq!(goer.end().1, Some(code), "{event}");
            }
        }
        // It does not read what it is sent.
        let mut slow = server.peer("/ending");
        slow.emit(&json!(["stuff"]));
        goes(&mut watcher, &slow.id, "forced server close", &[]);
    });
}

#[test]
fn reason_is_ping_timeout_for_who_is_silent() {
    let mut config = Config::default();
    config.limits.ping_interval = Duration::from_millis(300);
    config.limits.ping_timeout = Duration::from_millis(300);
    on_shards_with(&config, |server| {
        // The watcher answers its pings while it waits.
        let [mut watcher, silent] = server.peers("/ending");
        goes(&mut watcher, &silent.id, "ping timeout", &[]);
    });
}

#[test]
fn reason_is_server_shutting_down_for_all_when_the_server_ends() {
    for shards in SHARDS {
        let server = Server::start(shards, Config::default());
        let mut peers: [Peer; 4] = server.peers("/ending");
        let mut said = server.stop();
        said.sort();
        let farewell = |peer: &Peer| json!([peer.id, "server shutting down"]).to_string();
        let mut expected: Vec<String> = peers.iter().map(farewell).collect();
        expected.sort();
        assert_eq!(said, expected);
        assert!(peers.iter_mut().all(|peer| peer.end().1 == Some(1001)));
    }
}

#[test]
fn a_handler_that_panics_ends_its_socket_only() {
    on_shards(|server| {
        // As many as there are shards, so that the panic has company on its own.
        let mut others: [Peer; 8] = server.peers("/ending");
        for event in ["panic", "panic-later"] {
            let mut goer = in_rooms(server.peer("/ending"), &["a"]);
            goer.emit(&json!([event]));
            goer.emit(&json!(["join", "b"]));
            assert_eq!(goer.end().1, Some(1011), "{event}");
            for other in &mut others {
                goes(other, &goer.id, "server namespace disconnect", &["a"]);
            }
        }
        for other in &mut others {
            assert_eq!(other.heard(), [] as [Value; 0]);
        }
    });
}

#[test]
fn a_close_frame_is_a_transport_close() {
    on_shards(|server| {
        let mut watcher = server.peer("/ending");
        let mut goer = server.peer("/ending");
        goer.bytes(&frame(0x88, &[0x03, 0xe8]));
        goes(&mut watcher, &goer.id, "transport close", &[]);
    });
}
