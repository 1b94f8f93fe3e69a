//! Sessions: somebody signs in with what they call with, and comes back with a cookie.
//!
//! A session stands for the credential it was begun with, and for nothing else: whatever ends that ends it, on all
//! replicas, and all that is asked for with it is decided as if the credential had been shown. It ends by itself
//! after some hours, and when it was not used for some minutes. It **trusts** the sealing key: a row that somebody
//! wrote into the table stands for nobody.

mod provider;
mod records;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::audit::{Author, Log};
use crate::callers::{CallerError, Callers, Recognised, Strangers, jwt};
use crate::clock::Clock;
use crate::ledger::{Gate, LedgerError};
use crate::sealing::Keyring;
use crate::within::Within;
use provider::Provider;
pub use provider::{Back, BadProvider, CALLBACK, NotSignedIn};

/// `[console]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether people can sign in with a browser.
    pub enabled: bool,
    /// After how many minutes without use a session ends.
    pub idle_minutes: Within<1, 480>,
    /// After how many hours it ends in any case.
    pub hours: Within<1, 24>,
    /// Whether people show a certificate of theirs besides, on each connection.
    pub client_certificates: bool,
    /// `[console.oidc]`
    pub oidc: Option<provider::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            idle_minutes: Within::of(15),
            hours: Within::of(8),
            client_certificates: false,
            oidc: None,
        }
    }
}

/// So many sessions are begun with one credential within an hour.
const AN_HOUR: i64 = 60;

/// How long a link lasts that signs somebody in.
const LINK: Duration = Duration::from_mins(10);

/// How many sessions are taken for known: those are looked up without a turn.
const KNOWN: u64 = 10_000;

/// What a cookie holds: 256 random bits, or what came in their place.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// The text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no session has this secret")]
pub struct NotASecret;

impl Secret {
    /// How long its text is.
    const LENGTH: usize = 43;

    fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).expect("the operating system has random bytes");
        Self(Arc::new(Zeroizing::new(
            URL_SAFE_NO_PAD.encode(bytes.as_ref()),
        )))
    }

    /// The text, for the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> [u8; 32] {
        let hash = Sha256::new_with_prefix("chancery session\0");
        hash.chain_update(self.0.as_bytes()).finalize().into()
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let is_one = text.len() == Self::LENGTH
            && text
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
        if !is_one {
            return Err(NotASecret);
        }
        Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No such session, or it is over.
    #[error("the session is over")]
    Over,
    /// The certificate is somebody else's.
    #[error("the certificate is another caller's")]
    OtherCertificate,
    /// Somebody signs in again and again.
    #[error("there were {AN_HOUR} sign-ins with this credential within an hour")]
    TooMany,
    /// Who signs in.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What it takes to keep sessions.
pub struct Tools {
    /// Whose they are.
    pub callers: Callers,
    /// Where beginnings and ends go.
    pub log: Log,
    /// Seals what a row stands for.
    pub sealing: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
}

/// The sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    settings: Settings,
    tools: Tools,
    known: Cache<[u8; 32], ()>,
    strangers: Strangers,
    link: Mutex<Option<Link>>,
    provider: Option<Provider>,
}

/// A link that signs somebody in once.
struct Link {
    hash: [u8; 32],
    token: Zeroizing<String>,
    until: Instant,
}

impl Sessions {
    /// Sessions as the settings say.
    pub fn open(
        settings: &Settings,
        issuers: &[jwt::Settings],
        tools: Tools,
    ) -> Result<Self, BadProvider> {
        Ok(Self(Arc::new(Inner {
            provider: provider(settings, issuers)?,
            settings: settings.clone(),
            tools,
            known: Cache::new(KNOWN),
            strangers: Strangers::default(),
            link: Mutex::default(),
        })))
    }

    /// Whether a session is worth nothing without a certificate of the same caller.
    pub fn ask_for_certificates(&self) -> bool {
        self.0.settings.client_certificates
    }

    /// Whether people can sign in at an identity provider.
    pub fn have_provider(&self) -> bool {
        self.0.provider.is_some()
    }

    /// Where somebody signs in who wants to come to `next`, and what their browser keeps until they come back.
    pub fn begin_there(&self, next: &str) -> Option<(Url, String)> {
        let Inner {
            tools, provider, ..
        } = &*self.0;
        let now = tools.clock.unix_s();
        Some(provider.as_ref()?.begin(next, now, &tools.sealing))
    }

    /// Who comes back from there, and where they wanted to.
    pub async fn come_back(
        &self,
        kept: &str,
        back: &Back,
    ) -> Result<(Recognised, String), NotSignedIn> {
        let Inner {
            tools, provider, ..
        } = &*self.0;
        let provider = provider.as_ref().ok_or(NotSignedIn::Unknown)?;
        let _turn = self.0.strangers.turn().await.ok_or(CallerError::Busy)?;
        let by = (&*tools.sealing, &tools.callers);
        provider.finish(kept, back, tools.clock.unix_s(), by).await
    }

    /// Whether anybody can sign in.
    pub fn are_open(&self) -> bool {
        self.0.settings.enabled
    }

    /// Whose session this is. Nothing of it is remembered from one request to the next.
    pub async fn recognise(&self, secret: &Secret) -> Result<Recognised, SessionError> {
        self.look(secret, true).await
    }

