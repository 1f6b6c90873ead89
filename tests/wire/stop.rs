//! Ending the server with a signal.

use std::time::Duration;

use crate::client::{Seen, Wire};
use crate::process::{PATIENCE, now};
use crate::server::Server;

/// How long the server may take to end.
const STOP_MAX: Duration = Duration::from_secs(1);

#[test]
fn a_signal_ends_the_server_and_clients_see_it() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
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
            // A disconnect packet may come first, as Node sends it.
            let mut seen = client.next();
            if seen == Seen::Text("41".to_owned()) {
                seen = client.next();
            }
            assert!(matches!(seen, Seen::Close(_)), "{signal}: {seen:?}");
            assert_eq!(client.next(), Seen::End);
        }
    }
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_end() {
    let mut server = Server::start(&[]);
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
