//! The end of every run, in phases: everybody comes back, says a probe, and goes.
//!
//! ```text
//!  0        plan's duration   <= heal time   <= settle time   <= part time
//!  |-- acting --|-- healing --|-- probing --|---- parting ----|
//!               Healed        Probe         Settled           Gone
//! ```
//!
//! The plan says how long each phase may last: that is what is promised. A plan that is
//! `hurried` goes on as soon as the phase has come to its end: nothing more is learned
//! from an idle network, and simulating one takes longer than all that went before. The
//! phase has come to its end
//!
//! * healing, when every client that wants to be connected has had the answer to an echo
//!   asked since then, over the connection that it has, and to all else that it asked; has
//!   been pinged since then, so that neither side's patience has been used up before; and
//!   would have heard by now if the server had given up on it meanwhile, or for want of a ping
//!   that is late behind all that was said;
//! * probing, when every probe has been acked and heard by all, and then nothing has
//!   happened for longer than anything takes that is on its way;
//! * parting, when the server has held nothing for as long.
//!
//! A goal that is not reached takes as long as was promised, and is then judged.

use std::cell::{Cell, RefCell};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::timeout;

use crate::history::{Event, History, Mark, MessageId};
use crate::plan::Plan;
use crate::stage::{Stage, micros};

/// What part of a run it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Clients act, and faults strike.
    #[default]
    Acting,
    /// Nothing is wrong any more; clients come back.
    Healing,
    /// They write down what they want.
    Wishing,
    /// All must be back.
    Called,
    /// They say their probes.
    Probing,
    /// All that was said has arrived.
    Settled,
    /// They go.
    Parting,
    /// The server says what it still holds.
    Counting,
    /// The run is over.
    Over,
}

/// Who waits for a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Client(u32),
    Server,
}

/// Which phase it is, for all hosts of a world, and whether they have come to its end.
#[derive(Debug)]
pub(crate) struct Quiet {
    phase: Cell<Phase>,
    is_hurried: bool,
    /// For how long nothing has happened when nothing is on its way any more.
    calm: Duration,
    /// Woken in this order.
    waiting: RefCell<BTreeMap<Who, Waker>>,
    /// Who has not come to the phase's end.
    busy: RefCell<BTreeSet<Who>>,
    hosts: BTreeSet<Who>,
}

