//! The ways in besides a token: a certificate, an issuer's word. Both prove an identity, which is then
//! looked for as a token is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use moka::future::Cache;

use super::certificate::{BadBundle, Presented, TrustDomain, TrustDomains};
use super::credential::{Kind, Shown, Vouched};
use super::jwt::{self, BadIssuer, Issuers, JwtError, SignIn};
use super::strangers::Strangers;
use super::{CallerError, REMEMBER, REMEMBERED, token};
use crate::clock::Clock;

/// `[callers]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Trust domains, each with the file of its authorities, in PEM.
    pub trust_domains: BTreeMap<TrustDomain, PathBuf>,
    /// `[[callers.jwt]]`
    pub jwt: Vec<jwt::Settings>,
}

/// Why the ways in are not as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadWay {
    /// A trust domain.
    #[error("[callers.trust_domains] {0}")]
    TrustDomain(#[from] BadBundle),
    /// An issuer.
    #[error("[[callers.jwt]] {0}")]
    Issuer(#[from] BadIssuer),
}

/// Whether the ways in are as configured, as far as files tell.
pub fn check(settings: &Settings) -> Result<(), BadWay> {
    Ways::open(settings, Clock::system()).map(drop)
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Ways(Arc<Inner>);

struct Inner {
    domains: TrustDomains,
    issuers: Issuers,
    /// Whom a JWT names that was good a moment ago, by its SHA-256.
    believed: Cache<[u8; 32], Proved>,
    clock: Clock,
}

/// Who somebody proved to be, and until when, in seconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Proved {
    pub(super) shown: Shown,
    pub(super) until: i64,
}

impl Proved {
    fn new((identity, until): Vouched) -> Self {
        let shown = identity.shown();
        Self { shown, until }
    }
}

/// Who was vouched for.
fn proved(vouched: Result<Vouched, JwtError>) -> Result<Proved, CallerError> {
    vouched.map(Proved::new).map_err(|error| match error {
        JwtError::Refused(why) => CallerError::Jwt(why),
        JwtError::Keys(error) => CallerError::IssuerAway(error),
    })
}

impl Ways {
    pub(super) fn open(settings: &Settings, clock: Clock) -> Result<Self, BadWay> {
        let believed = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBER)
            .build();
        Ok(Self(Arc::new(Inner {
            domains: TrustDomains::open(&settings.trust_domains)?,
            issuers: Issuers::open(&settings.jwt)?,
            believed,
            clock,
        })))
    }

    /// What the time is, which both kinds depend on.
    pub(super) fn now(&self) -> Result<i64, CallerError> {
        match self.0.clock.off_by_ms() {
            None => Ok(self.0.clock.unix_s()),
            Some(ms) => Err(CallerError::ClockOff(ms)),
        }
    }

    pub(super) fn by_certificate(&self, presented: &Presented) -> Result<Proved, CallerError> {
        let proved = presented.identity(&self.0.domains, self.now()?)?;
        Ok(Proved::new(proved))
    }

    /// Whom a JWT names. Whoever comes with a key id that nobody knows waits in the strangers' line.
    pub(super) async fn by_jwt(
        &self,
        jwt: &str,
        strangers: &Strangers,
    ) -> Result<Proved, CallerError> {
        let (inner, hash) = (&self.0, token::hash(jwt));
        if let Some(proved) = inner.believed.get(&hash).await
            && self.now()? < proved.until
        {
            return Ok(proved);
        }
        self.look_for_key(jwt, strangers).await?;
        let proved = proved(inner.issuers.verify(jwt, self.now()?))?;
        inner.believed.insert(hash, proved.clone()).await;
        Ok(proved)
    }

    /// Whom the answer to a sign-in names. It answers once, so nothing of it is kept.
    pub(super) async fn by_sign_in(
        &self,
        jwt: &str,
        asked: &SignIn<'_>,
        strangers: &Strangers,
    ) -> Result<Proved, CallerError> {
        self.look_for_key(jwt, strangers).await?;
        proved(self.0.issuers.verify_sign_in(jwt, asked, self.now()?))
    }

    /// Has its issuer's keys looked up where the one that it needs is not there.
    async fn look_for_key(&self, jwt: &str, strangers: &Strangers) -> Result<(), CallerError> {
        if let Some(issuer) = self.0.issuers.wanting(jwt) {
            let _turn = strangers.turn().await.ok_or(CallerError::Busy)?;
            issuer.keys.look_for_another().await;
        }
        Ok(())
    }

    /// Takes what files and issuers have now.
    pub(super) async fn renew(&self) {
        self.0.domains.reload();
        for issuer in &self.0.issuers.0 {
            issuer.keys.renew().await;
        }
    }

    /// The kinds of credentials that somebody could come by here.
    pub(super) fn kinds(&self) -> Vec<String> {
        let is_open = |kind: &Kind| match kind {
            Kind::Token | Kind::Certificate => true,
            Kind::Spiffe => !self.0.domains.is_empty(),
            Kind::Jwt => !self.0.issuers.0.is_empty(),
        };
        let kinds = Kind::ALL.into_iter().filter(is_open);
        kinds.map(|it| it.name().to_owned()).collect()
    }

    /// Whether this could be a JWT that somebody here would be known by.
    pub(super) fn may_be_jwt(&self, presented: &str) -> bool {
        !self.0.issuers.0.is_empty() && presented.split('.').count() == 3
    }

    /// Forgets whom it believed.
    pub(super) fn forget(&self) {
        self.0.believed.invalidate_all();
    }
}

#[cfg(test)]
mod tests;
