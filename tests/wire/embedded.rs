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
        Self::start_on(|listener| listener, config, app)
    }

    /// Starts one that speaks TLS.
    pub(crate) fn secure(identity: Identity, config: Config, app: fn(&mut Io)) -> Self {
        // Nobody sends another one.
        let shown = watch::channel(identity).1;
        Self::start_on(move |listener| TlsListener::new(listener, shown.clone()), config, app)
    }

    fn start_on<L: Listener>(
        wrap: impl Fn(TcpListener) -> L + Clone + Send + 'static,
        config: Config,
        app: fn(&mut Io),
    ) -> Self {
        let listener = parlor::net::listen(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve_with(vec![listener], wrap, config, app, shutdown);
            runtime.expect("a runtime").block_on(served).expect("it serves until it is stopped");
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// One that echoes messages of Engine.IO, and serves both revisions.
    pub(crate) fn echo(config: Config) -> Self {
        Self::start(Config { allow_eio3: true, ..config }, |io| io.raw(echo))
    }
}

/// Sends every message back; `close` closes the connection, `slow` takes a while.
async fn echo(connection: RawConnection, message: RawMessage) {
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
        // It may have ended by itself; then joining says why.
        self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}
