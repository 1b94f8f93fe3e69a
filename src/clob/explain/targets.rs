//! Where an order may have been signed for: the exchanges, and domains that none of them has.

use super::super::contracts::{
    DOMAIN_NAME, Exchange, Format, Layout, NEG_RISK_ADAPTER, Version, exchanges,
};
use super::super::l1;
use super::super::wallet::Chain;
use super::given::Fields;
use crate::ethereum::Address;
use crate::ethereum::eip712::Domain;

/// Chains that a client signs for when it was set up wrong: Ethereum, and a developer's own.
pub(super) const STRAY_CHAINS: [u64; 2] = [1, 31337];

/// The domain of logins, which a client can leave in place when it signs an order.
pub(super) const LOGIN_DOMAIN: &str = l1::DOMAIN_NAME;

/// Where an order may have been meant for.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) format: &'static Format,
    /// None: no exchange has this domain.
    pub(super) exchange: Option<&'static Exchange>,
    pub(super) domain: Domain,
    pub(super) separator: [u8; 32],
}

pub(super) fn layout(fields: &Fields) -> Layout {
    if fields.expiring.is_some() {
        Layout::Expiring
    } else {
        Layout::Timestamped
    }
}

/// The exchanges, for each layout that the order may be signed in.
pub(super) fn official(fields: &Fields) -> Vec<Target> {
    let of = |exchange: &'static Exchange| Target {
        format: exchange.version.format(),
        exchange: Some(exchange),
        domain: exchange.domain,
        separator: exchange.separator,
    };
    let own = layout(fields);
    // What has version 2's members may have been signed with version 1's defaults, not vice versa.
    let signable = |it: &Target| own == Layout::Timestamped || it.format.layout == own;
    exchanges().iter().map(of).filter(signable).collect()
}

/// Domains that no exchange has, but that clients sign under by mistake.
pub(super) fn strays(fields: &Fields) -> Vec<Target> {
    let mut contracts: Vec<Option<Address>> = vec![None, NEG_RISK_ADAPTER.parse().ok()];
    contracts.extend(exchanges().iter().map(|it| it.domain.verifying_contract));
    contracts.sort_unstable();
    contracts.dedup();
    let chains = [Chain::Polygon.id(), Chain::Amoy.id()];
    let own = layout(fields);
    let mut strays = Vec::new();
    for format in [Version::V1, Version::V2].map(Version::format) {
        // As with the exchanges: version 2's members can be signed as version 1's.
        if own == Layout::Expiring && format.layout != own {
            continue;
        }
        let mut add = |domain: Domain| {
            strays.push(Target {
                format,
                exchange: None,
                domain,
                separator: domain.separator(),
            });
        };
        for verifying_contract in &contracts {
            for chain_id in chains {
                add(Domain {
                    name: LOGIN_DOMAIN,
                    version: "1",
                    chain_id,
                    verifying_contract: *verifying_contract,
                });
            }
        }
        for version in ["1", "2", "3"] {
            for chain_id in chains.into_iter().chain(STRAY_CHAINS) {
                for verifying_contract in &contracts {
                    add(Domain {
                        name: DOMAIN_NAME,
                        version,
                        chain_id,
                        verifying_contract: *verifying_contract,
                    });
                }
            }
        }
    }
    strays
}
