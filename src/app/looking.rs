//! What the service does by itself, over and over: what is due, and who has to know.

use std::time::Duration;

use super::App;

impl App {
    /// Does what the service does by itself, until it stops: reminders, the ends of periods,
    /// destructions that are due. Any replica may do each.
    pub fn look_after_keys(&self) {
        let every = Duration::from_secs(self.look_after.look_every_s.get().into());
        let app = self.clone();
        self.tasks.spawn(async move {
            let pause = || app.stop.run_until_cancelled(tokio::time::sleep(every));
            loop {
                app.look_once().await;
                if pause().await.is_none() {
                    return;
                }
            }
        });
    }

    async fn look_once(&self) {
        if self.clock.off_by_ms().is_some() {
            tracing::warn!("nothing that is due is done: nobody knows what the time is");
            return;
        }
        // Each by itself: what stops one is no reason not to do the others.
        if let Err(error) = self.cryptoperiods.remind().await {
            tracing::warn!(%error, "reminders are not raised");
        }
        if let Err(error) = self.cryptoperiods.end().await {
            tracing::warn!(%error, "keys at their end are not deactivated");
        }
        if let Err(error) = self.keys.forget_offers().await {
            tracing::warn!(%error, "offers that nobody took are not forgotten");
        }
        if let Err(error) = self.destructions.carry_out().await {
            tracing::warn!(%error, "keys are not destroyed");
        }
        if let Err(error) = self.proposals.remind().await {
            tracing::warn!(%error, "nobody is told of proposals that are about to expire");
        }
        if let Err(error) = self.cryptoperiods.tell().await {
            tracing::warn!(%error, "nobody is told of what ends");
        }
        if let Err(error) = self.destructions.remind().await {
            tracing::warn!(%error, "nobody is told of keys that are about to be destroyed");
        }
        self.away.look(&self.vault).await;
        if let Err(error) = self.administrators.remind(self.clock.now()).await {
            tracing::warn!(%error, "who can manage callers is not known");
        }
    }
}
