use super::*;

#[test]
fn each_stage_is_told_once() {
    let ends_at = OffsetDateTime::from_unix_timestamp(10_000_000).unwrap();
    let at = |hours| {
        let notice = Notice::new(Kind::Deadline, "x");
        let staged = staged(notice, "token t", ends_at, ends_at - Duration::hours(hours));
        staged.and_then(|it| it.once)
    };
    let of = |days: u8| Some(format!("token t 10000000 {days}"));
    for (hours, days) in [
        (14 * 24 + 1, None),
        (14 * 24, of(14)),
        (73, of(14)),
        (72, of(3)),
        (24, of(1)),
        (1, of(1)),
        (0, of(0)),
        (-1000, of(0)),
    ] {
        assert_eq!(at(hours), days, "{hours}");
    }
}
