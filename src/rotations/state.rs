//! What is rotated, and the states of a rotation.

words! {
    /// What is rotated.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RotationKind)]
    pub enum Kind {
        /// The key of an OAuth client.
        Client = "client",
        /// A wallet, which is its key: a new one takes its place.
        Wallet = "wallet",
    }
}

words! {
    /// Where a rotation stands.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RotationState)]
    pub enum State {
        /// Opened; there is no new key yet.
        Requested = "requested",
        /// The device has made the new key.
        Generated = "generated",
        /// Client: the public half went to the counterparty.
        Submitted = "submitted",
        /// Client: the counterparty takes the new key, which a probe has shown.
        Registered = "registered",
        /// Client: the new key signs.
        Switched = "switched",
        /// Client: the counterparty was asked to remove the old key.
        RemovalAsked = "removal-asked",
        /// Client: the counterparty refuses the old key and takes the new one, which probes have shown.
        RemovalProved = "removal-proved",
        /// Wallet: the new wallet is on record.
        Profiled = "profiled",
        /// Wallet: the new wallet has an API key.
        Credentialed = "credentialed",
        /// Wallet: the old one takes no new orders.
        CutOver = "cut-over",
        /// Wallet: the old one has no open orders.
        Drained = "drained",
        /// Wallet: the old one's API key is deleted.
        CredentialDeleted = "credential-deleted",
        /// Done.
        Closed = "closed",
        /// Given up before the new key was used.
        Abandoned = "abandoned",
        /// Given up after that: the old key signs again.
        RolledBack = "rolled-back",
    }
}

impl State {
    /// Whether another rotation of the same thing has to wait for this one.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Closed | Self::Abandoned | Self::RolledBack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.name());
        }
    }
}
