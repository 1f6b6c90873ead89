//! The way in for the rest of a program: other threads, tasks of any runtime.
//!
//! An [`Io`](super::Io) and all that handlers get live on their shard's thread
//! and can not leave it. A [`Handle`] can. What it is told goes through one
//! bounded channel to the shard that it came from, which does it as a handler
//! would; from there on the namespace's order is the same for everybody.
//!
//! # Guarantees
//!
//! * What one handle (and its clones, one after the other) says takes effect in
//!   the order in which the calls returned.
//! * It waits for room or says that there is none; nothing piles up.
//! * Once the server has ended, every call says so, also one that waits.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::args::{ToArgs, event_json};
use super::emit::{Emitter, Unanswered};
use super::unpanicked::unpanicked;
use crate::hub::Found;
use crate::room::Sid;
use crate::shard::Core;
use crate::socketio::Args;

/// Calls of a shard's handles that may wait to be done.
pub const HANDLE_CALLS_MAX: usize = 1024;

/// Calls whose answers may be awaited at a time; no others are done meanwhile.
pub const HANDLE_ANSWERS_MAX: usize = 1024;

/// Something to be done on the shard; what it still waits for then, if anything.
type Job = Box<dyn FnOnce(&Rc<Core>) -> Option<Wait> + Send>;
type Wait = Pin<Box<dyn Future<Output = ()>>>;

/// The server as the rest of the program has it; made by [`Io::handle`](super::Io::handle).
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
}

/// Why a call by a [`Handle`] was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandleError {
    /// As many calls wait as may: try again later, or await the call.
    #[error("{HANDLE_CALLS_MAX} calls wait already")]
    Full,
    /// The server has ended, or does so before it was done.
    #[error("the server has ended")]
    Ended,
    /// It was done, but not every socket has answered.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// Some of a namespace's sockets, as [`Emitter`] has them, for any thread.
///
/// In a namespace that does not exist (any more) there is nobody.
#[derive(Clone, Debug)]
#[must_use = "nothing is done before `emit` or another verb"]
pub struct HandleEmitter {
    jobs: mpsc::Sender<Job>,
    whom: Whom,
}

#[derive(Clone, Debug)]
struct Whom {
    namespace: Box<str>,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    volatile: bool,
    timeout: Option<Duration>,
}

/// One socket, wherever it is connected, as it was when it was fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSocket(Found);

impl Handle {
    /// The namespace of that name, as whole as without a room.
    pub fn of(&self, namespace: &str) -> HandleEmitter {
        let (rooms, except) = (Vec::new(), Vec::new());
        let namespace = namespace.into();
        let whom = Whom { namespace, rooms, except, volatile: false, timeout: None };
        HandleEmitter { jobs: self.jobs.clone(), whom }
    }
}

impl HandleEmitter {
    /// Those in `room` too.
    pub fn to(mut self, room: &str) -> Self {
        self.whom.rooms.push(room.into());
        self
    }

    /// Not those in `room`.
    pub fn except(mut self, room: &str) -> Self {
        self.whom.except.push(room.into());
        self
    }

    /// May be dropped for who can not take it at once; never reordered or doubled.
    pub fn volatile(mut self) -> Self {
        self.whom.volatile = true;
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits for answers.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.whom.timeout = Some(timeout);
        self
    }

    /// Sends an event.
    ///
    /// # Errors
    ///
    /// [`HandleError::Ended`].
    ///
    /// # Panics
    ///
    /// If the name is one of [`RESERVED_EVENTS`](crate::socketio::RESERVED_EVENTS).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is sent. This holds for all calls here.
    pub async fn emit(self, event: &str, args: impl ToArgs) -> Result<(), HandleError> {
        let (json, attachments) = (event_json(event, &args), args.attachments().to_vec());
        self.post(move |emitter| emitter.emit_json(&json, &attachments)).await
    }

