//! What an application was granted, as far as its tokens have told.

use super::records::{self, LastGranted};
use super::{Broker, TokenError};
use crate::oauth::clients::Client;

impl Broker {
    /// What a client's tokens carried last: of one that was asked for without naming scopes, else of
    /// those of the last day together. None where none was fetched.
    pub async fn last_granted(&self, client: &Client) -> Result<Option<LastGranted>, TokenError> {
        let ledger = self.0.log.ledger();
        Ok(records::last_granted(client.id, ledger).await?)
    }
}
