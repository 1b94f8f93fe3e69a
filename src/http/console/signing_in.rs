//! Signing in and out: a caller's token becomes a session, whose cookie no script can read and no other site can
//! have sent.

use axum::Extension;
use axum::extract::{Form, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::asking::Console;
use super::assets::ASSETS;
use super::certified::Certified;
use super::cookies::{COOKIE, UNDER_WAY, cookie, secret, with, with_cookie};
use super::form::form_of;
use super::guarded::guarded;
use super::page::{Page, SignIn, SignedIn, html, place, see_other};
use crate::callers::{CallerError, Recognised};
use crate::percent::encoded;
use crate::sessions::{Back, NotSignedIn, Secret, SessionError};

/// What a link to the page says.
#[derive(serde::Deserialize)]
pub(super) struct Arrival {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

pub(super) async fn show(
    Extension(console): Extension<Console>,
    Query(arrival): Query<Arrival>,
) -> Response {
    let next = place(&arrival.next);
    page(&console, (StatusCode::OK, ""), (&next, &arrival.code), &[])
}

/// Leads to the identity provider. What somebody was about to send does not come along.
pub(super) async fn go(
    Extension(console): Extension<Console>,
    Query(arrival): Query<Arrival>,
) -> Response {
    let next = place(&arrival.next);
    let Some((there, kept)) = console.app.sessions.begin_there(&next) else {
        return first(
            &console,
            "Nobody signs in elsewhere here: there is no [console.oidc].",
            &next,
            &[],
        );
    };
    let to = HeaderValue::from_str(there.as_str()).expect("a URL is plain text");
    let answer = guarded((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response());
    with(
        answer,
        &format!("{UNDER_WAY}={kept}; Max-Age=600; SameSite=Lax"),
    )
}

/// Where the provider leads back to. A page, and no redirection: the session's cookie goes along only with what
/// begins at a page of this service.
pub(super) async fn come_back(
    Extension(console): Extension<Console>,
    certified: Option<Extension<Certified>>,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Response {
    let sessions = &console.app.sessions;
    let kept = cookie(&headers, UNDER_WAY).unwrap_or_default();
    let answer = match sessions.come_back(kept, &back).await {
        Ok((who, next)) => match open(&console, &who, certified).await {
            Ok(secret) => {
                let page = SignedIn {
                    next: &place(&next),
                };
                let answer = html(StatusCode::OK, askama::Template::render(&page));
                with_cookie(answer, &format!("{COOKIE}={}", secret.expose()))
            }
            Err(error) => refused(&console, &said(&error, "your account"), &Shown::default()),
        },
        Err(NotSignedIn::Caller(CallerError::NotRecognised)) => refused(
            &console,
            "Nobody here is known by your account: an operator adds it to a caller (chancery callers credential).",
            &Shown::default(),
        ),
        Err(error) => {
            if let NotSignedIn::Away(_) = &error {
                tracing::warn!(%error, "nobody could sign in at the identity provider");
            }
            refused(
                &console,
                &format!("You are not signed in: {error}."),
                &Shown::default(),
            )
        }
    };
    // It was good once.
    with(answer, &format!("{UNDER_WAY}=; Max-Age=0; SameSite=Lax"))
}

/// Where somebody has to sign in first, who was about to send something or to see it.
pub(super) fn first(
    console: &Console,
    said: &str,
    next: &str,
    kept: &[(String, String)],
) -> Response {
    page(console, (StatusCode::UNAUTHORIZED, said), (next, ""), kept)
}

fn page(
    console: &Console,
    (status, said): (StatusCode, &str),
    (next, code): (&str, &str),
    kept: &[(String, String)],
) -> Response {
    let page = SignIn {
        style: &ASSETS.style.path,
        said,
        next,
        code,
        kept,
        elsewhere: console.app.sessions.have_provider().then(|| encoded(next)),
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
    certified: Option<Extension<Certified>>,
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
            None => return refused(&console, "The link was used, or is too old.", &shown),
        }
    }
    let begun = begin(&console, shown.token.trim(), certified).await;
    match begun {
        Ok((who, secret)) => {
            let answer = if shown.kept.is_empty() {
                see_other(&shown.next)
            } else {
                go_on(&console, who, &shown.kept).await
            };
            with_cookie(answer, &format!("{COOKIE}={}", secret.expose()))
        }
        Err(error) => refused(&console, &said(&error, "this token"), &shown),
    }
}

/// Why nobody is signed in by what they came with.
fn said(error: &SessionError, with: &str) -> String {
    match error {
        SessionError::TooMany => "You signed in very often within the last hour: wait, or go on with the session you have.".to_owned(),
        SessionError::OtherCertificate => {
            "Your certificate is another caller's than you sign in as.".to_owned()
        }
        SessionError::Over | SessionError::Caller(_) => format!("Nobody is known by {with}."),
        SessionError::Ledger(error) => {
            tracing::warn!(%error, "nobody could be signed in");
            "The database is away: try again in a moment.".to_owned()
        }
    }
}

async fn begin(
    console: &Console,
    token: &str,
    certified: Option<Extension<Certified>>,
) -> Result<(Recognised, Secret), SessionError> {
    let app = &console.app;
    if !app.sessions.are_open() {
        return Err(SessionError::Over);
    }
    let who = app.callers.recognise(token).await?;
    let secret = open(console, &who, certified).await?;
    Ok((who, secret))
}

/// A session of somebody who is known.
async fn open(
    console: &Console,
    who: &Recognised,
    certified: Option<Extension<Certified>>,
) -> Result<Secret, SessionError> {
    if certified.is_some_and(|it| it.0.0 != who.caller.id) {
        return Err(SessionError::OtherCertificate);
    }
    let app = &console.app;
    let by = app.rights.proposer(&who.caller);
    app.sessions.begin(who, &by).await
}

fn refused(console: &Console, said: &str, shown: &Shown) -> Response {
    let next = if shown.next.is_empty() {
        "/"
    } else {
        &shown.next
    };
    first(console, said, next, &shown.kept)
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
                &console,
                "You are still signed in: the database is away. Try again.",
                "/",
                &[],
            );
        }
    }
    with_cookie(see_other("/sign-in"), &format!("{COOKIE}=; Max-Age=0"))
}
