//! What can be asked for, in the schema's words.

use crate::halts::{Bearing, Winding};

words! {
    /// What somebody wants to do, in the schema's words.
    pub enum Action {
        /// Sign an order with a wallet.
        SignOrder = "sign_order",
        /// Have a wallet made on its chain.
        DeployWallet = "deploy_wallet",
        /// Approve the venue's contracts, so that a wallet can trade.
        SetUpTrading = "set_up_trading",
        /// Split, merge, redeem and convert positions.
        ManagePositions = "manage_positions",
        /// Wrap and unwrap money that stays in the wallet.
        ConvertCollateral = "convert_collateral",
        /// Pay a registered recipient.
        Withdraw = "withdraw",
        /// Take allowances and session keys back.
        RevokeAllowances = "revoke_allowances",
        /// Have an exchange take no orders, and spend a nonce on nothing.
        PauseTrading = "pause_trading",
        /// Let another key trade for a deposit wallet.
        AuthorizeSessionKey = "authorize_session_key",
        /// Get out of a deposit wallet without the relayer.
        EmergencyExit = "emergency_exit",
        /// Say what became of an operation.
        SettleOperation = "settle_operation",
        /// Get a wallet's L1 header, which can be spent to create an API key.
        IssueL1Header = "issue_l1_header",
        /// Have an API key made for a wallet.
        CreateCredential = "create_credential",
        /// Have an API key derived again.
        DeriveCredential = "derive_credential",
        /// Have an API key deleted.
        DeleteCredential = "delete_credential",
        /// Declare nonces that were used elsewhere, and search for them.
        RecoverCredentials = "recover_credentials",
        /// See which nonce made which API key.
        ViewCredentials = "view_credentials",
        /// Be told an API key's secret and passphrase.
        RevealCredential = "reveal_credential",
        /// Get the L2 headers of one request.
        IssueL2Headers = "issue_l2_headers",
        /// Get the builder headers of one request.
        IssueBuilderHeaders = "issue_builder_headers",
        /// Get an assertion of a client.
        IssueAssertion = "issue_assertion",
        /// Get an access token of a client, with certain scopes.
        IssueToken = "issue_token",
        /// See whether a key is registered, by an exchange whose token nobody gets.
        ProbeKey = "probe_key",
        /// Replace the key of a client or wallet, step by step.
        RotateKey = "rotate_key",
        /// See a wallet, client or key.
        View = "view",
        /// See what was signed with a wallet or client.
        ViewSignatures = "view_signatures",
        /// See who may call.
        ViewCallers = "view_callers",
        /// Make a key.
        CreateKey = "create_key",
        /// Take over a key that is in a device already.
        AdoptKey = "adopt_key",
        /// Bring a private key that exists outside a device.
        ImportKey = "import_key",
        /// Make a wallet.
        CreateWallet = "create_wallet",
        /// Make a client.
        CreateClient = "create_client",
        /// Move a key to another state.
        StepKey = "step_key",
        /// Have a signed statement made of what a key's device says.
        AttestKey = "attest_key",
        /// Change when a key's cryptoperiod ends.
        SetCryptoperiod = "set_cryptoperiod",
        /// Say that nothing is left of a wallet.
        CloseWallet = "close_wallet",
        /// Have all orders of a wallet cancelled, and see or say that none is open.
        DrainWallet = "drain_wallet",
        /// Make a caller.
        CreateCaller = "create_caller",
        /// Give a caller something more to come with, such as another token.
        GrantCredential = "grant_credential",
        /// Take a caller's credentials away.
        RevokeCaller = "revoke_caller",
        /// Set a halt.
        Halt = "halt",
        /// Lift one.
        LiftHalt = "lift_halt",
        /// See which are in force.
        ViewHalts = "view_halts",
        /// See the policy, all there were before, and what it says to others and why.
        ViewPolicy = "view_policy",
        /// Put another policy in its place.
        ReplacePolicy = "replace_policy",
        /// See how much callers may do of what they may do.
        ViewLimits = "view_limits",
        /// Change that.
        ManageLimits = "manage_limits",
        /// Have the relayer carry out what was signed.
        SubmitOperation = "submit_operation",
        /// See to whom wallets may send.
        ViewRecipients = "view_recipients",
        /// Let wallets send to somebody more.
        AddRecipient = "add_recipient",
        /// Let them do so no more.
        RemoveRecipient = "remove_recipient",
        /// See the devices and their sealing keys.
        ViewCustody = "view_custody",
        /// Replace sealing keys.
        ManageCustody = "manage_custody",
        /// Read the audit log and prove it.
        ViewLog = "view_log",
        /// Register people, their keys, and whose callers are.
        ManagePeople = "manage_people",
        /// See what waits for approval, and what was approved.
        ViewApprovals = "view_approvals",
        /// See who was told of what.
        ViewNotices = "view_notices",
        /// Have everybody told of a test.
        TestNotices = "test_notices",
        /// Approve what others have asked for, or reject it.
        Approve = "approve",
    }
}

impl Action {
    /// What policies may call it together with others.
    pub(super) fn group(self) -> Option<&'static str> {
        match self {
            Self::CreateCaller | Self::GrantCredential | Self::RevokeCaller => {
                Some("manage_callers")
            }
            _ => None,
        }
    }

    /// What comes of it, as far as halts are about it.
    pub(super) fn bearing(self) -> Bearing {
        match self {
            Self::SignOrder
            | Self::DeployWallet
            | Self::SetUpTrading
            | Self::ManagePositions
            | Self::ConvertCollateral
            | Self::Withdraw
            | Self::RevokeAllowances
            | Self::PauseTrading
            | Self::AuthorizeSessionKey
            | Self::EmergencyExit
            | Self::IssueL1Header
            | Self::CreateCredential
            | Self::DeriveCredential
            | Self::RecoverCredentials
            | Self::RevealCredential
            | Self::IssueL2Headers
            | Self::IssueBuilderHeaders
            | Self::SubmitOperation
            | Self::IssueAssertion
            | Self::IssueToken
            | Self::AttestKey => Bearing::Signs,
            Self::DeleteCredential | Self::DrainWallet => Bearing::Winds(Winding::Cancel),
            Self::ProbeKey => Bearing::Probes,
            Self::View
            | Self::ViewSignatures
            | Self::ViewCallers
            | Self::ViewCredentials
            | Self::ViewHalts
            | Self::ViewPolicy
            | Self::ViewCustody
            | Self::ViewLimits
            | Self::ViewRecipients
            | Self::ViewApprovals
            | Self::ViewNotices
            | Self::ViewLog => Bearing::Looks,
            Self::RotateKey
            | Self::SettleOperation
            | Self::CreateKey
            | Self::AdoptKey
            | Self::ImportKey
            | Self::CreateWallet
            | Self::CreateClient
            | Self::StepKey
            | Self::SetCryptoperiod
            | Self::CloseWallet
            | Self::Halt
            | Self::LiftHalt
            | Self::CreateCaller
            | Self::GrantCredential
            | Self::RevokeCaller
            | Self::ManageLimits
            | Self::AddRecipient
            | Self::RemoveRecipient
            | Self::ReplacePolicy
            | Self::ManagePeople
            | Self::TestNotices
            | Self::Approve
            | Self::ManageCustody => Bearing::Administers,
        }
    }
}
