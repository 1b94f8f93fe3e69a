//! A wallet as callers see it.

use time::OffsetDateTime;

use crate::clob::wallets::Wallet;
use crate::clob::warning::Warning;
use crate::clob::{Chain, Derived, SignatureType};
use crate::custody::PublicKey;
use crate::ethereum::Address;
use crate::id::WalletId;
use crate::keys::KeyState;

/// A wallet.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct WalletView {
    #[schema(value_type = String)]
    id: WalletId,
    pub(super) name: String,
    owner: String,
    environment: String,
    /// The name of the key that signs for it.
    key: String,
    key_state: KeyState,
    #[serde(rename = "chainId")]
    #[schema(value_type = u64)]
    chain: Chain,
    #[serde(rename = "signatureType")]
    #[schema(value_type = u8)]
    signature_type: SignatureType,
    /// The key's address.
    #[schema(value_type = String)]
    address: Address,
    /// An order's `maker`: the funder, or the key's address.
    #[schema(value_type = String)]
    maker: Address,
    session_key: bool,
    /// Somebody said to take a funder that does not follow from the key.
    funder_unverified: bool,
    /// A raw `ClobAuth` may use a new nonce although the wallet has a live credential.
    allow_replace: bool,
    /// What follows from the key's address on chain 137.
    derived: Derived,
    /// What somebody who uses the wallet should know.
    warnings: Vec<Warning>,
    /// The key's public half as PEM.
    pem: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The wallet that takes its orders.
    successor: Option<String>,
    /// Since when nothing is left of it.
    #[serde(with = "time::serde::rfc3339::option")]
    closed_at: Option<OffsetDateTime>,
}

impl From<&Wallet> for WalletView {
    fn from(wallet: &Wallet) -> Self {
        let profile = &wallet.profile;
        Self {
            id: wallet.id,
            name: wallet.name.to_string(),
            owner: wallet.owner.to_string(),
            environment: wallet.key.environment.to_string(),
            key: wallet.key.name.to_string(),
            key_state: wallet.key.state,
            chain: profile.chain(),
            signature_type: profile.signature_type(),
            address: profile.key_address(),
            maker: profile.maker(),
            session_key: profile.session_key(),
            funder_unverified: wallet.funder_unverified,
            allow_replace: wallet.allow_replace,
            derived: wallet.derived(),
            warnings: wallet.warnings(),
            pem: wallet.key.public_key.as_ref().map(PublicKey::to_pem),
            created_at: wallet.created_at,
            successor: wallet.successor.as_ref().map(ToString::to_string),
            closed_at: wallet.closed_at,
        }
    }
}
