//! Who may call: callers and their credentials.
//!
//! A caller is found by the SHA-256 of the token that was presented, or of whom another credential names. The
//! `callers` and `caller_tokens` tables say only what is stated ([`authority`]): whoever writes
//! there by themselves adds nobody, lends nobody a role, and brings no credential back. It **trusts** what
//! `authority` trusts.

pub mod break_glass;
pub mod certificate;
pub mod credential;
mod error;
mod giving;
mod jwks;
pub mod jwt;
mod recognising;
pub(crate) mod records;
mod spiffe;
mod strangers;
pub mod token;
mod ways;

use std::collections::BTreeMap;
use std::time::Duration;

use moka::future::Cache;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Author, Change, Log};
use crate::authority::{self, Authority, Statement, Version};
use crate::clock::Clock;
use crate::id::{CallerId, PersonId, ProposalId};
use crate::joint::Joint;
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;
pub use credential::Kind;
use credential::{Credential, Shown};
pub use error::CallerError;
pub use recognising::Recognised;
pub(crate) use strangers::Strangers;
pub use token::Token;
use ways::Ways;
pub use ways::{BadWay, Settings, check};

/// How long a token that was found valid is taken without another look at the tables. Long enough that
/// whoever asks all the time costs one look a second; a longer one would only make it longer until work for
/// a revoked caller is not even begun.
const REMEMBER: Duration = Duration::from_secs(1);

/// So many callers are remembered, each some hundred bytes. Only who was found valid is: invented tokens
/// drive out nobody.
const REMEMBERED: u64 = 10_000;

/// How long a token that was valid once is looked for before those that nobody has seen.
const KNOWN: Duration = Duration::from_hours(24);

/// The longest life of a token.
pub const MAX_TOKEN_DAYS: u16 = 90;

/// A caller who was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub id: CallerId,
    /// The credential by which the caller was recognised.
    pub credential: Uuid,
    /// What kind of credential it is.
    pub kind: Kind,
    /// Their name.
    pub name: Name,
    /// The desk or team they belong to.
    pub owner: Name,
    /// What the policy knows them as.
    pub roles: Vec<Name>,
    /// Under which proposal they ask once more, where it was approved: set at the edge, for one request.
    pub proposal: Option<ProposalId>,
    /// By which versions their rows say so: their own, and the credential's.
    pub stated: [Statement; 2],
}

impl Caller {
    /// The statements of a caller whose rows nobody has compared.
    pub fn unproven(caller: Uuid, credential: Uuid) -> [Statement; 2] {
        let of = |kind, id| Statement {
            kind,
            id,
            version: Version::default(),
        };
        [
            of(authority::Kind::Caller, caller),
            of(authority::Kind::Credential, credential),
        ]
    }

    /// Whether somebody comes with the same, and would be told the same.
    fn is_as(&self, other: &Self) -> bool {
        let said = |it: &Self| Self {
            stated: Self::unproven(Uuid::nil(), Uuid::nil()),
            proposal: None,
            ..it.clone()
        };
        said(self) == said(other)
    }

    /// Whether they were made by [`break_glass`], which gives the management of callers and nothing else.
    pub fn is_break_glass(&self) -> bool {
        break_glass::is_given_to(self.roles.iter().map(Name::as_str))
    }
}

/// A caller as operators see one. Never a token.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = CallerView)]
pub struct Entry {
    /// The caller's id.
    #[schema(value_type = String)]
    pub id: CallerId,
    /// Their name.
    pub name: String,
    /// The desk or team.
    pub owner: String,
    /// What the policy knows them as.
    pub roles: Vec<String>,
    /// Whose it is; none for a program.
    pub person: Option<String>,
    /// When they were made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When they were revoked, if they were.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// When the last of their live credentials ends, tokens and others.
    #[serde(with = "time::serde::rfc3339::option")]
    pub token_expires_at: Option<OffsetDateTime>,
}

impl Entry {
    /// The caller as a policy sees one. They came with nothing, so that no right follows from it.
    pub fn as_caller(&self) -> Result<Caller, CallerError> {
        let name = |text: &String| Name::from_record("callers", text.clone());
        Ok(Caller {
            id: self.id,
            credential: Uuid::nil(),
            kind: Kind::Token,
            name: name(&self.name)?,
            owner: name(&self.owner)?,
            roles: self.roles.iter().map(name).collect::<Result<_, _>>()?,
            proposal: None,
            stated: Caller::unproven(self.id.uuid(), Uuid::nil()),
        })
    }
}

