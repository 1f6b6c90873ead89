//! Histories made by hand: what each guarantee turns down, and what none may.

use super::super::Guarantee::*;
use super::super::{Guarantee, Guarantees, Options, OrderBy, Verdict};
use super::correct;
use super::script::facts;

/// Everybody is connected; A, B and C are in R, and the engine knows.
const THREE_IN_R: &str = "A connect; B connect; C connect; D connect;
    A join R; *A join R; A joined R; B join R; *B join R; B joined R; C join R; *C join R; C joined R;";

fn judge(story: &str, options: Options) -> Verdict {
    correct::judge(&facts(&[THREE_IN_R, story].concat()), options)
}

fn clients_only() -> Options {
    Options { order: OrderBy::Graph, ..Options::default() }
}

fn with_seq() -> Options {
    Options { order: OrderBy::Seq, ..Options::default() }
}

fn with_witness() -> Options {
    Options { witnessed: true, ..clients_only() }
}

/// Each story is turned down, once, for its reason, and for no other.
fn assert_accused(options: Options, stories: &[(Guarantee, &str)]) {
    for &(guarantee, story) in stories {
        let verdict = judge(story, options.clone());
        let counts = Guarantee::ALL.map(|guarantee| (guarantee, verdict.count(guarantee)));
        let accused: Vec<_> = counts.into_iter().filter(|&(_, count)| count > 0).collect();
        assert_eq!(accused, [(guarantee, 1)], "{story}: {:#?}", verdict.violations);
        assert_eq!((verdict.violations.len(), verdict.overflow), (1, None), "{story}");
    }
}

fn assert_clean(options: Options, stories: &[&str]) {
    for story in stories {
        let verdict = judge(story, options.clone());
        assert!(verdict.is_clean(), "{story}: {verdict:#?}");
    }
}

#[test]
fn who_must_hear_and_who_must_not_is_decided_by_clients_alone() {
    assert_accused(
        clients_only(),
        &[
            (AckMeansAccepted, "A say 1 R; A acked 1"),
            (AckMeansAccepted, "A say 1 R; A refused message 1; B hear A1 R"),
            (AckMeansAccepted, "A say 1 R; B hear A1 R; A refused message 1"),
            (JoinThenHear, "A say 1 R; A acked 1; B hear A1 R"),
            (JoinThenHear, "A say 1 R; B hear A1 R"),
            (
                JoinThenHear,
                "B leave R; B left R; C leave R; C left R; B join R; B joined R; A say 1 R",
            ),
            (JoinThenHear, "A say 1 R; B hear A1 R; C leave R; C left R"),
            (JoinThenHear, "C join R; A say 1 R; C joined R; B hear A1 R"),
            (JoinThenHear, "C leave R; C refused leave R; A say 1 R; A acked 1; B hear A1 R"),
            (RoomIsolation, "A say 1 R; B hear A1 R; C hear A1 R; D hear A1 R"),
            (
                RoomIsolation,
                "D join S; D joined S; A say 1 R; B hear A1 R; C hear A1 R; D hear A1 S",
            ),
            (SenderExcluded, "A say 1 R; B hear A1 R; C hear A1 R; A hear A1 R"),
            (SenderExcluded, "D join S; D joined S; D say 1 S; D hear D1 S"),
            (SilentAfterLeave, "C leave R; C left R; A say 1 R; B hear A1 R; C hear A1 R"),
            (SilentAfterLeave, "C leave R; A say 1 R; C left R; B hear A1 R; C hear A1 R"),
            (SilentAfterLeave, "C switch R S; A say 1 R; C switched R S; B hear A1 R; C hear A1 R"),
            (
                SilentAfterLeave,
                "A say 1 R; B hear A1 R; C leave R; C left R; C join R; C joined R; C hear A1 R",
            ),
            (
                SilentBeforeJoin,
                "A say 1 R; B hear A1 R; C hear A1 R; D join R; D joined R; D hear A1 R",
            ),
            (
                SilentBeforeJoin,
                "A say 1 R; A acked 1; D join R; D hear A1 R; B hear A1 R; C hear A1 R",
            ),
            (
                SilentBeforeJoin,
                "D join R; D refused join R; A say 1 R; B hear A1 R; C hear A1 R; D hear A1 R",
            ),
            (SilentBeforeJoin, "C disconnect; A say 1 R; B hear A1 R; C connect; C hear A1 R"),
            (
                SilentBeforeJoin,
                "C disconnect; A say 1 R; B hear A1 R; C connect; C join R; C hear A1 R",
            ),
        ],
    );
}

