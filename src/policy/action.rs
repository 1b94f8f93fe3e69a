//! What can be asked for, in the schema's words.

/// What somebody wants to do, in the schema's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sign an order with a wallet.
    SignOrder,
    /// Get a wallet's L1 header, which can be spent to create an API key.
    IssueL1Header,
    /// Have an API key made for a wallet.
    CreateCredential,
    /// Have an API key derived again.
    DeriveCredential,
    /// Have an API key deleted.
    DeleteCredential,
    /// Declare nonces that were used elsewhere, and search for them.
    RecoverCredentials,
    /// See which nonce made which API key.
    ViewCredentials,
    /// Be told an API key's secret and passphrase.
    RevealCredential,
    /// Get the L2 headers of one request.
    IssueL2Headers,
    /// Get the builder headers of one request.
    IssueBuilderHeaders,
    /// Get an assertion of a client.
    IssueAssertion,
    /// Get an access token of a client, with certain scopes.
    IssueToken,
    /// See whether a key is registered, by an exchange whose token nobody gets.
    ProbeKey,
    /// Replace the key of a client or wallet, step by step.
    RotateKey,
    /// See a wallet, client or key.
    View,
    /// See what was signed with a wallet or client.
    ViewSignatures,
    /// See who may call.
    ViewCallers,
    /// Make a key.
    CreateKey,
    /// Take over a key that is in a device already.
    AdoptKey,
    /// Bring a private key that exists outside a device.
    ImportKey,
    /// Make a wallet.
    CreateWallet,
    /// Make a client.
    CreateClient,
    /// Move a key to another state.
    StepKey,
    /// Have a signed statement made of what a key's device says.
    AttestKey,
    /// Change when a key's cryptoperiod ends.
    SetCryptoperiod,
    /// Say that nothing is left of a wallet.
    CloseWallet,
    /// Have all orders of a wallet cancelled, and see or say that none is open.
    DrainWallet,
    /// Make and revoke callers and tokens.
    ManageCallers,
    /// See the devices and their sealing keys.
    ViewCustody,
    /// Replace sealing keys.
    ManageCustody,
}

impl Action {
    /// All of them.
    pub(super) const ALL: [Self; 30] = [
        Self::SignOrder,
        Self::IssueL1Header,
        Self::CreateCredential,
        Self::DeriveCredential,
        Self::DeleteCredential,
        Self::RecoverCredentials,
        Self::ViewCredentials,
        Self::RevealCredential,
        Self::IssueL2Headers,
        Self::IssueBuilderHeaders,
        Self::IssueAssertion,
        Self::IssueToken,
        Self::ProbeKey,
        Self::RotateKey,
        Self::View,
        Self::ViewSignatures,
        Self::ViewCallers,
        Self::CreateKey,
        Self::AdoptKey,
        Self::ImportKey,
        Self::CreateWallet,
        Self::CreateClient,
        Self::StepKey,
        Self::AttestKey,
        Self::SetCryptoperiod,
        Self::CloseWallet,
        Self::DrainWallet,
        Self::ManageCallers,
        Self::ViewCustody,
        Self::ManageCustody,
    ];

    /// The schema's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignOrder => "sign_order",
            Self::IssueL1Header => "issue_l1_header",
            Self::CreateCredential => "create_credential",
            Self::DeriveCredential => "derive_credential",
            Self::DeleteCredential => "delete_credential",
            Self::RecoverCredentials => "recover_credentials",
            Self::ViewCredentials => "view_credentials",
            Self::RevealCredential => "reveal_credential",
            Self::IssueL2Headers => "issue_l2_headers",
            Self::IssueBuilderHeaders => "issue_builder_headers",
            Self::IssueAssertion => "issue_assertion",
            Self::IssueToken => "issue_token",
            Self::ProbeKey => "probe_key",
            Self::RotateKey => "rotate_key",
            Self::View => "view",
            Self::ViewSignatures => "view_signatures",
            Self::ViewCallers => "view_callers",
            Self::CreateKey => "create_key",
            Self::AdoptKey => "adopt_key",
            Self::ImportKey => "import_key",
            Self::CreateWallet => "create_wallet",
            Self::CreateClient => "create_client",
            Self::StepKey => "step_key",
            Self::AttestKey => "attest_key",
            Self::SetCryptoperiod => "set_cryptoperiod",
            Self::CloseWallet => "close_wallet",
            Self::DrainWallet => "drain_wallet",
            Self::ManageCallers => "manage_callers",
            Self::ViewCustody => "view_custody",
            Self::ManageCustody => "manage_custody",
        }
    }
}
