use super::as_double;

#[test]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "doubles themselves are the measure"
)]
fn an_amount_beyond_a_double_is_the_one_that_a_double_makes_of_it() {
    for bits in 50..100 {
        let power = 1_u128 << bits;
        let spacing = 1_u128 << (bits - 52_u32.min(bits));
        for near in 0..6 {
            for off in [
                0,
                1,
                spacing / 2 - u128::from(spacing > 1),
                spacing / 2,
                spacing / 2 + 1,
            ] {
                let value = power + near * spacing + off;
                assert_eq!(as_double(value, 1), value as f64 as u128, "{value}");
                assert_eq!(as_double(value * 10_000, 10_000), as_double(value, 1));
            }
        }
    }
}

#[test]
fn what_a_division_leaves_decides_a_tie() {
    let tie = (1_u128 << 53) + 1; // between two doubles, and the even one is below
    assert_eq!(as_double(tie * 10_000, 10_000), 1 << 53);
    assert_eq!(as_double(tie * 10_000 + 1, 10_000), (1 << 53) + 2);
    assert_eq!(as_double(tie * 10_000 - 1, 10_000), 1 << 53);
}
