//! The application's own HTTP: what answers requests that are not for Socket.IO.
//!
//! Any service in tower's sense, an `axum::Router` for one. It runs on the
//! shard's thread like a handler: while it awaits, others have their turn;
//! while it computes or blocks, the shard stands still.
//!
//! # Guarantees
//!
//! * A service that panics ends its own connection and nothing else.
//! * Bodies are streams in both directions: what a service does not read stays
//!   with the peer, and bounds on it are the service's own.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response, StatusCode};
use tower_service::Service;

use super::unpanicked::unpanicked;

/// What the log says then.
const PANICKED: &str = "the fallback service panicked";

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an answer.
pub(crate) type FallbackBody = UnsyncBoxBody<Bytes, BoxError>;

type Answer = Pin<Box<dyn Future<Output = Response<FallbackBody>>>>;

/// What answers requests that are not for Socket.IO.
pub(crate) struct Fallback(Box<dyn Fn(Request<Incoming>) -> Answer>);

impl Fallback {
    pub(super) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>> + Clone,
        S: 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Box::new(move |request| Box::pin(answer(service.clone(), request))))
    }

    /// Answers a request; with a status of 500 if the service fails or panics.
    pub(crate) async fn call(&self, request: Request<Incoming>) -> Response<FallbackBody> {
        let mut answer = (self.0)(request);
        poll_fn(|cx| {
            unpanicked(PANICKED, || answer.as_mut().poll(cx)).unwrap_or(Poll::Ready(failed()))
        })
        .await
    }
}

async fn answer<S, B>(mut service: S, request: Request<Incoming>) -> Response<FallbackBody>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
    let answered = match ready {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(response) => response.map(|body| Guarded(Box::pin(body)).boxed_unsync()),
        Err(error) => {
            tracing::warn!(error = %error.into(), "the fallback service failed");
            failed()
        }
    }
}

fn failed() -> Response<FallbackBody> {
    let mut response = Response::new(FallbackBody::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let close = hyper::header::HeaderValue::from_static("close");
    response.headers_mut().insert(hyper::header::CONNECTION, close);
    response
}

/// A body whose panics break off its answer.
struct Guarded<B>(Pin<Box<B>>);

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Guarded<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match unpanicked(PANICKED, || self.0.as_mut().poll_frame(cx)) {
            Some(polled) => polled.map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            None => Poll::Ready(Some(Err("the body panicked".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
