//! Work that keeps a processor busy or blocks in a library.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use super::CustodyError;

/// As many places as processors: more at once would only take time from the threads that serve.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, usize::from)));

/// Runs such work away from the threads that serve.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, CustodyError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(CustodyError::Unavailable(error.to_string())))
}

/// The same for what is asked for all the time, such as signatures: whoever finds no processor free waits
/// in line.
pub(super) async fn aside_in_turn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, CustodyError> {
    let place = PLACES.acquire().await.expect("nobody closes it");
    aside(move || {
        let _place = place; // given up when the work is done, not when nobody waits for it any more
        work()
    })
    .await
}
