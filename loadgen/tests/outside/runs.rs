//! Whole runs, over real sockets: against the embedded server, and servers that
//! stall, die or do not want us.

use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::process::{PATIENCE, Process, address, now};
use crate::running::{Ended, Running, run, signal};

/// A server in a process of its own, and its URL.
fn server() -> (Process, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["embedded-server", "--path", "/socket.io/", "--namespace", "/"]);
    let mut server = Process::start(&mut command);
    let url = format!("http://{}", address(&server.line()));
    (server, url)
}

/// Rooms have the same size, and everything that was sent reached everybody in them.
fn assert_all_delivered(ended: &Ended, clients: u64, members: u64) {
    let sent = ended.number("/messages/sent");
    assert!(sent > 0, "{}", ended.brief());
    for (pointer, expected) in [
        ("/clients/joined", clients),
        ("/clients/failed", 0),
        ("/clients/lost", 0),
        ("/messages/acked", sent),
        ("/messages/unanswered", 0),
        ("/messages/skipped", 0),
        ("/deliveries/expected", sent * (members - 1)),
        ("/deliveries/delivered", sent * (members - 1)),
        ("/deliveries/lost", 0),
        ("/deliveries/duplicate", 0),
        ("/deliveries/reordered", 0),
        ("/deliveries/wrong", 0),
        ("/deliveries/indeterminate", 0),
        ("/latency/tcp/count", clients),
        ("/latency/handshake/count", clients),
        ("/latency/connect/count", clients),
        ("/latency/join/count", clients),
        ("/latency/ready/count", clients),
        ("/latency/ack/count", sent),
        ("/latency/delivery/count", sent * (members - 1)),
        ("/latency/last_recipient/count", sent),
        ("/latency/send_lag/count", sent),
    ] {
        assert_eq!(ended.number(pointer), expected, "{pointer}: {}", ended.brief());
    }
}

#[test]
fn embedded_server_delivers_everything_once_and_in_order() {
    let ended = run("--clients 60 --rooms 6 --rate 200 --duration 1s --ramp 300ms");
    ended.assert_outcome("ok", 0);
    assert_all_delivered(&ended, 60, 10);
}

#[test]
fn a_run_over_several_threads_is_one_run() {
    let ended = run(
        "--clients 60 --rooms 6 --rate 200 --duration 1s --ramp 300ms --threads 3 --arrivals constant",
    );
    ended.assert_outcome("ok", 0);
    assert_all_delivered(&ended, 60, 10);
    assert_eq!(ended.number("/messages/sent"), 200);
}

#[test]
fn namespace_path_and_auth_reach_the_server() {
    let options = "--namespace /chat --path /live/ --auth {\"token\":1}";
    let ended = run(&format!("--clients 10 --rate 50 --duration 500ms --ramp 0 {options}"));
    ended.assert_outcome("ok", 0);
    assert_all_delivered(&ended, 10, 10);
}

#[test]
fn without_acks_deliveries_are_accounted_for_all_the_same() {
    let ended = run("--clients 20 --rooms 2 --rate 100 --duration 1s --ramp 0 --no-ack");
    ended.assert_outcome("ok", 0);
    let sent = ended.number("/messages/sent");
    assert_eq!(ended.number("/deliveries/delivered"), 9 * sent, "{}", ended.brief());
    assert_eq!((ended.number("/latency/ack/count"), ended.number("/messages/unanswered")), (0, 0));
}

#[test]
fn ctrl_c_ends_a_run_early_with_the_report_of_what_was_measured() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut running = Running::start("--clients 20 --rate 200 --duration 1h --ramp 0");
        running.wait_for("sending: ");
        sleep(Duration::from_millis(300));
        signal(running.id(), name);
        let ended = running.end();
        assert_eq!(ended.code, Some(code), "{}", ended.brief());
        assert_eq!(ended.text("/run/stopped_by"), format!("SIG{name}"));
        assert_all_delivered(&ended, 20, 10);
    }
}

#[test]
fn a_signal_while_clients_connect_also_yields_a_report() {
    let mut running = Running::start("--clients 1000 --ramp 1h --duration 1s");
    running.wait_for("connecting: ");
    signal(running.id(), "INT");
    let ended = running.end();
    assert_eq!((ended.code, ended.number("/messages/sent")), (Some(130), 0));
}

