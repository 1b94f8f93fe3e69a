use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_token_of_the_documentation_is_replaced_from_a_minute_before_its_end() {
    let start = Instant::now();
    let life = Life::new(start, s(180), 0);
    for (second, age) in [
        (0, Age::Fresh),
        (119, Age::Fresh),
        (120, Age::Ripe),
        (149, Age::Ripe),
        (150, Age::Closing),
        (179, Age::Closing),
        (180, Age::Over),
        (10_000, Age::Over),
    ] {
        assert_eq!(life.age(start + s(second)), age, "{second}");
    }
    let earliest = Life::new(start, s(180), 255);
    assert_eq!(earliest.age(start + s(109)), Age::Fresh);
    assert_eq!(earliest.age(start + s(110)), Age::Ripe);
    assert_eq!(earliest.left(start + s(100)), s(80));
}

#[test]
fn the_least_that_is_said_counts() {
    let now = 1_800_000_000;
    for (expires_in, issued_at, expires_at, length_s) in [
        (Some(180), None, None, Some(180)),
        (Some(3_600), None, Some(now + 60), Some(60)),
        (Some(3_600), Some(now - 10), Some(now + 60), Some(60)),
        (Some(180), Some(now + 30), Some(now + 90), Some(60)), // their clock and Date disagree
        (Some(30), Some(now), Some(now + 180), Some(30)),
        (None, None, Some(now + 180), Some(180)),
        (Some(180), None, Some(now), Some(0)),
        (Some(180), Some(now - 200), Some(now - 20), Some(0)),
        (None, Some(now), None, None),
        (None, None, Some(i64::MAX), Some(86_400)),
        (None, Some(i64::MIN), Some(i64::MAX), Some(86_400)),
    ] {
        let read = length(expires_in, issued_at, expires_at, now);
        assert_eq!(read, length_s.map(s), "{expires_in:?} {expires_at:?}");
    }
}

#[test]
fn a_short_life_is_of_use_too() {
    let start = Instant::now();
    for (length, ripe, closing) in [(20, 13_400, 15_000), (5, 3_400, 3_750), (2, 1_400, 1_500)] {
        let life = Life::new(start, s(length), 0);
        assert_eq!(life.age(start), Age::Fresh, "{length}");
        assert_eq!(
            life.age(start + Duration::from_millis(ripe)),
            match length {
                2 => Age::Over, // less than a second left
                _ => Age::Ripe,
            }
        );
        let age = life.age(start + Duration::from_millis(closing));
        assert!(matches!(age, Age::Closing | Age::Over), "{length}");
        assert_eq!(life.age(start + s(length)), Age::Over, "{length}");
    }
    assert_eq!(Life::new(start, s(0), 255).age(start), Age::Over);
}