/// A caller with all their credentials. Never a token.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = CallerWithCredentials)]
pub struct Whole {
    /// The caller.
    #[serde(flatten)]
    pub entry: Entry,
    /// By what they are known, and were; the newest first.
    pub credentials: Vec<Credential>,
}

/// Another token for a caller.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCallerToken {
    /// How long it lives, 1 to 90 days.
    #[arg(long, default_value_t = default_token_days())]
    pub token_days: u16,
}

/// What it takes to make a caller.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCaller {
    /// A name that no other caller has.
    #[schema(value_type = String, example = "desk-1-bot")]
    pub name: Name,
    /// The desk or team; wallets and clients have owners too, and the policy compares them.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// Names that the policy gives a meaning: `operator`, `trader`, `auditor`.
    #[arg(long = "role", required = true)]
    #[schema(value_type = Vec<String>, example = json!(["trader"]))]
    pub roles: Vec<Name>,
    /// How long the token lives, 1 to 90 days.
    #[arg(long, default_value_t = default_token_days())]
    #[serde(default = "default_token_days")]
    #[schema(default = 30, minimum = 1, maximum = 90)]
    pub token_days: u16,
}

fn default_token_days() -> u16 {
    30
}

/// Names of callers, for what holds their ids.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<CallerId, String>);

impl Names {
    /// The name of one; `service` for what the service did by itself.
    pub fn of(&self, id: CallerId) -> String {
        match self.0.get(&id) {
            Some(name) => name.clone(),
            None if id == CallerId::SERVICE => "service".to_owned(),
            None => id.to_string(),
        }
    }
}

/// The callers of this service.
#[derive(Clone)]
pub struct Callers {
    authority: Authority,
    recognised: Cache<Shown, Caller>,
    /// Tokens that were valid once, by which credential. Whether they still are, the ledger says.
    known: Cache<Shown, Uuid>,
    strangers: Strangers,
    /// Looks at the tables for answers that wait for them.
    looks: Joint<Shown, Option<Caller>>,
    ways: Ways,
}

impl Callers {
    /// Callers whom this states, who come by tokens only.
    ///
    /// # Panics
    /// Never: without files there is nothing that could be wrong with them.
    pub fn new(authority: Authority) -> Self {
        let ways = Ways::open(&Settings::default(), Clock::system());
        Self::by(ways.expect("there are no files to read"), authority)
    }

    /// Callers whom this states, who come by these ways.
    pub fn open(settings: &Settings, authority: Authority, clock: Clock) -> Result<Self, BadWay> {
        Ok(Self::by(Ways::open(settings, clock)?, authority))
    }

