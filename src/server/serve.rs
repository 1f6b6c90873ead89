//! Shards on threads of their own.

use std::future::Future;
use std::io;
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::{Config, run_shard};
use crate::app::Io;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The shard's thread or its runtime could not be made, or the listener not be used.
    #[error("a shard could not be started: {0}")]
    Start(#[from] io::Error),
    /// The shard's thread panicked.
    #[error("a shard panicked; its log says why")]
    Panicked,
}

/// Serves `app` on `listener` until `shutdown` resolves, then closes all
/// connections and returns.
///
/// The shard runs on a thread and a runtime of its own, so that nothing else
/// in the program delays it.
///
/// # Errors
///
/// [`ServeError`] if a shard can not be started, or panics.
pub async fn serve(
    listener: std::net::TcpListener,
    config: Config,
    app: impl FnOnce(&mut Io) + Send + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, ended) = oneshot::channel();
    thread::Builder::new().name("parlor-shard-0".to_owned()).spawn(move || {
        let result = run_thread(listener, config, app, stopped);
        // Nobody may be waiting any more.
        let _ = end.send(result);
    })?;
    let mut ended = std::pin::pin!(ended);
    let mut shutdown = std::pin::pin!(shutdown);
    // A shard that ends by itself has failed, and is reported at once.
    tokio::select! {
        biased;
        result = &mut ended => return result.unwrap_or(Err(ServeError::Panicked)),
        () = &mut shutdown => {}
    }
    // The shard may have ended meanwhile.
    let _ = stop.send(());
    ended.await.unwrap_or(Err(ServeError::Panicked))
}

fn run_thread(
    listener: std::net::TcpListener,
    config: Config,
    app: impl FnOnce(&mut Io),
    stopped: oneshot::Receiver<()>,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let stopped = async {
            // Told to stop, or nobody is left who could tell.
            let _ = stopped.await;
        };
        run_shard(listener, config, None, app, stopped).await;
        Ok(())
    })
}
