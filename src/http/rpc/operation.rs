//! Wallet operations that a client's library put together: `CreateProxy`, `Batch` and `eth_signTransaction`.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::accounts::{DEADLINE, is_account_of, visible};
use super::error::RpcError;
use super::message::Call;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::operation::OperationDraft;
use crate::clob::typed_data::operation::TypedOperation;
use crate::clob::wallets::Wallet;
use crate::ethereum::Address;
use crate::http::clob::operations::paid_by;
use crate::http::clob::wallets::once_more;
use crate::http::problem::{self, Problem, Replaced};
use crate::http::signatures;
use crate::id::IntentId;
use crate::idempotency::RequestDigest;
use crate::operations::{NotClaimed, Step, records};
use crate::policy::Action;
use crate::recipients::Payee;
use crate::signing::signatures::By;
use crate::signing::{Held, SigningError, SigningRequest};

/// `eth_signTransaction`: the raw transaction.
pub(super) async fn transaction(
    app: &App,
    caller: &Caller,
    call: &Call,
    held: Held,
) -> Result<(Value, Instant), RpcError> {
    let [transaction] = call.list("a list of one is wanted: the transaction")?;
    let (account, operation) = TypedOperation::transaction(transaction).map_err(Problem::from)?;
    let all = app.accounts.fresh().await.map_err(Problem::from)?;
    let found = choose(
        app,
        caller,
        &operation,
        &visible(app, caller, account, &all),
    );
    let found = found.inspect_err(|_| note_hidden(app, caller, account, &all))?;
    let digest = RequestDigest::of("POST", super::PATH, &serde_json::json!(call.params));
    let asked = SigningRequest {
        digest,
        idempotency: None,
        deadline: Some(DEADLINE),
        held,
    };
    sign(app, caller, found, &operation, asked).await
}

fn note_hidden(app: &App, caller: &Caller, account: Address, all: &[Wallet]) {
    let hidden = all.iter().find(|it| it.profile.key_address() == account);
    if let Some(hidden) = hidden
        && visible(app, caller, account, all).is_empty()
    {
        drop(
            app.rights
                .could(caller, Action::SetUpTrading, &hidden.resource()),
        );
    }
}

/// The wallet that an operation is of, among those of the account that the caller knows of.
pub(super) fn choose(
    app: &App,
    caller: &Caller,
    operation: &TypedOperation,
    wallets: &[&Wallet],
) -> Result<Wallet, Problem> {
    let fits = |wallet: &&&Wallet| operation.fits(&wallet.profile).is_ok();
    let fitting = || wallets.iter().filter(fits);
    let may = |wallet: &&&Wallet| is_account_of(app, caller, wallet);
    if let Some(wallet) = fitting().find(may).or_else(|| fitting().next()) {
        return Ok((**wallet).clone());
    }
    let why = wallets.first().and_then(|wallet| {
        let why = operation.fits(&wallet.profile).err()?;
        let detail = format!("{why} (wallet {})", wallet.name);
        Some(Problem::new(&problem::TYPED_DATA_REFUSED, detail))
    });
    Err(why.unwrap_or_else(|| Problem::not_found("account")))
}

/// Signs an operation that was put together elsewhere, under the same rules and rights as one by name.
pub(super) async fn sign(
    app: &App,
    caller: &Caller,
    wallet: Wallet,
    operation: &TypedOperation,
    asked: SigningRequest,
) -> Result<(Value, Instant), RpcError> {
    let wallet = Arc::new(wallet);
    let sign = async |wallet: &Arc<Wallet>| -> Result<_, Problem> {
        let draft = draft(app, wallet, operation).await?;
        let draft = Box::new(draft.typed());
        Ok(app.signer.sign(caller, draft, asked.clone()).await)
    };
    let done = match sign(&wallet).await? {
        Ok(done) => done,
        Err(SigningError::Operation(NotClaimed::Taken { by, nonce })) => {
            let earlier = earlier(app, caller, &wallet, (operation, by)).await?;
            let taken = NotClaimed::Taken { by, nonce };
            return earlier.ok_or_else(|| Problem::from(taken).into());
        }
        Err(error @ SigningError::Operation(_)) => return Err(Problem::from(error).into()),
        Err(error) => {
            let now = once_more(app, &wallet, error).await?;
            let done = sign(&now).await?;
            done.map_err(|error| Problem::of_wallet(error, Replaced::is(&now).as_ref()))?
        }
    };
    let signature = serde_json::from_slice(&done.body).expect("an answer is JSON");
    Ok((signature, done.since))
}

/// What was signed before, where a library asks for the very same again, as it does at every start: it has no
/// idempotency key. Whoever may have it signed may have it told again.
async fn earlier(
    app: &App,
    caller: &Caller,
    wallet: &Wallet,
    (operation, by): (&TypedOperation, IntentId),
) -> Result<Option<(Value, Instant)>, Problem> {
    let since = Instant::now();
    let now_s = app.clock.unix_ms().div_euclid(1000);
    let plan = operation.plan(&wallet.profile, now_s)?;
    let found = signatures::visible(app, caller, &By::Id(by)).await?;
    let Some((entry, _)) = found.into_iter().next() else {
        return Ok(None);
    };
    let is_told = entry.withheld.is_none() && entry.digest == plan.digest();
    let answer = entry.answer.filter(|_| is_told);
    let answer = answer.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    Ok(answer.and_then(|answer| {
        let text = match &answer {
            Value::String(_) => answer,
            issued if issued.get("rawTransaction").is_some() => issued["rawTransaction"].clone(),
            issued => issued["signature"].clone(),
        };
        // A session key's comes in its envelope, which a library puts around it by itself.
        (!plan.account().is_session_key).then_some((text, since))
    }))
}

async fn draft(
    app: &App,
    wallet: &Arc<Wallet>,
    operation: &TypedOperation,
) -> Result<OperationDraft, Problem> {
    let now_s = app.clock.unix_ms().div_euclid(1000);
    let plan = operation.plan(&wallet.profile, now_s)?;
    if plan
        .steps()
        .iter()
        .any(|it| matches!(it, Step::AuthorizeSession { .. }))
    {
        let why = "session keys are authorized by name: POST /v1/wallets/{wallet}/operations";
        return Err(Problem::new(&problem::CALL_REFUSED, why));
    }
    let first = plan.recipients().next();
    let paid = first.map(|address| paid_by(app, wallet, Payee::At(address)));
    let paid = paid.transpose()?;
    let place = wallet.profile.account().place;
    let left = records::left(place.chain_id, place.wallet, &app.ledger).await?;
    Ok(OperationDraft::new(wallet.clone(), plan, paid, left, None)?)
}
