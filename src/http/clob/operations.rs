//! `/v1/wallets/{wallet}/operations`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;

use super::wallets::{once_more, permitted_to_empty};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::operation::{IssuedOperation, OperationDraft, Paid, deployment_stake};
use crate::clob::wallets::Wallet;
use crate::custody::PublicKey;
use crate::http::body::{Body, Named};
use crate::http::caller::{RequiredKey, Waits};
use crate::http::dry_run::{self, Outcome};
use crate::http::problem::{self, Problem, Replaced};
use crate::http::write::Write;
use crate::idempotency::{Key, RequestDigest};
use crate::keys::Purpose;
use crate::ledger::Gate;
use crate::name::Name;
use crate::operations::{
    AccountKind, Names, NotClaimed, Operation, OperationRequest, RelayerRequest, deposit, records,
};
use crate::policy::{Action, Deed};
use crate::recipients::Payee;
use crate::signing::{DryRun, SigningError, SigningRequest};

/// How often it is decided again because something else left the wallet meanwhile.
const AGAIN: u32 = 4;

/// The answer; with `dryRun` what would be signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OperationAnswer {
    Done(IssuedOperation),
    DryRun(DryRun),
}

/// What has a deposit wallet made. Nothing in it is signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Deployment {
    request: RelayerRequest,
}

/// Sign wallet operations
///
/// Deploys, sets up, manages, withdraws: from names and fields the service writes the calls, signs them together, and
/// answers what is sent, decoded and as bytes. There is one live signature for each nonce; withdrawals go to registered
/// recipients; `GET /v1/catalogue/operations` says what there is. `dryRun` as with an order.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/operations", tag = "operations",
    request_body = OperationRequest,
    responses(
        (status = 200, description = "What is sent", body = OperationAnswer),
        (status = 201, description = "What has a deposit wallet made", body = Deployment),
    ),
)]
pub(super) async fn sign_operations(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    waits: Waits,
    Body(wish, digest): Body<OperationRequest>,
) -> Result<Response, Problem> {
    let asked = OperationToSign {
        wish,
        key,
        digest,
        waits,
        since: Instant::now(),
    };
    let action = asked.first_action()?;
    let wallet = permitted_to_empty(&app, &caller, action, &name).await?;
    let is_deposit = wallet.profile.account().kind == AccountKind::Deposit;
    if is_deposit && asked.wish.is_deployment() {
        return asked.deploy(&app, &caller, &wallet).await;
    }
    let error = match asked.try_with(&app, &caller, &wallet).await? {
        Ok(done) => return Ok(done.answer()),
        Err(error) => error,
    };
    let now = once_more(&app, &wallet, error).await?;
    let done = asked.try_with(&app, &caller, &now).await?;
    done.map(Outcome::answer)
        .map_err(|error| Problem::of_wallet(error, Replaced::is(&now).as_ref()))
}

struct OperationToSign {
    wish: OperationRequest,
    key: Key,
    digest: RequestDigest,
    waits: Waits,
    since: Instant,
}

impl OperationToSign {
    /// The right that the first of them takes, before it is known what the rest does.
    fn first_action(&self) -> Result<Action, Problem> {
        let none = || {
            Problem::new(
                &problem::INVALID_FIELD,
                "operations: at least one is wanted",
            )
        };
        Ok(match self.wish.operations.first().ok_or_else(none)? {
            Operation::Deploy => Action::DeployWallet,
            Operation::SetUpTrading { .. }
            | Operation::ApproveCollateral { .. }
            | Operation::ApprovePositions { .. }
            | Operation::UnpauseTrading { .. } => Action::SetUpTrading,
            Operation::RevokeAll
            | Operation::RevokeCollateral { .. }
            | Operation::RevokePositions { .. }
            | Operation::RevokeSessionKey { .. }
            | Operation::EmergencyRevokeCollateral { .. } => Action::RevokeAllowances,
            Operation::Split { .. }
            | Operation::Merge { .. }
            | Operation::Redeem { .. }
            | Operation::RedeemLegacy { .. }
            | Operation::Convert { .. }
            | Operation::SplitV3 { .. }
            | Operation::MergeV3 { .. }
            | Operation::RedeemV3 { .. } => Action::ManagePositions,
            Operation::Wrap { .. } | Operation::Unwrap { .. } => Action::ConvertCollateral,
            Operation::WithdrawCollateral { .. }
            | Operation::WithdrawPositions { .. }
            | Operation::WithdrawNative { .. } => Action::Withdraw,
            Operation::PauseTrading { .. } | Operation::CancelNonce => Action::PauseTrading,
            Operation::AuthorizeSessionKey { .. } => Action::AuthorizeSessionKey,
            Operation::PauseWallet
            | Operation::EmergencyWithdrawCollateral { .. }
            | Operation::EmergencyWithdrawPositions { .. }
            | Operation::EmergencyWithdrawNative { .. } => Action::EmergencyExit,
        })
    }

