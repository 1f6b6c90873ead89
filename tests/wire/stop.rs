//! Ending the server with a signal.

use std::net::SocketAddr;
use std::time::Duration;

use parlor::{Ack, Config, Socket};

use crate::client::{Seen, TARGET, UPGRADE, Wire};
use crate::embedded::Embedded;
use crate::poller::{Poller, send};
use crate::process::{PATIENCE, now};
use crate::server::Server;

/// How long the server may take to end, if nobody is given time.
const STOP_MAX: Duration = Duration::from_secs(1);

/// All clients at once, who may take half a second to close.
const AT_ONCE: [&str; 4] = ["--drain-window", "0s", "--close-timeout", "500ms"];

#[test]
fn a_signal_ends_the_server_and_clients_see_it() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&AT_ONCE);
        let mut clients: Vec<Wire> = (0..20).map(|_| Wire::chat(server.address)).collect();
        // Peers at every other stage must not hold it up.
        let _silent = Wire::dial(server.address);
        let mut halfway = Wire::dial(server.address);
        halfway.send(b"GET /socket.io/?EIO=4");
        let _nowhere = Wire::open(server.address);
        let signalled = now();
        server.process.signal(signal);
        let status = server.process.wait(PATIENCE).expect("a signal ends it");
        let took = signalled.elapsed();
        assert!(status.success(), "{signal}: {status}");
        assert!(took <= STOP_MAX, "{signal}: it took {took:?} to end");
        for client in &mut clients {
            // No disconnect packet: after one, a stock client would stay away.
            assert_eq!(client.next(), Seen::Close(Some(1001)), "{signal}");
            assert_eq!(client.next(), Seen::End);
        }
    }
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_end() {
    let mut server = Server::start(&AT_ONCE);
    let mut deaf = Wire::chat(server.address);
    let mut speaker = Wire::chat(server.address);
    for wire in [&mut deaf, &mut speaker] {
        wire.send_text("421[\"join\",\"room\"]");
        assert!(wire.text().starts_with("431"));
    }
    // More than fits into the buffers of the two ends of a connection, less than the server's own bound.
    let body = "x".repeat(500_000);
    for number in 0..12 {
        speaker.send_text(&format!(
            "42{number}[\"message\",{{\"room\":\"room\",\"body\":\"{body}\"}}]"
        ));
        assert!(speaker.text().starts_with(&format!("43{number}")));
    }
    server.process.signal("TERM");
    let status = server.process.wait(Duration::from_secs(5));
    assert!(status.expect("it ends although one client does not read").success());
}

/// Each of them alone in its place, in the order in which they came.
const ONE_SHARD: [&str; 2] = ["--shards", "1"];

fn join(wire: &mut Wire, room: &str) {
    wire.send_text(&format!("421[\"join\",\"{room}\"]"));
    let ack = wire.text();
    assert!(ack.starts_with("431[") && ack.contains("\"ok\":true"), "{ack}");
}

#[test]
fn clients_are_told_to_go_one_by_one_and_the_others_are_served() {
    const CLIENTS: u32 = 5;
    // All are told in the first 3.5 of five seconds.
    const WINDOW: Duration = Duration::from_millis(3500);
    let mut server = Server::start(&[&ONE_SHARD[..], &["--drain-window", "5s"]].concat());
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| Wire::chat(server.address)).collect();
    clients.iter_mut().for_each(|client| join(client, "room"));
    let signalled = now();
    server.process.signal("TERM");
    for at in 0..CLIENTS {
        let (gone, left) = clients.split_at_mut(at as usize + 1);
        let gone = gone.last_mut().expect("one more has gone");
        assert_eq!(gone.next(), Seen::Close(Some(1001)), "client {at}");
        let after = signalled.elapsed();
        assert!(after >= WINDOW * at / CLIENTS, "client {at} went after {after:?}");
        gone.finish();
        let Some((speaker, listeners)) = left.split_last_mut() else { continue };
        speaker.send_text("422[\"message\",{\"room\":\"room\",\"body\":\"still here\"}]");
        assert_eq!(speaker.text(), format!("432[{{\"ok\":true,\"seq\":{}}}]", at + 1));
        for listener in listeners {
            assert!(listener.text().contains("still here"));
        }
        // Who wants to come now is not let in.
        assert!(std::net::TcpStream::connect(server.address).is_err(), "the listener is closed");
    }
    let status = server.process.wait(PATIENCE).expect("all have gone");
    assert!(status.success(), "{status}");
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = Server::start(&[&ONE_SHARD[..], &["--drain-window", "60s"]].concat());
        let mut clients = [Wire::chat(server.address), Wire::chat(server.address)];
        server.process.signal("TERM");
        assert_eq!(clients[0].next(), Seen::Close(Some(1001)));
        let signalled = now();
        server.process.signal(signal);
        let status = server.process.wait(PATIENCE).expect("it does not wait for the window");
        assert_eq!(status.code(), Some(code), "{signal}");
        assert!(signalled.elapsed() < STOP_MAX);
    }
}

