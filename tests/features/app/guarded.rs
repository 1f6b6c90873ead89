//! Middleware: who gets in, and which packets do.

use parlor::{Admission, Namespace, Raw, Refusal, Socket};
use serde_json::{Value, json};

/// Two guards, the first of which takes its time.
pub(super) fn admissions(here: &mut Namespace) {
    here.on_admission(async |admission: Admission| {
        tokio::task::yield_now().await;
        match admission.auth["token"].as_str() {
            Some("secret") => Ok(()),
            Some(_) => Err(Refusal { data: json!({ "code": 7 }), ..Refusal::new("wrong token") }),
            None => Err(Refusal::new("no token")),
        }
    });
    here.on_admission(async |admission: Admission| match age(&admission.auth) {
        Some(18..) => Ok(()),
        Some(_) | None => Err(Refusal::new("too young")),
    });
    here.on_connection(async |socket: Socket| socket.emit("welcome", ()));
}

/// A number, or a text of one: what clients of Socket.IO 2 send is a query.
fn age(auth: &Value) -> Option<u64> {
    let age = &auth["age"];
    age.as_u64().or_else(|| age.as_str()?.parse().ok())
}

/// Two guards of packets.
pub(super) fn filters(here: &mut Namespace) {
    here.on_packet(async |_: Socket, raw: Raw| {
        tokio::task::yield_now().await;
        let is_long = raw.arguments().any(|argument| argument.len() > 100);
        if is_long { Err(Refusal::new("too long")) } else { Ok(()) }
    });
    here.on_packet(async |_: Socket, raw: Raw| {
        let is_rude = raw.arguments().any(|argument| argument.contains("damn"));
        if is_rude { Err(Refusal::new("too rude")) } else { Ok(()) }
    });
    here.on("mutter", async |socket: Socket, raw: Raw| socket.emit("muttered", raw));
}
