//! Serves socketioxide on the connections of a simulated network, over hyper.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use sim::foreign::{Running, Start};
use socketioxide::SocketIo;

use crate::handlers::{self, Waits};

/// Packets that may wait for a client, and bytes of an answer to a poll: what parlor has,
/// since with fewer it is known and said what happens: an emit fails.
const BUFFERED_MAX: usize = 16_384;
const PAYLOAD_BYTES_MAX: u64 = 1_000_000;

/// Starts a server with the plan's settings, with handlers that wait first or do not.
pub(crate) fn start(start: Start, waits: bool) -> Running {
    Waits::begin(waits.then_some(start.plan.network.seed ^ start.number << 48));
    let ms = Duration::from_millis;
    let settings = &start.plan.server;
    let (service, io) = SocketIo::builder()
        .ping_interval(ms(settings.ping_interval_ms))
        .ping_timeout(ms(settings.ping_timeout_ms))
        .connect_timeout(ms(settings.connect_timeout_ms))
        // Its heartbeat rests during an upgrade, and plans are short.
        .upgrade_timeout(ms(settings.connect_timeout_ms))
        .max_buffer_size(BUFFERED_MAX)
        .max_payload(PAYLOAD_BYTES_MAX)
        .build_svc();
    handlers::register(&io, format!("start-{}", start.number));
    let held = move || vec![("sockets".to_owned(), io.sockets().len() as u64)];
    let mut incoming = start.incoming;
    let serve = async move {
        loop {
            // An error concerns one connection.
            let Ok((connection, _)) = incoming.accept().await else { continue };
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .auto_date_header(false)
                .serve_connection(TokioIo::new(connection), service.clone())
                .with_upgrades();
            tokio::task::spawn_local(async move {
                // How a connection ended is its client's to say.
                let _ = served.await;
            });
        }
    };
    Running { serve: Box::pin(serve), held: Some(Box::new(held)) }
}
