//! The client's transports, step by step.

use super::*;

fn actions(transports: &mut Transports, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    transports.handle(event, &mut actions);
    actions
}

/// Plays events, each with the actions that it is to cause.
fn play(script: &[(Event, &[Action])]) -> Transports {
    let mut transports = Transports::new();
    for (place, (event, expected)) in script.iter().enumerate() {
        assert_eq!(actions(&mut transports, *event), *expected, "{place}: {event:?}");
    }
    transports
}

const OPENED: (Event, &[Action]) =
    (Event::Opened { upgrades: true }, &[Action::Probe, Action::Get]);

#[test]
fn nothing_is_posted_before_the_session_is_open() {
    play(&[
        (Event::Queued, &[]),
        (Event::Opened { upgrades: false }, &[Action::Post, Action::Get]),
    ]);
}

#[test]
fn one_request_of_each_kind_is_under_way() {
    play(&[
        (Event::Opened { upgrades: false }, &[Action::Get]),
        (Event::Queued, &[Action::Post]),
        (Event::Queued, &[]),
        (Event::GetAnswered, &[Action::Get]),
        (Event::PostAnswered, &[Action::Post]),
        (Event::PostAnswered, &[]),
    ]);
}

#[test]
fn client_goes_over_once_all_it_asked_is_answered() {
    for [first, last] in
        [[Event::GetAnswered, Event::PostAnswered], [Event::PostAnswered, Event::GetAnswered]]
    {
        let transports = play(&[
            OPENED,
            (Event::Queued, &[Action::Post]),
            (Event::ProbeAnswered, &[]),
            (Event::Queued, &[]),
            (first, &[]),
            (Event::Queued, &[]),
            (last, &[Action::Upgrade]),
            (Event::Queued, &[]),
        ]);
        assert!(transports.is_upgraded());
    }
}

#[test]
fn client_polls_and_posts_while_the_probe_is_unanswered() {
    play(&[
        OPENED,
        (Event::Queued, &[Action::Post]),
        (Event::GetAnswered, &[Action::Get]),
        (Event::PostAnswered, &[]),
        (Event::Queued, &[Action::Post]),
    ]);
}

#[test]
fn a_probe_that_fails_leaves_polling_as_it_was() {
    play(&[OPENED, (Event::ProbeFailed, &[Action::DropProbe]), (Event::ProbeAnswered, &[])]);
    let transports = play(&[
        OPENED,
        (Event::ProbeAnswered, &[]),
        (Event::Queued, &[]),
        (Event::ProbeFailed, &[Action::DropProbe, Action::Post]),
        (Event::GetAnswered, &[Action::Get]),
        (Event::PostAnswered, &[]),
    ]);
    assert!(!transports.is_upgraded() && !transports.is_upgrading());
}

#[test]
fn a_close_goes_by_post_after_what_is_queued() {
    let transports = play(&[
        OPENED,
        (Event::Queued, &[Action::Post]),
        (Event::ProbeAnswered, &[]),
        (Event::Queued, &[]),
        (Event::Close, &[Action::DropProbe]),
        (Event::GetAnswered, &[]),
        (Event::PostAnswered, &[Action::Post]),
    ]);
    assert!(!transports.is_closed());
    let mut transports = transports;
    assert_eq!(actions(&mut transports, Event::PostAnswered), []);
    assert!(transports.is_closed());
}

#[test]
fn who_closes_before_the_session_is_open_probes_nothing() {
    play(&[(Event::Close, &[]), (Event::Opened { upgrades: true }, &[])]);
}
