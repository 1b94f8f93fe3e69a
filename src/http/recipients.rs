//! `/v1/recipients`: whom wallets may send to.

use axum::extract::{OriginalUri, Path, State};
use axum::http::Method;
use axum::response::Response;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Params};
use super::caller::RequiredKey;
use super::page::{Page, Paged};
use super::problem::Problem;
use super::write::Write;
use crate::app::App;
use crate::callers::{Caller, Names};
use crate::clob::Chain;
use crate::ethereum::Address;
use crate::id::CallerId;
use crate::idempotency::RequestDigest;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Resource};
use crate::recipients::{NewRecipient, Recipient};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_recipients, add_recipient))
        .routes(routes!(remove_recipient))
}

/// Somebody to whom wallets may send.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RecipientView {
    #[schema(value_type = String)]
    name: Name,
    #[serde(rename = "chainId")]
    #[schema(value_type = u64)]
    chain: Chain,
    #[schema(value_type = String)]
    address: Address,
    /// The desk whose wallets may send there; none: every desk's.
    #[schema(value_type = Option<String>)]
    owner: Option<Name>,
    /// It is the address of a key that speaks for a contract wallet, and that was meant.
    signer_meant: bool,
    /// What a wallet that is halted, or whose key is suspended or compromised, may still send to.
    refuge: bool,
    /// From when on wallets may send there.
    #[serde(with = "time::serde::rfc3339")]
    stands_from: OffsetDateTime,
    /// Whether that time has come.
    stands: bool,
    #[schema(value_type = String)]
    added_by: CallerId,
    added_by_name: String,
    #[serde(with = "time::serde::rfc3339")]
    added_at: OffsetDateTime,
    /// On whose agreement: a proposal has the approvals with it.
    approval: String,
}

impl RecipientView {
    fn new(recipient: &Recipient, added_by_name: String, now: OffsetDateTime) -> Self {
        Self {
            name: recipient.name.clone(),
            chain: recipient.chain,
            address: recipient.address,
            owner: recipient.owner.clone(),
            signer_meant: recipient.signer_meant,
            refuge: recipient.refuge,
            stands_from: recipient.stands_from,
            stands: now >= recipient.stands_from,
            added_by: recipient.by,
            added_by_name,
            added_at: recipient.at,
            approval: recipient.approval.clone(),
        }
    }
}

/// What is no recipient any more.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RemovedRecipient {
    /// Who.
    #[schema(value_type = String)]
    removed: Name,
}

async fn names(app: &App, of: impl Iterator<Item = CallerId>) -> Result<Names, Problem> {
    Ok(app.callers.names(of.collect()).await?)
}

/// List recipients
///
/// To whom wallets may send, and who waits still.
#[utoipa::path(get, path = "/v1/recipients", tag = "recipients", params(Page),
    responses((status = 200, description = "The recipients", body = Vec<RecipientView>)),
)]
pub(super) async fn list_recipients(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<RecipientView>, Problem> {
    app.ask(&caller, Action::ViewRecipients, &Resource::service())
        .map(drop)?;
    let all = app.recipients.list().await?;
    let (names, now) = (
        names(&app, all.iter().map(|it| it.by)).await?,
        app.clock.now(),
    );
    let views = all
        .iter()
        .map(|it| RecipientView::new(it, names.of(it.by), now));
    page.of("/v1/recipients", views.collect(), |it| it.name.to_string())
}

/// Add a recipient
///
/// Takes whoever has to agree, and then waits (`stands_from`): people are told, and have that long to object.
/// Nothing of it is changed later; to widen one, remove it and add it anew.
#[utoipa::path(post, path = "/v1/recipients", tag = "recipients",
    request_body = NewRecipient,
    responses((status = 201, description = "The recipient", body = RecipientView)),
)]
pub(super) async fn add_recipient(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewRecipient>,
) -> Result<Response, Problem> {
    let at_stake = Resource::service().at(new.stake());
    let permit = app.ask(&caller, Action::AddRecipient, &at_stake)?;
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Exclusive, async |change| {
            let added = app.recipients.add(&new, change).await?;
            let view = RecipientView::new(&added, caller.name.to_string(), change.now());
            change.once_durable(move || {
                tracing::warn!(recipient.name = %added.name, recipient.address = %added.address,
                    "wallets may send to a recipient more, when it has waited");
            });
            Ok(view)
        })
        .await
}

/// Remove a recipient
///
/// One person does it. Once this is answered, no replica releases anything more that sends there.
#[utoipa::path(delete, path = "/v1/recipients/{recipient}", tag = "recipients",
    responses((status = 201, description = "Removed", body = RemovedRecipient)),
)]
pub(super) async fn remove_recipient(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
    RequiredKey(key): RequiredKey,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::RemoveRecipient, &Resource::service())?;
    let name: Name = name.parse().map_err(|_| Problem::not_found("recipient"))?;
    let request = RequestDigest::of(Method::DELETE.as_str(), uri.path(), &Value::Null);
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Exclusive, async |change| {
            let gone = app.recipients.remove(&name, change).await?;
            let removed = gone.name.clone();
            change.once_durable(move || {
                tracing::warn!(recipient.name = %gone.name, "wallets send to a recipient no more");
            });
            Ok(RemovedRecipient { removed })
        })
        .await
}
