//! The cookie that names a session to load balancers.
//!
//! # Spec
//!
//! RFC 6265, section 4.1.

use hyper::header::HeaderValue;

use super::config::{Cookie, SameSite};
use crate::room::Sid;

/// The value of `Set-Cookie`; `None` if the configured name or path can be no part of it.
pub(super) fn set_cookie(cookie: &Cookie, sid: Sid) -> Option<HeaderValue> {
    let mut text = format!("{}={sid}; Path={}", cookie.name, cookie.path);
    if let Some(max_age) = cookie.max_age {
        text.push_str(&format!("; Max-Age={}", max_age.as_secs()));
    }
    if cookie.http_only {
        text.push_str("; HttpOnly");
    }
    text.push_str(match cookie.same_site {
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None; Secure",
        SameSite::Strict => "; SameSite=Strict",
    });
    let value = HeaderValue::try_from(text);
    if value.is_err() {
        tracing::error!(?cookie, "the configured cookie can not be sent");
    }
    value.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cookie_is_written_as_configured() {
        let sid = Sid::new([0; 15]);
        let plain = set_cookie(&Cookie::default(), sid).unwrap();
        assert_eq!(plain, "io=AAAAAAAAAAAAAAAAAAAA; Path=/; HttpOnly; SameSite=Lax");
        let cookie = Cookie {
            name: "sid".to_owned(),
            path: "/chat".to_owned(),
            http_only: false,
            same_site: SameSite::None,
            max_age: Some(Duration::from_secs(3600)),
        };
        assert_eq!(
            set_cookie(&cookie, sid).unwrap(),
            "sid=AAAAAAAAAAAAAAAAAAAA; Path=/chat; Max-Age=3600; SameSite=None; Secure"
        );
        let broken = Cookie { name: "a\r\nb".to_owned(), ..cookie };
        assert_eq!(set_cookie(&broken, sid), None);
    }
}
