//! A client's host: carries what an [`Actor`] says over a real client connection,
//! at the moments that the plan names, and makes connections as long as the actor
//! wants one.

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
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
use crate::cancelled::{CancellableStream, Cancelled, CancellingDialer};
use crate::eavesdropper::Eavesdropper;
use crate::half_open::{HalfOpenDialer, HalfOpenStream};
use crate::history::LEFT_NAMESPACE;
use crate::net::{HostResult, SimNet};
use crate::plan::{self, Act, Client, Plan};
use crate::quiet::{Phase, Quiet, Who};
use crate::shaped::Pace;
use crate::stage::Stage;

/// Something to do at a moment.
#[derive(Clone, Debug)]
enum Cue {
    /// Of the client in this seat.
    Act(usize, Act),
    /// Another phase has begun.
    Phase(Phase),
}

/// Plays a client, and those who share its connection, until the world ends.
pub(crate) async fn run_client<N: SimNet>(
    plan: Rc<Plan>,
    client: Client,
    pace: Pace,
    stage: Rc<Stage>,
    quiet: Rc<Quiet>,
) -> HostResult {
    let zero = Instant::now();
    let guests = plan.clients.iter().filter(|guest| guest.over == Some(client.id));
    let party: Vec<&Client> = std::iter::once(&client).chain(guests).collect();
    let acts = acts(&party, zero);
    let seat = |member: &&Client| Seat {
        actor: Actor::new(Rc::clone(&plan), member, Rc::clone(&stage)),
        who: Who::Client(member.id),
        namespace: member.namespace.path(),
        recovers: member.recovers,
        recovery: None,
        is_upgrade_told: false,
        greeted_by: None,
        is_in_step: true,
    };
    let seats = party.iter().map(seat).collect();
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
    let moments = plan.polls_cancelled_ms(client.id).map(|at_ms| zero + ms(at_ms)).collect();
    let dialer = CancellingDialer::new(N::dialer(plan.network.stream, pace), moments);
    let dialer = HalfOpenDialer::new(dialer, client.half_open);
    let manner = match client.id % 3 {
        0 => Act::Vanish,
        1 => Act::Disconnect,
        _ => Act::Drop,
    };
    let mut player = Player {
        seats,
        plan,
        stage,
        acts,
        known: Phase::Acting,
        quiet,
        backoff: Backoff::new(backoff),
        random: Random::new(seed),
        options: Arc::new(options),
        scratch: Scratch::default(),
        dialer,
        client,
        manner,
        lost: Vec::new(),
        cancelled: Cancelled::default(),
    };
    player.wait_until(zero + ms(player.client.start_ms)).await;
    player.run().await
}

