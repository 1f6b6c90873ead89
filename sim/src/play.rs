//! A client's host: carries what an [`Actor`] says over a real client connection,
//! at the moments that the plan names, and makes connections as long as the actor
//! wants one.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parlor::client::{
    Backoff, BackoffOptions, CloseReason, Connection, Event, HttpError, Join, Options, Outgoing,
    Random, Recovery, Scratch, Transport,
};
use parlor::net::Dialer;
use tokio::time::{Instant, sleep_until, timeout};

use crate::actor::{Actor, Ask, Emit};
use crate::net::{HostResult, SimNet};
use crate::plan::{self, Act, Client, Plan};
use crate::world::Quiet;

const NAMESPACE: &str = "/";

/// Something to do at a moment.
#[derive(Clone, Debug)]
enum Cue {
    Act(Act),
    /// Goes for good, in the manner that the client has.
    Part,
    Probe,
    Wish,
}

/// Plays one client until the world ends.
pub(crate) async fn run_client<N: SimNet>(
    plan: Rc<Plan>,
    client: Client,
    actor: Actor,
    quiet: Quiet,
) -> HostResult {
    let zero = Instant::now();
    let mut cues: VecDeque<(Instant, Cue)> = client
        .operations
        .iter()
        .map(|operation| {
            (zero + Duration::from_millis(operation.at_ms), Cue::Act(operation.act.clone()))
        })
        .collect();
    cues.push_back((zero + quiet.wish, Cue::Wish));
    cues.push_back((zero + quiet.probe, Cue::Probe));
    cues.push_back((zero + quiet.part, Cue::Part));
    let ms = Duration::from_millis;
    let seed = plan.network.seed ^ u64::from(client.id) << 32;
    let backoff = BackoffOptions {
        initial: ms(plan.reconnect.delay_min_ms),
        max: ms(plan.reconnect.delay_max_ms),
        ..BackoffOptions::default()
    };
    let options = Options {
        connect_timeout: ms(plan.reconnect.connect_timeout_ms),
        transport: match client.transport {
            plan::Transport::Polling => Transport::Polling,
            plan::Transport::Upgrade => Transport::PollingThenUpgrade,
            plan::Transport::WebSocket => Transport::WebSocket,
        },
        ..Options::default()
    };
    let mut player = Player {
        actor,
        cues,
        backoff: Backoff::new(backoff),
        random: Random::new(seed),
        options: Arc::new(options),
        scratch: Scratch::default(),
        dialer: N::dialer(plan.network.stream),
        recovers: client.recovers,
        recovery: None,
        has_faults: !plan.faults.is_empty(),
        manner: match client.id % 3 {
            0 => Act::Vanish,
            1 => Act::Disconnect,
            _ => Act::Drop,
        },
        lost: Vec::new(),
    };
    player.wait_until(zero + ms(client.start_ms)).await;
    player.run().await
}

struct Player<D: Dialer> {
    actor: Actor,
    /// What is still to be done, in the order of time.
    cues: VecDeque<(Instant, Cue)>,
    backoff: Backoff,
    random: Random,
    options: Arc<Options>,
    scratch: Scratch,
    dialer: D,
    /// Whether it asks for its session back.
    recovers: bool,
    /// What it was over its last connection, and how far it had come.
    recovery: Option<Recovery>,
    /// Whether the plan lets anything go wrong.
    has_faults: bool,
    /// How it goes in the end.
    manner: Act,
    /// Connections at whose end it is no more: open, and nobody reads or writes them.
    lost: Vec<Connection<D::Io>>,
}

/// How a connection came to its end.
enum End {
    /// It broke, or the server closed it, or an operation dropped it.
    Broken(CloseReason),
    /// An operation left politely.
    Left,
    /// An operation went away without closing anything.
    Vanished,
}

