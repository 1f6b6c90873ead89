//! Sessions served by long-polling: from a request, as data, to its answer.
//!
//! [`serve_polling`] is the whole of it: what goes in and what comes out is
//! plain data that may come from another shard. The rules are those of
//! [`engineio::session`](crate::engineio::session); here they are carried out.
//! The session's task handles what is posted (see `session`).
//!
//! ```text
//!  GET   --> Hold ---------- Queued (ticker) --> Answer --> its payload
//!  POST  --> Hold, body --> the session's task, packet by packet --> ok
//! ```

use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::oneshot;

use super::backlog::{Backlog, Bounds};
use super::rejection::Rejection;
use super::shard::{Newborn, Shard};
use super::streams::Written;
use super::upgrade::Probe;
use super::visit::Visit;
use super::wire::{Wire, has_packets};
use crate::engineio::Revision;
use crate::engineio::payload::Payload;
use crate::engineio::session::{Action, Answer, End, Event, Refusal, Session};
use crate::hub::{self, Address, ConnId, Drops, Opening, Reason};
use crate::net::Stream;
use crate::room::Sid;
use crate::shard::{Handshake, Run, Seat};

/// A request of a client that polls, once HTTP is taken off.
#[derive(Debug)]
pub(super) struct PollingRequest {
    pub(super) revision: Option<Revision>,
    /// Whether the client takes text alone (revision 3).
    pub(super) base64: bool,
    pub(super) ask: Ask,
}

/// A session, as a request names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionName {
    pub(super) sid: Sid,
    pub(super) revision: Option<Revision>,
}

/// What did not come whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    /// The answer to a poll: what was in it is lost, and the client, which may ask again over
    /// another connection, would not know.
    Answer,
    /// The body of a POST.
    Post,
}

impl PollingRequest {
    /// The session that a poll is of.
    pub(super) fn session(&self) -> Option<SessionName> {
        match self.ask {
            Ask::Get(sid) => Some(SessionName { sid, revision: self.revision }),
            // Who has not heard of its session has none; and the answer to a POST says nothing.
            Ask::Begin { .. } | Ask::Post { .. } | Ask::Posted { .. } => None,
        }
    }

    /// The session that it belongs to, if there is one already.
    fn sid(&self) -> Option<Sid> {
        match self.ask {
            Ask::Begin { .. } => None,
            Ask::Get(sid) | Ask::Post { sid, .. } | Ask::Posted { sid, .. } => Some(sid),
        }
    }

    /// How much is posted.
    pub(super) fn body_bytes(&self) -> usize {
        match &self.ask {
            Ask::Begin { .. } | Ask::Get(_) | Ask::Post { .. } => 0,
            Ask::Posted { body, .. } => body.len(),
        }
    }
}

/// What the request asks for.
#[derive(Debug)]
pub(super) enum Ask {
    /// A new session.
    Begin { address: Address, handshake: Option<Handshake> },
    /// What there is for the client.
    Get(Sid),
    /// Whether a body may be posted; answered by [`PollingResponse::go_on`].
    Post { sid: Sid, octets: bool },
    /// The body.
    Posted { sid: Sid, octets: bool, body: Vec<u8> },
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PollingResponse {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) body: Vec<u8>,
    /// The session that began with this request.
    pub(super) began: Option<Sid>,
    /// Nothing more will come of this session.
    pub(super) last: bool,
}

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Html,
    Json,
    Octets,
    Text,
}

impl PollingResponse {
    fn new(content: Content, body: Vec<u8>) -> Self {
        Self { status: 200, content, body, began: None, last: false }
    }

    /// The body may be posted.
    fn go_on() -> Self {
        Self { status: 100, ..Self::new(Content::Text, Vec::new()) }
    }

    pub(super) fn is_go_on(&self) -> bool {
        self.status == 100
    }

    /// Whether there may be something in it that its client would miss.
    pub(super) fn has_messages(&self) -> bool {
        self.status == 200 && !self.last
    }

    /// To a POST, as Node's servers do: browsers may show it, and would offer to save plain text.
    fn ok() -> Self {
        Self::new(Content::Html, b"ok".to_vec())
    }
}

impl From<Rejection> for PollingResponse {
    fn from(rejection: Rejection) -> Self {
        let (status, body) = rejection.status_and_body();
        let (content, body) = (Content::Json, body.into_bytes());
        Self { status, content, body, began: None, last: true }
    }
}

