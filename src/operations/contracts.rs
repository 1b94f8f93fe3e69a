//! The contracts that operations are about, by name. An address comes from here and from nowhere else.
//!
//! Some look alike on purpose of their makers (the adapters of both generations begin with the same digits), and an
//! approval of an address without code succeeds: neither an eye nor the chain tells a wrong one.

use ruint::aliases::U256;

use crate::ethereum::{Address, bytes};

words! {
    /// A contract of the venue, or one that its wallets are made of.
    #[derive(PartialOrd, Ord, utoipa::ToSchema)]
    #[schema(as = OperationContract)]
    pub enum Contract {
        /// What orders are paid in, since version 2. 6 decimals.
        Pusd = "pusd",
        /// Bridged USDC.
        Usdce = "usdce",
        /// Native USDC.
        Usdc = "usdc",
        /// The positions of versions 1 and 2.
        Ctf = "ctf",
        /// The positions of version 3.
        PositionManager = "position_manager",
        /// Takes orders of version 2.
        ExchangeV2 = "exchange_v2",
        /// The same for neg-risk markets.
        NegRiskExchangeV2 = "neg_risk_exchange_v2",
        /// Takes orders of version 3.
        ExchangeV3 = "exchange_v3",
        /// Splits, merges and redeems.
        CollateralAdapter = "collateral_adapter",
        /// The same for neg-risk markets, and converts.
        NegRiskCollateralAdapter = "neg_risk_collateral_adapter",
        /// Splits, merges and redeems positions of version 3.
        Router = "router",
        /// Moves positions of version 2 to version 3.
        BinaryModule = "binary_module",
        /// The same for neg-risk markets.
        NegRiskModule = "neg_risk_module",
        /// Wraps USDC.
        Onramp = "onramp",
        /// Unwraps it.
        Offramp = "offramp",
        /// Redeems by itself what it may move.
        AutoRedeemer = "auto_redeemer",
        /// Takes deposits for perpetuals.
        PerpsDeposit = "perps_deposit",
        /// Took orders of version 1.
        ExchangeV1 = "exchange_v1",
        /// The same for neg-risk markets.
        NegRiskExchangeV1 = "neg_risk_exchange_v1",
        /// The adapter of neg-risk markets of version 1.
        NegRiskAdapter = "neg_risk_adapter",
        /// The adapter before the present one.
        CollateralAdapterOld = "collateral_adapter_old",
        /// The same for neg-risk markets.
        NegRiskCollateralAdapterOld = "neg_risk_collateral_adapter_old",
        /// Makes Safes.
        SafeFactory = "safe_factory",
        /// Safe's `MultiSend`, which could delegate too.
        Multisend = "multisend",
        /// Makes proxy wallets, and calls with them.
        ProxyFactory = "proxy_factory",
        /// Through which proxy wallets are called.
        RelayHub = "relay_hub",
        /// Makes deposit wallets.
        DepositFactory = "deposit_factory",
    }
}

/// On chain 137, and on 80002 where that is published.
#[rustfmt::skip]
const fn addresses(contract: Contract) -> (&'static str, Option<&'static str>) {
    use Contract as C;
    match contract {
        C::Pusd => same("C011a7E12a19f7B1f670d46F03B03f3342E82DFB"),
        C::Usdce => ("2791Bca1f2de4661ED88A30C99A7a9449Aa84174", None),
        C::Usdc => ("3c499c542cEF5E3811e1192ce70d8cC03d5c3359", None),
        C::Ctf => ("4D97DCd97eC945f40cF65F87097ACe5EA0476045", Some("69308FB512518e39F9b16112fA8d994F4e2Bf8bB")),
        C::PositionManager => ("006F54F7f9A22e0000CC2AB60031000000ae9fEF", None),
        C::ExchangeV2 => same("E111180000d2663C0091e4f400237545B87B996B"),
        C::NegRiskExchangeV2 => same("e2222d279d744050d28e00520010520000310F59"),
        C::ExchangeV3 => ("e3333700cA9d93003F00f0F71f8515005F6c00Aa", Some("9fE6e61422AdB6F610d8597F9684b16912D50C3D")),
        C::CollateralAdapter => ("AdA100Db00Ca00073811820692005400218FcE1f", None),
        C::NegRiskCollateralAdapter => ("adA2005600Dec949baf300f4C6120000bDB6eAab", None),
        C::Router => ("12121212006e4CD160D18e3f00711DA5c3372600", None),
        C::BinaryModule => ("1000008dD9001B968442c1000017eaE6E0dA00Ba", None),
        C::NegRiskModule => ("200000900045e3B6259600682756002200028933", None),
        C::Onramp => ("93070a847efEf7F70739046A929D47a521F5B8ee", None),
        C::Offramp => ("2957922Eb93258b93368531d39fAcCA3B4dC5854", None),
        C::AutoRedeemer => ("a1200000d0002264C9a1698e001292D00E1b00af", None),
        C::PerpsDeposit => ("DCa4af75705dbB50f62437045afF9921947917d2", None),
        C::ExchangeV1 => ("4bFb41d5B3570DeFd03C39a9A4D8dE6Bd8B8982E", Some("dFE02Eb6733538f8Ea35D585af8DE5958AD99E40")),
        C::NegRiskExchangeV1 => same("C5d563A36AE78145C45a50134d48A1215220f80a"),
        C::NegRiskAdapter => ("d91E80cF2E7be2e162c6513ceD06f1dD0dA35296", None),
        C::CollateralAdapterOld => same("ADa100874d00e3331D00F2007a9c336a65009718"),
        C::NegRiskCollateralAdapterOld => same("AdA200001000ef00D07553cEE7006808F895c6F1"),
        C::SafeFactory => same("aacFeEa03eb1561C4e67d661e40682Bd20E3541b"),
        C::Multisend => same("A238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761"),
        C::ProxyFactory => ("aB45c5A4B0c941a2F231C04C3f49182e1A254052", None),
        C::RelayHub => ("D216153c06E857cD7f72665E0aF1d7D82172F494", None),
        C::DepositFactory => same("00000000000Fb5C9ADea0298D729A0CB3823Cc07"),
    }
}