impl Quiet {
    pub(crate) fn new(plan: &Plan) -> Rc<Self> {
        let clients = plan.clients.iter().map(|client| Who::Client(client.id));
        Rc::new(Self {
            phase: Cell::default(),
            is_hurried: plan.hurried,
            calm: Duration::from_millis(plan.silence_ms()),
            waiting: RefCell::default(),
            busy: RefCell::default(),
            hosts: clients.chain([Who::Server]).collect(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether a phase ends before its time, if it can.
    pub(crate) fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    /// Waits until it is another phase than `known`; at most one future for each host.
    pub(crate) fn change(&self, who: Who, known: Phase) -> impl Future<Output = ()> + '_ {
        poll_fn(move |cx| {
            if self.phase.get() != known {
                return Poll::Ready(());
            }
            match self.waiting.borrow_mut().entry(who) {
                Entry::Occupied(mut waker) => waker.get_mut().clone_from(cx.waker()),
                Entry::Vacant(place) => drop(place.insert(cx.waker().clone())),
            }
            Poll::Pending
        })
    }

    /// A host that knows which phase it is says whether it has come to its end.
    pub(crate) fn note(&self, who: Who, is_done: bool) {
        let mut busy = self.busy.borrow_mut();
        if is_done {
            busy.remove(&who);
        } else {
            busy.insert(who);
        }
    }

    fn are_done(&self, hosts: impl Fn(Who) -> bool) -> bool {
        !self.busy.borrow().iter().any(|&who| hosts(who))
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.busy.borrow_mut().clone_from(&self.hosts);
        for (_, waker) in std::mem::take(&mut *self.waiting.borrow_mut()) {
            waker.wake();
        }
    }
}

/// Writes down what the server holds when everybody has gone, by what `held` finds; and says
/// so as soon as that has been nothing for a while: what one part of a server has let go of may
/// be on its way to another, which still holds it.
pub(crate) async fn census(
    held: impl AsyncFn() -> Vec<(String, u64)>,
    quiet: Rc<Quiet>,
    stage: Rc<Stage>,
) {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let mut known = Phase::Acting;
    let mut empty_since = None;
    while known < Phase::Counting {
        if known == Phase::Parting && quiet.is_hurried {
            let is_empty = held().await.is_empty();
            let now = stage.elapsed();
            empty_since = is_empty.then(|| empty_since.unwrap_or(now));
            let is_done = empty_since.is_some_and(|since| now > since + quiet.calm);
            quiet.note(Who::Server, is_done);
            if timeout(LOOK_EVERY, quiet.change(Who::Server, known)).await.is_err() {
                continue;
            }
        } else {
            quiet.change(Who::Server, known).await;
        }
        known = quiet.phase();
    }
    stage.record(Event::Census { held: held().await });
    pending().await
}

/// Leads a world through its phases.
pub(crate) struct Course {
    quiet: Rc<Quiet>,
    /// When this phase began.
    since: Duration,
    /// The longest that it may last.
    most: Duration,
    tick: Duration,
    healing: Duration,
    probing: Duration,
    parting: Duration,
    /// For how long all are at the end of healing before it is one.
    rest: Duration,
    /// When the last fault was over.
    healed_at: Duration,
    /// Since when all clients have come to the end of the phase.
    done_since: Option<Duration>,
    echoes: Echoes,
}

impl Course {
    pub(crate) fn new(plan: &Plan, quiet: Rc<Quiet>) -> Self {
        let ms = Duration::from_millis;
        Self {
            quiet,
            since: Duration::ZERO,
            most: ms(plan.duration_ms),
            tick: ms(plan.network.tick_ms),
            healing: ms(plan.heal_ms()),
            probing: ms(plan.settle_ms()),
            parting: ms(plan.part_ms()),
            rest: ms(plan.rest_ms()),
            healed_at: Duration::ZERO,
            done_since: None,
            echoes: Echoes::default(),
        }
    }

    /// The longest that the whole run may last.
    pub(crate) fn longest(&self) -> Duration {
        // Four short phases, of four steps at most, and a step for each change.
        self.most + self.healing + self.probing + self.parting + 32 * self.tick
    }

    /// Until when [`advance`](Self::advance) does nothing, if no host does anything before.
    pub(crate) fn next(&self) -> Duration {
        let latest = self.since + self.most;
        self.soonest().map_or(latest, |soonest| soonest.min(latest))
    }

    /// After when this phase has come to its end, if no host does anything any more.
    fn soonest(&self) -> Option<Duration> {
        let over = |since: Duration, calm: Duration| since.max(self.since) + calm;
        let soonest = match self.quiet.phase() {
            Phase::Acting
            | Phase::Wishing
            | Phase::Called
            | Phase::Settled
            | Phase::Counting
            | Phase::Over => None,
            Phase::Healing => self.done_since.map(|since| over(since, self.rest)),
            Phase::Probing => {
                let are_heard = self.echoes.awaited.is_empty() && self.done_since.is_some();
                let news = Duration::from_micros(self.echoes.news_us);
                are_heard.then(|| over(news, self.quiet.calm))
            }
            Phase::Parting => self.quiet.are_done(|who| who == Who::Server).then_some(self.since),
        };
        soonest.filter(|_| self.quiet.is_hurried)
    }

    /// Goes on to the next phase if it is time for it, and writes down the mark that has
    /// been reached; says whether the run is over.
    pub(crate) fn advance(&mut self, now: Duration, stage: &Stage) -> bool {
        stage.read(|history| self.echoes.read(history));
        let are_done = self.quiet.are_done(|who| who != Who::Server);
        self.done_since = are_done.then(|| self.done_since.unwrap_or(now));
        let has_ended =
            now >= self.since + self.most || self.soonest().is_some_and(|soonest| now > soonest);
        if !has_ended {
            return false;
        }
        let ticks = |count: u32| count * self.tick;
        // Steps apart, so that the order of hosts within a step does not matter.
        let (next, most, mark) = match self.quiet.phase() {
            Phase::Acting => (Phase::Healing, self.healing, Some(Mark::Healed)),
            Phase::Healing => (Phase::Wishing, ticks(2), None),
            Phase::Wishing => (Phase::Called, ticks(2), Some(Mark::Probe)),
            // Until then the server may still notice who was lost long before.
            Phase::Called => {
                let latest = self.healed_at + self.healing + self.probing;
                (Phase::Probing, self.probing.max(latest.saturating_sub(now)), None)
            }
            Phase::Probing => (Phase::Settled, ticks(2), Some(Mark::Settled)),
            Phase::Settled => (Phase::Parting, self.parting, None),
            // A look goes once to the shards and back.
            Phase::Parting => (Phase::Counting, ticks(4), None),
            Phase::Counting | Phase::Over => (Phase::Over, Duration::ZERO, Some(Mark::Gone)),
        };
        if let Some(mark) = mark {
            stage.record_at(micros(now), Event::Quiet { mark });
        }
        if next == Phase::Healing {
            self.healed_at = now;
        }
        (self.since, self.most) = (now, most);
        self.quiet.enter(next);
        next == Phase::Over
    }
}

/// What of the probes has not come back, as far as the history has been read.
#[derive(Debug, Default)]
struct Echoes {
    read: usize,
    is_probing: bool,
    /// How many want to be in a room, and connected.
    wishes: BTreeMap<String, usize>,
    /// How many have still to hear a probe.
    awaited: BTreeMap<MessageId, usize>,
    /// When something happened last, but for heartbeats.
    news_us: u64,
}

impl Echoes {
    fn read(&mut self, history: &History) {
        for entry in &history.entries()[self.read..] {
            if !matches!(entry.event, Event::Ponged { .. }) {
                self.news_us = entry.at_us;
            }
            if let Event::Quiet { mark } = entry.event {
                self.is_probing = mark == Mark::Probe;
            } else if let Event::Wish { is_connected: true, rooms, .. } = &entry.event {
                for room in rooms {
                    *self.wishes.entry(room.clone()).or_default() += 1;
                }
            } else if let Event::Sent { message, room, .. } = &entry.event
                && self.is_probing
            {
                let others = self.wishes.get(room).map_or(0, |count| count - 1);
                if others > 0 {
                    self.awaited.insert(*message, others);
                }
            } else if let Event::Delivered { message, .. } = &entry.event
                && let Some(count) = self.awaited.get_mut(message)
            {
                *count -= 1;
                if *count == 0 {
                    self.awaited.remove(message);
                }
            }
        }
        self.read = history.entries().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SocketId;
    use crate::plan::Plan;
    use crate::swarm::{Profile, generate};

    /// A plan of two clients whose healing and probing may each last for more than a second.
    fn plan(hurried: bool) -> Plan {
        let mut plan = generate(0, &Profile { clients: 2, ..Profile::default() });
        plan.duration_ms = 100;
        plan.network.tick_ms = 1;
        plan.hurried = hurried;
        assert!(plan.heal_ms() > 1_000 && plan.calm_ms() > 1);
        plan
    }

    /// Goes on step by step until another phase has begun; how long that took.
    fn pass(course: &mut Course, stage: &Stage, now: &mut Duration) -> (Phase, u128) {
        let (before, began) = (course.quiet.phase(), *now);
        while course.quiet.phase() == before && before != Phase::Over {
            *now += Duration::from_millis(1);
            course.advance(*now, stage);
        }
        (course.quiet.phase(), (*now - began).as_millis())
    }

    #[test]
    fn without_hurry_every_phase_lasts_as_long_as_is_promised() {
        let plan = plan(false);
        let (quiet, stage) = (Quiet::new(&plan), Stage::default());
        let mut course = Course::new(&plan, Rc::clone(&quiet));
        let mut now = Duration::ZERO;
        assert_eq!(pass(&mut course, &stage, &mut now), (Phase::Healing, 100));
        for client in &plan.clients {
            quiet.note(Who::Client(client.id), true);
        }
        let most = u128::from(plan.heal_ms());
        assert_eq!(pass(&mut course, &stage, &mut now), (Phase::Wishing, most));
        let phases = std::iter::from_fn(|| Some(pass(&mut course, &stage, &mut now).0));
        let rest: Vec<Phase> = phases.take_while(|&phase| phase != Phase::Over).collect();
        use Phase::{Called, Counting, Parting, Probing, Settled};
        assert_eq!(rest, [Called, Probing, Settled, Parting, Counting]);
        assert!(now < Course::new(&plan, quiet).longest());
    }

    #[test]
    fn healing_ends_when_all_have_been_back_for_a_while() {
        let plan = plan(true);
        let (quiet, stage) = (Quiet::new(&plan), Stage::default());
        let mut course = Course::new(&plan, Rc::clone(&quiet));
        let mut now = Duration::ZERO;
        pass(&mut course, &stage, &mut now);
        let all: Vec<Who> = plan.clients.iter().map(|client| Who::Client(client.id)).collect();
        let mut step = |course: &mut Course| {
            now += Duration::from_millis(1);
            course.advance(now, &stage);
            quiet.phase() == Phase::Wishing
        };
        quiet.note(all[0], true);
        for _ in 0..=plan.calm_ms() + 1 {
            assert!(!step(&mut course), "another one is not back");
        }
        quiet.note(all[1], true);
        assert!(!step(&mut course), "not for a while");
        quiet.note(all[1], false);
        assert!(!step(&mut course), "gone again");
        quiet.note(all[1], true);
        let steps = (0..).take_while(|_| !step(&mut course)).count() as u64;
        assert_eq!(steps, plan.calm_ms() + 1, "from its second return");
    }

    #[test]
    fn probing_ends_when_every_probe_has_been_heard_by_all() {
        let plan = plan(true);
        let (quiet, stage) = (Quiet::new(&plan), Stage::default());
        let mut course = Course::new(&plan, Rc::clone(&quiet));
        let mut now = Duration::ZERO;
        pass(&mut course, &stage, &mut now);
        pass(&mut course, &stage, &mut now);
        let record = |now: &Duration, event| stage.record_at(micros(*now), event);
        for client in [0, 1] {
            let rooms = vec!["a".to_owned()];
            record(&now, Event::Wish { client, is_connected: true, rooms });
        }
        while quiet.phase() != Phase::Probing {
            pass(&mut course, &stage, &mut now);
        }
        let message = MessageId { by: SocketId(0), number: 1 };
        let (room, attachments, bytes) = ("a".to_owned(), 0, 0);
        record(&now, Event::Sent { message, room, attachments, bytes });
        for client in &plan.clients {
            quiet.note(Who::Client(client.id), true);
        }
        for _ in 0..plan.calm_ms() + 1 {
            now += Duration::from_millis(1);
            course.advance(now, &stage);
            assert_eq!(quiet.phase(), Phase::Probing, "not everybody has heard it");
        }
        let (socket, room, from, seq) = (SocketId(1), "a".to_owned(), None, None);
        record(&now, Event::Delivered { socket, room, message, from, seq, intact: true });
        let (next, took) = pass(&mut course, &stage, &mut now);
        assert_eq!((next, took), (Phase::Settled, u128::from(plan.calm_ms() + 1)));
    }

    #[test]
    fn nothing_happens_by_itself_before_the_moment_that_is_named() {
        for hurried in [false, true] {
            let plan = plan(hurried);
            let (quiet, stage) = (Quiet::new(&plan), Stage::default());
            let mut course = Course::new(&plan, Rc::clone(&quiet));
            let (mut now, mut named) = (Duration::ZERO, course.next());
            let mut idle = 0;
            while quiet.phase() != Phase::Over {
                let before = quiet.phase();
                now += Duration::from_millis(1);
                course.advance(now, &stage);
                if quiet.phase() == before {
                    idle += u32::from(now + Duration::from_millis(1) < course.next());
                } else {
                    assert!(named <= now, "{before:?} ended at {now:?}, before {named:?}");
                    // Once at the beginning of each phase: then the world is as it was.
                    plan.clients.iter().for_each(|it| quiet.note(Who::Client(it.id), true));
                    quiet.note(Who::Server, true);
                }
                named = course.next();
            }
            assert!(idle > 1_000 || hurried && idle > 100, "{idle} of {now:?} can be passed over");
        }
    }
}
