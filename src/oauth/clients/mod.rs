//! Clients: who we are at an environment's authorization server, and the key that proves it.

pub(crate) mod records;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use time::OffsetDateTime;

use super::environment::{Environment, Kid, Settings};
use crate::audit::Change;
use crate::authority::{Authority, Kind, Proved, Said, Snapshot, Statement, Unlike, Version, form};
use crate::clock::Clock;
use crate::halts::Touches;
use crate::id::{ClientId, KeyId, RotationId};
use crate::joint::Joint;
use crate::keys::{Key, KeyError, KeyState, Keys, Purpose};
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use crate::policy::{Resource, Stake};

/// A client on record.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id here.
    pub id: ClientId,
    /// Its name here.
    pub name: Name,
    /// The desk or team.
    pub owner: Name,
    /// The `[oauth.environments.NAME]` section.
    pub environment: Name,
    /// What the authorization server calls it.
    pub client_id: String,
    /// The key that signs for it.
    pub key: Key,
    /// What the counterparty calls that key, where it said so: `kid` in what it signs.
    pub kid: Option<String>,
    /// When it was put on record.
    pub created_at: OffsetDateTime,
    /// By which version its row says so; 0: nobody has compared it.
    pub stated: Version,
}

impl Proved for Client {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.key.prove(by)?;
        self.stated = by.proves(&self.said())?;
        Ok(())
    }
}

impl Client {
    /// What its row says.
    fn said(&self) -> Said {
        self.said_with(self.key.id)
    }

    /// The client with another key.
    fn said_with(&self, key: KeyId) -> Said {
        let form = form::Client {
            name: self.name.to_string(),
            owner: self.owner.to_string(),
            environment: self.environment.to_string(),
            client_id: self.client_id.clone(),
            key: key.uuid(),
        };
        Said::of(self.id, Some(&form))
    }

    /// By which versions its row says what this says, and its key's.
    fn statements(&self) -> [Statement; 2] {
        let client = Statement {
            kind: Kind::Client,
            id: self.id.uuid(),
            version: self.stated,
        };
        [client, self.key.statement()]
    }

    /// The client as policies see it.
    pub fn resource(&self) -> Resource {
        let touches = Touches {
            key: Some(self.key.id),
            wallet: None,
            client: Some(self.id),
        };
        Resource::owned("Client", &self.name, &self.owner, &self.environment)
            .touching(touches)
            .stated(self.statements().map(Some))
    }
}

/// `kid` as a counterparty assigned it to a key: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssignedKid(String);

/// The text is no `kid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kid has 1 to 64 visible ASCII characters")]
pub struct NotAKid;

impl AssignedKid {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AssignedKid {
    type Error = NotAKid;

    fn try_from(text: String) -> Result<Self, NotAKid> {
        if visible(&text) {
            Ok(Self(text))
        } else {
            Err(NotAKid)
        }
    }
}

impl std::str::FromStr for AssignedKid {
    type Err = NotAKid;