#[test]
fn what_arrives_and_in_which_order_is_decided_by_clients_alone() {
    assert_accused(
        clients_only(),
        &[
            (ConnectionFifo, "A ask 1; A ask 2; A answered 2; A answered 1"),
            (ConnectionFifo, "A ask 1; A answered 1; A answered 1"),
            (ConnectionFifo, "A ask 1; A disconnect; A connect; A answered 1"),
            (NoDuplicate, "A say 1 R; B hear A1 R; C hear A1 R; C hear A1 R"),
            (NoDuplicate, "A say 1 R; C hear A1 R; C disconnect; C connect; C join R; C joined R; C hear A1 R; B hear A1 R"),
            (NoDuplicate, "D join R; A say 1 R; D hear A1 R; B hear A1 R; C hear A1 R; D joined R; D hear A1 R"),
            (NoInvention, "B hear A1 R"),
            (NoInvention, "A say 1 R; A say 3 R; B hear A1 R; B hear A3 R; C hear A1 R; C hear A3 R; C hear A2 R"),
            (NoInvention, "A say 1 R; B hear A1 R; C hear A1 R corrupted"),
            (NoInvention, "A say 1 R; B hear A1 R from A; C hear A1 R from B"),
            (RoomTotalOrder, "D join R; D joined R; A say 1 R; B say 1 R; A hear B1 R; B hear A1 R;
                C hear A1 R; C hear B1 R; D hear B1 R; D hear A1 R"),
            (RoomTotalOrder, "D join R; A say 1 R; B say 1 R; C say 1 R; B hear A1 R; B hear C1 R; C hear B1 R; C hear A1 R;
                D hear B1 R; D joined R; D hear A1 R; D hear C1 R; A hear C1 R; A hear B1 R"),
            (SenderFifo, "C leave R; C left R; A say 1 R; A say 2 R; B hear A2 R; B hear A1 R"),
            (SenderFifo, "B leave R; B left R; C join S; C joined S; A say 1 R; A say 2 S; A say 3 R;
                C hear A3 R; C hear A2 S; C hear A1 R"),
        ],
    );
}

#[test]
fn numbers_of_a_room_must_increase_and_name_one_message_each() {
    assert_accused(
        with_seq(),
        &[
            (
                RoomTotalOrder,
                "A say 1 R; B say 1 R; C hear A1 R #2; C hear B1 R #1; A hear B1 R #1; B hear A1 R #2",
            ),
            (RoomTotalOrder, "A say 1 R; B hear A1 R #1; C hear A1 R #2"),
            (RoomTotalOrder, "A say 1 R; A acked 1 #2; B hear A1 R #1; C hear A1 R #2"),
            (
                RoomTotalOrder,
                "C leave R; C left R; A say 1 R; B say 1 R; A hear B1 R #1; B hear A1 R #1",
            ),
            (
                RoomTotalOrder,
                "C leave R; C left R; A say 1 R; A acked 1 #1; B hear A1 R #1; B say 1 R; A hear B1 R #1",
            ),
            (RoomTotalOrder, "C leave R; C left R; A say 1 R; B hear A1 R"),
        ],
    );
}

/// The server has given B up and counts anew in the room that all have left; B hears what
/// its stream still held, then of its end.
#[test]
fn what_a_dead_connection_tells_of_numbers_tells_nothing() {
    let story = "C leave R; C left R; A say 1 R; A leave R; A left R; A join R; A joined R;
        A say 2 R; A acked 2 #1; B hear A1 R #1; B disconnect";
    assert_clean(with_seq(), &[story]);
}

#[test]
fn a_switch_is_one_step_as_far_as_clients_can_tell() {
    let in_both_rooms = "D join S; D joined S; B join S; B joined S;";
    assert_accused(
        clients_only(),
        &[
            (
                SwitchAtomic,
                "D join S; D joined S; C switch R S; D say 1 S; C hear D1 S; A say 1 R; B hear A1 R; C hear A1 R; C switched R S",
            ),
            // It was out of R before B heard A1, and so in S when D spoke.
            (
                SwitchAtomic,
                "D join S; D joined S; B join S; B joined S; C switch R S; A say 1 R; B hear A1 R; D say 1 S; B hear D1 S; C switched R S",
            ),
            (
                SwitchAtomic,
                "D join S; D joined S; C switch R S; A say 1 R; A acked 1; B hear A1 R; D say 1 S; D acked 1; C switched R S",
            ),
        ],
    );
    let silent = Options { silence_is_loss: false, ..clients_only() };
    let story = "C switch R S; A say 1 R; D say 1 S; B hear A1 R; B hear D1 S; C switched R S";
    assert_clean(silent, &[&[in_both_rooms, story].concat()]);
}

#[test]
fn the_witness_decides_what_clients_cannot() {
    let stories = [
        (AckMeansAccepted, "A say 1 R; A acked 1; *A say 1 R; B hear A1 R; C hear A1 R"),
        (AckMeansAccepted, "A say 1 R; A acked 1"),
        (
            JoinThenHear,
            "D join R; *D join R; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R; D joined R",
        ),
        (JoinThenHear, "A say 1 R; *A say 1 R; C leave R; *C leave R; C left R; B hear A1 R"),
        (
            SilentAfterLeave,
            "C leave R; *C leave R; A say 1 R; *A say 1 R; C hear A1 R; C left R; B hear A1 R",
        ),
        (
            SilentAfterLeave,
            "C leave R; A say 1 R; *C leave R; *A say 1 R; B hear A1 R; C hear A1 R; C left R",
        ),
        (
            SilentBeforeJoin,
            "D join R; A say 1 R; *A say 1 R; *D join R; D hear A1 R; D joined R; B hear A1 R; C hear A1 R",
        ),
        (
            SilentBeforeJoin,
            "A say 1 R; D join R; *A say 1 R; D hear A1 R; *D join R; D joined R; B hear A1 R; C hear A1 R",
        ),
        (
            SilentBeforeJoin,
            "D join R; A say 1 R; D hear A1 R; *A say 1 R; *D join R; D joined R; B hear A1 R; C hear A1 R",
        ),
        (
            SwitchAtomic,
            "C switch R S; *C leave R; A say 1 R; *A say 1 R; *C join S; C switched R S; B hear A1 R",
        ),
        (
            SwitchAtomic,
            "C switch R S; *C switch R S; A say 1 R; *A say 1 R; C hear A1 R; C switched R S; B hear A1 R",
        ),
        (
            SwitchAtomic,
            "D join S; *D join S; D joined S; C switch R S; *C switch R S; D say 1 S; *D say 1 S; C switched R S",
        ),
        (
            SwitchAtomic,
            "C switch R S; A say 1 R; *A say 1 R; *C switch R S; C switched R S; B hear A1 R",
        ),
    ];
    assert_accused(with_witness(), &stories);
    // All but the message nobody heard are beyond what clients can tell.
    for (_, story) in stories.iter().filter(|(_, story)| !story.ends_with("A acked 1")) {
        assert_clean(Options { silence_is_loss: false, ..clients_only() }, &[story]);
    }
}

#[test]
fn a_lying_witness_acquits_nobody() {
    // It says that C had left, or joined nothing; clients know better.
    let options = || Options { silence_is_loss: false, ..with_witness() };
    assert_accused(
        options(),
        &[
            (JoinThenHear, "*C leave R; A say 1 R; *A say 1 R; A acked 1; B hear A1 R"),
            (
                SilentAfterLeave,
                "C leave R; C left R; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R",
            ),
            (
                NoDuplicate,
                "A say 1 R; *A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R; C hear A1 R",
            ),
        ],
    );
}

#[test]
fn what_a_correct_server_may_do_is_not_held_against_it() {
    assert_clean(
        clients_only(),
        &[
            // A rejoin changes nothing, granted or refused.
            "A say 1 R; C join R; B hear A1 R; C hear A1 R; C joined R",
            "C join R; C refused join R; A say 1 R; B hear A1 R; C hear A1 R",
            "C switch R R; A say 1 R; B hear A1 R; C hear A1 R; C switched R R",
            // While a join, a leave or a switch is open, anything goes.
            "D join R; A say 1 R; B hear A1 R; C hear A1 R; D joined R",
            "D join R; A say 1 R; B hear A1 R; C hear A1 R; D hear A1 R; D joined R",
            "C leave R; A say 1 R; B hear A1 R; C left R",
            "A say 1 R; C leave R; B hear A1 R; C left R",
            "A say 1 R; B hear A1 R; C leave R; C join R; C hear A1 R; C left R; C joined R",
            "D join R; D leave R; A say 1 R; B hear A1 R; C hear A1 R; D joined R; D hear A1 R; D left R",
            // Hearing R after S is fine if it asked for R again.
            "D join S; D joined S; C switch R S; C join R; D say 1 S; C hear D1 S; A say 1 R; B hear A1 R; C hear A1 R; C switched R S; C joined R",
            // A refused switch leaves it where it was.
            "C switch R S; A say 1 R; B hear A1 R; C hear A1 R; C refused switch R S; A say 2 R; B hear A2 R; C hear A2 R",
            // A connection that ends is owed nothing.
            "A say 1 R; A acked 1; B hear A1 R; C disconnect",
            "A say 1 R; B hear A1 R; C disconnect; C connect; C join R; C joined R",
            // Without a sign, and the sender's connection gone or its membership in doubt, it may never have been accepted.
            "A say 1 R; A disconnect",
            "A say 1 R; A disconnect; A connect; A join R; A joined R",
            "D say 1 R",
            "A leave R; A say 1 R; A left R",
            "A say 1 R; A refused message 1",
            // What was under way on the old connection comes after what is said on the new one, also to its sender.
            "A say 1 R; A disconnect; A connect; A join R; A joined R; A say 2 R; B hear A2 R; C hear A2 R; B hear A1 R; C hear A1 R; A hear A1 R",
            "C join R; C disconnect; C connect; A say 1 R; B hear A1 R",
            // Who is in no room with another may hear things in another order.
            "D join R; D joined R; A say 1 R; B say 1 R; A hear B1 R; B hear A1 R; C hear A1 R; D hear A1 R; C hear B1 R; D hear B1 R",
            "A ask 1; A ask 2; A answered 1; A answered 2; A ask 3; A disconnect; A connect; A ask 4; A answered 4",
            "A foreign",
        ],
    );
}

#[test]
fn numbers_start_anew_in_a_room_that_was_empty() {
    assert_clean(
        with_seq(),
        &[
            "D join S; D joined S; D say 1 S; D acked 1 #1; D leave S; D left S; D join S; D joined S; D say 2 S; D acked 2 #1",
            // The server is a new one; C does not know yet that its connection is gone.
            "A say 1 R; B hear A1 R #1; C hear A1 R #1; A disconnect; B disconnect; A connect; B connect;
                A join R; A joined R; B join R; B joined R; A say 2 R; B hear A2 R #1; C disconnect",
        ],
    );
}

#[test]
fn a_sender_that_should_hear_itself_is_a_member_like_others() {
    let options = || Options { sender_hears: true, ..clients_only() };
    assert_clean(options(), &["A say 1 R; A hear A1 R; B hear A1 R; C hear A1 R"]);
    assert_accused(
        options(),
        &[
            (SenderExcluded, "A say 1 R; B hear A1 R; C hear A1 R"),
            (NoDuplicate, "A say 1 R; A hear A1 R; B hear A1 R; C hear A1 R; A hear A1 R"),
        ],
    );
}

#[test]
fn pairs_are_counted_exactly() {
    let story =
        "D join R; A say 1 R; B hear A1 R; D hear A1 R; C hear A1 R; C hear A1 R; D joined R;
        A say 2 R; B hear A2 R; D disconnect; B foreign; B say 1 R; B disconnect";
    let verdict = judge(story, clients_only());
    // A1 was for B and C, and D heard it while joining; A2 was for B, C and D,
    // of whom C lost it and D went away; of B1 nobody knows, and A and C wait for it in vain.
    let expected = (4, 3, 1, 1, 1, 3, 1);
    let Verdict {
        expected: required,
        delivered,
        lost,
        unrequired,
        duplicate,
        indeterminate,
        foreign,
        ..
    } = verdict;
    assert_eq!(
        (required, delivered, lost, unrequired, duplicate, indeterminate, foreign),
        expected,
        "{verdict:#?}"
    );
}

#[test]
fn silence_is_loss_only_if_the_server_never_refuses_in_silence() {
    let story = "A say 1 R";
    let lost = judge(story, clients_only());
    assert_eq!((lost.expected, lost.lost, lost.count(JoinThenHear)), (2, 2, 2));
    let unknown = judge(story, Options { silence_is_loss: false, ..clients_only() });
    assert_eq!((unknown.expected, unknown.lost, unknown.indeterminate), (0, 0, 2));
    assert!(unknown.is_clean());
}

#[test]
fn only_the_first_violations_are_told_and_all_are_counted() {
    let story = "C foreign;".repeat(3) + &"B hear A1 R;".repeat(100);
    let verdict = judge(&story, Options { stories_max: 7, ..clients_only() });
    assert_eq!(
        (verdict.violations.len(), verdict.count(NoInvention), verdict.foreign),
        (7, 100, 3)
    );
    assert_eq!(
        verdict.violations[0].story,
        "client 1 heard message 1 of client 0 in room 0, which was never sent"
    );
}

#[test]
fn what_is_lost_to_a_guarantee_not_judged_is_still_lost() {
    let judged = super::super::Guarantees::FOREIGN;
    for story in ["A say 1 R; A acked 1", "A say 1 R"] {
        let verdict = judge(story, Options { judged, ..clients_only() });
        assert_eq!((verdict.lost, verdict.count(JoinThenHear)), (2, 2), "{story}");
    }
}

#[test]
fn who_goes_on_over_another_connection_hears_one_stream() {
    for options in [clients_only(), with_witness()] {
        assert_accused(
            options.clone(),
            &[
                (JoinThenHear, "A say 1 R; *A say 1 R; C interrupted; B hear A1 R"),
                (JoinThenHear, "C interrupted; A say 1 R; *A say 1 R; B hear A1 R"),
                (
                    NoDuplicate,
                    "A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R; C interrupted; C hear A1 R",
                ),
                (
                    SenderExcluded,
                    "A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R; A interrupted; A hear A1 R",
                ),
            ],
        );
        assert_clean(
            options,
            &[
                "C interrupted; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R",
                // What it said last, or asked, may have come too late.
                "A say 1 R; A interrupted",
                "C leave R; C interrupted; *C leave R; A say 1 R; *A say 1 R; B hear A1 R",
                "C leave R; C interrupted; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R",
                "D join R; D interrupted; *D join R; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R;
                D hear A1 R",
                "D join R; D interrupted; A say 1 R; *A say 1 R; B hear A1 R; C hear A1 R",
                "C switch R S; C interrupted; *C switch R S; *C join S; A say 1 R; *A say 1 R; B hear A1 R",
                "A ask 1; A ask 2; A interrupted; A ask 3; A answered 3",
            ],
        );
    }
    let judged = Guarantees::ALL.without(RoomTotalOrder);
    assert_accused(
        Options { judged, ..clients_only() },
        &[(
            SenderFifo,
            "A say 1 R; *A say 1 R; A say 2 R; *A say 2 R; B hear A1 R; B hear A2 R;
                C hear A2 R; C interrupted; C hear A1 R",
        )],
    );
    // A room that was empty meanwhile counts anew.
    for again in ["", "C join R; C joined R;"] {
        let story = format!(
            "A say 1 R; A acked 1 #1; B hear A1 R #1; C leave R; C interrupted; C hear A1 R #1; {again}
             A leave R; A left R; B leave R; B left R; A join R; A joined R;
             A say 2 R; A acked 2 #1; C hear A2 R #1"
        );
        assert_clean(with_seq(), &[&story]);
    }
    // The next answer makes it known again.
    assert_accused(
        clients_only(),
        &[
            (
                JoinThenHear,
                "C leave R; C interrupted; C join R; C joined R; A say 1 R; B hear A1 R",
            ),
            (
                SilentAfterLeave,
                "D join R; D interrupted; D leave R; D left R; A say 1 R; B hear A1 R; C hear A1 R; D hear A1 R",
            ),
        ],
    );
}
