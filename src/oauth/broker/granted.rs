//! What an application was granted, as far as its tokens have told.

use time::OffsetDateTime;

use super::records;
use super::scope_set::ScopeSet;
use super::{Broker, TokenError};
use crate::oauth::clients::Client;

/// The scopes of a client's tokens.
#[derive(Clone, Debug)]
pub struct LastGranted {
    /// The scopes.
    pub scopes: ScopeSet,
    /// Whether these are all that the application is granted; else it may have more.
    pub whole: bool,
    /// When the newest of these tokens was fetched.
    pub at: OffsetDateTime,
}

impl Broker {
    /// What a client's tokens carried last: of one that was asked for without naming scopes, else of
    /// those of the last day together. None where none was fetched.
    pub async fn last_granted(&self, client: &Client) -> Result<Option<LastGranted>, TokenError> {
        let ledger = self.0.log.ledger();
        Ok(records::last_granted(client.id, ledger).await?)
    }
}
