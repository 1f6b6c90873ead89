//! Attachments, whatever takes them: events and acks, both ways.

use parlor::app::ToArgs;
use parlor::socketio::Args;
use parlor::{Ack, Namespace, Raw, Socket};

pub(super) fn attachments(here: &mut Namespace) {
    here.on("echo", async |_: Socket, raw: Raw, ack: Ack| ack.send(raw));
    here.on("back", async |socket: Socket, raw: Raw| socket.emit("binary", raw));
    here.on("share", async |socket: Socket, raw: Raw, ack: Ack| {
        socket.broadcast().emit("binary", raw);
        ack.send(());
    });
    here.on("ask-me", async |socket: Socket, raw: Raw, ack: Ack| {
        match socket.emit_with_ack("question", raw).await {
            Ok(answer) => ack.send(Answer(answer)),
            Err(error) => ack.refuse(&error.to_string()),
        }
    });
}

/// The arguments of an ack, to be sent on as they came.
struct Answer(Args<'static>);

impl ToArgs for Answer {
    fn write(&self, json: &mut String) {
        let elements: Vec<&str> = self.0.elements().collect();
        json.push_str(&elements.join(","));
    }

    fn attachments(&self) -> &[bytes::Bytes] {
        self.0.attachments()
    }
}
