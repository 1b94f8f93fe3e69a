//! Who could have something signed with a key at a moment, by which rules, and by what it was given to them.
//!
//! It is answered from what was stated by then ([`authority`]), which proves itself: rows of callers and wallets
//! have only today's. What was held against limits, and what a device did, is not asked.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::signed_with::{Thing, clients, keys, things, wallets};
use crate::authority::{self, Kind, Snapshot, Stated, form};
use crate::callers::Caller;
use crate::id::{CallerId, KeyId};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::policy::{Action, Could, Resource, Rights, Then, Unexplained};

/// What was stated of something, and by whom.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The version that says so.
    pub version: i64,
    /// When it was stated.
    pub at: OffsetDateTime,
    /// By whom.
    pub by: CallerId,
}

impl Grant {
    fn of(stated: &Stated) -> Self {
        Self {
            version: stated.version.number(),
            at: stated.at,
            by: stated.by,
        }
    }
}

/// A credential that was good.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id, as leaves have it.
    pub id: Uuid,
    /// What kind.
    pub kind: String,
    /// Who it says somebody is; nothing of a token.
    pub identity: Option<String>,
    /// By what it was given.
    pub grant: Grant,
}

/// Somebody who could have it sign.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Who.
    pub caller: CallerId,
    /// What they were then.
    pub form: form::Caller,
    /// By what they were that.
    pub grant: Grant,
    /// What they could come with.
    pub credentials: Vec<Credential>,
    /// On what.
    pub on: &'static str,
    /// Its name.
    pub name: String,
    /// What for.
    pub action: Action,
    /// By which rules.
    pub could: Could,
    /// The halt that stopped it.
    pub halt: Option<String>,
}

/// What held of a key.
#[derive(Clone, Debug)]
pub struct Signers {
    /// The key as it was, and by what.
    pub key: Option<(form::Key, Grant)>,
    /// SHA-256 of the policy.
    pub policy: [u8; 32],
    /// The version with which it came.
    pub policy_version: Option<i64>,
    /// The version of all that decided.
    pub version: i64,
    /// Who could, by name.
    pub signers: Vec<Signer>,
}

/// Whether rows were stated by then: before that, nothing here says who there was.
pub fn is_known(then: &Snapshot) -> bool {
    then.of(Kind::Adoption).next().is_some()
}

/// Who could have this key sign at a moment.
pub fn signers(
    rights: &Rights,
    then: &Snapshot,
    key: KeyId,
    at: OffsetDateTime,
) -> Result<Signers, Unexplained> {
    let by = rights.then(then)?;
    let mut found = Signers {
        key: None,
        policy: by.newest().digest(),
        policy_version: by.newest().stated().map(|it| it.version.number()),
        version: then.version().number(),
        signers: Vec::new(),
    };
    let Some(stated) = then.find(Kind::Key, key.uuid()) else {
        return Ok(found);
    };
    let form: form::Key = authority::read(Kind::Key, stated)?;
    let things = things(then, key)?;
    let credentials = credentials(then, at)?;
    for (id, stated) in then.of(Kind::Caller) {
        let Some(credentials) = credentials.get(&id) else {
            continue; // they had nothing to come with
        };
        let form: form::Caller = authority::read(Kind::Caller, stated)?;
        let caller = caller(id, &form)?;
        for Thing { on, name, resource } in &things {
            for action in Then::signing() {
                if let Some(could) = by.could(&caller, action, resource) {
                    found.signers.push(Signer {
                        caller: caller.id,
                        form: form.clone(),
                        grant: Grant::of(stated),
                        credentials: credentials.clone(),
                        on,
                        name: name.clone(),
                        action,
                        could,
                        halt: by.halt(&caller, action, resource)?,
                    });
                }
            }
        }
    }
    found.signers.sort_by(|a, b| {
        let order = |it: &Signer| {
            (
                it.form.name.clone(),
                it.on,
                it.name.clone(),
                it.action as usize,
            )
        };
        order(a).cmp(&order(b))
    });
    found.key = Some((form, Grant::of(stated)));
    Ok(found)
}

/// A caller as they were, who comes with nothing; `None`: they were not there, or revoked by then.
pub fn caller_then(then: &Snapshot, id: CallerId) -> Result<Option<Caller>, LedgerError> {
    let stated = then.find(Kind::Caller, id.uuid());
    let form = stated.map(|it| authority::read(Kind::Caller, it));
    form.transpose()?
        .map(|form| caller(id.uuid(), &form))
        .transpose()
}

/// A wallet, a client or a key as it was, by its name; `None`: it was not there yet.
pub fn resource_then(
    then: &Snapshot,
    kind: &str,
    name: &Name,
) -> Result<Option<Resource>, LedgerError> {
    let name = name.as_str();
    let all = match kind {
        "wallet" => wallets(then, |it| it.name == name)?,
        "client" => clients(then, |it| it.name == name)?,
        "key" => keys(then, |it| it.name == name)?,
        _ => Vec::new(),
    };
    Ok(all.into_iter().next().map(|it| it.resource))
}

/// What was good at a moment, by caller.
fn credentials(
    then: &Snapshot,
    at: OffsetDateTime,
) -> Result<HashMap<Uuid, Vec<Credential>>, LedgerError> {
    let mut credentials: HashMap<Uuid, Vec<Credential>> = HashMap::new();
    for (id, stated) in then.of(Kind::Credential) {
        let form: form::Credential = authority::read(Kind::Credential, stated)?;
        if form.expires_at > form::micros(at) {
            credentials
                .entry(form.caller)
                .or_default()
                .push(Credential {
                    id,
                    kind: form.kind,
                    identity: form.identity,
                    grant: Grant::of(stated),
                });
        }
    }
    for all in credentials.values_mut() {
        all.sort_by_key(|it| it.id);
    }
    Ok(credentials)
}

/// A caller as they were, who comes with nothing: no right follows from it.
fn caller(id: Uuid, form: &form::Caller) -> Result<Caller, LedgerError> {
    let name = |text: &String| Name::from_record("authority", text.clone());
    Ok(Caller {
        id: id.into(),
        credential: Uuid::nil(),
        kind: crate::callers::Kind::Token,
        name: name(&form.name)?,
        owner: name(&form.owner)?,
        roles: form.roles.iter().map(name).collect::<Result<_, _>>()?,
        proposal: None,
        stated: Caller::unproven(id, Uuid::nil()),
    })
}
