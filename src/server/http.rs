//! One connection that carries HTTP requests: which request is whose.
//!
//! Requests outside our path go to the application's own service; requests of pollers become
//! plain data for [`serve_polling`]; a request for a WebSocket takes the
//! connection over, also when others came before it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::Config;
use super::cookie::set_cookie;
use super::cors;
use super::encoding::compress;
use super::handshake::{Accepted, accept, keep, revision, sid, takes_text_alone};
use super::http_stream::{HttpStream, Unwritten};
use super::polling::{
    Ask, Broken, Content, PollingRequest, PollingResponse, SessionName, break_off, serve_polling,
};
use super::rejection::Rejection;
use super::shard::Shard;
use crate::app::FallbackBody;
use crate::engineio::Revision;
use crate::net::{self, Stream};
use crate::room::Sid;
use crate::shard::{Handshake, Transport};
use crate::websocket::{HEADERS_MAX, REQUEST_BYTES_MAX, Request, accept_key, decode_query};

pub(super) type HttpRequest = hyper::Request<Incoming>;
pub(super) type HttpResponse = hyper::Response<Full<Bytes>>;
/// Ours, or the application's.
type AnyResponse = hyper::Response<Either<Full<Bytes>, FallbackBody>>;

/// A connection that has become a WebSocket.
pub(super) struct Upgraded<S> {
    pub(super) stream: S,
    pub(super) accepted: Accepted,
    /// How the session begins, if it begins with this WebSocket.
    pub(super) handshake: Option<Handshake>,
    /// What came behind the request.
    pub(super) unread: Vec<u8>,
}

/// A WebSocket that was granted and whose answer is on its way.
type Granted = Rc<RefCell<Option<(OnUpgrade, Accepted, Option<Handshake>)>>>;