    /// Sends an event, if that needs no waiting: also for code that can not await.
    ///
    /// # Errors
    ///
    /// [`HandleError::Full`] and [`HandleError::Ended`].
    ///
    /// # Panics
    ///
    /// As [`emit`](Self::emit).
    pub fn try_emit(self, event: &str, args: impl ToArgs) -> Result<(), HandleError> {
        let (json, attachments) = (event_json(event, &args), args.attachments().to_vec());
        let job = self.whom.job(move |emitter| emitter.emit_json(&json, &attachments));
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => HandleError::Ended,
            mpsc::error::TrySendError::Full(_) => HandleError::Full,
        })
    }

    /// Sends an event that each socket is to answer; resolves to all answers,
    /// in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`HandleError::Unanswered`], as [`Emitter::emit_with_ack`] has it, and
    /// [`HandleError::Ended`].
    pub async fn emit_with_ack(
        self,
        event: &str,
        args: impl ToArgs,
    ) -> Result<Vec<Args<'static>>, HandleError> {
        let (json, attachments): (_, Vec<Bytes>) =
            (event_json(event, &args), args.attachments().to_vec());
        let ask = move |emitter: Emitter| emitter.ask(&json, &attachments);
        self.ask(ask, Ok(Vec::new())).await?.map_err(HandleError::Unanswered)
    }

    /// Who these sockets are, at one moment between the call and the answer.
    ///
    /// # Errors
    ///
    /// [`HandleError::Ended`].
    pub async fn fetch_sockets(self) -> Result<Vec<FoundSocket>, HandleError> {
        let found = self.ask(|emitter: Emitter| emitter.find(), Vec::new()).await?;
        Ok(found.into_iter().map(FoundSocket).collect())
    }

    /// Puts these sockets into `room`; who is in too many rooms already stays out.
    ///
    /// # Errors
    ///
    /// [`HandleError::Ended`].
    pub async fn sockets_join(self, room: &str) -> Result<(), HandleError> {
        let room: Box<str> = room.into();
        self.post(move |emitter| emitter.sockets_join(&room)).await
    }

    /// Takes these sockets out of `room`.
    ///
    /// # Errors
    ///
    /// [`HandleError::Ended`].
    pub async fn sockets_leave(self, room: &str) -> Result<(), HandleError> {
        let room: Box<str> = room.into();
        self.post(move |emitter| emitter.sockets_leave(&room)).await
    }

    /// Ends these sockets; with `close` their connections and other namespaces too.
    ///
    /// # Errors
    ///
    /// [`HandleError::Ended`].
    pub async fn disconnect_sockets(self, close: bool) -> Result<(), HandleError> {
        self.post(move |emitter| emitter.disconnect_sockets(close)).await
    }

    async fn post(self, act: impl FnOnce(Emitter) + Send + 'static) -> Result<(), HandleError> {
        let job = self.whom.job(act);
        self.jobs.send(job).await.map_err(|_| HandleError::Ended)
    }

    /// Asks at once when its turn comes, and waits there for the answer.
    async fn ask<T: Send + 'static, W: Future<Output = T> + 'static>(
        self,
        begin: impl FnOnce(Emitter) -> W + Send + 'static,
        of_nobody: T,
    ) -> Result<T, HandleError> {
        let (answer, answered) = oneshot::channel();
        let whom = self.whom;
        let job: Job = Box::new(move |core| {
            let Some(emitter) = whom.emitter(core) else {
                // Whoever has given up does not mind.
                let _ = answer.send(of_nobody);
                return None;
            };
            let waiting = begin(emitter);
            Some(Box::pin(deliver(waiting, answer)))
        });
        self.jobs.send(job).await.map_err(|_| HandleError::Ended)?;
        answered.await.map_err(|_| HandleError::Ended)
    }
}

/// Waits for as long as somebody else does.
async fn deliver<T>(waiting: impl Future<Output = T>, mut answer: oneshot::Sender<T>) {
    let outcome = tokio::select! {
        // An answer that is there is given.
        biased;
        outcome = waiting => Some(outcome),
        () = answer.closed() => None,
    };
    if let Some(outcome) = outcome {
        // Given up in this moment.
        let _ = answer.send(outcome);
    }
}

impl Whom {
    fn job(self, act: impl FnOnce(Emitter) + Send + 'static) -> Job {
        Box::new(move |core| {
            if let Some(emitter) = self.emitter(core) {
                act(emitter);
            }
            None
        })
    }

    /// None if there is no such namespace.
    fn emitter(&self, core: &Rc<Core>) -> Option<Emitter> {
        let namespace = core.read(|hub| hub.namespace(&self.namespace))?;
        let emitter = Emitter::new(Rc::clone(core), namespace, None);
        let emitter = self.rooms.iter().fold(emitter, |emitter, room| emitter.to(room));
        let emitter = self.except.iter().fold(emitter, |emitter, room| emitter.except(room));
        let emitter = if self.volatile { emitter.volatile() } else { emitter };
        Some(match self.timeout {
            Some(timeout) => emitter.timeout(timeout),
            None => emitter,
        })
    }
}

impl FoundSocket {
    /// Its Socket.IO id, which is also a room that it alone is in.
    pub fn id(&self) -> Sid {
        self.0.sid
    }

    /// The rooms it was in, without the one of its own id.
    pub fn rooms(&self) -> &[Box<str>] {
        &self.0.rooms
    }

    /// What the application kept with it.
    pub fn data(&self) -> &Value {
        &self.0.data
    }
}

/// Where the calls of a shard's handles come out.
#[derive(Debug)]
pub(crate) struct Calls(mpsc::Receiver<Job>);

pub(super) fn handle() -> (Handle, Calls) {
    let (jobs, calls) = mpsc::channel(HANDLE_CALLS_MAX);
    (Handle { jobs }, Calls(calls))
}

/// Does what handles say, in their order, until nobody has one.
pub(crate) async fn run_calls(core: Rc<Core>, mut calls: Calls) {
    let mut answers = JoinSet::new();
    loop {
        // The ended make room for the new.
        tokio::select! {
            biased;
            Some(_) = answers.join_next() => {}
            job = calls.0.recv(), if answers.len() < HANDLE_ANSWERS_MAX => match job {
                Some(job) => {
                    // The application's listeners hear what is emitted, and may panic.
                    let what = "a listener panicked at what a handle emitted";
                    if let Some(wait) = unpanicked(what, || job(&core)).flatten() {
                        answers.spawn_local(wait);
                    }
                }
                None => break,
            },
        }
    }
    while answers.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn as_many_calls_wait_as_may_and_the_next_waits_for_room() {
        let (handle, mut calls) = handle();
        for _ in 0..HANDLE_CALLS_MAX {
            assert_eq!(handle.of("/").try_emit("a", ()), Ok(()));
        }
        assert_eq!(handle.of("/").try_emit("a", ()), Err(HandleError::Full));
        let mut waiting = pin!(handle.of("/").emit("a", ()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(calls.0.try_recv().unwrap());
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn who_waits_for_room_is_told_of_the_end() {
        let (handle, calls) = handle();
        while handle.of("/").try_emit("a", ()).is_ok() {}
        let mut waiting = pin!(handle.of("/").fetch_sockets());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(calls);
        let told = waiting.as_mut().poll(&mut cx).map(|told| told.unwrap_err());
        assert_eq!(told, std::task::Poll::Ready(HandleError::Ended));
        assert_eq!(handle.of("/").try_emit("a", ()), Err(HandleError::Ended));
    }
}
