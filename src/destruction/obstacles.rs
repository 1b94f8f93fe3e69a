//! What can stand in the way of destroying a key.

words! {
    /// What kind of thing.
    #[derive(utoipa::ToSchema)]
    pub enum ObstacleKind {
        /// A signature that is under way, or that nobody ended.
        UnderWay = "under-way",
        /// Orders that may rest at the venue. A version 1 order with an expiration ends there; every other
        /// counts until the venue was seen to have none.
        OpenOrders = "open-orders",
        /// An API key of the address that may be live.
        LiveCredentials = "live-credentials",
        /// A login that may have made an API key: nobody knows yet.
        UnsettledLogins = "unsettled-logins",
        /// A wallet or a client that is not closed.
        InUse = "in-use",
        /// The counterparty may still have its public half registered.
        Registered = "registered",
    }
}

impl ObstacleKind {
    /// Whether people may accept an obstacle of this kind, with a reason. The service itself knows about the
    /// others.
    pub fn is_acceptable(self) -> bool {
        matches!(
            self,
            Self::OpenOrders | Self::UnsettledLogins | Self::Registered
        )
    }
}

/// Something that depends on a key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Obstacle {
    /// What kind of thing.
    pub kind: ObstacleKind,
    /// Which.
    pub detail: String,
    /// What to do about it.
    pub action: &'static str,
    /// Whether it can be accepted instead.
    pub acceptable: bool,
}

impl Obstacle {
    pub(super) fn new(kind: ObstacleKind, detail: String) -> Self {
        let action = match kind {
            ObstacleKind::UnderWay => "Wait; a replica ends it after its lease.",
            ObstacleKind::OpenOrders => {
                "Drain the wallet: chancery wallets drain. Or accept it and say why."
            }
            ObstacleKind::LiveCredentials => "Delete it: chancery credentials delete.",
            ObstacleKind::UnsettledLogins => {
                "Look at the CLOB whether the address has an API key. Or accept it and say why."
            }
            ObstacleKind::InUse => {
                "Rotate the client or the wallet, or close the wallet: chancery rotations open, chancery wallets close."
            }
            ObstacleKind::Registered => {
                "Have it removed and proved by a rotation. Or accept it and say why."
            }
        };
        let acceptable = kind.is_acceptable();
        Self {
            kind,
            detail,
            action,
            acceptable,
        }
    }
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.kind.name(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_only_what_the_service_cannot_see_is_accepted() {
        for kind in ObstacleKind::ALL {
            assert_eq!(ObstacleKind::from_name(kind.name()), Some(kind));
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name());
        }
        let known = [
            ObstacleKind::UnderWay,
            ObstacleKind::LiveCredentials,
            ObstacleKind::InUse,
        ];
        assert!(known.into_iter().all(|kind| !kind.is_acceptable()));
    }
}
