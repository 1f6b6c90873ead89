//! The server's side of the heartbeat: it pings, and expects pongs.
//!
//! ```text
//!            deadline: Ping                deadline: Dead
//!   Idle ---------------------> AwaitPong ----------------> gone
//!    ^                             |
//!    +------------- pong ----------+
//! ```
//!
//! With revision 3 it is the client that pings, and every packet of it is a
//! sign of life:
//!
//! ```text
//!            deadline: Dead
//!   Silent --------------------> gone
//!     ^  |
//!     +--+ packet
//! ```
//!
//! A server that has not run for a while finds its deadlines past, and perhaps in its
//! sockets what was said in time. So who seems dead when the server is late gets one
//! more moment, in which that is read. And who is not read, since what it sent before
//! is still worked at, is pinged on and not blamed for what it may have said meanwhile.
//!
//! # Spec
//!
//! Engine.IO protocol v4, "Heartbeat"; v3, "Timeouts".

use std::time::{Duration, Instant};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The peer has not answered in time: its session ends.
    Dead,
    /// A ping is to be sent.
    Ping,
}

/// How late timers are as a rule.
const TIMER_SLACK: Duration = Duration::from_millis(5);

/// How long a server that was late itself takes at most to read what has arrived
/// meanwhile, through another shard too.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Whether one peer is alive.
///
/// The first ping is due one interval after the beginning, never at once, and
/// each further one an interval after the last pong. Interval and timeout are
/// the server's and handed in, so that a peer costs 24 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A ping is unanswered; the peer is dead at this instant.
    AwaitPong(Instant),
    /// The server was late: so it looks once more, at this instant.
    CatchingUp { at: Instant, peer_pings: bool },
    /// The peer is known to be alive; the next ping is due at this instant.
    Idle(Instant),
    /// The peer pings by itself; without a packet it is dead at this instant.
    Silent(Instant),
}

