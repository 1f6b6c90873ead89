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
use super::visit::Visit;
use super::wire::Wire;
use crate::engineio::Revision;
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
    let mut place = Place { shard: Rc::clone(&shard), conn };
    // Boxed, since it is large and, for a WebSocket, soon over.
    let begun = Box::pin(begin(&shard, &mut place.conn, address)).await;
    if let Some(Begun { wire, unread }) = begun {
        let mut session = SessionTask::of_websocket(shard, place.conn, wire, unread);
        poll_fn(|cx| session.poll(cx)).await;
    }
    place.shard.release(place.conn);
}

/// Runs a session that began with long-polling, whatever connections carry it.
pub(super) async fn run_polling_session<S: Stream>(shard: Rc<Shard<S>>, newborn: Newborn) {
    let Newborn { conn, sid } = newborn;
    let place = PolledPlace { place: Place { shard: Rc::clone(&shard), conn }, sid };
    let wire = shard.streams.borrow_mut().polling(conn).map(|here| here.wire());
    if let Some(wire) = wire {
        let mut session = SessionTask::of_polling(shard, conn, wire);
        poll_fn(|cx| session.poll(cx)).await;
    }
    place.place.shard.release(conn);
    place.place.shard.sids.borrow_mut().remove(&sid);
}

/// A connection's place in the shard, given back even if its task panics.
///
/// Not if the task is dropped: the shard ends then, and closes its streams in
/// an order of its own.
struct Place<S: Stream> {
    shard: Rc<Shard<S>>,
    conn: ConnId,
}

impl<S: Stream> Drop for Place<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shard.release(self.conn);
        }
    }
}

/// The same, with the id by which requests find the session.
struct PolledPlace<S: Stream> {
    place: Place<S>,
    sid: Sid,
}

impl<S: Stream> Drop for PolledPlace<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.place.shard.sids.borrow_mut().remove(&self.sid);
        }
    }
}

/// A session that has begun with a WebSocket.
struct Begun {
    wire: Wire,
    unread: Vec<u8>,
}

/// Serves a connection until it is a session of its own, or over. `conn` is
/// where its stream lies, if it does.
async fn begin<S: Stream>(
    shard: &Rc<Shard<S>>,
    conn: &mut ConnId,
    address: SocketAddr,
) -> Option<Begun> {
    let limit = shard.config.limits.connect_timeout;
    let head = tokio::time::timeout(limit, read_head(shard, *conn)).await.ok()?.ok()?;
    match head {
        Head::Http(read) => {
            let stream = shard.streams.borrow_mut().take(*conn)?;
            let upgraded = run_http(shard, stream, read, address).await?;
            *conn = shard.streams.borrow_mut().insert(upgraded.stream);
            begin_websocket(shard, *conn, upgraded.accepted, upgraded.handshake, upgraded.unread)
                .await
        }
        Head::Refused(rejection) => {
            let mut response = Vec::new();
            rejection.encode(&mut response);
            say_goodbye(shard, *conn, &response).await;
            None
        }
        Head::WebSocket(request, unread) => {
            let accepted = match accept(shard, &request).await {
                Ok(accepted) => accepted,
                Err(rejection) => {
                    let mut response = Vec::new();
                    rejection.encode(&mut response);
                    say_goodbye(shard, *conn, &response).await;
                    return None;
                }
            };
            let mut response = Vec::new();
            encode_accept(&accepted.key, &mut response);
            let written = tokio::time::timeout(limit, write_all(shard, *conn, &response)).await;
            written.ok()?.ok()?;
            let handshake = accepted
                .sid
                .is_none()
                .then(|| keep(shard, address, accepted.wire.revision(), "websocket", &request));
            begin_websocket(shard, *conn, accepted, handshake.flatten(), unread).await
        }
    }
}

/// Makes a stream whose handshake is done a session, or the probe of one.
async fn begin_websocket<S: Stream>(
    shard: &Rc<Shard<S>>,
    conn: ConnId,
    accepted: Accepted,
    handshake: Option<Arc<Handshake>>,
    unread: Vec<u8>,
) -> Option<Begun> {
    let Accepted { wire, sid, .. } = accepted;
    let Some(sid) = sid else {
        shard.streams.borrow_mut().set_wire(conn, wire);
        poll_fn(|cx| {
            shard.streams.borrow_mut().set_waker(conn, cx.waker());
            let (revision, is_raw) = (wire.revision(), shard.io.is_raw());
            let opening = Opening { revision, may_upgrade: false, is_raw };
            // Nobody can name this session: its id is for the client's log alone.
            let _sid = shard.core.open(conn, opening, handshake.clone(), cx.waker());
            Poll::Ready(())
        })
        .await;
        return Some(Begun { wire, unread });
    };
    let (stream, revision) = (shard.streams.borrow_mut().take(conn)?, wire.revision());
    match shard.elsewhere(sid) {
        None => welcome_probe(shard, sid, revision, stream, unread).await,
        Some(other) => {
            // A stream that can not be detached is closed.
            if let Ok(stream) = stream.detach() {
                shard.visit(other, Visit::Probe { sid, revision, stream, unread });
            }
        }
    }
    None
}

/// Makes a stream the probe of a session of this shard, if that can have one.
pub(super) async fn welcome_probe<S: Stream>(
    shard: &Rc<Shard<S>>,
    sid: Sid,
    revision: Revision,
    stream: S,
    unread: Vec<u8>,
) {
    if let Err(stream) = adopt(shard, sid, revision, stream, unread) {
        let conn = shard.streams.borrow_mut().insert(stream);
        let mut frame = Vec::new();
        encode_close(close_code::NORMAL_CLOSURE, None, &mut frame);
        say_goodbye(shard, conn, &frame).await;
        shard.streams.borrow_mut().remove(conn);
    }
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
