//! Wallets as the CLOB sees them: a key, and perhaps a contract that the key speaks for.

use std::str::FromStr;

use crate::ethereum::Address;

/// A chain that the CLOB has exchanges on. A number in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "u64", try_from = "u64")]
pub enum Chain {
    /// Polygon, 137.
    Polygon,
    /// Polygon's test network, 80002.
    Amoy,
}

impl Chain {
    /// The chain's number, `chainId`.
    pub fn id(self) -> u64 {
        match self {
            Self::Polygon => 137,
            Self::Amoy => 80002,
        }
    }
}

impl From<Chain> for u64 {
    fn from(chain: Chain) -> Self {
        chain.id()
    }
}

impl TryFrom<u64> for Chain {
    type Error = ProfileError;

    fn try_from(id: u64) -> Result<Self, ProfileError> {
        match id {
            137 => Ok(Self::Polygon),
            80002 => Ok(Self::Amoy),
            _ => Err(ProfileError::Chain(id)),
        }
    }
}

impl FromStr for Chain {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        Self::try_from(text.parse::<u64>().unwrap_or_default())
    }
}

/// `signatureType`: how the exchange checks an order's signature. A number in JSON.
/// Source: CTF Exchange, `OrderStructs.sol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum SignatureType {
    /// `EOA`, 0: the key's address holds the funds.
    Eoa,
    /// `POLY_PROXY`, 1: a proxy wallet of the key holds them.
    PolyProxy,
    /// `POLY_GNOSIS_SAFE`, 2: a Safe of the key holds them.
    PolyGnosisSafe,
    /// `POLY_1271`, 3: a deposit wallet holds them and checks the signature itself (ERC-1271).
    Poly1271,
}

impl SignatureType {
    /// The number of the struct and of the JSON.
    pub fn number(self) -> u8 {
        match self {
            Self::Eoa => 0,
            Self::PolyProxy => 1,
            Self::PolyGnosisSafe => 2,
            Self::Poly1271 => 3,
        }
    }
}

impl From<SignatureType> for u8 {
    fn from(kind: SignatureType) -> Self {
        kind.number()
    }
}

impl TryFrom<u8> for SignatureType {
    type Error = ProfileError;

    fn try_from(number: u8) -> Result<Self, ProfileError> {
        match number {
            0 => Ok(Self::Eoa),
            1 => Ok(Self::PolyProxy),
            2 => Ok(Self::PolyGnosisSafe),
            3 => Ok(Self::Poly1271),
            _ => Err(ProfileError::SignatureType(number)),
        }
    }
}

impl FromStr for SignatureType {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        Self::try_from(text.parse::<u8>().unwrap_or(u8::MAX))
    }
}

/// Who signs orders for whom. Its parts can belong together; whether the funder really is the
/// key's wallet is not checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    chain: Chain,
    signature_type: SignatureType,
    signer: Address,
    funder: Option<Address>,
    session_key: bool,
}

/// Why a wallet cannot be as described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The CLOB has no exchange there.
    #[error("chainId {0} has no exchange; use 137 (Polygon) or 80002 (Amoy)")]
    Chain(u64),
    /// Not 0 to 3.
    #[error(
        "signatureType {0} is unknown; use 0 (EOA), 1 (POLY_PROXY), 2 (POLY_GNOSIS_SAFE) or 3 (POLY_1271)"
    )]
    SignatureType(u8),
    /// An EOA pays for its own orders.
    #[error(
        "funder {0} is not the signer: with signatureType 0 the key's own address pays; leave the funder out, or use the wallet's type (1, 2 or 3)"
    )]
    FunderOfEoa(Address),
    /// Nobody else could be the order's maker.
    #[error("funder is missing: with signatureType 3 it is the deposit wallet's address")]
    FunderMissing,
    /// Only deposit wallets know session keys.
    #[error("session keys exist only with signatureType 3 (POLY_1271)")]
    SessionKey,
}

impl Profile {
    /// Puts together a wallet, or says which parts cannot belong together.
    pub fn new(
        chain: Chain,
        signature_type: SignatureType,
        signer: Address,
        funder: Option<Address>,
        session_key: bool,
    ) -> Result<Self, ProfileError> {
        match (signature_type, funder) {
            (SignatureType::Eoa, Some(funder)) if funder != signer => {
                return Err(ProfileError::FunderOfEoa(funder));
            }
            (SignatureType::Poly1271, None) => return Err(ProfileError::FunderMissing),
            _ => {}
        }
        if session_key && signature_type != SignatureType::Poly1271 {
            return Err(ProfileError::SessionKey);
        }
        Ok(Self {
            chain,
            signature_type,
            signer,
            funder,
            session_key,
        })
    }

    /// The chain its orders are for.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// How its signatures are checked.
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The key's address.
    pub fn key_address(&self) -> Address {
        self.signer
    }

    /// The wallet that pays, where it is not simply the key's address.
    pub fn funder(&self) -> Option<Address> {
        self.funder
    }

    /// Whether the key is a session key of the deposit wallet, not its owner.
    pub fn session_key(&self) -> bool {
        self.session_key
    }

    /// The order's `maker`: the funder, else the key's address, as in the official clients.
    pub fn maker(&self) -> Address {
        self.funder.unwrap_or(self.signer)
    }

    /// The order's `signer`: the key's address, but the wallet itself for type 3.
    pub fn order_signer(&self) -> Address {
        match self.signature_type {
            SignatureType::Poly1271 => self.maker(),
            SignatureType::Eoa | SignatureType::PolyProxy | SignatureType::PolyGnosisSafe => {
                self.signer
            }
        }
    }
}

#[cfg(test)]
mod tests;
