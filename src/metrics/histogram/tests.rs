use super::*;

#[test]
fn each_observation_is_in_the_first_bucket_that_it_fits_in() {
    let times = Histogram::of_time();
    for micros in [0, 250, 251, 1_000, 60_000_000] {
        times.took(Duration::from_micros(micros));
    }
    let spread = times.spread();
    assert_eq!(spread.count, 5);
    assert_eq!(spread.buckets[0], (0.00025, 2));
    assert_eq!(spread.buckets[1], (0.0005, 1));
    assert_eq!(spread.buckets[2], (0.001, 1));
    assert_eq!(spread.buckets[16], (BEYOND, 1));
    assert_eq!(spread.buckets.len(), 17);

    let rows = Histogram::of_rows();
    rows.observe(3);
    rows.observe(10_000);
    let spread = rows.spread();
    assert_eq!(spread.buckets.len(), 11);
    assert_eq!(spread.buckets[2], (4.0, 1));
    assert_eq!(spread.buckets[10], (BEYOND, 1));
    assert!((spread.sum - 10_003.0).abs() < f64::EPSILON);
}
