//! Order formats and the exchanges that take them, as data. A new format is an entry in each table.

use std::fmt;
use std::sync::LazyLock;

use super::wallet::Chain;
use crate::ethereum::eip712::Domain;
use crate::ethereum::{Address, keccak256};

/// A format of orders. Equals the `version` of its EIP-712 domain; a number in JSON.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "u8", try_from = "u8")]
pub enum Version {
    /// The `SignedOrder` of the CLOB documentation. Refused by production since 2026-04-28.
    V1,
    /// What production has taken since 2026-04-28.
    V2,
    /// V2's struct on the contract for position ids of June 2026.
    V3,
}

/// Which fields a format signs besides those that all formats share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `taker`, `expiration`, `nonce`, `feeRateBps`.
    Expiring,
    /// `timestamp`, `metadata`, `builder`; the expiration travels unsigned.
    Timestamped,
}

/// One version of the order's struct.
#[derive(Debug)]
pub struct Format {
    /// Which one it is.
    pub version: Version,
    /// The fields it signs.
    pub layout: Layout,
    /// `encodeType` of the order.
    pub order_type: &'static str,
    /// Keccak-256 of `order_type`.
    pub order_type_hash: [u8; 32],
    /// Type hash of the ERC-7739 `TypedDataSign` with this order as its contents.
    pub nested_type_hash: [u8; 32],
}

/// A contract that settles orders.
#[derive(Debug)]
pub struct Exchange {
    /// The format it takes.
    pub version: Version,
    /// Where it is deployed.
    pub chain: Chain,
    /// Whether it is the one for neg-risk markets.
    pub neg_risk: bool,
    /// Its EIP-712 domain.
    pub domain: Domain,
    /// The domain's separator.
    pub separator: [u8; 32],
}

/// `name` of every exchange's domain.
pub const DOMAIN_NAME: &str = "Polymarket CTF Exchange";

const EXPIRING: &str = "Order(uint256 salt,address maker,address signer,address taker,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint256 expiration,uint256 nonce,uint256 feeRateBps,uint8 side,uint8 signatureType)";
const TIMESTAMPED: &str = "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)";
/// ERC-7739's wrapper, before the type string of its contents.
pub(super) const NESTED: &str = "TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)";

const FORMATS: [(Version, Layout, &str); 3] = [
    (Version::V1, Layout::Expiring, EXPIRING),
    (Version::V2, Layout::Timestamped, TIMESTAMPED),
    (Version::V3, Layout::Timestamped, TIMESTAMPED),
];

/// Source: the official clients' configuration. For V1, Amoy, neg-risk they disagree (two older ones
/// name the adapter); this is what the four others and the reference vectors say.
#[rustfmt::skip]
const EXCHANGES: [(Version, Chain, bool, &str); 12] = [
    (Version::V1, Chain::Polygon, false, "0x4bFb41d5B3570DeFd03C39a9A4D8dE6Bd8B8982E"),
    (Version::V1, Chain::Polygon, true,  "0xC5d563A36AE78145C45a50134d48A1215220f80a"),
    (Version::V1, Chain::Amoy,    false, "0xdFE02Eb6733538f8Ea35D585af8DE5958AD99E40"),
    (Version::V1, Chain::Amoy,    true,  "0xC5d563A36AE78145C45a50134d48A1215220f80a"),
    (Version::V2, Chain::Polygon, false, "0xE111180000d2663C0091e4f400237545B87B996B"),
    (Version::V2, Chain::Polygon, true,  "0xe2222d279d744050d28e00520010520000310F59"),
    (Version::V2, Chain::Amoy,    false, "0xE111180000d2663C0091e4f400237545B87B996B"),
    (Version::V2, Chain::Amoy,    true,  "0xe2222d279d744050d28e00520010520000310F59"),
    (Version::V3, Chain::Polygon, false, "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    (Version::V3, Chain::Polygon, true,  "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    (Version::V3, Chain::Amoy,    false, "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"),
    (Version::V3, Chain::Amoy,    true,  "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"),
];

/// Settles neg-risk positions and takes no orders, whatever two of the older clients believe.
pub(super) const NEG_RISK_ADAPTER: &str = "0xd91E80cF2E7be2e162c6513ceD06f1dD0dA35296";

static HASHED_FORMATS: LazyLock<[Format; 3]> = LazyLock::new(|| {
    FORMATS.map(|(version, layout, order_type)| Format {
        version,
        layout,
        order_type,
        order_type_hash: keccak256(order_type),
        nested_type_hash: keccak256(format!("{NESTED}{order_type}")),
    })
});

static HASHED_EXCHANGES: LazyLock<[Exchange; 12]> = LazyLock::new(|| {
    EXCHANGES.map(|(version, chain, neg_risk, contract)| {
        let contract = contract
            .parse()
            .expect("the table's addresses have their checksums");
        let domain = Domain {
            name: DOMAIN_NAME,
            version: version.text(),
            chain_id: chain.id(),
            verifying_contract: Some(contract),
        };
        Exchange {
            version,
            chain,
            neg_risk,
            domain,
            separator: domain.separator(),
        }
    })
});

/// All exchanges, in the order of the table.
pub(super) fn exchanges() -> &'static [Exchange] {
    HASHED_EXCHANGES.as_slice()
}

