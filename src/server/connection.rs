//! One connection's task: from the first byte to what it turns out to be.
//!
//! ```text
//!  accept --> head --+-- WebSocket, no sid --> session's task (here, in place)
//!                    +-- WebSocket, sid -----> probe of a polling session
//!                    +-- anything else ------> HTTP (hyper), until it ends, or
//!                                              asks for a WebSocket after all
//! ```

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::handshake::{Accepted, accept, keep};
use super::http::{Upgraded, run_http};
use super::rejection::Rejection;
use super::session::{SessionTask, poll_drain};
use super::shard::{Newborn, Shard};
use super::streams::Written;
use super::upgrade::adopt;
use super::visit::Visit;
use super::wire::Wire;
use crate::engineio::Revision;
use crate::hub::{Address, ConnId, Opening};
use crate::net::Stream;
use crate::room::Sid;
use crate::shard::{Handshake, Run, Seat, Transport};
use crate::websocket::{
    REQUEST_BYTES_MAX, Request, close_code, decode_request, encode_accept, encode_close,
};

/// Runs one connection from its first byte to its last handler.
///
/// Written by hand, so that the future is as large as what an idle session
/// needs: the beginning, which needs much and is soon over, is boxed.
pub(super) enum ConnectionTask<S: Stream> {
    Beginning(Pin<Box<dyn Future<Output = Option<SessionTask<S>>>>>),
    Session(SessionTask<S>),
}

impl<S: Stream> ConnectionTask<S> {
    pub(super) fn new(shard: Rc<Shard<S>>, conn: ConnId, address: SocketAddr, seat: Seat) -> Self {
        let place = Place { shard, conn: Some(conn), seat: Some(seat) };
        Self::Beginning(Box::pin(begin(place, address)))
    }
}

impl<S: Stream> Future for ConnectionTask<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Beginning(beginning) => match ready!(beginning.as_mut().poll(cx)) {
                    None => return Poll::Ready(()),
                    Some(session) => *this = Self::Session(session),
                },
                Self::Session(session) => return session.poll(cx),
            }
        }
    }
}

/// Runs a session that began with long-polling, whatever connections carry it.
pub(super) async fn run_polling_session<S: Stream>(shard: Rc<Shard<S>>, newborn: Newborn) {
    let Newborn { conn, sid, seat } = newborn;
    let _named = Named { shard: Rc::clone(&shard), sid };
    let wire = shard.streams.borrow_mut().polling(conn).map(|here| here.wire());
    if let Some(wire) = wire {
        let mut session = SessionTask::of_polling(shard, conn, wire, seat);
        poll_fn(|cx| session.poll(cx)).await;
    }
}

/// The place of a connection that has not become a session; given back even if
/// its task panics.
///
/// Not if the task is dropped: the shard ends then, and closes its streams in
/// an order of its own.
struct Place<S: Stream> {
    shard: Rc<Shard<S>>,
    /// None while the stream lies elsewhere: the place is somebody else's then.
    conn: Option<ConnId>,
    /// None if somebody else answers for the connection.
    seat: Option<Seat>,
}

impl<S: Stream> Place<S> {
    /// Takes the stream out, and gives the place back.
    fn take(&mut self) -> Option<S> {
        self.shard.streams.borrow_mut().take(self.conn.take()?)
    }

