//! `GET /v1/rotations/due`: what ends when, and what to type.

use axum::Json;
use axum::extract::State;
use time::{Duration, OffsetDateTime};

use super::body::Params;
use super::problem::{self, Problem};
use crate::app::App;
use crate::callers::{Caller, Entry, break_glass};
use crate::clob::session_keys::SessionKey;
use crate::clob::wallets::Wallet;
use crate::credentials::Account;
use crate::cryptoperiods::{CredentialAge, Period, TokenEnd};
use crate::keys::{Key, KeyState, Purpose};
use crate::policy::{Action, Resource};

/// How far ahead to look.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Ahead {
    /// Days from now, 90 unless it is said; at most 4,000.
    #[serde(default = "default_days")]
    within_days: u16,
}

fn default_days() -> u16 {
    90
}

/// What kind of thing ends.
#[derive(Clone, Copy, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DueKind {
    /// A key's cryptoperiod: nothing is signed after it.
    Key,
    /// An API key of the CLOB, due to be replaced.
    Credential,
    /// A caller's token.
    Token,
    /// A session key of a deposit wallet: it trades until then.
    SessionKey,
    /// A caller that a break-glass made, until it is revoked.
    BreakGlass,
}

/// Something that ends, or is due to be replaced.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DueView {
    kind: DueKind,
    /// The key's name, the API key, the session key's address, or the caller's name.
    name: String,
    owner: String,
    environment: Option<String>,
    /// The key's state.
    state: Option<KeyState>,
    /// The wallets and clients that depend on it.
    used_by: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    ends_at: OffsetDateTime,
    /// Whole days that are left; negative when it is over.
    days_left: i64,
    /// The last reminder that is on record, as hours before the end.
    reminded: Option<i32>,
    /// What to type next.
    next: String,
}

/// List what is due
///
/// Keys by the end of their cryptoperiod, API keys of the CLOB by their age, session keys and callers' last tokens by
/// their expiry, and callers that a break-glass made: those that you may see, the most urgent first.
#[utoipa::path(get, path = "/v1/rotations/due", tag = "rotations",
    params(Ahead),
    responses((status = 200, description = "What ends within that time, or has ended", body = Vec<DueView>)),
)]
pub(super) async fn list_due(
    State(app): State<App>,
    caller: Caller,
    Params(ahead): Params<Ahead>,
) -> Result<Json<Vec<DueView>>, Problem> {
    if ahead.within_days > 4_000 {
        let detail = "within_days: at most 4000";
        return Err(Problem::new(&problem::MALFORMED_QUERY, detail));
    }
    let within = Duration::days(i64::from(ahead.within_days));
    let mut due = app.cryptoperiods.due(within).await?;
    let may = |action, on: &Resource| app.would(&caller, action, on);
    let now = app.clock.now();

    let keys = app.keys.list().await?;
    let mut views: Vec<DueView> = due
        .keys
        .iter()
        .filter_map(|period| Some((keys.iter().find(|key| key.id == period.key)?, period)))
        .filter(|(key, _)| may(Action::View, &key.resource()))
        .map(|(key, period)| of_key(key, period, now))
        .collect();
    if !due.credentials.is_empty() {
        let wallets = app.wallets.list().await?;
        let seen = due.credentials.iter().filter_map(|it| {
            let account = Account {
                chain_id: it.chain_id,
                address: it.address,
            };
            let of_account = |wallet: &&Wallet| {
                wallet.account() == account && may(Action::ViewCredentials, &wallet.resource())
            };
            Some((wallets.iter().find(of_account)?, it))
        });
        views.extend(seen.map(|(wallet, it)| of_credential(wallet, it, now)));
    }
    if !due.session_keys.is_empty() {
        let wallets = app.wallets.list().await?;
        let seen = due.session_keys.iter().filter_map(|it| {
            let of_it =
                |wallet: &&Wallet| is_of(wallet, it) && may(Action::View, &wallet.resource());
            let mut of_account = wallets.iter().filter(of_it);
            of_account
                .next()
                .map(|wallet| of_session_key(wallet, it, now))
        });
        views.extend(seen.flatten());
    }
    if may(Action::ViewCallers, &Resource::service()) {
        let broken = app.administrators.broken().await?;
        views.extend(broken.into_iter().map(|it| of_break_glass(it, now)));
        let last = app.administrators.list().await?.into_iter().next();
        let used_by = |caller: &str| {
            let is_last = last.as_ref().is_some_and(|it| it.name.as_str() == caller);
            let manages = "nobody else can manage callers after it".to_owned();
            is_last.then_some(manages).into_iter().collect()
        };
        let is_broken = |it: &TokenEnd| views.iter().any(|view| view.is_break_glass(&it.caller));
        due.tokens.retain(|it| !is_broken(it));
        views.extend(due.tokens.into_iter().map(|it| DueView {
            kind: DueKind::Token,
            used_by: used_by(&it.caller),
            next: format!("chancery callers token {}", it.caller),
            name: it.caller,
            owner: it.owner,
            environment: None,
            state: None,
            ends_at: it.ends_at,
            days_left: (it.ends_at - now).whole_days(),
            reminded: None,
        }));
    }
    views.sort_by_key(|view| view.ends_at);
    Ok(Json(views))
}