    fn by(ways: Ways, authority: Authority) -> Self {
        let recognised = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBER)
            .build();
        let known = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_idle(KNOWN)
            .build();
        Self {
            authority,
            recognised,
            known,
            strangers: Strangers::default(),
            looks: Joint::new(),
            ways,
        }
    }

    /// All callers, by name.
    pub async fn list(&self) -> Result<Vec<Entry>, CallerError> {
        Ok(records::list(&self.authority).await?)
    }

    /// The names of these callers, which never change.
    pub async fn names(&self, of: Vec<CallerId>) -> Result<Names, CallerError> {
        let ids: Vec<_> = of.into_iter().map(CallerId::uuid).collect();
        let names = records::names(&ids, self.authority.ledger()).await?;
        Ok(Names(names.into_iter().collect()))
    }

    /// One caller, by name or by id.
    pub async fn show(&self, name: &Name) -> Result<Entry, CallerError> {
        let all = records::list(&self.authority).await?;
        all.into_iter()
            .find(|entry| entry.name == name.as_str() || entry.id.to_string() == name.as_str())
            .ok_or(CallerError::NotFound)
    }

    /// One caller with all their credentials.
    pub async fn show_whole(&self, name: &Name) -> Result<Whole, CallerError> {
        let entry = self.show(name).await?;
        let credentials = records::credentials(entry.id, &self.authority).await?;
        Ok(Whole { entry, credentials })
    }

    /// Those with a credential that works now, and of a kind that is open here, by name, each with the end of their last one.
    pub async fn live(&self) -> Result<Vec<(Caller, OffsetDateTime)>, CallerError> {
        let (kinds, ledger) = (self.ways.kinds(), self.authority.ledger());
        let look = || records::live(&kinds, ledger.pool());
        let live = self.authority.read(look).await?;
        Ok(live
            .into_iter()
            .map(|it| (it.caller, it.expires_at))
            .collect())
    }

    /// The callers with a credential that works now, as a transaction sees them.
    pub(crate) async fn live_in(
        &self,
        change: &mut Change,
    ) -> Result<Vec<(Caller, OffsetDateTime)>, CallerError> {
        let mut live = records::live(&self.ways.kinds(), change.tx().connection()).await?;
        change.prove(&mut live).await?;
        Ok(live
            .into_iter()
            .map(|it| (it.caller, it.expires_at))
            .collect())
    }

    /// Makes the first operator. Works once, and never when there is any caller.
    pub async fn bootstrap(&self, new: &NewCaller, log: &Log) -> Result<Token, CallerError> {
        let id = CallerId::new();
        let author = Author::bootstrap(id);
        let mut change = log.begin(Gate::Exclusive, &author).await?;
        if records::any(change.tx()).await? {
            return Err(CallerError::AlreadyBootstrapped);
        }
        let token = self.insert(id, new, &mut change).await?;
        change.commit().await?;
        Ok(token)
    }

    /// Makes a caller and their token, in a transaction that the operation began.
    pub(crate) async fn insert(
        &self,
        id: CallerId,
        new: &NewCaller,
        change: &mut Change,
    ) -> Result<Token, CallerError> {
        if Uuid::try_parse(new.name.as_str()).is_ok() {
            return Err(CallerError::LikeAnId(new.name.clone()));
        }
        if new.roles.is_empty() {
            return Err(CallerError::NoRole);
        }
        if break_glass::is_given_to(new.roles.iter().map(Name::as_str)) {
            return Err(CallerError::ReservedRole);
        }
        let life = token_life(new.token_days)?;
        let approval = change.loosen();
        records::insert(id, new, change).await.map_err(name_taken)?;
        let token = Token::random();
        records::insert_token(Uuid::now_v7(), id, &token.hash(), life, change).await?;
        let details = serde_json::json!({
            "name": new.name, "owner": new.owner, "roles": new.roles, "token_days": new.token_days,
        });
        change.note_as(approval, "create-caller", id, &details);
        Ok(token)
    }

    /// Gives a caller another token; the older ones live until they expire or the caller is revoked.
    pub(crate) async fn issue_token(
        &self,
        name: &Name,
        token_days: u16,
        change: &mut Change,
    ) -> Result<Token, CallerError> {
        let life = token_life(token_days)?;
        let approval = change.loosen();
        let found = records::lock(name, change).await?;
        let (id, roles) = found.ok_or(CallerError::NotFound)?;
        if break_glass::is_given_to(roles.iter().map(String::as_str)) {
            return Err(CallerError::OneToken);
        }
        let token = Token::random();
        records::insert_token(Uuid::now_v7(), id, &token.hash(), life, change).await?;
        let details = serde_json::json!({ "name": name, "token_days": token_days });
        change.note_as(approval, "issue-caller-token", id, &details);
        Ok(token)
    }

    /// Makes a caller a person's, for ever.
    pub(crate) async fn assign(
        &self,
        name: &Name,
        person: (PersonId, &Name),
        change: &mut Change,
    ) -> Result<(), CallerError> {
        let approval = change.loosen();
        let assigned = records::assign(name, person.0, change).await?;
        let id = assigned.ok_or(CallerError::NotFound)?;
        let details = serde_json::json!({ "caller": name, "person": person.1 });
        change.note_as(approval, "assign-caller", id, &details);
        Ok(())
    }

    /// Revokes a caller with all their credentials. Once the change is committed, which must stand at the
    /// exclusive gate, nothing more is released to them; [`forget`](Self::forget) then makes them a
    /// stranger here at once.
    pub(crate) async fn revoke(&self, name: &Name, change: &mut Change) -> Result<(), CallerError> {
        let id = records::revoke(name, change)
            .await?
            .ok_or(CallerError::NotFound)?;
        let details = serde_json::json!({ "name": name });
        change.note_as(Approval::not_needed(), "revoke-caller", id, &details);
        Ok(())
    }

    /// Takes the authorities and keys that files and issuers have now, by which callers are known.
    pub async fn renew(&self) {
        self.ways.renew().await;
    }

    /// Forgets a caller who was recognised a moment ago.
    pub fn forget(&self) {
        self.recognised.invalidate_all();
        self.ways.forget();
    }
}

fn token_life(days: u16) -> Result<time::Duration, CallerError> {
    if !(1..=MAX_TOKEN_DAYS).contains(&days) {
        return Err(CallerError::TokenDays);
    }
    Ok(time::Duration::days(i64::from(days)))
}

fn name_taken(error: LedgerError) -> CallerError {
    match error.constraint() {
        Some("callers_name_is_unique") => CallerError::NameTaken,
        _ => error.into(),
    }
}
