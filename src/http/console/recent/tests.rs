use super::*;

fn totals(signed: u64, times: [u64; 3]) -> Totals {
    let bounds = [500, 1_000, u64::MAX];
    let times = bounds.into_iter().zip(times).collect();
    Totals {
        signed,
        refused: 0,
        times,
    }
}

#[test]
fn what_was_done_within_a_time_is_what_is_new() {
    let moment = totals(110, [100, 109, 1]).since(&totals(10, [2, 9, 0]));
    assert_eq!(moment.signed, 100);
    assert_eq!(
        (moment.within(49), moment.within(50)),
        (Some(500), Some(1_000))
    );
    assert_eq!(
        (moment.within(99), moment.within(100)),
        (Some(1_000), Some(u64::MAX))
    );
    assert_eq!(Moment::default().within(50), None);
}

#[test]
fn an_hour_is_kept_and_no_more() {
    let recent = Recent::default();
    for _ in 0..KEPT + 10 {
        recent.keep(Moment {
            signed: 1,
            ..Moment::default()
        });
    }
    assert_eq!(recent.all().len(), KEPT);
    let minutes = recent.minutes();
    assert_eq!((minutes.len(), minutes[0].signed), (60, 12));
}
