//! Who may call: callers and their credentials.
//!
//! A caller is found by the SHA-256 of the token that was presented, or of whom another credential names. It **trusts** the `callers` and
//! `caller_tokens` tables: whoever can write there can add a caller or lend one a role. They cannot
//! read a token from them.
//!
//! # Why a caller is remembered, and what may follow from that
//! A look at the tables costs as much as the rest of a request, so a token that was found valid is taken
//! for a moment without one ([`Callers::recognise`]). The moment begins nothing that a revocation must stop
//! at once: what is signed, handed out or changed asks for the credential again behind the gate, in the
//! transaction that makes it durable, on whichever replica. What does not pass the gate (lists, look-ups,
//! explanations, and every refusal, which tells something too) is told only after a look at the tables that
//! was begun when the answer was ready ([`Callers::still`]). `http::admission` has both in one place, and an
//! answer counts as one that did not pass the gate unless it says that it did. So nobody whose revocation
//! was acknowledged before they asked is told anything. A revocation on this replica ends the moment, too.

pub mod break_glass;
pub mod certificate;
pub mod credential;
mod error;
mod giving;
mod jwks;
pub mod jwt;
mod records;
mod spiffe;
mod strangers;
pub mod token;
mod ways;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use moka::future::Cache;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Author, Change, Log};
use crate::clock::Clock;
use crate::id::{CallerId, PersonId, ProposalId};
use crate::joint::Joint;
use crate::ledger::{Gate, Ledger, LedgerError, Tx};
use crate::name::Name;
use certificate::Presented;
pub use credential::Kind;
use credential::{Credential, Shown};
pub use error::CallerError;
use strangers::Strangers;
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
}

impl Caller {
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

/// What it takes to make a caller.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCaller {
    /// A name that no other caller has.
    #[schema(value_type = String, example = "desk-1-bot")]
    pub name: Name,
    /// The desk or team; wallets and clients have owners too, and the policy compares them.
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// Names that the policy gives a meaning: `operator`, `trader`, `auditor`.
    #[schema(value_type = Vec<String>, example = json!(["trader"]))]
    pub roles: Vec<Name>,
    /// How long the token lives, 1 to 90 days.
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
    ledger: Ledger,
    recognised: Cache<Shown, Caller>,
    /// Tokens that were valid once. Whether they still are, the ledger says.
    known: Cache<Shown, ()>,
    strangers: Strangers,
    /// Looks at the tables for answers that wait for them.
    looks: Joint<Shown, Option<Caller>>,
    ways: Ways,
}

/// A caller, and what they were recognised by.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Who.
    pub caller: Caller,
    shown: Shown,
    /// When what they came with ends by itself, in seconds since 1970.
    until: Option<i64>,
}

impl Callers {
    /// Callers on this ledger, who come by tokens only.
    ///
    /// # Panics
    /// Never: without files there is nothing that could be wrong with them.
    pub fn new(ledger: Ledger) -> Self {
        let ways = Ways::open(&Settings::default(), Clock::system());
        Self::by(ways.expect("there are no files to read"), ledger)
    }

    /// Callers on this ledger, who come by these ways.
    pub fn open(settings: &Settings, ledger: Ledger, clock: Clock) -> Result<Self, BadWay> {
        Ok(Self::by(Ways::open(settings, clock)?, ledger))
    }

