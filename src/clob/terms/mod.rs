//! What has to be known of a market to make an order for it, and whose word counts.
//!
//! # Why
//! A caller knows their market, the venue knows it better. A wrong tick or neg-risk gives an order that
//! the venue refuses with a text that names neither, so a contradiction is refused here, by name. A tick
//! coarser than the market's is only modest, and stays.

use ruint::aliases::U256;

use super::amount::{Decimal, Tick};
use super::contracts::{DEFAULT_VERSION, Layout, Version};
use super::request::{MarketOrderRequest, OrderRequest, TokenId, VersionChoice, Whole};
use super::warning::Warning;

/// What a request says of its market.
#[derive(Debug, Clone, Copy)]
pub struct GivenTerms {
    /// Of which token.
    pub token_id: TokenId,
    /// The format wanted.
    pub version: VersionChoice,
    /// `tickSize`, if it was given.
    pub tick_size: Option<Tick>,
    /// `negRisk`, if it was given.
    pub neg_risk: Option<bool>,
    /// `feeRateBps`, if it was given.
    pub fee_rate_bps: Option<Whole>,
}

/// What the venue says of a market, as far as it was asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct VenueTerms {
    /// `minimum_tick_size`.
    pub tick_size: Option<Tick>,
    /// `neg_risk`.
    pub neg_risk: Option<bool>,
    /// `base_fee`.
    pub fee_rate_bps: Option<Whole>,
}

/// What an order is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The order format.
    pub version: Version,
    /// The tick.
    pub tick_size: Tick,
    /// Which exchange.
    pub neg_risk: bool,
    /// What version 1 signs as the fee.
    pub fee_rate_bps: U256,
    /// The fewest shares that the venue takes, where it is known.
    pub least_size: Option<Decimal>,
    /// What the trader should know.
    pub warnings: Vec<Warning>,
}

/// Why an order cannot be made for a market.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Neither the caller nor a venue says it.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The caller and the venue say different things.
    #[error("{field} is {given} in the request, and {said} at the CLOB")]
    Contradiction {
        /// The JSON name.
        field: &'static str,
        /// By the caller.
        given: String,
        /// By the venue.
        said: String,
    },
}

impl Terms {
    /// What the caller asked, where no venue is.
    pub fn given(asked: &GivenTerms) -> Result<Self, TermsError> {
        Self::agree(
            asked,
            asked.version.or(DEFAULT_VERSION),
            &VenueTerms::default(),
        )
    }

    /// Puts together what the caller asked and what the venue said.
    pub fn agree(
        asked: &GivenTerms,
        version: Version,
        said: &VenueTerms,
    ) -> Result<Self, TermsError> {
        let contradiction = |field, given: &dyn ToString, said: &dyn ToString| {
            Err(TermsError::Contradiction {
                field,
                given: given.to_string(),
                said: said.to_string(),
            })
        };
        let tick_size = match (asked.tick_size, said.tick_size) {
            (Some(given), Some(said)) if given < said => {
                return contradiction("tickSize", &given, &said);
            }
            (given, said) => given.or(said).ok_or(TermsError::Missing("tickSize"))?,
        };
        let neg_risk = match (asked.neg_risk, said.neg_risk) {
            (Some(given), Some(said)) if given != said => {
                return contradiction("negRisk", &given, &said);
            }
            (given, said) => given.or(said).ok_or(TermsError::Missing("negRisk"))?,
        };
        let mut warnings = Vec::new();
        let mut fee_rate_bps = asked.fee_rate_bps;
        if version.format().layout == Layout::Expiring {
            match (asked.fee_rate_bps, said.fee_rate_bps) {
                (Some(Whole(given)), Some(Whole(said))) if given != said => {
                    if said != U256::ZERO {
                        return contradiction("feeRateBps", &given, &said);
                    }
                    warnings.push(Warning {
                        code: "fee-rate-replaced",
                        text: format!(
                            "feeRateBps {given} was replaced by 0: the market has no fee"
                        ),
                    });
                    fee_rate_bps = Some(Whole(said));
                }
                (given, said) => fee_rate_bps = given.or(said),
            }
        }
        Ok(Self {
            version,
            tick_size,
            neg_risk,
            fee_rate_bps: fee_rate_bps.unwrap_or_default().0,
            least_size: None,
            warnings,
        })
    }
}

impl OrderRequest {
    /// What the request says of its market.
    pub fn given_terms(&self) -> GivenTerms {
        GivenTerms {
            token_id: self.token_id,
            version: self.version,
            tick_size: self.tick_size,
            neg_risk: self.neg_risk,
            fee_rate_bps: self.fee_rate_bps,
        }
    }
}

impl MarketOrderRequest {
    /// What the request says of its market.
    pub fn given_terms(&self) -> GivenTerms {
        GivenTerms {
            token_id: self.token_id,
            version: self.version,
            tick_size: self.tick_size,
            neg_risk: self.neg_risk,
            fee_rate_bps: self.fee_rate_bps,
        }
    }
}

#[cfg(test)]
mod tests;
