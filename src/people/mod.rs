//! People: whoever approves, the keys that they approve with, and whose callers are.
//!
//! Making somebody an approver loosens what is guarded as much as anything does, so it is approved itself;
//! taking the right away is not. The first ones are registered by [`People::bootstrap`], once.
//!
//! The rows of people and their keys say only what is stated ([`authority`](crate::authority)). It **trusts**
//! whoever compares a new key's fingerprint with the person before they approve it.

pub(crate) mod records;

use time::OffsetDateTime;

use crate::approvals::signature::passkey::{Assertion, registration};
use crate::approvals::signature::{ApproverKey, BadPasskey, BadSsh, Passkey, SshKey};
use crate::approvals::{Approval, Settings};
use crate::audit::{Author, Change, Log};
use crate::authority::Authority;
use crate::callers::{CallerError, Callers};
use crate::id::{ApproverKeyId, CallerId, PersonId};
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;

/// A person, as others see them.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = PersonView)]
pub struct Person {
    /// The person's id.
    #[schema(value_type = String)]
    pub id: PersonId,
    /// Their name.
    pub name: String,
    /// What quorums count them as.
    pub roles: Vec<String>,
    /// The callers that are theirs.
    pub callers: Vec<String>,
    /// The keys that they approve with.
    pub keys: Vec<KeyView>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

/// A key that somebody approves with.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ApproverKeyView)]
pub struct KeyView {
    /// The key's id.
    #[schema(value_type = String)]
    pub id: ApproverKeyId,
    /// What its owner calls it.
    pub name: String,
    /// `ssh` or `passkey`.
    pub kind: String,
    /// As `ssh-keygen -l` prints it; of a passkey SHA-256 of its public key.
    pub fingerprint: String,
    /// What a browser calls it, base64url.
    pub credential_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
}

impl Person {
    /// What a browser calls the passkeys that are in use.
    pub fn passkeys(&self) -> Vec<&str> {
        let in_use = self.keys.iter().filter(|it| it.is_in_use());
        in_use
            .filter_map(|it| it.credential_id.as_deref())
            .collect()
    }
}

impl KeyView {
    /// Whether somebody approves with it now.
    pub fn is_in_use(&self) -> bool {
        self.revoked_at.is_none()
    }
}

/// What quorums count somebody as unless it is said.
pub const OFFICER: &str = "security-officer";

/// Somebody new.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// A name that nobody else has.
    #[schema(value_type = String, example = "ann")]
    pub name: Name,
    /// What quorums count them as.
    #[arg(long = "role", default_value = OFFICER)]
    #[schema(value_type = Vec<String>, example = json!(["security-officer"]))]
    pub roles: Vec<Name>,
}

/// What quorums count somebody as.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonRoles {
    /// All of them, from now on; without any they approve nothing.
    #[arg(long = "role")]
    #[schema(value_type = Vec<String>, example = json!(["security-officer"]))]
    pub roles: Vec<Name>,
}

/// A caller of somebody's.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignedCaller {
    /// The caller's name. They are this person's for ever.
    #[schema(value_type = String, example = "ann-laptop")]
    pub caller: Name,
}

/// A key to approve with.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproverKey {
    /// What its owner calls it.
    #[schema(value_type = String, example = "laptop")]
    pub name: Name,
    /// A line of a `.pub` file: ssh-ed25519, ecdsa-sha2-nistp256, or one of their sk- kinds. This, or a passkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// What a browser gave, with an assertion that shows it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<GivenPasskey>,
}

/// A passkey as a browser gives it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenPasskey {
    /// `SubjectPublicKeyInfo` of `getPublicKey()`, base64url.
    pub public_key: String,
    /// An assertion whose challenge is SHA-256 over `chancery-passkey`, the person's name and the public key,
    /// with a line feed between.
    pub assertion: Assertion,
}