    fn by(ways: Ways, ledger: Ledger) -> Self {
        let recognised = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBER)
            .build();
        let known = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_idle(KNOWN)
            .build();
        Self {
            ledger,
            recognised,
            known,
            strangers: Strangers::default(),
            looks: Joint::new(),
            ways,
        }
    }

    /// The caller whose token this is, or was a moment ago: see [the module](self). A token of this
    /// service, or a JWT.
    pub async fn recognise(&self, presented: &str) -> Result<Recognised, CallerError> {
        let shown = Shown::token(presented);
        if let Some(caller) = self.recognised.get(&shown).await {
            let until = None;
            return Ok(Recognised {
                caller,
                shown,
                until,
            });
        }
        if self.ways.may_be_jwt(presented) {
            let proved = self.ways.by_jwt(presented, &self.strangers).await?;
            return self.find(proved.shown, Some(proved.until)).await;
        }
        Token::from_str(presented).map_err(|_| CallerError::NotRecognised)?;
        self.find(shown, None).await
    }

    /// The caller whose certificate was shown on the connection.
    pub async fn recognise_certificate(
        &self,
        presented: &Presented,
    ) -> Result<Recognised, CallerError> {
        let proved = self.ways.by_certificate(presented)?;
        self.find(proved.shown, Some(proved.until)).await
    }

    async fn find(&self, shown: Shown, until: Option<i64>) -> Result<Recognised, CallerError> {
        let look = async {
            let _turn = match self.known.get(&shown).await {
                Some(()) => None,
                None => Some(self.strangers.turn().await.ok_or(CallerError::Busy)?),
            };
            let found = records::find(&shown, &self.ledger).await?;
            let caller = found.ok_or(CallerError::NotRecognised)?;
            self.known.insert(shown, ()).await;
            Ok(caller)
        };
        // One look at the table for all who come at the same time.
        let found = self.recognised.try_get_with(shown, look).await;
        let caller = found.map_err(|error| match &*error {
            CallerError::Ledger(error) => error.clone().into(),
            CallerError::Busy => CallerError::Busy,
            _ => CallerError::NotRecognised,
        })?;
        Ok(Recognised {
            caller,
            shown,
            until,
        })
    }

    /// That a credential is still valid, and still stands for what it stood for: by a look that was begun after
    /// this was asked.
    pub async fn still(&self, who: &Recognised) -> Result<(), CallerError> {
        if let Some(until) = who.until
            && self.ways.now()? > until
        {
            return Err(CallerError::NotRecognised);
        }
        let look = async || records::find(&who.shown, &self.ledger).await;
        let found = self.looks.look(who.shown, look).await?;
        if found.as_ref() == Some(&who.caller) {
            return Ok(());
        }
        self.recognised.invalidate(&who.shown).await;
        Err(CallerError::NotRecognised)
    }

    /// All callers, by name.
    pub async fn list(&self) -> Result<Vec<Entry>, CallerError> {
        Ok(records::list(&self.ledger).await?)
    }

    /// The names of these callers, which never change.
    pub async fn names(&self, of: Vec<CallerId>) -> Result<Names, CallerError> {
        let ids: Vec<_> = of.into_iter().map(CallerId::uuid).collect();
        let names = records::names(&ids, &self.ledger).await?;
        Ok(Names(names.into_iter().collect()))
    }

    /// One caller, by name or by id.
    pub async fn show(&self, name: &Name) -> Result<Entry, CallerError> {
        let all = records::list(&self.ledger).await?;
        all.into_iter()
            .find(|entry| entry.name == name.as_str() || entry.id.to_string() == name.as_str())
            .ok_or(CallerError::NotFound)
    }

    /// The same with all their credentials.
    pub async fn show_whole(&self, name: &Name) -> Result<Whole, CallerError> {
        let entry = self.show(name).await?;
        let credentials = records::credentials(entry.id, &self.ledger).await?;
        Ok(Whole { entry, credentials })
    }

    /// Those with a credential that works now, and of a kind that is open here, by name, each with the end of their last one.
    pub async fn live(&self) -> Result<Vec<(Caller, OffsetDateTime)>, CallerError> {
        Ok(records::live(&self.ways.kinds(), self.ledger.pool()).await?)
    }

    /// The same as a transaction sees it.
    pub(crate) async fn live_in(
        &self,
        tx: &mut Tx,
    ) -> Result<Vec<(Caller, OffsetDateTime)>, CallerError> {
        Ok(records::live(&self.ways.kinds(), tx.connection()).await?)
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
        records::insert(id, new, change.tx())
            .await
            .map_err(name_taken)?;
        let token = Token::random();
        records::insert_token(Uuid::now_v7(), id, &token.hash(), life, change.tx()).await?;
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
        let found = records::lock(name, change.tx()).await?;
        let (id, roles) = found.ok_or(CallerError::NotFound)?;
        if break_glass::is_given_to(roles.iter().map(String::as_str)) {
            return Err(CallerError::OneToken);
        }
        let token = Token::random();
        records::insert_token(Uuid::now_v7(), id, &token.hash(), life, change.tx()).await?;
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
        let assigned = records::assign(name, person.0, change.tx()).await?;
        let id = assigned.ok_or(CallerError::NotFound)?;
        let details = serde_json::json!({ "caller": name, "person": person.1 });
        change.note_as(approval, "assign-caller", id, &details);
        Ok(())
    }

    /// Revokes a caller with all their credentials. Once the change is committed, which must stand at the
    /// exclusive gate, nothing more is released to them; [`forget`](Self::forget) then makes them a
    /// stranger here at once.
    pub(crate) async fn revoke(&self, name: &Name, change: &mut Change) -> Result<(), CallerError> {
        let id = records::revoke(name, change.tx())
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
