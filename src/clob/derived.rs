//! The wallets that follow from an owner's address on Polygon, by CREATE2.
//!
//! Factories and init codes are data of chain 137 and say nothing about other chains.

use super::wallet::SignatureType;
use crate::ethereum::{Address, bytes, keccak256};

/// The factory of proxy wallets, and the hash of their init code.
const PROXY_FACTORY: Address = address("aB45c5A4B0c941a2F231C04C3f49182e1A254052");
const PROXY_CODE: [u8; 32] =
    bytes("d21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b");

/// The same of Safes.
const SAFE_FACTORY: Address = address("aacFeEa03eb1561C4e67d661e40682Bd20E3541b");
const SAFE_CODE: [u8; 32] =
    bytes("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf");

/// The factory of deposit wallets, which are ERC-1967 proxies: to a beacon, or straight to an
/// implementation. Which of the two the factory makes is known only on the chain.
const DEPOSIT_FACTORY: Address = address("00000000000Fb5C9ADea0298D729A0CB3823Cc07");
const DEPOSIT_BEACON: Address = address("7A18EDfe055488A3128f01F563e5B479D92ffc3a");
const DEPOSIT_IMPLEMENTATION: Address = address("58CA52ebe0DadfdF531Cde7062e76746de4Db1eB");

/// Runtime code of the two proxies; immutable arguments follow it. Source: Solady, `LibClone.sol`.
const BEACON_PROXY: [u8; 82] = bytes(
    "363d3d373d3d363d602036600436635c60da1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3",
);
const UUPS_PROXY: [u8; 61] = bytes(
    "363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3",
);
/// Where the constructors find the storage slot in the code that they copied.
const BEACON_SLOT: u8 = 0x19;
const UUPS_SLOT: u8 = 0x09;

/// The wallets of one owner on chain 137.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DerivedWallets)]
pub struct Derived {
    /// The proxy wallet, for signature type 1.
    #[schema(value_type = String)]
    pub proxy: Address,
    /// The Safe, for type 2.
    #[schema(value_type = String)]
    pub safe: Address,
    /// The deposit wallet, for type 3, as a beacon proxy.
    #[schema(value_type = String)]
    pub deposit_wallet: Address,
    /// The same as a UUPS proxy.
    #[schema(value_type = String)]
    pub deposit_wallet_uups: Address,
}

impl Derived {
    /// The wallets of this owner.
    pub fn of(owner: Address) -> Self {
        let arguments = [DEPOSIT_FACTORY.word(), owner.word()].concat();
        let salt = keccak256(&arguments);
        let deposit = |target, slot, runtime: &[u8]| {
            let code = init_code(target, slot, runtime, &arguments);
            create2(DEPOSIT_FACTORY, &salt, &keccak256(code))
        };
        Self {
            proxy: create2(PROXY_FACTORY, &keccak256(owner.0), &PROXY_CODE),
            safe: create2(SAFE_FACTORY, &keccak256(owner.word()), &SAFE_CODE),
            deposit_wallet: deposit(DEPOSIT_BEACON, BEACON_SLOT, &BEACON_PROXY),
            deposit_wallet_uups: deposit(DEPOSIT_IMPLEMENTATION, UUPS_SLOT, &UUPS_PROXY),
        }
    }

    /// The signature type whose wallet this is.
    pub fn type_of(&self, wallet: Address) -> Option<SignatureType> {
        [
            (self.proxy, SignatureType::PolyProxy),
            (self.safe, SignatureType::PolyGnosisSafe),
            (self.deposit_wallet, SignatureType::Poly1271),
            (self.deposit_wallet_uups, SignatureType::Poly1271),
        ]
        .into_iter()
        .find_map(|(address, kind)| (address == wallet).then_some(kind))
    }
}

impl std::fmt::Display for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "proxy (type 1) {}, Safe (type 2) {}, deposit wallet (type 3) {} or {}",
            self.proxy, self.safe, self.deposit_wallet, self.deposit_wallet_uups
        )
    }
}

/// The constructor copies runtime code and arguments into place and writes the target to its slot.
fn init_code(target: Address, slot: u8, runtime: &[u8], arguments: &[u8]) -> Vec<u8> {
    let length = u16::try_from(runtime.len() + arguments.len()).expect("the code is short");
    [
        &[0x61],
        length.to_be_bytes().as_slice(),
        &[0x3d, 0x81, 0x60, 0x23, 0x3d, 0x39, 0x73],
        &target.0,
        &[0x60, slot, 0x51, 0x55, 0xf3],
        runtime,
        arguments,
    ]
    .concat()
}

/// Where a factory's CREATE2 puts a contract. Source: EIP-1014.
fn create2(factory: Address, salt: &[u8; 32], code_hash: &[u8; 32]) -> Address {
    let hash = keccak256([&[0xff], factory.0.as_slice(), salt, code_hash].concat());
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Address(address)
}

const fn address(digits: &str) -> Address {
    Address(bytes(digits))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_wallet_of_the_vectors_follows_from_its_owner() {
        let vectors = include_str!("../../tests/vectors/clob-wallets.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert_eq!(vectors["count"], cases.len());
        for case in cases {
            assert_eq!(case["chainId"], 137);
            let owner = case["owner"].as_str().unwrap().parse().unwrap();
            let derived = Derived::of(owner);
            let shown = serde_json::to_value(derived).unwrap();
            for (name, address) in shown.as_object().unwrap() {
                assert_eq!(address, &case[name], "{name} of {}", case["id"]);
            }
            assert_eq!(derived.type_of(owner), None);
            let kinds = [
                derived.proxy,
                derived.safe,
                derived.deposit_wallet,
                derived.deposit_wallet_uups,
            ]
            .map(|wallet| derived.type_of(wallet).unwrap().number());
            assert_eq!(kinds, [1, 2, 3, 3]);
        }
    }
}
