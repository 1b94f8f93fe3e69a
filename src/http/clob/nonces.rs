//! `/v1/nonces`: which nonce made which API key; declared nonces, and searches.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::credentials::{sees, wish};
use crate::app::App;
use crate::callers::{Caller, Names};
use crate::clob::api_keys::search::Search;
use crate::clob::api_keys::{DeclaredNonces, NewSearch, NonceFilter};
use crate::clob::wallets::Wallet;
use crate::credentials::{self, Account, CredentialNonce, LoginEntry, NonceEntry};
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::page::Paged;
use crate::http::problem::{self, Problem};
use crate::http::query;
use crate::http::write::Write;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::Action;

/// A nonce, and what became of it.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct NonceView {
    #[schema(value_type = String)]
    nonce: CredentialNonce,
    address: String,
    #[serde(rename = "chainId")]
    chain_id: u64,
    /// Wallets of that address that you may see.
    wallets: Vec<String>,
    /// `signed`, `declared` or `searched`.
    origin: String,
    #[serde(with = "time::serde::rfc3339")]
    recorded_at: OffsetDateTime,
    /// The caller's id.
    recorded_by: String,
    /// Their name.
    recorded_by_name: String,
    /// `made`: there is an API key. `open`: a login's outcome is not known. `nothing`: it made none.
    /// `unknown`: it was never tried here.
    outcome: &'static str,
    /// What it made.
    #[serde(rename = "apiKey")]
    api_key: Option<String>,
    /// The API key's state.
    state: Option<credentials::State>,
    /// The last 50 logins signed with it, oldest first.
    logins: Vec<LoginView>,
}

/// A login that was signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LoginView {
    /// The signature's id.
    id: String,
    wallet: Option<String>,
    /// The caller's id.
    caller: String,
    /// Their name.
    caller_name: String,
    /// `create`, `derive`, or `header` where it was handed to the caller.
    purpose: String,
    /// The timestamp in it, unix seconds.
    timestamp: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// `released`, `refused` or `abandoned`; null while it is being worked on.
    signature: Option<String>,
    /// `made`, `refused`, `nothing`; null while it is not known.
    outcome: Option<String>,
}

/// Which nonces; everything that is given has to fit.
#[derive(serde::Serialize, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NonceQuery {
    /// A wallet's name: nonces of its address.
    #[param(value_type = Option<String>)]
    wallet: Option<Name>,
    /// The nonce.
    nonce: Option<String>,
    /// The API key that it made.
    #[serde(rename = "apiKey")]
    #[param(rename = "apiKey")]
    api_key: Option<String>,
    /// Recorded then or later, RFC 3339.
    from: Option<String>,
    /// Recorded before, RFC 3339.
    until: Option<String>,
    /// How many at most, 1 to 1,000; 200 unless it is said.
    limit: Option<u16>,
    /// Those that come after this one: its chain, address and nonce, with dashes between them. The answer's `Link`
    /// header has the next page's.
    after: Option<String>,
}

/// How many nonces are answered at once unless it is said.
const AT_ONCE: u16 = 200;

/// A nonce as the link to what comes after it has it.
fn place(account: &Account, nonce: CredentialNonce) -> String {
    format!("{}-{}-{nonce}", account.chain_id, account.address)
}

fn after(text: &str) -> Result<(Account, CredentialNonce), Problem> {
    let read = || {
        let mut parts = text.splitn(3, '-');
        let chain_id = parts.next()?.parse().ok()?;
        let address = parts.next()?.parse().ok()?;
        let account = Account { chain_id, address };
        Some((account, parts.next()?.parse().ok()?))
    };
    read().ok_or_else(|| query::wrong("after", "what the link to the next page says"))
}

/// What became of a declaration.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct NewNonces {
    /// How many were not on record yet.
    new: usize,
}

/// How far a search goes on.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SearchStep {
    /// How many nonces to try, 1 to 50.
    #[schema(minimum = 1, maximum = 50, default = 10)]
    count: u32,
}

impl Default for SearchStep {
    fn default() -> Self {
        Self { count: 10 }
    }
}

/// A search, and how far it is.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SearchView {
    id: Uuid,
    /// The wallet's name.
    wallet: String,
    #[schema(value_type = String)]
    from: CredentialNonce,
    #[schema(value_type = String)]
    to: CredentialNonce,
    /// The nonce that is tried next; null when all were tried.
    #[schema(value_type = Option<String>)]
    next: Option<CredentialNonce>,
    /// How many of the tried ones had made an API key: /v1/nonces has them.
    found: u32,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    stepped_at: OffsetDateTime,
}

