use super::*;
use crate::http::Settings;

fn two() -> (Who, Who) {
    (Some(CallerId::new()), Some(CallerId::new()))
}

/// For which whoever called is there until the test is over.
fn admission(settings: &Settings) -> Admission {
    Admission::lasting(settings, Duration::from_hours(1))
}

/// A turn, if there is one at once.
async fn at_once(admission: &Admission, who: Who, calls: u64) -> Option<Work> {
    tokio::task::yield_now().await; // what is ready is, however much was ready before
    let turn = timeout(Duration::ZERO, admission.turn(who, calls)).await;
    turn.ok()?.ok()
}

/// As many turns as there are at once.
async fn all_at_once(admission: &Admission, who: Who) -> Vec<Work> {
    let mut works = Vec::new();
    while let Some(work) = at_once(admission, who, 1).await {
        works.push(work);
    }
    works
}

#[tokio::test]
async fn who_is_alone_may_have_much_and_who_comes_then_does_not_wait() {
    let admission = admission(&Settings::default());
    let (flood, other) = two();
    let mut works = all_at_once(&admission, flood).await;
    assert_eq!(works.len() as u64, ALONE);
    let others = all_at_once(&admission, other).await;
    assert_eq!(others.len() as u64, admission.0.of_each);
    // The flood has nothing more until there is less of it.
    works.truncate(usize::try_from(admission.0.together).unwrap() - others.len());
    assert!(at_once(&admission, flood, 1).await.is_none());
    works.pop();
    assert!(at_once(&admission, flood, 1).await.is_some());
}

#[tokio::test]
async fn where_there_are_others_work_is_begun_in_turns() {
    let admission = admission(&Settings::default());
    let (flood, other) = two();
    let mut under_way = Vec::new();
    for _ in 0..admission.0.of_each {
        under_way.push(at_once(&admission, other, 1).await.unwrap());
    }
    let mut works = all_at_once(&admission, flood).await;
    assert_eq!((works.len() + under_way.len()) as u64, admission.0.together);
    let (told, mut begun) = tokio::sync::mpsc::unbounded_channel();
    for who in [flood, flood, flood, other, other] {
        let (admission, told) = (admission.clone(), told.clone());
        let wait = async move { told.send((who, admission.turn(who, 1).await)).is_ok() };
        #[expect(clippy::disallowed_methods, reason = "a test waits for it")]
        tokio::spawn(wait);
        tokio::task::yield_now().await;
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        works.pop();
        let (who, work) = begun.recv().await.unwrap();
        order.push(who);
        under_way.push(work.unwrap());
    }
    let named = order
        .iter()
        .map(|who| if *who == flood { 'f' } else { 'o' });
    assert_eq!(
        named.collect::<String>(),
        "ofoff",
        "the flood was next before"
    );
}

#[tokio::test]
async fn a_batch_counts_as_its_calls_and_who_hangs_up_leaves_no_trace() {
    let admission = admission(&Settings::default());
    let (flood, other) = two();
    drop(at_once(&admission, other, 1).await);
    let batch = at_once(&admission, flood, 100).await;
    assert!(batch.is_some());
    for _ in 0..1_000 {
        assert!(at_once(&admission, flood, 100).await.is_none());
    }
    drop(batch);
    let shares = admission.lock();
    assert_eq!((shares.working, shares.turns.waiting()), (0, 0));
    assert!(shares.of.is_empty());
}

#[tokio::test]
async fn places_and_bytes_come_back_and_everybody_has_some() {
    let mut settings = Settings::default();
    (settings.concurrent_requests, settings.requests_per_caller) = (10, 8);
    settings.body_bytes_per_caller = 100;
    let admission = admission(&settings);
    let (flood, other) = two();
    let all = |who| {
        let places = std::iter::from_fn(|| admission.enter(who).ok());
        places.collect::<Vec<_>>()
    };
    let (floods, others) = (all(flood), all(other));
    assert_eq!((floods.len(), others.len()), (8, ALWAYS));
    assert!(floods[0].keep(60).is_ok());
    assert!(floods[1].keep(60).is_err());
    assert!(others[0].keep(60).is_ok());
    drop(floods);
    let floods = all(flood);
    assert_eq!(floods.len(), 6, "up to ten together");
    assert!(floods[0].keep(60).is_ok());
    // The work of three of them goes on.
    let held: Vec<_> = floods[..3].iter().map(Admitted::held).collect();
    drop(floods);
    assert_eq!(all(flood).len(), 3);
    drop(held);
    assert_eq!(all(flood).len(), 6);
}
