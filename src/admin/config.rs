//! What the operators' namespace is to be like.

use std::time::SystemTime;

use super::PasswordHash;

/// What the operators' namespace is to be like.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Its name; `/admin` is what the stock page expects.
    pub namespace: String,
    /// The one name that operators log in with.
    pub username: String,
    /// Of the password that belongs to it.
    pub password_hash: PasswordHash,
    /// How much operators see.
    pub mode: Mode,
    /// Whether operators may only look.
    pub read_only: bool,
    /// What the server is called; the name of the machine, if not set.
    pub server_id: Option<String>,
    /// Tells the time of day.
    pub time_of_day: fn() -> SystemTime,
}

/// How much operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every socket, every room and every event, with all that is in it.
    Development,
    /// Counts only.
    Production,
}

impl AdminConfig {
    /// For production.
    pub fn new(username: impl Into<String>, password_hash: PasswordHash) -> Self {
        Self {
            namespace: "/admin".to_owned(),
            username: username.into(),
            password_hash,
            mode: Mode::Production,
            read_only: false,
            server_id: None,
            time_of_day,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a simulation sets a clock of its own")]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}
