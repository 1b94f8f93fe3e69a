//! From headers to a [`Caller`], and the other headers that operations take.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::problem::{self, Problem};
use crate::app::App;
use crate::callers::Caller;
use crate::id::CallerId;
use crate::idempotency::Key;

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match credential(&parts.headers)? {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                match parts.extensions.get::<Self>() {
                    Some(identified) => Ok(identified.clone()),
                    None => recognise(app, token).await,
                }
            }
            _ => Err(missing()),
        }
    }
}

/// A caller who may also come with Basic, the token as its password: tools that take nothing but a
/// URL can say no more.
pub(super) struct EitherWay(pub(super) Caller);

impl FromRequestParts<App> for EitherWay {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (scheme, value) = credential(&parts.headers)?.ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Caller::from_request_parts(parts, app).await.map(Self);
        }
        if let Some(identified) = parts.extensions.get::<Caller>() {
            return Ok(Self(identified.clone()));
        }
        let pair = STANDARD.decode(value).map(Zeroizing::new);
        let pair = pair.map_err(|_| missing())?;
        let pair = std::str::from_utf8(&pair).map_err(|_| missing())?;
        let (_, password) = pair.split_once(':').ok_or_else(missing)?;
        recognise(app, password).await.map(Self)
    }
}

/// The user of Basic authentication, where there is one.
pub(super) fn basic_user(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = credential(headers).ok()??;
    let pair = Zeroizing::new(STANDARD.decode(value).ok()?);
    let (user, _) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    (scheme.eq_ignore_ascii_case("basic") && !user.is_empty()).then(|| user.to_owned())
}

/// A caller, or nobody where there is no credential at all.
pub(super) struct Perhaps(pub(super) Option<Caller>);

impl FromRequestParts<App> for Perhaps {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let caller = Caller::from_request_parts(parts, app).await?;
        Ok(Self(Some(caller)))
    }
}

/// Who calls, found once for all who ask later. Nobody, where there is no credential at all; whether an
/// operation takes that, or Basic, it says itself.
pub(super) async fn identify(parts: &mut Parts, app: &App) -> Result<Option<CallerId>, Problem> {
    if !parts.headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let EitherWay(caller) = EitherWay::from_request_parts(parts, app).await?;
    let id = caller.id;
    parts.extensions.insert(caller);
    Ok(Some(id))
}

pub(super) fn missing() -> Problem {
    Problem::new(&problem::NOT_AUTHENTICATED, "there is no bearer token")
}

/// The one credential of a request: its scheme, and what comes after it.
fn credential(headers: &HeaderMap) -> Result<Option<(&str, &str)>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().and_then(|v| v.to_str().ok());
    if values.next().is_some() {
        let detail = "there are two credentials";
        return Err(Problem::new(&problem::NOT_AUTHENTICATED, detail));
    }
    let pair = value.and_then(|value| value.split_once(' '));
    Ok(pair.map(|(scheme, rest)| (scheme, rest.trim())))
}

async fn recognise(app: &App, token: &str) -> Result<Caller, Problem> {
    let caller = app.callers.recognise(token).await?;
    tracing::Span::current().record("caller.id", tracing::field::display(caller.id));
    Ok(caller)
}

/// `Idempotency-Key`, where an operation needs it.
pub(super) struct Required(pub(super) Key);

/// `Idempotency-Key`, where an operation can do without.
pub(super) struct Optional(pub(super) Option<Key>);

/// `Chancery-Deadline-Ms`: how long the caller waits, in milliseconds.
pub(super) struct Deadline(pub(super) Option<Duration>);

/// `Cache-Control: no-cache`: what is remembered of the CLOB is looked up anew. Other directives have
/// no meaning here.
pub(super) struct Afresh(pub(super) bool);

impl<S: Sync> FromRequestParts<S> for Afresh {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let values = parts.headers.get_all(header::CACHE_CONTROL).iter();
        let mut directives = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        Ok(Self(
            directives.any(|it| it.trim().eq_ignore_ascii_case("no-cache")),
        ))
    }
}

impl<S: Sync> FromRequestParts<S> for Optional {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(text) = single(&parts.headers, "idempotency-key")? else {
            return Ok(Self(None));
        };
        let key =
            Key::try_from(text).map_err(|error| Problem::new(&problem::MALFORMED_HEADER, error))?;
        Ok(Self(Some(key)))
    }
}

impl<S: Sync> FromRequestParts<S> for Required {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Optional(key) = Optional::from_request_parts(parts, state).await?;
        let missing = || {
            Problem::new(
                &problem::IDEMPOTENCY_KEY_MISSING,
                "there is no Idempotency-Key",
            )
        };
        key.map(Self).ok_or_else(missing)
    }
}

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(text) = single(&parts.headers, "chancery-deadline-ms")? else {
            return Ok(Self(None));
        };
        let wrong = || {
            let detail = "Chancery-Deadline-Ms is 1 to 60000, in milliseconds";
            Problem::new(&problem::MALFORMED_HEADER, detail)
        };
        let ms: u64 = text.parse().map_err(|_| wrong())?;
        if (1..=60_000).contains(&ms) {
            Ok(Self(Some(Duration::from_millis(ms))))
        } else {
            Err(wrong())
        }
    }
}

/// A header that comes once or not at all.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let malformed = |what: &str| Problem::new(&problem::MALFORMED_HEADER, format!("{name} {what}"));
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed("is there twice"));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| malformed("is not plain text"))
}
