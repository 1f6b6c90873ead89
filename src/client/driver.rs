//! A client that comes back: it dials, runs a connection, and after a loss backs off
//! and dials again, until it is told to stop. Where a server keeps the state of lost
//! connections, it asks for its own back.
//!
//! ```text
//!            +--------------- back-off <-------------+
//!            v                                       | lost
//! ------> dialing ---------------> connected --------+
//!            ^                                       | closed on purpose
//!            +---- connect, reconnect <--- waiting <-+
//! ```

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::net::Dialer;

use super::handle::{Abort, Command, Handle, Order, Shared};
use super::{
    Backoff, BackoffOptions, CloseReason, Connection, Event, Join, Options, Outgoing, Random,
    Scratch,
};

/// What a client is told that keeps itself connected.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// What its connections have in common.
    pub session: Arc<Options>,
    /// The namespaces of the beginning.
    pub joins: Vec<Join>,
    /// How long opening a stream may take.
    pub dial_timeout: Duration,
    /// How long to wait after a loss; without, a loss is waited out as a close is.
    pub backoff: Option<BackoffOptions>,
    /// Keys, masks and jitter follow from it.
    pub seed: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            session: Arc::default(),
            joins: vec![Join::new("/")],
            dial_timeout: Duration::from_secs(20),
            backoff: Some(BackoffOptions::default()),
            seed: 0,
        }
    }
}

/// What a client tells its owner, in the order in which it happens.
#[derive(Debug)]
pub enum Notice<'n, 'o> {
    /// A connection ended, or an attempt at one.
    Closed {
        /// Why.
        reason: &'n CloseReason,
        /// When the client will try again; if never, it has ended or waits for a
        /// command.
        retry_after: Option<Duration>,
    },
    /// An event of the connection that stands.
    Session {
        /// What happened.
        event: Event<'n>,
        /// For an answer.
        outgoing: &'n mut Outgoing<'o>,
    },
}

/// Hears the notices of a client.
pub type NoticeHandler<'h> = dyn FnMut(Notice<'_, '_>) + 'h;

/// A client that is not running yet, or in [`run`](Self::run).
#[derive(Debug)]
pub struct Client<D> {
    dialer: D,
    session: Arc<Options>,
    /// Each namespace known, and whether it is wanted.
    joins: Vec<(Join, bool)>,
    dial_timeout: Duration,
    backoff: Option<Backoff>,
    random: Random,
    scratch: Scratch,
    shared: Rc<Shared>,
}

impl<D: Dialer> Client<D> {
    /// A client, and a first handle to it.
    ///
    /// # Panics
    ///
    /// As [`Backoff::new`].
    pub fn new(dialer: D, options: ClientOptions, scratch: Scratch) -> (Self, Handle) {
        let shared = Rc::new(Shared::default());
        let client = Self {
            dialer,
            session: options.session,
            joins: options.joins.into_iter().map(|join| (join, true)).collect(),
            dial_timeout: options.dial_timeout,
            backoff: options.backoff.map(Backoff::new),
            random: Random::new(options.seed),
            scratch,
            shared: Rc::clone(&shared),
        };
        (client, Handle(shared))
    }

    /// Connects, and stays connected until it is told to stop. Gives the reason of the
    /// last end.
    ///
    /// # Cancel safety
    ///
    /// To drop the future drops the stream without a word, and ends the client: handles
    /// say so then.
    pub async fn run(mut self, handler: &mut NoticeHandler<'_>) -> CloseReason {
        loop {
            let (reason, abort) = self.run_once(handler).await;
            self.shared.lose_connection();
            let retry_after = self.retry_after(&reason, abort);
            handler(Notice::Closed { reason: &reason, retry_after });
            if self.wait(retry_after).await.is_break() {
                return reason;
            }
        }
    }

    /// One attempt, and if it succeeds, one connection.
    async fn run_once(&mut self, handler: &mut NoticeHandler<'_>) -> (CloseReason, Option<Abort>) {
        let stream = tokio::select! {
            // An order comes first: what it ends is not to be begun.
            biased;
            abort = poll_fn(|cx| poll_offline(&self.shared, &mut self.joins, cx)) => {
                return match abort {
                    Some(abort) => (CloseReason::Dropped, Some(abort)),
                    None => (CloseReason::Client, None),
                };
            }
            dialed = time::timeout(self.dial_timeout, self.dialer.dial()) => match dialed {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return (CloseReason::Dial(error.kind()), None),
                Err(_) => return (CloseReason::DialTimeout, None),
            }
        };
        let wanted = self.joins.iter().filter(|(_, is_wanted)| *is_wanted);
        let wanted: Vec<_> = wanted.map(|(join, _)| join.clone()).collect();
        if wanted.is_empty() {
            return (CloseReason::Client, None);
        }
        let connection = Connection::new(
            stream,
            &self.dialer,
            Arc::clone(&self.session),
            wanted,
            self.random.next_u64(),
            Instant::now().into_std(),
            self.scratch.clone(),
        );
        self.run_connection(connection, handler).await
    }

    async fn run_connection(
        &mut self,
        mut connection: Connection<D::Io>,
        handler: &mut NoticeHandler<'_>,
    ) -> (CloseReason, Option<Abort>) {
        let Self { shared, joins, backoff, .. } = self;
        let mut is_closing = false;
        let end = poll_fn(|cx| {
            let now = Instant::now().into_std();
            while let Poll::Ready(order) = shared.poll_order(cx) {
                match order {
                    Order::Abort(abort) => {
                        return Poll::Ready((CloseReason::Dropped, Some(abort)));
                    }
                    Order::Close if is_closing => break,
                    Order::Close => {
                        is_closing = true;
                        connection.send(now, |outgoing| outgoing.close());
                    }
                    Order::Command(command) => {
                        connection
                            .send(now, |outgoing| carry_out(command, outgoing, shared, joins));
                    }
                }
            }
            let mut hear = |event: Event<'_>, outgoing: &mut Outgoing<'_>| {
                if let (Event::Opened { .. }, Some(backoff)) = (&event, backoff.as_mut()) {
                    backoff.reset();
                }
                hear(event, outgoing, shared, joins, handler);
            };
            connection.poll(cx, now, &mut hear).map(|reason| (reason, None))
        })
        .await;
        for (join, _) in &mut self.joins {
            join.recovery = connection.session().recovery(&join.namespace).cloned();
        }
        end
    }

