//! Amounts and prices of limits: whole numbers that come as text.

use std::fmt;

use ruint::aliases::U256;

/// An amount in base units of 10⁻⁶, at most [`MOST`](Self::MOST).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Units(u64);

/// A price: cash per share, in units of 10⁻⁶, at most 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Price(u32);

/// A token's id, as decimal text.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Token(pub U256);

/// Why a text is no amount, price or token id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANumber {
    /// It has a sign.
    #[error("{0:?} is negative: limits count from 0")]
    Negative(String),
    /// It has a point or an exponent, or is no number at all.
    #[error(
        "{0:?} is not a whole number of base units: 1 dollar is \"1000000\", 2.50 dollars are \"2500000\""
    )]
    NotWhole(String),
    /// It is more than there is.
    #[error("{0} is more than {most}: write no limit instead", most = Units::MOST)]
    TooLarge(String),
    /// It is not between 0 and 1.
    #[error("{0:?} is not a price: from \"0\" to \"1\", with up to 6 decimals")]
    NotAPrice(String),
    /// It is not an id.
    #[error("{0:?} is not a token id: a whole number below 2^256, as text")]
    NotAToken(String),
}

impl Units {
    /// 2⁶² − 1: two of them can be added in the database.
    pub const MOST: u64 = (1 << 62) - 1;

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<Units> for String {
    fn from(units: Units) -> Self {
        units.0.to_string()
    }
}

impl TryFrom<String> for Units {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        if text.starts_with('-') {
            return Err(NotANumber::Negative(short(text)));
        }
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotANumber::NotWhole(short(text)));
        }
        match text.parse() {
            Ok(number) if number <= Self::MOST => Ok(Self(number)),
            _ => Err(NotANumber::TooLarge(short(text))),
        }
    }
}

/// What is told again of a text that came in.
fn short(mut text: String) -> String {
    const MOST: usize = 80;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

impl Price {
    /// 1 in its units.
    pub const ONE: u32 = 1_000_000;

    /// In units of 10⁻⁶; `None`: it is above 1.
    pub fn of_units(units: u32) -> Option<Self> {
        (units <= Self::ONE).then_some(Self(units))
    }

    /// In units of 10⁻⁶.
    pub fn units(self) -> u32 {
        self.0
    }

    /// So much higher, but not above 1.
    pub(super) fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0).min(Self::ONE))
    }

    /// So much lower, but not below 0.
    pub(super) fn minus(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }

    /// Whether this cash for these shares is more a share.
    pub(super) fn is_below(self, cash: U256, shares: U256) -> bool {
        cash.saturating_mul(U256::from(Self::ONE)) > shares.saturating_mul(U256::from(self.0))
    }

    /// Whether this cash for these shares is less a share.
    pub(super) fn is_above(self, cash: U256, shares: U256) -> bool {
        cash.saturating_mul(U256::from(Self::ONE)) < shares.saturating_mul(U256::from(self.0))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::ONE, self.0 % Self::ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl From<Price> for String {
    fn from(price: Price) -> Self {
        price.to_string()
    }
}

impl TryFrom<String> for Price {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        let wrong = || NotANumber::NotAPrice(short(text.clone()));
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        let is_number =
            |it: &str| (1..=6).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let fraction: u32 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
        let units = whole
            .checked_mul(Self::ONE)
            .and_then(|it| it.checked_add(fraction));
        units.and_then(Self::of_units).ok_or_else(wrong)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for Token {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        let wrong = || NotANumber::NotAToken(short(text.clone()));
        let leads = text.len() > 1 && text.starts_with('0');
        if text.is_empty() || leads || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        U256::from_str_radix(&text, 10)
            .map(Self)
            .map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Result<Units, NotANumber> {
        Units::try_from(text.to_owned())
    }

    fn price(text: &str) -> Result<Price, NotANumber> {
        Price::try_from(text.to_owned())
    }

    #[test]
    fn an_amount_is_a_whole_number_of_base_units_and_says_what_else_it_is() {
        for good in [0, 1, 2_500_000, Units::MOST] {
            assert_eq!(units(&good.to_string()).unwrap().get(), good);
        }
        let beyond = (U256::from(1) << 127_u32).to_string();
        for (bad, why) in [
            ("-1", "negative"),
            ("2.5", "whole number of base units"),
            ("1e6", "whole number of base units"),
            ("", "whole number of base units"),
            (" 1", "whole number of base units"),
            ("+1", "whole number of base units"),
            ("4611686018427387904", "is more than 4611686018427387903"),
            (&beyond, "is more than"),
        ] {
            let error = units(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        let long = units(&"9".repeat(10_000)).unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_price_is_from_0_to_1_and_is_compared_without_rounding() {
        for good in ["0", "1", "0.5", "0.000001", "0.999999"] {
            assert_eq!(price(good).unwrap().to_string(), good);
        }
        for bad in ["", "1.000001", "2", "-0.1", "0.0000001", ".5", "0.", "1e-2"] {
            assert!(price(bad).is_err(), "{bad}");
        }
        let half = price("0.5").unwrap();
        let [one, two, three] = [1, 2, 3].map(U256::from);
        assert!(!half.is_below(one, two) && !half.is_above(one, two));
        assert!(half.is_below(two, three) && half.is_above(one, three));
        assert!(half.is_below(U256::MAX, one) && !half.is_below(one, U256::MAX));
    }

    #[test]
    fn a_token_id_has_one_form() {
        let token = |text: &str| Token::try_from(text.to_owned());
        let most = U256::MAX.to_string();
        for good in ["0", "12", &most] {
            assert_eq!(token(good).unwrap().to_string(), good);
        }
        for bad in ["", "012", "0x12", "-1", "1.0", &format!("{most}0")] {
            assert!(token(bad).is_err(), "{bad}");
        }
    }
}
