//! What the rest of the program does with a handle, from threads without a runtime
//! of the engine's.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use parlor::app::{Handle, HandleError, Unanswered};
use serde_json::{Value, json};

use crate::peer::Peer;
use crate::server::on_shards;

/// On a thread of its own, which has no runtime but what this needs.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn a_plain_thread_says_what_comes_through_its_channel_in_order() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/");
        for peer in &mut peers[..3] {
            peer.ask(&json!(["join", "a"]));
        }
        peers[1].ask(&json!(["join", "b"]));
        for handle in &server.handles {
            let (orders, waiting) = sync_channel::<u32>(8);
            let handle = handle.clone();
            let thread = thread::spawn(move || {
                for number in waiting {
                    let a = handle.of("/").to("a").except("b");
                    if number % 2 == 0 {
                        block_on(a.emit("said", number)).expect("the server lives");
                    } else {
                        while a.clone().try_emit("said", number) == Err(HandleError::Full) {}
                    }
                }
                block_on(handle.of("/").fetch_sockets()).expect("the server lives").len()
            });
            (0..100).for_each(|number| orders.send(number).expect("the thread lives"));
            drop(orders);
            assert_eq!(thread.join().expect("it does not panic"), 4);
            for (at, peer) in peers.iter_mut().enumerate() {
                let expected = if at % 2 == 0 { 0..100 } else { 0..0 };
                let expected: Vec<Value> = expected.map(|n| json!(["said", n])).collect();
                assert_eq!(peer.heard(), expected, "peer {at}");
            }
        }
    });
}

#[test]
fn what_one_handle_does_in_turn_takes_effect_in_turn() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/");
        let ids = peers.each_ref().map(|peer| peer.id.clone());
        for handle in &server.handles {
            block_on(async {
                let all = || handle.of("/");
                for round in 0..5 {
                    all().to(&ids[0]).to(&ids[3]).sockets_join("a").await?;
                    all().to("a").emit("said", (round, "in")).await?;
                    let mut found = all().to("a").fetch_sockets().await?;
                    found.sort_by_key(|found| found.id().as_str() != ids[0]);
                    let seen = found.iter().map(|found| (found.id().to_string(), found.rooms()));
                    let a: &[Box<str>] = &["a".into()];
                    assert!(seen.eq([(ids[0].clone(), a), (ids[3].clone(), a)]), "{found:?}");
                    all().to(&ids[3]).sockets_leave("a").await?;
                    all().to("a").emit("said", (round, "left")).await?;
                    all().to("a").sockets_leave("a").await?;
                    all().to("a").emit("said", (round, "nobody")).await?;
                }
                // What was only handed over has taken effect when this is answered.
                all().fetch_sockets().await?;
                Ok::<_, HandleError>(())
            })
            .expect("the server lives");
            let rounds = |words: &'static [&str]| {
                let words = move |round| words.iter().map(move |word| json!(["said", round, word]));
                (0..5).flat_map(words).collect::<Vec<Value>>()
            };
            for (peer, words) in peers.iter_mut().zip([&["in", "left"][..], &[], &[], &["in"]]) {
                assert_eq!(peer.heard(), rounds(words));
            }
        }
    });
}

#[test]
fn answers_of_all_sockets_come_to_another_thread() {
    on_shards(|server| {
        let mut peers: [Peer; 3] = server.peers("/");
        for handle in &server.handles {
            for timeout in [None, Some(Duration::from_millis(300))] {
                let handle = handle.clone();
                let asking = thread::spawn(move || ask(&handle, timeout));
                for (at, peer) in peers.iter_mut().enumerate() {
                    let question = peer.event();
                    assert_eq!(question.json, json!(["how", "much"]));
                    if at < 2 || timeout.is_none() {
                        peer.answer(&question, &json!([at]));
                    }
                }
                let (mut answers, missing) = asking.join().expect("it does not panic");
                answers.sort();
                match timeout {
                    None => assert_eq!((&*answers.join(" "), missing), ("[0] [1] [2]", 0)),
                    Some(_) => assert_eq!((&*answers.join(" "), missing), ("[0] [1]", 1)),
                }
            }
        }
    });
}

/// The answers as JSON, and how many are missing.
fn ask(handle: &Handle, timeout: Option<Duration>) -> (Vec<String>, usize) {
    let all = handle.of("/");
    let all = timeout.into_iter().fold(all, |all, timeout| all.timeout(timeout));
    let shown = |answers: Vec<parlor::socketio::Args<'_>>| {
        answers.iter().map(|answer| answer.json().to_string()).collect()
    };
    match block_on(all.emit_with_ack("how", "much")) {
        Ok(answers) => (shown(answers), 0),
        Err(HandleError::Unanswered(Unanswered { answers, missing })) => (shown(answers), missing),
        Err(error @ (HandleError::Ended | HandleError::Full)) => panic!("{error}"),
    }
}

#[test]
fn a_handle_ends_sockets_on_every_shard() {
    on_shards(|server| {
        let mut peers: [Peer; 4] = server.peers("/");
        let [kept, ended @ ..] = &mut peers;
        let handle = server.handles.last().expect("a shard");
        let others = handle.of("/").except(&kept.id);
        block_on(others.disconnect_sockets(true)).expect("the server lives");
        for peer in ended {
            assert_eq!(peer.end().1, Some(1000));
        }
        let left = block_on(handle.of("/").fetch_sockets()).expect("the server lives");
        assert!(left.iter().map(|left| left.id().to_string()).eq([kept.id.clone()]));
    });
}

#[test]
fn there_is_nobody_in_a_namespace_that_does_not_exist() {
    on_shards(|server| {
        let nobody = || server.handles[0].of("/nobody");
        assert_eq!(block_on(nobody().emit("said", ())), Ok(()));
        assert_eq!(block_on(nobody().fetch_sockets()), Ok(Vec::new()));
        assert_eq!(block_on(nobody().emit_with_ack("how", "much")), Ok(Vec::new()));
    });
}

#[test]
fn after_the_end_of_the_server_every_call_says_so() {
    on_shards(|server| {
        let handles = {
            let other = crate::server::Server::start(server.shards, parlor::Config::default());
            let handles = other.handles.clone();
            other.stop();
            handles
        };
        for handle in handles {
            let all = || handle.of("/");
            assert_eq!(all().try_emit("said", ()), Err(HandleError::Ended));
            block_on(async {
                assert_eq!(all().emit("said", ()).await, Err(HandleError::Ended));
                assert_eq!(all().emit_with_ack("a", ()).await, Err(HandleError::Ended));
                assert_eq!(all().fetch_sockets().await, Err(HandleError::Ended));
                assert_eq!(all().sockets_join("a").await, Err(HandleError::Ended));
                assert_eq!(all().sockets_leave("a").await, Err(HandleError::Ended));
                assert_eq!(all().disconnect_sockets(true).await, Err(HandleError::Ended));
            });
        }
    });
}
