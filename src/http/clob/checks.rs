//! What a wallet needs for what is to come, as a list: what is there, what is missing, what the service cannot tell.

use std::collections::HashMap;

use crate::app::App;
use crate::clob::wallets::Wallet;
use crate::ledger::LedgerError;
use crate::operations::records::{self, Deed};
use crate::operations::{Names, Operation, Step};

/// How something stands that a wallet needs for what is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "the words that callers read")]
pub(super) enum Ready {
    /// It is as it should be.
    Ready,
    /// It is not.
    Missing,
    /// The service cannot tell.
    Unknown,
}

/// One thing on a wallet's list.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = WalletCheck)]
pub(super) struct Check {
    /// What.
    what: &'static str,
    pub(super) is: Ready,
    detail: String,
    /// What to type, where it is missing.
    next: Option<String>,
}

pub(super) fn there(what: &'static str, detail: impl Into<String>) -> Check {
    Check {
        what,
        is: Ready::Ready,
        detail: detail.into(),
        next: None,
    }
}

pub(super) fn missing(what: &'static str, detail: impl Into<String>, next: String) -> Check {
    Check {
        what,
        is: Ready::Missing,
        detail: detail.into(),
        next: Some(next),
    }
}

pub(super) fn unknown(what: &'static str, detail: impl Into<String>) -> Check {
    Check {
        what,
        is: Ready::Unknown,
        detail: detail.into(),
        next: None,
    }
}

/// The operations of a wallet that are on record.
pub(super) async fn deeds(app: &App, wallet: &Wallet) -> Result<Vec<Deed>, LedgerError> {
    let place = wallet.profile.account().place;
    records::deeds(Some((place.chain_id, place.wallet)), &app.ledger).await
}

/// The last word on each allowance of a wallet, among the operations that are on record as carried out.
pub(super) struct CarriedOut(HashMap<String, String>);

impl CarriedOut {
    /// Among these, the oldest first.
    pub(super) fn of(deeds: &[Deed]) -> Self {
        let done = deeds.iter().filter(|it| it.is_done);
        let mut last = HashMap::new();
        for call in done.flat_map(|it| &it.calls) {
            let text = |member: &str| call[member].as_str().unwrap_or_default();
            last.insert(about(text("to"), text("data")), text("data").to_owned());
        }
        Self(last)
    }

    /// Of how many steps an operation is, and of how many it is not the last word.
    pub(super) fn without(&self, operation: &Operation, wallet: &Wallet) -> (usize, usize) {
        let account = wallet.profile.account();
        let steps = operation.steps(&account, &Names::default(), true);
        let steps = steps.unwrap_or_default();
        let is_open = |step: &&Step| {
            step.call(&account.place).is_ok_and(|call| {
                let data = format!("0x{}", hex::encode(&call.data));
                self.0.get(&about(&call.to.to_string(), &data)) != Some(&data)
            })
        };
        (steps.len(), steps.iter().filter(is_open).count())
    }
}

/// An allowance is one of a token, for somebody: selector and first argument.
fn about(to: &str, data: &str) -> String {
    format!("{to} {}", data.get(..74).unwrap_or(data))
}
