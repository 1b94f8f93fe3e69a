//! Logins, signed through the door.

use super::{ApiKeyError, ApiKeys, IssuedLogin, KeyRequest};
use crate::clob::l1::LoginDraft;
use crate::credentials::{CredentialNonce, Origin, Purpose, Replaces};
use crate::signing::{Signed, SigningError, SigningRequest};

impl KeyRequest {
    /// A login with a nonce, by the right that was asked for, that ends nothing.
    pub(super) fn login(&self, nonce: CredentialNonce, purpose: Purpose) -> LoginDraft {
        LoginDraft {
            wallet: self.wallet.clone(),
            nonce,
            timestamp: None,
            purpose,
            replaces: Replaces::Nothing,
            right: self.permit.action().action,
            origin: Origin::Signed,
        }
    }
}

impl ApiKeys {
    /// Signs a login through the door.
    pub(super) async fn sign(
        &self,
        wish: &KeyRequest,
        login: LoginDraft,
    ) -> Result<Signed, SigningError> {
        let asked = SigningRequest::once(wish.request);
        let signer = &self.0.signer;
        signer.sign(&wish.caller, Box::new(login), asked).await
    }

    /// Signs a login that the service spends itself.
    pub(super) async fn log_in(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        purpose: Purpose,
        replaces: Replaces,
        origin: Origin,
    ) -> Result<IssuedLogin, ApiKeyError> {
        let draft = LoginDraft {
            replaces,
            origin,
            ..wish.login(nonce, purpose)
        };
        let signed = self.sign(wish, draft).await?;
        Ok(serde_json::from_slice(&signed.body).expect("the answer is our own"))
    }
}
