//! Signing in at an identity provider: `OpenID` Connect's code flow with PKCE (RFC 7636), a state and a nonce.
//!
//! What was begun is in a sealed cookie of whoever began it, so that any replica finishes it, and nobody else. What
//! the provider says is believed as a JWT of [`callers`](crate::callers) is: its issuer and keys are configured there.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::callers::jwt::SignIn;
use crate::callers::{CallerError, Callers, Recognised};
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply, checked, quoted};
use crate::guarded_file;
use crate::sealing::Keyring;

/// How long somebody may take to sign in there, in seconds.
const PATIENCE: i64 = 600;

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a cookie is sealed for.
const SEALED_FOR: &[u8] = b"chancery sign-in\0";

/// Where the provider sends people back to.
pub const CALLBACK: &str = "/sign-in/callback";

/// `[console.oidc]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whose word counts: the `issuer` of one of `[[callers.jwt]]`, whose keys are looked up as said there.
    pub issuer: String,
    /// What it calls this service; `aud` of what it answers.
    pub client_id: String,
    /// The file with the secret that it has given this service, where it has.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where a code is exchanged.
    pub token_endpoint: String,
    /// This service's origin, as browsers write it.
    pub origin: String,
    /// Of these methods (RFC 8176) one was used, where any is named.
    #[serde(default)]
    pub amr: Vec<String>,
}

/// Why nobody could sign in as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadProvider {
    /// A URL.
    #[error("[console.oidc] {0} = {1}")]
    Url(&'static str, BadCounterparty),
    /// The secret.
    #[error("[console.oidc] client_secret_file = {0}: {1}")]
    Secret(PathBuf, std::io::Error),
    /// Its issuer is nobody's here.
    #[error("[console.oidc] issuer = {0}: none of [[callers.jwt]] has it")]
    Issuer(String),
    /// What answers a sign-in would let somebody call.
    #[error(
        "[console.oidc] client_id is an audience of [[callers.jwt]]: what answers a sign-in would be a token for calls"
    )]
    Audience,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// It was not begun by this browser, or too long ago.
    #[error("this sign-in was not begun in this browser, or longer than ten minutes ago")]
    Unknown,
    /// The provider has let nobody in.
    #[error("the identity provider says: {0}")]
    Refused(String),
    /// It does not answer, or not what it should.
    #[error("the identity provider is away: {0}")]
    Away(String),
    /// What it answers is not believed, or names nobody here.
    #[error(transparent)]
    Caller(#[from] CallerError),
}

/// An identity provider.
pub(super) struct Provider {
    settings: Settings,
    authorization: Url,
    token: Counterparty,
    secret: Option<SecretString>,
}

/// What was begun.
#[derive(serde::Serialize, serde::Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    until: i64,
}

/// What the provider answers.
#[derive(serde::Deserialize)]
struct Answer {
    id_token: String,
}

/// What it answers where it refuses.
#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    pub(super) fn open(settings: &Settings) -> Result<Self, BadProvider> {
        let secret = settings.client_secret_file.as_ref().map(|file| {
            let text = guarded_file::read_secret(file);
            text.map(|text| SecretString::from(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| BadProvider::Secret(file.clone(), error))
        });
        let url = |name| move |error| BadProvider::Url(name, error);
        checked(&settings.origin).map_err(url("origin"))?;
        Ok(Self {
            authorization: checked(&settings.authorization_endpoint)
                .map_err(url("authorization_endpoint"))?,
            token: Counterparty::open(&settings.token_endpoint, TIMEOUT)
                .map_err(url("token_endpoint"))?,
            secret: secret.transpose()?,
            settings: settings.clone(),
        })
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.settings.origin.trim_end_matches('/'))
    }

    /// Where somebody signs in who wants to come to `next`; and what their browser keeps meanwhile.
    pub(super) fn begin(&self, next: &str, now: i64, sealing: &Keyring) -> (Url, String) {
        let begun = Begun {
            state: random(),
            nonce: random(),
            verifier: random(),
            next: next.to_owned(),
            until: now + PATIENCE,
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&begun.verifier));
        let mut url = self.authorization.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("scope", "openid"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.redirect_uri()),
            ("state", &begun.state),
            ("nonce", &begun.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let text = Zeroizing::new(serde_json::to_vec(&begun).unwrap_or_default());
        let kept = sealing.seal(SEALED_FOR, &text);
        (url, URL_SAFE_NO_PAD.encode(kept))
    }

    /// Who comes back with a code, and where they wanted to. `kept` is what their browser has kept.
    pub(super) async fn finish(
        &self,
        kept: &str,
        back: &Back,
        now: i64,
        (sealing, callers): (&Keyring, &Callers),
    ) -> Result<(Recognised, String), NotSignedIn> {
        let begun = Begun::of(kept, back, now, sealing).ok_or(NotSignedIn::Unknown)?;
        if let Some(error) = &back.error {
            return Err(NotSignedIn::Refused(quoted(error)));
        }
        let jwt = self.exchange(&back.code, &begun.verifier).await?;
        let asked = SignIn {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &begun.nonce,
            amr: &self.settings.amr,
        };
        let recognised = callers.recognise_sign_in(&jwt, &asked).await?;
        Ok((recognised, begun.next))
    }

    /// The ID token that a code is worth.
    async fn exchange(&self, code: &str, verifier: &str) -> Result<Zeroizing<String>, NotSignedIn> {
        let redirect_uri = self.redirect_uri();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("client_id", &self.settings.client_id),
            ("code_verifier", verifier),
        ];
        let mut request = self.token.post().form(&form);
        if let Some(secret) = &self.secret {
            let secret = Some(secret.expose_secret());
            request = request.basic_auth(&self.settings.client_id, secret);
        }
        let reply = counterparty::send(request).await;
        let away = |why: NoReply| NotSignedIn::Away(why.to_string());
        let reply = reply.map_err(away)?;
        if reply.status == 200 {
            let answer: Result<Answer, _> = serde_json::from_slice(reply.text());
            let none = |_| NotSignedIn::Away("its answer has no id_token".to_owned());
            return Ok(Zeroizing::new(answer.map_err(none)?.id_token));
        }
        match serde_json::from_slice::<Refusal>(reply.text()) {
            Ok(refusal) if reply.status < 500 => Err(NotSignedIn::Refused(quoted(&refusal.error))),
            _ => Err(NotSignedIn::Away(format!("it answers {}", reply.status))),
        }
    }
}

/// With what somebody comes back.
#[derive(Debug, Default, serde::Deserialize)]
pub struct Back {
    /// What was begun.
    #[serde(default)]
    pub state: String,
    /// What an ID token is to be had for.
    #[serde(default)]
    pub code: String,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<String>,
}

impl Begun {
    /// What this browser has begun, if somebody comes back from that, and in time.
    fn of(kept: &str, back: &Back, now: i64, sealing: &Keyring) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(kept).ok()?;
        let text = sealing.open(SEALED_FOR, &sealed).ok()?;
        let begun: Self = serde_json::from_slice(&text).ok()?;
        (now < begun.until && begun.state == back.state).then_some(begun)
    }
}

fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
