//! Commands to a running client, from other tasks of its thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

use crate::socketio::Args;

use super::Join;

/// The most commands that may wait for the client's task to run.
pub const COMMANDS_MAX: usize = 1024;

/// The most acks that may be awaited.
pub const ACKS_MAX: usize = 1024;

/// Commands a client that [`Client::run`](super::Client::run) drives.
///
/// A command is carried out when that task runs next, in the order given. A clone
/// commands the same client. Without any handle a client goes on, but ends where it
/// would have to be told to connect again.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Rc<Shared>);

/// A command that was not accepted; nothing was sent, nothing will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// As many commands or acks are waiting as may.
    #[error("too many commands or acks are waiting")]
    Full,
    /// The namespace is not connected.
    #[error("namespace is not connected")]
    NotConnected,
    /// The client has ended, or is about to.
    #[error("client has ended")]
    Over,
}

/// Why there is no answer to an event. Whether the server has handled it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// The connection ended, or the namespace was left, before the answer.
    #[error("disconnected before the answer")]
    Disconnected,
    /// The answer has not come in time.
    #[error("no answer in time")]
    Timeout,
}

/// An answer that is awaited.
#[derive(Debug)]
pub struct PendingAck {
    answer: oneshot::Receiver<Args<'static>>,
    until: Instant,
}

impl PendingAck {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`AckError`] if there will be none, or none in time.
    pub async fn answer(self) -> Result<Args<'static>, AckError> {
        match time::timeout_at(self.until, self.answer).await {
            Ok(Ok(args)) => Ok(args),
            Ok(Err(_)) => Err(AckError::Disconnected),
            Err(_) => Err(AckError::Timeout),
        }
    }
}

impl Handle {
    /// Leaves all namespaces, closes the connection gracefully, and ends the client.
    pub fn close(&self) {
        self.0.change(|state| state.is_closing = true);
    }

    /// Joins a namespace, now or with the next connection. A client that waits to be
    /// told so connects.
    ///
    /// # Errors
    ///
    /// [`CommandError::Full`] or [`CommandError::Over`].
    pub fn connect(&self, join: Join) -> Result<(), CommandError> {
        self.0.push(Command::Connect(join))
    }

    /// Leaves a namespace, also for connections to come. Leaving the last one closes the
    /// connection; the client then waits for [`connect`](Self::connect) or
    /// [`reconnect`](Self::reconnect).
    ///
    /// # Errors
    ///
    /// [`CommandError::Full`] or [`CommandError::Over`].
    pub fn disconnect(&self, namespace: &str) -> Result<(), CommandError> {
        self.0.push(Command::Disconnect(namespace.into()))?;
        self.0.change(|state| state.retain_connected(|name| name != namespace));
        Ok(())
    }

    /// Drops the connection without a word, as a cut cable would, and with it the commands
    /// that still wait. The client comes back as after any loss.
    pub fn drop_connection(&self) {
        self.0.abort(Abort::BackOff);
    }

    /// Emits an event; see [`Outgoing`](super::Outgoing) for its arguments.
    ///
    /// # Errors
    ///
    /// [`CommandError`]. If the connection ends before this command's turn, the event is
    /// lost as it would be on its way.
    pub fn emit(
        &self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
    ) -> Result<(), CommandError> {
        self.0.emit(namespace, json, attachments, None)
    }

    /// Emits an event, and gives the answer that may take as long as `timeout` from now.
    ///
    /// # Errors
    ///
    /// [`CommandError`], as with [`emit`](Self::emit).
    pub fn emit_with_ack(
        &self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
        timeout: Duration,
    ) -> Result<PendingAck, CommandError> {
        let (sender, answer) = oneshot::channel();
        self.0.emit(namespace, json, attachments, Some(sender))?;
        Ok(PendingAck { answer, until: Instant::now() + timeout })
    }

    /// Whether something can be emitted to this namespace.
    pub fn is_connected(&self, namespace: &str) -> bool {
        self.0.state.borrow().is_connected(namespace)
    }

    /// Connects at once, to all namespaces of the beginning and those joined since. A
    /// connection that stands is dropped without a word; a wait is cut short.
    pub fn reconnect(&self) {
        self.0.abort(Abort::AtOnce);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Without a handle nobody could end a wait for one.
        self.0.change(|_| {});
    }
}

/// What handles and the client they command have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    commands: VecDeque<Command>,
    abort: Option<Abort>,
    is_closing: bool,
    is_over: bool,
    connected: Vec<Arc<str>>,
    acks: BTreeMap<u64, (Box<str>, AckSender)>,
    client: Option<Waker>,
}

