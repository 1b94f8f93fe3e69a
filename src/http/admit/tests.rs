use super::*;

#[test]
fn few_refusals_leave_at_once_and_a_storm_at_its_pace() {
    let pace = Pace::default();
    let start = Instant::now();
    let (most, moment) = AT_ONCE;
    for _ in 0..most {
        assert_eq!(pace.next(start), None);
    }
    let later = start + moment / 2;
    assert_eq!(pace.next(later), Some(start + moment));
    assert_eq!(pace.next(start + moment), None);
}

#[test]
fn an_answer_leaves_unasked_only_if_it_passed_the_gate_or_tells_of_the_service_alone() {
    let answer = |status: StatusCode| status.into_response();
    for status in [
        StatusCode::OK,
        StatusCode::NO_CONTENT,
        StatusCode::FORBIDDEN,
    ] {
        assert!(!may_leave(&answer(status)), "{status}");
        let now = std::time::Instant::now();
        assert!(may_leave(&passed_gate(answer(status), now)), "{status}");
    }
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        assert!(may_leave(&answer(status)), "{status}");
    }
}

#[test]
fn an_answer_that_comes_too_late_after_its_commit_is_dropped() {
    let answer = || StatusCode::OK.into_response();
    let long_ago = |ms| std::time::Instant::now().checked_sub(Duration::from_millis(ms));
    let of = |since| in_time(passed_gate(answer(), since)).status();
    assert_eq!(of(long_ago(500).unwrap()), StatusCode::OK);
    assert_eq!(
        of(long_ago(1_001).unwrap()),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(in_time(answer()).status(), StatusCode::OK);
}
