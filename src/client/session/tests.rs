//! The session by wire scripts, timelines, and whatever bytes a server sends.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::client::NotConnected;
use crate::client::testing::{CONNECTED, Client, OPENED, Server, at};

#[test]
fn a_client_says_what_the_javascript_client_says() {
    let mut client =
        Client::new([Join::new("/").with_auth(r#"{"token":"a"}"#), Join::new("/admin")]);
    let request = String::from_utf8(std::mem::take(&mut client.out)).unwrap();
    assert!(
        request.starts_with("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nHost: localhost\r\n"), "{request}");

    client.server.accept();
    client.server.text(OPENED);
    client.hear(0);
    assert_eq!(client.said(), [r#"40{"token":"a"}"#, "40/admin,"]);
    client.server.text(r#"40{"sid":"A"}"#);
    client.server.text(r#"40/admin,{"sid":"B"}"#);
    client.hear(0);

    client.say(|outgoing| {
        outgoing.emit("/", r#"["a",1]"#, &[]).unwrap();
        assert_eq!(outgoing.emit_with_ack("/admin", r#"["b"]"#, &[]), Ok(0));
        let bytes = [bytes::Bytes::from_static(&[1, 2])];
        let json = r#"["c",{"_placeholder":true,"num":0}]"#;
        assert_eq!(outgoing.emit_with_ack("/", json, &bytes), Ok(1));
        outgoing.ack("/", 7, "[]", &[]).unwrap();
    });
    assert_eq!(
        client.said(),
        [
            r#"42["a",1]"#,
            r#"42/admin,0["b"]"#,
            r#"451-1["c",{"_placeholder":true,"num":0}]"#,
            "binary [1, 2]",
            "437[]",
        ]
    );
    client.say(|outgoing| outgoing.close());
    assert_eq!(client.said(), ["41", "41/admin,", "close Some(1000)"]);
    assert_eq!(client.session.closed(), None, "the server has not answered");
    client.server.close(1000);
    client.hear(0);
    assert_eq!(client.session.closed(), Some(&CloseReason::Client));
}

#[test]
fn events_come_in_order_with_their_attachments() {
    let mut client = Client::connected();
    client.server.text(r#"42["a",1]"#);
    client.server.text(r#"452-7["b",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
    client.server.binary(&[1]);
    // A ping may come between a packet and its attachments.
    client.server.text("2");
    client.server.binary(&[2, 3]);
    client.say(|outgoing| outgoing.emit_with_ack("/", r#"["c"]"#, &[])).unwrap();
    client.server.text("430[true]");
    client.server.text("41");
    client.hear(0);
    assert_eq!(
        client.heard(),
        [
            r#"event / None ["a",1] []"#,
            r#"event / Some(7) ["b",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}] [b"\x01", b"\x02\x03"]"#,
            "ack / 0 [true] []",
            "disconnected /",
        ]
    );
    assert_eq!(client.said(), [r#"420["c"]"#, "3", "close Some(1000)"]);
    client.session.handle_end(CloseReason::Eof);
    assert_eq!(client.session.closed(), Some(&CloseReason::ServerDisconnected));
}

/// Ends the session and begins another one, which goes on with it.
fn return_to(server: &[&str], client: &mut Client) -> Client {
    client.session.handle_end(CloseReason::Eof);
    let recovery = client.session.recovery("/").cloned().expect("a pid is known");
    let auth = Join::new("/").with_auth(r#"{"token":"a"}"#);
    let mut next = Client::new([auth.with_recovery(recovery)]);
    next.out.clear();
    next.server.accept();
    next.server.text(OPENED);
    server.iter().for_each(|text| next.server.text(text));
    next.hear(0);
    next
}

#[test]
fn who_comes_back_says_who_it_was_and_how_far_it_has_come() {
    let mut client = Client::new([Join::new("/")]);
    client.out.clear();
    client.server.accept();
    for text in [OPENED, r#"40{"sid":"A","pid":"P"}"#, r#"42["a","x","1.0"]"#, r#"42["b",7]"#] {
        client.server.text(text);
    }
    client.hear(0);
    assert_eq!(client.said(), ["40"]);
    client.heard();

    // Some servers send what was missed before their answer, which makes no difference.
    let texts = [r#"42["c","1.1"]"#, r#"40{"sid":"A","pid":"P"}"#];
    let mut client = return_to(&texts, &mut client);
    assert_eq!(client.said(), [r#"40{"pid":"P","offset":"1.0","token":"a"}"#]);
    let event = r#"event / None ["c","1.1"] []"#;
    assert_eq!(client.heard(), ["opened", "connected / A again", event]);

    let texts = [r#"40{"sid":"A","pid":"P"}"#, r#"42["d","1.2"]"#];
    let mut client = return_to(&texts, &mut client);
    assert_eq!(client.said(), [r#"40{"pid":"P","offset":"1.1","token":"a"}"#]);
    // Not even the answer arrives: nothing has changed.
    let mut client = return_to(&[], &mut client);
    assert_eq!(client.said(), [r#"40{"pid":"P","offset":"1.2","token":"a"}"#]);

    let mut client = return_to(&[r#"40{"sid":"B","pid":"Q"}"#], &mut client);
    assert_eq!(client.said(), [r#"40{"pid":"P","offset":"1.2","token":"a"}"#]);
    assert_eq!(client.heard(), ["opened", "connected / B"]);
    let mut client = return_to(&[r#"40{"sid":"C"}"#], &mut client);
    assert_eq!(client.said(), [r#"40{"pid":"Q","offset":"1.2","token":"a"}"#]);
    assert_eq!(client.session.recovery("/"), None, "this server keeps nothing");
    assert_eq!(client.session.recovery("/other"), None);
}

#[test]
fn a_tap_sees_all_that_passes_over_a_websocket() {
    let mut client = Client::new([Join::new("/")]);
    client.out.clear();
    let tapped = client.tap();
    client.server.accept();
    client.server.text(OPENED);
    // Of this no event tells, before there is an answer to CONNECT.
    client.server.text(r#"42["early"]"#);
    client.server.text("2");
    client.server.binary(&[7]);
    client.hear(0);
    let open = format!("heard WebSocket {OPENED}");
    let early = r#"heard WebSocket 42["early"]"#;
    let pings = ["heard WebSocket 2", "said WebSocket 3", "heard WebSocket binary [7]"];
    let expected: Vec<&str> =
        [&open, "said WebSocket 40", early].into_iter().chain(pings).collect();
    assert_eq!(*tapped.borrow(), expected);
}

#[test]
fn what_a_handler_says_goes_out_in_its_place() {
    let mut client = Client::connected();
    client.server.text(r#"42["a"]"#);
    client.server.text("2");
    client.server.text(r#"42["b"]"#);
    client.hear_with(0, &mut |event, outgoing| {
        if let Event::Event { namespace, args, .. } = event {
            outgoing.emit(namespace, args.json(), &[]).unwrap();
        }
    });
    assert_eq!(client.said(), [r#"42["a"]"#, "3", r#"42["b"]"#]);
}

#[test]
fn server_is_silent_for_an_interval_and_a_timeout_after_its_last_ping() {
    let mut client = Client::connected();
    assert_eq!(client.session.deadline(), Some(at(45)));
    client.server.text("2");
    client.hear(25);
    // Only a ping is a sign of life: the specification says so.
    client.server.text(r#"42["a"]"#);
    client.hear(40);
    assert_eq!(client.said(), ["3"]);
    assert_eq!(client.session.deadline(), Some(at(70)));
    client.session.handle_timeout(at(70) - Duration::from_millis(1), &mut client.out);
    assert_eq!(client.session.closed(), None);
    client.session.handle_timeout(at(70), &mut client.out);
    assert_eq!(client.session.closed(), Some(&CloseReason::PingTimeout));
    assert_eq!(client.session.deadline(), None);
}

#[test]
fn connect_times_out_in_every_phase() {
    let prefixes: [&dyn Fn(&mut Server); 3] = [&|_| {}, &|server| server.accept(), &|server| {
        server.accept();
        server.text(OPENED);
    }];
    for prefix in prefixes {
        let mut client = Client::new([Join::new("/")]);
        prefix(&mut client.server);
        client.hear(19);
        assert_eq!(client.session.deadline(), Some(at(20)));
        client.session.handle_timeout(at(20), &mut client.out);
        assert_eq!(client.session.closed(), Some(&CloseReason::ConnectTimeout));
    }
}

#[test]
fn a_close_that_is_not_answered_ends_in_time() {
    let mut client = Client::connected();
    client.say(|outgoing| outgoing.close());
    client.server.text(r#"42["too late"]"#);
    client.hear(1);
    assert_eq!(client.heard(), [""; 0]);
    assert_eq!(client.session.deadline(), Some(at(5)));
    client.session.handle_timeout(at(5), &mut client.out);
    assert_eq!(client.session.closed(), Some(&CloseReason::Client));
}

#[test]
fn phases_are_over_when_the_server_has_answered() {
    let mut client = Client::new([Join::new("/"), Join::new("/a")]);
    client.server.accept();
    client.hear(1);
    client.server.text(OPENED);
    client.hear(2);
    client.server.text(CONNECTED);
    client.hear(3);
    assert_eq!(client.session.phases().connected_at, None);
    client.server.text(r#"40/a,{"sid":"B"}"#);
    client.hear(4);
    let phases = client.session.phases();
    assert_eq!(phases.stream_at, at(0));
    assert_eq!((phases.opened_at, phases.connected_at), (Some(at(2)), Some(at(4))));
}

#[test]
fn one_of_several_namespaces_can_be_left_and_joined_again() {
    let mut client = Client::new([Join::new("/"), Join::new("/a")]);
    client.server.accept();
    client.server.text(OPENED);
    client.server.text(CONNECTED);
    client.server.text(r#"40/a,{"sid":"B"}"#);
    client.hear(0);
    client.said();
    client.heard();

    client.say(|outgoing| {
        outgoing.disconnect("/a");
        assert_eq!(outgoing.emit("/a", "[\"x\"]", &[]), Err(NotConnected));
        outgoing.connect(Join::new("/a").with_auth("{}"));
        assert_eq!(outgoing.emit("/a", "[\"x\"]", &[]), Err(NotConnected));
    });
    // This was sent to who we were before.
    client.server.text(r#"42/a,["old"]"#);
    client.server.text(r#"40/a,{"sid":"C"}"#);
    client.server.text(r#"42/a,["new"]"#);
    client.hear(0);
    assert_eq!(client.said(), ["41/a,", "40/a,{}"]);
    assert_eq!(client.heard(), ["connected /a C", r#"event /a None ["new"] []"#]);
}

#[test]
fn nothing_is_heard_of_a_namespace_that_was_left() {
    let mut client = Client::new([Join::new("/"), Join::new("/a")]);
    client.server.accept();
    client.server.text(OPENED);
    client.server.text(CONNECTED);
    client.server.text(r#"40/a,{"sid":"B"}"#);
    client.hear(0);
    client.said();
    client.heard();

    client.say(|outgoing| outgoing.emit_with_ack("/a", r#"["a"]"#, &[])).unwrap();
    client.say(|outgoing| outgoing.disconnect("/a"));
    client.server.text(r#"42/a,["on its way"]"#);
    client.server.text("43/a,0[]");
    client.server.text("41/a,");
    client.hear(0);
    assert_eq!(client.heard(), [""; 0]);
    assert_eq!(client.said(), [r#"42/a,0["a"]"#, "41/a,"]);
    assert_eq!(client.session.closed(), None);
}

#[test]
fn a_namespace_left_before_the_answer_to_connect_is_left_after_it() {
    let leaving = || {
        let mut client = Client::new([Join::new("/"), Join::new("/a")]);
        client.server.accept();
        client.server.text(OPENED);
        client.hear(0);
        client.say(|outgoing| outgoing.disconnect("/a"));
        // A server may take neither a DISCONNECT nor another CONNECT before its answer.
        assert_eq!(client.said(), ["40", "40/a,"]);
        client
    };
    let mut client = leaving();
    client.server.text(r#"40/a,{"sid":"B"}"#);
    client.server.text(r#"42/a,["on its way"]"#);
    client.hear(0);
    assert_eq!(client.said(), ["41/a,"]);
    assert_eq!(client.heard(), ["opened"]);

    let mut client = leaving();
    client.say(|outgoing| outgoing.connect(Join::new("/a")));
    client.server.text(r#"40/a,{"sid":"B"}"#);
    client.hear(0);
    assert_eq!(client.said(), [""; 0]);
    assert_eq!(client.heard(), ["opened", "connected /a B"]);
}

#[test]
fn what_comes_before_the_answer_to_connect_is_heard_after_it() {
    let mut client = Client::new([Join::new("/")]);
    client.server.accept();
    client.server.text(OPENED);
    client.server.text(r#"42["early"]"#);
    client.server.text(r#"421["also"]"#);
    client.server.text(CONNECTED);
    client.hear(0);
    let heard = client.heard();
    let early = [r#"event / None ["early"] []"#, r#"event / Some(1) ["also"] []"#];
    assert_eq!(heard, ["opened", "connected / A", early[0], early[1]]);
}

#[test]
fn a_refusal_names_its_reason_and_ends_a_connection_that_has_nothing_else() {
    let mut client = Client::new([Join::new("/"), Join::new("/a")]);
    client.server.accept();
    client.server.text(OPENED);
    client.server.text(r#"44/a,{"message":"Invalid namespace"}"#);
    client.hear(0);
    assert_eq!(client.said(), ["40", "40/a,"]);
    client.server.text(r#"44{"message":"no"}"#);
    client.hear(0);
    let refused =
        [r#"refused /a {"message":"Invalid namespace"}"#, r#"refused / {"message":"no"}"#];
    assert_eq!(client.heard(), ["opened", refused[0], refused[1]]);
    assert_eq!(client.said(), ["close Some(1000)"]);
    client.session.handle_end(CloseReason::Eof);
    assert_eq!(client.session.closed(), Some(&CloseReason::Refused));
}

#[test]
fn a_server_that_breaks_the_protocol_is_closed_with_the_error_named() {
    use crate::socketio::DecodeError;
    for (text, error, code) in [
        ("3", ProtocolError::WrongDirection, 1002),
        ("5", ProtocolError::WrongDirection, 1002),
        (OPENED, ProtocolError::OpenTwice, 1002),
        (CONNECTED, ProtocolError::ConnectTwice("/".to_owned()), 1002),
        (r#"42/b,["a"]"#, ProtocolError::UnknownNamespace("/b".to_owned()), 1002),
        ("4", ProtocolError::Packet(DecodeError::UnknownType), 1002),
        ("42[1]", ProtocolError::Packet(DecodeError::EventName), 1002),
    ] {
        let mut client = Client::connected();
        client.server.text(text);
        client.server.text(r#"42["not heard"]"#);
        client.hear(0);
        assert_eq!(client.session.closed(), Some(&error.into()), "{text}");
        assert_eq!(client.said(), [format!("close Some({code})")]);
        assert_eq!(client.heard(), [""; 0]);
    }
}

#[test]
fn a_handshake_that_is_no_websocket_ends_the_session() {
    let mut client = Client::new([Join::new("/")]);
    client.server.bytes.extend(b"HTTP/1.1 400 Bad Request\r\n\r\n{\"code\":0}");
    client.hear(0);
    let status = crate::websocket::HandshakeError::Status(400);
    assert_eq!(client.session.closed(), Some(&CloseReason::Handshake(status)));
}

#[test]
fn packets_out_of_order_are_refused() {
    for (text, error) in [
        ("2", ProtocolError::NotOpen),
        (CONNECTED, ProtocolError::NotOpen),
        ("40", ProtocolError::NotOpen),
    ] {
        let mut client = Client::new([Join::new("/")]);
        client.server.accept();
        client.server.text(text);
        client.hear(0);
        assert_eq!(client.session.closed(), Some(&error.into()), "{text}");
    }
    let mut client = Client::new([Join::new("/")]);
    client.server.accept();
    client.server.text(OPENED);
    client.server.text("40{}");
    client.hear(0);
    assert_eq!(client.session.closed(), Some(&ProtocolError::ConnectData.into()));
}

#[test]
fn early_events_are_bounded() {
    let client_after = |events: usize| {
        let mut client = Client::new([Join::new("/")]);
        client.server.accept();
        client.server.text(OPENED);
        for _ in 0..events {
            client.server.text(r#"42["a"]"#);
        }
        client.hear(0);
        client
    };
    assert_eq!(client_after(1000).session.closed(), None);
    let error = ProtocolError::EarlyEvents { events_max: 1000, bytes_max: 1_000_000 };
    assert_eq!(client_after(1001).session.closed(), Some(&error.into()));
}

#[test]
fn acks_of_ids_never_given_out_are_ignored() {
    let mut client = Client::connected();
    client.say(|outgoing| outgoing.emit_with_ack("/", r#"["a"]"#, &[])).unwrap();
    client.server.text("431[]");
    client.server.text("430[]");
    client.hear(0);
    assert_eq!(client.heard(), ["ack / 0 [] []"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let bytes = |seed| {
        let mut client = Client::with_seed([Join::new("/")], seed);
        client.server.accept();
        client.server.text(OPENED);
        client.hear(0);
        client.out
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 192, "{}", size_of::<Session>());
    // Whose allocation takes no more than one of 32.
    assert!(size_of::<Namespace>() <= 40, "{}", size_of::<Namespace>());
}

proptest! {
    /// Whatever follows on a handshake, at whatever stage of it, nothing panics.
    #[test]
    fn any_bytes_are_survived(stage in 0..3, frames in vec(frame(), 0..8), raw in vec(any::<u8>(), 0..64)) {
        let mut client = Client::new([Join::new("/"), Join::new("/a")]);
        if stage > 0 {
            client.server.accept();
        }
        if stage > 1 {
            client.server.text(OPENED);
            client.server.text(CONNECTED);
        }
        for frame in frames {
            frame.send(&mut client.server);
        }
        client.server.bytes.extend(raw);
        client.hear(0);
        client.session.handle_timeout(at(1000), &mut client.out);
        client.session.handle_timeout(at(2000), &mut client.out);
        prop_assert!(client.session.closed().is_some());
    }

    /// How the bytes are cut changes neither events, nor answers, nor the end.
    #[test]
    fn cuts_change_nothing(
        frames in vec(frame(), 0..12),
        cuts in vec(1_usize..40, 1..20),
        closes_at in 0_usize..20,
    ) {
        let mut wholes = Client::new([Join::new("/"), Join::new("/a")]);
        wholes.server.accept();
        wholes.server.text(OPENED);
        wholes.server.text(CONNECTED);
        for frame in frames {
            frame.send(&mut wholes.server);
        }
        let mut pieces = Client::new([Join::new("/"), Join::new("/a")]);
        let mut rest = &wholes.server.bytes[..];
        for cut in cuts.into_iter().cycle() {
            let piece;
            (piece, rest) = rest.split_at(cut.min(rest.len()));
            if piece.is_empty() {
                break;
            }
            pieces.server.bytes.extend(piece);
            pieces.hear_and_close(closes_at);
        }
        wholes.hear_and_close(closes_at);
        prop_assert_eq!(wholes.heard(), pieces.heard());
        prop_assert_eq!(&wholes.out, &pieces.out);
        prop_assert_eq!(wholes.session.closed(), pieces.session.closed());
    }
}

#[derive(Clone, Debug)]
enum Frame {
    Binary(Vec<u8>),
    Close(u16),
    Text(String),
}

impl Frame {
    fn send(&self, server: &mut Server) {
        match self {
            Self::Binary(bytes) => server.binary(bytes),
            Self::Close(code) => server.close(*code),
            Self::Text(text) => server.text(text),
        }
    }
}

/// Few namespaces and ids, and mostly legal packets, so that sessions live long.
fn frame() -> impl Strategy<Value = Frame> {
    let namespace = || prop_oneof![4 => Just(""), 4 => Just("/a,"), 1 => Just("/b,")];
    let id = || prop_oneof![Just(""), Just("0"), Just("12")];
    let legal = (namespace(), id()).prop_flat_map(|(namespace, id)| {
        prop_oneof![
            2 => Just(format!(r#"40{namespace}{{"sid":"S"}}"#)),
            1 => Just(format!("41{namespace}")),
            6 => Just(format!(r#"42{namespace}{id}["event",{{"a":[1]}}]"#)),
            2 => Just(format!("43{namespace}{id}[true]")),
            1 => Just(format!(r#"44{namespace}{{"message":"no"}}"#)),
            2 => Just(format!(r#"451-{namespace}["b",{{"_placeholder":true,"num":0}}]"#)),
        ]
    });
    prop_oneof![
        12 => legal.prop_map(Frame::Text),
        2 => prop_oneof![Just("2"), Just("6"), Just("2probe")]
            .prop_map(|text| Frame::Text(text.to_owned())),
        1 => "[0-6]{0,2}[\\[\\]{}\",/0-9a-z]{0,12}".prop_map(Frame::Text),
        4 => vec(any::<u8>(), 0..300).prop_map(Frame::Binary),
        1 => prop_oneof![Just(1000), Just(1006)].prop_map(Frame::Close),
    ]
}
