//! Hears the server's warnings during a commit: "canceling wait for synchronous replication" comes
//! as a warning beside a success, and means that a standby may not have what we are about to
//! answer. The driver has no other way to say it than its log.

use std::cell::Cell;
use std::sync::LazyLock;

use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

/// One for all commits: each new one would make every place that logs ask again who listens.
static EAR: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Ear));

tokio::task_local! {
    static HEARD: Cell<bool>;
}

/// Awaits `work` and says whether the server warned meanwhile.
pub(super) async fn heard<T>(work: impl Future<Output = T>) -> (T, bool) {
    let listening = async {
        let done = work.with_subscriber(EAR.clone()).await;
        (done, HEARD.with(Cell::get))
    };
    HEARD.scope(Cell::new(false), listening).await
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::postgres::notice" && *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, _: &Event<'_>) {
        let _ = HEARD.try_with(|heard| heard.set(true));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
