//! From long-polling to a WebSocket: nothing is lost, doubled or reordered, and
//! an upgrade that fails leaves everything as it was.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parlor::{Config, Io, RawConnection, RawMessage};

use crate::client::{Seen, UPGRADE, Wire, frame, text_frame};
use crate::embedded::Embedded;
use crate::poller::{Poller, request, send};

fn echo() -> Embedded {
    Embedded::echo(Config::default())
}

/// A session whose probe is answered.
fn probed(server: &Embedded) -> (Poller, Wire) {
    let poller = Poller::begin(server.address);
    let mut socket = poller.websocket();
    socket.send_text("2probe");
    assert_eq!(socket.text(), "3probe");
    (poller, socket)
}

#[test]
fn a_waiting_poll_ends_with_a_noop_and_so_does_each_new_one() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut waiting = poller.poll();
    let mut socket = poller.websocket();
    thread::sleep(Duration::from_millis(50));
    socket.send_text("2probe");
    assert_eq!(socket.text(), "3probe");
    assert_eq!(waiting.response().text(), "6");
    assert_eq!(poller.got(), "6");
    poller.posts("4by post");
    assert_eq!(poller.got(), "4by post");
    assert_eq!(poller.got(), "6");
    socket.send_text("5");
    socket.send_text("4by socket");
    assert_eq!(socket.text(), "4by socket");
}

#[test]
fn what_is_queued_goes_first_and_in_order() {
    let server = echo();
    let (poller, mut socket) = probed(&server);
    poller.posts("4a\x1e4b\x1ebAQIDBA==");
    // In one piece: the session goes over, and the rest is for it already.
    let piece = [text_frame("5"), text_frame("4c"), frame(0x89, b"p"), text_frame("4d")].concat();
    socket.send(&piece);
    for expected in ["4a", "4b"] {
        assert_eq!(socket.text(), expected);
    }
    assert_eq!(socket.next(), Seen::Binary(vec![1, 2, 3, 4]));
    let mut rest = [socket.next(), socket.next(), socket.next()];
    rest.sort_by_key(|seen| format!("{seen:?}"));
    let expected =
        [Seen::Pong(b"p".to_vec()), Seen::Text("4c".to_owned()), Seen::Text("4d".to_owned())];
    assert_eq!(rest, expected);
}

#[test]
fn a_probe_may_come_in_any_pieces() {
    let server = echo();
    let poller = Poller::begin(server.address);
    let mut socket = Wire::dial(server.address);
    let target = poller.target().replace("polling", "websocket");
    let mut bytes = format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).into_bytes();
    bytes.extend([text_frame("2probe"), text_frame("5"), text_frame("4hurry")].concat());
    for piece in bytes.chunks(11) {
        socket.send(piece);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(socket.response().status, 101);
    assert_eq!(socket.text(), "3probe");
    assert_eq!(socket.text(), "4hurry");
}

#[test]
fn after_the_upgrade_nothing_else_serves_the_session() {
    let server = echo();
    let (poller, mut socket) = probed(&server);
    socket.send_text("5");
    socket.send_text("4over");
    assert_eq!(socket.text(), "4over");
    for method in ["GET", "POST"] {
        let response = request(server.address, method, &poller.target(), "", b"4a");
        assert_eq!(response.status, 400, "{method}");
        assert_eq!(response.text(), r#"{"code":3,"message":"Bad request"}"#);
    }
    let mut second = poller.websocket();
    assert_eq!(second.next(), Seen::Close(Some(1000)));
    assert_eq!(second.next(), Seen::End);
    socket.send_text("4undisturbed");
    assert_eq!(socket.text(), "4undisturbed");
    socket.send_text("1");
    assert_eq!(socket.next(), Seen::Close(Some(1000)));
    assert_eq!(socket.next(), Seen::End);
    thread::sleep(Duration::from_millis(50));
    poller.is_over();
}

#[test]
fn a_second_probe_is_closed_and_the_first_goes_on() {
    let server = echo();
    let (poller, mut socket) = probed(&server);
    let mut second = poller.websocket();
    assert_eq!(second.next(), Seen::Close(Some(1000)));
    socket.send_text("5");
    socket.send_text("4first");
    assert_eq!(socket.text(), "4first");
}

#[test]
fn a_probe_that_fails_leaves_polling_as_it_was() {
    let config = Config { upgrade_timeout: Duration::from_millis(300), ..Config::default() };
    let server = Embedded::echo(config);
    for (name, words, closes) in [
        ("closed before a word", &[][..], true),
        ("closed after the probe", &["2probe"], true),
        ("never a word", &[], false),
        ("never confirmed", &["2probe"], false),
        ("confirmed without a probe", &["5"], false),
        ("a message instead", &["2probe", "4hello"], false),
        ("another probe", &["2probe", "2probe"], false),
    ] {
        let poller = Poller::begin(server.address);
        let mut socket = poller.websocket();
        words.iter().for_each(|word| socket.send_text(word));
        poller.posts("4a");
        assert_eq!(poller.got(), "4a", "{name}");
        if closes {
            drop(socket);
        } else {
            while socket.next() != Seen::End {}
        }
        thread::sleep(Duration::from_millis(50));
        let mut waiting = poller.poll();
        thread::sleep(Duration::from_millis(50));
        poller.posts("4b");
        assert_eq!(waiting.response().text(), "4b", "{name}");
        let mut again = poller.websocket();
        again.send(&[text_frame("2probe"), text_frame("5"), text_frame("4c")].concat());
        assert_eq!((again.text(), again.text()), ("3probe".to_owned(), "4c".to_owned()), "{name}");
    }
}

#[test]
fn a_frame_that_breaks_the_protocol_ends_the_probe_alone() {
    let server = echo();
    for bytes in
        [&[0xff, 0xff][..], &frame(0x81, &[0xff]), &frame(0x82, b"5"), &frame(0x81, &[b'2'; 1000])]
    {
        let poller = Poller::begin(server.address);
        let mut socket = poller.websocket();
        socket.send(bytes);
        while socket.next() != Seen::End {}
        poller.posts("4a");
        assert_eq!(poller.got(), "4a");
    }
}

#[test]
fn a_session_that_ends_takes_its_probe_along() {
    let server = echo();
    let (poller, mut socket) = probed(&server);
    poller.posts("1");
    assert_eq!(socket.next(), Seen::Close(Some(1000)));
    assert_eq!(socket.next(), Seen::End);
    poller.is_over();
}

#[test]
fn a_kept_alive_connection_can_become_a_websocket() {
    let server = echo();
    // A new session.
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/elsewhere", "", b"");
    assert_eq!(wire.response().status, 404);
    let target = "/socket.io/?EIO=4&transport=websocket";
    let upgrade = format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    wire.send(&[upgrade.as_bytes(), &text_frame("4at once")].concat());
    assert_eq!(wire.response().status, 101);
    assert!(wire.text().starts_with("0{"));
    assert_eq!(wire.text(), "4at once");
    // The transport of one that polls.
    let poller = Poller::begin(server.address);
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "POST", &poller.target(), "", b"4posted");
    assert_eq!(wire.response().text(), "ok");
    let target = poller.target().replace("polling", "websocket");
    let upgrade = format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    let frames = [text_frame("2probe"), text_frame("5"), text_frame("4sent")].concat();
    wire.send(&[upgrade.as_bytes(), &frames].concat());
    assert_eq!(wire.response().status, 101);
    assert_eq!([wire.text(), wire.text(), wire.text()], ["3probe", "4posted", "4sent"]);
    // And one that is refused.
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/elsewhere", "", b"");
    wire.response();
    wire.send(upgrade.replace(&poller.sid, "unknown").as_bytes());
    assert_eq!(wire.response().status, 400);
}

