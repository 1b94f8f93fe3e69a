//! A refusal: which limit, how much of it is used, what was asked for, and when there is room.

use std::fmt;

use time::OffsetDateTime;

use super::{Scope, ScopeKind};

/// A limit that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LimitExceeded)]
pub struct Exceeded {
    /// Which, as it is written in the limits of what has it.
    #[schema(value_type = String, example = "notional_1h")]
    pub limit: &'static str,
    /// Of what kind of thing.
    pub scope: ScopeKind,
    /// Of which: an id, a token id, `all`.
    pub id: String,
    /// What it allows. Amounts are in base units of 10⁻⁶.
    #[schema(example = "500000000")]
    pub value: String,
    /// How much of it is used, where it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// What was asked for.
    pub asked: String,
    /// When there is room for it, as things are; left out where that is not a question of time.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub resets_at: Option<OffsetDateTime>,
}

impl Exceeded {
    /// The limit that is used up by what is signed and not over yet.
    pub const OPEN_EXPOSURE: &str = "open_exposure";

    /// A limit that allows this, where that was asked for.
    pub(super) fn new(
        limit: &'static str,
        scope: &Scope,
        value: String,
        asked: String,
    ) -> Box<Self> {
        Box::new(Self {
            limit,
            scope: scope.kind(),
            id: scope.subject(),
            value,
            used: None,
            asked,
            resets_at: None,
        })
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            scope,
            id,
            value,
            asked,
            ..
        } = self;
        write!(f, "{limit} of {scope} {id} is {value}")?;
        if let Some(used) = &self.used {
            write!(f, ", {used} of it is used")?;
        }
        write!(f, "; asked for: {asked}")
    }
}