#[test]
fn the_embedded_server_does_not_outlive_its_parent() {
    let mut running = Running::start("--clients 5 --duration 1h --ramp 0");
    let line = running.wait_for("measuring ");
    let server = address(&line);
    running.wait_for("sending: ");
    assert!(TcpStream::connect(server).is_ok());
    drop(running);
    let deadline = now() + PATIENCE;
    while TcpStream::connect(server).is_ok() {
        assert!(now() < deadline, "the server is still there");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_dies_makes_the_run_invalid_and_is_not_accused_of_losing_messages() {
    let (mut server, url) = server();
    let arguments = "--clients 20 --rate 200 --duration 1s --ramp 0 --drain 200ms";
    let mut running = Running::start(&format!("{url} {arguments}"));
    running.wait_for("sending: ");
    sleep(Duration::from_millis(200));
    // What is on its way when it dies is neither lost nor delivered.
    server.signal("STOP");
    sleep(Duration::from_millis(200));
    server.stop();
    let ended = running.end();
    assert_eq!(ended.code, Some(5), "{}", ended.brief());
    assert_eq!(ended.number("/clients/lost"), 20);
    assert_eq!(ended.number("/deliveries/lost"), 0, "{}", ended.brief());
    assert!(ended.number("/deliveries/indeterminate") > 0, "{}", ended.brief());
    assert_eq!(ended.number("/messages/unanswered"), 0);
    assert!(ended.number("/messages/skipped") > 0);
}

#[test]
fn nobody_let_in_is_no_connection() {
    let (_server, url) = server();
    let ended = run(&format!("{url} --namespace /nowhere --clients 5 --ramp 0 --duration 1s"));
    assert_eq!(ended.code, Some(3), "{}", ended.brief());
    assert_eq!(ended.number("/clients/failed"), 5);
    let errors = ended.report["errors"].as_object().expect("errors are an object");
    let (what, count) = errors.iter().next().expect("there is an error");
    assert!(what.starts_with("connect: refused by the server: "), "{what}");
    assert_eq!(count, 5);
}

/// For a stall S in a run T, quantile(p) = S - (1-p)T of what was to be sent.
#[test]
fn a_stall_of_the_server_is_reported_in_full() {
    let (server, url) = server();
    let arguments = "--clients 50 --rooms 5 --rate 500 --duration 5s --ramp 0";
    let mut running = Running::start(&format!("{url} {arguments}"));
    running.wait_for("sending: ");
    sleep(Duration::from_secs(1));
    let stopped = now();
    server.signal("STOP");
    sleep(Duration::from_secs(1));
    server.signal("CONT");
    let stall_s = stopped.elapsed().as_secs_f64();
    let ended = running.end();
    ended.assert_outcome("ok", 0);
    for phase in ["ack", "delivery"] {
        for (quantile, p) in [("p90_us", 0.9), ("p95_us", 0.95), ("p99_us", 0.99), ("max_us", 1.0)]
        {
            let reported_s = ended.number(&format!("/latency/{phase}/{quantile}")) as f64 / 1e6;
            let expected_s = stall_s - (1.0 - p) * 5.0;
            let off_s = (reported_s - expected_s).abs();
            assert!(off_s < 0.15, "{phase} {quantile}: {reported_s} for {expected_s}");
        }
    }
}

#[test]
fn a_stall_of_loadgen_itself_is_not_blamed_on_the_server() {
    let (_server, url) = server();
    let arguments = "--clients 50 --rooms 5 --rate 500 --duration 3s --ramp 0";
    let mut running = Running::start(&format!("{url} {arguments}"));
    running.wait_for("sending: ");
    sleep(Duration::from_millis(500));
    signal(running.id(), "STOP");
    sleep(Duration::from_secs(1));
    signal(running.id(), "CONT");
    let ended = running.end();
    assert_eq!(ended.code, Some(5), "{}", ended.brief());
    let reason = ended.text("/verdict/reasons/0");
    assert!(reason.contains("loadgen itself sent late"), "{reason}");
    assert_eq!(ended.number("/deliveries/lost"), 0);
    // From the intended time a stall of 1 s in 3 s shows; from the time really sent it does not.
    for phase in ["ack", "delivery"] {
        let p75_us = |phase: &str| ended.number(&format!("/latency/{phase}/p75_us"));
        assert!((150_000..500_000).contains(&p75_us(phase)), "{phase} {}", p75_us(phase));
        let service_us = p75_us(&format!("{phase}_service"));
        assert!(service_us < 150_000, "{phase} {service_us}");
    }
}