/// Pushes numbers all the time, and says which numbers it has heard.
fn chatterbox(io: &mut Io) {
    io.raw(async |connection: RawConnection, message: RawMessage| match message {
        RawMessage::Text(text) if &*text == "start" => {
            tokio::task::spawn_local(async move {
                for number in 0..PUSHED {
                    connection.send_text(&format!("push {number}"));
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
            });
        }
        RawMessage::Text(text) => connection.send_text(&format!("heard {text}")),
        RawMessage::Binary(_) => {}
    });
}

const PUSHED: u32 = 150;
const SENT: u32 = 150;

/// The promise `connection_fifo`, across the upgrade: the client posts and
/// polls all the time, goes over at some moment, and both sides have heard
/// everything once and in order.
#[test]
fn nothing_is_lost_doubled_or_reordered_while_both_sides_speak() {
    let server = Embedded::start(Config::default(), chatterbox);
    for round in 0..40 {
        let heard = upgrade_while_speaking(server.address, Duration::from_micros(700 * round));
        let numbers = |word: &str| -> Vec<u32> {
            let of_word = heard.iter().filter_map(|text| text.strip_prefix(word));
            of_word.map(|number| number.parse().expect("a number")).collect()
        };
        assert_eq!(numbers("4push "), (0..PUSHED).collect::<Vec<_>>(), "round {round}");
        assert_eq!(numbers("4heard "), (0..SENT).collect::<Vec<_>>(), "round {round}");
    }
}

/// Everything that a client heard that goes over after `delay`.
fn upgrade_while_speaking(server: SocketAddr, delay: Duration) -> Vec<String> {
    let poller = Poller::begin(server);
    poller.posts("4start");
    let pausing = Arc::new(AtomicBool::new(false));
    let reader = {
        let (poller, pausing) = (poller.clone(), Arc::clone(&pausing));
        thread::spawn(move || {
            let mut heard = Vec::new();
            while !pausing.load(Ordering::SeqCst) {
                heard.extend(poller.got().split('\x1e').map(str::to_owned));
            }
            heard
        })
    };
    let writer = {
        let (poller, pausing) = (poller.clone(), Arc::clone(&pausing));
        thread::spawn(move || {
            let mut sent = 0;
            while !pausing.load(Ordering::SeqCst) && sent + 2 < SENT {
                poller.posts(&format!("4{sent}\x1e4{}", sent + 1));
                sent += 2;
            }
            sent
        })
    };
    thread::sleep(delay);
    let mut socket = poller.websocket();
    socket.send_text("2probe");
    assert_eq!(socket.text(), "3probe");
    pausing.store(true, Ordering::SeqCst);
    // What was asked over HTTP is answered first.
    let sent = writer.join().expect("its posts are taken");
    let mut heard = reader.join().expect("its polls are answered");
    socket.send_text("5");
    (sent..SENT).for_each(|number| socket.send_text(&format!("4{number}")));
    let count = |heard: &[String], word| heard.iter().filter(|text| text.starts_with(word)).count();
    while count(&heard, "4push ") < PUSHED as usize || count(&heard, "4heard ") < SENT as usize {
        heard.push(socket.text());
    }
    // Nothing comes twice.
    socket.send(&frame(0x89, b"end"));
    assert_eq!(socket.next(), Seen::Pong(b"end".to_vec()));
    heard
}
