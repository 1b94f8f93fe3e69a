//! `/v1/clients`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;

use crate::app::App;
use crate::callers::Caller;
use crate::custody::PublicKey;
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::clob::wallets::may_bind;
use crate::http::hidden::found;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::id::ClientId;
use crate::keys::KeyState;
use crate::ledger::Gate;
use crate::name::Name;
use crate::oauth::clients::{Client, NewClient};
use crate::policy::{Action, Permit, Resource};

/// An OAuth client.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ClientView {
    #[schema(value_type = String)]
    id: ClientId,
    name: String,
    owner: String,
    environment: String,
    /// What the authorization server calls it.
    client_id: String,
    /// The name of the key that signs for it.
    key: String,
    key_state: KeyState,
    /// What the counterparty calls the key, where it assigned a `kid` of its own.
    kid: Option<String>,
    /// The key's public half as PEM: what the counterparty registers.
    pem: Option<String>,
    /// The public key as a JWK; `kid` is its RFC 7638 thumbprint.
    #[schema(value_type = Option<Object>)]
    jwk: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        let public = client.key.public_key.as_ref();
        Self {
            id: client.id,
            name: client.name.to_string(),
            owner: client.owner.to_string(),
            environment: client.environment.to_string(),
            client_id: client.client_id.clone(),
            key: client.key.name.to_string(),
            key_state: client.key.state,
            kid: client.kid.clone(),
            pem: public.map(PublicKey::to_pem),
            jwk: public.map(PublicKey::jwk),
            created_at: client.created_at,
        }
    }
}

/// List clients
#[utoipa::path(get, path = "/v1/clients", tag = "clients", params(Page),
    responses((status = 200, description = "The clients that you may see", body = Vec<ClientView>)),
)]
pub(super) async fn list_clients(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<ClientView>, Problem> {
    let clients = app.clients.list().await?;
    let seen = |c: &&Client| app.would(&caller, Action::View, &c.resource());
    let views = clients.iter().filter(seen).map(ClientView::from);
    page.of("/v1/clients", views.collect(), |it| it.name.clone())
}

/// Show a client
#[utoipa::path(get, path = "/v1/clients/{client}", tag = "clients",
    responses((status = 200, description = "The client", body = ClientView)),
)]
pub(super) async fn show_client(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<ClientView>, Problem> {
    let client = visible(&app, &caller, &name).await?;
    Ok(Json(ClientView::from(&client)))
}

/// The client, if the caller may see it.
pub(in crate::http) async fn visible(
    app: &App,
    caller: &Caller,
    name: &Name,
) -> Result<Client, Problem> {
    let nothing = Resource::nothing("Client", name);
    let looked = app.clients.show(name).await;
    let client = found(app, caller, &[Action::View], &nothing, looked)?;
    if app.would(caller, Action::View, &client.resource()) {
        Ok(client)
    } else {
        Err(Problem::not_found("client"))
    }
}

/// The client, and that the caller may do this with it.
pub(in crate::http) async fn permitted(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<(Client, Permit), Problem> {
    let nothing = Resource::nothing("Client", name);
    let looked = app.clients.show(name).await;
    let client = found(app, caller, &[action, Action::View], &nothing, looked)?;
    let permit = app.ask(caller, action, &client.resource())?;
    Ok((client, permit))
}

/// The same for what passes the gate: a client as it was a moment ago will do for a yes. A no is said, and
/// put on record, by what is there now.
pub(super) async fn permitted_at_gate(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<Client, Problem> {
    if let Some(client) = app.clients.recent(name)
        && app.would(caller, action, &client.resource().open())
    {
        return Ok(client);
    }
    let (client, _) = permitted(app, caller, action, name).await?;
    app.clients.remember(&client);
    Ok(client)
}

/// Create a client
///
/// Puts a client id of an environment's authorization server together with a key.
#[utoipa::path(post, path = "/v1/clients", tag = "clients",
    request_body = NewClient,
    responses((status = 201, description = "The client", body = ClientView)),
)]
pub(super) async fn create_client(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewClient>,
) -> Result<Response, Problem> {
    let permit = may_bind(&app, &caller, Action::CreateClient, &new.key, |key| {
        new.stake(key)
    });
    let permit = permit.await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let client = app.clients.create(&new, change).await?;
            Ok(ClientView::from(&client))
        })
        .await
}
