//! Who is in which room, and who says what when: a function of the seed.
//!
//! This is pure. Nothing here knows when the run really starts or how it goes:
//! a [`Plan`] yields the same [`Message`]s in the same order wherever it is asked,
//! so each thread generates the whole schedule and keeps what concerns its own
//! clients. The schedule is never stored: a million messages cost no memory.
//!
//! Poisson arrivals are the default. They are what many independent people
//! produce; and since they see time averages, no periodic work of the server can
//! hide between them or be hit by all of them. Constant arrivals are evenly
//! spaced over all speakers. Neither has ticks on which many clients send at once.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::args::Arrivals;

/// What a schedule is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Everything random follows from it.
    pub(crate) seed: u64,
    /// Clients, numbered from 0.
    pub(crate) clients: u32,
    /// Rooms, numbered from 0; at most as many as clients.
    pub(crate) rooms: u32,
    /// Messages per second, of all clients together.
    pub(crate) rate_hz: f64,
    /// Messages are sent from 0 to here.
    pub(crate) duration: Duration,
    /// How they follow each other.
    pub(crate) arrivals: Arrivals,
    /// Share of each room that speaks, above 0 and up to 1.
    pub(crate) speakers: f64,
}

/// One message to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// When, in microseconds after the start.
    pub(crate) at_us: u64,
    /// By whom.
    pub(crate) client: u32,
    /// Counts the sender's messages, from 0.
    pub(crate) number: u32,
}

impl Plan {
    /// The room of each client. Sizes of rooms differ by one at most.
    pub(crate) fn rooms_by_client(&self) -> Vec<u32> {
        let mut rooms: Vec<u32> = (0..self.clients).map(|client| client % self.rooms).collect();
        shuffle(&mut rooms, &mut self.random(Stream::Rooms));
        rooms
    }

    /// Clients in `room`, for any room.
    fn members(&self, room: u32) -> u32 {
        self.clients / self.rooms + u32::from(room < self.clients % self.rooms)
    }

    /// The clients that speak: a share of each room, at least one of each.
    pub(crate) fn speakers(&self) -> Vec<u32> {
        let speakers_of = |room| (f64::from(self.members(room)) * self.speakers).ceil() as u32;
        let mut missing: Vec<u32> = (0..self.rooms).map(speakers_of).collect();
        let mut speakers: Vec<u32> = (0..)
            .zip(self.rooms_by_client())
            .filter(|&(_, room)| {
                let missing = &mut missing[room as usize];
                let speaks = *missing > 0;
                *missing = missing.saturating_sub(1);
                speaks
            })
            .map(|(client, _)| client)
            .collect();
        shuffle(&mut speakers, &mut self.random(Stream::Speakers));
        speakers
    }

    /// Every message, in the order of its time.
    pub(crate) fn messages(&self) -> Messages {
        Messages {
            duration_us: self.duration.as_micros() as u64,
            gap_mean_us: 1e6 / self.rate_hz,
            arrivals: self.arrivals,
            speakers: self.speakers(),
            numbers: vec![0; self.clients as usize],
            random: self.random(Stream::Messages),
            at_us: 0.0,
            sent: 0,
        }
    }

    /// When `client` begins to connect: they come evenly spaced over `ramp`.
    pub(crate) fn connects_at(&self, client: u32, ramp: Duration) -> Duration {
        ramp.mul_f64(f64::from(client) / f64::from(self.clients))
    }

    /// Deliveries per second that a server owes at this rate, about.
    pub(crate) fn deliveries_hz(&self) -> f64 {
        self.rate_hz * (f64::from(self.clients) / f64::from(self.rooms) - 1.0)
    }

    /// A source of its own for each purpose, so that one does not shift another.
    fn random(&self, stream: Stream) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream as u64);
        random
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Rooms,
    Messages,
    Speakers,
}

/// The messages of a plan, made while they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    duration_us: u64,
    gap_mean_us: f64,
    arrivals: Arrivals,
    speakers: Vec<u32>,
    /// The next number of each client.
    numbers: Vec<u32>,
    random: ChaCha8Rng,
    at_us: f64,
    sent: u64,
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let speaker = match self.arrivals {
            Arrivals::Constant => {
                // Half a gap from either end: the rate holds from the start to the end.
                self.at_us = (self.sent as f64 + 0.5) * self.gap_mean_us;
                (self.sent % self.speakers.len() as u64) as usize
            }
            Arrivals::Poisson => {
                self.at_us += -self.gap_mean_us * (1.0 - fraction(&mut self.random)).ln();
                below(self.speakers.len(), &mut self.random)
            }
        };
        let at_us = self.at_us as u64;
        if at_us >= self.duration_us {
            return None;
        }
        self.sent += 1;
        let client = self.speakers[speaker];
        let next = &mut self.numbers[client as usize];
        let number = *next;
        *next += 1;
        Some(Message { at_us, client, number })
    }
}

