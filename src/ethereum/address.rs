//! Addresses and their checksum (EIP-55).

use std::fmt;
use std::str::FromStr;

use k256::elliptic_curve::sec1::ToEncodedPoint;

use super::keccak256;

/// A 20-byte address. Prints with its EIP-55 checksum.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Address(pub [u8; 20]);

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Malformed,
    /// Mixed case that is not the checksum: most likely a mistyped digit.
    #[error("the address's EIP-55 checksum is wrong: a digit may be mistyped")]
    Checksum,
}

impl Address {
    /// The zero address, which stands for "anybody" as an order's taker.
    pub const ZERO: Self = Self([0; 20]);

    /// The last 20 bytes of the hash of the public key's coordinates.
    pub fn of(key: &k256::PublicKey) -> Self {
        let point = key.to_encoded_point(false);
        let hash = keccak256(&point.as_bytes()[1..]);
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Self(address)
    }

    /// The address as a 32-byte word of ABI encoding.
    pub fn word(self) -> [u8; 32] {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        word
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    /// Takes lower case, upper case, or the right checksum.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let digits = text.strip_prefix("0x").ok_or(NotAnAddress::Malformed)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotAnAddress::Malformed)?;
        let address = Self(bytes);
        let one_case = !digits.contains(|c: char| c.is_ascii_lowercase())
            || !digits.contains(|c: char| c.is_ascii_uppercase());
        if one_case || address.to_string() == text {
            Ok(address)
        } else {
            Err(NotAnAddress::Checksum)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(keccak256(&digits));
        f.write_str("0x")?;
        for (digit, check) in digits.chars().zip(hash.chars()) {
            let upper = matches!(check, '8'..='f');
            write!(
                f,
                "{}",
                if upper {
                    digit.to_ascii_uppercase()
                } else {
                    digit
                }
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_eip_55s() {
        // The examples of EIP-55.
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
            let lower: Address = text.to_lowercase().parse().unwrap();
            assert_eq!(lower.to_string(), text);
        }
    }

    #[test]
    fn a_mistyped_address_is_refused() {
        let wrong = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress::Checksum));
        for text in [
            "",
            "0x",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xabc",
            "0xzz",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(NotAnAddress::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_has_its_address() {
        // The first of the well-known development keys.
        let secret =
            hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
                .unwrap();
        let key = k256::SecretKey::from_slice(&secret).unwrap().public_key();
        let address = Address::of(&key).to_string();
        assert_eq!(address, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    }
}
