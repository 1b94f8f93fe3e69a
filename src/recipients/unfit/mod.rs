//! To what nothing should be sent.

use std::str::FromStr;

use crate::clob::Chain;
use crate::clob::contracts::Exchange;
use crate::clob::wallets::Wallet;
use crate::ethereum::Address;
use crate::ethereum::address::NotAnAddress;
use crate::operations::Contract;

/// An address that came with its checksum. Elsewhere one of a single case will do; what money goes to is typed once,
/// and a mistyped digit has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Checksummed(pub Address);

/// Why a text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChecksummed {
    /// It is none.
    #[error(transparent)]
    NotAnAddress(#[from] NotAnAddress),
    /// It does not say whether it was mistyped.
    #[error("a recipient's address is written with its EIP-55 checksum, in upper and lower case")]
    Without,
}

impl TryFrom<String> for Checksummed {
    type Error = NotChecksummed;

    fn try_from(text: String) -> Result<Self, NotChecksummed> {
        let address = Address::from_str(&text)?;
        if address.to_string() == text {
            Ok(Self(address))
        } else {
            Err(NotChecksummed::Without)
        }
    }
}

impl FromStr for Checksummed {
    type Err = NotChecksummed;

    fn from_str(text: &str) -> Result<Self, NotChecksummed> {
        Self::try_from(text.to_owned())
    }
}

impl From<Checksummed> for String {
    fn from(address: Checksummed) -> Self {
        address.0.to_string()
    }
}

/// Why nothing should be sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody has it.
    #[error(
        "address: nobody has the zero address, or one of the first 65,536: what is sent there is lost"
    )]
    Nobody,
    /// It is a contract that the service calls.
    #[error("address: it is a contract of the venue, and what is sent there is lost")]
    Contract,
    /// A key of ours has it, which speaks for a contract wallet.
    #[error(
        "address: it is the key of wallet {0}, not the wallet, which is {1}; if the key's own address is meant, say signer_meant"
    )]
    Signer(String, Address),
}

/// That it is an address of somebody.
pub(super) fn look(address: Address) -> Result<(), Unfit> {
    // Zero, and where precompiled contracts are.
    if address.0.starts_with(&[0; 18]) {
        return Err(Unfit::Nobody);
    }
    // Of whichever chain: an address that is a contract's on one is nobody's on another.
    let is_exchange = |it: &Exchange| it.domain.verifying_contract == Some(address);
    let is_known = |chain: Chain| Contract::at(chain.id(), address).is_some();
    if Exchange::all().any(is_exchange) || [Chain::Polygon, Chain::Amoy].into_iter().any(is_known) {
        return Err(Unfit::Contract);
    }
    Ok(())
}

/// That it is not the key of a wallet that is a contract. A key that is a wallet itself may be.
pub(super) fn look_among(wallets: &[Wallet], address: Address) -> Result<(), Unfit> {
    let speaks = |it: &&Wallet| it.profile.key_address() == address;
    let of_key: Vec<_> = wallets.iter().filter(speaks).collect();
    let is_wallet = of_key.iter().any(|it| it.profile.maker() == address);
    match of_key.first() {
        Some(wallet) if !is_wallet => {
            let (name, maker) = (wallet.name.to_string(), wallet.profile.maker());
            Err(Unfit::Signer(name, maker))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
