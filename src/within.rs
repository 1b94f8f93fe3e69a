//! Numbers in the configuration that have bounds.

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "u64")]
pub struct Within<const LEAST: u64, const MOST: u64>(u64);

/// The number is out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not within {1} and {2}")]
pub struct OutOfBounds(u64, u64, u64);

impl<const LEAST: u64, const MOST: u64> Within<LEAST, MOST> {
    /// A number that is known to the program.
    ///
    /// # Panics
    /// Where it is out of bounds.
    pub const fn of(number: u64) -> Self {
        assert!(LEAST <= number && number <= MOST);
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const LEAST: u64, const MOST: u64> TryFrom<u64> for Within<LEAST, MOST> {
    type Error = OutOfBounds;

    fn try_from(number: u64) -> Result<Self, OutOfBounds> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(OutOfBounds(number, LEAST, MOST))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_within_its_bounds() {
        for good in [2, 3, 5] {
            assert_eq!(Within::<2, 5>::try_from(good).map(Within::get), Ok(good));
        }
        for bad in [0, 1, 6, u64::MAX] {
            let error = Within::<2, 5>::try_from(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("{bad} is not within 2 and 5"));
        }
    }
}
