//! What is asked of a wallet's API keys: by whom, with which right, in which words.

use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::credentials::CredentialNonce;
use crate::idempotency::RequestDigest;
use crate::policy::Permit;

/// What somebody asks of a wallet's API keys: who, with which wallet, by which right.
#[derive(Clone)]
pub struct KeyRequest {
    /// Who.
    pub caller: Caller,
    /// With which wallet.
    pub wallet: Wallet,
    /// By which right.
    pub permit: Permit,
    /// Stands for the request, its idempotency key included: a repeated one finds its own nonce.
    pub request: RequestDigest,
}

/// What is wanted of the CLOB.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialMode {
    /// `createApiKey`.
    Create,
    /// `deriveApiKey`.
    Derive,
    /// `createOrDeriveApiKey`: derives, and creates where there is nothing to derive.
    CreateOrDerive,
}

/// An API key that is wanted.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// Whether one may be made.
    pub mode: CredentialMode,
    /// 0 unless it is given. A number, or decimal text.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "0")]
    pub nonce: CredentialNonce,
    /// The API key that may end: creating one ends the one that is live. Only with a mode that creates.
    #[serde(default)]
    pub replaces: Option<String>,
}

/// A login that is wanted.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    /// 0 unless it is given. A number, or decimal text.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "0")]
    pub nonce: CredentialNonce,
    /// The API key that may end when the login is spent to create one.
    #[serde(default)]
    pub replaces: Option<String>,
}

/// Nonces that were used elsewhere.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredNonces {
    /// 1 to 1,000 of them, as numbers or decimal text.
    #[arg(required = true)]
    #[schema(value_type = Vec<String>)]
    pub nonces: Vec<CredentialNonce>,
}

/// The nonces to try.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSearch {
    /// The first, 0 unless it is given.
    #[arg(long, default_value = "0")]
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "0")]
    pub from: CredentialNonce,
    /// The last. A search has 100,000 nonces at most.
    #[arg(long, default_value = "100")]
    #[schema(value_type = String, example = "100")]
    pub to: CredentialNonce,
}