impl<D: Dialer> Player<D> {
    async fn run(&mut self) -> HostResult {
        loop {
            if !self.actor.wants_connection() {
                self.next_cue().await;
                continue;
            }
            let dialer = self.dialer.clone();
            let dial = timeout(self.options.connect_timeout, dialer.dial());
            if let Some(Ok(Ok(stream))) = self.meanwhile(dial).await {
                self.converse(stream).await;
            }
            if self.actor.wants_connection() {
                let delay = self.backoff.next_delay(&mut self.random);
                self.wait_until(Instant::now() + delay).await;
            }
        }
    }

    /// Speaks over one connection until it has ended.
    async fn converse(&mut self, stream: D::Io) {
        let recovery = self.recovery.take();
        let mut connection = Connection::new(
            stream,
            &self.dialer,
            Arc::clone(&self.options),
            [Join { recovery, ..Join::new(NAMESPACE) }],
            self.random.next_u64(),
            Instant::now().into_std(),
            self.scratch.clone(),
        );
        let mut asked = BTreeMap::new();
        let (mut is_upgrade_told, mut pongs) = (false, 0);
        let end = loop {
            let (actor, backoff) = (&mut self.actor, &mut self.backoff);
            let listen = poll_fn(|cx| {
                let now = Instant::now().into_std();
                let polled = connection.poll(cx, now, &mut |event, outgoing| {
                    handle(event, outgoing, actor, backoff, &mut asked);
                });
                if !is_upgrade_told && connection.session().phases().upgraded_at.is_some() {
                    is_upgrade_told = actor.handle_upgrade();
                }
                for _ in pongs..connection.session().pongs() {
                    actor.handle_ping();
                }
                pongs = connection.session().pongs();
                polled
            });
            let cue_at = self.cues.front().map(|(at, _)| *at);
            // What arrives goes first: an operation is of the moment after it.
            tokio::select! {
                biased;
                reason = listen => break End::Broken(reason),
                () = until(cue_at) => {}
            }
            let Some((_, mut cue)) = self.cues.pop_front() else { continue };
            if let Cue::Part = cue {
                self.actor.part();
                cue = Cue::Act(self.manner.clone());
            }
            match cue {
                Cue::Act(Act::Drop) => break End::Broken(CloseReason::Dropped),
                Cue::Act(Act::Disconnect) => break End::Left,
                Cue::Act(Act::Vanish) => break End::Vanished,
                Cue::Act(_) | Cue::Part | Cue::Probe | Cue::Wish => {
                    let emits = self.perform(cue);
                    connection.send(Instant::now().into_std(), |outgoing| {
                        say(emits, outgoing, &mut asked);
                    });
                }
            }
        };
        if self.recovers {
            self.recovery = connection.session().recovery(NAMESPACE).cloned();
        }
        self.end(end, connection);
    }

    fn end(&mut self, end: End, mut connection: Connection<D::Io>) {
        match end {
            End::Broken(reason) => {
                if self.is_expulsion(&reason) {
                    self.actor.handle_expulsion(&reason.to_string());
                }
                self.actor.handle_end(&reason.to_string());
            }
            End::Left => {
                self.actor.act(&Act::Disconnect);
                self.actor.handle_end("it left");
                connection.send(Instant::now().into_std(), |outgoing| outgoing.close());
                tokio::task::spawn_local(async move { connection.run(&mut |_, _| {}).await });
            }
            End::Vanished => {
                self.actor.handle_end("it vanished");
                self.lost.push(connection);
            }
        }
    }

    /// Whether only a server can be the cause of this end: the network loses, delays and
    /// closes, but it neither damages nor refuses, and our clients keep to the protocol.
    ///
    /// A server that has given up on a client says so to its next request, whoever's
    /// fault it was: that tells nothing if the network had faults.
    fn is_expulsion(&self, reason: &CloseReason) -> bool {
        /// RFC 6455, section 7.4.1: a purpose fulfilled, and an endpoint going away.
        const INNOCENT: [u16; 2] = [1000, 1001];
        let polls = self.options.transport != Transport::WebSocket;
        match reason {
            CloseReason::WebSocketClosed(code) => code.is_none_or(|code| !INNOCENT.contains(&code)),
            CloseReason::EngineClosed | CloseReason::Http(HttpError::Status(_)) if polls => {
                !self.has_faults
            }
            CloseReason::EngineClosed
            | CloseReason::Handshake(_)
            | CloseReason::Http(_)
            | CloseReason::Protocol(_)
            | CloseReason::Refused
            | CloseReason::ServerDisconnected => true,
            CloseReason::BacklogFull { .. }
            | CloseReason::Client
            | CloseReason::ConnectTimeout
            | CloseReason::Dial(_)
            | CloseReason::DialTimeout
            | CloseReason::Dropped
            | CloseReason::Eof
            | CloseReason::Io(_)
            | CloseReason::PingTimeout
            | _ => false,
        }
    }

