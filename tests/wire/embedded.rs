//! The library's server within this process, with a configuration and an
//! application made for a test.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use parlor::net::Listener;
use parlor::tls::{Identity, TlsListener};
use parlor::{Config, Io, RawConnection, RawMessage};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// A server within this process.
pub(crate) struct Embedded {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Starts it on a free port.
    pub(crate) fn start(config: Config, app: fn(&mut Io)) -> Self {
        Self::start_on(1, config, app)
    }

    /// Starts so many shards of it.
    pub(crate) fn start_on(shards: u8, config: Config, app: fn(&mut Io)) -> Self {
        Self::start_wrapped(shards, |listener| listener, config, app)
    }

    /// Starts one that speaks TLS.
    pub(crate) fn secure(identity: Identity, config: Config, app: fn(&mut Io)) -> Self {
        // Nobody sends another one.
        let shown = watch::channel(identity).1;
        let wrap = move |listener| TlsListener::new(listener, shown.clone());
        Self::start_wrapped(1, wrap, config, app)
    }

    fn start_wrapped<L: Listener>(
        shards: u8,
        wrap: impl Fn(TcpListener) -> L + Clone + Send + 'static,
        config: Config,
        app: fn(&mut Io),
    ) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        let listeners = parlor::net::listen_shards(address, shards, false).expect("a free port");
        let address = listeners[0].local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve_with(listeners, wrap, config, app, shutdown);
            runtime.expect("a runtime").block_on(served).expect("it serves until it is stopped");
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells it to end, and does not wait until it has.
    pub(crate) fn stop(&mut self) {
        // It may have ended by itself; then joining says why.
        self.stop.take().map(|stop| stop.send(()));
    }

    /// One that echoes messages of Engine.IO, and serves both revisions.
    pub(crate) fn echo(config: Config) -> Self {
        Self::start(Config { allow_eio3: true, ..config }, |io| io.raw(echo))
    }
}

/// Sends every message back; `close` closes the connection, `slow` takes a while.
pub(crate) async fn echo(connection: RawConnection, message: RawMessage) {
    match message {
        RawMessage::Binary(bytes) => connection.send_binary(&bytes),
        RawMessage::Text(text) if &*text == "close" => connection.close(),
        RawMessage::Text(text) => {
            if &*text == "slow" {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
            connection.send_text(&text);
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}
