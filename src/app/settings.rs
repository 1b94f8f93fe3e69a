//! What the service is wired from: a section of the configuration for each module.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use crate::name::Name;
use crate::{
    approvals, attestation, callers, clob, clock, collector, cryptoperiods, custody, destruction,
    evidence, idempotency, ledger, notices, oauth, policy, recipients, rotations, sealing,
    sessions, signing,
};

/// Everything that can be set, but what is the edge's own. Unknown names are refused.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The replica's name in the audit log; the host's unless it is set.
    #[serde(default)]
    pub writer: Option<Name>,
    /// `[http]`
    #[serde(default)]
    #[expect(dead_code, reason = "a name that is known here, and read by the edge")]
    http: IgnoredAny,
    /// `[metrics]`
    #[serde(default)]
    #[expect(dead_code, reason = "a name that is known here, and read by the edge")]
    metrics: IgnoredAny,
    /// `[telemetry]`
    #[serde(default)]
    pub telemetry: collector::Settings,
    /// `[ledger]`
    pub ledger: ledger::Settings,
    /// `[clock]`
    #[serde(default)]
    pub clock: clock::Settings,
    /// `[sealing]`
    pub sealing: sealing::Settings,
    /// `[custody.NAME]`, one for each device.
    pub custody: BTreeMap<Name, custody::Settings>,
    /// `[secrets]`
    #[serde(default)]
    pub secrets: custody::hmac::Settings,
    /// `[policy]`
    pub policy: policy::Settings,
    /// `[callers]`
    #[serde(default)]
    pub callers: callers::Settings,
    /// `[console]`
    #[serde(default)]
    pub console: sessions::Settings,
    /// `[approvals]`
    #[serde(default)]
    pub approvals: approvals::Settings,
    /// `[idempotency]`
    #[serde(default)]
    pub idempotency: idempotency::Settings,
    /// `[signing]`
    #[serde(default)]
    pub signing: signing::Settings,
    /// `[evidence]`
    #[serde(default)]
    pub evidence: evidence::Settings,
    /// `[recipients]`
    #[serde(default)]
    pub recipients: recipients::Settings,
    /// `[notices]`
    #[serde(default)]
    pub notices: notices::Settings,
    /// `[cryptoperiods]`
    #[serde(default)]
    pub cryptoperiods: cryptoperiods::Settings,
    /// `[attestation]`
    #[serde(default)]
    pub attestation: attestation::Settings,
    /// `[destruction]`
    #[serde(default)]
    pub destruction: destruction::Settings,
    /// `[clob]`
    #[serde(default)]
    pub clob: clob::venue::Settings,
    /// `[relayer]`
    #[serde(default)]
    pub relayer: clob::relayer::Settings,
    /// `[l2]`
    #[serde(default)]
    pub l2: clob::l2::Settings,
    /// `[oauth]`
    #[serde(default)]
    pub oauth: oauth::environment::Settings,
    /// `[rotations]`
    #[serde(default)]
    pub rotations: rotations::Settings,
}
