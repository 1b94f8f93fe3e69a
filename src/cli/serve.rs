//! `chancery serve`

use std::time::Duration;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::custody;
use crate::http;

/// Serves until it is told to stop.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    if !config.approvals.single_operator {
        bail!(
            "approvals by a second person do not exist yet: set [approvals] single_operator = true to accept that one operator may loosen alone"
        );
    }
    for (name, settings) in &config.custody {
        if let custody::Settings::Sealed(sealed) = settings
            && !sealed.accept_keys_in_software
        {
            bail!(
                "[custody.{name}] keeps private keys in software: set accept_keys_in_software = true to accept that, or use a PKCS#11 device"
            );
        }
    }
    let stop = stop_on_signal()?;
    let listener = http::listen(&config.http).await?;
    let app = App::build(config, Clock::system()).await?;
    for (name, health) in app.vault.health().await {
        match health {
            Ok(()) => tracing::info!(custody.backend = %name, "the device answers"),
            Err(error) => {
                tracing::error!(custody.backend = %name, %error, "the device does not answer; its keys sign nothing until it does");
            }
        }
    }
    for ambiguous in app.clients.ambiguous_kids().await? {
        tracing::warn!("{ambiguous}: record each key's own (chancery rotations confirm --kid)");
    }
    tracing::info!(listen = %listener.local_addr()?, "serving");
    app.watch_clock(config.clock.clone()).await;
    app.look_after_keys();
    app.look_into_devices();
    let router = http::router(app.clone(), &config.http);
    http::serve(listener, router, &config.http, &app.tasks, stop).await;
    app.shut_down(Duration::from_millis(config.http.shutdown_timeout_ms))
        .await;
    custody::pkcs11::isolation::kill();
    tracing::info!("stopped");
    Ok(())
}

/// A token that the usual signals cancel.
pub(super) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?, // the terminal is gone
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the process, not before"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
