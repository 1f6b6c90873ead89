//! The client that comes back, against scripted servers on a clock that is paused.

use std::cell::{Cell, RefCell};
use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::*;
use crate::client::handle::{ACKS_MAX, AckError, COMMANDS_MAX, CommandError};
use crate::client::testing::{CONNECTED, OPENED, Peer, describe};

/// Opens streams to a test, or refuses to.
#[derive(Clone)]
struct Network {
    accepts: mpsc::Sender<DuplexStream>,
    refusals: Rc<Cell<u32>>,
}

impl Dialer for Network {
    type Io = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        if self.refusals.get() > 0 {
            self.refusals.set(self.refusals.get() - 1);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = duplex(1 << 20);
        self.accepts.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

/// What a script of a test acts on.
struct World {
    listener: mpsc::Receiver<DuplexStream>,
    refusals: Rc<Cell<u32>>,
    handle: Handle,
    notices: Rc<RefCell<Vec<String>>>,
}

impl World {
    async fn let_in(&mut self) -> Peer {
        let peer = Peer::let_in(self.listener.recv().await.unwrap()).await;
        settle().await;
        peer
    }

    fn noticed(&self) -> Vec<String> {
        self.notices.take()
    }
}

/// Lets everything run that can run now.
async fn settle() {
    time::sleep(Duration::from_millis(1)).await;
}

fn without_jitter() -> ClientOptions {
    let backoff = BackoffOptions { jitter: 0.0, ..BackoffOptions::default() };
    ClientOptions { backoff: Some(backoff), ..ClientOptions::default() }
}

/// Runs a client and a script to the end of both, or for an hour.
async fn play(
    options: ClientOptions,
    script: impl AsyncFnOnce(&mut World),
) -> (CloseReason, Vec<String>) {
    let (accepts, listener) = mpsc::channel(1);
    let refusals = Rc::new(Cell::new(0));
    let network = Network { accepts, refusals: Rc::clone(&refusals) };
    let (client, handle) = Client::new(network, options, Scratch::default());
    let notices = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&notices);
    let start = Instant::now();
    let mut note = move |notice: Notice<'_, '_>| {
        let text = match notice {
            Notice::Closed { reason, retry_after } => format!("{reason}; {retry_after:?}"),
            Notice::Session { event, .. } => describe(&event),
        };
        noted.borrow_mut().push(format!("{} {text}", start.elapsed().as_secs()));
    };
    let mut world = World { listener, refusals, handle, notices };
    let played = async {
        tokio::join!(client.run(&mut note), async {
            script(&mut world).await;
            world.handle.close();
            // The server's end closes too.
            world.listener.close();
        })
    };
    let (reason, ()) = time::timeout(Duration::from_secs(3600), played).await.unwrap();
    (reason, world.noticed())
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_comes_back_after_the_back_off() {
    play(without_jitter(), async |world| {
        drop(world.let_in().await);
        world.let_in().await;
        assert_eq!(
            world.noticed(),
            [
                "0 opened",
                "0 connected / A",
                "0 stream ended; Some(1s)",
                "1 opened",
                "1 connected / A",
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_asks_for_its_session() {
    play(without_jitter(), async |world| {
        let mut said = Vec::new();
        for reply in [r#"40{"sid":"A","pid":"P"}"#, r#"40{"sid":"A","pid":"P"}"#, CONNECTED] {
            let mut peer = Peer::accept(world.listener.recv().await.unwrap()).await;
            peer.text(OPENED).await;
            said.push(peer.next().await);
            peer.text(reply).await;
            peer.text(r#"42["a","x"]"#).await;
            settle().await;
        }
        assert_eq!(said, ["40", r#"40{"pid":"P","offset":"x"}"#, r#"40{"pid":"P","offset":"x"}"#]);
        let mut noticed = world.noticed();
        noticed.retain(|notice| notice.contains("connected"));
        assert_eq!(noticed, ["0 connected / A", "1 connected / A again", "2 connected / A"]);
        // What the last server does not keep is not asked for.
        world.let_in().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn delays_grow_until_a_session_opens() {
    play(without_jitter(), async |world| {
        let peer = world.let_in().await;
        world.noticed();
        world.refusals.set(3);
        drop(peer);
        drop(world.let_in().await);
        settle().await;
        let refused = "no connection: connection refused";
        assert_eq!(
            world.noticed(),
            [
                "0 stream ended; Some(1s)".to_owned(),
                format!("1 {refused}; Some(2s)"),
                format!("3 {refused}; Some(4s)"),
                format!("7 {refused}; Some(5s)"),
                "12 opened".to_owned(),
                "12 connected / A".to_owned(),
                "12 stream ended; Some(1s)".to_owned(),
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn dialing_is_limited_in_time() {
    play(without_jitter(), async |world| {
        // One stream fits into the channel, the next waits to be accepted.
        let _first = world.let_in().await;
        world.handle.drop_connection();
        time::sleep(Duration::from_secs(2)).await;
        world.handle.drop_connection();
        time::sleep(Duration::from_secs(60)).await;
        let noticed = world.noticed();
        assert!(noticed.contains(&"24 no connection in time; Some(4s)".to_owned()), "{noticed:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn events_and_answers_go_both_ways() {
    play(without_jitter(), async |world| {
        assert_eq!(world.handle.emit("/", r#"["a"]"#, &[]), Err(CommandError::NotConnected));
        let mut peer = world.let_in().await;
        world.handle.emit("/", r#"["a"]"#, &[]).unwrap();
        let second = Duration::from_secs(1);
        let ack = world.handle.emit_with_ack("/", r#"["b"]"#, &[], second).unwrap();
        assert_eq!(peer.next().await, r#"42["a"]"#);
        assert_eq!(peer.next().await, r#"420["b"]"#);
        peer.text("430[1]").await;
        peer.text(r#"42["c"]"#).await;
        assert_eq!(ack.answer().await.unwrap().json(), "[1]");
        settle().await;
        let noticed = world.noticed();
        // The answer went to who waited for it, and nowhere else.
        assert_eq!(noticed[2..], [r#"0 event / None ["c"] []"#]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_fails_with_its_connection_its_namespace_or_in_time() {
    play(without_jitter(), async |world| {
        let peer = world.let_in().await;
        let ask = |world: &World| {
            let timeout = Duration::from_secs(10);
            world.handle.emit_with_ack("/", r#"["a"]"#, &[], timeout).unwrap()
        };
        let start = Instant::now();
        assert_eq!(ask(world).answer().await, Err(AckError::Timeout));
        assert_eq!(start.elapsed(), Duration::from_secs(10));

        let ack = ask(world);
        settle().await;
        drop(peer);
        assert_eq!(ack.answer().await, Err(AckError::Disconnected));

        let _peer = world.let_in().await;
        let (sent, unsent) = (ask(world), ask(world));
        world.handle.disconnect("/").unwrap();
        assert_eq!(sent.answer().await, Err(AckError::Disconnected));
        assert_eq!(unsent.answer().await, Err(AckError::Disconnected));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn close_says_good_bye_after_what_was_said_and_ends_the_client() {
    let (reason, noticed) = play(without_jitter(), async |world| {
        let mut peer = world.let_in().await;
        world.noticed();
        world.handle.emit("/", r#"["last"]"#, &[]).unwrap();
        world.handle.close();
        assert_eq!(world.handle.connect(Join::new("/a")), Err(CommandError::Over));
        for message in [r#"42["last"]"#, "41", "close Some(1000)"] {
            assert_eq!(peer.next().await, message);
        }
        peer.close().await;
        assert_eq!(peer.next().await, "end");
        assert_eq!(world.handle.emit("/", r#"["a"]"#, &[]), Err(CommandError::Over));
    })
    .await;
    assert_eq!(reason, CloseReason::Client);
    assert_eq!(noticed, ["0 closed by us; None"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_ends_without_a_word_and_comes_back() {
    play(without_jitter(), async |world| {
        let mut peer = world.let_in().await;
        world.noticed();
        world.handle.emit("/", r#"["lost"]"#, &[]).unwrap();
        world.handle.drop_connection();
        assert!(!world.handle.is_connected("/"));
        assert_eq!(peer.next().await, "end");
        world.let_in().await;
        assert!(world.handle.is_connected("/"));
        assert_eq!(world.noticed(), ["0 dropped by us; Some(1s)", "1 opened", "1 connected / A"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reconnect_does_not_wait() {
    play(without_jitter(), async |world| {
        let _peer = world.let_in().await;
        world.handle.reconnect();
        drop(world.let_in().await);
        // Now in a back-off.
        settle().await;
        world.handle.reconnect();
        let _peer = world.let_in().await;
        assert_eq!(
            world.noticed()[2..],
            [
                "0 dropped by us; Some(0ns)",
                "0 opened",
                "0 connected / A",
                "0 stream ended; Some(1s)",
                "0 opened",
                "0 connected / A",
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_has_left_everything_waits_to_be_told_to_come_back() {
    play(without_jitter(), async |world| {
        let mut peer = world.let_in().await;
        world.handle.disconnect("/").unwrap();
        assert_eq!(world.handle.emit("/", r#"["a"]"#, &[]), Err(CommandError::NotConnected));
        assert_eq!([peer.next().await, peer.next().await], ["41", "close Some(1000)"]);
        drop(peer);
        time::sleep(Duration::from_secs(100)).await;
        assert_eq!(world.noticed()[2..], ["0 closed by us; None"]);
        world.handle.connect(Join::new("/")).unwrap();
        world.let_in().await.text("41").await;
        time::sleep(Duration::from_secs(100)).await;
        assert_eq!(
            world.noticed()[2..],
            ["100 disconnected /", "100 disconnected by the server; None"]
        );
        world.handle.reconnect();
        let _peer = world.let_in().await;
        assert!(world.handle.is_connected("/"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_joined_and_left_are_those_of_the_next_connection() {
    play(without_jitter(), async |world| {
        let mut peer = world.let_in().await;
        world.handle.connect(Join::new("/a").with_auth("{}")).unwrap();
        assert_eq!(peer.next().await, "40/a,{}");
        peer.text(r#"40/a,{"sid":"B"}"#).await;
        settle().await;
        world.handle.disconnect("/").unwrap();
        assert_eq!(peer.next().await, "41");
        drop(peer);
        let mut peer = Peer::accept(world.listener.recv().await.unwrap()).await;
        peer.text(OPENED).await;
        assert_eq!(peer.next().await, "40/a,{}");
        // Not asked for: the session ends, and with it the connection.
        peer.text(CONNECTED).await;
        assert_eq!(peer.next().await, "close Some(1002)");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_put_us_out_is_not_joined_again_unasked() {
    play(without_jitter(), async |world| {
        let mut peer = world.let_in().await;
        world.handle.connect(Join::new("/a")).unwrap();
        assert_eq!(peer.next().await, "40/a,");
        peer.text(r#"40/a,{"sid":"B"}"#).await;
        peer.text("41").await;
        settle().await;
        assert!(!world.handle.is_connected("/") && world.handle.is_connected("/a"));
        drop(peer);
        let mut peer = Peer::accept(world.listener.recv().await.unwrap()).await;
        peer.text(OPENED).await;
        assert_eq!(peer.next().await, "40/a,");
        world.handle.reconnect();
        let mut peer = Peer::accept(world.listener.recv().await.unwrap()).await;
        peer.text(OPENED).await;
        assert_eq!([peer.next().await, peer.next().await], ["40", "40/a,"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_without_handles_runs_on_until_nothing_could_move_it() {
    let (accepts, mut listener) = mpsc::channel(1);
    let network = Network { accepts, refusals: Rc::default() };
    let (client, handle) = Client::new(network, without_jitter(), Scratch::default());
    drop(handle);
    let mut ignore = |_: Notice<'_, '_>| {};
    let (reason, ()) = tokio::join!(client.run(&mut ignore), async {
        drop(Peer::let_in(listener.recv().await.unwrap()).await);
        let mut peer = Peer::let_in(listener.recv().await.unwrap()).await;
        peer.text("41").await;
        assert_eq!(peer.next().await, "close Some(1000)");
    });
    assert_eq!(reason, CloseReason::ServerDisconnected);
}

#[tokio::test(start_paused = true)]
async fn commands_and_acks_are_bounded() {
    play(without_jitter(), async |world| {
        let _peer = world.let_in().await;
        let handle = &world.handle;
        for _ in 0..COMMANDS_MAX {
            handle.emit("/", r#"["a"]"#, &[]).unwrap();
        }
        assert_eq!(handle.emit("/", r#"["a"]"#, &[]), Err(CommandError::Full));
        settle().await;

        let hour = Duration::from_secs(3600);
        let ask = || handle.emit_with_ack("/", r#"["a"]"#, &[], hour);
        let mut acks: Vec<_> = (0..ACKS_MAX).map(|_| ask().unwrap()).collect();
        settle().await;
        assert_eq!(ask().unwrap_err(), CommandError::Full);
        acks.pop();
        acks.push(ask().unwrap());
        settle().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_dropped_says_so_to_its_handles() {
    let (accepts, _listener) = mpsc::channel(1);
    let network = Network { accepts, refusals: Rc::default() };
    let (client, handle) = Client::new(network, without_jitter(), Scratch::default());
    client.shared.enter("/");
    let hour = Duration::from_secs(3600);
    let ack = handle.emit_with_ack("/", r#"["a"]"#, &[], hour).unwrap();
    drop(client);
    assert_eq!(ack.answer().await, Err(AckError::Disconnected));
    assert_eq!(handle.connect(Join::new("/a")), Err(CommandError::Over));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_history() {
    let history = async |seed| {
        let options = ClientOptions { seed, ..ClientOptions::default() };
        let (_, noticed) = play(options, async |world| {
            for _ in 0..5 {
                world.refusals.set(3);
                drop(world.let_in().await);
            }
        })
        .await;
        noticed
    };
    assert_eq!(history(1).await, history(1).await);
    assert_ne!(history(1).await, history(2).await);
}
