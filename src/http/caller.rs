//! From headers to a [`Caller`], and the other headers that operations take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::admission::Admitted;
use super::again::Under;
use super::console;
use super::problem::{self, Problem};
use crate::app::App;
use crate::callers::{Caller, Recognised, certificate};
use crate::idempotency::{Key, RequestDigest};
use crate::signing::{Held, SigningRequest};

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if is_basic(&parts.headers) {
            return Err(missing());
        }
        BasicCaller::from_request_parts(parts, app)
            .await
            .map(|it| it.0)
    }
}

/// A caller who may also come with Basic, the token as its password: tools that take nothing but a
/// URL can say no more.
pub(super) struct BasicCaller(pub(super) Caller);

impl FromRequestParts<App> for BasicCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let mut caller = match parts.extensions.get::<Recognised>() {
            Some(recognised) => recognised.caller.clone(),
            None => identify(parts, app).await?.ok_or_else(missing)?.caller,
        };
        caller.proposal = parts.extensions.get::<Under>().map(|it| it.0);
        Ok(Self(caller))
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
pub(super) struct OptionalCaller(pub(super) Option<Caller>);

impl FromRequestParts<App> for OptionalCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let is_known = parts.extensions.get::<Recognised>().is_some();
        if !is_known && !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let caller = Caller::from_request_parts(parts, app).await?;
        Ok(Self(Some(caller)))
    }
}

/// Who calls, found once for all who ask later. Nobody, where there is no credential at all; whether an
/// operation takes that, or Basic, it says itself. Who shows a certificate is who it names: a token besides
/// has to be the same caller's.
pub(super) async fn identify(parts: &mut Parts, app: &App) -> Result<Option<Recognised>, Problem> {
    if let Some(known) = parts.extensions.get::<Recognised>() {
        return Ok(Some(known.clone())); // a page asks within the process
    }
    let shown = parts.extensions.get::<Arc<certificate::Presented>>();
    let by_certificate = match shown {
        Some(shown) => Some(app.callers.recognise_certificate(shown).await?),
        None => None,
    };
    let by_token = if parts.headers.contains_key(header::AUTHORIZATION) {
        let presented = presented(&parts.headers)?.ok_or_else(missing)?;
        Some(recognise(app, &presented).await?)
    } else if let Some(session) = console::secret(&parts.headers) {
        if by_certificate.is_none() && app.sessions.ask_for_certificates() {
            return Err(console::certificate_missing());
        }
        Some(app.sessions.recognise(&session).await?)
    } else {
        None
    };
    if let (Some(one), Some(other)) = (&by_certificate, &by_token)
        && one.caller.id != other.caller.id
    {
        let (certificate, token) = (&one.caller.name, &other.caller.name);
        tracing::warn!(%certificate, %token, "a request came with the credentials of two callers");
        let detail = "the certificate is one caller's, the token another's";
        return Err(Problem::new(&problem::CREDENTIALS_DISAGREE, detail));
    }
    let Some(recognised) = by_certificate.or(by_token) else {
        return Ok(None);
    };
    let id = tracing::field::display(recognised.caller.id);
    tracing::Span::current().record("caller.id", id);
    parts.extensions.insert(recognised.clone());
    Ok(Some(recognised))
}

pub(super) fn missing() -> Problem {
    let detail = "there is neither a bearer token nor a certificate";
    Problem::new(&problem::NOT_AUTHENTICATED, detail)
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

/// Whether a token came as the password of Basic.
fn is_basic(headers: &HeaderMap) -> bool {
    let credential = credential(headers).ok().flatten();
    credential.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
}

/// A token, as it came.
enum Presented<'a> {
    Bearer(&'a str),
    /// As the password of Basic.
    Basic(Zeroizing<String>),
}

fn presented(headers: &HeaderMap) -> Result<Option<Presented<'_>>, Problem> {
    let Some((scheme, value)) = credential(headers)? else {
        return Ok(None);
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Presented::Bearer(value)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let pair = STANDARD.decode(value).map(Zeroizing::new);
    let pair = pair.map_err(|_| missing())?;
    let pair = std::str::from_utf8(&pair).map_err(|_| missing())?;
    let (_, password) = pair.split_once(':').ok_or_else(missing)?;
    Ok(Some(Presented::Basic(Zeroizing::new(password.to_owned()))))
}

async fn recognise(app: &App, presented: &Presented<'_>) -> Result<Recognised, Problem> {
    let token = match presented {
        Presented::Bearer(token) => token,
        Presented::Basic(token) => token.as_str(),
    };
    Ok(app.callers.recognise(token).await?)
}

/// `Idempotency-Key`, where an operation needs it.
pub(super) struct RequiredKey(pub(super) Key);

/// `Idempotency-Key`, where an operation can do without.
pub(super) struct OptionalKey(pub(super) Option<Key>);

/// `Chancery-Deadline-Ms`: how long the caller waits, in milliseconds; and what is held until the work is
/// over, which goes on without them.
pub(super) struct Waits {
    pub(super) deadline: Option<Duration>,
    pub(super) held: Held,
}

impl Waits {
    /// How a request that is waited for like this comes to the door.
    pub(super) fn asked(self, digest: RequestDigest, idempotency: Option<Key>) -> SigningRequest {
        SigningRequest {
            digest,
            idempotency,
            deadline: self.deadline,
            held: self.held,
        }
    }
}

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

impl<S: Sync> FromRequestParts<S> for OptionalKey {
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

impl<S: Sync> FromRequestParts<S> for RequiredKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let OptionalKey(key) = OptionalKey::from_request_parts(parts, state).await?;
        let missing = || {
            Problem::new(
                &problem::IDEMPOTENCY_KEY_MISSING,
                "there is no Idempotency-Key",
            )
        };
        key.map(Self).ok_or_else(missing)
    }
}

impl<S: Sync> FromRequestParts<S> for Waits {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let held = held(parts);
        let Some(text) = single(&parts.headers, "chancery-deadline-ms")? else {
            let deadline = None;
            return Ok(Self { deadline, held });
        };
        let wrong = || {
            let detail = "Chancery-Deadline-Ms is 1 to 60000, in milliseconds";
            Problem::new(&problem::MALFORMED_HEADER, detail)
        };
        let ms: u64 = text.parse().map_err(|_| wrong())?;
        if (1..=60_000).contains(&ms) {
            let deadline = Some(Duration::from_millis(ms));
            Ok(Self { deadline, held })
        } else {
            Err(wrong())
        }
    }
}

/// The place of a request.
fn held(parts: &Parts) -> Held {
    let admitted = parts.extensions.get::<Admitted>();
    admitted.map_or_else(Held::default, Admitted::held)
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