#[test]
fn what_was_acked_before_the_end_has_been_delivered() {
    const MESSAGES: usize = 2000;
    for shards in ["1", "2"] {
        let options = ["--shards", shards, "--drain-window", "1s"];
        let mut server = Server::start(&options);
        let mut clients: Vec<Wire> = (0..6).map(|_| Wire::chat(server.address)).collect();
        clients.iter_mut().for_each(|client| join(client, "room"));
        let message = |at| format!("42{at}[\"message\",{{\"room\":\"room\",\"body\":{at}}}]");
        for at in 2..MESSAGES {
            clients[0].send_text(&message(at));
            if at == MESSAGES / 2 {
                server.process.signal("TERM");
            }
        }
        let mut seen = clients.iter_mut().map(until_the_end);
        let acked = seen.next().expect("the speaker is the first");
        let acked = acked.iter().filter(|text| text.starts_with("43")).count();
        assert!(acked > 0, "{shards} shards");
        let heard = seen.map(|seen| seen.len()).max().expect("there are listeners");
        // Somebody stays longer than the speaker, and hears all of it.
        assert!(heard >= acked, "{shards} shards: {acked} acked, {heard} heard");
        assert!(server.process.wait(PATIENCE).expect("all have gone").success());
    }
}

/// Every text until the close, which must come.
fn until_the_end(wire: &mut Wire) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let seen = wire.next();
        let Seen::Text(text) = seen else {
            assert_eq!(seen, Seen::Close(Some(1001)));
            wire.finish();
            return texts;
        };
        texts.push(text);
    }
}

#[test]
fn what_has_arrived_is_answered_before_the_close() {
    let mut server = Embedded::echo(Config::default());
    let mut wire = Wire::open(server.address).1;
    wire.send_text("4slow");
    wire.send_text("4quick");
    server.stop();
    assert_eq!(wire.text(), "4slow");
    assert_eq!(wire.text(), "4quick");
    assert_eq!(wire.next(), Seen::Close(Some(1001)));
}

#[test]
fn a_handler_that_does_not_end_holds_nobody_up_for_long() {
    let config = Config { close_timeout: Duration::from_millis(200), ..Config::default() };
    let mut server = Embedded::echo(config);
    let mut wire = Wire::open(server.address).1;
    wire.send_text("4slow");
    server.stop();
    assert_eq!(wire.next(), Seen::Close(Some(1001)), "after half the time");
}

/// A connection on which HTTP was spoken already, and which stays open.
fn kept_alive(server: &Server) -> Wire {
    let mut wire = Wire::dial(server.address);
    send(&mut wire, "GET", "/elsewhere", "", b"");
    assert_eq!(wire.response().status, 404);
    wire
}

#[test]
fn polls_are_served_until_their_turn_and_new_sessions_are_refused() {
    let mut server = Server::start(&[&ONE_SHARD[..], &["--drain-window", "4500ms"]].concat());
    let mut first = Wire::chat(server.address);
    let mut connections: Vec<Wire> = (0..4).map(|_| kept_alive(&server)).collect();
    let poller = Poller::begin(server.address);
    poller.posts("40");
    assert!(poller.got().contains("42[\"hello\""), "both come together");
    server.process.signal("TERM");
    assert_eq!(first.next(), Seen::Close(Some(1001)));

    let [get, post, begin, upgrade] = &mut connections[..] else { unreachable!("there are four") };
    send(post, "POST", &poller.target(), "", b"421[\"echo\",\"draining\"]");
    assert_eq!(post.response().text(), "ok");
    send(get, "GET", &poller.target(), "", b"");
    let answer = get.response();
    assert_eq!(answer.text(), "431[\"draining\"]");
    assert_eq!(answer.header("connection"), None, "it goes on");

    send(begin, "GET", "/socket.io/?EIO=4&transport=polling", "", b"");
    upgrade.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    for refused in [begin, upgrade] {
        let answer = refused.response();
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(refused.next(), Seen::End);
    }

    send(get, "GET", &poller.target(), "", b"");
    let answer = get.response();
    assert_eq!((answer.status, answer.text()), (200, "1"));
    assert_eq!(answer.header("connection"), Some("close"), "it is to go elsewhere");
    assert_eq!(get.next(), Seen::End);
    assert!(server.process.wait(PATIENCE).expect("all have gone").success());
}

