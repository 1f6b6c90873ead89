//! Our client against our server, over real sockets: whose connection breaks again and
//! again while somebody speaks misses nothing and hears nothing twice.
//!
//! The stock client does the same in `stock_clients`; every order of things that a
//! network can cause is the simulation's.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parlor::client::{
    BackoffOptions, Client, ClientOptions, Event, Handle, Notice, Options, Scratch, Transport,
};
use parlor::hub::Recovery;
use parlor::net::Dialer;
use parlor::{Config, Limits, chat};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

/// A test that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const ROUNDS: usize = 12;

#[derive(Clone)]
struct To(SocketAddr);

impl Dialer for To {
    type Io = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }
}

/// A client, and what it has heard.
struct Person {
    handle: Handle,
    heard: Rc<RefCell<Vec<String>>>,
    changed: watch::Receiver<()>,
}

impl Person {
    fn appear(server: SocketAddr, transport: Transport) -> Self {
        let soon =
            BackoffOptions { initial: Duration::from_millis(1), ..BackoffOptions::default() };
        let session = Arc::new(Options { transport, ..Options::default() });
        let options = ClientOptions { session, backoff: Some(soon), ..ClientOptions::default() };
        let (client, handle) = Client::new(To(server), options, Scratch::default());
        let heard = Rc::<RefCell<Vec<String>>>::default();
        let (change, changed) = watch::channel(());
        let noted = Rc::clone(&heard);
        tokio::task::spawn_local(async move {
            let mut note = |notice: Notice<'_, '_>| {
                let Notice::Session { event, .. } = notice else { return };
                let line = match &event {
                    Event::Connected { recovered, .. } => format!("connected {recovered}"),
                    Event::Event { args, .. } if args.event() == "hello" => "hello".to_owned(),
                    Event::Event { args, .. } => {
                        args.elements().nth(1).expect("an argument").to_owned()
                    }
                    Event::Ack { .. }
                    | Event::Disconnected { .. }
                    | Event::Opened { .. }
                    | Event::Refused { .. } => return,
                };
                noted.borrow_mut().push(line);
                change.send_replace(());
            };
            client.run(&mut note).await
        });
        Self { handle, heard, changed }
    }

    /// Waits until what was heard is as wanted.
    async fn until(&mut self, is_wanted: impl Fn(&[String]) -> bool) {
        let heard = Rc::clone(&self.heard);
        self.changed.wait_for(|()| is_wanted(&heard.borrow())).await.expect("the client runs");
    }

    async fn call(&self, json: &str) {
        let ack = self.handle.emit_with_ack("/", json, &[], PATIENCE).expect("it is connected");
        let answer = ack.answer().await.expect("an answer");
        assert!(answer.json().contains(r#""ok":true"#), "{json}: {}", answer.json());
    }

    fn count(&self, line: &str) -> usize {
        self.heard.borrow().iter().filter(|heard| *heard == line).count()
    }
}

async fn speak_to_one_who_breaks_off(server: SocketAddr, transport: Transport) {
    let mut listener = Person::appear(server, transport);
    let mut speaker = Person::appear(server, Transport::WebSocket);
    for person in [&mut listener, &mut speaker] {
        person.until(|heard| heard.contains(&"hello".to_owned())).await;
        person.call(r#"["join","room"]"#).await;
    }
    for round in 0..ROUNDS {
        let say = async |half: usize| {
            let body = 2 * round + half;
            speaker.call(&format!(r#"["message",{{"room":"room","body":{body}}}]"#)).await;
        };
        say(0).await;
        listener.handle.drop_connection();
        say(1).await;
        let connected =
            |heard: &[String]| heard.iter().filter(|it| it.contains("connected")).count();
        listener.until(|heard| connected(heard) == round + 2).await;
    }
    listener.until(|heard| heard.last().is_some_and(|it| it.contains("\"body\":23"))).await;
    let heard = listener.heard.borrow();
    let bodies: Vec<&String> = heard.iter().filter(|it| it.contains("body")).collect();
    assert_eq!(bodies.len(), 2 * ROUNDS, "{heard:?}");
    for (body, message) in bodies.into_iter().enumerate() {
        assert!(message.contains(&format!(r#""body":{body},"#)), "{body}: {heard:?}");
    }
    drop(heard);
    assert_eq!(listener.count("connected true"), ROUNDS);
    assert_eq!(listener.count("hello"), 1, "who is recovered is known already");
}

#[test]
fn our_client_whose_connection_breaks_misses_nothing() {
    let limits = Limits { recovery: Some(Recovery::default()), ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let listeners = parlor::net::listen_shards(([127, 0, 0, 1], 0).into(), 2, false);
    let listeners = listeners.expect("a free port");
    let address = listeners[0].local_addr().expect("it is bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let app = chat::app(vec!["/".to_owned()], "server".to_owned());
        let shutdown = async { drop(stopped.await) };
        runtime.block_on(parlor::serve(listeners, config, app, shutdown)).expect("it serves");
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(LocalSet::new().run_until(async {
        for transport in [Transport::Polling, Transport::PollingThenUpgrade, Transport::WebSocket] {
            let spoken = speak_to_one_who_breaks_off(address, transport);
            tokio::time::timeout(PATIENCE, spoken).await.expect("it does not hang");
        }
    }));
    drop(stop);
    server.join().expect("the server ends well");
}
