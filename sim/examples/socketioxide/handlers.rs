//! Parlor's chat, as somebody who uses socketioxide would write it.
//!
//! Every answer is sent after what it confirms. It has no `seq`, since a socketioxide
//! application has no order of a room to number, and no `watch`. Handlers await only what
//! socketioxide has them await, unless they are to [wait](Waits) first, as for a database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::socket::Sid;
use tokio::time::sleep;

/// Registers the chat on the main namespace; `server` is what `hello` calls this start.
pub(crate) fn register(io: &SocketIo, server: String) {
    io.ns("/", async move |socket: SocketRef| {
        socket.on("join", join);
        socket.on("leave", leave);
        socket.on("switch", switch);
        socket.on("message", message);
        socket.on("echo", echo);
        // Last, so that who hears it is listened to.
        socket.emit("hello", &json!({ "id": socket.id, "server": server })).ok();
    });
}

/// What a client sends.
#[derive(Deserialize)]
struct Message {
    room: String,
    body: Body,
}

/// What the other members get.
#[derive(Serialize)]
struct Envelope<'a> {
    room: &'a str,
    from: Sid,
    body: &'a Body,
}

/// A body of the simulation's clients, in the order in which they write it.
#[derive(Deserialize, Serialize)]
struct Body {
    by: u32,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    filling: Option<String>,
    // Not in an option: there it is not seen that they are binary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<bytes::Bytes>,
}

async fn join(socket: SocketRef, Data(room): Data<String>, ack: AckSender) {
    wait().await;
    socket.join(room.clone());
    ack.send(&json!({ "ok": true, "members": members(&socket, room) })).ok();
}

async fn leave(socket: SocketRef, Data(room): Data<String>, ack: AckSender) {
    wait().await;
    if !is_in(&socket, &room) {
        return refuse(ack);
    }
    socket.leave(room);
    ack.send(&json!({ "ok": true })).ok();
}

async fn switch(socket: SocketRef, Data((previous, next)): Data<(String, String)>, ack: AckSender) {
    wait().await;
    if !is_in(&socket, &previous) {
        return refuse(ack);
    }
    socket.leave(previous);
    socket.join(next.clone());
    ack.send(&json!({ "ok": true, "members": members(&socket, next) })).ok();
}

async fn message(socket: SocketRef, Data(message): Data<Message>, ack: AckSender) {
    wait().await;
    let Message { room, body } = message;
    if !is_in(&socket, &room) {
        return refuse(ack);
    }
    let envelope = Envelope { room: &room, from: socket.id, body: &body };
    // An error is of members that are just going, or whose buffers are full; all others
    // have it.
    socket.to(room.clone()).emit("message", &envelope).await.ok();
    ack.send(&json!({ "ok": true })).ok();
}

async fn echo(_: SocketRef, Data(value): Data<Value>, ack: AckSender) {
    wait().await;
    ack.send(&value).ok();
}

/// How long handlers wait first. One server runs at a time in a process.
pub(crate) struct Waits;

/// What the next wait follows from; 0 if there are none.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Waits {
    /// From now on each of them waits some milliseconds that follow from `seed`, or not at
    /// all.
    pub(crate) fn begin(seed: Option<u64>) {
        NEXT.store(seed.map_or(0, |seed| seed | 1), Ordering::Relaxed);
    }
}

async fn wait() {
    const LONGEST_MS: u64 = 8;
    let next = NEXT.load(Ordering::Relaxed);
    if next == 0 {
        return;
    }
    let following = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(2) | 1;
    NEXT.store(following, Ordering::Relaxed);
    sleep(Duration::from_millis((next >> 33) % (LONGEST_MS + 1))).await;
}

fn is_in(socket: &SocketRef, room: &str) -> bool {
    socket.rooms().iter().any(|name| name == room)
}

fn members(socket: &SocketRef, room: String) -> usize {
    socket.within(room).sockets().len()
}

fn refuse(ack: AckSender) {
    ack.send(&json!({ "ok": false, "error": "not a member of that room" })).ok();
}
