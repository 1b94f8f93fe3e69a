//! `POST /v1/wallets/{wallet}/orders`.

use axum::extract::State;
use axum::response::Response;

use super::body::{Body, Named};
use super::caller::{Deadline, Required};
use super::problem::{Document, Problem};
use super::signed;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::draft::{IssuedOrder, OrderDraft};
use crate::clob::{Order, OrderRequest, random_salt};
use crate::policy::Action;
use crate::signing::Asked;

/// Sign an order
///
/// Builds a limit order as the official clients do, signs it with the wallet's key, and answers once
/// both are on record. The service does not post it.
#[utoipa::path(
    post, path = "/v1/wallets/{wallet}/orders", tag = "orders",
    params(
        ("wallet" = String, Path, description = "The wallet's name"),
        ("Idempotency-Key" = String, Header, description = "Fresh for each order; the same to repeat one"),
        ("Chancery-Deadline-Ms" = Option<u32>, Header, description = "How long you wait"),
    ),
    request_body = OrderRequest,
    responses(
        (status = 200, description = "The signed order", body = IssuedOrder),
        (status = "default", description = "A problem", body = Document<'_>, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn sign_order(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Required(key): Required,
    Deadline(deadline): Deadline,
    Body(request, digest): Body<OrderRequest>,
) -> Result<Response, Problem> {
    let wallet = app.wallets.show(&name).await?;
    app.policy
        .decide(&caller, Action::View, &wallet.resource())
        .map_err(|_| Problem::not_found("wallet"))?;
    let salt = random_salt().expect("the operating system has random bytes");
    let now_ms = app.clock.unix_ms();
    let built = Order::build(
        &request,
        &wallet.profile,
        salt,
        now_ms,
        now_ms.div_euclid(1000),
    );
    let order = match built {
        Ok(order) => order,
        Err(error) => {
            app.policy
                .decide(&caller, Action::SignOrder, &wallet.resource())?;
            let earlier = app.signer.earlier(&caller, &key, digest).await?;
            return earlier.map(signed).ok_or_else(|| error.into());
        }
    };
    let asked = Asked {
        digest,
        idempotency: Some(key),
        deadline,
    };
    let done = app
        .signer
        .sign(&caller, Box::new(OrderDraft { wallet, order }), asked)
        .await?;
    Ok(signed(done))
}
