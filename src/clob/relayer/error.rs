//! Why the relayer did nothing, what its words mean, and whether it took effect all the same.

use crate::clob::venue::VenueError;
use crate::clob::wallet::Chain;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayerError {
    /// No relayer is configured for the wallet's chain.
    #[error("no relayer is configured for chain {}", .0.id())]
    NotConfigured(Chain),
    /// No connection was made.
    #[error("the relayer cannot be reached")]
    Unreachable,
    /// Too many requests.
    #[error("the relayer asks for fewer requests")]
    Throttled(Option<u32>),
    /// It said no.
    #[error("the relayer answered {status}: {text}")]
    Refused {
        /// 4xx.
        status: u16,
        /// Its `error`.
        text: String,
    },
    /// Nothing follows from what came, or did not come.
    #[error("{0}")]
    Unclear(String),
}

/// What the relayer means by a refusal, as far as somebody does something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Something else of the wallet is under way.
    Busy,
    /// The wallet was made a moment ago, and is not known there yet.
    NotKnownYet,
    /// The wallet's nonce is another one.
    OtherNonce,
    /// It carries out no such call.
    NotPermitted,
    /// Anything else.
    Other,
}

impl RelayerError {
    /// Whether it is certain that the call had no effect.
    pub fn settles(&self) -> bool {
        !matches!(self, Self::Unclear(_))
    }

    /// What a refusal means. Of its text nothing else is used.
    pub fn means(&self) -> Means {
        let Self::Refused { text, .. } = self else {
            return Means::Other;
        };
        let says = |words: &[&str]| words.iter().any(|it| text.contains(it));
        if says(&["wallet busy", "in-flight"]) {
            Means::Busy
        } else if says(&["registry validation failed"]) {
            Means::NotKnownYet
        } else if says(&["does not match on-chain nonce"]) {
            Means::OtherNonce
        } else if says(&["call blocked", "not permitted"]) {
            Means::NotPermitted
        } else {
            Means::Other
        }
    }
}

impl From<VenueError> for RelayerError {
    fn from(error: VenueError) -> Self {
        let unclear = |what: String| Self::Unclear(format!("the relayer {what}"));
        match error {
            VenueError::NotConfigured(chain) => Self::NotConfigured(chain),
            VenueError::Unreachable => Self::Unreachable,
            VenueError::Throttled { retry_after_s } => Self::Throttled(retry_after_s),
            VenueError::Refused { status, text } => Self::Refused { status, text },
            VenueError::NoAnswer => unclear("did not answer in time".into()),
            VenueError::Edge(status) => {
                let what = format!("did not answer, but something before it, {status} with a page");
                unclear(what)
            }
            VenueError::Redirected(status) => unclear(format!(
                "answered {status}, a redirect, which is not followed"
            )),
            VenueError::Wordless(status) => {
                unclear(format!("answered {status} and does not say why"))
            }
            VenueError::Down { status, text } => unclear(format!("answered {status}: {text}")),
            VenueError::Nonsense(call) => {
                unclear(format!("answered to {call} what is no such answer"))
            }
        }
    }
}