impl DueView {
    fn is_break_glass(&self, caller: &str) -> bool {
        matches!(self.kind, DueKind::BreakGlass) && self.name == caller
    }
}

/// A caller that has had its hour, or has it, and is there until somebody has looked into it.
fn of_break_glass(caller: Entry, now: OffsetDateTime) -> DueView {
    let ends_at = caller.created_at + break_glass::LIFE;
    DueView {
        kind: DueKind::BreakGlass,
        next: format!("chancery callers revoke {}", caller.name),
        name: caller.name,
        owner: caller.owner,
        environment: None,
        state: None,
        used_by: Vec::new(),
        ends_at,
        days_left: (ends_at - now).whole_days(),
        reminded: None,
    }
}

fn of_key(key: &Key, period: &Period, now: OffsetDateTime) -> DueView {
    let name = &key.name;
    let used = |kind: &str| {
        let mut names = period.used_by.iter();
        names.find_map(|it| it.strip_prefix(kind)?.strip_prefix(' '))
    };
    let next = match (key.state, used("client"), used("wallet")) {
        (KeyState::PreActivation, None, None) => {
            format!("chancery keys destroy {name} --reason …")
        }
        (_, Some(client), _) => {
            format!("chancery rotations open --client {client} --new-key … --target … --reason …")
        }
        (_, _, Some(wallet)) => {
            format!("chancery rotations open --wallet {wallet} --new-key … --target … --reason …")
        }
        _ => match key.purpose {
            Purpose::Wallet | Purpose::Client | Purpose::Checkpoint => {
                format!("chancery keys step {name} deactivated --reason …")
            }
        },
    };
    DueView {
        kind: DueKind::Key,
        name: name.to_string(),
        owner: key.owner.to_string(),
        environment: Some(key.environment.to_string()),
        state: Some(key.state),
        used_by: period.used_by.clone(),
        ends_at: period.ends_at,
        days_left: (period.ends_at - now).whole_days(),
        reminded: period.reminded,
        next,
    }
}

/// Whether a wallet is the session key's, by its owner's key.
fn is_of(wallet: &Wallet, it: &SessionKey) -> bool {
    let profile = &wallet.profile;
    profile.chain().id() == it.chain_id && profile.maker() == it.wallet && !profile.session_key()
}

fn of_session_key(wallet: &Wallet, it: &SessionKey, now: OffsetDateTime) -> Option<DueView> {
    let ends_at = it.valid_until?;
    Some(DueView {
        kind: DueKind::SessionKey,
        name: it.signer.to_string(),
        owner: wallet.owner.to_string(),
        environment: Some(wallet.key.environment.to_string()),
        state: None,
        used_by: vec![format!("wallet {}", wallet.name)],
        ends_at,
        days_left: (ends_at - now).whole_days(),
        reminded: None,
        next: format!("chancery wallets session-keys {}", wallet.name),
    })
}

fn of_credential(wallet: &Wallet, credential: &CredentialAge, now: OffsetDateTime) -> DueView {
    let CredentialAge {
        api_key, ends_at, ..
    } = credential;
    DueView {
        kind: DueKind::Credential,
        name: api_key.clone(),
        owner: wallet.owner.to_string(),
        environment: Some(wallet.key.environment.to_string()),
        state: None,
        used_by: vec![format!("wallet {}", wallet.name)],
        ends_at: *ends_at,
        days_left: (*ends_at - now).whole_days(),
        reminded: None,
        next: format!(
            "chancery credentials create --wallet {} --nonce … --replaces {api_key}",
            wallet.name
        ),
    }
}
