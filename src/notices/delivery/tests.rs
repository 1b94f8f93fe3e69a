use time::OffsetDateTime;

use super::super::{Kind, Notice};
use super::*;

fn waits(attempt: i32, error: &NotDelivered) -> Option<u64> {
    let claimed = Claimed {
        notice: Notice::new(Kind::Test, "x"),
        at: OffsetDateTime::UNIX_EPOCH,
        attempt,
    };
    match after(&claimed, error) {
        Outcome::Again(wait, _) => Some(wait.as_secs()),
        Outcome::Dead(_) => None,
        Outcome::Delivered => panic!("it failed"),
    }
}

#[test]
fn it_is_tried_for_two_days_less_and_less_often_and_then_no_more() {
    let error = NotDelivered::new("it answered 500");
    let all: Vec<_> = (1..).map_while(|attempt| waits(attempt, &error)).collect();
    assert_eq!(all.len(), WAITS_S.len());
    for (wait, least) in all.iter().zip(WAITS_S) {
        assert!((least..=least * 6 / 5).contains(wait), "{all:?}");
    }
    let days = all.iter().sum::<u64>() / 86_400;
    assert_eq!(days, 2, "{all:?}");
}

#[test]
fn a_receiver_says_when_to_come_back_and_that_it_is_gone() {
    let busy = NotDelivered {
        after: Some(Duration::from_secs(700)),
        ..NotDelivered::new("it answered 429")
    };
    assert_eq!(waits(1, &busy), Some(700));
    assert!(waits(6, &busy) >= Some(3_600));
    let gone = NotDelivered {
        is_final: true,
        ..NotDelivered::new("it answered 410")
    };
    assert_eq!(waits(1, &gone), None);
}
