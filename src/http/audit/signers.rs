//! `GET /v1/audit/signers`: who could sign with a key, now or then.

use axum::Json;
use axum::extract::State;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Party, look_up, moment, wrong};
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Params;
use crate::http::problem::{self, Problem};
use crate::lookups::Names;
use crate::lookups::signers::{Credential, Grant, Signer, is_known, signers};
use crate::name::Name;

/// Which key, and when.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The key's name.
    #[param(value_type = String)]
    key: Name,
    /// The moment, RFC 3339. Now unless it is said.
    at: Option<String>,
}

/// By what something held.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct GrantView {
    /// The version of what decides that said so.
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Who stated it.
    by: Party,
}

/// A credential that was good.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct GoodCredential {
    id: Uuid,
    kind: String,
    /// Who it says somebody is; null for a token.
    identity: Option<String>,
    grant: GrantView,
}

/// Somebody who could have the key sign.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SignerView {
    caller: Party,
    /// Their desk then.
    owner: String,
    /// Their roles then.
    roles: Vec<String>,
    /// By what they were that.
    grant: GrantView,
    /// What they could come with.
    credentials: Vec<GoodCredential>,
    /// What for, in the schema's words.
    action: &'static str,
    /// On what: `wallet:NAME`, `client:NAME` or `key:NAME`.
    resource: String,
    /// The rules of the policy that permitted it, by their `@id`s.
    rules: Vec<String>,
    /// Whether it hung on what was at stake too, such as the side of an order: then not each could be had.
    depends: bool,
    /// The halt that stopped it, whatever the policy said.
    halt: Option<String>,
}

/// Who could sign with a key.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SignersView {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The version of what decided then.
    version: i64,
    /// SHA-256 of the policy, in hexadecimal.
    policy: String,
    /// The version with which that came.
    policy_version: Option<i64>,
    /// The key's state then; null: there was none yet. Only some states sign.
    state: Option<String>,
    /// By what it was in it.
    key_grant: Option<GrantView>,
    /// Who could, by what, on what.
    signers: Vec<SignerView>,
}

/// List who could sign
///
/// With a key, at a moment: by which rules of which policy, by what the caller was given, with which credentials.
/// It is answered from what was stated by then, which proves itself. Limits and the key's cryptoperiod are not asked. That
/// somebody asked is on record.
#[utoipa::path(get, path = "/v1/audit/signers", tag = "audit",
    params(Question),
    responses((status = 200, description = "Who could", body = SignersView)),
)]
pub(super) async fn list_signers(
    State(app): State<App>,
    caller: Caller,
    Params(question): Params<Question>,
) -> Result<Json<SignersView>, Problem> {
    let at = question.at.as_deref().map(|it| moment("at", it));
    let at = at.transpose()?;
    let now = app.clock.now();
    if at.is_some_and(|at| at > now) {
        return Err(wrong("at", "a moment that has come"));
    }
    let asked = json!({ "signers": question.key, "at": question.at });
    look_up(&app, &caller, &asked).await?;
    let key = app.keys.show(&question.key).await?.id;
    let _turn = app.explaining.turn(caller.id).await;
    let then = app.authority.as_of(at.unwrap_or(now)).await?;
    if !is_known(&then) {
        return Err(wrong(
            "at",
            "what decides is stated in this ledger only since later",
        ));
    }
    let (rights, moment) = (app.rights.clone(), at.unwrap_or(now));
    let work = move || signers(&rights, &then, key, moment);
    let cut_off = |_| {
        Problem::new(
            &problem::INTERNAL,
            "the question was not answered to its end",
        )
    };
    let found = app.tasks.spawn_blocking(work).await.map_err(cut_off)??;
    let grants = found.signers.iter();
    let mut ids: Vec<Uuid> = grants
        .flat_map(|it| {
            let given = it.credentials.iter().map(|it| it.grant.by.uuid());
            given.chain([it.caller.uuid(), it.grant.by.uuid()])
        })
        .collect();
    ids.extend(found.key.iter().map(|(_, grant)| grant.by.uuid()));
    ids.sort_unstable();
    ids.dedup();
    let names = app.lookups.names(&ids).await?;
    let (state, key_grant) = found.key.map(|(form, grant)| (form.state, grant)).unzip();
    Ok(Json(SignersView {
        at: moment,
        version: found.version,
        policy: hex::encode(found.policy),
        policy_version: found.policy_version,
        state,
        key_grant: key_grant.map(|it| granted(&it, &names)),
        signers: found
            .signers
            .into_iter()
            .map(|it| view(it, &names))
            .collect(),
    }))
}

fn granted(grant: &Grant, names: &Names) -> GrantView {
    GrantView {
        version: grant.version,
        at: grant.at,
        by: Party::of(grant.by.uuid(), names),
    }
}

fn view(signer: Signer, names: &Names) -> SignerView {
    let credential = |it: Credential| GoodCredential {
        grant: granted(&it.grant, names),
        id: it.id,
        kind: it.kind,
        identity: it.identity,
    };
    SignerView {
        caller: Party::of(signer.caller.uuid(), names),
        grant: granted(&signer.grant, names),
        owner: signer.form.owner,
        roles: signer.form.roles,
        credentials: signer.credentials.into_iter().map(credential).collect(),
        action: signer.action.name(),
        resource: format!("{}:{}", signer.on, signer.name),
        rules: signer.could.rules,
        depends: signer.could.depends,
        halt: signer.halt,
    }
}
