//! Public keys in the forms that others want them.

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A wallet's.
    Secp256k1(k256::PublicKey),
    /// An OAuth client's.
    Rsa(rsa::RsaPublicKey),
}
