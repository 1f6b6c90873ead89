//! TLS: everything that is served is served over it, and what goes wrong in it
//! concerns one connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Command;

use parlor::net::Listener;
use parlor::tls::{Identity, TlsListener};
use parlor::{Config, Io, Reason, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::client::{TARGET, UPGRADE, Wire, text_frame};
use crate::embedded::Embedded;
use crate::poller::Poller;
use crate::process::{PATIENCE, Process, address, now};
use crate::server::Server;
use crate::tunnel::{Files, client, connect, tunnel};

fn start(files: &Files, options: &[&str]) -> Server {
    Server::start(&[&files.flags()[..], options].concat())
}

/// The server is well: somebody else is served over TLS.
fn serves(server: &Server, certificate: &CertificateDer<'static>) {
    let trusted = client(std::slice::from_ref(certificate), &[]);
    Wire::chat(tunnel(server.address, trusted)).echoes("well");
}

#[test]
fn both_transports_and_the_upgrade_work_on_any_shard() {
    let files = Files::new("transports");
    let certificate = files.renew();
    for shards in ["1", "4"] {
        let server = start(&files, &["--shards", shards]);
        let at = tunnel(server.address, client(std::slice::from_ref(&certificate), &[]));
        // Enough that some of their connections are on other shards than their sessions.
        for round in 0..12 {
            Wire::chat(at).echoes("by WebSocket");
            let poller = Poller::begin(at);
            poller.posts("40");
            assert!(poller.got().starts_with("40{"), "round {round}");
            upgrade(&poller, at);
        }
    }
}

/// Goes over to a WebSocket, all that is to say in one piece: some of it is
/// read, some decrypted and some as it came when the stream moves.
fn upgrade(poller: &Poller, at: SocketAddr) {
    let mut socket = Wire::dial(at);
    let target = poller.target().replace("polling", "websocket");
    let mut piece = format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).into_bytes();
    piece.extend([text_frame("2probe"), text_frame("5")].concat());
    let body = "x".repeat(900);
    let echo = |number: u32| format!("42{number}[\"echo\",\"{body}\"]");
    (0..100).for_each(|number| piece.extend(text_frame(&echo(number))));
    socket.send(&piece);
    assert_eq!(socket.response().status, 101);
    assert_eq!(socket.text(), "3probe");
    let mut number = 0;
    while number < 100 {
        let text = socket.text();
        // The chat's greeting may not have been polled yet.
        if text.starts_with("43") {
            assert_eq!(text, format!("43{number}[\"{body}\"]"));
            number += 1;
        }
    }
}

#[test]
fn large_messages_arrive_whole_in_both_directions() {
    let files = Files::new("large");
    let certificate = files.renew();
    let server = start(&files, &["--max-payload-bytes", "8MiB"]);
    let mut wire = Wire::chat(tunnel(server.address, client(&[certificate], &[])));
    wire.echoes(&"x".repeat(3_000_000));
    wire.echoes("and small ones behind them");
}

#[test]
fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_nobody() {
    let files = Files::new("reload");
    let first = files.renew();
    // Its log is to be read while it runs.
    let program = env!("CARGO_BIN_EXE_parlor");
    let script = "exec \"$0\" --listen 127.0.0.1:0 \"$@\" 2>&1";
    let mut command = Command::new("sh");
    command.args(["-c", script, program]).args(files.flags());
    let mut process = Process::start(&mut command);
    let at = address(&process.line());
    let mut old = Wire::chat(tunnel(at, client(std::slice::from_ref(&first), &[])));
    let mut hang_up = |expected: &str| {
        process.signal("HUP");
        let said = process.line();
        assert!(said.contains(expected), "{said}");
    };
    let is_shown = |certificate: &CertificateDer<'static>| {
        connect(at, client(std::slice::from_ref(certificate), &[])).is_ok()
    };

    files.write("nothing", "of use");
    hang_up("the certificate stays as it was: tls: there is no certificate in");
    assert!(is_shown(&first));
    let second = files.renew();
    assert!(is_shown(&first) && !is_shown(&second), "not before it is told");
    hang_up("new connections are shown the certificate as it is now");
    assert!(!is_shown(&first) && is_shown(&second));
    old.echoes("undisturbed");
    std::fs::remove_file(&files.key).expect("it is there");
    hang_up("the certificate stays as it was: tls: can not read");
    assert!(is_shown(&second));
    old.echoes("still undisturbed");
    process.signal("TERM");
    assert!(process.wait(PATIENCE).expect("it ends").success());
}

