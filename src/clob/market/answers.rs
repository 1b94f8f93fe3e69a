//! The venue's answers about its markets, as far as they are needed.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ethereum::eip712::Bytes32;

#[derive(Deserialize)]
pub(super) struct TickAnswer {
    /// A JSON number, which must not pass through a double.
    pub(super) minimum_tick_size: Box<RawValue>,
}

#[derive(Deserialize)]
pub(super) struct NegRiskAnswer {
    pub(super) neg_risk: bool,
}

#[derive(Deserialize)]
pub(super) struct FeeAnswer {
    pub(super) base_fee: u64,
}

/// `GET /markets-by-token/{token}`
#[derive(Deserialize)]
pub(super) struct MarketOfToken {
    /// 32 bytes, and no path of somebody's choice.
    pub(super) condition_id: Bytes32,
}

/// `GET /clob-markets/{condition}`, as far as it is needed: `fd` is what a taker pays.
#[derive(Deserialize)]
pub(super) struct MarketInfo {
    pub(super) fd: Option<FeeInfo>,
}

#[derive(Deserialize)]
pub(super) struct FeeInfo {
    /// The rate.
    pub(super) r: Box<RawValue>,
    /// The exponent.
    pub(super) e: Box<RawValue>,
}

/// `GET /fees/builder-fees/{code}`
#[derive(Deserialize)]
pub(super) struct BuilderFees {
    pub(super) builder_taker_fee_rate_bps: u64,
}

#[derive(Deserialize)]
pub(super) struct VersionAnswer {
    pub(super) version: u64,
}
