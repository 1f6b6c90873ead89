//! What operators may do. Nothing is answered; what it causes is told as
//! whatever else happens.
//!
//! A shard does not know namespaces that were made of a template elsewhere. So
//! a command about one that is not known here goes to all shards, and the one
//! that keeps its order follows it.

use bytes::Bytes;

use super::texts;
use crate::app::{Emitter, Engine, Namespace, Raw, Socket};
use crate::socketio::{Args, RESERVED_EVENTS};

/// What other shards are told.
const COMMAND: &str = "command";

pub(super) fn register(namespace: &mut Namespace) {
    for name in ["emit", "join", "leave", "_disconnect"] {
        namespace.on(name, command);
    }
    namespace.on_server_side(COMMAND, |emitter: Emitter, raw: Raw| {
        // The command lies behind the name by which it came here.
        let command = Raw(Args::new(without_first(&raw), raw.0.attachments().to_vec()));
        let engine = emitter.engine();
        let Some(Some(name)) = texts(&command).next() else { return };
        if engine.is_home(&name) {
            follow(&engine, &name, &command);
        }
    });
}

async fn command(socket: Socket, raw: Raw) {
    let engine = socket.engine();
    let Some(Some(name)) = texts(&raw).next() else { return };
    tracing::info!(command = &*raw.0.event(), namespace = name, "an operator's command");
    if !follow(&engine, &name, &raw) {
        socket.server_side_emit_json(
            &format!("[\"{COMMAND}\",{}", &raw.0.json()[1..]),
            raw.0.attachments(),
        );
    }
}

/// Does what is asked for in a namespace; says whether that is known here.
fn follow(engine: &Engine, namespace: &str, raw: &Raw) -> bool {
    let Some(everybody) = engine.of(namespace) else { return false };
    let arguments: Vec<&str> = raw.arguments().skip(1).collect();
    let text = |place: usize| texts(raw).nth(place + 1).flatten();
    // An empty one is as good as none.
    let whom = |place| match text(place).filter(|filter| !filter.is_empty()) {
        Some(filter) => everybody.clone().to(&filter),
        None => everybody.clone(),
    };
    match &*raw.0.event() {
        "emit" => emit(whom(0), raw, &arguments),
        "join" => text(0).into_iter().for_each(|room| whom(1).sockets_join(&room)),
        "leave" => text(0).into_iter().for_each(|room| whom(1).sockets_leave(&room)),
        "_disconnect" => whom(1).disconnect_sockets(arguments.first() == Some(&"true")),
        _ => {}
    }
    true
}

/// The event is what comes behind the filter.
fn emit(to: Emitter, raw: &Raw, arguments: &[&str]) {
    let Some(Ok(name)) = arguments.get(1).map(|name| serde_json::from_str::<String>(name)) else {
        return;
    };
    if RESERVED_EVENTS.contains(&&*name) {
        return;
    }
    let (mut json, mut attachments) = (String::from("["), Vec::<Bytes>::new());
    for (place, argument) in arguments[1..].iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        raw.0.forward(argument, &mut json, &mut attachments);
    }
    json.push(']');
    to.emit_json(&json, &attachments);
}

/// The arguments, as an event of their own.
fn without_first(raw: &Raw) -> String {
    let arguments: Vec<&str> = raw.arguments().collect();
    format!("[{}]", arguments.join(","))
}
