//! Callers by the word of an issuer: a JWT that it signed for this service (RFC 7519, RFC 8725).
//!
//! Issuer, audience and algorithms are the configuration's, never the token's; so are the keys, whatever
//! the header says of where they are.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, Validation};

use super::credential::{Identity, Vouched};
use super::jwks::{BadKeys, Keys, KeysError};
use crate::within::Within;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

words! {
    /// An algorithm whose keys are not shared: whoever checks a signature cannot make one.
    pub enum Alg {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// The same with SHA-384.
        Rs384 = "RS384",
        /// The same with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

impl Alg {
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// `[[callers.jwt]]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, exactly, and alone: a token for others too could be sent here by them.
    pub audience: String,
    /// The algorithms that it signs with.
    pub algorithms: Vec<Alg>,
    /// The file with its keys, as a JWK set.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Or where it has them.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// How long keys count that cannot be looked up again, in seconds.
    #[serde(default = "a_day")]
    pub jwks_max_age_s: Within<5, 86_400>,
    /// The longest life of a token, whatever it says itself, in seconds.
    #[serde(default = "an_hour")]
    pub max_life_s: Within<60, 86_400>,
    /// How far the issuer's clock may be from this one, in seconds.
    #[serde(default = "ten_seconds")]
    pub leeway_s: Within<0, 30>,
}

fn a_day() -> Within<5, 86_400> {
    Within::of(86_400)
}

fn an_hour() -> Within<60, 86_400> {
    Within::of(3_600)
}

fn ten_seconds() -> Within<0, 30> {
    Within::of(10)
}

/// Why nobody is known by a JWT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotByJwt {
    /// Not a JWT.
    #[error("it is no JWT")]
    Unreadable,
    /// An issuer that is not in the configuration.
    #[error("its issuer is none of those in the configuration")]
    Issuer,
    /// An algorithm that its issuer does not use.
    #[error("alg is none of those that its issuer uses")]
    Algorithm,
    /// No key of the issuer.
    #[error("its issuer has no key for it (kid)")]
    NoKey,
    /// The signature is another one.
    #[error("its signature is not by the issuer's key")]
    Signature,
    /// A claim is absent, or of another type.
    #[error("iss, sub, aud, exp, nbf and iat are all needed, each in its form")]
    Claims,
    /// It is for somebody else, or for others too.
    #[error("aud is not this service, and this service alone")]
    Audience,
    /// Its time is over.
    #[error("exp: it has expired")]
    Expired,
    /// Its time is to come.
    #[error("nbf or iat is in the future")]
    NotYet,
    /// It would live too long.
    #[error("it lives longer than [callers] jwt.max_life_s")]
    TooLong,
    /// It answers another sign-in, or none.
    #[error("nonce is not that of this sign-in")]
    Nonce,
    /// Somebody signed in otherwise than they have to.
    #[error("amr has none of [console.oidc] amr: sign in with another factor")]
    Factor,
}

/// Why a JWT was not looked at to the end.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum JwtError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] NotByJwt),
    /// The issuer's keys are too old.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// One who is trusted to say who somebody is.
pub(super) struct Issuer {
    settings: Settings,
    pub(super) keys: Keys,
}

/// Those who are.
pub(super) struct Issuers(pub(super) Vec<Issuer>);

/// Why an issuer cannot be trusted as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadIssuer {
    /// It is there twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// It says nothing that anything could be compared with.
    #[error("{0}: issuer, audience and algorithms are not empty")]
    Empty(String),
    /// Its keys.
    #[error("{0}: {1}")]
    Keys(String, BadKeys),
}

/// What the answer to a sign-in has to say (`OpenID` Connect Core, section 3.1.3.7).
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// `iss`, exactly: one of those in the configuration.
    pub issuer: &'a str,
    /// `aud`, exactly, and alone.
    pub client_id: &'a str,
    /// `nonce`, exactly.
    pub nonce: &'a str,
    /// One of these is in `amr`, unless there are none.
    pub amr: &'a [String],
}

/// So many seconds ago at most somebody signed in who comes with the answer now.
const SIGNED_IN: i64 = 300;

/// What an ID token says. `nbf` is none of its claims.
#[derive(serde::Deserialize)]
struct IdClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nonce: String,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
}

/// What a token says, before and after it is believed. Each member once, each of its own type.
#[derive(serde::Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    nbf: i64,
    iat: i64,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn is_only(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == name),
        }
    }
}

impl Issuers {
    pub(super) fn open(all: &[Settings]) -> Result<Self, BadIssuer> {
        let mut issuers: Vec<Issuer> = Vec::new();
        for settings in all {
            let name = settings.issuer.clone();
            if issuers.iter().any(|it| it.settings.issuer == name) {
                return Err(BadIssuer::Twice(name));
            }
            if name.is_empty() || settings.audience.is_empty() || settings.algorithms.is_empty() {
                return Err(BadIssuer::Empty(name));
            }
            let keys = Keys::open(
                &name,
                settings.jwks_file.as_deref(),
                settings.jwks_url.as_deref(),
                Duration::from_secs(settings.jwks_max_age_s.get()),
            );
            let keys = keys.map_err(|error| BadIssuer::Keys(name, error))?;
            issuers.push(Issuer {
                settings: settings.clone(),
                keys,
            });
        }
        Ok(Self(issuers))
    }