/// One session that is served by long-polling.
#[derive(Debug)]
pub(super) struct Polling {
    session: Session,
    wire: Wire,
    /// Frames as within the engine.
    queue: Backlog,
    get: Option<Reply>,
    post: Option<Post>,
    pub(super) probe: Option<Box<Probe>>,
}

type Reply = oneshot::Sender<PollingResponse>;

/// A POST that is read or handled.
#[derive(Debug, Default)]
struct Post {
    reply: Option<Reply>,
    payload: Option<Payload>,
}

impl Polling {
    pub(super) fn new(wire: Wire) -> Self {
        let (session, queue) = (Session::default(), Backlog::default());
        Self { session, wire, queue, get: None, post: None, probe: None }
    }

    /// Whether a WebSocket is about to take over.
    fn is_upgrading(&self) -> bool {
        self.session.is_upgrading()
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Queues a run, or answers the GET that waits with it.
    pub(super) fn push(&mut self, run: Run<'_>, bounds: &Bounds, drops: &mut Drops) -> Written {
        if self.session.is_closed() {
            return Written::All;
        }
        // A GET waits only while nothing is queued, and takes all that comes.
        let (mut is_full, is_awaited) = (false, self.get.is_some());
        run.for_each_packet(|packet, loss| {
            match has_packets(packet) {
                // A close frame is nothing to a poller: it hears of the end otherwise.
                false => {}
                true if is_awaited => self.queue.pass(packet),
                true => is_full |= self.queue.push(packet, loss, bounds, drops).is_err(),
            }
        });
        if is_full {
            return Written::Full;
        }
        if self.queue.is_empty() {
            return Written::All;
        }
        let left = self.handle(Event::Queued, &mut None);
        debug_assert_eq!(left, [], "a queue concerns nobody but the GET");
        if self.queue.is_empty() { Written::All } else { Written::Some }
    }

    /// What waits for the next poll.
    pub(super) fn queued(&self) -> &Backlog {
        &self.queue
    }

    /// Takes what is queued, for the WebSocket that takes over.
    pub(super) fn take_queue(&mut self) -> Backlog {
        std::mem::take(&mut self.queue)
    }

    /// Takes the body that is to be handled, if one has come.
    pub(super) fn take_payload(&mut self) -> Option<Payload> {
        self.post.as_mut()?.payload.take()
    }

    /// Puts back the rest of it.
    pub(super) fn put_back(&mut self, payload: Payload) {
        if let Some(post) = &mut self.post {
            post.payload = Some(payload);
        }
    }

    /// Applies one event, answers requests, and returns what is left to do.
    ///
    /// `request` is the GET that has just come; it stays there if it is refused.
    pub(super) fn handle(&mut self, event: Event<'_>, request: &mut Option<Reply>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.session.handle(event, &mut actions);
        actions.retain(|action| {
            match *action {
                Action::Answer(answer) => self.answer(answer),
                Action::AnswerPost { ok } => self.answer_post(ok),
                Action::HoldGet => self.get = request.take(),
                Action::HoldPost => self.post = Some(Post::default()),
                Action::Adopt
                | Action::DropProbe
                | Action::Ended(_)
                | Action::HoldProbe
                | Action::Refuse(_)
                | Action::RefuseProbe
                | Action::ReplyProbe => return true,
            }
            false
        });
        actions
    }

    fn answer(&mut self, answer: Answer) {
        let last = match answer {
            Answer::Close => Some("1"),
            Answer::Noop => Some("6"),
            Answer::Queue => None,
        };
        let queue = match answer {
            Answer::Queue => self.queue.take_bytes(),
            Answer::Close | Answer::Noop => Vec::new(),
        };
        let (body, octets) = self.wire.payload(&queue, last);
        let content = if octets { Content::Octets } else { Content::Text };
        // If the client has gone, that ends the session: see `Aborting`.
        let response = PollingResponse {
            last: self.session.is_closed(),
            ..PollingResponse::new(content, body)
        };
        let _ = self.get.take().map(|reply| reply.send(response));
    }

    fn answer_post(&mut self, ok: bool) {
        let response =
            if ok { PollingResponse::ok() } else { PollingResponse::from(Rejection::BadRequest) };
        // As above.
        let _ = self.post.take().and_then(|post| post.reply).map(|reply| reply.send(response));
    }
}

/// Answers one request.
///
/// # Cancel safety
///
/// Dropping it means that the client has gone, which ends its session, as the
/// answer may be lost.
pub(super) async fn serve_polling<S: Stream>(
    shard: &Rc<Shard<S>>,
    request: PollingRequest,
) -> PollingResponse {
    if let Some(shard_of_session) = request.sid().and_then(|sid| shard.elsewhere(sid)) {
        return shard.poll_elsewhere(shard_of_session, request).await;
    }
    let PollingRequest { revision, base64, ask } = request;
    let known = |sid| shard.session(sid, revision);
    match ask {
        Ask::Begin { address, handshake } => match shard.config.speaks(revision) {
            Some(revision) => begin(shard, Wire::new(revision, base64), address, handshake).await,
            None => Rejection::UnsupportedVersion.into(),
        },
        Ask::Get(sid) => match known(sid) {
            Ok(conn) => get(shard, conn).await,
            Err(rejection) => rejection.into(),
        },
        Ask::Post { sid, octets } => known(sid)
            .and_then(|conn| post(shard, conn, octets))
            .map_or_else(Into::into, |()| PollingResponse::go_on()),
        Ask::Posted { sid, octets, body } => match known(sid) {
            Ok(conn) => posted(shard, conn, octets, body).await,
            Err(rejection) => rejection.into(),
        },
    }
}

/// Ends a session, of which something broke off on its way.
pub(super) fn break_off<S: Stream>(shard: &Rc<Shard<S>>, session: SessionName, what: Broken) {
    let SessionName { sid, revision } = session;
    if let Some(other) = shard.elsewhere(sid) {
        return shard.visit(other, Visit::BreakOff { session, what });
    }
    let Ok(conn) = shard.session(sid, revision) else { return };
    match what {
        Broken::Answer => {
            shard.core.handle(hub::Event::Gone { conn, reason: Reason::TransportError });
        }
        Broken::Post => {
            // Aborting is never refused.
            let _ = handle(shard, conn, Event::PostAborted, &mut None);
        }
    }
}

/// Begins a session; the answer holds the open packet.
async fn begin<S: Stream>(
    shard: &Rc<Shard<S>>,
    wire: Wire,
    address: Address,
    handshake: Option<Handshake>,
) -> PollingResponse {
    let seat = match Seat::take(&shard.core, address) {
        Ok(seat) => seat,
        Err(turned_away) => return Rejection::from(turned_away).into(),
    };
    // Before all else, so that nothing has begun if the client goes meanwhile.
    let permit = match shard.newborns.reserve().await {
        Ok(permit) if !shard.draining.get() => permit,
        Ok(_) | Err(_) => return Rejection::Status(503).into(),
    };
    let conn = shard.streams.borrow_mut().insert_polling(Polling::new(wire));
    let (revision, is_raw) = (wire.revision(), shard.io.is_raw());
    let opening = Opening { revision, may_upgrade: true, is_raw, address };
    let sid = shard.core.open(conn, opening, handshake, Waker::noop());
    shard.sids.borrow_mut().insert(sid, conn);
    permit.send(Newborn { conn, sid, seat });
    PollingResponse { began: Some(sid), ..get(shard, conn).await }
}

async fn get<S: Stream>(shard: &Rc<Shard<S>>, conn: ConnId) -> PollingResponse {
    if here(shard, conn, Polling::is_upgrading) {
        // The word that ends polling may have been sent before this request,
        // and be read after it: they came on two connections.
        tokio::time::sleep(OVERTAKEN_BY_MAX).await;
    }
    let (reply, answer) = oneshot::channel();
    if let Err(refusal) = handle(shard, conn, Event::Get, &mut Some(reply)) {
        return Rejection::from(refusal).into();
    }
    let aborting = Aborting { shard, conn, event: Event::GetAborted, is_over: false };
    take(answer, aborting).await
}

/// Whether a body may be posted.
fn post<S: Stream>(shard: &Rc<Shard<S>>, conn: ConnId, octets: bool) -> Result<(), Rejection> {
    handle(shard, conn, Event::Post, &mut None).map_err(Rejection::from)?;
    let revision = shard.streams.borrow_mut().polling(conn).map(|here| here.wire.revision());
    // Bytes are base64 in revision 4.
    if octets && revision == Some(Revision::V4) {
        // It is known to be illegal, and nobody reads on.
        let _ = handle(shard, conn, Event::PostIllegal, &mut None);
        return Err(Rejection::BadRequest);
    }
    Ok(())
}

/// Hands a body to the session's task and waits until it is handled.
async fn posted<S: Stream>(
    shard: &Rc<Shard<S>>,
    conn: ConnId,
    octets: bool,
    body: Vec<u8>,
) -> PollingResponse {
    if says_goodbye(&body) {
        // A poll that was sent before it may come after it, and is answered still.
        let overtaken = async {
            while here(shard, conn, |polling| polling.get.is_none()) {
                tokio::time::sleep(OVERTAKEN_STEP).await;
            }
        };
        let _ = tokio::time::timeout(OVERTAKEN_BY_MAX, overtaken).await;
    }
    let (reply, answer) = oneshot::channel();
    {
        let mut streams = shard.streams.borrow_mut();
        let Some(here) = streams.polling(conn) else { return Rejection::BadRequest.into() };
        let payload = Payload::new(here.wire.posted(octets), body);
        // Closed meanwhile, if it is not held any more.
        let Some(post) = &mut here.post else { return Rejection::UnknownSession.into() };
        (post.reply, post.payload) = (Some(reply), Some(payload));
        streams.wake(conn);
    }
    let aborting = Aborting { shard, conn, event: Event::PostAborted, is_over: false };
    take(answer, aborting).await
}

/// How much later a request may come than another that was sent after it: they
/// take two connections, and perhaps two shards.
const OVERTAKEN_BY_MAX: Duration = Duration::from_millis(20);
const OVERTAKEN_STEP: Duration = Duration::from_millis(2);

/// Whether the last packet of a body is a close packet, of either revision.
fn says_goodbye(body: &[u8]) -> bool {
    body == b"1" || body.ends_with(b"\x1e1") || body.ends_with(b"1:1")
}

/// Whether a polling session is there, and like this.
fn here<S: Stream>(shard: &Shard<S>, conn: ConnId, is_like: impl FnOnce(&Polling) -> bool) -> bool {
    shard.streams.borrow_mut().polling(conn).is_some_and(|polling| is_like(polling))
}

/// Waits for an answer; whoever stops waiting has gone.
async fn take<S: Stream>(
    answer: oneshot::Receiver<PollingResponse>,
    mut aborting: Aborting<'_, S>,
) -> PollingResponse {
    let response = answer.await.unwrap_or_else(|_| Rejection::UnknownSession.into());
    aborting.is_over = true;
    response
}

/// Tells the session, when dropped, that a request was broken off.
struct Aborting<'a, S: Stream> {
    shard: &'a Rc<Shard<S>>,
    conn: ConnId,
    event: Event<'static>,
    is_over: bool,
}

