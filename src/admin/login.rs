//! Who gets in: with the password, or with a session that began with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{AdminConfig, PasswordHash};
use crate::app::{Admission, Refusal};
use crate::hub::{Bucket, Rate};

/// Sessions that are known at a time; the oldest has to log in again.
const SESSIONS_MAX: usize = 1024;

/// Who has been let in, and is not connected yet.
const ENTRIES_MAX: usize = 64;

/// Passwords that a shard checks in a second, and how long unused ones are saved up.
const CHECKS_PER_SECOND: u64 = 1;
const CHECKS_SAVED: Duration = Duration::from_secs(10);

/// In these words the stock page asks for the password again.
const INVALID: &str = "invalid credentials";

/// The door of one shard.
pub(super) struct Door {
    username: String,
    password_hash: PasswordHash,
    checks: RefCell<Bucket>,
    /// One password is checked at a time, so that a core is what guessing can cost.
    turn: Semaphore,
    sessions: RefCell<VecDeque<String>>,
    entries: RefCell<VecDeque<Entry>>,
}

/// A client that has presented the password.
pub(super) struct Entry {
    client: String,
    /// What it gets in with from now on.
    pub(super) session: String,
}

impl Door {
    pub(super) fn new(config: &AdminConfig) -> Self {
        Self {
            username: config.username.clone(),
            password_hash: config.password_hash.clone(),
            checks: RefCell::default(),
            turn: Semaphore::new(1),
            sessions: RefCell::default(),
            entries: RefCell::default(),
        }
    }

    /// Whether a client is let in.
    pub(super) async fn decide(&self, admission: &Admission) -> Result<(), Refusal> {
        let word = |key: &str| admission.auth[key].as_str();
        if word("sessionId").is_some_and(|session| self.knows(session)) {
            return Ok(());
        }
        let (Some(username), Some(password)) = (word("username"), word("password")) else {
            return Err(Refusal::new(INVALID));
        };
        if !self.may_check() {
            tracing::warn!("an operator's password is not checked: too many were, of late");
            return Err(Refusal::new("too many attempts, try again later"));
        }
        // Whether the name is right or wrong, it takes the same time.
        let is_valid = self.check(password.to_owned()).await & (username == self.username);
        if !is_valid {
            tracing::warn!(client = admission.client_id(), "an operator's login was refused");
            return Err(Refusal::new(INVALID));
        }
        let client = admission.client_id().to_owned();
        push(&self.entries, Entry { client, session: random_id() }, ENTRIES_MAX);
        Ok(())
    }

    /// What a client that is connected now has been let in with, if that was the password.
    pub(super) fn take_entry(&self, client: &str) -> Option<Entry> {
        let mut entries = self.entries.borrow_mut();
        let at = entries.iter().position(|entry| entry.client == client)?;
        entries.remove(at)
    }

    /// Lets in whoever presents this session from now on.
    pub(super) fn learn(&self, session: String) {
        push(&self.sessions, session, SESSIONS_MAX);
    }

    fn knows(&self, session: &str) -> bool {
        self.sessions.borrow().iter().any(|known| known == session)
    }

    fn may_check(&self) -> bool {
        let rate = Rate::new(CHECKS_PER_SECOND, CHECKS_SAVED).expect("it is not zero");
        self.checks.borrow_mut().take(1, rate, Instant::now().into_std())
    }

    async fn check(&self, password: String) -> bool {
        let Ok(_turn) = self.turn.acquire().await else { return false };
        let hash = self.password_hash.clone();
        spawn_blocking(move || hash.is_of(&password)).await.unwrap_or(false)
    }
}

/// Adds an item; the oldest goes if there are too many.
fn push<T>(list: &RefCell<VecDeque<T>>, item: T, max: usize) {
    let mut list = list.borrow_mut();
    if list.len() == max {
        list.pop_front();
    }
    list.push_back(item);
}

fn random_id() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system has randomness");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
