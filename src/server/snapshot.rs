//! What a shard tells observers.

use std::rc::Rc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::shard::Shard;
use crate::app::Look;
use crate::metrics::Snapshot;
use crate::net::Stream;

/// Answers observers for as long as the shard lives.
pub(super) async fn answer_looks<S: Stream>(
    shard: Rc<Shard<S>>,
    mut looks: broadcast::Receiver<Look>,
) {
    loop {
        match looks.recv().await {
            // Who asked may have gone.
            Ok(look) => drop(look.try_send(snapshot(&shard))),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn snapshot<S: Stream>(shard: &Shard<S>) -> Snapshot {
    let (polling, queued) = shard.streams.borrow().census();
    Snapshot {
        shard: shard.core.place().shard,
        draining: shard.draining.get(),
        census: shard.core.census().0,
        polling,
        queued,
        counters: shard.core.counters(),
    }
}
