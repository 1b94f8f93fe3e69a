//! The way back in when nobody is left who can manage callers: their tokens ended, or were lost.
//!
//! It makes a caller with a role of its own, which no policy gives a meaning and nobody can give: the
//! policy set decides nothing for it, `policy` itself permits the management of callers and refuses all
//! else. Its token lives an hour. Until somebody revokes the caller it stands first in the list of what
//! is due, and every replica says so at `error`.
//!
//! It **trusts** whoever calls it to have seen the proofs: `administrators` asks for them.

use time::Duration;
use uuid::Uuid;

use super::{CallerError, Callers, NewCaller, Token, name_taken, records};
use crate::audit::{Author, Log};
use crate::id::CallerId;
use crate::ledger::Gate;
use crate::name::Name;
use crate::notices::{self, Notice};

/// The role.
pub const ROLE: &str = "break-glass";

/// How long the token lives.
pub const LIFE: Duration = Duration::hours(1);

/// Whether it is among these.
pub fn is_given_to<'a>(mut roles: impl Iterator<Item = &'a str>) -> bool {
    roles.any(|role| role == ROLE)
}

/// What was shown before the caller is made. It is on record for ever.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Proof {
    /// The database role that owns the schema, as which we are connected.
    pub database_role: String,
    /// The device that opened.
    pub device: Name,
    /// A key on record that it holds; none where no key is on record.
    pub key: Option<Name>,
    /// From which host, as the audit log names it.
    pub writer: String,
}

impl Callers {
    /// Makes a caller who manages callers for an hour.
    ///
    /// # Panics
    /// Never: the role is a name.
    pub async fn break_glass(
        &self,
        name: &Name,
        reason: &str,
        proof: &Proof,
        log: &Log,
    ) -> Result<Token, CallerError> {
        let role: Name = ROLE.parse().expect("the role is a name");
        let new = NewCaller {
            name: name.clone(),
            owner: role.clone(),
            roles: vec![role],
            token_days: 0,
        };
        let (id, token) = (CallerId::new(), Token::random());
        let mut change = log.begin(Gate::Shared, &Author::break_glass(id)).await?;
        let inserted = records::insert(id, &new, &mut change).await;
        inserted.map_err(name_taken)?;
        records::insert_token(Uuid::now_v7(), id, &token.hash(), LIFE, &mut change).await?;
        let details = serde_json::json!({ "name": name, "reason": reason, "proof": proof });
        change.note("break-glass", id, &details);
        let sentence = format!(
            "the glass is broken: caller {name} can manage callers for an hour, whatever the policy says"
        );
        let notice = Notice::new(notices::Kind::Alarm, sentence).about("alarm", &"break-glass");
        change.tell(notice.about("caller", &id));
        change.commit().await?;
        tracing::error!(caller.id = %id, caller.name = %name, reason,
            "the glass is broken: a caller can manage callers for an hour, whatever the policy says");
        Ok(token)
    }
}
