//! What browsers get: a page to chat on, and the stock client if a file of it is named.
//!
//! The page is part of the binary and needs nothing from elsewhere. It speaks
//! the [chat protocol](parlor::chat) over a WebSocket, with a client of its own
//! (`socket.js`). Its content security policy allows what is served here alone.
//! All that is served is fixed at the start: answers are looked up, not made.

mod asset;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};

use asset::Asset;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but our own files and our own server; no icon but an empty one.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files for browsers.
#[derive(Clone)]
pub(crate) struct Page {
    assets: Arc<[(String, Asset)]>,
}

impl Page {
    /// The chat page if `chat` is true, and the stock client if there is a `script`,
    /// for a server of Socket.IO at `path`.
    ///
    /// # Errors
    ///
    /// A sentence, if the script can not be read.
    pub(crate) fn new(path: &str, chat: bool, script: Option<&Path>) -> Result<Self, String> {
        let mut assets = Vec::new();
        if chat {
            let page = include_str!("index.html").replace("{{SOCKET_PATH}}", &escape(path));
            assets.push(("/".to_owned(), Asset::new(HTML, page.into())));
            for (path, kind, text) in [
                ("/page/style.css", CSS, include_str!("style.css")),
                ("/page/chat.js", JAVASCRIPT, include_str!("chat.js")),
                ("/page/socket.js", JAVASCRIPT, include_str!("socket.js")),
            ] {
                assets.push((path.to_owned(), Asset::new(kind, text.into())));
            }
        }
        if let Some(script) = script {
            let text = fs::read(script)
                .map_err(|error| format!("can not read {}: {error}", script.display()))?;
            assets.push((format!("{path}socket.io.js"), Asset::new(JAVASCRIPT, text.into())));
        }
        Ok(Self { assets: assets.into() })
    }

    /// The file that is asked for, or why there is none.
    pub(crate) fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let Some((_, asset)) = self.assets.iter().find(|(here, _)| here == path) else {
            return status_alone(StatusCode::NOT_FOUND);
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = status_alone(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let mut response = asset.answer(headers);
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn status_alone(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// For the value of an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(page: &Page, method: &Method, path: &str) -> u16 {
        page.answer(method, path, &HeaderMap::new()).status().as_u16()
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        for (chat, script, expected) in [
            (true, None, [200, 200, 404]),
            (false, Some(script), [404, 404, 200]),
            (false, None, [404, 404, 404]),
        ] {
            let page = Page::new("/live/", chat, script).unwrap();
            let paths = ["/", "/page/chat.js", "/live/socket.io.js"];
            assert_eq!(paths.map(|path| status(&page, &Method::GET, path)), expected);
        }
        assert!(Page::new("/", true, Some(Path::new("/not/there"))).is_err());
    }

    #[test]
    fn it_is_only_read() {
        let page = Page::new("/socket.io/", true, None).unwrap();
        for (method, expected) in [(Method::HEAD, 200), (Method::POST, 405), (Method::PUT, 405)] {
            assert_eq!(status(&page, &method, "/"), expected, "{method}");
        }
    }

    #[test]
    fn every_answer_has_the_policy_and_no_file_needs_more() {
        let page = Page::new("/a\"<b/", true, None).unwrap();
        for (path, asset) in page.assets.iter() {
            let response = page.answer(&Method::GET, path, &HeaderMap::new());
            let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
            assert!(policy.to_str().unwrap().starts_with("default-src 'none'; "), "{path}");
            let text = asset.text();
            for foreign in ["http://", "https://", " onclick=", "<script>", "<style", "innerHTML"] {
                assert!(!text.contains(foreign), "{foreign} in {path}");
            }
        }
        assert!(page.assets[0].1.text().contains("content=\"/a&quot;&lt;b/\""));
    }
}
