//! What was signed, told to those who may be told.

use super::signatures::{By, Entry};
use super::{Business, Signer, SigningError, records, right};
use crate::callers::Caller;
use crate::standing::Look;

impl Signer {
    /// Finds what was signed, newest first; at most 100. What was released is durable when this returns,
    /// and of what is told it was looked at behind the gate whether the caller stands, and whether the
    /// key still signs.
    pub async fn look_up(&self, caller: &Caller, by: &By) -> Result<Vec<Entry>, SigningError> {
        let log = &self.0.equipment.log;
        let mut found = records::find_signatures(by, log.ledger()).await?;
        let answered = found.iter().filter(|entry| entry.answer.is_some());
        let mut look = Look::default();
        for entry in answered {
            look.join(Look::at(Some(caller.credential), Some(entry.key)));
        }
        if look.is_empty() {
            return Ok(found);
        }
        let standing = log.vouch(look).await?;
        // What is told of it is decided by what holds now.
        let authority = self.0.equipment.rights.authority();
        authority.confirm(standing.head()).await?;
        if !standing.is_live(caller.credential) {
            return Err(SigningError::CallerRevoked);
        }
        for entry in found.iter_mut().filter(|entry| entry.answer.is_some()) {
            let business = if entry.is_rescue() {
                Business::Rescue
            } else {
                Business::Ordinary
            };
            entry.withheld = right::silences(entry.key, business, &standing);
        }
        Ok(found)
    }
}