    /// How long to wait after this end; `None` if for a command.
    fn retry_after(&mut self, reason: &CloseReason, abort: Option<Abort>) -> Option<Duration> {
        if self.shared.is_closing() {
            return None;
        }
        match (abort, &mut self.backoff) {
            (Some(Abort::AtOnce), _) => {
                want_all(&mut self.joins);
                Some(Duration::ZERO)
            }
            (Some(Abort::BackOff) | None, Some(backoff)) if !reason.is_final() => {
                Some(backoff.next_delay(&mut self.random))
            }
            (Some(Abort::BackOff) | None, _) => None,
        }
    }

    /// Waits that long, or for a command to connect; breaks on one to stop.
    async fn wait(&mut self, retry_after: Option<Duration>) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        let until = retry_after.map(|delay| Instant::now() + delay);
        loop {
            tokio::select! {
                // As above: an order to stop goes before a wait that is over.
                biased;
                order = poll_fn(|cx| self.poll_waiting(until.is_none(), cx)) => match order {
                    None | Some(Order::Close) => return Break(()),
                    Some(Order::Abort(Abort::BackOff)) => {}
                    Some(Order::Abort(Abort::AtOnce)) => {
                        want_all(&mut self.joins);
                        return Continue(());
                    }
                    Some(Order::Command(command)) => {
                        let is_connect = matches!(command, Command::Connect(_));
                        note(command, &mut self.joins);
                        if is_connect && until.is_none() {
                            return Continue(());
                        }
                    }
                },
                () = sleep_until(until) => return Continue(()),
            }
        }
    }

    /// The next order; `None` if there can be none, and nothing else to wait for.
    fn poll_waiting(&self, is_idle: bool, cx: &Context<'_>) -> Poll<Option<Order>> {
        match self.shared.poll_order(cx) {
            Poll::Ready(order) => Poll::Ready(Some(order)),
            Poll::Pending if is_idle && Rc::strong_count(&self.shared) == 1 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<D> Drop for Client<D> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// Notes commands while there is no connection; ready on an order to stop the attempt:
/// `None` for good.
fn poll_offline(
    shared: &Shared,
    joins: &mut Vec<(Join, bool)>,
    cx: &Context<'_>,
) -> Poll<Option<Abort>> {
    loop {
        match std::task::ready!(shared.poll_order(cx)) {
            Order::Abort(abort) => return Poll::Ready(Some(abort)),
            Order::Close => return Poll::Ready(None),
            Order::Command(command) => note(command, joins),
        }
    }
}

/// Hands on what happened, after keeping the books.
fn hear(
    event: Event<'_>,
    outgoing: &mut Outgoing<'_>,
    shared: &Shared,
    joins: &mut [(Join, bool)],
    handler: &mut NoticeHandler<'_>,
) {
    match &event {
        Event::Ack { id, args, .. } => {
            if let Some(sender) = shared.take_ack(*id) {
                // Who has given up waiting does not want to know.
                let _ = sender.send(args.clone().into_owned());
                return;
            }
        }
        Event::Connected { namespace, .. } => shared.enter(namespace),
        Event::Disconnected { namespace } | Event::Refused { namespace, .. } => {
            want(joins, namespace, false);
        }
        Event::Event { .. } | Event::Opened { .. } => {}
    }
    shared.retain_connected(|namespace| outgoing.is_connected(namespace));
    handler(Notice::Session { event, outgoing: &mut *outgoing });
    shared.retain_connected(|namespace| outgoing.is_connected(namespace));
}

fn carry_out(
    command: Command,
    outgoing: &mut Outgoing<'_>,
    shared: &Shared,
    joins: &mut Vec<(Join, bool)>,
) {
    match command {
        Command::Connect(join) => {
            outgoing.connect(join.clone());
            note(Command::Connect(join), joins);
        }
        Command::Disconnect(namespace) => {
            outgoing.disconnect(&namespace);
            want(joins, &namespace, false);
        }
        Command::Emit { namespace, json, attachments, ack: Some(sender) } => {
            if let Ok(id) = outgoing.emit_with_ack(&namespace, &json, &attachments) {
                shared.expect_ack(id, namespace, sender);
            }
        }
        Command::Emit { namespace, json, attachments, ack: None } => {
            // Not connected any more: lost, as it would be on its way.
            let _ = outgoing.emit(&namespace, &json, &attachments);
        }
    }
}

/// Remembers a command for the next connection.
fn note(command: Command, joins: &mut Vec<(Join, bool)>) {
    match command {
        Command::Connect(join) => {
            joins.retain(|(known, _)| known.namespace != join.namespace);
            joins.push((join, true));
        }
        Command::Disconnect(namespace) => want(joins, &namespace, false),
        Command::Emit { .. } => {}
    }
}

fn want(joins: &mut [(Join, bool)], namespace: &str, wanted: bool) {
    for (_, is_wanted) in joins.iter_mut().filter(|(join, _)| &*join.namespace == namespace) {
        *is_wanted = wanted;
    }
}

fn want_all(joins: &mut [(Join, bool)]) {
    for (_, is_wanted) in joins {
        *is_wanted = true;
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
