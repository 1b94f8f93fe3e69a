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
mod tests;
