//! Which pages of other sites may speak to us.
//!
//! # Spec
//!
//! WHATWG Fetch, "CORS protocol".

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::config::{Cors, Origins};

/// The answer to a preflight, if the request is one; what it allows is added by [`allow`].
pub(super) fn preflight<B>(cors: &Cors, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.method() != Method::OPTIONS {
        return None;
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    if is_allowed(cors, request.headers().get(header::ORIGIN)) {
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET,POST");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        // Headers are how clients authenticate; which ones is their own affair.
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        headers.extend(asked.map(|asked| (header::ACCESS_CONTROL_ALLOW_HEADERS, asked)));
        headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    Some(response)
}

/// Adds to an answer who may read it.
pub(super) fn allow(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    match &cors.origins {
        Origins::Any => {
            let any = HeaderValue::from_static("*");
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        Origins::These(_) => {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            let origin = origin.filter(|origin| is_allowed(cors, Some(origin))).cloned();
            let Some(origin) = origin else { return };
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if cors.credentials {
                let yes = HeaderValue::from_static("true");
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
        }
    }
}

fn is_allowed(cors: &Cors, origin: Option<&HeaderValue>) -> bool {
    match &cors.origins {
        Origins::Any => true,
        Origins::These(these) => origin
            .is_some_and(|origin| these.iter().any(|this| this.as_bytes() == origin.as_bytes())),
    }
}