/// From 0 up to but not including 1.
fn fraction(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn below(bound: usize, random: &mut ChaCha8Rng) -> usize {
    (fraction(random) * bound as f64) as usize
}

fn shuffle(items: &mut [u32], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(i + 1, random));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn schedule_is_a_function_of_the_seed(plan in plan()) {
            prop_assert!(plan.messages().eq(plan.clone().messages()));
            prop_assert_eq!(plan.rooms_by_client(), plan.clone().rooms_by_client());
        }

        #[test]
        fn every_room_has_its_share_of_members_and_a_speaker(plan in plan()) {
            let rooms = plan.rooms_by_client();
            let speakers = plan.speakers();
            for room in 0..plan.rooms {
                let members = rooms.iter().filter(|&&of| of == room).count() as u32;
                prop_assert!(members.abs_diff(plan.clients / plan.rooms) <= 1);
                prop_assert_eq!(members, plan.members(room));
                prop_assert!(speakers.iter().any(|&speaker| rooms[speaker as usize] == room));
            }
            let once: std::collections::BTreeSet<_> = speakers.iter().collect();
            prop_assert_eq!(once.len(), speakers.len());
        }

        #[test]
        fn messages_come_in_order_from_speakers_and_are_numbered_without_gap(plan in plan()) {
            let speakers = plan.speakers();
            let mut last_us = 0;
            let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
            for message in plan.messages() {
                prop_assert!(message.at_us >= last_us && message.at_us < plan.duration.as_micros() as u64);
                prop_assert!(speakers.contains(&message.client));
                let next = numbers.entry(message.client).or_default();
                prop_assert_eq!(message.number, *next);
                *next += 1;
                last_us = message.at_us;
            }
        }

        /// A Poisson count is within six standard deviations of its mean, but for
        /// two seeds in a thousand million; a constant one is exact.
        #[test]
        fn rate_is_honoured(plan in plan()) {
            let expected = plan.rate_hz * plan.duration.as_secs_f64();
            let off = (plan.messages().count() as f64 - expected).abs();
            match plan.arrivals {
                Arrivals::Constant => prop_assert!(off <= 1.0, "{off} off {expected}"),
                Arrivals::Poisson => prop_assert!(off <= 6.0 * expected.sqrt() + 6.0, "{off} off {expected}"),
            }
        }
    }

    fn plan() -> impl Strategy<Value = Plan> {
        let arrivals = prop_oneof![Just(Arrivals::Constant), Just(Arrivals::Poisson)];
        (any::<u64>(), 1..200u32, 1.0..2000.0f64, 1..3000u64, arrivals, 0.001..=1.0f64)
            .prop_flat_map(|(seed, clients, rate_hz, ms, arrivals, speakers)| {
                (1..=clients).prop_map(move |rooms| Plan {
                    seed,
                    clients,
                    rooms,
                    rate_hz,
                    duration: Duration::from_millis(ms),
                    arrivals,
                    speakers,
                })
            })
    }

    fn chat(seed: u64, arrivals: Arrivals) -> Plan {
        let duration = Duration::from_secs(10);
        Plan { seed, clients: 50, rooms: 5, rate_hz: 100.0, duration, arrivals, speakers: 0.2 }
    }

    #[test]
    fn different_seeds_give_different_schedules() {
        for seed in 1..8 {
            let (one, other) = (chat(0, Arrivals::Poisson), chat(seed, Arrivals::Poisson));
            assert_ne!(
                one.messages().collect::<Vec<_>>(),
                other.messages().collect::<Vec<_>>(),
                "seed {seed}"
            );
            assert_ne!(one.rooms_by_client(), other.rooms_by_client(), "seed {seed}");
        }
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_speakers_take_turns() {
        let messages: Vec<Message> = chat(1, Arrivals::Constant).messages().collect();
        assert!(messages.windows(2).all(|pair| pair[1].at_us - pair[0].at_us == 10_000));
        assert!(messages.windows(11).all(|window| window[0].client == window[10].client));
    }

    /// Exponential gaps have a standard deviation equal to their mean.
    #[test]
    fn poisson_gaps_vary_as_they_should() {
        let messages: Vec<Message> = chat(1, Arrivals::Poisson).messages().collect();
        let gaps: Vec<f64> =
            messages.windows(2).map(|pair| (pair[1].at_us - pair[0].at_us) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation =
            (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((0.85..1.15).contains(&(deviation / mean)), "{}", deviation / mean);
    }
}