impl SearchView {
    fn of(search: &Search, wallet: &Name) -> Self {
        Self {
            id: search.id,
            wallet: wallet.to_string(),
            from: search.first,
            to: search.last,
            next: search.next,
            found: search.found,
            started_at: search.started_at,
            stepped_at: search.stepped_at,
        }
    }
}

/// Look nonces up
///
/// By wallet, nonce, API key and time; newest first, in pages. A look-up is put on record.
#[utoipa::path(get, path = "/v1/nonces", tag = "nonces",
    params(NonceQuery),
    responses((status = 200, description = "Those that you may see", body = Vec<NonceView>)),
)]
pub(super) async fn find_nonces(
    State(app): State<App>,
    caller: Caller,
    Params(wanted): Params<NonceQuery>,
) -> Result<Paged<NonceView>, Problem> {
    app.count_look_up(&caller, Action::ViewCredentials).await?;
    let time = |field, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|it| query::moment(field, it)).transpose()
    };
    let limit = wanted.limit.unwrap_or(AT_ONCE);
    if !(1..=1000).contains(&limit) {
        return Err(query::wrong("limit", "1 to 1000"));
    }
    let nonce = wanted.nonce.as_ref().map(|text| text.parse());
    let filter = NonceFilter {
        accounts: Vec::new(),
        nonce: nonce
            .transpose()
            .map_err(|error: credentials::NotANonce| query::wrong("nonce", &error.to_string()))?,
        api_key: wanted.api_key.as_deref().map(api_key).transpose()?,
        from: time("from", &wanted.from)?,
        until: time("until", &wanted.until)?,
        after: wanted.after.as_deref().map(after).transpose()?,
        limit: i64::from(limit) + 1, // one more tells whether that is all
    };
    let mut seen = app.wallets.list().await?;
    seen.retain(|it| sees(&app, &caller, Action::ViewCredentials, it));
    if let Some(name) = &wanted.wallet {
        let meant = seen.iter().find(|it| it.name == *name);
        let account = meant.ok_or_else(|| Problem::not_found("wallet"))?.account();
        seen.retain(|it| it.account() == account);
    }
    // Whoever sees no wallet has looked at nothing.
    let Some(one) = seen.first() else {
        return Ok(Paged::going_on(Vec::new(), None));
    };
    let permit = app.ask(&caller, Action::ViewCredentials, &one.resource())?;
    let mut accounts: Vec<_> = seen.iter().map(Wallet::account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    if accounts.is_empty() {
        return Ok(Paged::going_on(Vec::new(), None)); // there is nothing to look into, and nothing to put on record
    }
    let filter = NonceFilter { accounts, ..filter };
    let rfc3339 = |at: Option<OffsetDateTime>| {
        at.and_then(|it| {
            it.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
    };
    let details = json!({
        "wallet": wanted.wallet, "nonce": filter.nonce, "apiKey": filter.api_key,
        "from": rfc3339(filter.from), "until": rfc3339(filter.until), "after": wanted.after,
    });
    let mut found = app.api_keys.nonces(&permit, &filter, &details).await?;
    let is_longer = found.len() > usize::from(limit);
    found.truncate(limit.into());
    let last = found.last().filter(|_| is_longer);
    let next = last.map(|it| query::next("/v1/nonces", &wanted, place(&it.account, it.nonce)));
    let mut ids: Vec<_> = found.iter().map(|it| it.recorded_by).collect();
    for login in found.iter().flat_map(|it| &it.logins) {
        ids.push(login.caller);
    }
    let names = app.callers.names(ids).await?;
    let views = found.into_iter().map(|it| view(it, &seen, &names));
    Ok(Paged::going_on(views.collect(), next))
}

/// An API key's id, as it goes on record: at the CLOB it is a UUID, and this is longer than any.
fn api_key(text: &str) -> Result<String, Problem> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let detail = "apiKey: an API key's id has 1 to 64 letters, digits and signs";
    Err(Problem::new(&problem::MALFORMED_QUERY, detail))
}

fn view(entry: NonceEntry, wallets: &[Wallet], names: &Names) -> NonceView {
    let open = |login: &LoginEntry| {
        let never_left = matches!(login.signature.as_deref(), Some("refused" | "abandoned"));
        login.outcome.is_none() && login.purpose != "derive" && !never_left
    };
    let outcome = if entry.made.is_some() {
        "made"
    } else if entry.logins.iter().any(open) {
        "open"
    } else if entry.logins.is_empty() {
        "unknown"
    } else {
        "nothing"
    };
    let (api_key, state) = entry.made.unzip();
    let name = |login: &LoginEntry| {
        let wallet = wallets.iter().find(|it| it.id == login.wallet);
        wallet.map(|it| it.name.to_string())
    };
    NonceView {
        nonce: entry.nonce,
        address: entry.account.address.to_string(),
        chain_id: entry.account.chain_id,
        wallets: wallets
            .iter()
            .filter(|it| it.account() == entry.account)
            .map(|it| it.name.to_string())
            .collect(),
        origin: entry.origin,
        recorded_at: entry.recorded_at,
        recorded_by: entry.recorded_by.to_string(),
        recorded_by_name: names.of(entry.recorded_by),
        outcome,
        api_key,
        state,
        logins: entry
            .logins
            .into_iter()
            .map(|login| LoginView {
                id: login.intent.to_string(),
                wallet: name(&login),
                caller: login.caller.to_string(),
                caller_name: names.of(login.caller),
                purpose: login.purpose,
                timestamp: login.signed_for,
                at: login.at,
                signature: login.signature,
                outcome: login.outcome,
            })
            .collect(),
    }
}

/// Declare nonces
///
/// For API keys that were made elsewhere and whose nonces are known: they come on record, and can be
/// derived.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/nonces", tag = "nonces",
    request_body = DeclaredNonces,
    responses((status = 201, description = "What was new", body = NewNonces)),
)]
pub(super) async fn declare_nonces(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(declared, request): Body<DeclaredNonces>,
) -> Result<Response, Problem> {
    let wish = wish(&app, &caller, &name, Action::RecoverCredentials, request).await?;
    if !(1..=1_000).contains(&declared.nonces.len()) {
        let detail = "nonces: 1 to 1,000 of them";
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&wish.permit, Gate::Shared, async |change| {
            let new = app
                .api_keys
                .declare(&wish, &declared.nonces, change)
                .await?;
            Ok(NewNonces { new })
        })
        .await
}

