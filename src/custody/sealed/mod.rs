//! Sealed.
