//! Why a call to the CLOB brought nothing, and whether it took effect all the same.

use super::wallet::Chain;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VenueError {
    /// No CLOB is configured for the wallet's chain.
    #[error("no CLOB is configured for chain {}", .0.id())]
    NotConfigured(Chain),
    /// No connection was made.
    #[error("the CLOB cannot be reached")]
    Unreachable,
    /// The request was sent; the answer was lost or did not come in time.
    #[error("the CLOB did not answer in time")]
    NoAnswer,
    /// Not the CLOB but what stands in front of it.
    #[error("the CLOB's web firewall or proxy answered {0} with a page, not the CLOB itself")]
    Edge(u16),
    /// A redirect, which is not followed: credentials would go with it.
    #[error("the CLOB answered {0}, a redirect, which is not followed")]
    Redirected(u16),
    /// A refusal that is neither a page nor in the CLOB's own form.
    #[error("the CLOB answered {0} and does not say why")]
    Wordless(u16),
    /// Too many requests.
    #[error("the CLOB asks for fewer requests")]
    Throttled {
        /// As it says, in seconds.
        retry_after_s: Option<u32>,
    },
    /// A fault of its own.
    #[error("the CLOB answered {status}: {text}")]
    Down {
        /// 5xx.
        status: u16,
        /// Its `error`.
        text: String,
    },
    /// It said no.
    #[error("the CLOB answered {status}: {text}")]
    Refused {
        /// 4xx.
        status: u16,
        /// Its `error`.
        text: String,
    },
    /// An answer that is not what the call answers.
    #[error("the CLOB's answer to {0} is not what it should be")]
    Nonsense(&'static str),
}

impl VenueError {
    /// Whether it is certain that the call had no effect.
    pub fn settles(&self) -> bool {
        match self {
            Self::NotConfigured(_)
            | Self::Unreachable
            | Self::Throttled { .. }
            | Self::Refused { .. } => true,
            Self::NoAnswer
            | Self::Edge(_)
            | Self::Redirected(_)
            | Self::Wordless(_)
            | Self::Down { .. }
            | Self::Nonsense(_) => false,
        }
    }
}
