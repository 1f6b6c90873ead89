//! The chat rooms, written with the public API only.
//!
//! Plain Socket.IO events, so that any client library can speak them:
//!
//! | client emits | arguments | ack |
//! |---|---|---|
//! | `join` | room | `{"ok":true,"members":n}` |
//! | `leave` | room | `{"ok":true}` |
//! | `switch` | previous, next | `{"ok":true,"members":n}`; leaves previous and joins next in one step |
//! | `message` | `{"room","body","id"?}` | optional: `{"ok":true,"seq":n}` |
//! | `members` | room | `{"ok":true,"members":[{"id","name"}]}` |
//! | `watch` | room | `{"ok":true,"members":[{"id","name"}]}`; the notices continue from that list |
//! | `unwatch` | room | `{"ok":true}` |
//! | `name` | name | `{"ok":true}` |
//! | `typing` | room | none; volatile |
//! | `echo` | anything | the same arguments |
//!
//! | server emits | arguments |
//! |---|---|
//! | `hello` | `{"id","server"}` on connection, but not to who is recovered; `server` names the process, unique per start |
//! | `message` | `{"room","from","body","id"?,"seq"}` to every other member; `seq` counts the room's messages for as long as somebody is in it, or may come back to it |
//! | `presence` | `{"room","changes":[["+",id],["-",id],..]}` to watchers, in order, one per tick and room |
//! | `typing` | `{"room","from"}` |
//!
//! A body is any JSON and may hold binary. A room name is a string of 1 to 256
//! bytes; another socket's id is refused. A refused call acks
//! `{"ok":false,"error":".."}`; without an ack the refusal is the event
//! `error_message`.

mod message;

use std::rc::Rc;

use serde_json::{Value, json};

use crate::app::{Ack, Io, Namespace, Raw, RemoteSocket, Socket};
use crate::room::Sid;
use message::Message;

/// Bytes of a room's name.
pub const ROOM_NAME_BYTES_MAX: usize = 256;

/// Bytes of a member's name.
pub const MEMBER_NAME_BYTES_MAX: usize = 256;

/// The chat, on each of `namespaces`; `server` is what `hello` calls this process.
pub fn app(namespaces: Vec<String>, server: String) -> impl Fn(&mut Io) + Clone + Send + 'static {
    move |io| {
        let server: Rc<str> = server.as_str().into();
        for name in &namespaces {
            register(io.of(name), Rc::clone(&server));
        }
    }
}

fn register(chat: &mut Namespace, server: Rc<str>) {
    chat.on_connection(async move |socket: Socket| {
        if socket.is_recovered() {
            // It has its hello, or gets it now with all that it missed.
            return;
        }
        socket.emit("hello", json!({ "id": socket.id().as_str(), "server": &*server }));
    });
    chat.on("join", join);
    chat.on("leave", leave);
    chat.on("switch", switch);
    chat.on("message", message);
    chat.on("members", members);
    chat.on("watch", watch);
    chat.on("unwatch", unwatch);
    chat.on("name", name);
    chat.on("typing", typing);
    chat.on("echo", echo);
}

async fn join(socket: Socket, (room,): (String,), ack: Ack) {
    if let Err(error) = check_room(&socket, &room).await {
        return ack.refuse(&error);
    }
    match socket.join(&room).await {
        Ok(members) => ack.send(json!({ "ok": true, "members": members })),
        Err(error) => ack.refuse(&error.to_string()),
    }
}

async fn leave(socket: Socket, (room,): (String,), ack: Ack) {
    if socket.leave(&room).await { ack.send(ok()) } else { ack.refuse(NOT_A_MEMBER) }
}

async fn switch(socket: Socket, (previous, next): (String, String), ack: Ack) {
    if let Err(error) = check_room(&socket, &next).await {
        return ack.refuse(&error);
    }
    if !socket.is_in(&previous) {
        return ack.refuse(NOT_A_MEMBER);
    }
    match socket.switch(&previous, &next).await {
        Ok(members) => ack.send(json!({ "ok": true, "members": members })),
        Err(error) => ack.refuse(&error.to_string()),
    }
}

