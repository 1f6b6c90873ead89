//! The application's side, seen from the wire: what handlers may rely on.
//!
//! The server is the library's, with an application made for each test.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use parlor::{Ack, Admission, Config, Io, Raw, Reason, Refusal, Socket};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::client::{Seen, Wire};

/// A server within this process.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(app: fn(&mut Io)) -> Self {
        let listener = parlor::net::listen(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve(vec![listener], Config::default(), app, shutdown);
            runtime.expect("a runtime").block_on(served).expect("it serves until it is stopped");
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// A socket of the namespace `/`.
    fn socket(&self) -> Wire {
        let mut wire = Wire::open(self.address).1;
        wire.send_text("40");
        let connected = wire.text();
        assert!(connected.starts_with("40{\"sid\":"), "{connected}");
        wire
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then joining says why.
        self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

fn with_acks(io: &mut Io) {
    let chat = io.of("/");
    chat.on("ask", async |socket: Socket, (): (), ack: Ack| {
        let answer = socket.emit_with_ack("question", (1, "two")).await;
        ack.send(answer.map_or_else(|error| error.to_string(), |args| args.json().to_owned()));
    });
    chat.on("echo", async |_: Socket, raw: Raw, ack: Ack| {
        let first = raw.arguments().next().unwrap_or("null");
        let first: Value = serde_json::from_str(first).expect("arguments are JSON");
        ack.send(first);
    });
}

#[test]
fn emit_with_ack_resolves_to_the_clients_answer() {
    let server = Server::start(with_acks);
    let mut wire = server.socket();
    wire.send_text("427[\"ask\"]");
    assert_eq!(wire.text(), "420[\"question\",1,\"two\"]");
    wire.send_text("435[\"an answer to nothing\"]");
    wire.send_text("430[\"yes\",{\"no\":0}]");
    assert_eq!(wire.text(), r#"437["[\"yes\",{\"no\":0}]"]"#);
}

#[test]
fn events_wait_for_a_handler_that_awaits_and_acks_do_not() {
    let server = Server::start(with_acks);
    let (mut wire, mut other) = (server.socket(), server.socket());
    wire.send_text("421[\"ask\"]");
    wire.send_text("422[\"echo\",\"later\"]");
    assert_eq!(wire.text(), "420[\"question\",1,\"two\"]");
    other.send_text("421[\"echo\",\"meanwhile\"]");
    assert_eq!(other.text(), "431[\"meanwhile\"]", "somebody else does not wait");
    wire.send_text("430[]");
    assert_eq!(wire.text(), "431[\"[]\"]");
    assert_eq!(wire.text(), "432[\"later\"]");
}

#[test]
fn who_sends_endlessly_to_a_handler_that_awaits_its_answer_is_closed() {
    let server = Server::start(with_acks);
    let mut wire = server.socket();
    wire.send_text("421[\"ask\"]");
    assert_eq!(wire.text(), "420[\"question\",1,\"two\"]");
    for _ in 0..Config::default().events_waiting_max {
        wire.send_text("42[\"echo\"]");
    }
    assert_eq!(wire.next(), Seen::Close(Some(1008)));
}

fn guarded(io: &mut Io) {
    let chat = io.of("/");
    chat.on_admission(async |admission: Admission| match admission.auth["token"].as_str() {
        Some("good") => Ok(()),
        Some(_) => Err(Refusal { data: json!({ "code": 7 }), ..Refusal::new("wrong token") }),
        None => Err(Refusal::new("no token")),
    });
    chat.on_connection(async |socket: Socket| socket.emit("welcome", ()));
}

#[test]
fn refused_admission_is_a_connect_error_and_the_connection_stays() {
    let server = Server::start(guarded);
    let mut wire = Wire::open(server.address).1;
    wire.send_text("40");
    assert_eq!(wire.text(), r#"44{"message":"no token"}"#);
    wire.send_text(r#"40{"token":"bad"}"#);
    assert_eq!(wire.text(), r#"44{"data":{"code":7},"message":"wrong token"}"#);
    wire.send_text(r#"40{"token":"good"}"#);
    assert!(wire.text().starts_with("40{\"sid\":"));
    assert_eq!(wire.text(), "42[\"welcome\"]");
}

fn with_rooms(io: &mut Io) {
    let chat = io.of("/");
    chat.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        ack.send(socket.join(&room).await.is_ok());
    });
    chat.on(
        "say",
        async |socket: Socket, (rooms, except): (Vec<String>, Vec<String>), ack: Ack| {
            let emitter = rooms.iter().fold(socket.broadcast(), |emitter, room| emitter.to(room));
            except.iter().fold(emitter, |emitter, room| emitter.except(room)).emit("said", ());
            ack.send(());
        },
    );
    chat.on("go", async |socket: Socket, (close,): (bool,)| socket.disconnect(close));
    chat.on("panic", async |_: Socket, (): ()| panic!("a test's handler panics"));
    chat.on_disconnect(async |socket: Socket, reason: Reason, rooms: Vec<Box<str>>| {
        socket.namespace().emit("gone", (reason.as_str(), rooms));
    });
}

fn joined(server: &Server, rooms: &[&str]) -> Wire {
    let mut wire = server.socket();
    for room in rooms {
        wire.send_text(&json!(["join", room]).to_string().replacen('[', "420[", 1));
        assert_eq!(wire.text(), "430[true]");
    }
    wire
}

#[test]
fn union_of_rooms_less_others_reaches_each_once() {
    let server = Server::start(with_rooms);
    let mut speaker = joined(&server, &["a"]);
    let mut both = joined(&server, &["a", "b"]);
    let mut left_out = joined(&server, &["a", "c"]);
    for (rooms, except) in [(json!(["a", "b"]), json!(["c"])), (json!([]), json!(["c"]))] {
        speaker.send_text(&format!("420[\"say\",{rooms},{except}]"));
        assert_eq!(speaker.text(), "430[]");
        assert_eq!(both.text(), "42[\"said\"]");
    }
    speaker.send_text("420[\"say\",[\"c\"],[]]");
    assert_eq!(left_out.text(), "42[\"said\"]", "and nothing before");
    both.send_text("420[\"join\",\"d\"]");
    assert_eq!(both.text(), "430[true]", "one copy of each");
}

#[test]
fn disconnect_is_told_with_its_reason_and_the_rooms_there_were() {
    let server = Server::start(with_rooms);
    let mut watcher = joined(&server, &["a"]);
    for (leave, reason) in [
        ("41", "client namespace disconnect"),
        ("42[\"go\",false]", "server namespace disconnect"),
        ("42[\"go\",true]", "server namespace disconnect"),
        ("7", "parse error"),
    ] {
        let mut goer = joined(&server, &["x", "y"]);
        goer.send_text(leave);
        let gone = watcher.text();
        let gone: Value = serde_json::from_str(gone.trim_start_matches("42")).unwrap();
        assert_eq!(gone, json!(["gone", reason, ["x", "y"]]), "{leave}");
    }
    drop(joined(&server, &["z"]));
    assert_eq!(watcher.text(), "42[\"gone\",\"transport close\",[\"z\"]]");
}

#[test]
fn server_may_end_a_socket_or_its_connection() {
    let server = Server::start(with_rooms);
    let mut wire = joined(&server, &[]);
    wire.send_text("42[\"go\",false]");
    assert_eq!(wire.text(), "41");
    wire.send_text("40");
    assert!(wire.text().starts_with("40{\"sid\":"), "it may come back on the same connection");
    wire.send_text("42[\"go\",true]");
    assert_eq!(wire.text(), "41");
    assert_eq!(wire.next(), Seen::Close(Some(1000)));
}

#[test]
fn handler_that_panics_ends_its_own_connection_only() {
    let server = Server::start(with_rooms);
    let (mut other, mut wire) = (joined(&server, &["a"]), joined(&server, &["a"]));
    wire.send_text("42[\"panic\"]");
    assert_eq!(wire.next(), Seen::Close(Some(1011)));
    assert!(other.text().starts_with("42[\"gone\""));
    other.send_text("420[\"join\",\"b\"]");
    assert_eq!(other.text(), "430[true]");
}

#[test]
fn arguments_that_do_not_parse_are_answered() {
    let server = Server::start(with_rooms);
    let mut wire = server.socket();
    wire.send_text("420[\"join\"]");
    assert_eq!(wire.text(), r#"430[{"error":"argument 1 of 1 is missing","ok":false}]"#);
    wire.send_text("42[\"join\",7]");
    let refusal = wire.text();
    assert!(refusal.starts_with(r#"42["error_message",{"error":"argument 1"#), "{refusal}");
}
