//! What the people who run the server can ask it: metrics, health, readiness.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

use parlor::{Config, Io, Observer, Socket};
use tokio::sync::oneshot;

use crate::client::{Wire, text_frame};
use crate::poller::{Poller, request, send};
use crate::process::{PATIENCE, address};
use crate::server::Server;

/// The parlor program with so many shards, and where it tells how it is.
pub(crate) fn observed(shards: &str, options: &[&str]) -> (Server, SocketAddr) {
    let flags = ["--metrics-address", "127.0.0.1:0", "--shards", shards];
    let mut server = Server::start(&[&flags[..], options].concat());
    let line = server.process.line();
    let operator = line.strip_prefix("metrics on ").expect("it says where");
    let operator = operator.trim_end().strip_suffix("/metrics").expect("and under which path");
    let operator = address(&format!("listening on {operator}"));
    // It listens before its shards' threads run.
    let begin = crate::process::now();
    while status(operator, "/readyz").0 != 200 {
        assert!(begin.elapsed() < PATIENCE, "the shards begin");
    }
    (server, operator)
}

/// All of its metrics as they are now.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn of(operator: SocketAddr) -> Self {
        let response = request(operator, "GET", "/metrics", "", b"");
        assert_eq!(response.status, 200);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(response.header("content-type"), Some(kind));
        Self(response.text().to_owned())
    }

    /// The sum over all shards of what has this name and these labels besides.
    pub(crate) fn sum(&self, name: &str, labels: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, rest) = series.split_once('{')?;
            (found == name && rest.contains(labels))
                .then(|| value.parse::<f64>().expect("a number"))
        });
        let values: Vec<f64> = values.collect();
        assert!(!values.is_empty(), "{name}{{{labels}}} is not in\n{}", self.0);
        values.iter().sum()
    }
}

fn status(operator: SocketAddr, path: &str) -> (u16, String) {
    let response = request(operator, "GET", path, "", b"");
    (response.status, response.text().to_owned())
}