    /// What the actor says at a cue.
    fn perform(&mut self, cue: Cue) -> Vec<Emit> {
        match cue {
            Cue::Act(act) => self.actor.act(&act).into_iter().collect(),
            Cue::Part => {
                self.actor.part();
                Vec::new()
            }
            Cue::Probe => self.actor.probe(),
            Cue::Wish => {
                self.actor.wish();
                Vec::new()
            }
        }
    }

    /// Waits for something while there is no connection. None if an operation made the
    /// actor give up on being connected.
    async fn meanwhile<T>(&mut self, wanted: impl Future<Output = T>) -> Option<T> {
        let mut wanted = std::pin::pin!(wanted);
        loop {
            let cue_at = self.cues.front().map(|(at, _)| *at);
            tokio::select! {
                biased;
                () = until(cue_at) => self.miss_cue(),
                done = &mut wanted => return Some(done),
            }
            if !self.actor.wants_connection() {
                return None;
            }
        }
    }

    async fn wait_until(&mut self, at: Instant) {
        self.meanwhile(sleep_until(at)).await;
    }

    async fn next_cue(&mut self) {
        until(self.cues.front().map(|(at, _)| *at)).await;
        self.miss_cue();
    }

    /// A cue without a connection: wishes are remembered, nothing is said.
    fn miss_cue(&mut self) {
        if let Some((_, cue)) = self.cues.pop_front() {
            let said = self.perform(cue);
            debug_assert!(said.is_empty(), "nothing is said without a connection");
        }
    }
}

/// Waits for a moment, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn handle(
    event: Event<'_>,
    outgoing: &mut Outgoing<'_>,
    actor: &mut Actor,
    backoff: &mut Backoff,
    asked: &mut BTreeMap<u64, Ask>,
) {
    match event {
        Event::Ack { id, args, .. } => {
            // A second answer to one question answers none.
            if let Some(ask) = asked.remove(&id) {
                actor.handle_ack(ask, &args);
            } else {
                actor.handle_event(&args);
            }
        }
        Event::Connected { sid, .. } if !actor.is_greeted() => {
            backoff.reset();
            let emits = actor.handle_connect(sid);
            say(emits, outgoing, asked);
        }
        Event::Event { args, .. } if actor.is_greeted() && args.event() == "hello" => {
            backoff.reset();
            let emits = actor.handle_hello(&args);
            say(emits, outgoing, asked);
        }
        Event::Event { args, .. } => actor.handle_event(&args),
        Event::Connected { sid, recovered: true, .. } => {
            backoff.reset();
            let emits = actor.handle_return(sid);
            say(emits, outgoing, asked);
        }
        Event::Connected { recovered: false, .. }
        | Event::Disconnected { .. }
        | Event::Opened { .. }
        | Event::Refused { .. } => {}
    }
}

/// Says it, and remembers which answer belongs to what. A connection that has just
/// ended takes nothing; that shows at its next poll.
fn say(emits: Vec<Emit>, outgoing: &mut Outgoing<'_>, asked: &mut BTreeMap<u64, Ask>) {
    for Emit { json, attachments, asks } in emits {
        match asks {
            None => {
                let _ = outgoing.emit(NAMESPACE, &json, &attachments);
            }
            Some(ask) => {
                if let Ok(id) = outgoing.emit_with_ack(NAMESPACE, &json, &attachments) {
                    asked.insert(id, ask);
                }
            }
        }
    }
}
