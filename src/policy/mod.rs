//! Who may do what.

/// Proof that the policy allowed exactly this `A`. Minted only in `policy`, taken away by the group
/// that records it.
#[must_use]
#[derive(Debug)]
pub struct Permit<A>(A);

impl<A> Permit<A> {
    #[cfg(test)]
    pub(crate) fn for_test(action: A) -> Self {
        Self(action)
    }

    /// What is permitted.
    pub fn action(&self) -> &A {
        &self.0
    }

    /// The permitted thing, worked out further: an order becomes the digest that stands for it.
    /// Called only by `signing`, inside the group that puts the result on record.
    pub(crate) fn map<B>(self, work_out: impl FnOnce(A) -> B) -> Permit<B> {
        Permit(work_out(self.0))
    }
}