impl<S: Stream> Drop for Aborting<'_, S> {
    fn drop(&mut self) {
        if !self.is_over {
            // Aborting is never refused.
            let _ = handle(self.shard, self.conn, self.event, &mut None);
        }
    }
}

/// Applies one event to the session, and does all that it causes but what
/// concerns a probe that its task holds.
///
/// # Errors
///
/// The refusal of the request that the event is.
pub(super) fn handle<S: Stream>(
    shard: &Rc<Shard<S>>,
    conn: ConnId,
    event: Event<'_>,
    request: &mut Option<Reply>,
) -> Result<(), Refusal> {
    let (left, uncongested, probe) = {
        let mut streams = shard.streams.borrow_mut();
        let Some(polling) = streams.polling(conn) else {
            // It has become a WebSocket, or it is over.
            return Err(Refusal::BadRequest);
        };
        let left = polling.handle(event, request);
        let dropped = left.contains(&Action::DropProbe).then(|| polling.probe.take()).flatten();
        let uncongested = polling.queue.is_empty();
        if polling.is_closed() {
            streams.wake(conn);
        }
        (left, uncongested, dropped)
    };
    if uncongested {
        shard.core.set_congested(conn, false);
    }
    if let Some(probe) = probe {
        probe.close(shard);
    }
    let mut outcome = Ok(());
    for action in left {
        match action {
            Action::Ended(end) => {
                shard.core.handle(hub::Event::Gone { conn, reason: reason(end) });
            }
            Action::Refuse(refusal) => outcome = Err(refusal),
            Action::Adopt
            | Action::Answer(_)
            | Action::AnswerPost { .. }
            | Action::DropProbe
            | Action::HoldGet
            | Action::HoldPost
            | Action::HoldProbe
            | Action::RefuseProbe
            | Action::ReplyProbe => {}
        }
    }
    outcome
}

fn reason(end: End) -> Reason {
    match end {
        End::Broken => Reason::TransportError,
        End::Closed => Reason::TransportClose,
        End::Illegal => Reason::ParseError,
    }
}
