//! API keys and open orders: the new wallet's API key, the old one's last orders, and its API keys' end.

use serde_json::json;

use super::{Moved, WalletRotationError, WalletRotations};
use crate::audit::Change;
use crate::clob::api_keys::KeyRequest;
use crate::clob::drains::Proven;
use crate::clob::wallets::Wallet;
use crate::credentials::{self, CredentialNonce, State as CredentialState};
use crate::fail_point;
use crate::id::RotationId;
use crate::keys::Reason;
use crate::rotations::{State, Step};

/// How the new wallet came to its API key.
#[derive(Clone, Debug)]
pub enum Credentialed {
    /// Made or derived with a nonce on record.
    With {
        /// The API key.
        api_key: String,
        /// The nonce.
        nonce: CredentialNonce,
        /// Whether it has worked.
        state: CredentialState,
    },
    /// It has none here, and somebody says why.
    Without(Reason),
}

impl WalletRotations {
    /// Makes the new wallet's API key, or derives the one that was made.
    pub(super) async fn make_credential(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
    ) -> Result<Credentialed, WalletRotationError> {
        let made = self.api_keys.create_or_derive(wish, nonce, None).await?;
        fail_point!("wallet-credential-made");
        Ok(Credentialed::With {
            api_key: made.credential.api_key,
            nonce,
            state: made.credential.state,
        })
    }

    /// Records that the new wallet has its API key, or none.
    pub(super) async fn credentialed(
        &self,
        id: RotationId,
        credential: &Credentialed,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Credential, change).await?;
        let evidence = match credential {
            Credentialed::With {
                api_key,
                nonce,
                state,
            } => json!({ "apiKey": api_key, "nonce": nonce, "state": state }),
            Credentialed::Without(reason) => json!({ "without": reason }),
        };
        let to = State::Credentialed;
        self.take(&rotation, Step::Credential, to, &evidence, change)
            .await
    }

    /// Shows that no order of the old wallet is open: at the venue, or because people say so.
    pub(super) async fn prove_drained(
        &self,
        wish: &KeyRequest,
        said: Option<Reason>,
    ) -> Result<Proven, WalletRotationError> {
        let proven = self.drains.prove(wish, said).await?;
        fail_point!("wallet-emptied");
        Ok(proven)
    }

    /// Records it.
    pub(super) async fn drained(
        &self,
        (id, old): (RotationId, &Wallet),
        proven: &Proven,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Drain, change).await?;
        let evidence = self.drains.record(old, proven, change).await?;
        self.take(&rotation, Step::Drain, State::Drained, &evidence, change)
            .await
    }

    /// Deletes the old wallet's API keys, once it was seen again that nothing is open: who holds a secret
    /// may have posted since. Again and again, if need be.
    pub(super) async fn delete_credentials(
        &self,
        wish: &KeyRequest,
    ) -> Result<Option<Proven>, WalletRotationError> {
        let of_wallet = self.api_keys.on_record(wish).await?;
        if credentials::in_use(credentials::Kind::Trading, of_wallet.clone()).is_none() {
            return Ok(None);
        }
        let proven = self.drains.prove(wish, None).await?;
        fail_point!("wallet-emptied-again");
        for credential in of_wallet.into_iter().filter(may_be_live) {
            self.api_keys.delete(wish, credential).await?;
        }
        fail_point!("wallet-credentials-deleted");
        Ok(Some(proven))
    }

    /// Records that the old wallet has no API key any more.
    pub(super) async fn credentials_deleted(
        &self,
        (id, wish): (RotationId, &KeyRequest),
        proven: Option<&Proven>,
        change: &mut Change,
    ) -> Moved {
        let rotation = self
            .rotations
            .locked(id, Step::DeleteCredential, change)
            .await?;
        let all = self.api_keys.on_record(wish).await?;
        if let Some(live) = all.iter().find(|it| may_be_live(it)) {
            return Err(WalletRotationError::CredentialLives(live.api_key.clone()));
        }
        let drain = match proven {
            Some(proven) => Some(self.drains.record(&wish.wallet, proven, change).await?),
            None => None,
        };
        let all = all
            .iter()
            .filter(|it| it.kind == credentials::Kind::Trading);
        let keys: Vec<_> = all
            .map(|it| json!({ "apiKey": it.api_key, "state": it.state }))
            .collect();
        let evidence = json!({ "credentials": keys, "drain": drain });
        let (step, to) = (Step::DeleteCredential, State::CredentialDeleted);
        self.take(&rotation, step, to, &evidence, change).await
    }
}

fn may_be_live(credential: &credentials::Credential) -> bool {
    credential.kind == credentials::Kind::Trading
        && matches!(
            credential.state,
            CredentialState::Live | CredentialState::Unproven
        )
}