impl Heartbeat {
    /// The heartbeat of a session that begins at `now`.
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self { state: State::Idle(now + interval) }
    }

    /// The heartbeat of a session that begins at `now`, whose client pings;
    /// it may be silent for `silence_max`.
    pub fn of_pinging_client(now: Instant, silence_max: Duration) -> Self {
        Self { state: State::Silent(now + silence_max) }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::AwaitPong(at)
            | State::CatchingUp { at, .. }
            | State::Idle(at)
            | State::Silent(at) => at,
        }
    }

    /// Says what is due at `now`: nothing if the deadline lies ahead.
    ///
    /// The timeout runs from when the ping was due, unless it is late by more
    /// than timers are: a server that was late itself does not blame its peers.
    /// Nor does it when it finds a peer's last moment past: what that has said
    /// may lie in the socket, and there is a moment more to read it.
    pub fn handle_timeout(&mut self, now: Instant, timeout: Duration) -> Option<Beat> {
        if now < self.deadline() {
            return None;
        }
        Some(match self.state {
            State::AwaitPong(at) | State::Silent(at) if now > at + TIMER_SLACK => {
                let peer_pings = matches!(self.state, State::Silent(_));
                self.state = State::CatchingUp { at: now + CATCH_UP.min(timeout), peer_pings };
                return None;
            }
            State::AwaitPong(_) | State::CatchingUp { .. } | State::Silent(_) => Beat::Dead,
            State::Idle(due) => {
                let from = if now <= due + TIMER_SLACK { due } else { now };
                self.state = State::AwaitPong(from + timeout);
                Beat::Ping
            }
        })
    }

    /// Notes a pong. One that was not asked for changes nothing: it neither
    /// puts off the next ping nor ends the session.
    pub fn handle_pong(&mut self, now: Instant, interval: Duration) {
        match self.state {
            State::AwaitPong(_) | State::CatchingUp { peer_pings: false, .. } => {
                self.state = State::Idle(now + interval);
            }
            State::CatchingUp { .. } | State::Idle(_) | State::Silent(_) => {}
        }
    }

    /// Notes that the peer is not read, or was not since its last ping, so that it may have
    /// said what is due by `now`.
    ///
    /// It counts as said, and so the next ping is due at once: a client gives up a
    /// server that does not ping, and its answers are heard later.
    pub fn handle_unheard(&mut self, now: Instant, silence_max: Duration) {
        if now < self.deadline() {
            return;
        }
        match self.state {
            State::AwaitPong(_) | State::CatchingUp { peer_pings: false, .. } => {
                self.state = State::Idle(now);
            }
            State::CatchingUp { .. } | State::Silent(_) => {
                self.state = State::Silent(now + silence_max);
            }
            State::Idle(_) => {}
        }
    }

    /// Notes a packet of a client that pings.
    pub fn handle_packet(&mut self, now: Instant, silence_max: Duration) {
        match self.state {
            State::CatchingUp { peer_pings: true, .. } | State::Silent(_) => {
                self.state = State::Silent(now + silence_max);
            }
            State::AwaitPong(_) | State::CatchingUp { .. } | State::Idle(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn a_peer_costs_24_bytes() {
        assert!(size_of::<Heartbeat>() <= 24);
    }

    #[test]
    fn silent_peer_is_dead_one_timeout_after_the_ping() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        assert_eq!(heartbeat.deadline(), at(25));
        assert_eq!(heartbeat.handle_timeout(at(0), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(24), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(25), TIMEOUT), Some(Beat::Ping));
        assert_eq!(heartbeat.deadline(), at(45));
        assert_eq!(heartbeat.handle_timeout(at(44), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(45), TIMEOUT), Some(Beat::Dead));
    }

    #[test]
    fn next_ping_is_due_one_interval_after_the_pong() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), TIMEOUT);
        heartbeat.handle_pong(at(35), INTERVAL);
        assert_eq!(heartbeat.deadline(), at(60));
        assert_eq!(heartbeat.handle_timeout(at(59), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(60), TIMEOUT), Some(Beat::Ping));
    }

    #[test]
    fn pong_nobody_asked_for_does_not_put_off_the_ping() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_pong(at(24), INTERVAL);
        assert_eq!(heartbeat.deadline(), at(25));
    }

    #[test]
    fn what_timers_are_late_by_adds_up_to_nothing() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        assert_eq!(heartbeat.handle_timeout(at(25) + TIMER_SLACK, TIMEOUT), Some(Beat::Ping));
        assert_eq!(heartbeat.deadline(), at(45));
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        let late = at(25) + TIMER_SLACK + Duration::from_micros(1);
        assert_eq!(heartbeat.handle_timeout(late, TIMEOUT), Some(Beat::Ping));
        assert_eq!(heartbeat.deadline(), late + TIMEOUT);
    }

    #[test]
    fn late_ping_leaves_the_peer_its_whole_timeout() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        assert_eq!(heartbeat.handle_timeout(at(100), TIMEOUT), Some(Beat::Ping));
        assert_eq!(heartbeat.handle_timeout(at(100), TIMEOUT), None);
        assert_eq!(heartbeat.deadline(), at(120));
    }

    #[test]
    fn who_seems_dead_to_a_late_server_has_a_moment_more_and_only_one() {
        let at = timeline();
        let late = || {
            let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
            heartbeat.handle_timeout(at(25), TIMEOUT);
            assert_eq!(heartbeat.handle_timeout(at(46), TIMEOUT), None);
            assert_eq!(heartbeat.deadline(), at(46) + CATCH_UP);
            heartbeat
        };
        assert_eq!(late().handle_timeout(at(99), TIMEOUT), Some(Beat::Dead));
        let mut alive = late();
        alive.handle_packet(at(46), INTERVAL + TIMEOUT);
        assert_eq!(alive.deadline(), at(46) + CATCH_UP, "it is a pong that is awaited");
        alive.handle_pong(at(46), INTERVAL);
        assert_eq!(alive.deadline(), at(71));
        let mut pinging = Heartbeat::of_pinging_client(at(0), INTERVAL + TIMEOUT);
        assert_eq!(pinging.handle_timeout(at(46), TIMEOUT), None);
        pinging.handle_pong(at(46), INTERVAL);
        pinging.handle_packet(at(46), INTERVAL + TIMEOUT);
        assert_eq!(pinging.deadline(), at(91));
    }

    #[test]
    fn client_that_pings_is_dead_after_a_silence_and_every_packet_breaks_it() {
        let at = timeline();
        let mut heartbeat = Heartbeat::of_pinging_client(at(0), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.deadline(), at(45));
        heartbeat.handle_packet(at(44), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.handle_timeout(at(88), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(89), TIMEOUT), Some(Beat::Dead));
    }

    #[test]
    fn peer_that_is_not_read_is_pinged_on_and_not_blamed() {
        let at = timeline();
        let silence_max = INTERVAL + TIMEOUT;
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_unheard(at(24), silence_max);
        assert_eq!(heartbeat.deadline(), at(25), "nothing was due before");
        heartbeat.handle_unheard(at(25), silence_max);
        assert_eq!(heartbeat.handle_timeout(at(25), TIMEOUT), Some(Beat::Ping));
        for round in 0..10 {
            let due = at(45 + 20 * round);
            heartbeat.handle_unheard(due - TIMER_SLACK, silence_max);
            assert_eq!(heartbeat.deadline(), due, "it has its whole timeout");
            heartbeat.handle_unheard(due, silence_max);
            assert_eq!(heartbeat.handle_timeout(due, TIMEOUT), Some(Beat::Ping));
        }
        assert_eq!(heartbeat.deadline(), at(245));
        assert_eq!(heartbeat.handle_timeout(at(245), TIMEOUT), Some(Beat::Dead), "it is read");
    }

    #[test]
    fn client_that_pings_is_not_blamed_while_it_is_not_read() {
        let at = timeline();
        let silence_max = INTERVAL + TIMEOUT;
        let mut heartbeat = Heartbeat::of_pinging_client(at(0), silence_max);
        heartbeat.handle_unheard(at(45), silence_max);
        assert_eq!(heartbeat.deadline(), at(90));
        assert_eq!(heartbeat.handle_timeout(at(89), TIMEOUT), None);
        assert_eq!(heartbeat.handle_timeout(at(90), TIMEOUT), Some(Beat::Dead), "it is read");
    }

    #[test]
    fn late_server_that_does_not_read_blames_nobody() {
        let at = timeline();
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), TIMEOUT);
        assert_eq!(heartbeat.handle_timeout(at(46), TIMEOUT), None, "it catches up");
        heartbeat.handle_unheard(at(47), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.handle_timeout(at(47), TIMEOUT), Some(Beat::Ping));
        let mut heartbeat = Heartbeat::of_pinging_client(at(0), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.handle_timeout(at(46), TIMEOUT), None, "it catches up");
        heartbeat.handle_unheard(at(47), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.deadline(), at(92));
    }

    fn timeline() -> impl Fn(u64) -> Instant {
        let start = tokio::time::Instant::now().into_std();
        move |seconds| start + Duration::from_secs(seconds)
    }
}
