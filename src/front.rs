//! What the server's own address answers besides Socket.IO: the page, and
//! `/healthz` and `/readyz` for load balancers, which ask where clients come.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use parlor::Observer;
use tower_service::Service;

use crate::operator::health;
use crate::page::Page;

/// All of it, as a service.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) page: Page,
    pub(crate) observer: Observer,
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let Self { page, observer } = self.clone();
        Box::pin(async move {
            Ok(match health(&request, &observer).await {
                Some(response) => response,
                None => page.answer(request.method(), request.uri().path(), request.headers()),
            })
        })
    }
}
