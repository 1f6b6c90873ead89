//! Shards on threads of their own.

use std::future::Future;
use std::io;
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::{Config, run_shard};
use crate::app::Io;
use crate::net::{self, Listener};
use crate::shard::{Exchange, mesh};

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A shard's thread or its runtime could not be made, or the listener not be used.
    #[error("a shard could not be started: {0}")]
    Start(#[from] io::Error),
    /// A shard's thread panicked.
    #[error("a shard panicked; its log says why")]
    Panicked,
}

/// Serves `app` until `shutdown` resolves, then lets all clients go and returns.
///
/// The listeners are closed first, so that another server that shares their
/// address gets who comes; who asks for a new session on a connection that is
/// open already is refused with 503. Then the sessions are told to go, one by
/// one within [`Config::drain_window`], and served as before until it is their
/// turn. On its turn a session handles what has arrived, lets its handlers end
/// (for half of [`Config::close_timeout`] at most), and closes behind all that
/// is pending: so what was acked is done, and what was broadcast before has
/// been sent. Clients see a transport that closes (WebSocket code 1001, or the
/// close packet), at which stock ones reconnect. The application's handlers
/// hear [`Reason::ServerShuttingDown`](crate::Reason::ServerShuttingDown).
///
/// It returns when all have gone; at the latest `close_timeout` after the
/// window, and then cuts off who is left. Who wants to end sooner drops the
/// future and ends the process: the shards are threads that nobody waits for then.
///
/// There is one shard for each of `listeners`, which all have the same address
/// ([`net::listen_shards`](crate::net::listen_shards) makes them). Each shard
/// runs on a thread and a runtime of its own, so that nothing else in the
/// program delays it, and calls `app` once.
///
/// # Errors
///
/// [`ServeError`] if a shard can not be started, or panics; the others have
/// been told to end then.
///
/// # Panics
///
/// If there is no listener, or more than 255.
pub async fn serve(
    listeners: Vec<std::net::TcpListener>,
    config: Config,
    app: impl Fn(&mut Io) + Clone + Send + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_with(listeners, |listener| listener, config, app, shutdown).await
}

/// Serves `app` as [`serve`] does, on what `wrap` makes of each listener.
///
/// It is called on the shard's thread. With TLS, where `identity` is the
/// receiver of a channel that holds an [`Identity`](crate::tls::Identity):
///
/// ```
/// # use parlor::tls::{Identity, TlsListener};
/// # fn wrap(
/// #     identity: tokio::sync::watch::Receiver<Identity>,
/// # ) -> impl Fn(tokio::net::TcpListener) -> TlsListener<tokio::net::TcpListener> {
/// move |listener| TlsListener::new(listener, identity.clone())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`serve`].
///
/// # Panics
///
/// If there is no listener, or more than 255.
pub async fn serve_with<L: Listener>(
    listeners: Vec<std::net::TcpListener>,
    wrap: impl Fn(TcpListener) -> L + Clone + Send + 'static,
    mut config: Config,
    app: impl Fn(&mut Io) + Clone + Send + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let shards = u8::try_from(listeners.len()).expect("a server has at most 255 shards");
    config.limits.connections_max.get_or_insert_with(|| net::connections_max(shards));
    // Dropped, or sent to: the shards end.
    let (stop, stopped) = watch::channel(());
    let mut ended = JoinSet::new();
    for (listener, exchange) in listeners.into_iter().zip(mesh(shards)) {
        listener.set_nonblocking(true)?;
        let (config, app, stopped) = (config.clone(), app.clone(), stopped.clone());
        let wrap = wrap.clone();
        let (end, result) = tokio::sync::oneshot::channel();
        let name = format!("parlor-shard-{}", exchange.place().shard);
        thread::Builder::new().name(name).spawn(move || {
            let result = run_thread(listener, wrap, exchange, config, app, stopped);
            // Nobody may be waiting any more.
            let _ = end.send(result);
        })?;
        ended.spawn(async { result.await.unwrap_or(Err(ServeError::Panicked)) });
    }
    let mut shutdown = std::pin::pin!(shutdown);
    // A shard that ends by itself has failed, and is reported at once.
    tokio::select! {
        biased;
        Some(result) = ended.join_next() => return result.unwrap_or(Err(ServeError::Panicked)),
        () = &mut shutdown => {}
    }
    drop(stop);
    let mut outcome = Ok(());
    while let Some(result) = ended.join_next().await {
        let result = result.unwrap_or(Err(ServeError::Panicked));
        outcome = outcome.and(result);
    }
    outcome
}

fn run_thread<L: Listener>(
    listener: std::net::TcpListener,
    wrap: impl FnOnce(TcpListener) -> L,
    exchange: Exchange,
    config: Config,
    app: impl FnOnce(&mut Io),
    mut stopped: watch::Receiver<()>,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let stopped = async {
            // An error: nobody is left who could tell, or it has been told so.
            let _ = stopped.changed().await;
        };
        run_shard(wrap(listener), config, exchange, None, app, stopped).await;
        Ok(())
    })
}