async fn message(socket: Socket, raw: Raw, ack: Ack) {
    let message = match Message::parse(&raw) {
        Ok(message) => message,
        Err(error) => return ack.refuse(&error),
    };
    if !socket.is_in(&message.room) {
        return ack.refuse(NOT_A_MEMBER);
    }
    let (json, attachments) = message.event_json(&raw, socket.id());
    match socket.to(&message.room).emit_stamped(&json, &attachments).await {
        Some(seq) => ack.send(json!({ "ok": true, "seq": seq })),
        None => ack.refuse(NOT_A_MEMBER),
    }
}

async fn members(socket: Socket, (room,): (String,), ack: Ack) {
    match check_room(&socket, &room).await {
        Ok(()) => {
            let members = socket.room(&room).fetch_sockets().await;
            let members: Vec<Value> = members.iter().map(describe).collect();
            ack.send(json!({ "ok": true, "members": members }));
        }
        Err(error) => ack.refuse(&error),
    }
}

async fn watch(socket: Socket, (room,): (String,), ack: Ack) {
    if let Err(error) = check_room(&socket, &room).await {
        return ack.refuse(&error);
    }
    match socket.watch(&room).await {
        Ok(members) => {
            let named = socket.room(&room).fetch_sockets().await;
            let members: Vec<Value> = members.iter().map(|&id| describe_id(id, &named)).collect();
            ack.send(json!({ "ok": true, "members": members }));
        }
        Err(error) => ack.refuse(&error.to_string()),
    }
}

async fn unwatch(socket: Socket, (room,): (String,), ack: Ack) {
    // Who does not watch has what it asked for.
    socket.unwatch(&room).await;
    ack.send(ok());
}

async fn name(socket: Socket, (name,): (String,), ack: Ack) {
    if name.len() > MEMBER_NAME_BYTES_MAX {
        return ack.refuse(&format!("name too long: at most {MEMBER_NAME_BYTES_MAX} bytes"));
    }
    socket.set_data(&Value::String(name));
    ack.send(ok());
}

async fn typing(socket: Socket, (room,): (String,), ack: Ack) {
    if !socket.is_in(&room) {
        return ack.refuse(NOT_A_MEMBER);
    }
    let notice = json!({ "room": room, "from": socket.id().as_str() });
    socket.to(&room).volatile().emit("typing", notice);
}

async fn echo(_: Socket, raw: Raw, ack: Ack) {
    let mut json = String::from("[");
    let mut attachments = Vec::new();
    for (place, argument) in raw.arguments().enumerate() {
        if place > 0 {
            json.push(',');
        }
        raw.0.forward(argument, &mut json, &mut attachments);
    }
    json.push(']');
    ack.send_json(&json, &attachments);
}

const NOT_A_MEMBER: &str = "not a member of that room";

fn ok() -> Value {
    json!({ "ok": true })
}

/// Whether a room of that name may be used by `socket`.
async fn check_room(socket: &Socket, room: &str) -> Result<(), String> {
    if room.is_empty() {
        return Err("room name is empty".to_owned());
    }
    if room.len() > ROOM_NAME_BYTES_MAX {
        return Err(format!("room name too long: at most {ROOM_NAME_BYTES_MAX} bytes"));
    }
    if let Some(id) = Sid::parse(room)
        && socket.room(room).fetch_sockets().await.iter().any(|found| found.id() == id)
    {
        return Err("that room belongs to a socket".to_owned());
    }
    Ok(())
}

fn describe(member: &RemoteSocket) -> Value {
    json!({ "id": member.id().as_str(), "name": member.data() })
}

/// The list is the watch's; who went meanwhile has no name any more.
fn describe_id(id: Sid, named: &[RemoteSocket]) -> Value {
    let name = named.iter().find(|member| member.id() == id).map(RemoteSocket::data);
    json!({ "id": id.as_str(), "name": name })
}