    /// The issuer whose key a token needs that is not there yet, if it is one that has such tokens.
    pub(super) fn wanting(&self, jwt: &str) -> Option<&Issuer> {
        let (issuer, header) = self.of(jwt).ok()?;
        let found = issuer.keys.find(header.kid.as_deref(), header.alg);
        (!matches!(found, Ok(Some(_)))).then_some(issuer)
    }

    /// Whom it names.
    pub(super) fn verify(&self, jwt: &str, now: i64) -> Result<Vouched, JwtError> {
        let (issuer, claims) = self.signed(jwt)?;
        Ok(issuer.settings.judge(claims, now)?)
    }

    /// Whom it names that answers a sign-in.
    pub(super) fn verify_sign_in(
        &self,
        jwt: &str,
        asked: &SignIn<'_>,
        now: i64,
    ) -> Result<Vouched, JwtError> {
        let (issuer, claims) = self.signed(jwt)?;
        Ok(issuer.settings.judge_sign_in(claims, asked, now)?)
    }

    /// What an issuer has signed.
    fn signed<C: serde::de::DeserializeOwned>(&self, jwt: &str) -> Result<(&Issuer, C), JwtError> {
        let (issuer, header) = self.of(jwt)?;
        let key = issuer.keys.find(header.kid.as_deref(), header.alg)?;
        let key = key.ok_or(NotByJwt::NoKey)?;
        // The signature is all that is left to the library: what it says of time and names is looked at here.
        let mut rules = Validation::new(header.alg);
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
        let decoded = jsonwebtoken::decode::<C>(jwt, &key, &rules);
        let claims = decoded.map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::Json(_) => NotByJwt::Claims,
            _ => NotByJwt::Signature,
        })?;
        Ok((issuer, claims.claims))
    }

    /// Whose it says that it is, and its header.
    fn of(&self, jwt: &str) -> Result<(&Issuer, jsonwebtoken::Header), NotByJwt> {
        /// Which issuer's rules it is held against. Believed only when one of its keys has signed it.
        #[derive(serde::Deserialize)]
        struct Says {
            iss: String,
        }
        if jwt.len() > LONGEST {
            return Err(NotByJwt::Unreadable);
        }
        let header = jsonwebtoken::decode_header(jwt).map_err(|error| match error.kind() {
            // Such as none.
            jsonwebtoken::errors::ErrorKind::Json(error) if error.is_data() => NotByJwt::Algorithm,
            _ => NotByJwt::Unreadable,
        })?;
        let says = jsonwebtoken::dangerous::insecure_decode_claims::<Says>(jwt);
        let Says { iss } = says.map_err(|_| NotByJwt::Claims)?;
        let mut issuers = self.0.iter();
        let issuer = issuers.find(|it| it.settings.issuer == iss);
        let issuer = issuer.ok_or(NotByJwt::Issuer)?;
        let mut algorithms = issuer.settings.algorithms.iter();
        if !algorithms.any(|it| it.algorithm() == header.alg) {
            return Err(NotByJwt::Algorithm);
        }
        Ok((issuer, header))
    }
}

impl Settings {
    fn judge(&self, claims: Claims, now: i64) -> Result<Vouched, NotByJwt> {
        let leeway = i64::try_from(self.leeway_s.get()).unwrap_or(0);
        let longest = i64::try_from(self.max_life_s.get()).unwrap_or(0);
        if claims.iss != self.issuer {
            return Err(NotByJwt::Issuer);
        }
        if !claims.aud.is_only(&self.audience) {
            return Err(NotByJwt::Audience);
        }
        let until = claims.exp.saturating_add(leeway);
        if now >= until {
            return Err(NotByJwt::Expired);
        }
        if claims.nbf > now.saturating_add(leeway) || claims.iat > now.saturating_add(leeway) {
            return Err(NotByJwt::NotYet);
        }
        if claims.exp.saturating_sub(claims.iat) > longest {
            return Err(NotByJwt::TooLong);
        }
        let identity = Identity::Jwt {
            issuer: claims.iss,
            subject: claims.sub,
        };
        Ok((identity, until))
    }

    fn judge_sign_in(
        &self,
        claims: IdClaims,
        asked: &SignIn<'_>,
        now: i64,
    ) -> Result<Vouched, NotByJwt> {
        let leeway = i64::try_from(self.leeway_s.get()).unwrap_or(0);
        if claims.iss != self.issuer || claims.iss != asked.issuer {
            return Err(NotByJwt::Issuer);
        }
        let is_theirs = claims.azp.is_none_or(|it| it == asked.client_id);
        if !claims.aud.is_only(asked.client_id) || !is_theirs {
            return Err(NotByJwt::Audience);
        }
        if claims.nonce != asked.nonce {
            return Err(NotByJwt::Nonce);
        }
        let until = claims.exp.saturating_add(leeway);
        let since = claims.iat.saturating_add(SIGNED_IN + leeway);
        if now >= until || now >= since {
            return Err(NotByJwt::Expired);
        }
        if claims.iat > now.saturating_add(leeway) {
            return Err(NotByJwt::NotYet);
        }
        let mut amr = claims.amr.iter();
        if !asked.amr.is_empty() && !amr.any(|it| asked.amr.contains(it)) {
            return Err(NotByJwt::Factor);
        }
        let identity = Identity::Jwt {
            issuer: claims.iss,
            subject: claims.sub,
        };
        Ok((identity, until))
    }
}
