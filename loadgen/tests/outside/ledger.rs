//! Against servers whose faults are known exactly: what loadgen counts is what
//! their ledgers say.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parlor::{Ack, Config, Io, Socket, net};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::running::{Ended, run};

/// What a server does wrong, to each message whose number ends in 3.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Corrupt,
    Drop,
    Echo,
    Forget,
    Hold,
    Twice,
}

/// Two rooms of ten, and one speaker in each that sends messages 0 to 49.
const RUN: &str =
    "--clients 20 --rooms 2 --speakers 10% --arrivals constant --rate 100 --duration 1s --ramp 0";
/// Of each speaker's messages, 5 end in 3.
const SENT: u64 = 100;
const MEMBERS: u64 = 10;

/// A faulty chat server on a thread of its own.
struct Server {
    url: String,
    /// How many messages it treated wrongly.
    faults: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(fault: Fault) -> Self {
        let listener = net::listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let faults = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let app = faulty_chat(fault, Arc::clone(&faults));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve(vec![listener], Config::default(), app, shutdown);
            runtime.expect("a runtime starts").block_on(served).expect("the server runs");
        });
        Self { url, faults, stop: Some(stop), thread: Some(thread) }
    }

    fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn faulty_chat(fault: Fault, faults: Arc<AtomicU64>) -> impl Fn(&mut Io) + Clone + Send + 'static {
    move |io| {
        let faults = Arc::clone(&faults);
        let chat = io.of("/");
        chat.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
            socket.join(&room).await.expect("few rooms are joined");
            ack.send(json!({ "ok": true }));
        });
        // By sender, what is held back until its next message.
        let held: Rc<RefCell<BTreeMap<String, Value>>> = Rc::default();
        chat.on("message", async move |socket: Socket, (mut message,): (Value,), ack: Ack| {
            message["from"] = json!(socket.id().as_str());
            let room = message["room"].as_str().expect("a message has a room").to_owned();
            let sender = socket.id().as_str().to_owned();
            let others = || socket.to(&room);
            let is_chosen = number(&message) % 10 == 3;
            let earlier = held.borrow_mut().remove(&sender);
            if is_chosen {
                faults.fetch_add(1, Ordering::Relaxed);
            }
            match (is_chosen, fault) {
                (true, Fault::Corrupt) => {
                    message["body"] = json!("something else");
                    others().emit("message", &message);
                }
                (true, Fault::Drop) => {}
                (true, Fault::Echo) => socket.room(&room).emit("message", &message),
                (true, Fault::Forget) => return others().emit("message", &message),
                (true, Fault::Hold) => drop(held.borrow_mut().insert(sender, message)),
                (true, Fault::Twice) => {
                    others().emit("message", &message);
                    others().emit("message", &message);
                }
                (false, _) => others().emit("message", &message),
            }
            if let Some(earlier) = earlier {
                others().emit("message", &earlier);
            }
            ack.send(json!({ "ok": true }));
        });
    }
}

/// The third field of the message's id.
fn number(message: &Value) -> u64 {
    let id = message["id"].as_str().expect("a message has an id");
    id.split('.').nth(2).and_then(|number| number.parse().ok()).expect("its id has a number")
}

fn drive(fault: Fault) -> (Ended, u64) {
    let server = Server::start(fault);
    let ended = run(&format!("{} {RUN} --drain 300ms", server.url));
    assert_eq!(ended.number("/messages/sent"), SENT, "{}", ended.brief());
    assert_eq!(server.faults(), SENT / 10);
    ended.assert_outcome("violation", 4);
    (ended, server.faults())
}

/// Fails unless exactly this is wrong.
fn assert_wrong(ended: &Ended, what: &str, count: u64) {
    for counter in ["lost", "duplicate", "reordered", "wrong"] {
        let expected = if counter == what { count } else { 0 };
        let counted = ended.number(&format!("/deliveries/{counter}"));
        assert_eq!(counted, expected, "{counter}: {}", ended.brief());
    }
    assert_eq!(ended.number("/deliveries/indeterminate"), 0);
}

#[test]
fn a_dropped_broadcast_is_lost_for_each_member() {
    let (ended, dropped) = drive(Fault::Drop);
    assert_wrong(&ended, "lost", dropped * (MEMBERS - 1));
    assert_eq!(ended.number("/deliveries/expected"), SENT * (MEMBERS - 1));
    assert_eq!(ended.number("/latency/last_recipient/count"), SENT - dropped);
}

#[test]
fn a_broadcast_sent_twice_is_a_duplicate_for_each_member() {
    let (ended, doubled) = drive(Fault::Twice);
    assert_wrong(&ended, "duplicate", doubled * (MEMBERS - 1));
    assert_eq!(ended.number("/deliveries/delivered"), SENT * (MEMBERS - 1));
}

#[test]
fn a_broadcast_held_back_is_reordered_for_each_member() {
    let (ended, held) = drive(Fault::Hold);
    assert_wrong(&ended, "reordered", held * (MEMBERS - 1));
    assert_eq!(ended.number("/deliveries/delivered"), SENT * (MEMBERS - 1));
}

#[test]
fn an_altered_body_is_wrong_for_each_member() {
    let (ended, altered) = drive(Fault::Corrupt);
    assert_eq!(ended.number("/deliveries/wrong"), altered * (MEMBERS - 1), "{}", ended.brief());
}

#[test]
fn a_sender_that_hears_itself_is_wrong_once() {
    let (ended, echoed) = drive(Fault::Echo);
    assert_wrong(&ended, "wrong", echoed);
}

#[test]
fn an_ack_that_never_comes_is_counted_and_does_not_hang_the_run() {
    let (ended, forgotten) = drive(Fault::Forget);
    assert_wrong(&ended, "", 0);
    assert_eq!(ended.number("/messages/unanswered"), forgotten);
    assert_eq!(ended.number("/messages/acked"), SENT - forgotten);
}