/// Begin a search for nonces
///
/// For API keys of which nobody has the nonce. Nothing is tried yet: each step tries some.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/nonce-searches", tag = "nonces",
    request_body = NewSearch,
    responses((status = 201, description = "The search", body = SearchView)),
)]
pub(super) async fn begin_search(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewSearch>,
) -> Result<Response, Problem> {
    let wish = wish(&app, &caller, &name, Action::RecoverCredentials, request).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&wish.permit, Gate::Shared, async |change| {
            let search = app
                .api_keys
                .begin_search(&wish, new.from, new.to, change)
                .await?;
            Ok(SearchView::of(&search, &wish.wallet.name))
        })
        .await
}

/// Show a search
#[utoipa::path(get, path = "/v1/nonce-searches/{search}", tag = "nonces",
    responses((status = 200, description = "The search", body = SearchView)),
)]
pub(super) async fn show_search(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SearchView>, Problem> {
    let (search, wallet) = find(&app, &caller, &id).await?;
    Ok(Json(SearchView::of(&search, &wallet)))
}

/// Go on with a search
///
/// Tries the next nonces at the CLOB, some ten a second. What stops it is answered as a problem; what
/// was tried stays tried.
#[utoipa::path(post, path = "/v1/nonce-searches/{search}/steps", tag = "nonces",
    request_body = SearchStep,
    responses((status = 200, description = "The search", body = SearchView)),
)]
pub(super) async fn step_search(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(step, request): Body<SearchStep>,
) -> Result<Json<SearchView>, Problem> {
    let (search, wallet) = find(&app, &caller, &id).await?;
    let wish = wish(&app, &caller, &wallet, Action::RecoverCredentials, request).await?;
    if !(1..=50).contains(&step.count) {
        return Err(Problem::new(&problem::INVALID_FIELD, "count: 1 to 50"));
    }
    let search = app
        .api_keys
        .step_search(&wish, search.id, step.count)
        .await?;
    Ok(Json(SearchView::of(&search, &wallet)))
}

/// A search of a wallet whose credentials the caller may see.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<(Search, Name), Problem> {
    let missing = || Problem::not_found("search");
    let search = app
        .api_keys
        .search(id.parse().map_err(|_| missing())?)
        .await?;
    let wallet = app
        .wallets
        .by_id(search.wallet)
        .await?
        .ok_or_else(missing)?;
    if sees(app, caller, Action::ViewCredentials, &wallet) {
        Ok((search, wallet.name))
    } else {
        Err(missing())
    }
}
