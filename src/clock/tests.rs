use super::*;

#[test]
fn a_day_lasts_to_its_end() {
    let end = end_of("2027-01-31").unwrap();
    assert_eq!(end_of("2027-01-31T23:59:59Z"), Ok(end));
    for wrong in ["", "tomorrow", "2027-02-30", "2027-01-31 12:00"] {
        assert_eq!(end_of(wrong), Err(NotATime), "{wrong}");
    }
}

#[test]
fn clones_of_a_fixed_clock_move_together() {
    let clock = Clock::fixed(1_700_000_000_123);
    let other = clock.clone();
    assert_eq!(other.unix_s(), 1_700_000_000);
    clock.set(1_700_000_001_000);
    assert_eq!(other.now().unix_timestamp(), 1_700_000_001);
}

#[test]
fn a_clock_is_off_beyond_the_bound_in_either_direction_until_it_is_near_again() {
    let (clock, settings) = (Clock::fixed(0), Settings::default());
    for (ahead_ms, off) in [
        (0, None),
        (2_001, None),
        (10_000, None),
        (10_001, Some(10_001)),
        (-10_000, None),
        (-10_001, Some(-10_001)),
        (i64::MIN, Some(i64::MIN)),
        (-2_000, None),
    ] {
        clock.clone().compared(ahead_ms, &settings);
        assert_eq!(clock.off_by_ms(), off, "{ahead_ms}");
    }
}

#[test]
fn a_bound_that_is_none_is_refused() {
    let read = toml::from_str::<Settings>;
    assert!(read("tolerated_ms = 500\nrefused_ms = 5000").is_ok());
    for wrong in [
        "tolerated_ms = 0",
        "refused_ms = 0",
        "tolerated_ms = 20000",
        "refused_ms = 1_000_000",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
