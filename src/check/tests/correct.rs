//! A correct server is never accused.

use super::super::{Checker, Options, OrderBy, Verdict};
use super::reference::{Break, Fact, Setup, run};
use proptest::prelude::*;

/// The setup the others vary.
pub(super) const SETUP: Setup = Setup {
    clients: 4,
    rooms: 3,
    actions: 150,
    acks: 50,
    sender_hears: false,
    faults: true,
    broken: Break::Nothing,
};

/// Judges what came of a run.
pub(super) fn judge(facts: &[(u64, Fact)], options: Options) -> Verdict {
    let is_witnessed = options.witnessed;
    let mut checker = Checker::new(options);
    for (at_us, fact) in facts {
        match fact {
            Fact::Record(record) => checker.observe(*at_us, record),
            Fact::Step(step) if is_witnessed => checker.witness(*at_us, step),
            Fact::Step(_) => {}
        }
    }
    checker.finish(facts.last().map_or(0, |fact| fact.0))
}

fn setup() -> impl Strategy<Value = Setup> {
    let acks = prop_oneof![Just(0), Just(50), Just(100)];
    (1..7u32, 1..4u32, 0..400u32, acks, any::<bool>(), any::<bool>()).prop_map(
        |(clients, rooms, actions, acks, sender_hears, faults)| Setup {
            clients,
            rooms,
            actions,
            acks,
            sender_hears,
            faults,
            broken: Break::Nothing,
        },
    )
}

fn options() -> impl Strategy<Value = Options> {
    let order = prop_oneof![Just(OrderBy::Graph), Just(OrderBy::Seq)];
    (order, any::<bool>()).prop_map(|(order, witnessed)| Options {
        order,
        witnessed,
        ..Options::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Whatever clients do and connections suffer; by clients alone and with the witness.
    #[test]
    fn a_correct_server_is_never_accused(seed: u64, setup in setup(), options in options()) {
        let options = Options { sender_hears: setup.sender_hears, ..options };
        let verdict = judge(&run(seed, setup), options);
        prop_assert!(verdict.is_clean(), "{:#?}", verdict);
        prop_assert_eq!(verdict.expected, verdict.delivered);
        prop_assert_eq!((verdict.lost, verdict.duplicate, verdict.reordered), (0, 0, 0));
    }

    /// With little memory a correct server may not be judged, but is still not
    /// accused.
    #[test]
    fn a_correct_server_is_never_accused_by_a_forgetful_checker(
        seed: u64, setup in setup(), options in options(), messages_max in 0..8usize, incomplete_max in 0..4usize,
    ) {
        let sender_hears = setup.sender_hears;
        let options = Options { sender_hears, messages_max, incomplete_max, ..options };
        let verdict = judge(&run(seed, setup), options);
        prop_assert!(verdict.violations.is_empty(), "{:#?}", verdict);
    }

    /// Without faults all that is called lost at a deadline arrives after it.
    #[test]
    fn what_misses_its_deadline_on_a_slow_network_is_late(seed: u64, setup in setup(), deadline_us in 0..300u64) {
        let setup = Setup { faults: false, ..setup };
        let options = Options { sender_hears: setup.sender_hears, deadline_us: Some(deadline_us), ..Options::default() };
        let verdict = judge(&run(seed, setup), options);
        prop_assert_eq!(verdict.lost, verdict.late);
        prop_assert_eq!(verdict.expected, verdict.delivered + verdict.lost);
        prop_assert!(verdict.overflow.is_none(), "{:#?}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The sets of receivers are stored in another way there.
    #[test]
    fn a_correct_server_is_never_accused_in_rooms_of_more_than_64(seed: u64, faults: bool, options in options()) {
        let setup = Setup { clients: 150, rooms: 1, actions: 1000, faults, ..SETUP };
        let verdict = judge(&run(seed, setup), options);
        prop_assert!(verdict.is_clean(), "{:#?}", verdict);
        prop_assert!(faults || verdict.delivered > 1000, "{:#?}", verdict);
    }
}

/// Else the properties above would hold for a checker that sees nothing.
#[test]
fn most_pairs_of_a_random_history_are_decided() {
    let mut expected = 0;
    let mut undecided = 0;
    for seed in 0..100 {
        let verdict = judge(&run(seed, SETUP), Options::default());
        expected += verdict.expected;
        undecided += verdict.unrequired + verdict.indeterminate;
    }
    assert!(expected > undecided, "{expected} required pairs, {undecided} that are not");
}
