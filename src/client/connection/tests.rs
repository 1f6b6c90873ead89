//! The connection on streams with little room, and on a clock that is paused.

use std::time::Duration;

use std::cell::RefCell;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;

use super::*;
use crate::client::testing::{CONNECTED, OPENED, Peer, describe};
use crate::client::{Event, Transport};

/// A session that begins with a WebSocket needs no more streams.
#[derive(Clone)]
struct NoDialer;

impl Dialer for NoDialer {
    type Io = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Opens streams to a test as long as that wants some.
#[derive(Clone)]
struct Network(mpsc::Sender<DuplexStream>);

impl Dialer for Network {
    type Io = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        let (near, far) = duplex(4096);
        self.0.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

/// The first stream of a client that polls, and those that follow.
fn poller() -> (Connection<DuplexStream>, DuplexStream, mpsc::Receiver<DuplexStream>) {
    let (dials, dialed) = mpsc::channel(1);
    let (near, far) = duplex(4096);
    let options = Options { transport: Transport::PollingThenUpgrade, ..Options::default() };
    let (options, joins, scratch) = (Arc::new(options), [Join::new("/")], Scratch::new(64));
    let connection = Connection::new(near, &Network(dials), options, joins, 1, now(), scratch);
    (connection, far, dialed)
}

/// Reads one request, and says with which method it begins and with what it ends.
async fn request(stream: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 4096];
    let count = stream.read(&mut bytes).await.unwrap();
    let text = str::from_utf8(&bytes[..count]).unwrap();
    let body = text.split_once("\r\n\r\n").map_or("cut", |(_, body)| body);
    format!("{} {body}", text.split(' ').next().unwrap()).trim_end().to_owned()
}

async fn reply(stream: &mut DuplexStream, body: &str) {
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(reply.as_bytes()).await.unwrap();
}

/// The client's end with `room` bytes on the way in each direction.
fn connect(room: usize, options: Options) -> (Connection<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(room);
    let scratch = Scratch::new(64);
    let joins = [Join::new("/")];
    (Connection::new(near, &NoDialer, Arc::new(options), joins, 1, now(), scratch), far)
}

fn now() -> Instant {
    time::Instant::now().into_std()
}

/// Polls once, as a task that was woken.
async fn poll_once(connection: &mut Connection<DuplexStream>) -> Vec<String> {
    let mut heard = Vec::new();
    let mut note = |event: Event<'_>, _: &mut Outgoing<'_>| heard.push(describe(&event));
    poll_fn(|cx| Poll::Ready(connection.poll(cx, now(), &mut note))).await.is_pending();
    heard
}

/// Runs until the server lets us in.
async fn connected(room: usize, options: Options) -> (Connection<DuplexStream>, Peer) {
    let (mut connection, far) = connect(room, options);
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let peer = tokio::select! {
        biased;
        reason = connection.run(&mut ignore) => panic!("{reason}"),
        peer = Peer::let_in(far) => peer,
    };
    while connection.session().phases().connected_at.is_none() {
        poll_once(&mut connection).await;
        tokio::task::yield_now().await;
    }
    (connection, peer)
}

#[tokio::test(start_paused = true)]
async fn streams_that_take_a_byte_at_a_time_change_nothing() {
    let mut heard = Vec::new();
    let mut echo = |event: Event<'_>, outgoing: &mut Outgoing<'_>| {
        heard.push(describe(&event));
        if let Event::Event { namespace, args, .. } = event {
            outgoing.emit(namespace, args.json(), args.attachments()).unwrap();
        }
    };
    let (mut connection, far) = connect(1, Options::default());
    let reason = tokio::join!(connection.run(&mut echo), async {
        let mut peer = Peer::let_in(far).await;
        for number in 0..100 {
            let text = format!(r#"42["event",{number}]"#);
            peer.text(&text).await;
            assert_eq!(peer.next().await, text);
        }
        peer.close().await;
    })
    .0;
    assert_eq!(reason, CloseReason::WebSocketClosed(Some(1000)));
    assert_eq!(heard.len(), 102);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_from_outside_is_written_at_once() {
    let (mut connection, mut peer) = connected(4096, Options::default()).await;
    connection.send(now(), |outgoing| outgoing.emit("/", r#"["a"]"#, &[])).unwrap();
    assert_eq!(connection.backlog_bytes(), 0);
    // Nobody polls the connection here.
    assert_eq!(peer.next().await, r#"42["a"]"#);
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_does_not_take_waits_its_turn() {
    let (mut connection, mut peer) = connected(64, Options::default()).await;
    let text = |number| format!(r#"["event",{number:040}]"#);
    for number in 0..10 {
        connection.send(now(), |outgoing| outgoing.emit("/", &text(number), &[])).unwrap();
    }
    // 10 frames of 6 + 52 bytes, of which the stream has taken 64.
    assert_eq!(connection.backlog_bytes(), 516);
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    tokio::select! {
        biased;
        reason = connection.run(&mut ignore) => panic!("{reason}"),
        () = async {
            for number in 0..10 {
                assert_eq!(peer.next().await, format!("42{}", text(number)));
            }
        } => {}
    }
    assert!(connection.backlog.is_none(), "an idle connection keeps no buffer");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_later_does_not_overtake_what_waits() {
    let (mut connection, mut peer) = connected(64, Options::default()).await;
    let text = |number| format!(r#"["event",{number:040}]"#);
    for number in 0..2 {
        connection.send(now(), |outgoing| outgoing.emit("/", &text(number), &[])).unwrap();
    }
    // The stream has room again, and the task has not run.
    assert_eq!(peer.next().await, format!("42{}", text(0)));
    connection.send(now(), |outgoing| outgoing.emit("/", &text(2), &[])).unwrap();
    poll_once(&mut connection).await;
    assert_eq!(peer.next().await, format!("42{}", text(1)));
    poll_once(&mut connection).await;
    assert_eq!(peer.next().await, format!("42{}", text(2)));
}

#[tokio::test(start_paused = true)]
async fn backlog_is_bounded() {
    let options = || Options { backlog_bytes_max: 200, ..Options::default() };
    // A frame has 6 bytes before its payload, or 8 if that is over 125.
    let after = async |payload_bytes: usize| {
        let (mut connection, _peer) = connected(64, options()).await;
        let json = format!(r#"["{}"]"#, "a".repeat(payload_bytes - 6));
        connection.send(now(), |outgoing| outgoing.emit("/", &json, &[])).unwrap();
        connection.session().closed().cloned()
    };
    assert_eq!(after(64 - 8 + 200).await, None);
    assert_eq!(after(64 - 8 + 201).await, Some(CloseReason::BacklogFull { bytes_max: 200 }));
}

#[tokio::test(start_paused = true)]
async fn an_end_from_outside_wakes_the_task() {
    let options = Options { backlog_bytes_max: 200, ..Options::default() };
    let (connection, _peer) = connected(64, options).await;
    let connection = std::cell::RefCell::new(connection);
    let start = now();
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let run = poll_fn(|cx| connection.borrow_mut().poll(cx, now(), &mut ignore));
    let (reason, ()) = tokio::join!(biased; run, async {
        tokio::task::yield_now().await;
        let json = format!(r#"["{}"]"#, "a".repeat(300));
        connection.borrow_mut().send(now(), |outgoing| outgoing.emit("/", &json, &[])).unwrap();
    });
    assert_eq!(reason, CloseReason::BacklogFull { bytes_max: 200 });
    assert_eq!(now(), start, "no timer was needed");
}

#[tokio::test(start_paused = true)]
async fn a_close_from_outside_is_timed_though_the_task_is_parked() {
    let (connection, _peer) = connected(4096, Options::default()).await;
    let connection = std::cell::RefCell::new(connection);
    let start = now();
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let run = poll_fn(|cx| connection.borrow_mut().poll(cx, now(), &mut ignore));
    let (reason, ()) = tokio::join!(biased; run, async {
        tokio::task::yield_now().await;
        connection.borrow_mut().send(now(), |outgoing| outgoing.close());
    });
    assert_eq!(reason, CloseReason::Client);
    assert_eq!(now() - start, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_on_time_and_one_that_pings_is_not() {
    let (mut connection, mut peer) = connected(4096, Options::default()).await;
    let start = now();
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let (reason, ()) = tokio::join!(connection.run(&mut ignore), async {
        for _ in 0..4 {
            time::sleep(Duration::from_secs(25)).await;
            peer.text("2").await;
            assert_eq!(peer.next().await, "3");
        }
    });
    assert_eq!(reason, CloseReason::PingTimeout);
    assert_eq!(now() - start, Duration::from_secs(100 + 45));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_go_before_a_deadline_that_has_passed() {
    let (mut connection, mut peer) = connected(4096, Options::default()).await;
    time::sleep(Duration::from_secs(25)).await;
    peer.text("2").await;
    // This program sleeps; the server did what it had to.
    time::advance(Duration::from_secs(1000)).await;
    poll_once(&mut connection).await;
    assert_eq!(connection.session().closed(), None);
    assert_eq!(peer.next().await, "3");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_left_on_time() {
    let (mut connection, far) = connect(4096, Options::default());
    let start = now();
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    assert_eq!(connection.run(&mut ignore).await, CloseReason::ConnectTimeout);
    assert_eq!(now() - start, Duration::from_secs(20));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_comes_after_what_was_sent() {
    let (mut connection, mut peer) = connected(4096, Options::default()).await;
    peer.text(r#"42["last"]"#).await;
    drop(peer);
    let mut heard = Vec::new();
    let mut note = |event: Event<'_>, _: &mut Outgoing<'_>| heard.push(describe(&event));
    assert_eq!(connection.run(&mut note).await, CloseReason::Eof);
    assert_eq!(heard, [r#"event / None ["last"] []"#]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_stops_does_not_keep_the_thread() {
    let (mut connection, mut peer) = connected(1 << 20, Options::default()).await;
    let text = format!(r#"42["{}"]"#, "a".repeat(64 - 2 - 6));
    for _ in 0..2 * READS_MAX {
        peer.text(&text).await;
    }
    assert_eq!(poll_once(&mut connection).await.len(), READS_MAX);
    assert_eq!(poll_once(&mut connection).await.len(), READS_MAX);
}

#[tokio::test(start_paused = true)]
async fn after_an_upgrade_only_the_stream_of_the_websocket_is_left() {
    let (connection, mut get, mut dialed) = poller();
    let connection = RefCell::new(connection);
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let run = poll_fn(|cx| connection.borrow_mut().poll(cx, now(), &mut ignore));
    let script = async {
        assert_eq!(request(&mut get).await, "GET");
        reply(&mut get, &OPENED.replace("[]", r#"["websocket"]"#)).await;
        let mut post = dialed.recv().await.unwrap();
        assert_eq!(request(&mut post).await, "POST 40");
        let mut peer = Peer::accept(dialed.recv().await.unwrap()).await;
        reply(&mut post, "ok").await;
        assert_eq!(request(&mut get).await, "GET");
        reply(&mut get, CONNECTED).await;
        assert_eq!(request(&mut get).await, "GET");
        assert_eq!(peer.next().await, "2probe");
        peer.text("3probe").await;
        time::sleep(Duration::from_secs(1)).await;
        let emit = |json: &str| {
            connection.borrow_mut().send(now(), |outgoing| outgoing.emit("/", json, &[])).unwrap();
        };
        emit(r#"["queued"]"#);
        assert!(connection.borrow().backlog_bytes() > 0);
        reply(&mut get, "6").await;
        assert_eq!([peer.next().await, peer.next().await], ["5", r#"42["queued"]"#]);
        emit(r#"["at once"]"#);
        assert_eq!(peer.next().await, r#"42["at once"]"#);
        peer.text("2").await;
        assert_eq!(peer.next().await, "3");
        assert_eq!([request(&mut get).await, request(&mut post).await], [" cut", " cut"]);
        assert_eq!(connection.borrow().backlog_bytes(), 0);
        assert!(connection.borrow().backlog.is_none());
        peer.close().await;
    };
    let (reason, ()) = tokio::join!(biased; run, script);
    assert_eq!(reason, CloseReason::WebSocketClosed(Some(1000)));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_can_not_be_dialed_leaves_polling_and_a_post_that_can_not_does_not() {
    let (mut connection, mut get, mut dialed) = poller();
    let mut ignore = |_: Event<'_>, _: &mut Outgoing<'_>| {};
    let script = async {
        assert_eq!(request(&mut get).await, "GET");
        reply(&mut get, &OPENED.replace("[]", r#"["websocket"]"#)).await;
        let mut post = dialed.recv().await.unwrap();
        dialed.close();
        while dialed.recv().await.is_some() {}
        assert_eq!(request(&mut post).await, "POST 40");
        reply(&mut post, "ok").await;
        assert_eq!(request(&mut get).await, "GET");
        reply(&mut get, CONNECTED).await;
        assert_eq!(request(&mut get).await, "GET");
        // The stream for POSTs is idle: that may end.
        drop(post);
        time::sleep(Duration::from_secs(1)).await;
        reply(&mut get, "2").await;
        get
    };
    let (reason, _get) = tokio::join!(connection.run(&mut ignore), script);
    assert_eq!(reason, CloseReason::Dial(io::ErrorKind::ConnectionRefused));
}

#[test]
fn an_idle_connection_is_small() {
    // Beside this: one namespace (32), one timer (below), and what tokio has for a
    // socket (about 200).
    let connection = size_of::<Connection<tokio::net::TcpStream>>();
    assert!(connection <= 288, "{connection}");
    assert!(size_of::<Sleep>() <= 128, "{}", size_of::<Sleep>());
}
