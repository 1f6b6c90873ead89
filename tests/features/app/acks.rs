//! Questions that clients answer, one or many of them.

use std::time::Duration;

use parlor::app::Unanswered;
use parlor::{Ack, Namespace, Socket};
use serde_json::Value;

use super::words::Whom;

pub(super) fn questions(here: &mut Namespace) {
    here.on("ask-me", async |socket: Socket, (what,): (Value,), ack: Ack| {
        match socket.emit_with_ack("question", what).await {
            Ok(answer) => ack.send(value(answer.json())),
            Err(error) => ack.refuse(&error.to_string()),
        }
    });
    here.on("ask-me-soon", async |socket: Socket, (milliseconds,): (u64,), ack: Ack| {
        let timeout = Duration::from_millis(milliseconds);
        match socket.timeout(timeout).emit_with_ack("question", ()).await {
            Ok(answer) => ack.send(value(answer.json())),
            Err(error) => ack.refuse(&error.to_string()),
        }
    });
    here.on("ask-all", async |socket: Socket, (whom, what): (Whom, Value), ack: Ack| {
        let replies = whom.emitter(&socket).emit_with_ack("question", what).await;
        let (answers, missing) = match replies {
            Ok(answers) => (answers, 0),
            Err(Unanswered { answers, missing }) => (answers, missing),
        };
        let answers: Vec<Value> = answers.iter().map(|answer| value(answer.json())).collect();
        ack.send((answers, missing));
    });
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("arguments are JSON")
}