    fn from_str(text: &str) -> Result<Self, NotAKid> {
        Self::try_from(text.to_owned())
    }
}

impl From<AssignedKid> for String {
    fn from(kid: AssignedKid) -> Self {
        kid.0
    }
}

fn visible(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What it takes to make a client.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// A name that no other client has.
    #[schema(value_type = String, example = "desk-1-preprod")]
    pub name: Name,
    /// The desk or team.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// The key that signs for it; its environment is the client's.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1-preprod-2026")]
    pub key: Name,
    /// What the authorization server calls the client: 1 to 64 visible characters.
    #[arg(long)]
    pub client_id: String,
}

impl NewClient {
    /// What policies see of it.
    pub fn stake(&self, key: &Key) -> Stake {
        Stake::new()
            .text("owner", self.owner.to_string())
            .text("environment", key.environment.to_string())
            .text("key", key.name.to_string())
            .text("key_owner", key.owner.to_string())
            .text("client_id", self.client_id.as_str())
    }
}

/// Why a client was not made or found.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name is taken.
    #[error("a client with this name exists")]
    NameTaken,
    /// The environment has a client with this client id.
    #[error("this environment has a client with this client_id")]
    ClientIdTaken,
    /// No client has this name.
    #[error("no such client")]
    NotFound,
    /// The client id is no client id.
    #[error("a client_id has 1 to 64 visible ASCII characters")]
    ClientIdMalformed,
    /// The key is for something else, for another environment, or was never made.
    #[error("the key is not a client key of this environment that its device has made")]
    WrongKey,
    /// The key is another desk's.
    #[error("the key's owner is not the client's")]
    OthersKey,
    /// The key's environment is not configured.
    #[error("the environment {0} has no [oauth.environments.{0}] section")]
    UnknownEnvironment(Name),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How long a client is taken as it was, for what passes the gate: it looks at key, epoch and period again,
/// and where the client has another key by then, [`Clients::rekeyed`] finds it. What else goes into an
/// assertion is for ever, but for the `kid` that a counterparty gave the key, which nothing was signed
/// without until then.
const REMEMBER: Duration = Duration::from_secs(1);

/// So many clients, of some kilobytes each.
const REMEMBERED: u64 = 10_000;

/// The clients of this service.
#[derive(Clone)]
pub struct Clients {
    authority: Authority,
    keys: Keys,
    environments: Arc<BTreeMap<Name, Environment>>,
    clock: Clock,
    looks: Joint<Name, Option<Client>>,
    recent: Cache<Name, Client>,
}

impl Clients {
    /// Clients in the configured environments.
    pub fn new(settings: &Settings, authority: Authority, keys: Keys, clock: Clock) -> Self {
        let environments = Arc::new(settings.environments.clone());
        Self {
            authority,
            keys,
            environments,
            clock,
            looks: Joint::new(),
            recent: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(REMEMBER)
                .build(),
        }
    }

    /// A client as it was a moment ago, if that is known, for what passes the gate.
    pub fn recent(&self, name: &Name) -> Option<Client> {
        let now = self.authority.now();
        let recent = self.recent.get(name);
        recent.filter(|it| now.are_at(&it.statements()))
    }

    /// Remembers a client that was just looked up.
    pub fn remember(&self, client: &Client) {
        self.recent.insert(client.name.clone(), client.clone());
    }

    /// Forgets what was remembered: something was changed.
    pub fn forget(&self) {
        self.recent.invalidate_all();
    }

    /// The configured environments.
    pub fn environments(&self) -> &BTreeMap<Name, Environment> {
        &self.environments
    }

    /// The environment of a client.
    pub fn environment(&self, client: &Client) -> Result<&Environment, ClientError> {
        let unknown = || ClientError::UnknownEnvironment(client.environment.clone());
        self.environments
            .get(&client.environment)
            .ok_or_else(unknown)
    }

    /// All clients, by name.
    pub async fn list(&self) -> Result<Vec<Client>, ClientError> {
        Ok(records::list(&self.authority).await?)
    }

    /// One client.
    pub async fn show(&self, name: &Name) -> Result<Client, ClientError> {
        records::find(name, &self.authority)
            .await?
            .ok_or(ClientError::NotFound)
    }

    /// One client, for many who ask at once.
    pub(crate) async fn shown_to_many(&self, name: &Name) -> Result<Client, ClientError> {
        let look = async || records::find(name, &self.authority).await;
        let found = self.looks.look(name.clone(), look).await?;
        found.ok_or(ClientError::NotFound)
    }

    /// The client with this id, if there is one.
    pub async fn by_id(&self, id: ClientId) -> Result<Option<Client>, ClientError> {
        Ok(records::find_by_id(id, &self.authority).await?)
    }

    /// The clients that this key signs for.
    pub async fn of_key(&self, key: KeyId) -> Result<Vec<Client>, ClientError> {
        let all = records::list(&self.authority).await?;
        Ok(all.into_iter().filter(|it| it.key.id == key).collect())
    }

    /// What the counterparty calls a key, where it was recorded.
    pub async fn kid(&self, key: KeyId) -> Result<Option<String>, ClientError> {
        Ok(records::kid(key, self.authority.ledger()).await?)
    }

    /// Records what the counterparty calls a key, at the confirmation of a rotation.
    pub(crate) async fn assign_kid(
        &self,
        key: KeyId,
        kid: &AssignedKid,
        rotation: RotationId,
        change: &mut Change,
    ) -> Result<(), ClientError> {
        Ok(records::assign_kid(key, kid, rotation, change.tx()).await?)
    }

