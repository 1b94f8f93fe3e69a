//! From an account and typed data to a signature.
//!
//! An account is a key's address. Which of its wallets is meant is in the message: an order names
//! maker, signer and type; a login is one of the address itself.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tracing::Instrument as _;

use super::accounts::{DEADLINE, login_right, may, visible};
use super::error::RpcError;
use super::message::Call;
use super::operation;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::{ApiKeyError, KeyRequest};
use crate::clob::draft::OrderDraft;
use crate::clob::l1::{ClobAuth, IssuedLogin};
use crate::clob::typed_data::{TypedData, TypedDataError, TypedOrder};
use crate::clob::wallets::Wallet;
use crate::credentials::{LoginRefused, Replaces};
use crate::ethereum::Address;
use crate::http::clob::exposure;
use crate::http::clob::wallets::once_more;
use crate::http::problem::{self, Problem, Replaced};
use crate::idempotency::RequestDigest;
use crate::policy::Action;
use crate::signing::{Held, SigningError, SigningRequest};

/// How far a login's timestamp may be from now, in seconds. One that lies ahead could be spent when
/// its holder has no right to it any more.
const LOGIN_SKEW_S: i64 = 120;

/// `eth_signTypedData_v4`.
pub(super) async fn typed_data(
    app: &App,
    caller: &Caller,
    call: &Call,
    held: Held,
) -> Result<(Value, Instant), RpcError> {
    let wrong = |why: &str| Problem::new(&problem::INVALID_FIELD, format!("params: {why}"));
    let [account, data] = call.list("a list of two is wanted: the address, and the typed data")?;
    let account: Address = serde_json::from_str(account.get())
        .map_err(|error| wrong(&format!("the first is the account's address: {error}")))?;
    let data = TypedData::read(data).map_err(Problem::from)?;

    let mut all = app.accounts.recent().await.map_err(Problem::from)?;
    let mut found = choose(app, caller, account, &data, &all);
    if found.is_err() {
        // It may have been made a moment ago.
        all = app.accounts.fresh().await.map_err(Problem::from)?;
        found = choose(app, caller, account, &data, &all);
    }
    let found = found.inspect_err(|_| note_hidden(app, caller, account, &data, &all))?;
    let digest = RequestDigest::of("POST", super::PATH, &json!(call.params));
    let asked = SigningRequest {
        digest,
        idempotency: None,
        deadline: Some(DEADLINE),
        held,
    };
    match data {
        TypedData::Order(order) => sign_order(app, caller, found, &order, asked).await,
        TypedData::Operation(operation) => {
            operation::sign(app, caller, found, &operation, asked).await
        }
        TypedData::Login(login) => {
            let wallet = app.wallets.now(&found).await.map_err(Problem::from)?;
            let wallet = Wallet::clone(&wallet);
            log_in(app, caller, wallet, &login, &all, digest).await
        }
    }
}

async fn sign_order(
    app: &App,
    caller: &Caller,
    wallet: Wallet,
    order: &TypedOrder,
    asked: SigningRequest,
) -> Result<(Value, Instant), RpcError> {
    let now_s = app.clock.unix_ms().div_euclid(1000);
    let order = order.order(&wallet.profile, now_s).map_err(Problem::from)?;
    let sign = async |wallet: &Arc<Wallet>| {
        let (wallet, order) = (wallet.clone(), order.clone());
        let mut draft = OrderDraft::new(wallet, order);
        let limits = app.limits.book()?;
        draft
            .look_at_book(caller.id, &limits, &app.markets, &app.clock)
            .await;
        let draft = Box::new(draft.typed());
        app.signer.sign(caller, draft, asked.clone()).await
    };
    let wallet = Arc::new(wallet);
    let done = match sign(&wallet).await {
        Ok(done) => done,
        Err(error) => {
            exposure::see_to(app, caller, &wallet, asked.digest, &error);
            let now = once_more(app, &wallet, error).await?;
            let done = sign(&now).await;
            done.map_err(|error| Problem::of_wallet(error, Replaced::is(&now).as_ref()))?
        }
    };
    let signature = serde_json::from_slice(&done.body).expect("an answer is JSON");
    Ok((signature, done.since))
}

/// The wallet that is meant, among those of the account that the caller knows of.
fn choose(
    app: &App,
    caller: &Caller,
    account: Address,
    data: &TypedData,
    all: &[Wallet],
) -> Result<Wallet, Problem> {
    let of_account = visible(app, caller, account, all);
    if of_account.is_empty() {
        return Err(Problem::not_found("account"));
    }
    match data {
        TypedData::Order(order) => choose_for_order(app, caller, order, &of_account),
        TypedData::Login(login) => choose_for_login(app, caller, account, login, &of_account),
        TypedData::Operation(it) => operation::choose(app, caller, it, &of_account),
    }
}

/// Puts on record that a caller asked for an account that there is and that they may not know of.
fn note_hidden(app: &App, caller: &Caller, account: Address, data: &TypedData, all: &[Wallet]) {
    let hidden = all.iter().find(|it| it.profile.key_address() == account);
    if let Some(hidden) = hidden
        && visible(app, caller, account, all).is_empty()
    {
        let action = match data {
            TypedData::Order(_) => Action::SignOrder,
            TypedData::Login(_) => Action::IssueL1Header,
            TypedData::Operation(_) => Action::SetUpTrading,
        };
        drop(app.rights.could(caller, action, &hidden.resource()));
    }
}

