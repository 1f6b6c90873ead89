//! A namespace for operators, which the stock Admin UI of Socket.IO connects to.
//!
//! Written on the public API. Off unless an application attaches it; the people
//! it lets in see and may do everything, so it asks for a password.
//!
//! ```
//! use parlor::admin::{Admin, AdminConfig, PasswordHash};
//! use parlor::{Io, Observer};
//!
//! let hash = "$2b$10$abcdefghijklmnopqrstuuAVKwJ9.XJgVNlMqlThRdeYl2LxVqsCe";
//! let config = AdminConfig::new("admin", PasswordHash::parse(hash).expect("a bcrypt hash"));
//! let admin = Admin::new(config, &Observer::new(2)); // of a server with two shards
//! let app = move |io: &mut Io| {
//!     io.of("/");
//!     admin.attach(io);
//! };
//! # let _ = app;
//! ```
//!
//! # Guarantees
//!
//! * What all shards have is shown, as one server. In development mode the list
//!   of all sockets is exact: what has happened before is in it, and what
//!   happens after it is told after it.
//! * While no operator is connected, nothing is told or counted for them.
//! * Nothing waits without a bound: what shards have no room for is made up for
//!   by a new list, and an operator who does not read is closed.
//! * A password is checked on a thread of its own, one at a time on each shard,
//!   and only so often.
//!
//! # Spec
//!
//! What `@socket.io/admin-ui` 0.5 does on a server: <https://socket.io/docs/v4/admin-ui/>.

mod commands;
mod config;
mod date;
mod list;
mod login;
mod password;
mod stats;
mod words;

use std::rc::Rc;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::app::{Engine, Io, Observer, Raw, Socket};
use crate::hub::Policy;
pub use config::{AdminConfig, Mode};
use list::Ask;
use login::{Door, Entry};
pub use password::PasswordHash;

/// Questions that may wait for a shard at a time; at one more the first gets no answer from it.
const ASKS_MAX: usize = 16;

/// What another shard is told of who has logged in here.
const SESSION: &str = "session";

/// The operators' namespace of one server. Clones are of the same one, for each shard.
#[derive(Clone, Debug)]
pub struct Admin {
    config: AdminConfig,
    observer: Observer,
    asks: broadcast::Sender<Ask>,
    /// How many operators are connected.
    operators: watch::Sender<usize>,
    started: Instant,
}

impl Admin {
    /// Of the server that `observer` looks at.
    pub fn new(config: AdminConfig, observer: &Observer) -> Self {
        Self {
            config,
            observer: observer.clone(),
            asks: broadcast::Sender::new(ASKS_MAX),
            operators: watch::Sender::new(0),
            started: Instant::now(),
        }
    }

    /// Adds the namespace to an application; to be called on each shard.
    pub fn attach(&self, io: &mut Io) {
        io.observe(&self.observer);
        self.register(io);
        // Before anybody can ask.
        let asks = self.asks.subscribe();
        let admin = self.clone();
        io.spawn(async move |engine: Engine| list::run(admin, engine, asks).await);
        let admin = self.clone();
        io.spawn(async move |engine: Engine| stats::run(admin, engine).await);
    }

    fn register(&self, io: &mut Io) {
        let namespace = io.of(&self.config.namespace);
        namespace.policy(Policy::Disconnect);
        let door = Rc::new(Door::new(&self.config));
        let guard = Rc::clone(&door);
        namespace.on_admission(async move |admission| guard.decide(&admission).await);
        let sessions = Rc::clone(&door);
        namespace.on_server_side(SESSION, move |_, (session,): (String,)| sessions.learn(session));
        let admin = self.clone();
        namespace.on_connection(async move |socket: Socket| admin.welcome(&door, socket).await);
        let operators = self.operators.clone();
        namespace.on_disconnect(async move |_, _, _| {
            operators.send_modify(|count| *count -= 1);
        });
        if !self.config.read_only {
            commands::register(namespace);
        }
    }

    async fn welcome(&self, door: &Door, socket: Socket) {
        self.operators.send_modify(|count| *count += 1);
        let client = socket.client().map(|client| client.id).unwrap_or_default();
        if let Some(Entry { session, .. }) = door.take_entry(&client) {
            socket.server_side_emit(SESSION, (&session,));
            socket.emit("session", &session);
            door.learn(session);
        }
        socket.emit("config", serde_json::json!({ "supportedFeatures": self.features() }));
        if self.config.mode == Mode::Development {
            let to = socket.namespace().to(socket.id().as_str());
            list::send_all(self, to).await;
        }
    }

    fn features(&self) -> Vec<&'static str> {
        const COMMANDS: [&str; 7] =
            ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"];
        let commands = if self.config.read_only { &[][..] } else { &COMMANDS };
        let mut features = commands.to_vec();
        features.push("AGGREGATED_EVENTS");
        if self.config.mode == Mode::Development {
            features.push("ALL_EVENTS");
        }
        features
    }
}

/// The arguments as strings; nothing for what is none.
fn texts(raw: &Raw) -> impl Iterator<Item = Option<String>> {
    raw.arguments().map(|argument| serde_json::from_str(argument).ok())
}
