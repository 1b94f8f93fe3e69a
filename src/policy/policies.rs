//! The policy as a version in the ledger: what decides is the newest one, on all replicas from the moment on in
//! which its change is acknowledged.
//!
//! A new policy may forbid what the old one allowed, so its version tightens: what was decided before is decided
//! again. It may also allow more, so others have to agree. A file brings the first one, and none after it.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rules::{self, RuleChanges};
use super::{Policy, PolicyError};
use crate::approvals::Approval;
use crate::audit::{Author, Change, Effect, Log};
use crate::authority::{self, Authority, Kind, Parsed, Snapshot, Stated, Version, View};
use crate::guarded_file;
use crate::id::CallerId;
use crate::ledger::{Gate, LedgerError};
use crate::reason::Reason;

/// There is one policy, and this is its id among what decides.
const THE_POLICY: Uuid = Uuid::from_u128(0x706f_6c69_6379_8000_8000_0000_0000_0001);

/// A version, as its row has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    text: String,
    reason: String,
}

/// A version of the policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// In Cedar.
    pub text: String,
    /// SHA-256 of that: which policy it is, in leaves.
    pub digest: [u8; 32],
    /// Why it took the place of the one before.
    pub reason: String,
    /// The version of what decides with which it came.
    pub version: Version,
    /// Since when.
    pub at: OffsetDateTime,
    /// By whom.
    pub by: CallerId,
}

impl PolicyVersion {
    fn read(stated: &Stated) -> Result<Self, LedgerError> {
        let Body { text, reason } = authority::read(Kind::Policy, stated)?;
        Ok(Self {
            digest: digest(&text),
            text,
            reason,
            version: stated.version,
            at: stated.at,
            by: stated.by,
        })
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The policy that decides.
pub struct Newest {
    /// As it was stated; none before the first was brought.
    stated: Option<PolicyVersion>,
    policy: Policy,
    /// Why it is not what was stated: this program cannot read that.
    trouble: Option<String>,
}

impl Parsed for Newest {
    const KINDS: &'static [Kind] = &[Kind::Policy];

    /// What cannot be read decides nothing, and is said once.
    fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError> {
        let newest = Self::of(snapshot);
        if let Some(trouble) = &newest.trouble {
            tracing::error!(
                alarm = "policy-unfit",
                trouble,
                "the policy in the ledger is none to this program: everything is denied"
            );
        }
        Ok(newest)
    }
}

impl Newest {
    /// The newest of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let (mut stated, mut trouble) = (None, None);
        match snapshot
            .find(Kind::Policy, THE_POLICY)
            .map(PolicyVersion::read)
        {
            None => {}
            Some(Ok(read)) => stated = Some(read),
            Some(Err(error)) => trouble = Some(error.to_string()),
        }
        let text = stated.as_ref().map_or("", |it: &PolicyVersion| &it.text);
        let policy = text.parse().unwrap_or_else(|error: PolicyError| {
            trouble = Some(error.to_string());
            Policy::nothing()
        });
        Self {
            stated,
            policy,
            trouble,
        }
    }

    /// What it decides. One that cannot be read permits nothing, apart from what breaking the glass gives.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// As it was stated; none before the first was brought.
    pub fn stated(&self) -> Option<&PolicyVersion> {
        self.stated.as_ref()
    }

    /// Why this program cannot decide by it, where it cannot.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether none was ever brought.
    fn is_missing(&self) -> bool {
        self.stated.is_none() && self.trouble.is_none()
    }

    /// SHA-256 of its text.
    pub fn digest(&self) -> [u8; 32] {
        let stated = self.stated.as_ref().map(|it| it.digest);
        stated.unwrap_or_else(|| self.policy.digest())
    }

    /// Whether a file says what decides.
    pub fn compare(&self, file: &Path) -> Brought {
        match guarded_file::read_rules(file) {
            Ok(text) if digest(&text) == self.digest() => Brought::Same,
            Ok(text) => Brought::Other(format!("its digest is {}", hex::encode(digest(&text)))),
            Err(error) => Brought::Other(error.to_string()),
        }
    }
}

/// A policy that is to take the place of the one that decides.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyReplacement {
    /// In Cedar: the whole text, at most 262,144 bytes of it.
    #[schema(
        example = "permit (principal, action, resource) when { principal.roles.contains(\"operator\") };"
    )]
    pub text: String,
    /// Why: 1 to 500 characters.
    #[schema(value_type = String, example = "desk 2 begins to trade")]
    pub reason: Reason,
    /// The digest of the policy that it was made of, in hexadecimal.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    pub replaces: String,
}

/// The same, read.
pub struct NewPolicy {
    text: String,
    policy: Policy,
    reason: String,
    replaces: [u8; 32],
}

impl NewPolicy {
    /// One that parses, fits the schema, and can be read without fear.
    pub fn read(text: String, reason: &str, replaces: [u8; 32]) -> Result<Self, PolicyError> {
        Ok(Self {
            policy: text.parse()?,
            text,
            reason: reason.to_owned(),
            replaces,
        })
    }

