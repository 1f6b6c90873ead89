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
use crate::quiet::{Phase, Quiet, Who};

const NAMESPACE: &str = "/";

/// Something to do at a moment.
#[derive(Clone, Debug)]
enum Cue {
    Act(Act),
    /// Another phase has begun.
    Phase(Phase),
}

/// Plays one client until the world ends.
pub(crate) async fn run_client<N: SimNet>(
    plan: Rc<Plan>,
    client: Client,
    actor: Actor,
    quiet: Rc<Quiet>,
) -> HostResult {
    let zero = Instant::now();
    let ms = Duration::from_millis;
    let operations = client.operations.iter();
    let acts = operations.map(|it| (zero + ms(it.at_ms), it.act.clone())).collect();
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
        acts,
        who: Who::Client(client.id),
        known: Phase::Acting,
        quiet,
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
    acts: VecDeque<(Instant, Act)>,
    who: Who,
    /// The phase that it knows of.
    known: Phase,
    quiet: Rc<Quiet>,
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
            self.note(!self.actor.wants_connection());
            if !self.actor.wants_connection() {
                let cue = self.next_cue().await;
                self.miss(cue);
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
            let cue = cue(&mut self.acts, &self.quiet, self.who, self.known);
            let (actor, backoff) = (&mut self.actor, &mut self.backoff);
            let (quiet, who, known) = (&self.quiet, self.who, self.known);
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
                if quiet.phase() == known {
                    quiet.note(who, actor.is_connected() && asked.is_empty());
                }
                polled
            });
            // What arrives goes first: an operation is of the moment after it.
            let mut cue = tokio::select! {
                biased;
                reason = listen => break End::Broken(reason),
                cue = cue => cue,
            };
            if let Cue::Phase(Phase::Parting) = cue {
                self.known = Phase::Parting;
                self.actor.part();
                cue = Cue::Act(self.manner.clone());
            }
            match cue {
                Cue::Act(Act::Drop) => break End::Broken(CloseReason::Dropped),
                Cue::Act(Act::Disconnect) => break End::Left,
                Cue::Act(Act::Vanish) => break End::Vanished,
                Cue::Act(_) | Cue::Phase(_) => {
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
        self.note(false);
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
        let phase = match cue {
            Cue::Act(act) => return self.actor.act(&act).into_iter().collect(),
            Cue::Phase(phase) => phase,
        };
        self.known = phase;
        match phase {
            Phase::Healing if self.quiet.is_hurried() => {
                self.actor.reassure().into_iter().collect()
            }
            Phase::Wishing => {
                self.actor.wish();
                Vec::new()
            }
            Phase::Probing => self.actor.probe(),
            Phase::Parting => {
                self.actor.part();
                Vec::new()
            }
            Phase::Acting
            | Phase::Healing
            | Phase::Called
            | Phase::Settled
            | Phase::Counting
            | Phase::Over => Vec::new(),
        }
    }

    /// Says whether it has come to the end of the phase, if it knows of it.
    fn note(&self, is_done: bool) {
        if self.quiet.phase() == self.known {
            self.quiet.note(self.who, is_done);
        }
    }

    /// Waits for something while there is no connection. None if an operation made the
    /// actor give up on being connected.
    async fn meanwhile<T>(&mut self, wanted: impl Future<Output = T>) -> Option<T> {
        let mut wanted = std::pin::pin!(wanted);
        loop {
            let cue = tokio::select! {
                biased;
                cue = self.next_cue() => cue,
                done = &mut wanted => return Some(done),
            };
            self.miss(cue);
            if !self.actor.wants_connection() {
                return None;
            }
        }
    }

    async fn wait_until(&mut self, at: Instant) {
        self.meanwhile(sleep_until(at)).await;
    }

    async fn next_cue(&mut self) -> Cue {
        cue(&mut self.acts, &self.quiet, self.who, self.known).await
    }

    /// A cue without a connection: wishes are remembered, nothing is said.
    fn miss(&mut self, cue: Cue) {
        let said = self.perform(cue);
        debug_assert!(said.is_empty(), "nothing is said without a connection");
    }
}

/// Waits for the next thing to do: all acts come before the phases that follow them.
async fn cue(acts: &mut VecDeque<(Instant, Act)>, quiet: &Quiet, who: Who, known: Phase) -> Cue {
    if let Some((at, _)) = acts.front() {
        sleep_until(*at).await;
        let (_, act) = acts.pop_front().expect("it is there");
        return Cue::Act(act);
    }
    quiet.change(who, known).await;
    Cue::Phase(quiet.phase())
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
