//! `GET /v1/audit/events`: what is in the log, by filters.

use axum::extract::State;
use ruint::aliases::U256;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Party, look_up, moment, wrong};
use crate::app::App;
use crate::audit::leaf::Event;
use crate::callers::Caller;
use crate::clock;
use crate::http::body::Params;
use crate::http::page::Paged;
use crate::http::problem::Problem;
use crate::http::query;
use crate::id::CallerId;
use crate::idempotency::Key;
use crate::lookups::{Entry, Names, Page, Query, RecordKind, Term};
use crate::name::Name;
use crate::signing::signatures::By;

/// What is looked for: all that is given has to fit.
#[derive(serde::Serialize, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// `signature`, of which `order`, `assertion` and `clob-auth`; `token`, `refusal`, `dry-run`; `change`, of which
    /// `approval`, `credential`, `rotation` and `look-up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Who asked for it or did it, by name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    /// With which of their credentials it was asked for, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Uuid>,
    /// With which key it was signed, or which key was changed, by name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The same of a wallet.
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    /// The same of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// Whatever else was changed, by its id: a caller, a person, a proposal, a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<Uuid>,
    /// Orders of a market, by the token id.
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<String>,
    /// Changes of this name: `create-key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Then or later, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Before, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// One signature, by the id of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Uuid>,
    /// Of one signature, by what the key signed: 0x and 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Of one signature, by the order's hash at the venue.
    #[serde(rename = "orderHash", skip_serializing_if = "Option::is_none")]
    #[param(rename = "orderHash")]
    order_hash: Option<String>,
    /// Of one signature, by the `jti` of an assertion.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
    /// Of signatures, by the idempotency key of `caller`, of one request or of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// Logins of `wallet` with this nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    /// How many at most, 1 to 500; 50 unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u16>,
    /// Those that come after the one with this index, which are older. The answer's `Link` header has the next page's.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

/// Something that is in the log.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct EventView {
    /// Its place in the tree, from 0.
    index: u64,
    /// When, by the clock of who wrote it.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// As leaves have it: `intent`, `refused`, `abandoned`, `denied`, `admin`, `token`, ….
    kind: &'static str,
    /// The operation that was to be signed, the action that was denied, or the name of the change.
    what: String,
    /// Who asked for it or did it.
    by: Option<Party>,
    /// The wallet, the client, or what was changed.
    on: Option<Party>,
    key: Option<Party>,
    /// The signature's id.
    signature: Option<Uuid>,
    /// The token id of an order.
    market: Option<String>,
    /// `released`, `refused` or `abandoned`; null while it is worked on, and where nothing was to be signed.
    outcome: Option<String>,
    /// Why it was refused or abandoned.
    reason: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    /// The order's hash at the venue, once released.
    #[serde(rename = "orderHash")]
    order_hash: Option<String>,
    /// The leaf as people read it.
    #[schema(value_type = Object)]
    event: Value,
}

/// Find events
///
/// What was signed, handed out, refused and changed, by any of the filters, the newest first. A release is shown with
/// what it released. That somebody looked is on record.
#[utoipa::path(get, path = "/v1/audit/events", tag = "audit",
    params(Search),
    responses((status = 200, description = "What was found", body = Vec<EventView>)),
)]
pub(super) async fn find_events(
    State(app): State<App>,
    caller: Caller,
    Params(search): Params<Search>,
) -> Result<Paged<EventView>, Problem> {
    let asked = serde_json::to_value(&search).unwrap_or_default();
    look_up(&app, &caller, &asked).await?;
    let query = search.query(&app).await?;
    let page = match search.marked(&app, &caller).await? {
        Some(ids) => one_by_one(&app, &query, &ids).await?,
        None => app.lookups.find(&query).await?,
    };
    let names = app.lookups.names(&named(&page.entries)).await?;
    let views = page.entries.iter().map(|it| view(it, &names)).collect();
    let next = page.next.map(|next| search.after(next));
    Ok(Paged::going_on(views, next))
}

/// Those of these signatures that fit, on one page.
async fn one_by_one(app: &App, query: &Query, ids: &[Uuid]) -> Result<Page, Problem> {
    let mut entries = app.lookups.signatures(ids).await?;
    entries.retain(|it| query.takes(it));
    Ok(Page {
        entries,
        next: None,
    })
}