#[test]
fn a_session_is_not_resumed_with_a_certificate_that_has_gone() {
    let files = Files::new("resumed");
    let first = files.renew();
    let server = start(&files, &[]);
    let trusting = client(&[first], &[]);
    // The tickets come behind the handshake.
    let mut stream = connect(server.address, trusting.clone()).expect("it is trusted");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it is heard");
    stream.read_to_end(&mut Vec::new()).expect("it is answered");
    let renewed = files.renew();
    server.process.signal("HUP");
    let deadline = now() + PATIENCE;
    while connect(server.address, client(std::slice::from_ref(&renewed), &[])).is_err() {
        assert!(now() < deadline, "the new certificate is shown");
    }
    assert!(connect(server.address, trusting).is_err(), "the client learns of the new one");
}

#[test]
fn a_handshake_that_takes_too_long_ends_and_holds_up_nobody() {
    let files = Files::new("slow");
    let certificate = files.renew();
    let server = start(&files, &["--connect-timeout", "300ms", "--shards", "1"]);
    let mut silent = Wire::dial(server.address);
    let mut slow = Wire::dial(server.address);
    // The beginning of a record of 512 bytes, with a ClientHello.
    slow.send(&[0x16, 3, 1, 2, 0, 1, 0]);
    serves(&server, &certificate);
    for wire in [&mut silent, &mut slow] {
        assert_eq!(wire.everything(), b"");
    }
}

#[test]
fn what_is_no_tls_ends_its_own_connection() {
    let files = Files::new("garbage");
    let certificate = files.renew();
    let server = start(&files, &["--shards", "1"]);
    let mut witness =
        Wire::chat(tunnel(server.address, client(std::slice::from_ref(&certificate), &[])));
    let http = format!("GET /socket.io/?EIO=4 HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    for bytes in [http.as_bytes(), &[0xff; 100], &[0; 5], &[0x16, 3, 1, 0, 4, 9, 9, 9, 9]] {
        let mut wire = Wire::dial(server.address);
        wire.send(bytes);
        let said = wire.everything();
        // An alert of TLS at most.
        assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
        witness.echoes("undisturbed");
    }
    // Behind a good handshake.
    let mut stream = connect(server.address, client(std::slice::from_ref(&certificate), &[]))
        .expect("it is trusted");
    stream.sock.write_all(&[0x17, 3, 3, 0, 20]).expect("it is heard");
    stream.sock.write_all(&[7; 20]).expect("it is heard");
    assert!(stream.read_to_end(&mut Vec::new()).is_err(), "an alert says what was wrong");
    witness.echoes("undisturbed");
    serves(&server, &certificate);
}

