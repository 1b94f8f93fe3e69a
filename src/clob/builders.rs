//! Builders' API keys. They are made at the venue's site, and given to the service by an operator.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{Deserialize, Deserializer};
use uuid::Uuid;

use super::l2;
use super::wallets::{Wallet, WalletError, Wallets};
use crate::approvals::{Approval, ApprovalNeeded};
use crate::audit::Change;
use crate::callers::Caller;
use crate::credentials::{self, Account, Credential, Kind, SealedPair, State, records};
use crate::custody::{CustodyError, Vault};
use crate::ledger::{Ledger, LedgerError};
use crate::policy::{Action, Permit, Resource, Rights};

/// The longest passphrase and API key.
const LONGEST: usize = 100;

/// A builder's API key as its owner got it. Secret and passphrase are sealed at once, and not shown
/// again.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BuilderCredential)]
pub struct GivenKey {
    /// The id that the venue gave it.
    #[serde(rename = "apiKey")]
    pub api_key: String,
    /// Base64, in either alphabet.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    pub secret: SecretString,
    /// The passphrase.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    pub passphrase: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(Into::into)
}

/// Why a builder's API key is not taken, or none is found.
#[derive(Debug, thiserror::Error)]
pub enum BuilderError {
    /// It cannot be an id.
    #[error("apiKey: 1 to 100 visible ASCII characters")]
    ApiKey,
    /// It is no base64, or empty.
    #[error("secret: base64 of at least one byte, in either alphabet, is wanted")]
    Secret,
    /// It cannot stand in a header.
    #[error("passphrase: 1 to 100 visible ASCII characters")]
    Passphrase,
    /// Somebody gave it at the same time.
    #[error("the same API key was given at the same time")]
    Changed,
    /// The wallets that the caller may use have none, or more than one.
    #[error(
        "you have the right to use {0} builders' API keys, and which one is meant follows only from one; name the wallet: POST /v1/wallets/NAME/sign"
    )]
    Which(usize),
    /// A second person is needed.
    #[error(transparent)]
    ApprovalNeeded(#[from] ApprovalNeeded),
    /// A device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The builders' API keys of this service.
#[derive(Clone)]
pub struct Builders {
    /// Where they are on record.
    pub ledger: Ledger,
    /// Seals their secrets.
    pub vault: Arc<Vault>,
}

/// A given key that is sealed and about to be put on record.
pub struct Sealed {
    account: Account,
    api_key: String,
    pair: SealedPair,
    /// The row that it changes, and the version it has there.
    known: Option<(Uuid, i32)>,
    /// The builders' keys that it takes the place of.
    others: Vec<Uuid>,
    approval: Approval,
}

/// A builder's API key that is on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = BuilderCredentialView)]
pub struct Kept {
    /// Its id here.
    pub id: Uuid,
    /// The id that the venue gave it.
    #[serde(rename = "apiKey")]
    pub api_key: String,
    /// Raised each time that its secrets are given.
    pub version: i32,
}

impl Builders {
    /// Seals what was given, in the device that holds the wallet's key. No transaction is open.
    pub async fn seal(
        &self,
        wallet: &Wallet,
        given: &GivenKey,
        permit: &Permit,
    ) -> Result<Sealed, BuilderError> {
        let plain = |text: &str| {
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let (secret, passphrase) = (
            given.secret.expose_secret(),
            given.passphrase.expose_secret(),
        );
        if !plain(&given.api_key) {
            return Err(BuilderError::ApiKey);
        }
        if l2::key(secret.as_bytes()).is_none() {
            return Err(BuilderError::Secret);
        }
        if !plain(passphrase) {
            return Err(BuilderError::Passphrase);
        }
        let approval = permit.loosen()?;
        let account = wallet.account();
        let mut builders = records::of_account(&account, &self.ledger).await?;
        builders.retain(|it| it.kind == Kind::Builder);
        let known = builders.iter().find(|it| it.api_key == given.api_key);
        let known = known.map(|it| (it.id, it.sealed.version));
        let version = known.map_or(1, |(_, version)| version.saturating_add(1));
        let pair = SealedPair::seal(
            &self.vault,
            &wallet.key.backend,
            (&account, Kind::Builder, &given.api_key),
            version,
            (secret, passphrase),
        );
        Ok(Sealed {
            pair: pair.await?,
            account,
            api_key: given.api_key.clone(),
            known,
            others: builders
                .iter()
                .map(|it| it.id)
                .filter(|id| known.is_none_or(|(known, _)| known != *id))
                .collect(),
            approval,
        })
    }

    /// Puts it on record. Headers are made with it from the commit on.
    pub(crate) async fn keep(
        &self,
        sealed: &Sealed,
        change: &mut Change,
    ) -> Result<Kept, BuilderError> {
        let account = credentials::logins::records::lock(&sealed.account, change.tx()).await?;
        let id = sealed.known.map_or_else(Uuid::now_v7, |(id, _)| id);
        let kept = if let Some((id, from)) = sealed.known {
            records::reseal(id, from, &sealed.pair, change.tx()).await?
        } else {
            let new = records::NewCredential {
                id,
                kind: Kind::Builder,
                api_key: &sealed.api_key,
                nonce: None,
                sealed: &sealed.pair,
                origin: "given",
                by: change.author(),
            };
            records::insert(account, &new, change.tx()).await?
        };
        if !kept {
            return Err(BuilderError::Changed);
        }
        for other in &sealed.others {
            let from = [State::Live, State::Unproven];
            records::step(*other, &from, State::Replaced, change.tx()).await?;
        }
        let version = sealed.pair.version;
        let details = serde_json::json!({
            "apiKey": sealed.api_key, "chainId": sealed.account.chain_id,
            "address": sealed.account.address, "version": version, "sealedIn": sealed.pair.sealed_in,
        });
        change.note_as(sealed.approval, "give-builder-credential", id, &details);
        Ok(Kept {
            id,
            api_key: sealed.api_key.clone(),
            version,
        })
    }

    /// The API key that headers of this kind are made with for a wallet.
    pub async fn in_use(
        &self,
        wallet: &Wallet,
        kind: Kind,
    ) -> Result<Option<Credential>, LedgerError> {
        let all = records::of_account(&wallet.account(), &self.ledger).await?;
        Ok(credentials::in_use(kind, all))
    }

    /// The wallet that is meant where none is named: one of the only account with a builder's API key
    /// that the caller may use.
    pub async fn only_wallet(
        &self,
        caller: &Caller,
        rights: &Rights,
        wallets: &Wallets,
    ) -> Result<Wallet, BuilderError> {
        let accounts = records::builders(&self.ledger).await?;
        let all = wallets.list().await.map_err(|error| match error {
            WalletError::Ledger(error) => BuilderError::Ledger(error),
            other => LedgerError::Corrupt("wallets", other.to_string()).into(),
        })?;
        let may = |wallet: &Wallet| {
            accounts.contains(&wallet.account())
                && rights.would(
                    caller,
                    Action::IssueBuilderHeaders,
                    &wallet.resource().open(),
                )
        };
        let mut usable: Vec<_> = all.into_iter().filter(may).collect();
        let mut of: Vec<_> = usable.iter().map(Wallet::account).collect();
        of.sort_unstable();
        of.dedup();
        if of.is_empty() {
            let action = Action::IssueBuilderHeaders;
            drop(rights.refuse(caller, action, &Resource::service()));
        }
        if of.len() != 1 {
            return Err(BuilderError::Which(of.len()));
        }
        Ok(usable.swap_remove(0))
    }
}
