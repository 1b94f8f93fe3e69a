//! A market by its condition: which token ids are its outcomes.
//!
//! They follow from the condition id alone, as the Conditional Tokens contract computes them (a point of
//! `alt_bn128` for each outcome, hashed with the collateral), so that nobody has to be asked. Which collateral a
//! market has does not follow, so those of both are named; nothing else has the others.

use std::fmt;
use std::str::FromStr;

use ruint::aliases::{U160, U256};
use ruint::uint;

use super::keccak256;

/// The field over which the contract's points are.
const P: U256 =
    uint!(21888242871839275222246405745257275088696311157297823662689037894645226208583_U256);
/// The collateral of markets on chain 137, and the one that wraps it for neg-risk markets.
const COLLATERALS: [U160; 2] = [
    uint!(0x2791bca1f2de4661ed88a30c99a7a9449aa84174_U160),
    uint!(0x3a3bd7bb9528e159577f7c2e685cc81a765002e2_U160),
];

/// What names a market at the venue, whatever its outcomes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Condition {
    /// Of the Conditional Tokens contract.
    Hashed([u8; 32]),
    /// Of the contract for position ids, which begin with it.
    Short([u8; 31]),
}

/// The text is no condition id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a condition id is 0x and 64 hexadecimal digits, or 62 where the market has position ids")]
pub struct NotACondition;

impl Condition {
    /// The token ids of its two outcomes.
    pub fn tokens(&self) -> Vec<U256> {
        match self {
            Self::Hashed(id) => {
                let outcomes = [1, 2].map(|index_set| collection(id, index_set));
                let of = |collateral: &U160| outcomes.map(|it| position(collateral, &it));
                COLLATERALS.iter().flat_map(of).collect()
            }
            Self::Short(id) => [0, 1].map(|outcome| short(id, outcome)).to_vec(),
        }
    }
}

/// What stands for an outcome, whatever is paid with: `getCollectionId` without a parent.
fn collection(condition: &[u8; 32], index_set: u8) -> [u8; 32] {
    let index_set = U256::from(index_set).to_be_bytes::<32>();
    let hash = U256::from_be_bytes(keccak256([condition.as_slice(), &index_set].concat()));
    let is_odd = hash.bit(255);
    let mut x = hash.reduce_mod(P);
    let y = loop {
        x = x.add_mod(U256::ONE, P);
        let square = x.mul_mod(x, P).mul_mod(x, P).add_mod(U256::from(3), P);
        // P is 3 modulo 4.
        let root = square.pow_mod((P + U256::ONE) >> 2, P);
        if root.mul_mod(root, P) == square {
            break root;
        }
    };
    let y = if y.bit(0) == is_odd { y } else { P - y };
    x.set_bit(254, x.bit(254) ^ y.bit(0));
    x.to_be_bytes()
}

/// `getPositionId`
fn position(collateral: &U160, collection: &[u8; 32]) -> U256 {
    let collateral = collateral.to_be_bytes::<20>();
    U256::from_be_bytes(keccak256([collateral.as_slice(), collection].concat()))
}

fn short(condition: &[u8; 31], outcome: u8) -> U256 {
    let mut id = [0; 32];
    id[..31].copy_from_slice(condition);
    id[31] = outcome;
    U256::from_be_bytes(id)
}

impl FromStr for Condition {
    type Err = NotACondition;

    fn from_str(text: &str) -> Result<Self, NotACondition> {
        let digits = text.strip_prefix("0x").ok_or(NotACondition)?;
        let bytes = hex::decode(digits).map_err(|_| NotACondition)?;
        let hashed = <[u8; 32]>::try_from(bytes.as_slice()).map(Self::Hashed);
        hashed
            .or_else(|_| <[u8; 31]>::try_from(bytes.as_slice()).map(Self::Short))
            .map_err(|_| NotACondition)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Hashed(id) => id,
            Self::Short(id) => id,
        };
        write!(f, "0x{}", hex::encode(bytes))
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}

impl TryFrom<String> for Condition {
    type Error = NotACondition;

    fn try_from(text: String) -> Result<Self, NotACondition> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A neg-risk market of 2024, as the venue listed it.
    const LISTED: &str = "0xdd22472e552920b8438158ea7238bfadfa4f736aa4cee91a6b86c39ead110917";

    #[test]
    fn the_token_ids_are_those_that_the_venue_lists() {
        let tokens = LISTED.parse::<Condition>().unwrap().tokens();
        let listed = [
            "21742633143463906290569050155826241533067272736897614950488156847949938836455",
            "48331043336612883890938759509493159234755048973500640148014422747788308965732",
        ];
        let tokens: Vec<_> = tokens.iter().map(U256::to_string).collect();
        assert_eq!(tokens.len(), 4);
        assert_eq!(tokens[2..], listed);
    }

    #[test]
    fn a_short_condition_begins_its_position_ids() {
        let text = format!("0x01{}07", "00".repeat(29));
        let condition: Condition = text.parse().unwrap();
        assert_eq!(condition.to_string(), text);
        let [no, yes] = condition.tokens()[..] else {
            panic!("two outcomes");
        };
        assert_eq!(yes, no + U256::ONE);
        assert_eq!(format!("{no:#066x}"), format!("{text}00"));
    }

    #[test]
    fn nothing_else_is_a_condition() {
        for text in [
            &LISTED[2..],
            &LISTED[..62],
            "",
            "0x",
            "0xzz",
            &format!("{LISTED}00"),
        ] {
            assert_eq!(text.parse::<Condition>(), Err(NotACondition), "{text}");
        }
        assert_eq!(LISTED.parse::<Condition>().unwrap().to_string(), LISTED);
    }
}
