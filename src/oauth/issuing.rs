//! Assertions on their way out: to a caller, or to an exchange.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::assertion::Errand;
use super::clients::{Client, ClientError, Clients};
use crate::callers::Caller;
use crate::id::IntentId;
use crate::signing::{Signed, Signer, SigningError, SigningRequest};

/// How often an assertion is begun anew because its client got another key meanwhile.
const KEYS_AT_MOST: u32 = 4;

/// Issues an assertion to a caller. Where the client gets another key meanwhile, it is made once more
/// with that: nothing has left under the old one, and the caller does not notice.
pub async fn issue(
    signer: &Signer,
    clients: &Clients,
    caller: &Caller,
    mut client: Client,
    asked: &SigningRequest,
) -> Result<Result<Signed, SigningError>, ClientError> {
    let mut keys = 1;
    loop {
        let draft = clients.draft(client.clone(), Errand::HandOut)?;
        match signer.sign(caller, Box::new(draft), asked.clone()).await {
            Err(error) if error.is_about_the_key() && keys < KEYS_AT_MOST => {
                let Some(now) = clients.rekeyed(&client).await? else {
                    return Ok(Err(error));
                };
                client = now;
                keys += 1;
            }
            done => return Ok(done),
        }
    }
}

/// What the door gave, for an exchange.
#[derive(serde::Deserialize)]
pub struct Issued {
    /// The signature's id here.
    pub id: IntentId,
    /// The assertion.
    pub client_assertion: SecretString,
}

impl Issued {
    /// Reads it.
    ///
    /// # Panics
    /// When it is not the answer of an [`AssertionDraft`](super::assertion::AssertionDraft).
    pub fn of(signed: &Signed) -> Self {
        serde_json::from_slice(&signed.body).expect("the answer of an assertion's draft")
    }

    /// The claims, which say nothing that could be spent.
    pub fn claims(&self) -> serde_json::Value {
        let payload = self.client_assertion.expose_secret().split('.').nth(1);
        let claims = URL_SAFE_NO_PAD.decode(payload.unwrap_or_default());
        serde_json::from_slice(&claims.unwrap_or_default()).unwrap_or_default()
    }
}

/// The assertion in what the door gave, for an exchange.
///
/// # Panics
/// When it is not the answer of an [`AssertionDraft`](super::assertion::AssertionDraft).
pub fn taken(signed: &Signed) -> SecretString {
    Issued::of(signed).client_assertion
}

/// The id of the assertion in what the door gave.
///
/// # Panics
/// When it is not the answer of an [`AssertionDraft`](super::assertion::AssertionDraft).
pub fn id_of(signed: &Signed) -> IntentId {
    #[derive(serde::Deserialize)]
    struct Assertion {
        id: IntentId,
    }
    let issued: Assertion =
        serde_json::from_slice(&signed.body).expect("the answer of an assertion's draft");
    issued.id
}
