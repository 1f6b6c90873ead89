//! Every break of the server is found, by the guarantee that names it.

use super::super::Guarantee::{
    AckMeansAccepted, ConnectionFifo, JoinThenHear, NoDuplicate, NoInvention, RoomIsolation,
    RoomTotalOrder, SenderExcluded, SenderFifo, SilentAfterLeave, SilentBeforeJoin, SwitchAtomic,
};
use super::super::{Guarantee, Options, OrderBy, Verdict};
use super::correct::{SETUP, judge};
use super::reference::{Break, Setup, run};

const SEEDS: u64 = 50;

/// A break, the guarantee that names it, and others that it breaks as well.
const BREAKS: [(Break, Guarantee, &[Guarantee]); 19] = [
    // An ack that overtakes another makes a settled member of one that has left.
    (Break::AckOvertakesQueue, SilentAfterLeave, &[JoinThenHear, AckMeansAccepted]),
    // Without an ack, or where one of several was dropped by chance, it is a loss.
    (Break::AckThenDrop, AckMeansAccepted, &[JoinThenHear]),
    (Break::BacklogToJoiner, SilentBeforeJoin, &[NoDuplicate, SenderExcluded, SilentAfterLeave]),
    (Break::CorruptedBody, NoInvention, &[]),
    (Break::DoubleEnqueue, NoDuplicate, &[]),
    (Break::EchoOvertakes, ConnectionFifo, &[]),
    // If it left before the join was applied, it stays in for good.
    (Break::JoinAppliedLate, JoinThenHear, &[AckMeansAccepted, SilentAfterLeave]),
    // Kept after a leave, it hears what was accepted before it joined again.
    (Break::MemberKeptAfterLeave, SilentAfterLeave, &[SilentBeforeJoin]),
    (Break::MixedUpSender, NoInvention, &[]),
    (Break::OutOfOrderQueue, SenderFifo, &[RoomTotalOrder]),
    (Break::RefusedYetSent, AckMeansAccepted, &[]),
    (Break::SelfEcho, SenderExcluded, &[]),
    (Break::SeqFromTwoCounters, RoomTotalOrder, &[]),
    (Break::SkippedMember, JoinThenHear, &[AckMeansAccepted]),
    (Break::SuccessorHears, SilentBeforeJoin, &[ConnectionFifo, SenderExcluded]),
    // The halves are not ordered with what else the client asks for.
    (Break::SwitchInTwoSteps, SwitchAtomic, &[JoinThenHear, SilentAfterLeave, SilentBeforeJoin]),
    (Break::TaskPerEvent, SenderFifo, &[ConnectionFifo]),
    (Break::TwoQueuesPerRoom, RoomTotalOrder, &[SenderFifo]),
    (Break::WrongRoom, RoomIsolation, &[AckMeansAccepted, JoinThenHear]),
];

/// How often each guarantee was broken over all seeds.
fn counts(broken: Break, options: &Options) -> Vec<(Guarantee, u64)> {
    let verdicts: Vec<_> = (0..SEEDS)
        .map(|seed| judge(&run(seed, Setup { broken, ..SETUP }), options.clone()))
        .collect();
    let count = |guarantee| verdicts.iter().map(|verdict| verdict.count(guarantee)).sum();
    Guarantee::ALL.map(|guarantee| (guarantee, count(guarantee))).into()
}

#[test]
fn every_break_is_found_by_the_guarantee_that_names_it() {
    for (broken, named, others) in BREAKS {
        for options in [
            Options::default(),
            Options { order: OrderBy::Graph, ..Options::default() },
            Options { witnessed: true, ..Options::default() },
        ] {
            // What only the engine, or only its numbers, can tell.
            let is_decidable = if broken == Break::SeqFromTwoCounters {
                options.order == OrderBy::Seq
            } else {
                broken != Break::SwitchInTwoSteps || options.witnessed
            };
            for (guarantee, count) in counts(broken, &options) {
                let is_expected = guarantee == named || others.contains(&guarantee);
                assert!(
                    count == 0 || is_expected,
                    "{broken:?} was taken for {}: {options:?}",
                    guarantee.name()
                );
                let is_found = count > 0 || guarantee != named || !is_decidable;
                assert!(is_found, "{broken:?} was not found by {}: {options:?}", named.name());
            }
        }
    }
}

#[test]
fn on_the_same_seeds_the_unbroken_server_is_not_accused() {
    for options in [Options::default(), Options { witnessed: true, ..Options::default() }] {
        assert!(counts(Break::Nothing, &options).iter().all(|&(_, count)| count == 0));
    }
}

#[test]
fn what_is_not_judged_is_not_counted() {
    let options = Options {
        judged: super::super::Guarantees::ALL.without(NoDuplicate),
        ..Options::default()
    };
    assert!(counts(Break::DoubleEnqueue, &options).iter().all(|&(_, count)| count == 0));
}

/// What a verdict says that does not depend on how much was remembered.
///
/// A copy that comes long after its receiver left and came back may be told by
/// that, and no longer as a copy: those reasons are counted together.
fn tally(verdict: &Verdict) -> (Vec<u64>, u64, [u64; 6]) {
    let unwelcome = [NoDuplicate, RoomIsolation, SilentAfterLeave, SilentBeforeJoin];
    let others = Guarantee::ALL.into_iter().filter(|guarantee| !unwelcome.contains(guarantee));
    let Verdict { expected, delivered, lost, unrequired, reordered, indeterminate, .. } = *verdict;
    (
        others.map(|guarantee| verdict.count(guarantee)).collect(),
        unwelcome.into_iter().map(|guarantee| verdict.count(guarantee)).sum(),
        [expected, delivered, lost, unrequired, reordered, indeterminate],
    )
}

/// A checker that remembers little is invalid or right, never approximate.
#[test]
fn a_forgetful_checker_finds_the_same_or_overflows() {
    let mut valid = 0;
    // That two messages have one number is only known of those remembered.
    let is_independent = |&(broken, _, _): &(Break, _, _)| broken != Break::SeqFromTwoCounters;
    for (broken, _, _) in BREAKS.into_iter().filter(is_independent) {
        for seed in 0..SEEDS {
            let facts = run(seed, Setup { broken, ..SETUP });
            let remembered = judge(&facts, Options::default());
            for messages_max in [0, 1, 2, 4, 8, 16] {
                let forgotten = judge(&facts, Options { messages_max, ..Options::default() });
                if forgotten.overflow.is_none() {
                    let what = format!("{broken:?}, seed {seed}, {messages_max} messages");
                    assert_eq!(tally(&forgotten), tally(&remembered), "{what}");
                    valid += 1;
                }
            }
        }
    }
    assert!(valid > 1000, "only {valid} runs were valid");
}
