//! One connection's task: from the first byte to what it turns out to be.
//!
//! ```text
//!  accept --> head --+-- WebSocket, no sid --> session's task (here, in place)
//!                    +-- WebSocket, sid -----> probe of a polling session
//!                    +-- anything else ------> HTTP (hyper), until it ends, or
//!                                              asks for a WebSocket after all
//! ```

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::handshake::{Accepted, accept, keep};
use super::http::run_http;
use super::rejection::Rejection;
use super::session::{SessionTask, poll_drain};
use super::shard::{Newborn, Shard};
use super::streams::Written;
use super::upgrade::adopt;
use super::wire::Wire;
use crate::hub::{ConnId, Opening};
use crate::net::Stream;
use crate::room::Sid;
use crate::shard::Handshake;
use crate::websocket::{
    REQUEST_BYTES_MAX, Request, close_code, decode_request, encode_accept, encode_close,
};

/// Runs one connection from its first byte to its last handler.
pub(super) async fn run_connection<S: Stream>(
    shard: Rc<Shard<S>>,
    conn: ConnId,
    address: SocketAddr,
) {
    let mut place = Place { shard: Rc::clone(&shard), conn: Some(conn) };
    // Boxed, since it is large and, for a WebSocket, soon over.
    let begun = Box::pin(begin(&mut place, address)).await;
    if let Some(Begun { conn, wire, unread }) = begun {
        let mut session = SessionTask::of_websocket(shard, conn, wire, unread);
        poll_fn(|cx| session.poll(cx)).await;
    }
    place.release();
}

/// Runs a session that began with long-polling, whatever connections carry it.
pub(super) async fn run_polling_session<S: Stream>(shard: Rc<Shard<S>>, newborn: Newborn) {
    let Newborn { conn, sid } = newborn;
    let place = Place { shard: Rc::clone(&shard), conn: Some(conn) };
    let mut place = PolledPlace { place, sid };
    let wire = shard.streams.borrow_mut().polling(conn).map(|here| here.wire());
    if let Some(wire) = wire {
        let mut session = SessionTask::of_polling(shard, conn, wire);
        poll_fn(|cx| session.poll(cx)).await;
    }
    place.release();
}

/// A connection's place in the shard, given back even if its task panics.
///
/// Not if the task is dropped: the shard ends then, and closes its streams in
/// an order of its own.
struct Place<S: Stream> {
    shard: Rc<Shard<S>>,
    /// None while the stream lies elsewhere: the place is somebody else's then.
    conn: Option<ConnId>,
}

impl<S: Stream> Place<S> {
    /// Takes the stream out, and gives the place back.
    fn take(&mut self) -> Option<S> {
        self.shard.streams.borrow_mut().take(self.conn.take()?)
    }

    /// Puts a stream in, at a new place.
    fn put(&mut self, stream: S) -> ConnId {
        let conn = self.shard.streams.borrow_mut().insert(stream);
        debug_assert_eq!(self.conn, None, "one place at a time");
        self.conn = Some(conn);
        conn
    }

    fn release(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.shard.release(conn);
        }
    }
}

impl<S: Stream> Drop for Place<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.release();
        }
    }
}

/// The same, with the id by which requests find the session.
struct PolledPlace<S: Stream> {
    place: Place<S>,
    sid: Sid,
}

impl<S: Stream> PolledPlace<S> {
    fn release(&mut self) {
        self.place.shard.sids.borrow_mut().remove(&self.sid);
        self.place.release();
    }
}

impl<S: Stream> Drop for PolledPlace<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.release();
        }
    }
}

/// A session that has begun with a WebSocket.
struct Begun {
    conn: ConnId,
    wire: Wire,
    unread: Vec<u8>,
}

/// Serves a connection until it is a session of its own, or over.
async fn begin<S: Stream>(place: &mut Place<S>, address: SocketAddr) -> Option<Begun> {
    let shard = Rc::clone(&place.shard);
    let conn = place.conn?;
    let limit = shard.config.limits.connect_timeout;
    let head = tokio::time::timeout(limit, read_head(&shard, conn)).await.ok()?.ok()?;
    match head {
        Head::Http(read) => {
            let stream = place.take()?;
            let upgraded = run_http(&shard, stream, read, address).await?;
            place.put(upgraded.stream);
            begin_websocket(place, upgraded.accepted, upgraded.handshake, upgraded.unread).await
        }
        Head::Refused(rejection) => {
            refuse(&shard, conn, rejection).await;
            None
        }
        Head::WebSocket(request, unread) => {
            let accepted = match accept(&shard, &request) {
                Ok(accepted) => accepted,
                Err(rejection) => {
                    refuse(&shard, conn, rejection).await;
                    return None;
                }
            };
            let mut response = Vec::new();
            encode_accept(&accepted.key, &mut response);
            let written = tokio::time::timeout(limit, write_all(&shard, conn, &response)).await;
            written.ok()?.ok()?;
            let is_new = accepted.sid.is_none();
            let revision = accepted.wire.revision();
            let handshake =
                is_new.then(|| keep(&shard, address, revision, "websocket", &request)).flatten();
            begin_websocket(place, accepted, handshake, unread).await
        }
    }
}

