//! What is hidden and what is missing: one answer, after the same time. The answer is compared; the time is
//! measured and printed, for a busy machine would fail a bound on it by chance.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stand::Stand;
use crate::support::{Caller, is_long, order};

/// How often each is asked for.
fn rounds() -> usize {
    if is_long() { 2_000 } else { 40 }
}

/// The time that so many in a hundred do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

/// How long an answer takes, and what it says.
async fn timed(
    caller: &Caller,
    path: &str,
    body: Option<&serde_json::Value>,
) -> (Duration, String) {
    let began = Instant::now();
    let answer = match body {
        Some(body) => caller.post(path, body).await,
        None => caller.get(path).await,
    };
    let took = began.elapsed();
    assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    (took, answer.text)
}

#[tokio::test]
async fn what_is_hidden_and_what_is_missing_take_the_same_time() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let stranger = stand.another("stranger", "e", "trader").await;
    let (order, login) = (order(), json!({}));
    for (what, hidden, missing, body) in [
        ("key", "/v1/keys/d-wk", "/v1/keys/x-wk", None),
        ("wallet", "/v1/wallets/d-w", "/v1/wallets/x-w", None),
        ("client", "/v1/clients/d-c", "/v1/clients/x-c", None),
        (
            "order",
            "/v1/wallets/d-w/orders",
            "/v1/wallets/x-w/orders",
            Some(&order),
        ),
        (
            "assertion",
            "/v1/clients/d-c/assertions",
            "/v1/clients/x-c/assertions",
            Some(&login),
        ),
    ] {
        let (mut there, mut not) = (Vec::new(), Vec::new());
        for round in 0..rounds() {
            // In turns, each as often first as second, so that what changes meanwhile changes for both.
            let pair = [(hidden, &mut there), (missing, &mut not)];
            let mut answers = Vec::new();
            let order: Vec<_> = if round % 2 == 0 {
                pair.into_iter().collect()
            } else {
                pair.into_iter().rev().collect()
            };
            for (path, times) in order {
                let (took, text) = timed(&stranger, path, body).await;
                times.push(took);
                answers.push(text);
            }
            assert_eq!(answers[0], answers[1], "{what}");
        }
        let [a, b] = [&mut there, &mut not].map(|it| percentile(it, 50));
        let [low, high] = [&mut there, &mut not].map(|it| percentile(it, 90));
        println!(
            "{what}: hidden {a:?} (p90 {low:?}), missing {b:?} (p90 {high:?}), {} each",
            rounds()
        );
    }
}