impl Search {
    async fn query(&self, app: &App) -> Result<Query, Problem> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=500).contains(&limit) {
            return Err(wrong("limit", "1 to 500"));
        }
        let mut terms = Vec::new();
        if let Some(caller) = &self.caller {
            terms.push(Term::by(id_of(app, "caller", caller).await?));
        }
        for (kind, text) in [
            ("key", &self.key),
            ("wallet", &self.wallet),
            ("client", &self.client),
        ] {
            if let Some(text) = text {
                terms.push(Term::of(id_of(app, kind, text).await?));
            }
        }
        if let Some(market) = &self.market {
            let id = U256::from_str_radix(market, 10);
            let id = id.map_err(|_| wrong("market", "a token id is a decimal number"))?;
            terms.push(Term::market(&id.to_string()));
        }
        if let Some(kind) = &self.kind {
            let kind = kind.parse::<RecordKind>();
            terms.push(Term::kind(
                kind.map_err(|error| wrong("kind", &error.to_string()))?,
            ));
        }
        terms.extend(self.credential.map(Term::of));
        terms.extend(self.on.map(Term::of));
        terms.extend(self.action.as_deref().map(Term::action));
        let from = self.from.as_deref().map(|it| moment("from", it));
        let to = self.until.as_deref().map(|it| moment("until", it));
        Ok(Query {
            terms,
            from: from.transpose()?,
            to: to.transpose()?,
            before: self.after,
            limit: limit.into(),
        })
    }

    /// The signatures with the mark that is asked for, if one is.
    async fn marked(&self, app: &App, caller: &Caller) -> Result<Option<Vec<Uuid>>, Problem> {
        let hash = |field, text: &str| query::hash(text).ok_or_else(|| wrong(field, query::A_HASH));
        let mut marks = Vec::new();
        marks.extend(self.signature.map(|it| By::Id(it.into())));
        marks.extend(self.jti.map(By::Identifier));
        if let Some(digest) = &self.digest {
            marks.push(By::Digest(hash("digest", digest)?));
        }
        if let Some(order_hash) = &self.order_hash {
            marks.push(By::Alias(hash("orderHash", order_hash)?));
        }
        if let Some(key) = &self.idempotency_key {
            let whose = self.caller.as_ref();
            let whose = whose.ok_or_else(|| wrong("idempotency_key", "say of which caller"))?;
            let whose = CallerId::from(id_of(app, "caller", whose).await?);
            let key = Key::try_from(key.as_str());
            let key = key.map_err(|error| wrong("idempotency_key", &error.to_string()))?;
            marks.push(By::IdempotencyKey(whose, key));
        }
        let by = match (marks.pop(), self.nonce) {
            (None, None) => return Ok(None),
            (None, Some(nonce)) => return Ok(Some(self.logins(app, nonce).await?)),
            (Some(by), None) if marks.is_empty() => by,
            _ => {
                let why = "one of them: signature, digest, orderHash, jti, idempotency_key, nonce";
                return Err(wrong("signature", why));
            }
        };
        let found = app.signer.look_up(caller, &by).await?;
        Ok(Some(found.iter().map(|it| it.id.uuid()).collect()))
    }

    async fn logins(&self, app: &App, nonce: u64) -> Result<Vec<Uuid>, Problem> {
        let name = self.wallet.as_ref();
        let name = name.ok_or_else(|| wrong("nonce", "say of which wallet"))?;
        let name: Name = name
            .parse()
            .map_err(|_| wrong("wallet", "a wallet's name"))?;
        let account = app.wallets.show(&name).await?.account();
        let found = app
            .lookups
            .account(account.chain_id, &account.address.0)
            .await?;
        match found {
            Some(account) => Ok(app.lookups.logins(account, nonce).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The way to what is older.
    fn after(&self, index: u64) -> String {
        query::next("/v1/audit/events", self, index)
    }
}

/// What has this name or id.
async fn id_of(app: &App, kind: &str, text: &str) -> Result<Uuid, Problem> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let found = app.lookups.named(kind, text).await?;
    found.ok_or_else(|| Problem::not_found(kind))
}

/// All ids that a page says names of.
fn named(entries: &[Entry]) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for entry in entries {
        if let Some(about) = entry.about() {
            ids.extend([about.caller, about.subject, about.key]);
        }
        match &entry.leaf.event {
            Event::Admin(it) => ids.extend([it.actor, it.subject]),
            Event::Token(it) => ids.extend([it.caller, it.client, it.key]),
            Event::Denied(it) => ids.push(it.caller),
            Event::Denials(it) => ids.push(it.caller),
            Event::DryRun(it) => ids.push(it.caller),
            Event::DryRuns(it) => ids.push(it.caller),
            Event::Intent(_) | Event::Released(_) | Event::Refused(_) | Event::Abandoned(_) => {}
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn view(entry: &Entry, names: &Names) -> EventView {
    let party = |id: Uuid| Some(Party::of(id, names));
    let about = entry.about();
    let ended = entry.ended.as_ref();
    let mut view = EventView {
        index: entry.index,
        at: clock::of_unix_ms(entry.leaf.at_ms).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        kind: entry.leaf.kind(),
        what: about.map_or_else(String::new, |it| it.operation.clone()),
        by: about.and_then(|it| party(it.caller)),
        on: about.and_then(|it| party(it.subject)),
        key: about.and_then(|it| party(it.key)),
        signature: about.map(|it| it.intent),
        market: entry.market(),
        outcome: ended.map(|it| it.outcome.clone()),
        reason: ended.and_then(|it| it.reason.clone()),
        ended_at: ended.map(|it| it.at),
        order_hash: about
            .filter(|it| it.operation == "order")
            .zip(ended.filter(|it| it.outcome == "released"))
            .map(|(it, ended)| {
                ended
                    .order_hash
                    .clone()
                    .unwrap_or_else(|| it.digest.to_vec())
            })
            .map(|hash| format!("0x{}", hex::encode(hash))),
        event: entry.leaf.for_people(),
    };
    match &entry.leaf.event {
        Event::Admin(it) => {
            view.what.clone_from(&it.action);
            (view.by, view.on) = (party(it.actor), party(it.subject));
        }
        Event::Token(it) => {
            "token".clone_into(&mut view.what);
            (view.by, view.on, view.key) = (party(it.caller), party(it.client), party(it.key));
            view.signature = Some(it.fetch);
        }
        Event::Denied(it) => {
            view.what.clone_from(&it.action);
            view.by = party(it.caller);
        }
        Event::DryRun(it) => {
            view.what.clone_from(&it.action);
            view.by = party(it.caller);
        }
        Event::Denials(it) => view.by = party(it.caller),
        Event::DryRuns(it) => view.by = party(it.caller),
        Event::Refused(it) | Event::Abandoned(it) => {
            view.outcome = Some(entry.leaf.kind().to_owned());
            view.reason = Some(it.reason.clone());
            view.ended_at = Some(view.at);
        }
        Event::Intent(_) | Event::Released(_) => {}
    }
    view
}
