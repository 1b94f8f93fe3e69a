use super::*;
use crate::clock;

#[tokio::test]
async fn nobody_comes_by_what_expires_where_the_time_is_not_known() {
    let clock = Clock::fixed(1_800_000_000_000);
    let ways = Ways::open(&Settings::default(), clock.clone()).unwrap();
    let shown = Presented::new(&[]);
    let by_both = async || {
        let by_jwt = ways.by_jwt("a.b.c", &Strangers::default()).await;
        [ways.by_certificate(&shown).map(drop), by_jwt.map(drop)]
    };
    for refusal in by_both().await {
        let error = refusal.unwrap_err();
        assert!(!matches!(error, CallerError::ClockOff(_)), "{error}");
    }
    clock.compared(60_000, &clock::Settings::default());
    for refusal in by_both().await {
        let error = refusal.unwrap_err();
        assert!(matches!(error, CallerError::ClockOff(60_000)), "{error}");
    }
}