    /// Where one literal `kid` would have to name several keys, in words.
    pub async fn ambiguous_kids(&self) -> Result<Vec<String>, LedgerError> {
        ambiguous_kids(&self.environments, self.authority.ledger()).await
    }

    /// The client with the key that it has now, where that is another one than it had, or in another
    /// epoch, and signs.
    pub async fn rekeyed(&self, client: &Client) -> Result<Option<Client>, ClientError> {
        let now = self.by_id(client.id).await?;
        if let Some(now) = &now {
            self.remember(now);
        }
        Ok(now.filter(|now| {
            now.statements() != client.statements() && now.key.state == KeyState::Active
        }))
    }

    /// A client as a transaction sees it; nobody else changes it before that has ended.
    pub(crate) async fn within(
        &self,
        id: ClientId,
        change: &mut Change,
    ) -> Result<Client, ClientError> {
        records::lock(id, change)
            .await?
            .ok_or(ClientError::NotFound)
    }

    /// The names of the clients that a key signs for.
    pub(crate) async fn with_key(
        &self,
        key: KeyId,
        change: &mut Change,
    ) -> Result<Vec<Name>, ClientError> {
        Ok(records::with_key(key, change.tx()).await?)
    }

    /// Gives a client another key. The change stands at the exclusive gate and holds the step of the
    /// rotation that this belongs to; the database asks for one.
    pub(crate) async fn switch_key(
        &self,
        client: &Client,
        to: KeyId,
        change: &mut Change,
    ) -> Result<(), ClientError> {
        let approval = change.loosen();
        if !records::switch_key(client, to, change).await? {
            return Err(KeyError::Changed.into());
        }
        let details = serde_json::json!({ "name": client.name, "from": client.key.id, "to": to });
        change.note_as(approval, "switch-client-key", client.id, &details);
        Ok(())
    }

    /// Puts a client on record.
    pub async fn create(
        &self,
        new: &NewClient,
        change: &mut Change,
    ) -> Result<Client, ClientError> {
        let approval = change.loosen();
        if !visible(&new.client_id) {
            return Err(ClientError::ClientIdMalformed);
        }
        let key = self.keys.show(&new.key).await?;
        if key.purpose != Purpose::Client || key.public_key.is_none() {
            return Err(ClientError::WrongKey);
        }
        if key.owner != new.owner {
            return Err(ClientError::OthersKey);
        }
        if !self.environments.contains_key(&key.environment) {
            return Err(ClientError::UnknownEnvironment(key.environment));
        }
        let client = Client {
            id: ClientId::new(),
            name: new.name.clone(),
            owner: new.owner.clone(),
            environment: key.environment.clone(),
            client_id: new.client_id.clone(),
            kid: self.kid(key.id).await?,
            key,
            created_at: self.clock.now(),
            stated: Version::default(),
        };
        records::insert(&client, change)
            .await
            .map_err(|e| match e.constraint() {
                Some("clients_name_is_unique") => ClientError::NameTaken,
                Some("clients_client_id_is_unique") => ClientError::ClientIdTaken,
                Some("clients_key_is_of_their_owner") => ClientError::OthersKey,
                _ => e.into(),
            })?;
        let details = serde_json::json!({
            "name": new.name, "owner": new.owner, "environment": client.environment,
            "client_id": new.client_id, "key": client.key.id,
        });
        change.note_as(approval, "create-client", client.id, &details);
        Ok(client)
    }
}

/// Where one literal `kid` of the configuration would have to name several keys, in words.
pub async fn ambiguous_kids(
    environments: &BTreeMap<Name, Environment>,
    ledger: &Ledger,
) -> Result<Vec<String>, LedgerError> {
    let mut keys: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
    for (environment, key) in records::without_kid(ledger).await? {
        keys.entry(environment).or_default().push(key);
    }
    let ambiguous = keys.into_iter().filter_map(|(name, keys)| {
        let Kid::Literal(kid) = &environments.get(&name)?.kid else {
            return None;
        };
        let list: Vec<_> = keys.iter().map(Name::as_str).collect();
        (list.len() > 1).then(|| {
            let list = list.join(" and ");
            format!("kid = {kid:?} of the environment {name} would name {list}")
        })
    });
    Ok(ambiguous.collect())
}
