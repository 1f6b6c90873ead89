//! One run of the program: what it listens on, what it serves, and its end.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use parlor::admin::Admin;
use parlor::tls::{Identity, TlsListener};
use parlor::{Config, Io, Observer, chat, net, serve, serve_with};
use rand_core::{Rng, SeedableRng};
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::front::Front;
use crate::operator;
use crate::page::Page;
use crate::settings::{Options, Tls};
use crate::signals::{Signal, Signals};

/// Serves until a signal ends it; returns the second one, if that came before all had gone.
///
/// # Errors
///
/// Why it can not, as a line for a person.
pub(crate) async fn run(
    options: Options,
    identity: Option<Identity>,
) -> Result<Option<Signal>, String> {
    // Registered before the ready line: who reads it may send a signal at once.
    let signals =
        Signals::listen().map_err(|error| format!("can not listen for signals: {error}"))?;
    net::raise_descriptor_limit();
    let admin = options.admin();
    if admin.as_ref().is_some_and(|admin| options.namespaces().contains(&admin.namespace)) {
        return Err("the namespace /admin is either for the chat or for operators".to_owned());
    }
    let listen = options.listen;
    let listeners = net::listen_shards(listen, options.shards(), options.share_address)
        .map_err(|error| format!("can not listen on {listen}: {error}"))?;
    let address = address(listeners[0].local_addr())?;
    // Of all that is served here, only the Admin UI shows how clients' connections began.
    let keep_handshake = admin.is_some();
    let config = Config { keep_handshake, ..options.config() };
    let server = format!("{:016x}", rand_chacha::ChaCha12Rng::from_seed(config.seed).next_u64());
    let observer = Observer::new(usize::from(options.shards()));
    let operators = watch_over(options.metrics, &observer).await?;
    let admin = admin.map(|config| Admin::new(config, &observer));
    let chat = chat::app(options.namespaces(), server);
    let script = options.page.client_script.as_deref();
    let page = Page::new(&config.path, options.page.enabled, script)?;
    let front = Front { page, observer: observer.clone() };
    let app = move |io: &mut Io| {
        io.observe(&observer);
        io.fallback(front.clone());
        chat(io);
        admin.iter().for_each(|admin| admin.attach(io));
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let served = async {
        let Some(identity) = identity else {
            announce("http", address, &operators);
            return serve(listeners, config, app, shutdown).await.map_err(|it| it.to_string());
        };
        let (identities, shown) = watch::channel(identity);
        let reload = run_reload(hangups()?, options.tls, identities);
        announce("https", address, &operators);
        let wrap = move |listener| TlsListener::new(listener, shown.clone());
        // Only the server ends.
        tokio::select! {
            biased;
            () = reload => Ok(()),
            served = serve_with(listeners, wrap, config, app, shutdown) => {
                served.map_err(|error| error.to_string())
            }
        }
    };
    // Who has been served to the end needs no signal.
    tokio::select! {
        biased;
        served = served => served.map(|()| None),
        insisted = insist(signals, stop) => Ok(Some(insisted)),
    }
}

fn address(found: io::Result<SocketAddr>) -> Result<SocketAddr, String> {
    found.map_err(|error| format!("no address: {error}"))
}

/// What runs for operators, and where; nothing, if they want nothing.
struct Operators {
    address: Option<SocketAddr>,
    /// Ends with this.
    _task: JoinSet<()>,
}

async fn watch_over(listen: Option<SocketAddr>, observer: &Observer) -> Result<Operators, String> {
    let mut task = JoinSet::new();
    let Some(listen) = listen else { return Ok(Operators { address: None, _task: task }) };
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("can not listen on {listen} for metrics: {error}"))?;
    let address = Some(address(listener.local_addr())?);
    task.spawn(operator::run(listener, observer.clone()));
    Ok(Operators { address, _task: task })
}

fn hangups() -> Result<unix::Signal, String> {
    signal(SignalKind::hangup()).map_err(|error| format!("can not listen for signals: {error}"))
}

/// Shows new connections what is in the files, after each of `hangups`.
async fn run_reload(mut hangups: unix::Signal, tls: Tls, identities: watch::Sender<Identity>) {
    loop {
        if hangups.recv().await.is_none() {
            // There can be no more of them.
            return pending().await;
        }
        match tls.identity() {
            Ok(Some(identity)) => {
                identities.send_replace(identity);
                tracing::info!("new connections are shown the certificate as it is now");
            }
            Ok(None) => {}
            Err(error) => tracing::error!("the certificate stays as it was: {error}"),
        }
    }
}

/// Says at the first signal that the server is to end; returns with the second:
/// who sends that does not want to wait.
async fn insist(mut signals: Signals, stop: oneshot::Sender<()>) -> Signal {
    signals.next().await;
    drop(stop);
    signals.next().await
}

#[expect(clippy::print_stdout, reason = "the lines that scripts wait for")]
fn announce(scheme: &str, address: SocketAddr, operators: &Operators) {
    println!("listening on {scheme}://{address}");
    if let Some(address) = operators.address {
        println!("metrics on http://{address}/metrics");
    }
}
