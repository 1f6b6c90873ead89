//! Runs in which servers come and go, and clients with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use parlor::{Config, Io, chat, net};
use tokio::sync::oneshot;

use crate::running::{Running, run};

/// A server within this process, on an address that others may share.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The chat, which calls itself `name`.
    fn chat(address: SocketAddr, name: &str) -> Self {
        let chat = chat::app(vec!["/".to_owned()], name.to_owned());
        Self::start(address, move |io| chat(io))
    }

    fn start(address: SocketAddr, app: impl Fn(&mut Io) + Clone + Send + 'static) -> Self {
        let listeners = net::listen_shards(address, 1, true).expect("the address may be shared");
        let address = listeners[0].local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let config = Config { drain_window: Duration::from_millis(500), ..Config::default() };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve(listeners, config, app, shutdown);
            runtime.expect("a runtime starts").block_on(served).expect("the server runs");
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn anywhere() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

const RUN: &str = "--clients 40 --rooms 4 --rate 400 --ramp 0 --reconnect";

#[test]
fn a_server_that_drains_loses_nothing_while_its_clients_go_over_to_another() {
    for transport in ["websocket", "upgrade"] {
        let first = Server::chat(Server::anywhere(), "first");
        let url = format!("http://{}", first.address);
        let mut running =
            Running::start(&format!("{url} {RUN} --duration 3s --transport {transport}"));
        running.wait_for("sending: ");
        let _second = Server::chat(first.address, "second");
        drop(first);
        let ended = running.end();
        ended.assert_outcome("ok", 0);
        assert_eq!(ended.number("/clients/joined"), 40);
        assert_eq!(ended.number("/clients/lost"), 40, "{}", ended.brief());
        assert_eq!(ended.number("/clients/returned"), 40, "{}", ended.brief());
        assert_eq!(ended.number("/latency/return/count"), 40);
        assert!(ended.number("/latency/return/min_us") >= 500_000, "as stock clients do");
        for wrong in ["lost", "duplicate", "reordered", "wrong"] {
            assert_eq!(ended.number(&format!("/deliveries/{wrong}")), 0, "{}", ended.brief());
        }
        assert!(ended.number("/deliveries/delivered") > 1000, "{}", ended.brief());
    }
}

#[test]
fn who_does_not_come_back_makes_the_run_invalid() {
    let server = Server::chat(Server::anywhere(), "only");
    let mut running =
        Running::start(&format!("http://{} {RUN} --duration 2s --drain 0", server.address));
    running.wait_for("sending: ");
    drop(server);
    let ended = running.end();
    ended.assert_outcome("invalid", 5);
    assert_eq!((ended.number("/clients/lost"), ended.number("/clients/returned")), (40, 0));
    assert!(ended.brief().contains("40 clients lost their connections and did not come back"));
    assert_eq!(ended.number("/deliveries/lost"), 0, "{}", ended.brief());
}

#[test]
fn members_of_one_room_on_one_server_still_owe_each_other_everything() {
    // It says who it is, and delivers nothing.
    let server = Server::start(Server::anywhere(), |io| {
        let chat = io.of("/");
        chat.on_connection(async |socket: parlor::Socket| {
            socket.emit("hello", serde_json::json!({ "server": "deaf" }));
        });
        for event in ["join", "message"] {
            chat.on(event, async |_: parlor::Socket, _: parlor::Raw, ack: parlor::Ack| {
                ack.send(serde_json::json!({ "ok": true }));
            });
        }
    });
    let ended = run(&format!("http://{} {RUN} --drain 0 --duration 1s", server.address));
    ended.assert_outcome("violation", 4);
    assert!(ended.number("/deliveries/lost") > 1000, "{}", ended.brief());
}

#[test]
fn a_server_that_does_not_say_who_it_is_can_not_be_judged_so() {
    let server = Server::start(Server::anywhere(), |io| io.of("/").on("join", silent));
    let ended = run(&format!("http://{} {RUN} --duration 1s --timeout 300ms", server.address));
    ended.assert_outcome("cannot_connect", 3);
    assert!(ended.brief().contains("hello: the server does not say"), "{}", ended.brief());
}

async fn silent(_: parlor::Socket, (): ()) {}

#[test]
fn clients_on_different_servers_owe_each_other_nothing() {
    // One address, at which the kernel deals connections to both.
    let first = Server::chat(Server::anywhere(), "first");
    let _second = Server::chat(first.address, "second");
    let ended = run(&format!("http://{} {RUN} --duration 1s", first.address));
    ended.assert_outcome("ok", 0);
    assert_eq!(ended.number("/clients/lost"), 0);
    assert!(ended.number("/deliveries/delivered") > 500, "{}", ended.brief());
}

#[test]
fn what_was_not_answered_when_the_connection_broke_is_cut_off_and_awaited_no_longer() {
    let server = Server::start(Server::anywhere(), |io| {
        let chat = io.of("/");
        chat.on_connection(async |socket: parlor::Socket| {
            socket.emit("hello", serde_json::json!({ "server": "mute" }));
        });
        chat.on("join", async |_: parlor::Socket, _: parlor::Raw, ack: parlor::Ack| {
            ack.send(serde_json::json!({ "ok": true }));
        });
    });
    let url = format!("http://{}", server.address);
    let mut running = Running::start(&format!("{url} {RUN} --duration 2s --drain 0"));
    running.wait_for("sending: ");
    drop(server);
    let ended = running.end();
    ended.assert_outcome("invalid", 5);
    assert_eq!(ended.number("/messages/acked"), 0);
    assert!(ended.number("/messages/sent") > 0, "{}", ended.brief());
    assert_eq!(ended.number("/messages/cut_off"), ended.number("/messages/sent"));
    assert_eq!(ended.number("/messages/unanswered"), 0, "{}", ended.brief());
}
