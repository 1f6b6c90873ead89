//! What becomes of one packet on a link, and how long it queues there. Pure but for the
//! dice, which the plan seeds.

use std::time::Duration;

use crate::dice::Dice;
use crate::faults::Weather;
use crate::plan::{LATE_MS_MAX, QUEUE_MS_MAX};

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// It never arrives.
    pub(super) is_lost: bool,
    /// How much later than usual it arrives, overtaken by others.
    pub(super) late: Option<Duration>,
    /// It arrives once more, so much later than usual.
    pub(super) again: Option<Duration>,
}

impl Fate {
    /// Draws it. Fair weather draws nothing.
    pub(super) fn draw(weather: &Weather, dice: &mut Dice) -> Self {
        let mut strikes = |percent: u8| percent > 0 && dice.chance(percent.into());
        if strikes(weather.loss_percent) {
            return Self { is_lost: true, ..Self::default() };
        }
        let (twice, late) = (strikes(weather.duplicate_percent), strikes(weather.reorder_percent));
        let mut later =
            |wanted: bool| wanted.then(|| Duration::from_millis(dice.between(1, LATE_MS_MAX)));
        Self { is_lost: false, late: later(late), again: later(twice) }
    }
}

/// What waits for a link of little bandwidth, in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queue {
    /// When all of it has gone.
    empty_at: Duration,
}

impl Queue {
    /// How long a packet waits until it has gone; nothing if it is lost, since too much waits.
    pub(super) fn wait(
        &mut self,
        now: Duration,
        bytes: u32,
        bytes_per_ms: Option<u32>,
    ) -> Option<Duration> {
        let Some(bytes_per_ms) = bytes_per_ms else { return Some(Duration::ZERO) };
        let takes_us = u64::from(bytes) * 1_000 / u64::from(bytes_per_ms);
        let begins = self.empty_at.max(now);
        if begins - now > Duration::from_millis(QUEUE_MS_MAX) {
            return None;
        }
        // The last one may be long and the link very narrow: it takes no longer than the rest.
        let takes = Duration::from_micros(takes_us).min(Duration::from_millis(QUEUE_MS_MAX));
        self.empty_at = begins + takes;
        Some(self.empty_at - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn fair_weather_does_nothing_and_draws_nothing() {
        let mut dice = Dice::new(1);
        for _ in 0..100 {
            assert_eq!(Fate::draw(&Weather::default(), &mut dice), Fate::default());
        }
        assert_eq!(dice.bits(), Dice::new(1).bits());
    }

    #[test]
    fn each_rate_strikes_as_often_as_it_says() {
        let mut dice = Dice::new(1);
        let weather = Weather {
            loss_percent: 10,
            duplicate_percent: 30,
            reorder_percent: 50,
            ..Weather::default()
        };
        let fates: Vec<Fate> = (0..10_000).map(|_| Fate::draw(&weather, &mut dice)).collect();
        let count = |is: fn(&&Fate) -> bool| fates.iter().filter(is).count();
        assert!((900..1_100).contains(&count(|fate| fate.is_lost)));
        assert!((2_500..2_900).contains(&count(|fate| fate.again.is_some())));
        assert!((4_300..4_700).contains(&count(|fate| fate.late.is_some())));
        let longest = fates.iter().filter_map(|fate| fate.late.max(fate.again)).max();
        assert_eq!(longest, Some(Duration::from_millis(LATE_MS_MAX)));
        let lost = fates.iter().filter(|fate| fate.is_lost);
        assert!(lost.clone().all(|fate| fate.late.is_none() && fate.again.is_none()));
    }

    #[test]
    fn packets_queue_for_a_narrow_link_and_it_empties() {
        let mut queue = Queue::default();
        assert_eq!(queue.wait(Duration::ZERO, 100, Some(10)), Some(10 * MS));
        assert_eq!(queue.wait(5 * MS, 100, Some(10)), Some(15 * MS));
        assert_eq!(queue.wait(100 * MS, 100, Some(10)), Some(10 * MS));
        assert_eq!(queue.wait(100 * MS, 100, None), Some(Duration::ZERO));
    }

    #[test]
    fn a_full_queue_takes_no_more_and_nobody_waits_for_ever() {
        let mut queue = Queue::default();
        let waits: Vec<_> = (0..5).map(|_| queue.wait(Duration::ZERO, 1_500, Some(20))).collect();
        assert_eq!(waits, [Some(75 * MS), Some(150 * MS), None, None, None]);
        let mut queue = Queue::default();
        assert_eq!(queue.wait(Duration::ZERO, 1_500, Some(1)), Some(QUEUE_MS_MAX as u32 * MS));
    }
}
