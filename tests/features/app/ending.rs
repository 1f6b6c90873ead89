//! The ends of sockets, and what is said of them.

use std::sync::mpsc::SyncSender;

use parlor::{Namespace, Reason, Socket};
use serde_json::json;

pub(super) fn farewells(here: &mut Namespace, farewell: SyncSender<String>) {
    here.on_disconnecting(async |socket: Socket, reason: Reason| {
        let (id, mut rooms) = (socket.id(), socket.rooms());
        rooms.sort();
        socket.namespace().emit("going", (id.as_str(), reason.as_str(), rooms));
    });
    here.on_disconnect(async move |socket: Socket, reason: Reason, mut rooms: Vec<Box<str>>| {
        rooms.sort();
        let (id, reason) = (socket.id(), reason.as_str());
        // Whoever was in a room with it can still be told.
        for room in &rooms {
            socket.to(room).emit("left", (id.as_str(), room));
        }
        let now = (socket.rooms(), socket.is_connected());
        socket.namespace().emit("gone", (id.as_str(), reason, &rooms, now));
        farewell.try_send(json!([id.as_str(), reason]).to_string()).expect("a few at most");
    });
    here.on("go", async |socket: Socket, (close,): (bool,)| socket.disconnect(close));
    here.on("panic", async |_: Socket, (): ()| panic!("a handler panics, as this test wants"));
    here.on("panic-later", async |_: Socket, (): ()| {
        tokio::task::yield_now().await;
        panic!("a handler panics after a while, as this test wants");
    });
    here.on("stuff", async |socket: Socket, (): ()| {
        // More than the system's buffers and the outbound limit together.
        let filler = "x".repeat(1 << 20);
        (0..32).for_each(|_| socket.emit("stuffed", &filler));
    });
}