/// Makes a stream whose handshake is done a session, or the probe of one.
async fn begin_websocket<S: Stream>(
    place: &mut Place<S>,
    accepted: Accepted,
    handshake: Option<Arc<Handshake>>,
    unread: Vec<u8>,
) -> Option<Begun> {
    let shard = Rc::clone(&place.shard);
    let Accepted { wire, sid, .. } = accepted;
    let Some(sid) = sid else {
        let conn = place.conn?;
        open(&shard, conn, wire, handshake).await;
        return Some(Begun { conn, wire, unread });
    };
    if let Err(stream) = adopt(&shard, sid, wire.revision(), place.take()?, unread) {
        let mut frame = Vec::new();
        encode_close(close_code::NORMAL_CLOSURE, None, &mut frame);
        say_goodbye(&shard, place.put(stream), &frame).await;
    }
    None
}

/// Opens a session of its own.
async fn open<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    wire: Wire,
    mut handshake: Option<Arc<Handshake>>,
) {
    poll_fn(|cx| {
        let mut streams = shard.streams.borrow_mut();
        streams.set_wire(conn, wire);
        streams.set_waker(conn, cx.waker());
        drop(streams);
        let (revision, is_raw) = (wire.revision(), shard.io.is_raw());
        let opening = Opening { revision, may_upgrade: false, is_raw };
        // No request can name this session: its id is for the client's log alone.
        let _sid = shard.core.open(conn, opening, handshake.take(), cx.waker());
        Poll::Ready(())
    })
    .await;
}

async fn refuse<S: Stream>(shard: &Shard<S>, conn: ConnId, rejection: Rejection) {
    let mut response = Vec::new();
    rejection.encode(&mut response);
    say_goodbye(shard, conn, &response).await;
}

/// What a connection turns out to be.
enum Head {
    /// HTTP; all that was read of it.
    Http(Vec<u8>),
    /// Not even that.
    Refused(Rejection),
    /// A request for a WebSocket, on our path, and what came behind it.
    WebSocket(Request, Vec<u8>),
}

async fn read_head<S: Stream>(shard: &Shard<S>, conn: ConnId) -> io::Result<Head> {
    let mut head = Vec::new();
    loop {
        match decode_request(&head) {
            Ok(Some((request, length))) if is_ours(shard, &request) => {
                head.drain(..length);
                return Ok(Head::WebSocket(request, head));
            }
            Ok(Some(_)) => return Ok(Head::Http(head)),
            Err(error) => return Ok(Head::Refused(Rejection::from(&error))),
            Ok(None) if head.len() >= REQUEST_BYTES_MAX => {
                return Ok(Head::Refused(Rejection::Status(431)));
            }
            Ok(None) => read_some(shard, conn, &mut head).await?,
        }
    }
}

/// Whether this asks for a WebSocket of ours, well or badly.
fn is_ours<S: Stream>(shard: &Shard<S>, request: &Request) -> bool {
    shard.config.is_path(&request.path) && request.asks_for_websocket()
}

async fn read_some<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    head: &mut Vec<u8>,
) -> io::Result<()> {
    poll_fn(|cx| {
        let mut buffer = shard.take_buffer();
        // Never more than the bound beyond the bound.
        let space = &mut buffer[..REQUEST_BYTES_MAX];
        let read = shard.streams.borrow_mut().poll_read(conn, cx, space);
        if let Poll::Ready(Ok(count)) = read {
            head.extend_from_slice(&buffer[..count]);
        }
        *shard.buffer.borrow_mut() = buffer;
        read.map(|read| match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        })
    })
    .await
}

async fn write_all<S: Stream>(shard: &Shard<S>, conn: ConnId, bytes: &[u8]) -> io::Result<()> {
    let mut begun = false;
    poll_fn(|cx| {
        let mut streams = shard.streams.borrow_mut();
        streams.set_waker(conn, cx.waker());
        if !begun {
            begun = true;
            match streams.write(conn, bytes) {
                Written::All => return Poll::Ready(Ok(())),
                Written::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Written::Some(_) => {}
            }
        }
        streams.poll_backlog(conn, cx)
    })
    .await
}

/// Writes the last bytes, closes the write side, and waits, not for long, until
/// the peer has closed too.
async fn say_goodbye<S: Stream>(shard: &Shard<S>, conn: ConnId, bytes: &[u8]) {
    let closed = async {
        write_all(shard, conn, bytes).await?;
        poll_fn(|cx| shard.streams.borrow_mut().poll_shutdown(conn, cx)).await?;
        poll_fn(|cx| poll_drain(shard, conn, cx)).await;
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(shard.config.close_timeout, closed).await;
}
