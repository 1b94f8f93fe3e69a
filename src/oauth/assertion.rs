//! Client assertions (RFC 7523): RS256, exactly the six claims that the Exchange API documents.
//!
//! # Why our own JWS
//! Two fixed JSON objects, base64url and a dot are less than what any JWT library needs to be told
//! to sign in a device, and nothing a caller sends can get into them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::clients::{Client, ClientError, Clients};
use super::environment::{Environment, Kid};
use crate::custody::{Payload, PublicKey};
use crate::id::IntentId;
use crate::keys::{Key, KeyState};
use crate::limits::Limited;
use crate::policy::{Action, Ask, Resource};
use crate::signing::{Answer, Business, Checked, Draft, Identifier, Prepared};

/// How far `iat` lies in the past, for servers whose clocks lag.
const BACKDATE_S: i64 = 1;

/// `client_assertion_type` of RFC 7523.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest life that has to be left when an assertion is released, in seconds.
const LEFT_AT_RELEASE_S: i64 = 20;

/// An assertion to be made for a client. [`Clients::draft`] makes it,
/// so that the environment is the client's and nobody else's.
pub struct AssertionDraft {
    client: Client,
    environment: Environment,
    errand: Errand,
}

impl Clients {
    /// An assertion for a client, in the client's environment.
    pub fn draft(&self, client: Client, errand: Errand) -> Result<AssertionDraft, ClientError> {
        if client.key.environment != client.environment || client.key.owner != client.owner {
            return Err(ClientError::WrongKey); // the database refuses such a client too
        }
        let environment = self.environment(&client)?.clone();
        Ok(AssertionDraft::new(client, environment, errand))
    }
}

impl AssertionDraft {
    /// `environment` is the client's and its key's.
    pub(super) fn new(client: Client, environment: Environment, errand: Errand) -> Self {
        Self {
            client,
            environment,
            errand,
        }
    }
}

/// What becomes of an assertion. Each errand is an action of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// The caller gets it.
    HandOut,
    /// It is exchanged here for a token with these scopes.
    Exchange(Vec<String>),
    /// It is exchanged here to see whether its key is registered; the token is dropped.
    Probe,
}

impl Errand {
    /// The word in the ledger.
    fn name(&self) -> &'static str {
        match self {
            Self::HandOut => "hand-out",
            Self::Exchange(_) => "exchange",
            Self::Probe => "probe",
        }
    }
}

/// The claims, in the order of the documentation.
#[derive(Debug, serde::Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

#[derive(serde::Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// What a client sends to the token endpoint, and where that is.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct IssuedAssertion<'a> {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// The assertion. Good for one delivery.
    pub client_assertion: String,
    /// As RFC 7523 names it.
    pub client_assertion_type: &'a str,
    /// Who the client is there.
    pub client_id: &'a str,
    /// `client_credentials`.
    pub grant_type: &'a str,
    /// `audience` of the token request: the API.
    pub audience: &'a str,
    /// Where to send it.
    pub token_endpoint: &'a str,
    /// From when it is good, in seconds since 1970.
    pub iat: i64,
    /// Until when, in seconds since 1970.
    pub exp: i64,
}

impl Ask for AssertionDraft {
    fn action(&self) -> Action {
        match self.errand {
            Errand::HandOut => Action::IssueAssertion,
            Errand::Exchange(_) => Action::IssueToken,
            Errand::Probe => Action::ProbeKey,
        }
    }

    fn resource(&self) -> Resource {
        match &self.errand {
            Errand::HandOut => self.client.resource(),
            Errand::Exchange(scopes) => self.client.resource().with_scopes(scopes.clone()),
            Errand::Probe => self.client.key.resource(),
        }
    }
}

impl Draft for AssertionDraft {
    fn operation(&self) -> &'static str {
        "assertion"
    }

    fn errand(&self) -> &'static str {
        self.errand.name()
    }

    fn subject(&self) -> Uuid {
        self.client.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.client.key
    }

    fn limited(&self) -> Limited {
        match self.errand {
            Errand::HandOut => Limited::Assertion,
            Errand::Exchange(_) | Errand::Probe => Limited::Nothing,
        }
    }

    fn business(&self) -> Business {
        match self.errand {
            Errand::HandOut | Errand::Exchange(_) => Business::Ordinary,
            // A key in use is probed as it is used.
            Errand::Probe if self.client.key.state == KeyState::Active => Business::Ordinary,
            Errand::Probe => Business::Probe,
        }
    }

    fn tells_the_time(&self) -> bool {
        true
    }

    fn prepare(&self, now_ms: i64) -> Prepared {
        let lifetime = self.environment.lifetime_s.seconds();
        let iat = now_ms.div_euclid(1000) - BACKDATE_S;
        let exp = iat + lifetime;
        let jti = random_jti();
        let kid = self
            .client
            .kid
            .clone()
            .or_else(|| match &self.environment.kid {
                Kid::Omit => None,
                Kid::Thumbprint => self
                    .client
                    .key
                    .public_key
                    .as_ref()
                    .map(PublicKey::thumbprint),
                Kid::Literal(kid) => Some(kid.clone()),
            });
        let header = Header {
            alg: "RS256",
            typ: &self.environment.typ,
            kid: kid.as_deref(),
        };
        let claims = Claims {
            iss: &self.client.client_id,
            sub: &self.client.client_id,
            aud: self.environment.aud(),
            iat,
            exp,
            jti: jti.simple().to_string(),
        };
        let input = format!("{}.{}", segment(&header), segment(&claims)).into_bytes();
        let digest = Sha256::digest(&input).into();
        let record = json!({ "errand": self.errand.name(), "header": header, "claims": claims });
        Prepared {
            identifier: Some(Identifier {
                id: jti,
                issuer: self.client.id.uuid(),
                issued_at: at(iat),
                expires_at: at(exp),
            }),
            release_before_ms: Some((exp - LEFT_AT_RELEASE_S.min(lifetime / 3)) * 1000),
            expires_at: Some(at(exp)),
            ..Prepared::new(Payload::Message(input), digest, record)
        }
    }

    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer {
        let (Payload::Message(input), Checked::Rs256(signature), Some(jti)) =
            (&prepared.payload, signature, prepared.identifier)
        else {
            unreachable!("an assertion is a message with a jti, and was checked as RS256");
        };
        let input = String::from_utf8_lossy(input);
        let issued = IssuedAssertion {
            id,
            client_assertion: format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
            client_assertion_type: ASSERTION_TYPE,
            client_id: &self.client.client_id,
            grant_type: "client_credentials",
            audience: &self.environment.token_audience,
            token_endpoint: &self.environment.token_endpoint,
            iat: jti.issued_at.unix_timestamp(),
            exp: jti.expires_at.unix_timestamp(),
        };
        let body = serde_json::to_vec(&issued).expect("plain data serializes");
        Answer {
            body,
            is_secret: true,
        }
    }
}

/// 128 random bits.
fn random_jti() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    Uuid::from_bytes(bytes)
}

fn segment(part: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("plain data serializes"))
}

fn at(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
