use super::*;

#[test]
fn a_time_is_kept_within_one_part_in_128() {
    let numbers = (0..64).flat_map(|power| {
        let near = [0_u64, 1, 2, 3, 5, 77];
        near.map(|more| (1_u64 << power).saturating_add(more << power.min(57)))
    });
    let mut before = (0, 0);
    let mut sorted: Vec<u64> = numbers.chain(0..1000).collect();
    sorted.sort_unstable();
    for number in sorted {
        let (place, last) = (place(number), last(place(number)));
        assert!(last >= number, "{number} in {place}, which ends at {last}");
        assert!(last - number <= number / 128, "{number}: {last}");
        assert!((place, last) >= before, "{number}");
        before = (place, last);
    }
    assert_eq!(last(place(u64::MAX)), u64::MAX);
}

#[test]
fn a_percentile_is_the_time_that_so_many_did_not_exceed() {
    let all = Histogram::of((1..=1000).map(Duration::from_micros));
    let near = |time: Duration, micros: u64| {
        let wanted = Duration::from_micros(micros);
        assert!(time >= wanted && time <= wanted + wanted / 128, "{time:?}");
    };
    near(all.p50(), 500);
    near(all.p99(), 990);
    near(all.within(9_999), 1000);
    assert_eq!(all.within(10_000), Duration::from_millis(1));
    assert_eq!(all.longest(), Duration::from_millis(1));
    assert_eq!(all.times().map(|(_, count)| count).sum::<u64>(), 1000);
    assert_eq!(Histogram::default().p99(), Duration::ZERO);
}