/// A socket of `/` on the shard that does not keep the order of it.
fn on_the_second_shard(server: SocketAddr) -> Wire {
    loop {
        let (open, mut wire) = Wire::open(server);
        let sid = open["sid"].as_str().and_then(parlor::room::Sid::parse);
        if sid.is_some_and(|sid| sid.shard().0 == 1) {
            wire.send_text("40");
            assert!(wire.text().starts_with("40{"));
            return wire;
        }
    }
}

#[test]
fn what_was_done_is_answered_before_the_close_also_when_another_shard_did_it() {
    let config = Config { drain_window: Duration::from_secs(1), ..Config::default() };
    let mut server = Embedded::start_on(2, config, |io| {
        io.of("/").on("say", async |socket: Socket, (): (), ack: Ack| {
            socket.broadcast().emit("said", ());
            ack.send(());
        });
    });
    let mut wires: Vec<Wire> = (0..10).map(|_| on_the_second_shard(server.address)).collect();
    let (listener, speakers) = wires.split_last_mut().expect("there are ten");
    // Each has something under way most of the time, also when it is told to go.
    for number in 0..3000 {
        for speaker in &mut *speakers {
            speaker.send_text(&format!("42{number}[\"say\"]"));
        }
        if number == 500 {
            server.stop();
        }
        std::thread::sleep(Duration::from_micros(20));
    }
    let is_ack = |text: &&String| text.starts_with("43");
    let acked = |wire| until_the_end(wire).iter().filter(is_ack).count();
    let acked: usize = speakers.iter_mut().map(acked).sum();
    let heard = until_the_end(listener).len();
    assert!((5_000..27_000).contains(&acked), "{acked}: they were told while they spoke");
    assert_eq!(acked, heard);
}

#[test]
fn a_shard_without_clients_serves_the_others_to_the_end() {
    let mut server = Server::start(&["--shards", "2", "--drain-window", "3s"]);
    // The order of `/` is kept by the first shard: all clients on the other one.
    let mut clients: Vec<Wire> = (0..2).map(|_| on_the_second_shard(server.address)).collect();
    for client in &mut clients {
        assert!(client.text().starts_with("42[\"hello\""));
        join(client, "room");
    }
    server.process.signal("TERM");
    assert_eq!(clients[0].next(), Seen::Close(Some(1001)));
    clients[0].finish();
    join(&mut clients[1], "another");
    assert_eq!(clients[1].next(), Seen::Close(Some(1001)));
    clients[1].finish();
    let status = server.process.wait(Duration::from_secs(1)).expect("nobody is left");
    assert!(status.success(), "{status}");
}

#[test]
fn who_was_let_in_by_the_kernel_gets_an_answer() {
    let mut server = Server::start(&[&ONE_SHARD[..], &AT_ONCE].concat());
    server.process.signal("STOP");
    // So many that the signal is seen before the last of them.
    let mut waiting: Vec<Wire> = (0..500).map(|_| Wire::dial(server.address)).collect();
    for wire in &mut waiting {
        wire.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    }
    server.process.signal("TERM");
    server.process.signal("CONT");
    let statuses = waiting.iter_mut().map(|wire| wire.response().status);
    let refused = statuses.inspect(|status| assert!(matches!(status, 101 | 503), "{status}"));
    assert_ne!(refused.filter(|status| *status == 503).count(), 0, "the signal came too late");
    assert!(server.process.wait(PATIENCE).expect("it ends").success());
}

#[test]
fn a_second_server_cannot_take_the_same_address() {
    let server = Server::start(&[]);
    let taken = server.address.to_string();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_parlor"))
        .args(["--listen", &taken])
        .output();
    let second = second.expect("the binary starts");
    assert!(!second.status.success(), "it says that it cannot listen");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.starts_with("parlor: ") && said.trim_end().lines().count() == 1,
        "one line says why: {said}"
    );
    assert!(second.stdout.is_empty(), "it does not say that it is ready");
    server.serves();
}