    /// What it would decide.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// Why a policy does not take the place of the one before.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaced {
    /// Somebody else was faster, or it was written against another one.
    #[error("replaces: the policy is {0} by now")]
    Other(String),
    /// It would change nothing.
    #[error("text: this is the policy already")]
    Same,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What became of a file at the start.
#[derive(Debug, PartialEq, Eq)]
pub enum Brought {
    /// It is the first policy of this ledger.
    First,
    /// It says what the ledger says.
    Same,
    /// It says something else, or cannot be read, and does not count.
    Other(String),
}

/// The policy, by version. Cheap to clone.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

struct Inner {
    authority: Authority,
    view: View<Newest>,
    /// In the place of none.
    before: Option<Arc<Newest>>,
}

impl Policies {
    /// What this authority holds.
    pub fn new(authority: Authority) -> Self {
        Self::or(authority, None)
    }

    /// The same, with a policy that counts as long as none was brought: for a look at what would be.
    pub fn or(authority: Authority, before: Option<Policy>) -> Self {
        let before = before.map(|policy| Newest {
            stated: None,
            policy,
            trouble: None,
        });
        Self(Arc::new(Inner {
            authority,
            view: View::default(),
            before: before.map(Arc::new),
        }))
    }

    /// The policy, as far as it is known here.
    pub fn now(&self) -> Arc<Newest> {
        self.of(&self.0.authority.now())
    }

    /// The policy, for people.
    pub async fn newest(&self) -> Result<Arc<Newest>, LedgerError> {
        self.0.authority.catch_up().await?;
        Ok(self.now())
    }

    /// The one of a snapshot.
    ///
    /// # Panics
    /// Never: what cannot be read is a policy that permits nothing.
    pub(super) fn of(&self, snapshot: &Snapshot) -> Arc<Newest> {
        let newest = self.0.view.of(snapshot);
        let newest = newest.expect("a policy that cannot be read permits nothing");
        match &self.0.before {
            Some(before) if newest.is_missing() => Arc::clone(before),
            _ => newest,
        }
    }

    /// All there ever were, the oldest first.
    pub async fn history(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        let all = self.0.authority.history(Kind::Policy, THE_POLICY).await?;
        all.iter().map(PolicyVersion::read).collect()
    }

    /// Puts a policy in the place of the newest, if whoever has to agree has. The change stands at the
    /// exclusive gate. Whether somebody can manage callers by it is looked at by `administrators`.
    pub(crate) async fn replace(
        &self,
        new: NewPolicy,
        change: &mut Change,
    ) -> Result<PolicyVersion, NotReplaced> {
        let before = self.newest().await?;
        let known = before.stated.as_ref().map(|it| it.version);
        let is_newest = change.latest(Kind::Policy, THE_POLICY).await? == known;
        if !is_newest || before.digest() != new.replaces {
            return Err(NotReplaced::Other(hex::encode(before.digest())));
        }
        if new.policy.digest() == new.replaces {
            return Err(NotReplaced::Same);
        }
        let approval = change.loosen();
        let RuleChanges {
            added,
            changed,
            removed,
        } = rules::between(&before.policy, &new.policy);
        let details = serde_json::json!({
            "from": hex::encode(new.replaces), "to": hex::encode(new.policy.digest()),
            "added": added, "changed": changed, "removed": removed, "reason": new.reason,
        });
        let body = Body {
            text: new.text,
            reason: new.reason,
        };
        let made = state(body, change).await?;
        change.note_as(approval, "replace-policy", THE_POLICY, &details);
        Ok(made)
    }

    /// Sees to it that there is a policy: where the ledger has none, a file brings it, once.
    pub async fn bring(&self, file: &Path, log: &Log) -> Result<Brought, NotBrought> {
        let newest = self.newest().await?;
        if !newest.is_missing() {
            return Ok(newest.compare(file));
        }
        let text = guarded_file::read_rules(file)
            .map_err(|error| PolicyError::Unreadable(file.to_owned(), error))?;
        let policy: Policy = text.parse()?;
        let mut change = log.begin(Gate::Exclusive, &Author::service()).await?;
        if change.latest(Kind::Policy, THE_POLICY).await?.is_some() {
            change.abandon().await; // another replica was faster
        } else {
            let details = serde_json::json!({
                "to": hex::encode(policy.digest()), "file": file.display().to_string(),
            });
            let reason = "the first policy, from the file".to_owned();
            state(Body { text, reason }, &mut change).await?;
            change.note_as(Approval::bootstrap(), "bring-policy", THE_POLICY, &details);
            change.commit().await?;
        }
        match self.newest().await?.compare(file) {
            Brought::Same => Ok(Brought::First),
            other => Ok(other),
        }
    }
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum NotBrought {
    /// The file.
    #[error(transparent)]
    File(#[from] PolicyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// It may forbid what was allowed.
async fn state(body: Body, change: &mut Change) -> Result<PolicyVersion, LedgerError> {
    let bytes = authority::write(&body);
    let version = change
        .decide(Kind::Policy, THE_POLICY, Some(&bytes), Effect::Tightens)
        .await?;
    Ok(PolicyVersion {
        digest: digest(&body.text),
        text: body.text,
        reason: body.reason,
        version,
        at: change.now(),
        by: change.author(),
    })
}
