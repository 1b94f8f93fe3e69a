use std::sync::atomic::{AtomicU32, Ordering};

use super::Freshness::{Again, Remembered, Since};
use super::*;

const HOUR: Duration = Duration::from_hours(1);

async fn found<F: Future<Output = Result<u32, VenueError>>>(
    lookup: &Lookup<u8, u32>,
    freshness: Freshness,
    ask: impl Fn() -> F,
) -> Result<u32, VenueError> {
    lookup.find(1, freshness, ask).await.map(|seen| seen.value)
}

#[tokio::test]
async fn those_who_wait_share_an_answer_and_a_failure_is_asked_again() {
    let asked = AtomicU32::new(0);
    let lookup = Lookup::<u8, u32>::new(10, HOUR);
    let ask = || async {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if number == 0 {
            Err(VenueError::Unreachable)
        } else {
            Ok(number)
        }
    };
    let both = || async {
        tokio::join!(
            found(&lookup, Remembered, ask),
            found(&lookup, Remembered, ask)
        )
    };
    let (a, b) = both().await;
    assert_eq!((&a, &b), (&Err(VenueError::Unreachable), &a));
    assert_eq!(both().await, (Ok(1), Ok(1)));
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(1));
}

#[tokio::test]
async fn an_answer_asked_for_too_early_is_asked_for_again() {
    let asked = AtomicU32::new(0);
    let lookup = Lookup::<u8, u32>::new(10, HOUR);
    let ask = || async { Ok(asked.fetch_add(1, Ordering::SeqCst)) };
    let before = Instant::now();
    assert_eq!(found(&lookup, Since(before), ask).await, Ok(0));
    assert_eq!(found(&lookup, Since(before), ask).await, Ok(0));
    let now = Instant::now();
    assert_eq!(found(&lookup, Since(now), ask).await, Ok(1));
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(1));
}

#[tokio::test]
async fn memory_is_looked_at_again_once_a_second_and_stays_where_no_answer_comes() {
    let asked = AtomicU32::new(0);
    let lookup = Lookup::<u8, u32>::new(10, HOUR);
    let ask = || async {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if number == 2 {
            Err(VenueError::NoAnswer)
        } else {
            Ok(number)
        }
    };
    let before = Instant::now();
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
    assert_eq!(found(&lookup, Again(before), ask).await, Ok(0), "is fresh");
    let again = || found(&lookup, Again(Instant::now()), ask);
    assert_eq!(
        tokio::join!(again(), again(), again()),
        (Ok(1), Ok(1), Ok(1))
    );
    assert_eq!(again().await, Ok(1), "within a second");

    let second_ago = Instant::now().checked_sub(LOOKED_AGAIN).unwrap();
    let seen = lookup.0.get(&1).await.unwrap();
    seen.lock().as_mut().unwrap().ended = second_ago;
    assert_eq!(again().await, Err(VenueError::NoAnswer));
    assert_eq!(
        again().await,
        Ok(1),
        "a failure counts, and takes nothing away"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn who_wants_it_fresh_and_gets_nothing_takes_nothing_from_others() {
    let asked = AtomicU32::new(0);
    let lookup = Lookup::<u8, u32>::new(10, HOUR);
    let ask = || async {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match number {
            1 => Err(VenueError::Unreachable),
            2 => std::future::pending().await,
            number => Ok(number),
        }
    };
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
    let now = Instant::now();
    // Those who wait for the same look share its failure; memory stays.
    let (a, b, memory) = tokio::join!(
        found(&lookup, Since(now), ask),
        found(&lookup, Since(now), ask),
        found(&lookup, Remembered, ask)
    );
    assert_eq!((&a, &b), (&Err(VenueError::Unreachable), &a));
    assert_eq!(memory, Ok(0));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // Also where nobody waits to the end.
    let patience = Duration::from_millis(20);
    let hung = found(&lookup, Since(Instant::now()), ask);
    assert!(tokio::time::timeout(patience, hung).await.is_err());
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
    assert_eq!(found(&lookup, Since(Instant::now()), ask).await, Ok(3));
    assert_eq!(found(&lookup, Remembered, ask).await, Ok(3));
}