    /// Plans and signs it; or what the door said.
    async fn try_with(
        &self,
        app: &App,
        caller: &Caller,
        wallet: &Arc<Wallet>,
    ) -> Result<Result<Outcome, SigningError>, Problem> {
        let until = self.since + app.signer.deadline(self.waits.deadline);
        let mut tries = 0;
        loop {
            tries += 1;
            let draft = match self.draft(app, wallet).await {
                Ok(draft) => draft,
                Err(problem) if self.wish.dry_run => return Err(problem),
                Err(problem) => return self.earlier(app, caller, wallet, problem).await,
            };
            let asked = SigningRequest {
                digest: self.digest,
                idempotency: Some(self.key.clone()),
                deadline: Some(until.saturating_duration_since(Instant::now())),
                held: self.waits.held.clone(),
            };
            let draft = Box::new(draft);
            match dry_run::sign(app, caller, draft, asked, self.wish.dry_run).await {
                Err(SigningError::Operation(NotClaimed::Moved)) if tries < AGAIN => {}
                done => return Ok(done),
            }
        }
    }

    /// It may have been signed before, when it still could be: then that is the answer (P3).
    async fn earlier(
        &self,
        app: &App,
        caller: &Caller,
        wallet: &Arc<Wallet>,
        problem: Problem,
    ) -> Result<Result<Outcome, SigningError>, Problem> {
        let deed = Deed::new(self.first_action()?, wallet.resource().open());
        let earlier = (deed, &wallet.key);
        match app
            .signer
            .earlier(caller, earlier, &self.key, self.digest)
            .await
        {
            Ok(Some(earlier)) => Ok(Ok(Outcome::Signed(earlier))),
            Ok(None) => Err(problem),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn draft(&self, app: &App, wallet: &Arc<Wallet>) -> Result<OperationDraft, Problem> {
        let mut names = Names::default();
        let mut paid = None;
        for operation in &self.wish.operations {
            if let Some(name) = operation.recipient() {
                let one = paid_by(app, wallet, Payee::Named(name))?;
                names.recipients.insert(name.clone(), one.address);
                paid = Some(one);
            }
            if let Some(name) = operation.key() {
                let address = session_key(app, wallet, name).await?;
                names.keys.insert(name.clone(), address);
            }
        }
        let now_s = app.clock.unix_ms().div_euclid(1000);
        let account = wallet.profile.account();
        let plan = self.wish.plan(account, &names, now_s)?;
        let place = account.place;
        let left = records::left(place.chain_id, place.wallet, &app.ledger).await?;
        let draft = OperationDraft::new(wallet.clone(), plan, paid, left, self.wish.replaces);
        Ok(draft?)
    }

    /// A deposit wallet is made on the word of whoever authenticates at the relayer: there is nothing to sign.
    async fn deploy(
        &self,
        app: &App,
        caller: &Caller,
        wallet: &Wallet,
    ) -> Result<Response, Problem> {
        let account = wallet.profile.account();
        let chain_id = account.place.chain_id;
        let body = deposit::creation_body(chain_id, account.signer)
            .map_err(|error| Problem::new(&problem::OPERATION_REFUSED, error))?;
        if account.is_session_key {
            let why = "a session key's wallet is made by its owner's key";
            return Err(Problem::new(&problem::OPERATION_REFUSED, why));
        }
        let stake = deployment_stake();
        let permit = app.ask(caller, Action::DeployWallet, &wallet.resource().at(stake))?;
        let write = Write::new(app, caller, &self.key, self.digest);
        write
            .run(&permit, Gate::Shared, async |change| {
                let details = serde_json::json!({ "name": wallet.name, "request": body });
                change.note("deploy-wallet", wallet.id, &details);
                let request = RelayerRequest::new(&body);
                Ok(Deployment { request })
            })
            .await
    }
}

/// Who is paid, if they stand in the register now.
pub(in crate::http) fn paid_by(
    app: &App,
    wallet: &Wallet,
    whom: Payee<'_>,
) -> Result<Paid, Problem> {
    let chain = wallet.profile.chain();
    let now = app.authority.now();
    let one = app.recipients.standing(&now, whom, chain, &wallet.owner)?;
    Ok(Paid {
        name: one.name.clone(),
        address: one.address,
        is_refuge: one.refuge,
        statement: one.statement,
    })
}

/// The address of a key of this service that may trade for a wallet.
async fn session_key(
    app: &App,
    wallet: &Wallet,
    name: &Name,
) -> Result<crate::ethereum::Address, Problem> {
    let wrong = |why: &str| Problem::new(&problem::INVALID_FIELD, format!("key: {why}"));
    let key = app.keys.show(name).await?;
    if key.purpose != Purpose::Wallet || key.owner != wallet.owner {
        return Err(wrong("a session key is a wallet key of the wallet's owner"));
    }
    let address = key.public_key.as_ref().and_then(PublicKey::address);
    let address = address.ok_or_else(|| wrong("its device has not made it yet"))?;
    if address == wallet.profile.key_address() {
        return Err(wrong("the wallet's own key is no session key of it"));
    }
    Ok(address)
}
