//! The rules of the cache, with a time that is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Held;
use super::breaker::Breaker;
use super::failure::{Diagnosis, FetchError, Rejected};
use super::life::Life;
use super::slot::{Look, Slot};
use crate::id::IntentId;
use crate::oauth::exchange::{ExchangeError, Quota, Refusal};
use crate::signing::SigningError;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A token of 180 seconds.
fn held(asked_at: Instant, generation: i64) -> Arc<Held> {
    Arc::new(Held {
        id: IntentId::new(),
        token: "token".into(),
        life: Life::new(asked_at, s(180), 0),
        granted: None,
        generation,
    })
}

fn rejected(error: ExchangeError) -> FetchError {
    let diagnosis = Diagnosis {
        environment: "x".into(),
        token_endpoint: "https://x".into(),
        assertion_aud: "issuer",
        signature: String::new(),
        claims: serde_json::Value::Null,
        key_fingerprint: None,
        clock_ahead_s: None,
        attempts: 1,
        server_error: None,
        server_status: None,
    };
    FetchError::Exchange(Arc::new(Rejected { error, diagnosis }))
}

fn refusal() -> Refusal {
    Refusal {
        status: 401,
        code: "x".into(),
        description: String::new(),
        server_time: None,
    }
}

/// A word for a look, to compare it with.
fn word(look: &Look) -> &'static str {
    match look {
        Look::Serve(_) => "serve",
        Look::Refresh(_) => "refresh",
        Look::Wait(_) => "wait",
        Look::Fetch => "fetch",
        Look::Rest(..) => "rest",
    }
}

#[test]
fn a_token_is_served_refreshed_waited_for_and_dropped_in_its_time() {
    let start = Instant::now();
    let mut slot = Slot::default();
    assert_eq!(word(&slot.look(start, 0)), "fetch");
    let tell = slot.begin();
    assert_eq!(word(&slot.look(start, 0)), "wait", "one fetch at a time");
    slot.filled(&held(start, 0));
    drop(tell);
    for (second, what) in [
        (0, "serve"),
        (119, "serve"),
        (120, "refresh"),
        (150, "fetch"),
    ] {
        assert_eq!(word(&slot.look(start + s(second), 0)), what, "{second}");
    }
    let tell = slot.begin();
    assert_eq!(
        word(&slot.look(start + s(130), 0)),
        "serve",
        "while it is refreshed"
    );
    assert_eq!(word(&slot.look(start + s(151), 0)), "wait");
    // The fetch fails: what is left is served while nobody tries, and never past its end.
    let away = rejected(ExchangeError::NoAnswer);
    slot.failed(start + s(152), &away, 0, 0);
    drop(tell);
    assert_eq!(word(&slot.look(start + s(152), 0)), "serve");
    assert!(slot.last(start + s(178), 0).is_some());
    assert!(slot.last(start + s(180), 0).is_none());
    let throttled = rejected(ExchangeError::Throttled {
        retry_after_s: Some(100),
        quota: Quota::default(),
    });
    slot.failed(start + s(153), &throttled, 0, 0);
    assert_eq!(word(&slot.look(start + s(178), 0)), "serve");
    assert_eq!(word(&slot.look(start + s(180), 0)), "rest");
    assert_eq!(word(&slot.look(start + s(254), 0)), "fetch");
}

#[test]
fn a_reported_token_is_gone_and_so_is_one_that_was_on_its_way() {
    let now = Instant::now();
    let mut slot = Slot::default();
    slot.filled(&held(now, 0));
    assert_eq!(word(&slot.look(now, 0)), "serve");
    assert_eq!(word(&slot.look(now, 1)), "fetch");
    assert!(slot.last(now, 1).is_none());
    // Begun before the report, published after it.
    slot.filled(&held(now, 0));
    assert_eq!(word(&slot.look(now, 1)), "fetch");
    // A late one does not push out a newer one.
    slot.filled(&held(now, 1));
    slot.filled(&held(now, 0));
    assert_eq!(word(&slot.look(now, 1)), "serve");
    assert_eq!(
        word(&slot.look(now, 0)),
        "serve",
        "a reader who is behind gets the newer one"
    );
}

#[test]
fn a_fetch_that_died_is_none() {
    let now = Instant::now();
    let mut slot = Slot::default();
    drop(slot.begin());
    assert_eq!(word(&slot.look(now, 0)), "fetch");
}

#[test]
fn a_refusal_is_remembered_until_somebody_knows_better() {
    let now = Instant::now();
    let mut slot = Slot::default();
    slot.failed(now, &rejected(ExchangeError::NotGranted(refusal())), 3, 0);
    assert_eq!(word(&slot.look(now + s(59), 3)), "rest");
    assert_eq!(
        word(&slot.look(now + s(59), 4)),
        "fetch",
        "a fresh one was asked for"
    );
    let throttled = ExchangeError::Throttled {
        retry_after_s: Some(9),
        quota: Quota::default(),
    };
    slot.failed(now, &rejected(throttled), 3, 0);
    assert_eq!(
        word(&slot.look(now, 4)),
        "rest",
        "what the server said stays said"
    );
}

#[test]
fn pauses_grow_and_are_no_shorter_than_the_server_says() {
    let down = rejected(ExchangeError::Down(503));
    let pauses: Vec<_> = (1..8).map(|times| down.pause(times, 0).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(down.pause(1, 255), Duration::from_millis(500));
    assert_eq!(down.pause(u32::MAX, 0), s(30));
    let wait = |seconds, dice| {
        let throttled = ExchangeError::Throttled {
            retry_after_s: Some(seconds),
            quota: Quota::default(),
        };
        rejected(throttled).pause(1, dice)
    };
    assert_eq!(wait(60, 0), s(60));
    assert!(wait(60, 255) > s(60) && wait(60, 255) <= s(61));
    assert_eq!(wait(0, 0), s(1));
    assert_eq!(wait(u32::MAX, 0), s(3_600));
    for dice in [0, 128, 255] {
        let pause = rejected(ExchangeError::NotGranted(refusal())).pause(9, dice);
        assert!((s(30)..=s(60)).contains(&pause), "{pause:?}");
    }
    // The leader's own trouble is nobody else's.
    let own = FetchError::Signing(SigningError::CallerRevoked);
    assert!(own.is_the_leaders_own() && own.pause(1, 0).is_zero());
}

#[test]
fn an_open_breaker_lets_one_through_at_a_time() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    assert!(breaker.pass(now).is_ok());
    let refused = rejected(ExchangeError::NotTaken(refusal()));
    assert!(breaker.trip(now, &refused), "news");
    let (error, rest) = breaker.pass(now + s(5)).unwrap_err();
    assert!(error.denies_client());
    assert_eq!(rest, s(10));
    assert!(breaker.pass(now + s(15)).is_ok());
    assert!(breaker.pass(now + s(15)).is_err(), "the second one waits");
    assert!(!breaker.trip(now + s(16), &refused), "no news");
    assert_eq!(breaker.pass(now + s(16)).unwrap_err().1, s(30), "longer");
    breaker.let_one(now + s(17));
    assert!(breaker.pass(now + s(17)).is_ok(), "on somebody's word");
    assert!(breaker.close());
    assert!(!breaker.close());
    assert!(breaker.pass(now).is_ok());
}
