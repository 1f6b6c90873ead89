//! At the bounds of what is remembered, and one past them.

use super::super::Guarantee::*;
use super::super::{Checker, ClientId, MessageId, Options, OrderBy, Record, RoomId, Verdict};
use super::correct;
use super::script::facts;

const TWO_IN_R: &str =
    "A connect; B connect; C connect; A join R; A joined R; B join R; B joined R;";

fn judge(story: &str, options: Options) -> Verdict {
    correct::judge(
        &facts(&[TWO_IN_R, story].concat()),
        Options { order: OrderBy::Graph, ..options },
    )
}

/// A checker that remembers two messages, and of older ones those that miss a receiver.
fn forgetful() -> Options {
    Options { messages_max: 2, incomplete_max: 2, ..Options::default() }
}

/// A says `first` to `last`, and B hears it.
fn heard(first: u64, last: u64) -> String {
    (first..=last).map(|number| format!("A say {number} R; B hear A{number} R;")).collect()
}

#[test]
fn a_copy_of_a_forgotten_message_is_still_a_duplicate() {
    let verdict = judge(
        &[&heard(1, 9), "B hear A1 R; B hear A7 R; B hear A8 R; B hear A9 R"].concat(),
        forgetful(),
    );
    assert_eq!((verdict.count(NoDuplicate), verdict.duplicate, verdict.overflow), (4, 4, None));
}

#[test]
fn what_else_is_wrong_with_a_forgotten_message_is_still_seen() {
    for (guarantee, story) in [
        (NoInvention, "B hear A20 R"),
        (NoInvention, "B hear A1 R corrupted"),
        (NoInvention, "B hear A1 R from C"),
        (RoomIsolation, "B hear A1 S"),
        (RoomIsolation, "C hear A1 R"),
        (SenderExcluded, "A hear A1 R"),
        (SilentAfterLeave, "B leave R; B left R; B hear A1 R"),
        (SilentBeforeJoin, "C join R; C joined R; C hear A1 R"),
    ] {
        let verdict = judge(&[&heard(1, 9), story].concat(), forgetful());
        let total: u64 =
            super::super::Guarantee::ALL.iter().map(|&guarantee| verdict.count(guarantee)).sum();
        assert_eq!(
            (verdict.count(guarantee), total, verdict.overflow),
            (1, 1, None),
            "{story}: {verdict:#?}"
        );
    }
}

#[test]
fn the_refusal_of_a_forgotten_message_is_a_lie_only_after_a_sign_of_it() {
    let story =
        "B leave R; B left R; A say 1 R; A acked 1; A say 2 R; A say 3 R; A say 4 R; A say 5 R;";
    let verdict = judge(&[story, "A refused message 2"].concat(), forgetful());
    assert!(verdict.is_clean(), "{verdict:#?}");
    let verdict = judge(&[story, "A refused message 1"].concat(), forgetful());
    assert_eq!((verdict.count(AckMeansAccepted), verdict.overflow), (1, None));
}

#[test]
fn as_many_old_messages_may_miss_a_receiver_as_the_bound_says() {
    let missed = "A say 1 R; A say 2 R;";
    let verdict = judge(&[missed, &heard(3, 9), "B hear A1 R; B hear A2 R"].concat(), forgetful());
    assert_eq!(
        (verdict.reordered, verdict.lost, verdict.delivered, verdict.overflow),
        (2, 0, 9, None)
    );

    let verdict = judge(&[missed, &heard(3, 9)].concat(), forgetful());
    assert_eq!((verdict.lost, verdict.delivered, verdict.overflow), (2, 7, None));

    let verdict = judge(&[missed, "A say 3 R;", &heard(4, 9)].concat(), forgetful());
    assert_eq!(verdict.overflow, Some("too many messages miss a receiver"));
}

#[test]
fn a_first_delivery_that_nobody_can_judge_any_more_is_an_overflow() {
    // C was joining when A spoke: it may hear A1, or not; but so late?
    let verdict =
        judge(&["C join R;", &heard(1, 9), "C joined R; C hear A1 R"].concat(), forgetful());
    assert_eq!(verdict.overflow, Some("a delivery is of a message too old to judge"));
    assert!(verdict.violations.is_empty());
}

#[test]
fn a_deadline_is_missed_by_what_arrives_after_it() {
    // Every sentence takes a microsecond.
    let on_time = judge(
        "A say 1 R; B foreign; B hear A1 R",
        Options { deadline_us: Some(3), ..Options::default() },
    );
    assert_eq!((on_time.delivered, on_time.lost, on_time.late), (1, 0, 0));
    let late = judge(
        "A say 1 R; A acked 1; B hear A1 R",
        Options { deadline_us: Some(2), ..Options::default() },
    );
    assert_eq!((late.delivered, late.lost, late.late, late.count(AckMeansAccepted)), (0, 1, 1, 1));
    // Whether it was accepted at all is known only when it arrives.
    let unknown = judge(
        "A say 1 R; B foreign; B hear A1 R",
        Options { deadline_us: Some(2), ..Options::default() },
    );
    assert_eq!((unknown.delivered, unknown.lost, unknown.late), (0, 1, 1));
}

#[test]
fn slots_of_those_who_left_are_used_again() {
    let room = RoomId(0);
    let mut checker = Checker::new(forgetful());
    let mut observe = |record| checker.observe(0, &record);
    for client in (0..1000).map(ClientId) {
        let message = MessageId { sender: client, number: 1 };
        observe(Record::Connected { client });
        observe(Record::JoinSent { client, room });
        observe(Record::JoinAcked { client, room });
        observe(Record::Sent { message, room });
        if let Some(other) = client.0.checked_sub(1).map(ClientId) {
            let delivered = Record::Delivered {
                client: other,
                room,
                message,
                from: None,
                seq: Some(client.0.into()),
                intact: true,
            };
            observe(delivered);
            observe(Record::LeaveSent { client: other, room });
            observe(Record::LeaveAcked { client: other, room });
        }
    }
    assert!(checker.rooms[0].members.len() < 20, "{} slots", checker.rooms[0].members.len());
    let verdict = checker.finish(0);
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!(verdict.delivered, 999);
}