const fn same(address: &'static str) -> (&'static str, Option<&'static str>) {
    (address, Some(address))
}

/// A contract that is not known on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no {contract} on chain {chain_id}")]
pub struct NotThere {
    /// Which.
    pub contract: Contract,
    /// Where.
    pub chain_id: u64,
}

impl Contract {
    /// Where it is on a chain.
    pub fn on(self, chain_id: u64) -> Result<Address, NotThere> {
        let (polygon, amoy) = addresses(self);
        let digits = match chain_id {
            137 => Some(polygon),
            80002 => amoy,
            _ => None,
        };
        let contract = self;
        let digits = digits.ok_or(NotThere { contract, chain_id })?;
        Ok(Address(bytes(digits)))
    }

    /// Which one this is on a chain.
    pub fn at(chain_id: u64, address: Address) -> Option<Self> {
        let is_it = |it: &Self| it.on(chain_id) == Ok(address);
        Self::ALL.into_iter().find(is_it)
    }

    /// Whether it is money.
    pub fn is_collateral(self) -> bool {
        matches!(self, Self::Pusd | Self::Usdce | Self::Usdc)
    }

    /// Whether it holds positions.
    pub fn is_positions(self) -> bool {
        matches!(self, Self::Ctf | Self::PositionManager)
    }

    /// Whether it is one of the adapters that are in use.
    pub fn is_adapter(self) -> bool {
        matches!(
            self,
            Self::CollateralAdapter | Self::NegRiskCollateralAdapter
        )
    }
}

words! {
    /// What is approved together.
    #[derive(PartialOrd, Ord, utoipa::ToSchema)]
    #[schema(as = SetUpProfile)]
    pub enum SetUp {
        /// Orders of version 2, and what splits, merges, redeems and converts.
        ClobV2 = "clob-v2",
        /// Orders of version 3, its router, and the modules that move positions there.
        ClobV3 = "clob-v3",
        /// Lets a bot of the venue's move every position, to redeem it.
        AutoRedeem = "auto-redeem",
    }
}

/// A token, and whom it is approved to.
pub type Approved = (Contract, Contract);

impl SetUp {
    /// Whom money is approved to, and positions.
    pub fn approvals(self) -> (&'static [Approved], &'static [Approved]) {
        use Contract as C;
        match self {
            Self::ClobV2 => (
                &[
                    (C::Pusd, C::ExchangeV2),
                    (C::Pusd, C::NegRiskExchangeV2),
                    (C::Pusd, C::CollateralAdapter),
                    (C::Pusd, C::NegRiskCollateralAdapter),
                ],
                &[
                    (C::Ctf, C::ExchangeV2),
                    (C::Ctf, C::NegRiskExchangeV2),
                    (C::Ctf, C::CollateralAdapter),
                    (C::Ctf, C::NegRiskCollateralAdapter),
                ],
            ),
            Self::ClobV3 => (
                &[(C::Pusd, C::ExchangeV3), (C::Pusd, C::Router)],
                &[
                    (C::PositionManager, C::ExchangeV3),
                    (C::PositionManager, C::Router),
                    (C::Ctf, C::BinaryModule),
                    (C::Ctf, C::NegRiskModule),
                ],
            ),
            Self::AutoRedeem => (
                &[],
                &[
                    (C::Ctf, C::AutoRedeemer),
                    (C::PositionManager, C::AutoRedeemer),
                ],
            ),
        }
    }

    /// The profile that an approval belongs to.
    pub fn of(approved: Approved) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| {
            let (money, positions) = profile.approvals();
            money.contains(&approved) || positions.contains(&approved)
        })
    }
}

/// What a wallet may have approved over the years and nothing approves any more.
pub(super) const FORMER: (&[Approved], &[Approved]) = {
    use Contract as C;
    (
        &[
            (C::Usdce, C::Ctf),
            (C::Usdce, C::ExchangeV1),
            (C::Usdce, C::NegRiskAdapter),
            (C::Usdce, C::NegRiskExchangeV1),
            (C::Usdce, C::Onramp),
            (C::Usdc, C::Onramp),
            (C::Pusd, C::Offramp),
            (C::Pusd, C::PerpsDeposit),
            (C::Pusd, C::CollateralAdapterOld),
            (C::Pusd, C::NegRiskCollateralAdapterOld),
        ],
        &[
            (C::Ctf, C::ExchangeV1),
            (C::Ctf, C::NegRiskAdapter),
            (C::Ctf, C::NegRiskExchangeV1),
            (C::Ctf, C::CollateralAdapterOld),
            (C::Ctf, C::NegRiskCollateralAdapterOld),
        ],
    )
};

/// "Without a bound", as ERC-20 has it.
pub const MAX: U256 = U256::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_has_one_address_of_its_own_on_each_chain() {
        for chain in [137, 80002] {
            for contract in Contract::ALL {
                if let Ok(address) = contract.on(chain) {
                    assert_eq!(Contract::at(chain, address), Some(contract));
                    let digits = &address.to_string()[2..];
                    let (polygon, amoy) = addresses(contract);
                    assert!(digits == polygon || Some(digits) == amoy, "{contract}");
                }
            }
        }
        assert!(Contract::ALL.iter().all(|it| it.on(137).is_ok()));
        assert!(Contract::Router.on(80002).is_err());
        assert!(Contract::Pusd.on(1).is_err());
    }
}