fn choose_for_order(
    app: &App,
    caller: &Caller,
    order: &TypedOrder,
    wallets: &[&Wallet],
) -> Result<Wallet, Problem> {
    let fits = |wallet: &&&Wallet| order.fits(&wallet.profile).is_ok();
    let signs = |wallet: &&&Wallet| may(app, caller, Action::SignOrder, wallet);
    let fitting = || wallets.iter().filter(fits);
    if let Some(wallet) = fitting().find(signs).or_else(|| fitting().next()) {
        return Ok((**wallet).clone());
    }
    // What is wrong is said by the wallet that it is most like.
    let alike = |wallet: &&&Wallet| {
        let profile = &wallet.profile;
        let chain = profile.chain() == order.chain();
        let kind = profile.signature_type() == order.signature_type();
        (!chain, !kind)
    };
    let nearest = wallets.iter().min_by_key(alike);
    let why = nearest.and_then(|wallet| {
        let why = order.fits(&wallet.profile).err()?;
        Some(Problem::new(
            &problem::TYPED_DATA_REFUSED,
            format!("{why} (wallet {})", wallet.name),
        ))
    });
    Err(why.unwrap_or_else(|| Problem::not_found("account")))
}

/// A login is of the address, so that any of its wallets on the chain will do: the first, by name, with
/// which the caller may log in.
fn choose_for_login(
    app: &App,
    caller: &Caller,
    account: Address,
    login: &ClobAuth,
    wallets: &[&Wallet],
) -> Result<Wallet, Problem> {
    if login.address != account {
        let why = format!("it is {}, and the account is {account}", login.address);
        let field = "address";
        return Err(TypedDataError::Value { field, why }.into());
    }
    let on_chain = || {
        wallets
            .iter()
            .filter(|wallet| wallet.profile.chain() == login.chain)
    };
    let by = |right| on_chain().find(|wallet| login_right(app, caller, wallet) == Some(right));
    let found = by(Action::IssueL1Header)
        .or_else(|| by(Action::DeriveCredential))
        .or_else(|| on_chain().next());
    found.map(|wallet| (**wallet).clone()).ok_or_else(|| {
        let why = format!("the account has no wallet on chain {}", login.chain.id());
        TypedDataError::Domain(why).into()
    })
}

async fn log_in(
    app: &App,
    caller: &Caller,
    wallet: Wallet,
    login: &ClobAuth,
    all: &[Wallet],
    request: RequestDigest,
) -> Result<(Value, Instant), RpcError> {
    let now_s = app.clock.unix_ms().div_euclid(1000);
    if (login.timestamp - now_s).abs() > LOGIN_SKEW_S {
        let why = format!(
            "{} is more than {LOGIN_SKEW_S} s from {now_s}, the time here: set the clock, or have the client use the server's time",
            login.timestamp
        );
        let field = "timestamp";
        return Err(Problem::from(TypedDataError::Value { field, why }).into());
    }
    // An API key is the address's. It ends for all its wallets, so that all have to allow it.
    let account = wallet.account();
    let mut sharing = all.iter().filter(|it| it.account() == account);
    let replaces = if wallet.allow_replace && sharing.all(|it| it.allow_replace) {
        Replaces::Anything
    } else {
        Replaces::Nothing
    };
    // The right to derive is enough for a nonce that made an API key; the door knows which did.
    let right = login_right(app, caller, &wallet).unwrap_or(Action::IssueL1Header);
    let permit = app.ask(caller, right, &wallet.resource());
    let wish = KeyRequest {
        caller: caller.clone(),
        wallet,
        permit: permit.map_err(Problem::from)?,
        request,
    };
    // Other nonces may have to be settled first, which takes the CLOB's time; the work outlives the wait.
    let (api_keys, nonce, at) = (app.api_keys.clone(), login.nonce, Some(login.timestamp));
    let work = async move { api_keys.hand_out(wish, nonce, at, replaces).await };
    let done = match tokio::time::timeout(DEADLINE, app.tasks.spawn(work.in_current_span())).await {
        Ok(Ok(done)) => done.map_err(refusal)?,
        Ok(Err(_)) => return Err(Problem::from(SigningError::LeaseLost).into()),
        Err(_) => return Err(Problem::from(SigningError::DeadlineExceeded).into()),
    };
    let issued: IssuedLogin = serde_json::from_slice(&done.body).expect("an answer is JSON");
    Ok((json!(issued.signature), done.since))
}

/// What the door said, in the words of somebody who has nothing but a client's settings to change.
fn refusal(error: ApiKeyError) -> Problem {
    match error {
        ApiKeyError::Signing(SigningError::Login(LoginRefused::WouldReplace { api_key })) => {
            Problem::new(
                &problem::WOULD_REPLACE,
                format!(
                    "a new API key would end {api_key}, which may be live: log in with the nonce that made it, or have an operator set allow_replace on the wallet"
                ),
            )
        }
        other => other.into(),
    }
}
