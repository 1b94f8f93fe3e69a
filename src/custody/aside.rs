//! Work that keeps a processor busy or blocks in a library.

use super::CustodyError;

/// Runs such work away from the threads that serve.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, CustodyError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(CustodyError::Unavailable(error.to_string())))
}
