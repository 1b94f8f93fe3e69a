//! What is said with a step: of what was sent, what was confirmed, and what takes the old one's place.

use time::OffsetDateTime;

use crate::ethereum::Address;
use crate::keys::Reason;
use crate::name::Name;
use crate::oauth::clients::AssignedKid;

/// That the public half went to the counterparty.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// By which way: an onboarding form, a mail address.
    #[arg(long)]
    #[schema(value_type = String)]
    pub channel: Reason,
    /// Their case or ticket.
    #[arg(long)]
    #[schema(value_type = String)]
    pub reference: Reason,
    /// SHA-256 of the PEM file that was sent, in hexadecimal; compared with the key's where it is given.
    #[arg(long, value_name = "HEX")]
    #[serde(default)]
    pub pem_sha256: Option<String>,
}

/// That the counterparty confirmed.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The fingerprint as they quote it: SHA-256 of the SPKI in hexadecimal (with or without colons) or
    /// base64, or the RFC 7638 thumbprint that Auth0 shows as `kid`.
    #[arg(long)]
    pub fingerprint: String,
    /// Their message.
    #[arg(long)]
    #[schema(value_type = String)]
    pub reference: Reason,
    /// The `kid` that they assigned to the key, where they name keys themselves: from now on what it
    /// signs carries it, whatever the environment's configuration says.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kid: Option<AssignedKid>,
    /// When they let the key expire, where they said so.
    #[arg(long = "expires", value_name = "DATE", value_parser = crate::clock::end_of)]
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// That the counterparty was asked to remove a key.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovalRequest {
    /// By which way.
    #[arg(long)]
    #[schema(value_type = String)]
    pub channel: Reason,
    /// Their case or ticket.
    #[arg(long)]
    #[schema(value_type = String)]
    pub reference: Reason,
}

/// The new wallet. Chain and owner are the old one's.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// A name that no other wallet has.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1-main-2029")]
    pub name: Name,
    /// Who pays, if that does not follow from the key: the old wallet, where it is a contract whose owner
    /// was changed.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub funder: Option<Address>,
    /// Take a funder that does not follow from the key.
    #[arg(long)]
    #[serde(default)]
    pub funder_unverified: bool,
}
