//! What clients can say in every namespace: rooms, broadcasts, and what is
//! done to many at once. Every call is answered.

use std::time::Duration;

use parlor::app::Emitter;
use parlor::{Ack, Namespace, Socket};
use serde::Deserialize;
use serde_json::{Value, json};

/// Whom a client means, and how it is to be done.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Whom {
    /// The server speaks, not the socket: so the socket is meant too.
    by_server: bool,
    to: Vec<String>,
    within: Vec<String>,
    except: Vec<String>,
    local: bool,
    volatile: bool,
    timeout_ms: Option<u64>,
}

impl Whom {
    pub(super) fn emitter(&self, socket: &Socket) -> Emitter {
        let mut rooms = self.to.iter();
        let emitter = match (self.by_server, rooms.next()) {
            (false, None) => socket.broadcast(),
            (false, Some(room)) => socket.to(room),
            (true, None) => socket.namespace(),
            (true, Some(room)) => socket.room(room),
        };
        let emitter = rooms.fold(emitter, |emitter, room| emitter.to(room));
        let emitter = self.within.iter().fold(emitter, |emitter, room| emitter.within(room));
        let emitter = self.except.iter().fold(emitter, |emitter, room| emitter.except(room));
        let emitter = if self.local { emitter.local() } else { emitter };
        let emitter = if self.volatile { emitter.volatile() } else { emitter };
        match self.timeout_ms {
            None => emitter,
            Some(timeout) => emitter.timeout(Duration::from_millis(timeout)),
        }
    }
}

pub(super) fn everywhere(here: &mut Namespace) {
    membership(here);
    messages(here);
    directly(here);
    many(here);
    // By the order and back: what was accepted before has arrived then.
    here.on("fence", async |socket: Socket, (): (), ack: Ack| {
        let _ = socket.join("fence").await;
        socket.leave("fence").await;
        ack.send(());
    });
}

fn membership(here: &mut Namespace) {
    here.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        ack.send(socket.join(&room).await.unwrap_or_default());
    });
    here.on("leave", async |socket: Socket, (room,): (String,), ack: Ack| {
        ack.send(socket.leave(&room).await);
    });
    here.on("switch", async |socket: Socket, (from, to): (String, String), ack: Ack| {
        ack.send(socket.switch(&from, &to).await.unwrap_or_default());
    });
    here.on("rooms", async |socket: Socket, (): (), ack: Ack| {
        let mut rooms = socket.rooms();
        rooms.sort();
        assert!(rooms.iter().all(|room| socket.is_in(room)));
        ack.send((rooms,));
    });
    here.on("id", async |socket: Socket, (): (), ack: Ack| ack.send(socket.id().as_str()));
    here.on("keep", async |socket: Socket, (data,): (Value,), ack: Ack| {
        socket.set_data(&data);
        ack.send(socket.data());
    });
}

fn messages(here: &mut Namespace) {
    here.on("say", async |socket: Socket, (whom, what): (Whom, Value), ack: Ack| {
        whom.emitter(&socket).emit("said", what);
        ack.send(());
    });
    here.on("send", async |socket: Socket, (whom, what): (Whom, Value), ack: Ack| {
        whom.emitter(&socket).send(&what);
        socket.send(what);
        ack.send(());
    });
    // A number and as many bytes as are wanted.
    here.on(
        "say-number",
        async |socket: Socket, (whom, number, bytes): (Whom, u64, usize), ack: Ack| {
            whom.emitter(&socket).emit("said", (number, "x".repeat(bytes)));
            ack.send(());
        },
    );
}

/// What a socket is told by itself, however little of it is read.
fn directly(here: &mut Namespace) {
    here.on(
        "tell-me",
        async |socket: Socket, (count, bytes, plain_every): (u64, usize, u64), ack: Ack| {
            for number in 0..count {
                let args = (number, "x".repeat(bytes));
                match number % plain_every {
                    0 => socket.emit("said", args),
                    1.. => socket.volatile().emit("said", args),
                }
                // What can be written is.
                tokio::task::yield_now().await;
            }
            socket.broadcast().emit("told", ());
            ack.send(());
        },
    );
}

fn many(here: &mut Namespace) {
    here.on("fetch", async |socket: Socket, (whom,): (Whom,), ack: Ack| {
        let found = whom.emitter(&socket).fetch_sockets().await;
        let found = found.iter().map(|found| {
            json!({ "id": found.id().as_str(), "rooms": found.rooms(), "data": found.data() })
        });
        ack.send(Value::Array(found.collect()));
    });
    here.on("sockets-join", async |socket: Socket, (whom, room): (Whom, String), ack: Ack| {
        whom.emitter(&socket).sockets_join(&room);
        ack.send(());
    });
    here.on("sockets-leave", async |socket: Socket, (whom, room): (Whom, String), ack: Ack| {
        whom.emitter(&socket).sockets_leave(&room);
        ack.send(());
    });
    here.on("disconnect-sockets", async |socket: Socket, (whom, close): (Whom, bool), ack: Ack| {
        whom.emitter(&socket).disconnect_sockets(close);
        ack.send(());
    });
    here.on("each", async |socket: Socket, (whom, verb): (Whom, String), ack: Ack| {
        for found in whom.emitter(&socket).fetch_sockets().await {
            match verb.as_str() {
                "emit" => found.emit("said", found.id().as_str()),
                "join" => found.join("picked"),
                "leave" => found.leave("picked"),
                "disconnect" => found.disconnect(true),
                _ => return ack.refuse("no such verb"),
            }
        }
        ack.send(());
    });
}

/// What the applications of different shards tell each other.
pub(super) fn between_shards(here: &mut Namespace) {
    here.on("tell-shards", async |socket: Socket, (what,): (Value,), ack: Ack| {
        socket.server_side_emit("told", &what);
        ack.send(());
    });
    here.on_server_side("told", |everybody: Emitter, (what,): (Value,)| {
        let thread = std::thread::current();
        everybody.emit("told", (thread.name().unwrap_or_default(), what));
    });
}
