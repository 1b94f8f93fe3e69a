//! Cookies: that of a session, and that of a sign-in that is under way.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::sessions::Secret;

/// The cookie. Its prefix has browsers take it from this host only, over TLS or loopback.
pub(super) const COOKIE: &str = "__Host-chancery";

/// The secret of a session, where a browser has sent one.
pub(in crate::http) fn secret(headers: &HeaderMap) -> Option<Secret> {
    cookie(headers, COOKIE)?.parse().ok()
}

/// What a cookie says.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'))
        .filter_map(|it| it.trim().split_once('='));
    let (_, value) = pairs.find(|(its, _)| *its == name)?;
    Some(value)
}

/// The cookie of a sign-in that is under way. Another site leads back here, and browsers send this one along.
pub(super) const UNDER_WAY: &str = "__Host-chancery-sign-in";

pub(super) fn with_cookie(answer: Response, cookie: &str) -> Response {
    with(answer, &format!("{cookie}; SameSite=Strict"))
}

/// With one more cookie, which only this host gets and no script reads.
pub(super) fn with(mut answer: Response, cookie: &str) -> Response {
    let cookie = format!("{cookie}; Path=/; Secure; HttpOnly");
    let mut cookie = HeaderValue::from_str(&cookie).expect("a secret is plain text");
    cookie.set_sensitive(true);
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_among_cookies() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            secret(&headers).map(|it| it.expose().to_owned())
        };
        let value = "A".repeat(43);
        assert_eq!(of(&format!("a=b; {COOKIE}={value}")), Some(value.clone()));
        assert_eq!(of(&format!("x{COOKIE}={value}")), None);
        assert_eq!(of(&format!("{COOKIE}={value}=")), None);
    }
}
