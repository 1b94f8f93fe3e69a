//! Why nothing is signed for the CLOB, or the CLOB refuses.

use super::{Problem, catalogue};
use crate::clob::OrderError;
use crate::clob::api_keys::ApiKeyError;
use crate::clob::builders::BuilderError;
use crate::clob::drains::DrainError;
use crate::clob::l2::RequestRefused;
use crate::clob::making::NotMade;
use crate::clob::market::MarketError;
use crate::clob::terms::TermsError;
use crate::clob::typed_data::TypedDataError;
use crate::clob::venue::VenueError;
use crate::clob::wallets::{FunderError, WalletError};
use crate::credentials::LoginRefused;

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        Self::new(&catalogue::ORDER_REFUSED, error)
    }
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Order(error @ OrderError::NoMatch(_)) => {
                Self::new(&catalogue::NO_MATCH, error)
            }
            NotMade::Order(error) => error.into(),
            NotMade::Market(error) => error.into(),
        }
    }
}

impl From<MarketError> for Problem {
    fn from(error: MarketError) -> Self {
        let detail = error.to_string();
        match error {
            MarketError::Venue { field: _, error } => Self {
                detail,
                ..error.into()
            },
            MarketError::NotSaid { .. } | MarketError::Terms(TermsError::Missing(_)) => {
                Self::new(&catalogue::VENUE_NOT_CONFIGURED, detail)
            }
            MarketError::Terms(TermsError::Contradiction { .. }) => {
                Self::new(&catalogue::VENUE_CONTRADICTS, detail)
            }
            MarketError::UnknownVersion(_) => Self::new(&catalogue::VENUE_VERSION, detail),
        }
    }
}

impl From<TypedDataError> for Problem {
    fn from(error: TypedDataError) -> Self {
        Self::new(&catalogue::TYPED_DATA_REFUSED, error)
    }
}

impl From<VenueError> for Problem {
    fn from(error: VenueError) -> Self {
        match error {
            VenueError::NotConfigured(_) => Self::new(&catalogue::VENUE_NOT_CONFIGURED, error),
            VenueError::Refused { .. } => Self::new(&catalogue::VENUE_REFUSED, error),
            VenueError::Edge(_) | VenueError::Redirected(_) => {
                Self::new(&catalogue::VENUE_EDGE, error)
            }
            VenueError::Nonsense(_) | VenueError::Wordless(_) => {
                Self::new(&catalogue::VENUE_ANSWER, error)
            }
            VenueError::Throttled { retry_after_s } => {
                Self::new(&catalogue::VENUE_UNAVAILABLE, error)
                    .retry_after(retry_after_s.unwrap_or(1))
            }
            VenueError::Unreachable | VenueError::NoAnswer | VenueError::Down { .. } => {
                Self::new(&catalogue::VENUE_UNAVAILABLE, error).retry_after(1)
            }
        }
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::NotDerived { .. } => Self::new(&catalogue::COULD_NOT_DERIVE, error),
            ApiKeyError::UsedElsewhere { .. } => Self::new(&catalogue::NONCE_ALREADY_USED, error),
            ApiKeyError::NotCreated { .. } => Self::new(&catalogue::COULD_NOT_CREATE, error),
            ApiKeyError::LoginRefused { .. } => Self::new(&catalogue::LOGIN_REFUSED, error),
            ApiKeyError::Funder(_) => Self::new(&catalogue::FUNDER_REFUSED, error),
            ApiKeyError::Unknown(_) => {
                Self::new(&catalogue::CREDENTIAL_UNKNOWN, error).retry_after(2)
            }
            ApiKeyError::Contradiction(_) => Self::new(&catalogue::VENUE_ANSWER, error),
            ApiKeyError::Bounds => Self::new(&catalogue::INVALID_FIELD, format!("to: {error}")),
            ApiKeyError::NotFound => Self::not_found("API key or search"),
            ApiKeyError::NotUsable(_) => Self::new(&catalogue::CREDENTIAL_NOT_USABLE, error),
            ApiKeyError::ApprovalNeeded(needed) => needed.into(),
            ApiKeyError::Venue(error) => error.into(),
            ApiKeyError::Signing(error) => error.into(),
            ApiKeyError::Custody(error) => error.into(),
            ApiKeyError::Ledger(error) => error.into(),
        }
    }
}

impl From<LoginRefused> for Problem {
    fn from(refused: LoginRefused) -> Self {
        match refused {
            LoginRefused::AlreadyMade { .. } => Self::new(&catalogue::NONCE_ALREADY_USED, refused),
            LoginRefused::NotMade(_) => Self::new(&catalogue::DENIED, refused),
            LoginRefused::Unsettled { .. } => {
                Self::new(&catalogue::NONCE_UNSETTLED, refused).retry_after(30)
            }
            LoginRefused::WouldReplace { .. } => Self::new(&catalogue::WOULD_REPLACE, refused),
        }
    }
}

impl From<RequestRefused> for Problem {
    fn from(refused: RequestRefused) -> Self {
        match refused {
            RequestRefused::Method
            | RequestRefused::Query
            | RequestRefused::Path
            | RequestRefused::Body
            | RequestRefused::Nul
            | RequestRefused::Envelope
            | RequestRefused::Owner(_)
            | RequestRefused::Timestamp(_) => Self::new(&catalogue::INVALID_FIELD, refused),
        }
    }
}

impl From<BuilderError> for Problem {
    fn from(error: BuilderError) -> Self {
        match error {
            BuilderError::ApiKey | BuilderError::Secret | BuilderError::Passphrase => {
                Self::new(&catalogue::INVALID_FIELD, error)
            }
            BuilderError::Changed => Self::new(&catalogue::IN_FLIGHT, error).retry_after(1),
            BuilderError::Which(_) => Self::new(&catalogue::NO_CREDENTIAL, error),
            BuilderError::ApprovalNeeded(needed) => needed.into(),
            BuilderError::Custody(error) => error.into(),
            BuilderError::Ledger(error) => error.into(),
        }
    }
}

impl From<DrainError> for Problem {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::TakesOrders(_) | DrainError::Remain(_) => {
                Self::new(&catalogue::ORDERS_OPEN, error)
            }
            DrainError::Changed => Self::new(&catalogue::KEY_CHANGED, error),
            DrainError::ApiKey(error) => error.into(),
            DrainError::Ledger(error) => error.into(),
        }
    }
}

impl From<WalletError> for Problem {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::NameTaken => Self::new(&catalogue::NAME_TAKEN, error),
            WalletError::NotFound => Self::not_found("wallet"),
            WalletError::NotOver(_) | WalletError::Closed => {
                Self::new(&catalogue::WALLET_IN_USE, error)
            }
            WalletError::WrongKey | WalletError::OthersKey => {
                Self::new(&catalogue::INVALID_FIELD, format!("key: {error}"))
            }
            WalletError::Profile(error) => Self::new(&catalogue::INVALID_FIELD, error),
            WalletError::Funder(error) => match error {
                FunderError::Missing(..) => Self::new(&catalogue::INVALID_FIELD, error),
                FunderError::NotDerived { .. } | FunderError::SessionKey(_) => {
                    Self::new(&catalogue::FUNDER_NOT_DERIVED, error)
                }
            },
            WalletError::Key(error) => error.into(),
            WalletError::Ledger(error) => error.into(),
        }
    }
}
