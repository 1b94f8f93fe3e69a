//! `chancery serve`

use std::time::Duration;

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::memory::Memory;
use crate::app::App;
use crate::clock::Clock;
use crate::collector::Collector;
use crate::config::Config;
use crate::custody;
use crate::http;

/// Serves until it is told to stop.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    for (name, settings) in &config.custody {
        if let custody::Settings::Sealed(sealed) = settings
            && !sealed.accept_keys_in_software
        {
            bail!(
                "[custody.{name}] keeps private keys in software: set accept_keys_in_software = true to accept that, or use a PKCS#11 device"
            );
        }
    }
    // Before the first secret is read.
    match Memory::lock() {
        Memory::MaySwap => tracing::warn!(
            "memory cannot be locked, and may be swapped to disk, with secrets in it"
        ),
        other => tracing::info!("memory: {}", other.said()),
    }
    let stop = stop_on(&[SignalKind::terminate(), SignalKind::interrupt()])?;
    let renew = signal(SignalKind::hangup())?;
    let listener = http::listen(&config.http).await?;
    let watched = http::listen_for_metrics(&config.metrics).await?;
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
    if let Some(collector) = Collector::open(&config.telemetry, &App::writer(config))? {
        app.tasks.spawn(collector.run(app.stop.clone()));
    }
    app.tell_people();
    app.look_after_keys();
    app.look_into_devices();
    app.look_at_rows();
    app.callers.renew().await;
    app.tasks.spawn(look_at_files(
        app.clone(),
        listener.renewal(),
        renew,
        stop.clone(),
    ));
    if let Some(watched) = watched {
        tracing::info!(listen = %watched.local_addr()?, "metrics");
        let settings = (config.metrics.clone(), config.http.clone());
        let shown = http::serve_metrics(watched, app.clone(), settings, stop.clone());
        app.tasks.spawn(shown);
    }
    let router = http::router(app.clone(), &config.http);
    http::serve(listener, router, &config.http, &app.tasks, stop).await;
    app.shut_down(Duration::from_millis(config.http.shutdown_timeout_ms))
        .await;
    custody::pkcs11::isolation::kill();
    tracing::info!("stopped");
    Ok(())
}

/// How often it is looked whether a certificate, or what callers are known by, is another one.
const LOOK: Duration = Duration::from_secs(5);

/// Takes what is new in the files, every few seconds and when told to.
async fn look_at_files(
    app: App,
    listener: http::Renewal,
    mut told: Signal,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = told.recv() => {}
            () = stop.cancelled() => return,
        }
        listener.renew();
        app.callers.renew().await;
    }
}

/// A token that the usual signals cancel, and that of a terminal that is gone.
pub(super) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    stop_on(&[
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ])
}

/// A token that these signals cancel.
fn stop_on(kinds: &[SignalKind]) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in kinds {
        let (mut signal, told) = (signal(*kind)?, stop.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the process, not before"
        )]
        tokio::spawn(async move {
            signal.recv().await;
            told.cancel();
        });
    }
    Ok(stop)
}
