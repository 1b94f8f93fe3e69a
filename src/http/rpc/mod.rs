//! `POST /rpc`: a remote signer for tools that know a wallet as a JSON-RPC endpoint.
//!
//! The official CLOB clients log in and order through it unmodified. It takes typed data of the kinds
//! that this service signs anyway, and asks the same door; there is no method for anything else.
//! Every answer is JSON-RPC, whatever stood in the way.

mod accounts;
mod error;
mod message;
mod operation;
mod sign;

use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::admission::Admitted;
use super::admit::{durable, passed_gate};
use super::body::{self, BodyLimit, BodyTimes};
use super::caller::BasicCaller;
use super::problem::Problem;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::Chain;
use crate::signing::Held;
use error::RpcError;
use message::{Call, Message, Reply};

/// Where it is.
pub(super) const PATH: &str = "/rpc";

/// Call a JSON-RPC method
///
/// A remote signer (JSON-RPC 2.0, batches of up to 100): `eth_accounts`, `eth_requestAccounts`,
/// `eth_chainId`, `net_version`, and `eth_signTypedData_v4` (also as `eth_signTypedData` and
/// `eth_signTypedData_v3`) for CLOB orders, logins, the making of a Safe and a deposit wallet's batches, and
/// `eth_signTransaction`, both of calls that are in the catalogue of operations. Errors carry the problem document in `data`.
/// The token may also be the password of Basic authentication.
#[utoipa::path(post, path = "/rpc", tag = "rpc",
    request_body(content = Object, description = "A call, or a list of calls"),
    responses(
        (status = 200, description = "Its answer, or a list of answers", body = Object),
        (status = 204, description = "Nothing was to be answered"),
        (status = "default", description = "A JSON-RPC answer with an error", body = Object),
    ),
)]
pub(super) async fn call_rpc(
    State(app): State<App>,
    BasicCaller(caller): BasicCaller,
    Extension(admitted): Extension<Admitted>,
    request: Request,
) -> Result<Response, Problem> {
    body::declared_as_json(&request)?;
    let limit = request.extensions().get::<BodyLimit>().copied();
    let bytes = body::read(request, limit.unwrap_or_default().0, BodyTimes::BATCH.0).await?;
    Ok(match Message::of(&bytes) {
        Err(error) => answer(StatusCode::OK, &Reply::to_nobody(error)),
        Ok(Message::Single(raw)) => match read(raw) {
            Some(Ok(call)) => {
                let signs = call.signs();
                let reply = reply(app, caller, call, admitted.held()).await;
                answered(&reply, signs && reply.is_result(), reply.since)
            }
            Some(Err(reply)) => answer(StatusCode::OK, &reply),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(Message::Batch(calls)) => {
            let calls: Vec<_> = calls.into_iter().filter_map(read).collect();
            let sign = calls.iter().all(|it| it.as_ref().is_ok_and(Call::signs));
            let replies = batch(&app, &caller, &admitted, calls).await;
            if replies.is_empty() {
                StatusCode::NO_CONTENT.into_response()
            } else {
                let since = replies.iter().filter_map(|it| it.since).min();
                answered(
                    &replies,
                    sign && replies.iter().all(Reply::is_result),
                    since,
                )
            }
        }
    })
}

/// Works on all calls at the same time, each as soon as it is its turn, and answers in their order.
/// For a client that is gone no more are begun.
async fn batch(
    app: &App,
    caller: &Caller,
    admitted: &Admitted,
    calls: Vec<Result<Call, Reply>>,
) -> Vec<Reply> {
    let mut under_way = Vec::new();
    for call in calls {
        let begun = match call {
            Ok(mut call) => match admitted.one_more().await {
                Ok(turn) => Ok((call, turn)),
                Err(problem) => {
                    let id = call.id.take().unwrap_or_default();
                    Err(Reply::new(id, Err(problem.into())))
                }
            },
            Err(reply) => Err(reply),
        };
        let (call, turn) = match begun {
            Ok(begun) => begun,
            Err(reply) => {
                under_way.push(Err(reply));
                continue;
            }
        };
        let (app, caller, held) = (app.clone(), caller.clone(), admitted.held());
        let tasks = app.tasks.clone();
        let work = async move {
            let reply = reply(app, caller, call, held).await;
            drop(turn);
            reply
        };
        under_way.push(Ok(tasks.spawn(work.in_current_span())));
    }
    let mut replies = Vec::with_capacity(under_way.len());
    for reply in under_way {
        replies.push(match reply {
            Ok(task) => task.await.unwrap_or_else(|_| {
                let died = Problem::new(&super::problem::INTERNAL, "the call was not worked on");
                Reply::to_nobody(died.into())
            }),
            Err(reply) => reply,
        });
    }
    replies
}

/// A call to be answered, or what is answered to something else. A call without an id wants no
/// answer, so that nothing is signed for it either.
fn read(raw: &serde_json::value::RawValue) -> Option<Result<Call, Reply>> {
    match Call::of(raw) {
        Ok(call) => call.id.is_some().then_some(Ok(call)),
        Err((id, error)) => Some(Err(Reply::new(id, Err(error)))),
    }
}

async fn reply(app: App, caller: Caller, mut call: Call, held: Held) -> Reply {
    let id = call.id.take().unwrap_or_default();
    let outcome = dispatch(&app, &caller, &call, held).await;
    let since = outcome.as_ref().ok().and_then(|(_, since)| *since);
    let mut reply = Reply::new(id, outcome.map(|(result, _)| result));
    reply.since = since;
    reply
}

/// The result, and of a signature, before when it was not durable.
async fn dispatch(
    app: &App,
    caller: &Caller,
    call: &Call,
    held: Held,
) -> Result<(Value, Option<Instant>), RpcError> {
    let plain = |result| Ok((result, None));
    match call.method.as_str() {
        "eth_accounts" | "eth_requestAccounts" => {
            let accounts = accounts::accounts(app, caller).await?;
            plain(json!(accounts))
        }
        "eth_chainId" => plain(json!(format!("{:#x}", chain(app, caller).await?.id()))),
        "net_version" => plain(json!(chain(app, caller).await?.id().to_string())),
        "eth_signTransaction" => {
            let (transaction, since) = operation::transaction(app, caller, call, held).await?;
            Ok((transaction, Some(since)))
        }
        _ if call.signs() => {
            let (signature, since) = sign::typed_data(app, caller, call, held).await?;
            Ok((signature, Some(since)))
        }
        method @ ("eth_sign" | "personal_sign" | "eth_signTypedData_v1") => {
            Err(RpcError::never_signed(format!(
                "{method} would sign what nobody can read here; operations of Safes and proxy wallets: POST /v1/wallets/{{wallet}}/operations"
            )))
        }
        method @ ("eth_sendTransaction"
        | "eth_sendRawTransaction"
        | "wallet_sendTransaction"
        | "wallet_sendCalls") => Err(RpcError::never_signed(format!(
            "{method} is not offered, for this service sends nothing: eth_signTransaction signs what is in the catalogue, and POST /v1/wallets/{{wallet}}/operations all of that by name"
        ))),
        method => Err(RpcError::no_method(format!(
            "there is no method {:?}",
            method.chars().take(64).collect::<String>()
        ))),
    }
}

/// The chain that a tool is told of: Polygon, unless all of the caller's wallets are on Amoy. A
/// signature's chain comes from what is signed.
async fn chain(app: &App, caller: &Caller) -> Result<Chain, Problem> {
    let wallets = app.accounts.recent().await?;
    let mut chains = wallets
        .iter()
        .filter(|wallet| accounts::is_account_of(app, caller, wallet))
        .map(|wallet| wallet.profile.chain());
    let first = chains.next().unwrap_or(Chain::Polygon);
    Ok(if chains.any(|chain| chain != first) {
        Chain::Polygon
    } else {
        first
    })
}

/// Answers; if everything is a signature, it has passed the gate.
fn answered(body: &impl serde::Serialize, is_signed: bool, since: Option<Instant>) -> Response {
    let response = answer(StatusCode::OK, body);
    match since {
        Some(since) if is_signed => passed_gate(response, since),
        Some(since) => durable(response, since),
        None => response,
    }
}

fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("plain data serializes");
    super::write::json(status, body)
}

/// Says in JSON-RPC's form what was refused before a call was read: who is calling, how, how much.
pub(super) fn translate(mut response: Response, problem: &Problem) -> Response {
    let reply = Reply::to_nobody(RpcError::from(problem));
    let body = serde_json::to_vec(&reply).expect("plain data serializes");
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.remove(header::CONTENT_LENGTH);
    if headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"chancery\""),
        );
    }
    *response.body_mut() = Body::from(body);
    response
}