impl Version {
    /// The number, as the domain writes it.
    pub fn text(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }

    /// The version that a domain writes so.
    pub fn of_text(text: &str) -> Option<Self> {
        [Self::V1, Self::V2, Self::V3]
            .into_iter()
            .find(|version| version.text() == text)
    }

    /// The format's entry, with its hashes.
    #[expect(clippy::missing_panics_doc, reason = "a test shows the table complete")]
    pub fn format(self) -> &'static Format {
        HASHED_FORMATS
            .iter()
            .find(|format| format.version == self)
            .expect("a test finds every version in the table")
    }

    /// The exchange that takes this format.
    #[expect(clippy::missing_panics_doc, reason = "a test shows the table complete")]
    pub fn exchange(self, chain: Chain, neg_risk: bool) -> &'static Exchange {
        HASHED_EXCHANGES
            .iter()
            .find(|it| (it.version, it.chain, it.neg_risk) == (self, chain, neg_risk))
            .expect("a test finds every combination in the table")
    }
}

impl Exchange {
    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        HASHED_EXCHANGES.iter()
    }

    /// The exchange that a domain names.
    pub fn at(version: Version, chain: Chain, contract: Address) -> Option<&'static Self> {
        Self::all().find(|it| {
            (it.version, it.chain, it.domain.verifying_contract) == (version, chain, Some(contract))
        })
    }
}

/// Why a number is not a version of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {0} of orders is unknown; use 1, 2, 3 or \"auto\"")]
pub struct NotAVersion(pub u64);

impl From<Version> for u8 {
    fn from(version: Version) -> Self {
        match version {
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V3 => 3,
        }
    }
}

/// What `auto` means where no venue is asked.
pub const DEFAULT_VERSION: Version = Version::V2;

impl TryFrom<u8> for Version {
    type Error = NotAVersion;

    fn try_from(number: u8) -> Result<Self, NotAVersion> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            3 => Ok(Self::V3),
            _ => Err(NotAVersion(number.into())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_format_and_an_exchange_for_every_market() {
        for version in [Version::V1, Version::V2, Version::V3] {
            assert_eq!(version.format().version, version);
            assert_eq!(Version::try_from(u8::from(version)), Ok(version));
            for chain in [Chain::Polygon, Chain::Amoy] {
                for neg_risk in [false, true] {
                    let exchange = version.exchange(chain, neg_risk);
                    assert_eq!(exchange.domain.version, version.text());
                    assert_eq!(exchange.domain.chain_id, chain.id());
                }
            }
        }
    }

    #[test]
    fn the_adapter_is_no_exchange() {
        let adapter = NEG_RISK_ADAPTER.parse().ok();
        assert!(adapter.is_some());
        assert!(Exchange::all().all(|it| it.domain.verifying_contract != adapter));
    }

    #[test]
    fn the_order_type_has_the_length_that_nested_signatures_write() {
        assert_eq!(Version::V2.format().order_type.len(), 0xba);
    }
}