    /// Puts a stream in, at a new place.
    fn put(&mut self, stream: S) -> ConnId {
        debug_assert_eq!(self.conn, None, "one place at a time");
        *self.conn.insert(self.shard.streams.borrow_mut().insert(stream))
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

/// The id by which requests find a session, forgotten when this is dropped.
struct Named<S: Stream> {
    shard: Rc<Shard<S>>,
    sid: Sid,
}

impl<S: Stream> Drop for Named<S> {
    fn drop(&mut self) {
        self.shard.sids.borrow_mut().remove(&self.sid);
    }
}

/// Serves a connection until it is a session of its own, or over.
async fn begin<S: Stream>(mut place: Place<S>, address: SocketAddr) -> Option<SessionTask<S>> {
    let session = serve(&mut place, address).await;
    place.release();
    session
}

async fn serve<S: Stream>(place: &mut Place<S>, address: SocketAddr) -> Option<SessionTask<S>> {
    let shard = Rc::clone(&place.shard);
    let conn = place.conn?;
    let limit = shard.config.limits.connect_timeout;
    // Who has said nothing when the server ends needs no answer.
    let head = tokio::select! {
        biased;
        head = tokio::time::timeout(limit, read_head(&shard, conn)) => head.ok()?.ok()?,
        () = shard.stopped() => return None,
    };
    match head {
        Head::Http(read) => {
            let stream = place.take()?;
            let Upgraded { stream, accepted, handshake, unread } =
                // Larger than all else here, and not for everybody.
                Box::pin(run_http(&shard, stream, read, address)).await?;
            place.put(stream);
            begin_websocket(place, accepted, handshake, unread).await
        }
        Head::Refused(rejection) => {
            refuse(&shard, conn, rejection).await;
            None
        }
        Head::WebSocket(request, unread) => {
            let accepted = match accept(&shard, &request).await {
                Ok(accepted) => accepted,
                Err(rejection) => {
                    refuse(&shard, conn, rejection).await;
                    return None;
                }
            };
            let mut response = Vec::new();
            encode_accept(&accepted.key, accepted.extensions, &mut response);
            let written = tokio::time::timeout(limit, write_all(&shard, conn, &response)).await;
            written.ok()?.ok()?;
            let (is_new, revision) = (accepted.sid.is_none(), accepted.wire.revision());
            let keep = || keep(&shard, address, revision, Transport::WebSocket, &request);
            let handshake = is_new.then(keep).flatten();
            begin_websocket(place, accepted, handshake, unread).await
        }
    }
}

/// Some clients of Engine.IO v3 listen for messages only once they have seen
/// the WebSocket open, and miss one that comes in the same packet.
const OLD_CLIENT_PAUSE: Duration = Duration::from_millis(5);

/// Makes a stream whose handshake is done a session, or the probe of one.
async fn begin_websocket<S: Stream>(
    place: &mut Place<S>,
    accepted: Accepted,
    handshake: Option<Handshake>,
    unread: Vec<u8>,
) -> Option<SessionTask<S>> {
    let shard = Rc::clone(&place.shard);
    let Accepted { wire, sid, extensions, .. } = accepted;
    let deflate = extensions.is_some();
    let Some(sid) = sid else {
        if wire.revision() == Revision::V3 {
            tokio::time::sleep(OLD_CLIENT_PAUSE).await;
        }
        let (conn, seat) = (place.conn.take()?, place.seat.take()?);
        let address = seat.address();
        let session =
            SessionTask::of_websocket(Rc::clone(&shard), conn, wire, deflate, unread, seat);
        if deflate {
            // The answer, which is no frame, is written.
            shard.streams.borrow_mut().compress(conn);
        }
        open(&shard, conn, wire, address, handshake).await;
        return Some(session);
    };
    let (stream, revision) = (place.take()?, wire.revision());
    match shard.elsewhere(sid) {
        None => welcome_probe(&shard, sid, revision, deflate, stream, unread).await,
        Some(other) => {
            // A stream that can not be detached is closed.
            if let Ok(stream) = stream.detach() {
                shard.visit(other, Visit::Probe { sid, revision, deflate, stream, unread });
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
    deflate: bool,
    stream: S,
    unread: Vec<u8>,
) {
    if let Err(stream) = adopt(shard, sid, revision, deflate, stream, unread) {
        let mut place = Place { shard: Rc::clone(shard), conn: None, seat: None };
        let mut frame = Vec::new();
        encode_close(close_code::NORMAL_CLOSURE, None, &mut frame);
        // Boxed, since few need it.
        let conn = place.put(stream);
        Box::pin(say_goodbye(shard, conn, &frame)).await;
        place.release();
    }
}

/// Opens a session of its own.
async fn open<S: Stream>(
    shard: &Shard<S>,
    conn: ConnId,
    wire: Wire,
    address: Address,
    mut handshake: Option<Handshake>,
) {
    poll_fn(|cx| {
        let mut streams = shard.streams.borrow_mut();
        streams.set_wire(conn, wire);
        streams.set_waker(conn, cx.waker());
        drop(streams);
        let (revision, is_raw) = (wire.revision(), shard.io.is_raw());
        let opening = Opening { revision, may_upgrade: false, is_raw, address };
        // No request can name this session: its id is for the client's log alone.
        let _sid = shard.core.open(conn, opening, handshake.take(), cx.waker());
        if shard.draining.get() {
            // It was granted before, and comes too late for a turn of its own.
            shard.core.tell_to_go(conn);
        }
        Poll::Ready(())
    })
    .await;
}

/// Tells a connection that there may not be one more, as the answer to its first request.
pub(super) async fn turn_away<S: Stream>(shard: Rc<Shard<S>>, stream: S, rejection: Rejection) {
    let turning_away = &shard.turning_away;
    turning_away.set(turning_away.get() + 1);
    let mut place = Place { shard: Rc::clone(&shard), conn: None, seat: None };
    let conn = place.put(stream);
    let mut head = Vec::new();
    let asked = read_some(&shard, conn, &mut head);
    if let Ok(Ok(())) = tokio::time::timeout(shard.config.close_timeout, asked).await {
        refuse(&shard, conn, rejection).await;
    }
    place.release();
    turning_away.set(turning_away.get() - 1);
}

async fn refuse<S: Stream>(shard: &Shard<S>, conn: ConnId, rejection: Rejection) {
    let mut response = Vec::new();
    rejection.encode(&mut response);
    // Boxed, since few need it.
    Box::pin(say_goodbye(shard, conn, &response)).await;
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
                // What is empty is not kept: it would cost an idle session its head.
                return Ok(Head::WebSocket(request, head.split_off(length)));
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
            match streams.write(conn, Run::packet(bytes)) {
                Written::All => return Poll::Ready(Ok(())),
                Written::Failed | Written::Full => {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                Written::Some => {}
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
