//! Requests for sessions of another shard.
//!
//! A client that polls sends each request on whichever connection it likes, and
//! the kernel deals connections to shards as it likes; the session's id says
//! where the session is. A request travels there and its answer back, as data.
//! A WebSocket that is to go on with a session moves there for good, stream and
//! all: from then on it costs nothing to be one's own shard's.
//!
//! ```text
//!  GET, POST --> this shard --Poll--> session's shard --answer--> this shard --> client
//!  WebSocket --> this shard --Check-> session's shard --yes--> 101 --Probe, the stream-->
//! ```

use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::connection::welcome_probe;
use super::polling::{
    Broken, PollingRequest, PollingResponse, SessionName, break_off, serve_polling,
};
use super::rejection::Rejection;
use super::shard::Shard;
use crate::engineio::Revision;
use crate::net::Stream;
use crate::room::{ShardId, Sid};

/// What one shard asks of another, on behalf of a client.
pub(super) enum Visit<S: Stream> {
    /// Something of a session did not come whole.
    BreakOff { session: SessionName, what: Broken },
    /// Is there such a session?
    Check { sid: Sid, revision: Option<Revision>, reply: oneshot::Sender<Result<(), Rejection>> },
    /// A poll or a POST.
    Poll { request: PollingRequest, reply: oneshot::Sender<PollingResponse> },
    /// A WebSocket, its handshake done, that is to go on with a session.
    Probe {
        sid: Sid,
        revision: Revision,
        /// Whether its messages may be compressed.
        deflate: bool,
        stream: S::Detached,
        unread: Vec<u8>,
    },
}

impl<S: Stream> Shard<S> {
    /// The shard that a session is on, if that is another one.
    pub(super) fn elsewhere(&self, sid: Sid) -> Option<ShardId> {
        let shard = sid.shard();
        (shard != self.core.place().shard && shard.0 < self.core.place().shards).then_some(shard)
    }

    /// Whether there is such a session, here or on the shard that its id names.
    pub(super) async fn has_session(
        &self,
        sid: Sid,
        revision: Option<Revision>,
    ) -> Result<(), Rejection> {
        let Some(shard) = self.elsewhere(sid) else {
            return self.session(sid, revision).map(|_| ());
        };
        let (reply, answer) = oneshot::channel();
        self.visit(shard, Visit::Check { sid, revision, reply });
        answer.await.unwrap_or(Err(Rejection::UnknownSession))
    }

    /// Has a request served by another shard.
    pub(super) async fn poll_elsewhere(
        &self,
        shard: ShardId,
        request: PollingRequest,
    ) -> PollingResponse {
        let (reply, answer) = oneshot::channel();
        self.visit(shard, Visit::Poll { request, reply });
        // The other shard has ended, and its sessions with it.
        answer.await.unwrap_or_else(|_| Rejection::UnknownSession.into())
    }

    pub(super) fn visit(&self, shard: ShardId, visit: Visit<S>) {
        let bytes = match &visit {
            Visit::Poll { request, .. } => request.body_bytes(),
            Visit::BreakOff { .. } | Visit::Check { .. } | Visit::Probe { .. } => 0,
        };
        self.core.send_parcel(shard, Box::new(visit), bytes);
    }
}

/// Begins what other shards have asked for; each is a task of `visits`.
pub(super) fn receive_visits<S: Stream>(shard: &Rc<Shard<S>>, visits: &mut JoinSet<()>) {
    while let Some(parcel) = shard.core.next_parcel() {
        let visit = parcel.downcast::<Visit<S>>().expect("shards send each other only this");
        match *visit {
            Visit::BreakOff { session, what } => break_off(shard, session, what),
            Visit::Check { sid, revision, reply } => {
                // Who asked may have gone.
                let _ = reply.send(shard.session(sid, revision).map(|_| ()));
            }
            Visit::Poll { request, reply } => {
                visits.spawn_local(serve_visitor(Rc::clone(shard), request, reply));
            }
            Visit::Probe { sid, revision, deflate, stream, unread } => {
                let shard = Rc::clone(shard);
                visits.spawn_local(async move {
                    // A stream that can not be attached is closed.
                    if let Ok(stream) = S::attach(stream) {
                        welcome_probe(&shard, sid, revision, deflate, stream, unread).await;
                    }
                });
            }
        }
    }
}

/// Serves a request, unless whoever made it goes before the answer.
async fn serve_visitor<S: Stream>(
    shard: Rc<Shard<S>>,
    request: PollingRequest,
    mut reply: oneshot::Sender<PollingResponse>,
) {
    let session = request.session();
    // Who has gone hears no answer: what was begun for it is broken off.
    let unheard = tokio::select! {
        biased;
        () = reply.closed() => None,
        response = serve_polling(&shard, request) => reply.send(response).err(),
    };
    if unheard.is_some_and(|response| response.has_messages())
        && let Some(session) = session
    {
        break_off(&shard, session, Broken::Answer);
    }
}
