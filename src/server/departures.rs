//! Who is to go when, while a server drains.
//!
//! Pure: the sessions and the time go in, who is due comes out. Whom that
//! concerns is told by `drain`.
//!
//! ```text
//!  window   |-------------------------------|
//!  told     1       2       3       4        (the first one at once)
//! ```
//!
//! # Guarantees
//!
//! * The order is that of the sessions' places, whatever happens meanwhile.
//! * In each part of the window as many are told as is its share, to one.

use std::time::{Duration, Instant};

use crate::hub::ConnId;

/// Who is due at about the same time is told together, so that a hundred
/// thousand sessions are no hundred thousand timers.
const STEP: Duration = Duration::from_millis(5);

/// How long stock clients take at most to come back: their first pause, with its jitter.
const COMING_BACK: Duration = Duration::from_millis(1500);

/// In which part of the drain's window all are told, so that within the window
/// the last is connected elsewhere; if the window is too short for that, its half.
pub(super) fn telling(window: Duration) -> Duration {
    window - COMING_BACK.min(window / 2)
}

/// The sessions that are to go, and when.
#[derive(Debug)]
pub(super) struct Departures {
    sessions: Vec<ConnId>,
    told: usize,
    begin: Instant,
    window: Duration,
}

impl Departures {
    /// All of `sessions` are to be told within `window`, which begins at `begin`.
    pub(super) fn new(sessions: Vec<ConnId>, begin: Instant, window: Duration) -> Self {
        Self { sessions, told: 0, begin, window }
    }

    /// When somebody is due next; none: everybody has been told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self.turn(self.told)?;
        let steps = due.as_nanos().div_ceil(STEP.as_nanos());
        let rounded = STEP * u32::try_from(steps).unwrap_or(u32::MAX);
        Some(self.begin + rounded.min(self.window))
    }

    /// Who is to be told at `now`, each once.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> &[ConnId] {
        let elapsed = now.saturating_duration_since(self.begin);
        let first = self.told;
        while self.turn(self.told).is_some_and(|due| due <= elapsed) {
            self.told += 1;
        }
        &self.sessions[first..self.told]
    }

    /// When it is the turn of this one, from the beginning.
    fn turn(&self, at: usize) -> Option<Duration> {
        let count = self.sessions.len();
        (at < count).then(|| {
            let nanos = self.window.as_nanos() * at as u128 / count as u128;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(count: u32) -> Vec<ConnId> {
        (0..count).map(|index| ConnId { index, generation: index }).collect()
    }

    /// Runs it by its own deadlines: when each was told, and how often there was something to do.
    fn run(count: u32, window: Duration) -> (Vec<(Duration, u32)>, usize) {
        let begin = tokio::time::Instant::now().into_std();
        let mut departures = Departures::new(sessions(count), begin, window);
        let (mut told, mut steps) = (Vec::new(), 0);
        while let Some(now) = departures.deadline() {
            let due = departures.handle_timeout(now);
            assert!(!due.is_empty(), "nobody is due at {:?}", now - begin);
            told.extend(due.iter().map(|conn| (now - begin, conn.index)));
            steps += 1;
        }
        (told, steps)
    }

    #[test]
    fn they_go_one_by_one_in_the_order_of_their_places() {
        let (told, _) = run(4, Duration::from_secs(2));
        let expected = [(0, 0), (500, 1), (1000, 2), (1500, 3)];
        assert_eq!(told, expected.map(|(ms, index)| (Duration::from_millis(ms), index)));
    }

    #[test]
    fn a_crowd_goes_in_equal_parts_with_few_steps() {
        let window = Duration::from_secs(10);
        let (told, steps) = run(100_000, window);
        assert!(told.iter().map(|(_, index)| *index).eq(0..100_000));
        assert!(steps <= 2001, "{steps} steps");
        for second in 0..10 {
            let part = Duration::from_secs(second)..Duration::from_secs(second + 1);
            let count = told.iter().filter(|(at, _)| part.contains(at)).count();
            assert!((9_940..=10_060).contains(&count), "{count} in second {second}");
        }
        assert!(told.iter().all(|(at, _)| *at < window + STEP));
    }

    #[test]
    fn the_last_has_the_time_to_come_back_within_the_window() {
        let ms = Duration::from_millis;
        for (window, told) in [(5000, 3500), (3000, 1500), (2000, 1000), (0, 0)] {
            assert_eq!(telling(ms(window)), ms(told));
        }
    }

    #[test]
    fn without_a_window_everybody_goes_at_once() {
        assert_eq!(run(3, Duration::ZERO), ((0..3).map(|at| (Duration::ZERO, at)).collect(), 1));
        assert_eq!(run(0, Duration::from_secs(1)), (Vec::new(), 0));
    }
}