#[test]
fn http_1_is_agreed_on_and_nothing_else() {
    let files = Files::new("alpn");
    let trusted = [files.renew()];
    let server = start(&files, &[]);
    let agreed = |protocols: &[&str]| {
        let stream = connect(server.address, client(&trusted, protocols))?;
        Ok(stream.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    let agreed = |protocols: &[&str]| -> io::Result<Option<Vec<u8>>> { agreed(protocols) };
    assert_eq!(agreed(&["h2", "http/1.1"]).expect("both"), Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(&[]).expect("no wish"), None);
    assert!(agreed(&["h2"]).is_err());
}

#[test]
fn every_end_is_announced() {
    let files = Files::new("goodbye");
    let trusting = client(&[files.renew()], &[]);
    let mut server = start(&files, &[]);
    let upgrade = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    let plain = "GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned();
    let refused = upgrade.replace("EIO=4", "EIO=9");
    let closing = [upgrade.as_bytes(), &text_frame("1")].concat();
    // No goodbye would be an error.
    let ends = |bytes: &[u8]| {
        let mut stream = connect(server.address, trusting.clone()).expect("it is trusted");
        stream.write_all(bytes).expect("it is heard");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).map(|_| said).map_err(|error| error.kind())
    };
    for bytes in [plain.as_bytes(), refused.as_bytes(), &closing] {
        let said = ends(bytes);
        assert!(said.is_ok_and(|said| said.starts_with(b"HTTP/1.1 ")));
    }
    let mut stream = connect(server.address, trusting.clone()).expect("it is trusted");
    stream.write_all(upgrade.as_bytes()).expect("it is heard");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("it is answered");
    assert_eq!(&first, b"HTTP/1.1 101");
    server.process.signal("TERM");
    assert!(server.process.wait(PATIENCE).expect("it ends").success());
    assert!(stream.read_to_end(&mut Vec::new()).is_ok(), "the end of the server too");
}

#[test]
fn a_client_that_goes_without_a_goodbye_has_closed() {
    let files = Files::new("truncated");
    let trusted = [files.renew()];
    let identity = Identity::read(&files.certificate, &files.key).expect("they fit");
    let server = Embedded::secure(identity, Config::default(), reasons);
    let at = tunnel(server.address, client(&trusted, &[]));
    let mut witness = Wire::open(at).1;
    witness.send_text("40");
    assert!(witness.text().starts_with("40"));
    let mut stream = connect(server.address, client(&trusted, &[])).expect("it is trusted");
    let request = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat());
    stream.write_all(&[request.as_bytes(), &text_frame("40")].concat()).expect("it is heard");
    assert_eq!(witness.text(), "42[\"come\"]");
    stream.sock.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(witness.text(), "42[\"gone\",\"transport close\"]");
}

/// Tells everybody else who comes, and everybody why somebody goes.
fn reasons(io: &mut Io) {
    let all = io.of("/");
    all.on_connection(async |socket: Socket| socket.broadcast().emit("come", ()));
    all.on_disconnect(async |socket: Socket, reason: Reason, _: Vec<Box<str>>| {
        socket.namespace().emit("gone", (reason.as_str(),));
    });
}

/// Streams that are not of sockets, to have one that takes little at a time.
struct Streams(mpsc::Receiver<DuplexStream>);

impl Listener for Streams {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((stream, ([127, 0, 0, 1], 1).into()))
    }
}

/// TLS keeps bytes to itself that the stream below does not take.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_flush_lasts_until_the_peer_can_have_everything() {
    let files = Files::new("flush");
    let trusting = client(&[files.renew()], &[]);
    let identity = Identity::read(&files.certificate, &files.key).expect("they fit");
    let (sender, streams) = mpsc::channel(1);
    let mut listener = TlsListener::new(Streams(streams), watch::channel(identity).1);
    let (near, far) = duplex(256);
    sender.send(far).await.expect("it is accepted from");
    let mut server = listener.accept().await.expect("without waiting for the handshake").0;
    let name = "localhost".try_into().expect("it is a name");
    let connector = TlsConnector::from(trusting);
    let connected = async { tokio::join!(connector.connect(name, near), server.flush()) };
    let (client, flushed) = connected.await;
    flushed.expect("the handshake is made by who writes first");
    let mut client = client.expect("it is trusted");
    let mut heard = vec![0; 10_000];
    let say = async {
        server.write_all(&[7; 10_000]).await?;
        server.flush().await
    };
    // Nothing else is going on, so this takes as long as it likes.
    let hear = timeout(PATIENCE, client.read_exact(&mut heard));
    let (said, heard_all) = tokio::join!(say, hear);
    said.expect("it is taken");
    heard_all.expect("all of it comes").expect("nothing goes wrong");
    assert_eq!(heard, [7; 10_000]);
}
