//! The chat on the calling thread, as the benches measure it.

use std::net::TcpListener;
use std::time::Duration;

use parlor::{Config, Exchange, chat, run_shard};
use tokio::sync::oneshot;

/// Serves the chat on `listener` until told to stop.
pub(crate) fn run(listener: TcpListener, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        listener.set_nonblocking(true).expect("a fresh socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let mut config = Config::default();
        // The peers of the benches answer no pings.
        config.limits.ping_interval = Duration::from_secs(3600);
        let app = chat::app(vec!["/".to_owned()], "bench".to_owned());
        let stopped = async { drop(stopped.await) };
        run_shard(listener, config, Exchange::alone(), None, app, stopped).await;
    });
}