    /// The same of what a page asks for by itself, which nobody does by using it: the session becomes idle all the
    /// same.
    pub async fn glance(&self, secret: &Secret) -> Result<Recognised, SessionError> {
        self.look(secret, false).await
    }

    async fn look(&self, secret: &Secret, is_use: bool) -> Result<Recognised, SessionError> {
        let Inner { tools, known, .. } = &*self.0;
        let hash = secret.hash();
        let _turn = match known.get(&hash) {
            Some(()) => None,
            None => Some(self.0.strangers.turn().await.ok_or(CallerError::Busy)?),
        };
        let idle = i32::try_from(self.0.settings.idle_minutes.get()).unwrap_or(i32::MAX);
        let ledger = tools.log.ledger();
        let row = records::find(&hash, idle, ledger).await?;
        let row = row.filter(|_| self.are_open()).ok_or(SessionError::Over)?;
        let aad = proved(&hash, row.credential, row.ends_at);
        if tools.sealing.open(&aad, &row.proof).is_err() {
            tracing::error!(alarm = "falsified", credential = %row.credential, "somebody else wrote a session");
            return Err(SessionError::Over);
        }
        let shown = (row.kind.as_str(), row.token_hash.as_slice());
        let recognised = tools.callers.recognise_again(shown).await?;
        if recognised.caller.credential != row.credential {
            return Err(SessionError::Over);
        }
        known.insert(hash, ());
        if row.is_old && is_use {
            records::touch(&hash, ledger).await?;
        }
        Ok(recognised)
    }

    /// Begins a session of whoever has this token. `by` answers for it.
    pub async fn begin(
        &self,
        recognised: &Recognised,
        by: &Author,
    ) -> Result<Secret, SessionError> {
        let Inner {
            tools, settings, ..
        } = &*self.0;
        let caller = &recognised.caller;
        let life = time::Duration::hours(i64::try_from(settings.hours.get()).unwrap_or(1));
        let mut ends_at = whole_seconds(tools.clock.now() + life);
        if let Some(until) = recognised.until() {
            ends_at = ends_at.min(until);
        }
        let secret = Secret::random();
        let hash = secret.hash();
        let proof = proved(&hash, caller.credential, ends_at);
        let proof = tools.sealing.seal(&proof, &[]);
        let mut change = tools.log.begin(Gate::Shared, by).await?;
        if records::begun(caller.credential, &mut change).await? >= AN_HOUR {
            change.abandon().await;
            return Err(SessionError::TooMany);
        }
        records::insert(&hash, caller.credential, &proof, ends_at, &mut change).await?;
        let details = serde_json::json!({
            "credential": caller.credential, "kind": caller.kind.name(), "ends_at": crate::clock::timestamp(ends_at),
        });
        change.note("sign-in", caller.id, &details);
        change.commit().await?;
        Ok(secret)
    }

    /// Ends it, unless it is over.
    pub async fn end(
        &self,
        secret: &Secret,
        whose: &Recognised,
        by: &Author,
    ) -> Result<(), SessionError> {
        let mut change = self.0.tools.log.begin(Gate::Shared, by).await?;
        if records::end(&secret.hash(), &mut change).await? {
            let credential = whose.caller.credential;
            let details = serde_json::json!({ "credential": credential });
            change.note("sign-out", whose.caller.id, &details);
        }
        change.commit().await?;
        Ok(())
    }

    /// A code that stands for a token once, for some minutes: whoever started this program and has the token
    /// opens a link with it. The one before does not count any more.
    pub fn link(&self, token: &str) -> Secret {
        let code = Secret::random();
        let link = Link {
            hash: code.hash(),
            token: Zeroizing::new(token.to_owned()),
            until: Instant::now() + LINK,
        };
        *self.lock() = Some(link);
        code
    }

    /// The token for which a code stands.
    pub fn redeem(&self, code: &Secret) -> Option<Zeroizing<String>> {
        let hash = code.hash();
        let taken = self.lock().take_if(|it| it.hash == hash)?;
        (taken.until > Instant::now()).then_some(taken.token)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Link>> {
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether people can sign in as configured, as far as files tell.
pub fn check(settings: &Settings, issuers: &[jwt::Settings]) -> Result<(), BadProvider> {
    provider(settings, issuers).map(drop)
}

/// The identity provider. What answers a sign-in is no token for calls.
fn provider(
    settings: &Settings,
    issuers: &[jwt::Settings],
) -> Result<Option<Provider>, BadProvider> {
    let Some(oidc) = &settings.oidc else {
        return Ok(None);
    };
    let issuer = issuers.iter().find(|it| it.issuer == oidc.issuer);
    let issuer = issuer.ok_or_else(|| BadProvider::Issuer(oidc.issuer.clone()))?;
    if issuer.audience == oidc.client_id {
        return Err(BadProvider::Audience);
    }
    Provider::open(oidc).map(Some)
}

/// What a row stands for.
fn proved(hash: &[u8; 32], credential: uuid::Uuid, ends_at: OffsetDateTime) -> Vec<u8> {
    let ends_at = ends_at.unix_timestamp().to_be_bytes();
    let parts: [&[u8]; 4] = [b"chancery session\0", hash, credential.as_bytes(), &ends_at];
    parts.concat()
}

/// As exact as its row is proved.
fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

#[cfg(test)]
mod tests;
