//! The replica's clock beside the database's.

use std::time::Duration;

use super::App;
use crate::clock;

/// How often the clocks are compared.
const COMPARE: Duration = Duration::from_secs(5);

impl App {
    /// Compares the clock with the database's, now and every few seconds, until it stops.
    pub async fn watch_clock(&self, settings: clock::Settings) {
        self.compare_clocks(&settings).await;
        let app = self.clone();
        self.tasks.spawn(async move {
            let pause = || app.stop.run_until_cancelled(tokio::time::sleep(COMPARE));
            while pause().await.is_some() {
                app.compare_clocks(&settings).await;
            }
        });
    }

    async fn compare_clocks(&self, settings: &clock::Settings) {
        match self.ledger.clock_offset_ms(&self.clock).await {
            Ok(ahead_ms) => self.clock.compared(ahead_ms, settings),
            Err(error) => tracing::debug!(%error, "the clocks are not compared"),
        }
    }
}
