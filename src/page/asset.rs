//! One file as it is served: compressed once, and known by its hash.
//!
//! # Spec
//!
//! RFC 9110, sections 8.8.3 (ETag), 12.5.3 (Accept-Encoding), 13.1.2 (If-None-Match).

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use sha1::{Digest, Sha1};

/// A file for browsers.
pub(super) struct Asset {
    kind: &'static str,
    plain: Form,
    gzip: Form,
}

/// One of the forms that a file is sent in; each has a name of its own.
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Asset {
    pub(super) fn new(kind: &'static str, bytes: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        let gzip = written.expect("memory takes what is written");
        Self { kind, plain: Form::new(bytes), gzip: Form::new(gzip.into()) }
    }

    /// The file, or that it is what the client has already.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let gzip = accepts_gzip(request);
        let form = if gzip { &self.gzip } else { &self.plain };
        let is_known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .flat_map(|tags| tags.as_bytes().split(|&byte| byte == b','))
            .map(|tag| tag.trim_ascii())
            .any(|tag| {
                tag == b"*" || *tag.strip_prefix(b"W/").unwrap_or(tag) == *form.tag.as_bytes()
            });
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(header::ETAG, form.tag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        *response.body_mut() = Full::new(form.bytes.clone());
        response
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.plain.bytes).unwrap()
    }
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let digest = Sha1::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).expect("hex is a fine header");
        Self { bytes, tag }
    }
}

/// Whether it is named, and not with a weight of nothing.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight: f32| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn asked(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn it_is_compressed_for_who_accepts_that() {
        for (accepted, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip;q=x", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&asked(header::ACCEPT_ENCODING, accepted)), expected);
        }
        let asset = Asset::new("text/plain", "parlor ".repeat(100).into());
        let response = asset.answer(&asked(header::ACCEPT_ENCODING, "gzip"));
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let mut text = String::new();
        GzDecoder::new(&*asset.gzip.bytes).read_to_string(&mut text).unwrap();
        assert_eq!(text, asset.text());
    }

    #[test]
    fn who_has_it_does_not_get_it_again() {
        let asset = Asset::new("text/plain", "parlor".into());
        let tag = asset.plain.tag.to_str().unwrap();
        for (known, status) in [
            (tag.to_owned(), 304),
            (format!("\"a\", W/{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"a\"".to_owned(), 200),
            (asset.gzip.tag.to_str().unwrap().to_owned(), 200),
        ] {
            let response = asset.answer(&asked(header::IF_NONE_MATCH, &known));
            assert_eq!(response.status().as_u16(), status, "{known}");
            assert_eq!(response.headers()[header::ETAG], tag);
        }
        let mut request = asked(header::ACCEPT_ENCODING, "gzip");
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap());
        assert_eq!(asset.answer(&request).status(), 200, "the other form has a tag of its own");
        request.insert(header::IF_NONE_MATCH, asset.gzip.tag.clone());
        assert_eq!(asset.answer(&request).status(), 304);
    }
}
