//! An API key as callers see it, without its secrets.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::App;
use crate::callers::Names;
use crate::clob::api_keys::How;
use crate::credentials::{self, Credential, CredentialNonce, Kind};
use crate::http::problem::Problem;

/// An API key, without its secrets.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct CredentialView {
    /// Its id at the venue.
    #[serde(rename = "apiKey")]
    pub(super) api_key: String,
    kind: Kind,
    /// The nonce that made it; null where it was given to the service.
    #[schema(value_type = Option<String>)]
    nonce: Option<CredentialNonce>,
    /// The address that it belongs to.
    address: String,
    #[serde(rename = "chainId")]
    chain_id: u64,
    /// `unproven`, `live`, `replaced`, `dead` or `deleted`.
    state: credentials::State,
    #[serde(with = "time::serde::rfc3339")]
    state_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[schema(value_type = String)]
    created_by: Uuid,
    /// Their name.
    created_by_name: String,
    /// How it came to be answered; null in look-ups.
    how: Option<How>,
}

impl CredentialView {
    pub(super) fn of(credential: &Credential, how: Option<How>, names: &Names) -> Self {
        Self {
            api_key: credential.api_key.clone(),
            kind: credential.kind,
            nonce: credential.nonce,
            address: credential.account.address.to_string(),
            chain_id: credential.account.chain_id,
            state: credential.state,
            state_at: credential.state_at,
            created_at: credential.created_at,
            created_by: credential.created_by.uuid(),
            created_by_name: names.of(credential.created_by),
            how,
        }
    }
}

/// One, with the name of who made it.
pub(super) async fn view(
    app: &App,
    credential: &Credential,
    how: Option<How>,
) -> Result<CredentialView, Problem> {
    let names = app.callers.names(vec![credential.created_by]).await?;
    Ok(CredentialView::of(credential, how, &names))
}