/// What those of a connection do, each in its seat, in the order of time.
fn acts(party: &[&Client], zero: Instant) -> VecDeque<(Instant, usize, Act)> {
    let mut acts = Vec::new();
    for (seat, member) in party.iter().enumerate() {
        if seat > 0 {
            acts.push((zero + ms(member.start_ms), seat, Act::Reconnect));
        }
        let operations = member.operations.iter();
        acts.extend(operations.map(|it| (zero + ms(it.at_ms), seat, it.act.clone())));
    }
    acts.sort_by_key(|(at, _, _)| *at);
    acts.into()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Player<D: Dialer> {
    /// Whose connection it is, then who shares it.
    seats: Vec<Seat>,
    /// Whose connection it is, as the plan has it.
    client: Client,
    plan: Rc<Plan>,
    stage: Rc<Stage>,
    /// What is still to be done, in the order of time.
    acts: VecDeque<(Instant, usize, Act)>,
    /// The phase that it knows of.
    known: Phase,
    quiet: Rc<Quiet>,
    backoff: Backoff,
    random: Random,
    options: Arc<Options>,
    scratch: Scratch,
    dialer: HalfOpenDialer<CancellingDialer<D>>,
    /// How many of its polls, as far as it was written down.
    cancelled: Cancelled,
    /// How it goes in the end.
    manner: Act,
    /// Connections at whose end it is no more: open, and nobody reads or writes them.
    lost: Vec<Link<D>>,
}

/// A client at a connection, in a namespace of its own.
struct Seat {
    actor: Actor,
    who: Who,
    namespace: &'static str,
    /// Whether it asks for its session back.
    recovers: bool,
    /// What it was over its last connection, and how far it had come.
    recovery: Option<Recovery>,
    is_upgrade_told: bool,
    /// By when it wants to be greeted; where events are dropped, that may be lost.
    greeted_by: Option<Instant>,
    /// Whether its heartbeat is that of a connection that nothing has disturbed.
    is_in_step: bool,
}

/// A stream whose polls may be cancelled, and whose upgrade may stay half open.
type Strained<D> = HalfOpenStream<CancellableStream<<D as Dialer>::Io>>;

/// A connection over such streams.
type Link<D> = Connection<Strained<D>>;

/// What was asked over a connection and is not answered yet, by whom.
type Asked = BTreeMap<u64, (usize, Ask)>;

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
            self.note_all(|actor| !actor.wants_connection());
            if !self.wants_connection() {
                let cue = self.next_cue().await;
                self.miss(cue);
                continue;
            }
            let dialer = self.dialer.clone();
            let dial = timeout(self.options.connect_timeout, dialer.dial());
            if let Some(Ok(Ok(stream))) = self.meanwhile(dial).await {
                self.converse(stream).await;
            }
            if self.wants_connection() {
                let delay = self.backoff.next_delay(&mut self.random);
                self.wait_until(Instant::now() + delay).await;
            }
        }
    }

    fn wants_connection(&self) -> bool {
        self.seats.iter().any(|seat| seat.actor.wants_connection())
    }

    /// Speaks over one connection until it has ended.
    async fn converse(&mut self, stream: Strained<D>) {
        let mut connection = self.connect(stream);
        let mut asked = Asked::new();
        let (mut pongs, mut kept) = (0, self.dialer.kept());
        let end = loop {
            let cue = cue(&mut self.acts, &self.quiet, self.seats[0].who, self.known);
            let (seats, backoff) = (&mut self.seats, &mut self.backoff);
            let (quiet, known, dialer) = (&self.quiet, self.known, &self.dialer);
            let cancelled = &mut self.cancelled;
            let patience = patience_of(seats);
            let listen = poll_fn(|cx| {
                let now = Instant::now().into_std();
                let polled = connection.poll(cx, now, &mut |event, outgoing| {
                    handle(event, outgoing, seats, backoff, &mut asked);
                });
                if dialer.kept() > kept && seats[0].actor.handle_half_open() {
                    kept = dialer.kept();
                }
                cancelled.tell(dialer.inner().cancelled(), &seats[0].actor);
                let session = connection.session();
                for (index, seat) in seats.iter_mut().enumerate() {
                    if !seat.is_upgrade_told && session.phases().upgraded_at.is_some() {
                        seat.is_upgrade_told = seat.actor.handle_upgrade();
                    }
                    for _ in pongs..session.pongs() {
                        seat.actor.handle_ping();
                        seat.is_in_step = true;
                    }
                    if quiet.phase() == known {
                        quiet.note(seat.who, seat.is_at_rest(index, &asked));
                    }
                }
                pongs = session.pongs();
                polled
            });
            // What arrives goes first: an operation is of the moment after it.
            let cue = tokio::select! {
                biased;
                reason = listen => break End::Broken(reason),
                cue = cue => cue,
                () = until(patience) => {
                    if patience_of(&self.seats) == patience {
                        break End::Broken(CloseReason::ConnectTimeout);
                    }
                    continue;
                }
            };
            if let Some(end) = self.follow(cue, &mut connection, &mut asked) {
                break end;
            }
        };
        for seat in self.seats.iter_mut().filter(|seat| seat.recovers) {
            if let Some(recovery) = connection.session().recovery(seat.namespace) {
                seat.recovery = Some(recovery.clone());
            }
        }
        self.end(end, connection);
    }

    /// By when a namespace that is asked for now has to greet.
    fn greeted_by(&self) -> Option<Instant> {
        let drops = self.plan.server.outbound.is_some_and(|bounds| bounds.policy.drops());
        drops.then(|| Instant::now() + self.options.connect_timeout)
    }

    /// A connection that begins with the namespaces that are wanted.
    fn connect(&mut self, stream: Strained<D>) -> Link<D> {
        let greeted_by = self.greeted_by();
        let wanting = self.seats.iter_mut().filter(|seat| seat.actor.wants_connection());
        let joins: Vec<Join> = wanting.map(|seat| seat.join(greeted_by)).collect();
        for seat in &mut self.seats {
            (seat.is_upgrade_told, seat.is_in_step) = (false, true);
        }
        Connection::new(
            stream,
            &self.dialer,
            Arc::clone(&self.options),
            joins,
            self.random.next_u64(),
            Instant::now().into_std(),
            self.scratch.clone(),
        )
        .with_tap(Box::new(Eavesdropper::new(&self.client, &self.plan, &self.stage)))
    }

    /// Does what there is to do over a living connection; its end, if that ends it.
    fn follow(&mut self, mut cue: Cue, connection: &mut Link<D>, asked: &mut Asked) -> Option<End> {
        let now = Instant::now().into_std();
        if let Cue::Phase(Phase::Parting) = cue {
            self.perform(cue);
            cue = Cue::Act(0, self.manner.clone());
        }
        match cue {
            Cue::Act(_, Act::Drop) => return Some(End::Broken(CloseReason::Dropped)),
            Cue::Act(_, Act::Vanish) => return Some(End::Vanished),
            Cue::Act(index, Act::Disconnect) => {
                self.seats[index].actor.act(&Act::Disconnect);
                if !self.wants_connection() {
                    return Some(End::Left);
                }
                let seat = &mut self.seats[index];
                seat.actor.handle_end(LEFT_NAMESPACE);
                seat.is_upgrade_told = false;
                asked.retain(|_, (of, _)| *of != index);
                connection.send(now, |outgoing| outgoing.disconnect(seat.namespace));
            }
            Cue::Act(index, Act::Reconnect) => {
                let greeted_by = self.greeted_by();
                let seat = &mut self.seats[index];
                seat.actor.act(&Act::Reconnect);
                connection.send(now, |outgoing| outgoing.connect(seat.join(greeted_by)));
            }
            Cue::Act(..) | Cue::Phase(_) => {
                let said = self.perform(cue);
                connection.send(now, |outgoing| {
                    for (index, emits) in said {
                        say(emits, index, self.seats[index].namespace, outgoing, asked);
                    }
                });
            }
        }
        None
    }

    fn end(&mut self, end: End, mut connection: Link<D>) {
        self.note_all(|_| false);
        if let End::Broken(reason) = &end
            && self.is_expulsion(reason)
        {
            self.seats[0].actor.handle_expulsion(&reason.to_string());
        }
        let why = match &end {
            End::Broken(reason) => reason.to_string(),
            End::Left => "it left".to_owned(),
            End::Vanished => "it vanished".to_owned(),
        };
        for seat in &mut self.seats {
            seat.actor.handle_end(&why);
        }
        match end {
            End::Broken(_) => {}
            End::Left => {
                connection.send(Instant::now().into_std(), |outgoing| outgoing.close());
                tokio::task::spawn_local(async move { connection.run(&mut |_, _| {}).await });
            }
            End::Vanished => self.lost.push(connection),
        }
    }

    /// Whether only a server can be the cause of this end: the network loses, delays and
    /// closes, but it neither damages nor refuses, and our clients keep to the protocol.
    ///
    /// A server that has given up on a client says so to its next request, whoever's
    /// fault it was: that tells nothing if there were faults.
    fn is_expulsion(&self, reason: &CloseReason) -> bool {
        /// RFC 6455, section 7.4.1: a purpose fulfilled, and an endpoint going away.
        const INNOCENT: [u16; 2] = [1000, 1001];
        let polls = self.options.transport != Transport::WebSocket;
        match reason {
            CloseReason::WebSocketClosed(code) => code.is_none_or(|code| !INNOCENT.contains(&code)),
            CloseReason::EngineClosed | CloseReason::Http(HttpError::Status(_)) if polls => {
                !self.plan.disturbs()
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

    /// What the actors say at a cue, by their seats.
    fn perform(&mut self, cue: Cue) -> Vec<(usize, Vec<Emit>)> {
        let phase = match cue {
            Cue::Act(index, act) => {
                let said = self.seats[index].actor.act(&act);
                return vec![(index, said.into_iter().collect())];
            }
            Cue::Phase(phase) => phase,
        };
        self.known = phase;
        let is_hurried = self.quiet.is_hurried();
        if phase == Phase::Healing && self.plan.disturbs() {
            self.seats.iter_mut().for_each(|seat| seat.is_in_step = false);
        }
        let actors = self.seats.iter_mut().map(|seat| &mut seat.actor);
        actors.map(|actor| begin(actor, phase, is_hurried)).enumerate().collect()
    }

    /// Says of each client whether it has come to the end of the phase, if it knows of it.
    fn note_all(&self, is_done: impl Fn(&Actor) -> bool) {
        if self.quiet.phase() == self.known {
            for seat in &self.seats {
                self.quiet.note(seat.who, is_done(&seat.actor));
            }
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
            if !self.wants_connection() {
                return None;
            }
        }
    }

    async fn wait_until(&mut self, at: Instant) {
        self.meanwhile(sleep_until(at)).await;
    }

    async fn next_cue(&mut self) -> Cue {
        cue(&mut self.acts, &self.quiet, self.seats[0].who, self.known).await
    }

    /// A cue without a connection: wishes are remembered, nothing is said.
    fn miss(&mut self, cue: Cue) {
        let said = self.perform(cue);
        let is_silent = said.iter().all(|(_, emits)| emits.is_empty());
        debug_assert!(is_silent, "nothing is said without a connection");
    }
}

impl Seat {
    /// Asks to be let into its namespace, as who it was if it can.
    fn join(&mut self, greeted_by: Option<Instant>) -> Join {
        self.greeted_by = greeted_by;
        Join { recovery: self.recovery.take(), ..Join::new(self.namespace) }
    }

    /// Whether it has all that it wants, for now.
    fn is_at_rest(&self, index: usize, asked: &Asked) -> bool {
        let is_answered = || asked.values().all(|(of, _)| *of != index);
        !self.actor.wants_connection()
            || self.actor.is_connected() && self.is_in_step && is_answered()
    }
}

/// What an actor says when a phase begins.
fn begin(actor: &mut Actor, phase: Phase, is_hurried: bool) -> Vec<Emit> {
    match phase {
        Phase::Healing if is_hurried => actor.reassure().into_iter().collect(),
        Phase::Wishing => {
            actor.wish();
            Vec::new()
        }
        Phase::Probing => actor.probe(),
        Phase::Parting => {
            actor.part();
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

/// When one of these has waited for its greeting for as long as it wants to.
fn patience_of(seats: &[Seat]) -> Option<Instant> {
    let waiting = seats.iter().filter(|seat| {
        seat.actor.wants_connection() && seat.actor.is_greeted() && !seat.actor.is_connected()
    });
    waiting.filter_map(|seat| seat.greeted_by).min()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Waits for the next thing to do: all acts come before the phases that follow them.
async fn cue(
    acts: &mut VecDeque<(Instant, usize, Act)>,
    quiet: &Quiet,
    who: Who,
    known: Phase,
) -> Cue {
    if let Some((at, _, _)) = acts.front() {
        sleep_until(*at).await;
        let (_, seat, act) = acts.pop_front().expect("it is there");
        return Cue::Act(seat, act);
    }
    quiet.change(who, known).await;
    Cue::Phase(quiet.phase())
}

fn handle(
    event: Event<'_>,
    outgoing: &mut Outgoing<'_>,
    seats: &mut [Seat],
    backoff: &mut Backoff,
    asked: &mut Asked,
) {
    let (Event::Ack { namespace, .. }
    | Event::Connected { namespace, .. }
    | Event::Disconnected { namespace }
    | Event::Event { namespace, .. }
    | Event::Refused { namespace, .. }) = event
    else {
        return;
    };
    let is_shared = seats.len() > 1;
    let seat = seats.iter().position(|seat| seat.namespace == namespace);
    let index = seat.expect("a session tells of namespaces that it has joined");
    let Seat { actor, namespace, .. } = &mut seats[index];
    let emits = match event {
        Event::Ack { id, args, .. } => {
            // A second answer to one question answers none, nor does one to another's.
            let is_its = asked.get(&id).is_some_and(|(of, _)| *of == index);
            match asked.remove(&id).filter(|_| is_its) {
                Some((_, ask)) => actor.handle_ack(ask, &args),
                None => actor.handle_event(&args),
            }
            return;
        }
        Event::Connected { sid, .. } if !actor.is_greeted() => {
            backoff.reset();
            actor.handle_connect(sid)
        }
        Event::Event { args, .. } if actor.is_greeted() && args.event() == "hello" => {
            backoff.reset();
            actor.handle_hello(&args)
        }
        Event::Event { args, .. } => return actor.handle_event(&args),
        Event::Connected { sid, recovered: true, .. } => {
            backoff.reset();
            actor.handle_return(sid)
        }
        // Of the last namespace, this ends the connection, and is told by that.
        Event::Disconnected { .. } | Event::Refused { .. } if is_shared => {
            actor.handle_expulsion(&format!("it was put out of {namespace}"));
            return actor.handle_end("it was put out");
        }
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::Opened { .. }
        | Event::Refused { .. } => return,
    };
    say(emits, index, namespace, outgoing, asked);
}

/// Says it, and remembers which answer belongs to what. A connection that has just
/// ended takes nothing; that shows at its next poll.
fn say(
    emits: Vec<Emit>,
    seat: usize,
    namespace: &str,
    outgoing: &mut Outgoing<'_>,
    asked: &mut Asked,
) {
    for Emit { json, attachments, asks } in emits {
        match asks {
            None => {
                let _ = outgoing.emit(namespace, &json, &attachments);
            }
            Some(ask) => {
                if let Ok(id) = outgoing.emit_with_ack(namespace, &json, &attachments) {
                    asked.insert(id, (seat, ask));
                }
            }
        }
    }
}
