//! How the rest of the program looks at a running server.

use std::fmt;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::Io;
use crate::metrics::{Snapshot, to_prometheus};

/// Looks that may wait for a shard at a time; at one more the first sees nothing of it.
const LOOKS_MAX: usize = 16;

/// How long a shard may take to answer before it counts as stuck. A tick of a
/// healthy shard takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a shard sends what it is asked for.
pub(crate) type Look = mpsc::Sender<Snapshot>;

/// Looks at the shards of a server, from any thread and runtime.
///
/// Clones look at the same server. Each shard of that calls
/// [`Io::observe`] as it begins.
///
/// ```
/// # use parlor::{Io, Observer};
/// let observer = Observer::new(2);
/// let app = {
///     let observer = observer.clone();
///     move |io: &mut Io| {
///         io.observe(&observer);
///         io.of("/");
///     }
/// };
/// // parlor::serve(listeners, config, app, shutdown) ... and meanwhile:
/// // observer.look().await.is_ready()
/// # let _ = (app, observer);
/// ```
#[derive(Clone)]
pub struct Observer {
    shards: usize,
    looks: broadcast::Sender<Look>,
}

impl Observer {
    /// Of a server with so many shards.
    pub fn new(shards: usize) -> Self {
        Self { shards, looks: broadcast::Sender::new(LOOKS_MAX) }
    }

    /// Of how many shards the server is.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Asks all shards how they are; takes two seconds if one does not answer.
    pub async fn look(&self) -> Observation {
        let (answer, mut answers) = mpsc::channel(self.shards.max(1));
        // Nobody may have begun yet.
        let _ = self.looks.send(answer);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        // None: all others have gone without an answer.
        while seen.len() < self.shards
            && let Ok(Some(snapshot)) = tokio::time::timeout_at(deadline, answers.recv()).await
        {
            seen.push(snapshot);
        }
        seen.sort_by_key(|snapshot| snapshot.shard);
        Observation { expected: self.shards, shards: seen }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// The shards of a server as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    expected: usize,
    /// Those that have answered, in their order.
    pub shards: Vec<Snapshot>,
}

impl Observation {
    /// Whether every shard has answered.
    pub fn is_alive(&self) -> bool {
        self.shards.len() == self.expected
    }

    /// Whether every shard has answered and takes new clients.
    pub fn is_ready(&self) -> bool {
        self.is_alive() && self.shards.iter().all(|shard| !shard.draining)
    }

    /// How many shards have answered, of how many.
    pub fn answered(&self) -> (usize, usize) {
        (self.shards.len(), self.expected)
    }

    /// The metrics in Prometheus' text format.
    pub fn to_prometheus(&self) -> String {
        to_prometheus(&self.shards)
    }
}

impl Io {
    /// Lets `observer` look at this shard.
    pub fn observe(&mut self, observer: &Observer) {
        self.looks = Some(observer.looks.subscribe());
    }

    /// What observers ask of this shard.
    pub(crate) fn take_looks(&mut self) -> Option<broadcast::Receiver<Look>> {
        self.looks.take()
    }
}