pub(super) type AckSender = oneshot::Sender<Args<'static>>;

#[derive(Debug)]
pub(super) enum Command {
    Connect(Join),
    Disconnect(Box<str>),
    Emit { namespace: Box<str>, json: Box<str>, attachments: Vec<Bytes>, ack: Option<AckSender> },
}

/// An end of the connection without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    AtOnce,
    BackOff,
}

/// What a client must do next.
#[derive(Debug)]
pub(super) enum Order {
    Abort(Abort),
    Close,
    Command(Command),
}

impl Shared {
    /// The next order. Close comes after all commands, and again and again.
    pub(super) fn poll_order(&self, cx: &Context<'_>) -> Poll<Order> {
        let mut state = self.state.borrow_mut();
        state.client = Some(cx.waker().clone());
        if let Some(abort) = state.abort.take() {
            return Poll::Ready(Order::Abort(abort));
        }
        if let Some(command) = state.commands.pop_front() {
            return Poll::Ready(Order::Command(command));
        }
        if state.is_closing {
            return Poll::Ready(Order::Close);
        }
        Poll::Pending
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.borrow().is_closing
    }

    /// A namespace is connected.
    pub(super) fn enter(&self, namespace: &str) {
        self.state.borrow_mut().connected.push(namespace.into());
    }

    /// Only namespaces that `is_connected` still are.
    pub(super) fn retain_connected(&self, is_connected: impl Fn(&str) -> bool) {
        self.state.borrow_mut().retain_connected(is_connected);
    }

    /// This sender waits for the answer of this id, unless it cannot come any more.
    pub(super) fn expect_ack(&self, id: u64, namespace: Box<str>, sender: AckSender) {
        let mut state = self.state.borrow_mut();
        if state.is_connected(&namespace) {
            state.acks.insert(id, (namespace, sender));
        }
    }

    /// Who waits for the answer of this id.
    pub(super) fn take_ack(&self, id: u64) -> Option<AckSender> {
        self.state.borrow_mut().acks.remove(&id).map(|(_, sender)| sender)
    }

    /// The connection has ended: what was to go over it is lost.
    pub(super) fn lose_connection(&self) {
        self.state.borrow_mut().lose_connection();
    }

    /// The client has ended.
    pub(super) fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.lose_connection();
        state.commands.clear();
        state.is_over = true;
    }

    fn emit(
        &self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
        ack: Option<AckSender>,
    ) -> Result<(), CommandError> {
        {
            let mut state = self.state.borrow_mut();
            if !state.is_connected(namespace) {
                return Err(if state.is_over {
                    CommandError::Over
                } else {
                    CommandError::NotConnected
                });
            }
            if ack.is_some() && state.acks.len() >= ACKS_MAX {
                state.acks.retain(|_, (_, sender)| !sender.is_closed());
                if state.acks.len() >= ACKS_MAX {
                    return Err(CommandError::Full);
                }
            }
        }
        let (namespace, json, attachments) = (namespace.into(), json.into(), attachments.to_vec());
        self.push(Command::Emit { namespace, json, attachments, ack })
    }

    fn push(&self, command: Command) -> Result<(), CommandError> {
        self.change(|state| {
            if state.is_over || state.is_closing {
                return Err(CommandError::Over);
            }
            if state.commands.len() == COMMANDS_MAX {
                return Err(CommandError::Full);
            }
            state.commands.push_back(command);
            Ok(())
        })
    }

    fn abort(&self, abort: Abort) {
        self.change(|state| {
            state.abort = Some(abort);
            state.lose_connection();
        });
    }

    /// Changes the state, and has the client look at it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let changed = change(&mut state);
        let client = state.client.take();
        drop(state);
        if let Some(client) = client {
            client.wake();
        }
        changed
    }
}

impl State {
    fn is_connected(&self, namespace: &str) -> bool {
        self.connected.iter().any(|name| &**name == namespace)
    }

    /// Drops also the acks awaited in a namespace that is not connected any more.
    fn retain_connected(&mut self, is_connected: impl Fn(&str) -> bool) {
        let before = self.connected.len();
        self.connected.retain(|name| is_connected(name));
        if self.connected.len() < before {
            self.acks.retain(|_, (namespace, _)| is_connected(namespace));
        }
    }

    fn lose_connection(&mut self) {
        self.connected.clear();
        self.acks.clear();
    }
}
