//! Timelines: what comes, and what is done about it.

use super::Action::{
    Adopt, AnswerPost, DropProbe, HoldGet, HoldPost, HoldProbe, Refuse, RefuseProbe, ReplyProbe,
};
use super::*;

const ANSWER_CLOSE: Action = Action::Answer(Answer::Close);
const ANSWER_NOOP: Action = Action::Answer(Answer::Noop);
const ANSWER_QUEUE: Action = Action::Answer(Answer::Queue);
const BROKEN: Action = Action::Ended(End::Broken);
const GONE: Action = Refuse(Refusal::Gone);
const BAD: Action = Refuse(Refusal::BadRequest);

/// Applies each event and compares what it causes.
fn timeline(steps: &[(Event<'_>, &[Action])]) -> Session {
    let mut session = Session::default();
    for (at, (event, expected)) in steps.iter().enumerate() {
        let mut actions = Vec::new();
        session.handle(*event, &mut actions);
        assert_eq!(actions, *expected, "step {at}: {event:?}");
    }
    session
}

#[test]
fn a_get_waits_for_something_to_be_queued() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Queued, &[ANSWER_QUEUE]),
        (Event::Queued, &[]),
        (Event::Queued, &[]),
        (Event::Get, &[HoldGet, ANSWER_QUEUE]),
        (Event::Get, &[HoldGet]),
    ]);
}

#[test]
fn a_second_get_ends_the_session_and_the_first() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Get, &[ANSWER_CLOSE, BROKEN, BAD]),
        (Event::Get, &[GONE]),
        (Event::Post, &[GONE]),
    ]);
}

#[test]
fn a_second_post_ends_the_session_and_the_first() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Post, &[HoldPost]),
        (Event::Post, &[ANSWER_CLOSE, AnswerPost { ok: false }, BROKEN, BAD]),
        (Event::Post, &[GONE]),
    ]);
}

#[test]
fn an_aborted_request_ends_the_session() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::GetAborted, &[BROKEN]),
        (Event::Get, &[GONE]),
        (Event::GetAborted, &[]),
    ]);
    timeline(&[
        (Event::Post, &[HoldPost]),
        (Event::PostAborted, &[AnswerPost { ok: false }, BROKEN]),
        (Event::Get, &[GONE]),
    ]);
}

#[test]
fn an_answer_that_was_not_taken_ends_the_session_since_it_is_lost() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Queued, &[ANSWER_QUEUE]),
        (Event::GetAborted, &[BROKEN]),
    ]);
}

#[test]
fn a_close_packet_ends_the_get_with_a_noop() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Post, &[HoldPost]),
        (Event::CloseReceived, &[ANSWER_NOOP, AnswerPost { ok: true }, Action::Ended(End::Closed)]),
        (Event::Get, &[GONE]),
    ]);
}

#[test]
fn an_illegal_packet_ends_the_session() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Post, &[HoldPost]),
        (
            Event::PostIllegal,
            &[ANSWER_CLOSE, AnswerPost { ok: false }, Action::Ended(End::Illegal)],
        ),
    ]);
}

#[test]
fn the_server_closes_after_what_is_queued_and_says_so_alone() {
    timeline(&[
        (Event::Queued, &[]),
        (Event::Post, &[HoldPost]),
        (Event::Close, &[AnswerPost { ok: true }]),
        (Event::Post, &[GONE]),
        (Event::Probe, &[RefuseProbe]),
        (Event::Get, &[HoldGet, ANSWER_QUEUE]),
        (Event::Queued, &[]),
        (Event::Get, &[HoldGet, ANSWER_QUEUE]),
        (Event::Get, &[HoldGet, ANSWER_CLOSE]),
        (Event::Get, &[GONE]),
    ]);
    let session = timeline(&[(Event::Get, &[HoldGet]), (Event::Close, &[ANSWER_CLOSE])]);
    assert!(session.is_closed());
}

#[test]
fn a_silent_peer_is_told_nothing_but_that_it_is_over() {
    let session = timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Probe, &[HoldProbe]),
        (Event::End, &[ANSWER_CLOSE, DropProbe]),
        (Event::End, &[]),
    ]);
    assert!(session.is_closed());
}

#[test]
fn an_upgrade_ends_the_waiting_get_and_moves_the_queue() {
    timeline(&[
        (Event::Get, &[HoldGet]),
        (Event::Probe, &[HoldProbe]),
        (Event::ProbeText("2probe"), &[ReplyProbe, ANSWER_NOOP]),
        (Event::Get, &[HoldGet, ANSWER_NOOP]),
        (Event::Queued, &[]),
        (Event::Get, &[HoldGet, ANSWER_QUEUE]),
        (Event::Queued, &[]),
        (Event::ProbeText("5"), &[Adopt]),
        (Event::Queued, &[]),
        (Event::Get, &[BAD]),
        (Event::Post, &[BAD]),
        (Event::Probe, &[RefuseProbe]),
        (Event::Close, &[]),
        (Event::End, &[]),
        (Event::Get, &[GONE]),
    ]);
}

#[test]
fn what_a_probe_may_not_say_drops_it_and_polling_goes_on() {
    for words in
        [&["5"][..], &["2"], &["2probe", "2probe"], &["2probe", "4hello"], &["2probe", "5 "], &[""]]
    {
        let mut session = Session::default();
        let mut actions = Vec::new();
        session.handle(Event::Probe, &mut actions);
        words.iter().for_each(|word| session.handle(Event::ProbeText(word), &mut actions));
        assert_eq!(actions.last(), Some(&DropProbe), "{words:?}");
        actions.clear();
        session.handle(Event::Get, &mut actions);
        session.handle(Event::Queued, &mut actions);
        assert_eq!(actions, [HoldGet, ANSWER_QUEUE], "{words:?}");
    }
}

#[test]
fn an_upgrade_that_fails_leaves_polling_as_it_was() {
    for end in [Event::ProbeClosed, Event::ProbeLate] {
        timeline(&[
            (Event::Probe, &[HoldProbe]),
            (Event::ProbeText("2probe"), &[ReplyProbe]),
            (Event::Get, &[HoldGet, ANSWER_NOOP]),
            (end, &[DropProbe]),
            (end, &[]),
            (Event::Get, &[HoldGet]),
            (Event::Queued, &[ANSWER_QUEUE]),
            (Event::Probe, &[HoldProbe]),
        ]);
    }
}

#[test]
fn who_goes_over_with_a_post_under_way_is_not_let() {
    timeline(&[
        (Event::Probe, &[HoldProbe]),
        (Event::ProbeText("2probe"), &[ReplyProbe]),
        (Event::Post, &[HoldPost]),
        (Event::ProbeText("5"), &[DropProbe]),
        (Event::PostDone, &[AnswerPost { ok: true }]),
    ]);
}
