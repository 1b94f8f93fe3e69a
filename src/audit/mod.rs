//! The evidence.

/// A permit whose INTENT is durable. Minted only in `audit`, by a committed group.
#[must_use]
#[derive(Debug)]
pub struct Logged<P>(P);

impl<P> Logged<P> {
    #[cfg(test)]
    pub(crate) fn for_test(permit: P) -> Self {
        Self(permit)
    }

    /// What is on record.
    pub fn get(&self) -> &P {
        &self.0
    }
}