/// Waits until what is counted has this value: what a client sees comes a moment before.
pub(crate) fn becomes(operator: SocketAddr, name: &str, labels: &str, expected: f64) {
    let begin = crate::process::now();
    loop {
        let metrics = Metrics::of(operator);
        if metrics.sum(name, labels) == expected {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{name}{{{labels}}} is not {expected}\n{}", metrics.0);
        thread::yield_now();
    }
}

#[test]
fn what_clients_do_is_counted() {
    for shards in ["1", "4"] {
        let (server, operator) = observed(shards, &[]);
        let idle = Metrics::of(operator);
        assert_eq!(idle.sum("parlor_connections", ""), 0.0);
        assert_eq!(idle.sum("parlor_events_in_total", ""), 0.0);
        let mut members: Vec<Wire> = (0..3).map(|_| Wire::chat(server.address)).collect();
        let poller = Poller::begin(server.address);
        for member in &mut members {
            member.send_text("420[\"join\",\"room\"]");
            assert!(member.text().starts_with("430"));
        }
        members[0].send_text("421[\"message\",{\"room\":\"room\",\"body\":\"hello\"}]");
        assert!(members[0].text().starts_with("431"));
        members[1..].iter_mut().for_each(|member| assert!(member.text().contains("hello")));
        let seen = Metrics::of(operator);
        for (name, labels, expected) in [
            ("parlor_connections", "transport=\"websocket\"", 3.0),
            ("parlor_connections", "transport=\"polling\"", 1.0),
            ("parlor_connections_opened_total", "transport=\"websocket\"", 3.0),
            ("parlor_connections_opened_total", "transport=\"polling\"", 1.0),
            ("parlor_sockets", "", 3.0),
            ("parlor_rooms", "", 1.0),
            // Three joins and a message; three hellos, and the message for two.
            ("parlor_events_in_total", "", 4.0),
            ("parlor_deliveries_total", "", 5.0),
            ("parlor_handler_panics_total", "", 0.0),
            ("parlor_draining", "", 0.0),
        ] {
            assert_eq!(
                seen.sum(name, labels),
                expected,
                "{shards} shards: {name} {labels}\n{}",
                seen.0
            );
        }
        // To many is one, on each shard where some of them are.
        let events_out = seen.sum("parlor_events_out_total", "");
        assert!(events_out == 4.0 || (events_out == 5.0 && shards == "4"), "{}", seen.0);
        assert!(seen.sum("parlor_bytes_in_total", "") > 100.0);
        assert!(seen.sum("parlor_bytes_out_total", "") > seen.sum("parlor_bytes_in_total", ""));
        // Each of four events had a handler, and each of three connections.
        assert!(seen.sum("parlor_handler_seconds_count", "") >= 7.0);
        assert!(seen.sum("parlor_tick_seconds_count", "") >= 4.0);
        members.pop();
        becomes(operator, "parlor_connections_closed_total", "reason=\"transport_close\"", 1.0);
        members[0].send_text("nonsense");
        becomes(operator, "parlor_connections_closed_total", "reason=\"parse_error\"", 1.0);
        becomes(operator, "parlor_connections", "transport=\"websocket\"", 1.0);
        drop(poller);
    }
}

#[test]
fn who_goes_over_to_a_websocket_is_counted_there_and_polls_no_more() {
    for shards in ["1", "4"] {
        let (server, operator) = observed(shards, &[]);
        let poller = Poller::begin(server.address);
        let mut websocket = poller.websocket();
        websocket.send_text("2probe");
        assert_eq!(websocket.text(), "3probe");
        assert_eq!(poller.got(), "6");
        let before = Metrics::of(operator);
        assert_eq!(before.sum("parlor_connections", "transport=\"polling\""), 1.0);
        assert_eq!(before.sum("parlor_upgrades_total", ""), 0.0);
        websocket.send_text("5");
        websocket.send_text("40");
        assert!(websocket.text().starts_with("40{"));
        let seen = Metrics::of(operator);
        assert_eq!(seen.sum("parlor_upgrades_total", ""), 1.0);
        assert_eq!(seen.sum("parlor_connections", "transport=\"polling\""), 0.0);
        assert_eq!(seen.sum("parlor_connections", "transport=\"websocket\""), 1.0);
        assert_eq!(seen.sum("parlor_connections_opened_total", "transport=\"polling\""), 1.0);
        drop(websocket);
        becomes(operator, "parlor_connections", "", 0.0);
        becomes(operator, "parlor_connections_closed_total", "", 1.0);
    }
}

#[test]
fn what_is_held_back_and_who_is_turned_away_is_counted() {
    let (server, operator) = observed(
        "1",
        &[
            "--limits-events-per-second",
            "1",
            "--limits-bytes-per-second",
            "20kB",
            "--limits-rate-burst",
            "1s",
            "--limits-connections-max",
            "1",
        ],
    );
    let mut wire = Wire::chat(server.address);
    // All in one go, more than the one that may come at once.
    let events: Vec<Vec<u8>> =
        (0..9).map(|number| text_frame(&format!("42{number}[\"echo\",\"x\"]"))).collect();
    wire.send(&events.concat());
    let answers: Vec<String> = events.iter().map(|_| wire.text()).collect();
    let refused = answers.iter().filter(|answer| answer.contains("too fast")).count();
    assert!(refused > 0, "{answers:?}");
    let seen = Metrics::of(operator);
    assert_eq!(seen.sum("parlor_events_refused_total", ""), refused as f64);
    assert_eq!(seen.sum("parlor_events_in_total", ""), (events.len() - refused) as f64);
    assert_eq!(seen.sum("parlor_turned_away_total", ""), 0.0);
    let mut second = Wire::dial(server.address);
    send(&mut second, "GET", "/socket.io/?EIO=4&transport=polling", "", b"");
    assert_eq!(second.response().status, 503, "there is room for one");
    becomes(operator, "parlor_turned_away_total", "reason=\"full\"", 1.0);
    assert_eq!(seen.sum("parlor_read_pauses_total", ""), 0.0);
    wire.send_text(&format!("42[\"echo\",\"{}\"]", "x".repeat(30_000)));
    becomes(operator, "parlor_read_pauses_total", "", 1.0);
}

/// One who polls, for whom ten messages wait, or as many as the policy leaves.
pub(crate) fn ten_for_a_poller(server: SocketAddr) -> Poller {
    let poller = Poller::begin(server);
    poller.posts("40");
    poller.posts("420[\"join\",\"room\"]");
    let mut speaker = Wire::chat(server);
    speaker.send_text("420[\"join\",\"room\"]");
    speaker.text();
    let _ = poller.got();
    for number in 0..10 {
        let message = format!("[\"message\",{{\"room\":\"room\",\"body\":{number}}}]");
        speaker.send_text(&format!("42{number}{message}"));
        speaker.text();
    }
    speaker.echoes("all are out");
    poller
}

#[test]
fn what_is_dropped_is_counted_by_the_policy_that_drops_it() {
    for policy in ["drop_newest", "drop_oldest"] {
        let bounds = ["--limits-policy", policy, "--limits-outbound-packets-max", "3"];
        let (server, operator) = observed("1", &bounds);
        let _poller = ten_for_a_poller(server.address);
        let seen = Metrics::of(operator);
        assert_eq!(seen.sum("parlor_dropped_total", ""), 7.0);
        assert_eq!(seen.sum("parlor_dropped_total", &format!("reason=\"{policy}\"")), 7.0);
    }
}

#[test]
fn what_waits_for_a_slow_reader_is_counted_while_it_waits() {
    let (server, operator) = observed("1", &["--limits-outbound-bytes-max", "1GB"]);
    let mut deaf = Wire::chat(server.address);
    let mut speaker = Wire::chat(server.address);
    for wire in [&mut deaf, &mut speaker] {
        wire.send_text("420[\"join\",\"room\"]");
        wire.text();
    }
    let body = "x".repeat(900_000);
    for _ in 0..30 {
        speaker.send_text(&format!("421[\"message\",{{\"room\":\"room\",\"body\":\"{body}\"}}]"));
        speaker.text();
    }
    let seen = Metrics::of(operator);
    assert_eq!(seen.sum("parlor_queue_connections", ""), 1.0);
    assert!(seen.sum("parlor_queue_packets", "") >= 2.0);
    assert!(seen.sum("parlor_queue_bytes", "") > 1e6);
    drop(deaf);
    becomes(operator, "parlor_queue_bytes", "", 0.0);
}

#[test]
fn health_and_readiness_are_told_and_readiness_ends_with_the_drain() {
    let (mut server, operator) = observed("2", &["--drain-window", "60s"]);
    assert_eq!(status(operator, "/healthz"), (200, "2 of 2 shards answer\n".to_owned()));
    assert_eq!(status(operator, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(status(operator, "/").0, 404);
    // Load balancers ask where clients come.
    assert_eq!(status(server.address, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(status(server.address, "/healthz").0, 200);
    assert_eq!(status(server.address, "/metrics").0, 404, "that is for operators");
    assert_eq!(request(operator, "POST", "/metrics", "", b"").status, 405);
    // Of four, two at least go late in the window.
    let clients: Vec<Wire> = (0..4).map(|_| Wire::chat(server.address)).collect();
    server.process.signal("TERM");
    becomes(operator, "parlor_draining", "", 2.0);
    assert_eq!(status(operator, "/readyz").0, 503);
    assert_eq!(status(operator, "/healthz").0, 200, "it is well, and to be left alone");
    drop(clients);
    assert!(server.process.wait(PATIENCE).expect("all have gone").success());
}

#[test]
fn a_shard_that_is_stuck_is_noticed() {
    let observer = Observer::new(2);
    let barrier = Arc::new(Barrier::new(2));
    let app = {
        let (observer, barrier) = (observer.clone(), Arc::clone(&barrier));
        move |io: &mut Io| {
            io.observe(&observer);
            let barrier = Arc::clone(&barrier);
            io.of("/").on("block", async move |_: Socket, ()| {
                barrier.wait();
            });
        }
    };
    let any = ([127, 0, 0, 1], 0).into();
    let listeners = parlor::net::listen_shards(any, 2, false).expect("a free port");
    let address = listeners[0].local_addr().expect("it is bound");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let served = parlor::serve(listeners, Config::default(), app, shutdown);
        let story = async {
            let mut client = Wire::open(address).1;
            client.send_text("40");
            client.text();
            let look = async || observer.look().await;
            // A shard that is well may be late where the machine is busy.
            while !look().await.is_ready() {}
            client.send_text("42[\"block\"]");
            while look().await.answered() != (1, 2) {}
            let seen = look().await;
            assert!(!seen.is_ready() && !seen.is_alive());
            barrier.wait();
            while !look().await.is_ready() {}
            drop(stop);
        };
        let both = async { tokio::join!(served, story) };
        let (served, ()) = tokio::time::timeout(PATIENCE, both).await.expect("it is noticed");
        served.expect("it serves until it is stopped");
    });
    assert!(!runtime_less(&observer), "nobody answers for a server that has ended");
}

/// Whether anybody answers, asked from a runtime that has nothing to do with the server.
fn runtime_less(observer: &Observer) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(observer.look()).is_alive()
}
