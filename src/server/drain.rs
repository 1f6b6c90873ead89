//! The end of a shard: its sessions are told to go, a few at a time.
//!
//! ```text
//!  shutdown   listener closed, new sessions refused (503)
//!     |
//!  window     one session after the other: handlers finish, what is pending
//!     |       is written, WebSocket closed (1001) or poll answered with `1`;
//!     |       all but its last 1.5 s, in which the last come back elsewhere
//!     |
//!  all told   until they have gone; other shards may need this one longer
//!     |
//!  the end    HTTP connections end with their answer; what is left is cut off
//! ```
//!
//! Only transports are closed, with no Socket.IO packet: a stock client takes
//! it for a broken connection, and comes back by itself.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::run_polling_session;
use super::departures::{Departures, telling};
use super::shard::{Newborn, Shard};
use crate::net::Stream;

/// How long the last answers may take, if all else has taken its time.
const LAST_ANSWERS_MAX: Duration = Duration::from_millis(100);

/// The tasks of a shard's connections, and the sessions that are to get one.
pub(super) struct Tasks {
    pub(super) connections: JoinSet<()>,
    newborns: mpsc::Receiver<Newborn>,
}

impl Tasks {
    pub(super) fn new(newborns: mpsc::Receiver<Newborn>) -> Self {
        Self { connections: JoinSet::new(), newborns }
    }

    /// Starts what is to be started, and sees what has ended; ready when nothing is left.
    pub(super) fn poll<S: Stream>(
        &mut self,
        shard: &Rc<Shard<S>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            // The ended come first, since they free memory.
            let ended = self.connections.poll_join_next(cx);
            let ended = ended.map(|ended| ended.map(report).is_none());
            match self.newborns.poll_recv(cx) {
                Poll::Ready(Some(newborn)) => {
                    let session = run_polling_session(Rc::clone(shard), newborn);
                    self.connections.spawn_local(session);
                }
                Poll::Ready(None) | Poll::Pending => match ended {
                    Poll::Ready(true) => return Poll::Ready(()),
                    Poll::Ready(false) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Starts and sees, for ever.
    pub(super) async fn run<S: Stream>(&mut self, shard: &Rc<Shard<S>>) {
        poll_fn(|cx| {
            let _ = self.poll(shard, cx);
            Poll::Pending
        })
        .await
    }

    /// Lets the tasks run until `done`.
    async fn run_until<S: Stream, T>(
        &mut self,
        shard: &Rc<Shard<S>>,
        mut done: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> T {
        poll_fn(|cx| {
            let _ = self.poll(shard, cx);
            done(cx)
        })
        .await
    }
}

pub(super) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked: this is a bug in the engine");
    }
}

/// Ends the shard, whose listener is closed already.
pub(super) async fn drain<S: Stream>(shard: &Rc<Shard<S>>, tasks: &mut Tasks) {
    shard.draining.set(true);
    let end = Instant::now() + shard.config.drain_window + shard.config.close_timeout;
    let sessions = async {
        tell_to_go(shard, tasks).await;
        tasks.run_until(shard, |_| ready(shard.sessions() == 0)).await;
        shard.core.finish();
        // Requests of other shards' clients may come on connections of this one.
        tasks.run_until(shard, |cx| shard.core.poll_finished(cx)).await;
    };
    if tokio::time::timeout_at(end, sessions).await.is_err() {
        tracing::warn!(sessions = shard.sessions(), "some did not go in time, and are cut off");
        shard.core.finish();
    }
    shard.stopping.send_replace(true);
    let end = end.max(Instant::now() + LAST_ANSWERS_MAX);
    let _ = tokio::time::timeout_at(end, poll_fn(|cx| tasks.poll(shard, cx))).await;
}

/// Tells everybody, one after the other, spread evenly over the first part of the window.
async fn tell_to_go<S: Stream>(shard: &Rc<Shard<S>>, tasks: &mut Tasks) {
    let sessions = shard.core.read(|hub| hub.connections());
    tracing::info!(shard = shard.core.place().shard.0, sessions = sessions.len(), "draining");
    let begin = Instant::now().into_std();
    let mut departures = Departures::new(sessions, begin, telling(shard.config.drain_window));
    while let Some(deadline) = departures.deadline() {
        let mut timer = pin!(tokio::time::sleep_until(Instant::from_std(deadline)));
        let all_gone = |cx: &mut Context<'_>| match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if shard.sessions() == 0 => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        };
        if tasks.run_until(shard, all_gone).await {
            return;
        }
        for &conn in departures.handle_timeout(Instant::now().into_std()) {
            shard.core.tell_to_go(conn);
        }
    }
}

fn ready(is_ready: bool) -> Poll<()> {
    if is_ready { Poll::Ready(()) } else { Poll::Pending }
}
