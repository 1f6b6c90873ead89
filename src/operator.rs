//! What the people who run the server ask it: `/healthz`, `/readyz` and, on a
//! listener of its own alone, `/metrics`.
//!
//! It runs on the main thread, so that a shard that is stuck is reported, and
//! answers until the process ends, so that the end can be watched.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlor::Observer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Scrapers and load balancers that are served at a time; others wait.
const CONNECTIONS_MAX: usize = 64;

/// How long one may take for a request, and be idle.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long accepting rests after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers for ever.
pub(crate) async fn run(listener: TcpListener, observer: Observer) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, observer.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, observer: Observer) {
    let service = service_fn(|request| {
        let observer = observer.clone();
        async move { Ok::<_, Infallible>(answer(&request, &observer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection ended");
    }
}

async fn answer(request: &Request<Incoming>, observer: &Observer) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".into());
    }
    if request.uri().path() == "/metrics" {
        return text(StatusCode::OK, PROMETHEUS, observer.look().await.to_prometheus());
    }
    health(request, observer).await.unwrap_or_else(|| {
        let known = "here are /healthz, /readyz and /metrics\n";
        text(StatusCode::NOT_FOUND, PLAIN, known.into())
    })
}

/// Whether the server is well, or ready, if that is what is asked.
pub(crate) async fn health(
    request: &Request<Incoming>,
    observer: &Observer,
) -> Option<Response<Full<Bytes>>> {
    Some(match request.uri().path() {
        "/healthz" => {
            let seen = observer.look().await;
            let ((answered, of), is_alive) = (seen.answered(), seen.is_alive());
            let status = if is_alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, PLAIN, format!("{answered} of {of} shards answer\n"))
        }
        "/readyz" => {
            let seen = observer.look().await;
            match (seen.is_ready(), seen.is_alive()) {
                (true, _) => text(StatusCode::OK, PLAIN, "ready\n".into()),
                (false, true) => unavailable("draining: no new clients are let in\n"),
                (false, false) => unavailable("not every shard answers\n"),
            }
        }
        _ => return None,
    })
}

fn unavailable(why: &str) -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, why.to_owned())
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
