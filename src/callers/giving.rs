//! Giving a caller a credential that others vouch for, and taking one away.

use uuid::Uuid;

use super::credential::NewCredential;
use super::{CallerError, Callers, break_glass, records};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::name::Name;

impl Callers {
    /// Gives a caller a credential that others vouch for. Its id.
    pub(crate) async fn add_credential(
        &self,
        name: &Name,
        new: &NewCredential,
        change: &mut Change,
    ) -> Result<Uuid, CallerError> {
        let (days, identity) = new.parse()?;
        let approval = change.loosen();
        let found = records::lock(name, change).await?;
        let (caller, roles) = found.ok_or(CallerError::NotFound)?;
        if break_glass::is_given_to(roles.iter().map(String::as_str)) {
            return Err(CallerError::OneToken);
        }
        let id = Uuid::now_v7();
        let inserted = records::insert_credential(id, caller, &identity, days, change).await;
        inserted.map_err(|error| match error.constraint() {
            Some("caller_tokens_hash_is_unique") => CallerError::CredentialTaken,
            _ => error.into(),
        })?;
        let details = serde_json::json!({ "name": name, "credential": id, "given": new });
        change.note_as(approval, "add-caller-credential", caller, &details);
        Ok(id)
    }

    /// Revokes one credential of a caller, and no other. Once the change is committed, which must stand at
    /// the exclusive gate, nothing more is released to who comes with it.
    pub(crate) async fn revoke_credential(
        &self,
        name: &Name,
        credential: Uuid,
        change: &mut Change,
    ) -> Result<(), CallerError> {
        let found = records::revoke_credential(name, credential, change).await?;
        let (caller, kind) = found.ok_or(CallerError::NoCredential)?;
        let details = serde_json::json!({ "name": name, "credential": credential, "kind": kind });
        change.note_as(
            Approval::not_needed(),
            "revoke-caller-credential",
            caller,
            &details,
        );
        Ok(())
    }
}
