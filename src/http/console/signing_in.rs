//! Signing in and out: a caller's token becomes a session, whose cookie no script can read and no other site can
//! have sent.

use axum::Extension;
use axum::extract::{Form, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::asking::Console;
use super::form::form_of;
use super::page::{Page, STYLE_PATH, SignIn, html, place, see_other};
use crate::callers::Recognised;
use crate::sessions::{Secret, SessionError};

/// The cookie. Its prefix has browsers take it from this host only, over TLS or loopback.
const COOKIE: &str = "__Host-chancery";

/// The secret of a session, where a browser has sent one.
pub(in crate::http) fn secret(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'))
        .filter_map(|it| it.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    value.parse().ok()
}

/// What a link to the page says.
#[derive(serde::Deserialize)]
pub(super) struct Arrival {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

pub(super) async fn show(Query(arrival): Query<Arrival>) -> Response {
    let next = place(&arrival.next);
    page(StatusCode::OK, "", (&next, &arrival.code), &[])
}

/// Where somebody has to sign in first, who was about to send something or to see it.
pub(super) fn first(said: &str, next: &str, kept: &[(String, String)]) -> Response {
    page(StatusCode::UNAUTHORIZED, said, (next, ""), kept)
}

fn page(
    status: StatusCode,
    said: &str,
    (next, code): (&str, &str),
    kept: &[(String, String)],
) -> Response {
    let page = SignIn {
        style: &STYLE_PATH,
        said,
        next,
        code,
        kept,
    };
    html(status, askama::Template::render(&page))
}

/// What somebody signs in with.
#[derive(Default)]
struct Shown {
    token: String,
    code: String,
    next: String,
    kept: Vec<(String, String)>,
}

pub(super) async fn sign_in(
    Extension(console): Extension<Console>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let mut shown = Shown::default();
    for (name, value) in fields {
        match name.strip_prefix("kept.") {
            Some(name) => shown.kept.push((name.to_owned(), value)),
            None if name == "token" => shown.token = value,
            None if name == "code" => shown.code = value,
            None if name == "next" => shown.next = place(&value),
            None => {}
        }
    }
    if let Ok(code) = shown.code.parse::<Secret>() {
        match console.app.sessions.redeem(&code) {
            Some(token) => shown.token = token.to_string(),
            None => return refused("The link was used, or is too old.", &shown),
        }
    }
    let begun = begin(&console, shown.token.trim()).await;
    match begun {
        Ok((who, secret)) => {
            let answer = if shown.kept.is_empty() {
                see_other(&shown.next)
            } else {
                go_on(&console, who, &shown.kept).await
            };
            with_cookie(answer, &format!("{COOKIE}={}", secret.expose()))
        }
        Err(SessionError::TooMany) => refused(
            "You signed in very often within the last hour: wait, or go on with the session you have.",
            &shown,
        ),
        Err(SessionError::Over | SessionError::Caller(_)) => {
            refused("Nobody is known by this token.", &shown)
        }
        Err(SessionError::Ledger(error)) => {
            tracing::warn!(%error, "nobody could be signed in");
            refused("The database is away: try again in a moment.", &shown)
        }
    }
}

async fn begin(console: &Console, token: &str) -> Result<(Recognised, Secret), SessionError> {
    let app = &console.app;
    if !app.sessions.are_open() {
        return Err(SessionError::Over);
    }
    let who = app.callers.recognise(token).await?;
    let by = app.rights.proposer(&who.caller);
    let secret = app.sessions.begin(&who, &by).await?;
    Ok((who, secret))
}

fn refused(said: &str, shown: &Shown) -> Response {
    let next = if shown.next.is_empty() {
        "/"
    } else {
        &shown.next
    };
    first(said, next, &shown.kept)
}

/// What somebody was about to send, to be sent now.
async fn go_on(console: &Console, who: Recognised, kept: &[(String, String)]) -> Response {
    let visit = console.visit(who);
    let about = "You are signed in again. Nothing was sent yet.";
    let page = Page::new(
        "Go on where you were",
        "/sign-in",
        (about, "chancery --help"),
    );
    let page = page.with(form_of(kept));
    page.response(StatusCode::OK, &visit.around().await)
}

pub(super) async fn sign_out(
    Extension(console): Extension<Console>,
    headers: HeaderMap,
) -> Response {
    let app = &console.app;
    if let Some(secret) = secret(&headers)
        && let Ok(who) = app.sessions.recognise(&secret).await
    {
        let by = app.rights.proposer(&who.caller);
        if let Err(error) = app.sessions.end(&secret, &who, &by).await {
            tracing::warn!(%error, "a session could not be ended");
            return first(
                "You are still signed in: the database is away. Try again.",
                "/",
                &[],
            );
        }
    }
    with_cookie(see_other("/sign-in"), &format!("{COOKIE}=; Max-Age=0"))
}

fn with_cookie(mut answer: Response, cookie: &str) -> Response {
    let cookie = format!("{cookie}; Path=/; Secure; HttpOnly; SameSite=Strict");
    let mut cookie = HeaderValue::from_str(&cookie).expect("a secret is plain text");
    cookie.set_sensitive(true);
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
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
