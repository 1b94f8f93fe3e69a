//! Which accounts a caller has here: addresses of keys with whose wallets they may do something.

use std::time::Duration;

use crate::app::App;
use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::ethereum::Address;
use crate::http::problem::Problem;
use crate::policy::Action;

/// The most patient of the libraries that sign through this gives up after ten seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(8);

/// By which rights an account is one of a caller's, besides orders and logins.
const OPERATES: [Action; 9] = [
    Action::DeployWallet,
    Action::SetUpTrading,
    Action::ManagePositions,
    Action::ConvertCollateral,
    Action::Withdraw,
    Action::RevokeAllowances,
    Action::PauseTrading,
    Action::AuthorizeSessionKey,
    Action::EmergencyExit,
];

/// The accounts that a caller signs or logs in with, in the order of their wallets' names.
pub(super) async fn accounts(app: &App, caller: &Caller) -> Result<Vec<Address>, Problem> {
    let mut accounts = Vec::new();
    for wallet in app.accounts.recent().await?.iter() {
        let address = wallet.profile.key_address();
        if !accounts.contains(&address) && is_account_of(app, caller, wallet) {
            accounts.push(address);
        }
    }
    Ok(accounts)
}

/// Whether the caller signs or logs in with this wallet.
pub(super) fn is_account_of(app: &App, caller: &Caller, wallet: &Wallet) -> bool {
    let operates = || OPERATES.into_iter().any(|it| may(app, caller, it, wallet));
    may(app, caller, Action::SignOrder, wallet)
        || login_right(app, caller, wallet).is_some()
        || operates()
}

/// By which right the caller logs in: to anything, or only to derive what a nonce made. Whoever
/// derives by themselves is told the secrets, so that it takes the right to be told.
pub(super) fn login_right(app: &App, caller: &Caller, wallet: &Wallet) -> Option<Action> {
    let may = |action| may(app, caller, action, wallet);
    if may(Action::IssueL1Header) {
        Some(Action::IssueL1Header)
    } else if may(Action::DeriveCredential) && may(Action::RevealCredential) {
        Some(Action::DeriveCredential)
    } else {
        None
    }
}

/// Whether the caller could do this with the wallet.
pub(super) fn may(app: &App, caller: &Caller, action: Action, wallet: &Wallet) -> bool {
    app.would(caller, action, &wallet.resource().open())
}

/// The wallets of an account that the caller may know of.
pub(super) fn visible<'a>(
    app: &App,
    caller: &Caller,
    account: Address,
    all: &'a [Wallet],
) -> Vec<&'a Wallet> {
    let may_know = |wallet: &&Wallet| {
        may(app, caller, Action::View, wallet) || is_account_of(app, caller, wallet)
    };
    let of_account = all.iter().filter(|it| it.profile.key_address() == account);
    of_account.filter(may_know).collect()
}
