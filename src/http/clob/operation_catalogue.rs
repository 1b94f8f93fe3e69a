//! What wallet operations can name: contracts, and profiles of approvals.

use axum::Json;

use crate::callers::Caller;
use crate::ethereum::Address;
use crate::operations::{Contract, SetUp};

/// A contract, and where it is.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ContractView {
    name: Contract,
    chain_id: u64,
    #[schema(value_type = String)]
    address: Address,
}

/// What a profile approves.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct ProfileView {
    profile: SetUp,
    /// Tokens and whom they are approved to, without a bound.
    #[schema(value_type = Vec<Vec<String>>)]
    collateral: &'static [(Contract, Contract)],
    /// Positions and who may move them.
    #[schema(value_type = Vec<Vec<String>>)]
    positions: &'static [(Contract, Contract)],
}

/// What operations are made of.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OperationCatalogue {
    /// The table of addresses.
    contracts: Vec<ContractView>,
    profiles: Vec<ProfileView>,
}

/// Show the catalogue of operations
///
/// The contracts that operations name, where they are, and what the profiles approve. The operations themselves are the
/// schema `Operation` of /openapi.json.
#[utoipa::path(get, path = "/v1/catalogue/operations", tag = "operations",
    responses((status = 200, description = "The catalogue", body = OperationCatalogue)),
)]
pub(super) async fn show_operation_catalogue(_caller: Caller) -> Json<OperationCatalogue> {
    let on = |chain_id: u64| {
        Contract::ALL.into_iter().filter_map(move |name| {
            let address = name.on(chain_id).ok()?;
            Some(ContractView {
                name,
                chain_id,
                address,
            })
        })
    };
    let profiles = SetUp::ALL.into_iter().map(|profile| {
        let (collateral, positions) = profile.approvals();
        ProfileView {
            profile,
            collateral,
            positions,
        }
    });
    Json(OperationCatalogue {
        contracts: on(137).chain(on(80002)).collect(),
        profiles: profiles.collect(),
    })
}
