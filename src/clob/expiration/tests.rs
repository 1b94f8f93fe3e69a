use super::*;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> u64 {
    u64::try_from(NOW + seconds).unwrap()
}

#[test]
fn an_expiration_is_in_seconds_and_leaves_the_venue_its_minute() {
    for ahead in [180, 3_600, 2_000_000_000] {
        assert_eq!(check(at(ahead), NOW), Ok(None), "{ahead}");
    }
    for ahead in [61, 179] {
        let warning = check(at(ahead), NOW).unwrap().unwrap();
        let rests = format!("ends in {} s", ahead - 60);
        assert!(warning.contains(&rests), "{warning}");
    }
    for (expiration, why) in [
        (at(60), "60 s ahead"),
        (at(1), "1 s ahead"),
        (at(0), "is past"),
        (1, "is past"),
        (at(3_600) * 1_000, "milliseconds: write 1800003600"),
        (at(3_600) * 1_000_000, "microseconds: write 1800003600"),
        (at(3_600) * 1_000_000_000, "nanoseconds: write 1800003600"),
        (NEXT_CENTURY, "milliseconds: write 4102444"),
        (u64::MAX, "no unit of time"),
    ] {
        let error = check(expiration, NOW).unwrap_err();
        assert_eq!(error.field(), "expiration");
        assert!(error.to_string().contains(why), "{error}");
    }
}