/// Somebody of the first hour.
#[derive(Clone, Debug)]
pub struct First {
    /// Who.
    pub person: NewPerson,
    /// The line of a `.pub` file.
    pub ssh: String,
    /// Their callers.
    pub callers: Vec<Name>,
}

/// Why somebody was not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// No such person.
    #[error("no such person")]
    NotFound,
    /// No such key.
    #[error("no such key")]
    NoSuchKey,
    /// The name is taken.
    #[error("a person with this name exists")]
    NameTaken,
    /// The key is somebody's.
    #[error("somebody approves with this key already, or has")]
    KeyTaken,
    /// They are not there any more.
    #[error("the person has ended")]
    Ended,
    /// The key is none.
    #[error("ssh: {0}")]
    Ssh(#[from] BadSsh),
    /// The key is none.
    #[error("passkey: {0}")]
    Passkey(#[from] BadPasskey),
    /// One key at a time.
    #[error("a key is either ssh or passkey")]
    OneKey,
    /// Nothing says where passkeys are used.
    #[error("passkey: [approvals] passkeys is not set")]
    NoPasskeys,
    /// Two people at least.
    #[error("the first ones are at least two, for one could approve nothing")]
    TooFew,
    /// There are some.
    #[error("there are people already: the first ones were registered at an earlier bootstrap")]
    AlreadyBootstrapped,
    /// A caller.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The people of this service. Cheap to clone.
#[derive(Clone)]
pub struct People {
    authority: Authority,
    callers: Callers,
}

impl People {
    /// People whom this states.
    pub fn new(authority: Authority, callers: Callers) -> Self {
        Self { authority, callers }
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<Person>, PersonError> {
        Ok(records::list(&self.authority).await?)
    }

    /// One of them.
    pub async fn show(&self, name: &Name) -> Result<Person, PersonError> {
        let all = self.list().await?;
        let found = all.into_iter().find(|it| it.name == name.as_str());
        found.ok_or(PersonError::NotFound)
    }

    /// The name of the person whose a caller is.
    pub async fn of_caller(&self, caller: CallerId) -> Result<Option<Name>, PersonError> {
        let found = records::of_caller(caller, self.authority.ledger()).await?;
        let name = found.map(|name| Name::from_record("people", name));
        Ok(name.transpose()?)
    }

    /// Registers somebody.
    pub async fn register(
        &self,
        new: &NewPerson,
        change: &mut Change,
    ) -> Result<PersonId, PersonError> {
        let approval = change.loosen();
        let id = PersonId::new();
        let inserted = records::insert(id, new, change).await;
        inserted.map_err(taken)?;
        let details = serde_json::json!({ "name": new.name, "roles": new.roles });
        change.note_as(approval, "register-person", id, &details);
        Ok(id)
    }

    /// Changes what quorums count somebody as. More loosens. The change stands at the exclusive gate.
    pub async fn set_roles(
        &self,
        name: &Name,
        roles: &[Name],
        change: &mut Change,
    ) -> Result<(), PersonError> {
        let (id, from) = there(name, change).await?;
        let is_more = roles
            .iter()
            .any(|it| !from.iter().any(|had| had == it.as_str()));
        let approval = if is_more {
            change.loosen()
        } else {
            Approval::not_needed()
        };
        records::set_roles(id, roles, change).await?;
        let details = serde_json::json!({ "name": name, "from": from, "to": roles });
        change.note_as(approval, "set-person-roles", id, &details);
        Ok(())
    }

    /// Ends somebody: nothing that they have signed counts any more. The change stands at the exclusive gate.
    pub async fn end(
        &self,
        name: &Name,
        reason: &str,
        change: &mut Change,
    ) -> Result<(), PersonError> {
        let (id, _) = there(name, change).await?;
        records::end(id, change).await?;
        let details = serde_json::json!({ "name": name, "reason": reason });
        change.note_as(Approval::not_needed(), "end-person", id, &details);
        Ok(())
    }

    /// Makes a caller somebody's.
    pub async fn assign(
        &self,
        name: &Name,
        caller: &Name,
        change: &mut Change,
    ) -> Result<(), PersonError> {
        let (id, _) = there(name, change).await?;
        Ok(self.callers.assign(caller, (id, name), change).await?)
    }

    /// Lets somebody approve with a key.
    pub async fn register_key(
        &self,
        name: &Name,
        new: &NewApproverKey,
        rules: &Settings,
        change: &mut Change,
    ) -> Result<ApproverKeyId, PersonError> {
        let (person, _) = there(name, change).await?;
        let key = match (&new.ssh, &new.passkey) {
            (Some(_), Some(_)) | (None, None) => return Err(PersonError::OneKey),
            (Some(line), None) => ApproverKey::Ssh(SshKey::from_line(line)?),
            (None, Some(given)) => {
                let party = rules.passkeys.as_ref().ok_or(PersonError::NoPasskeys)?;
                let public_key = Assertion::decoded(&given.public_key)?;
                let challenge = registration(name.as_str(), &public_key);
                let key = Passkey::new(given.assertion.credential()?, public_key)?;
                key.verify(&given.assertion, &challenge, party)?;
                ApproverKey::Passkey(key)
            }
        };
        let approval = change.loosen();
        let id = ApproverKeyId::new();
        let inserted = records::insert_key((id, person), &new.name, &key, change).await;
        inserted.map_err(taken)?;
        let details = serde_json::json!({
            "person": name, "name": new.name, "kind": key.kind(), "fingerprint": key.fingerprint(),
            "public_key": hex::encode(key.bytes()), "credential_id": key.credential_id().map(hex::encode),
        });
        change.note_as(approval, "register-approver-key", id, &details);
        Ok(id)
    }

    /// Revokes a key: nothing that it has signed counts any more. The change stands at the exclusive gate.
    pub async fn revoke_key(
        &self,
        name: &Name,
        key: ApproverKeyId,
        change: &mut Change,
    ) -> Result<(), PersonError> {
        let revoked = records::revoke_key(name, key, change).await?;
        revoked.then_some(()).ok_or(PersonError::NoSuchKey)?;
        let details = serde_json::json!({ "person": name });
        change.note_as(Approval::not_needed(), "revoke-approver-key", key, &details);
        Ok(())
    }

    /// Registers the first people with their keys and callers. Works once, and never when there is anybody.
    pub async fn bootstrap(&self, first: &[First], log: &Log) -> Result<(), PersonError> {
        if first.len() < 2 {
            return Err(PersonError::TooFew);
        }
        let author = Author::bootstrap(CallerId::SERVICE);
        let mut change = log.begin(Gate::Exclusive, &author).await?;
        if records::any(change.tx()).await? {
            return Err(PersonError::AlreadyBootstrapped);
        }
        for it in first {
            self.register(&it.person, &mut change).await?;
            let key = NewApproverKey {
                name: it.person.name.clone(),
                ssh: Some(it.ssh.clone()),
                passkey: None,
            };
            let rules = Settings::default();
            self.register_key(&it.person.name, &key, &rules, &mut change)
                .await?;
            for caller in &it.callers {
                self.assign(&it.person.name, caller, &mut change).await?;
            }
        }
        change.commit().await?;
        Ok(())
    }
}

/// Somebody who is there: their id, and their roles.
async fn there(name: &Name, change: &mut Change) -> Result<(PersonId, Vec<String>), PersonError> {
    let found = records::lock(name, change).await?;
    let (id, roles, is_there) = found.ok_or(PersonError::NotFound)?;
    if is_there {
        Ok((id, roles))
    } else {
        Err(PersonError::Ended)
    }
}

fn taken(error: LedgerError) -> PersonError {
    match error.constraint() {
        Some("people_name_is_unique") => PersonError::NameTaken,
        Some("approver_keys_public_key_is_unique" | "approver_keys_credential_is_unique") => {
            PersonError::KeyTaken
        }
        _ => error.into(),
    }
}