/// Serves the requests on `stream`, of which `read` has been read already,
/// until it ends or becomes a WebSocket.
pub(super) async fn run_http<S: Stream>(
    shard: &Rc<Shard<S>>,
    stream: S,
    read: Vec<u8>,
    address: SocketAddr,
) -> Option<Upgraded<S>> {
    let (granted, owed) = (Granted::default(), Rc::new(Owed::default()));
    let service = service_fn(|request| {
        let (shard, granted, owed) = (Rc::clone(shard), Rc::clone(&granted), Rc::clone(&owed));
        async move {
            let mut response = respond(&shard, address, &granted, request).await;
            owed.note(&mut response);
            if shard.draining.get() && is_last(&response) {
                // What the client wants next, another server has to do.
                let headers = response.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            } else {
                announce_idle_max(&shard.config, &mut response);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let config = &shard.config;
    let stream = HttpStream::new(read, stream, config.close_timeout, owed.unwritten.clone());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle_max(config))
        .max_headers(HEADERS_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    // What has ended needs not be told to.
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = shard.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended");
    }
    if let Some(session) = owed.lost() {
        break_off(shard, session, Broken::Answer);
    }
    let (on_upgrade, accepted, handshake) = granted.take()?;
    let parts = on_upgrade.await.ok()?.downcast::<TokioIo<HttpStream<S>>>().ok()?;
    let (mut unread, stream) = parts.io.into_inner().into_parts();
    unread.splice(..0, parts.read_buf);
    Some(Upgraded { stream, accepted, handshake, unread })
}

/// The answer to a poll that is being written, if there is one.
#[derive(Default)]
struct Owed {
    unwritten: Unwritten,
    session: Cell<Option<SessionName>>,
}

impl Owed {
    /// An answer is about to be written.
    fn note(&self, response: &mut AnyResponse) {
        let session = response.extensions_mut().remove::<SessionName>();
        // One behind it that is no poll's takes nothing away from one that is.
        if !self.unwritten.set() || session.is_some() {
            self.session.set(session);
        }
    }

    /// Whose messages were in an answer that broke off.
    fn lost(&self) -> Option<SessionName> {
        self.session.get().filter(|_| self.unwritten.get())
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// On an answer behind which its session is over, or never was.
#[derive(Clone, Copy)]
struct Last;

fn is_last<B>(response: &hyper::Response<B>) -> bool {
    response.status().is_client_error()
        || response.status().is_server_error()
        || response.extensions().get::<Last>().is_some()
}

/// How long a peer may take from one answer to the end of its next head,
/// whether it is idle or slow.
fn idle_max(config: &Config) -> Duration {
    config.keep_alive_timeout.min(config.limits.connect_timeout)
}

/// Answers one request.
async fn respond<S: Stream>(
    shard: &Rc<Shard<S>>,
    address: SocketAddr,
    granted: &Granted,
    request: HttpRequest,
) -> AnyResponse {
    if !shard.config.is_path(request.uri().path()) {
        return fallback(shard, address, request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let cors = shard.config.cors.as_ref();
    let mut response = match cors.and_then(|cors| cors::preflight(cors, &request)) {
        Some(response) => response,
        None => answer(shard, address, granted, request).await,
    };
    if let Some(cors) = cors {
        cors::allow(cors, origin.as_ref(), response.headers_mut());
    }
    response.map(Either::Left)
}

/// Says how long the connection may be idle: a client that knows sends nothing
/// on one that is about to be closed.
fn announce_idle_max(config: &Config, response: &mut AnyResponse) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let timeout = HeaderValue::try_from(format!("timeout={}", idle_max(config).as_secs()));
        response.headers_mut().extend(timeout.ok().map(|timeout| (KEEP_ALIVE, timeout)));
    }
}

/// Answers a request outside our path.
async fn fallback<S: Stream>(
    shard: &Shard<S>,
    address: SocketAddr,
    mut request: HttpRequest,
) -> AnyResponse {
    let Some(service) = shard.io.answering() else {
        return status_alone(StatusCode::NOT_FOUND).map(Either::Left);
    };
    request.extensions_mut().insert(address);
    service.call(request).await.map(Either::Right)
}

async fn answer<S: Stream>(
    shard: &Rc<Shard<S>>,
    address: SocketAddr,
    granted: &Granted,
    mut request: HttpRequest,
) -> HttpResponse {
    let head = head_of(&request);
    if head.asks_for_websocket() {
        return match accept(shard, &head).await {
            Ok(accepted) => {
                let on_upgrade = hyper::upgrade::on(&mut request);
                let revision = accepted.wire.revision();
                let is_new = accepted.sid.is_none();
                let handshake = is_new
                    .then(|| keep(shard, address, revision, Transport::WebSocket, &head))
                    .flatten();
                let response = switching(&accepted);
                *granted.borrow_mut() = Some((on_upgrade, accepted, handshake));
                response
            }
            Err(rejection) => rejected(rejection),
        };
    }
    match route(shard, address, &head).await {
        Ok(Route::Poll(request_data)) => {
            let session = request_data.session();
            let response = serve_polling(shard, request_data).await;
            let session = session.filter(|_| response.has_messages());
            let mut response = respond_to_poll(shard, &request, response);
            if let Some(session) = session {
                response.extensions_mut().insert(session);
            }
            response
        }
        Ok(Route::Post { sid, revision, octets }) => {
            let response = post(shard, sid, revision, octets, request).await;
            plain(response)
        }
        Err(rejection) => rejected(rejection),
    }
}

/// What a request that is no WebSocket is.
enum Route {
    Poll(PollingRequest),
    Post { sid: Sid, revision: Option<Revision>, octets: bool },
}

/// Finds out, in the order in which Node's servers check.
async fn route<S: Stream>(
    shard: &Shard<S>,
    address: SocketAddr,
    head: &Request,
) -> Result<Route, Rejection> {
    let is_polling = match head.query("transport") {
        Some("polling") => true,
        Some("websocket") => false,
        Some(_) | None => return Err(Rejection::UnknownTransport),
    };
    let revision = revision(head);
    let base64 = takes_text_alone(head);
    let Some(sid) = sid(head)? else {
        if head.method != "GET" {
            return Err(Rejection::BadMethod);
        }
        if !is_polling {
            return Err(Rejection::BadRequest);
        }
        let revision = shard.config.speaks(revision).ok_or(Rejection::UnsupportedVersion)?;
        let ask = Ask::Begin {
            address: net::address(address.ip()),
            handshake: keep(shard, address, revision, Transport::Polling, head),
        };
        return Ok(Route::Poll(PollingRequest { revision: Some(revision), base64, ask }));
    };
    if !is_polling {
        shard.has_session(sid, revision).await?;
        return Err(Rejection::BadRequest);
    }
    match &*head.method {
        "GET" => Ok(Route::Poll(PollingRequest { revision, base64, ask: Ask::Get(sid) })),
        "POST" => {
            let kind = head.header("content-type").unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            let octets = kind.eq_ignore_ascii_case("application/octet-stream");
            Ok(Route::Post { sid, revision, octets })
        }
        _ => Err(Rejection::Status(405)),
    }
}

/// Asks whether there may be a POST, reads it, and has it handled.
async fn post<S: Stream>(
    shard: &Rc<Shard<S>>,
    sid: Sid,
    revision: Option<Revision>,
    octets: bool,
    request: HttpRequest,
) -> PollingResponse {
    let serve = |ask| serve_polling(shard, PollingRequest { revision, base64: false, ask });
    let asked = serve(Ask::Post { sid, octets }).await;
    if !asked.is_go_on() {
        return asked;
    }
    let mut posting = Posting { shard, session: SessionName { sid, revision }, is_over: false };
    let limits = &shard.config.limits;
    let body = read_body(request.into_body(), limits.max_payload);
    let body = tokio::time::timeout(limits.connect_timeout, body).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return rejection.into(),
        Err(_) => return Rejection::Status(408).into(),
    };
    posting.is_over = true;
    serve(Ask::Posted { sid, octets, body }).await
}

/// Tells the session, when dropped, that a body did not come.
struct Posting<'a, S: Stream> {
    shard: &'a Rc<Shard<S>>,
    session: SessionName,
    is_over: bool,
}

impl<S: Stream> Drop for Posting<'_, S> {
    fn drop(&mut self) {
        if !self.is_over {
            break_off(self.shard, self.session, Broken::Post);
        }
    }
}

/// Reads a whole body, never more than `bytes_max` of it.
async fn read_body(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, Rejection> {
    let too_long = Rejection::Status(413);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // Broken off; nobody hears this answer.
        let Ok(frame) = frame else { return Err(Rejection::BadRequest) };
        if let Some(data) = frame.data_ref() {
            if data.len() > bytes_max - bytes.len() {
                return Err(too_long);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

/// The head of a request as our own decoder would have it.
fn head_of(request: &HttpRequest) -> Request {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let owned = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Request {
        method: request.method().as_str().to_owned(),
        target: target.to_owned(),
        path: uri.path().to_owned(),
        query: decode_query(uri.query().unwrap_or_default()),
        headers: request.headers().iter().map(owned).collect(),
        minor_version: u8::from(request.version() == Version::HTTP_11),
    }
}

/// The answer to a poll, compressed if that is worth it.
fn respond_to_poll<S: Stream>(
    shard: &Shard<S>,
    request: &HttpRequest,
    mut response: PollingResponse,
) -> HttpResponse {
    debug_assert_eq!(request.method(), Method::GET);
    let config = &shard.config;
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    let encoding = accepted
        .filter(|_| config.http_compression && response.status == 200)
        .and_then(|accepted| compress(accepted.to_str().ok()?, &mut response.body));
    let cookie = response.began.zip(config.cookie.as_ref());
    let cookie = cookie.and_then(|(sid, cookie)| set_cookie(cookie, sid));
    let mut response = plain(response);
    let headers = response.headers_mut();
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

fn plain(response: PollingResponse) -> HttpResponse {
    let PollingResponse { status, content, body, last, .. } = response;
    let has_body = !body.is_empty();
    let mut answer = HttpResponse::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = answer.headers_mut();
    if has_body {
        let content = match content {
            Content::Html => "text/html",
            Content::Json => "application/json",
            Content::Octets => "application/octet-stream",
            Content::Text => "text/plain; charset=UTF-8",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if last {
        answer.extensions_mut().insert(Last);
    }
    answer
}

fn rejected(rejection: Rejection) -> HttpResponse {
    plain(rejection.into())
}

fn status_alone(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::default();
    *response.status_mut() = status;
    response
}

/// The answer to a request for a WebSocket that is granted.
fn switching(accepted: &Accepted) -> HttpResponse {
    let mut response = status_alone(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 is a fine value of a header.
    let accept = HeaderValue::try_from(accept_key(&accepted.key)).ok();
    headers.extend(accept.map(|accept| (header::SEC_WEBSOCKET_ACCEPT, accept)));
    let extensions = accepted.extensions.map(HeaderValue::from_static);
    headers.extend(extensions.map(|agreed| (header::SEC_WEBSOCKET_EXTENSIONS, agreed)));
    response
}
