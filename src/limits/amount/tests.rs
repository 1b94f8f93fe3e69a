use super::*;

fn units(text: &str) -> Result<Units, NotANumber> {
    Units::try_from(text.to_owned())
}

fn price(text: &str) -> Result<Price, NotANumber> {
    Price::try_from(text.to_owned())
}

#[test]
fn an_amount_is_a_whole_number_of_base_units_and_says_what_else_it_is() {
    for good in [0, 1, 2_500_000, Units::MOST] {
        assert_eq!(units(&good.to_string()).unwrap().get(), good);
    }
    let beyond = (U256::from(1) << 127_u32).to_string();
    for (bad, why) in [
        ("-1", "negative"),
        ("2.5", "whole number of base units"),
        ("1e6", "whole number of base units"),
        ("", "whole number of base units"),
        (" 1", "whole number of base units"),
        ("+1", "whole number of base units"),
        ("4611686018427387904", "is more than 4611686018427387903"),
        (&beyond, "is more than"),
    ] {
        let error = units(bad).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    let long = units(&"9".repeat(10_000)).unwrap_err().to_string();
    assert!(long.len() < 300, "{long}");
}

#[test]
fn a_price_is_from_0_to_1_and_is_compared_without_rounding() {
    for good in ["0", "1", "0.5", "0.000001", "0.999999"] {
        assert_eq!(price(good).unwrap().to_string(), good);
    }
    for bad in ["", "1.000001", "2", "-0.1", "0.0000001", ".5", "0.", "1e-2"] {
        assert!(price(bad).is_err(), "{bad}");
    }
    let half = price("0.5").unwrap();
    let [one, two, three] = [1, 2, 3].map(U256::from);
    assert!(!half.is_below(one, two) && !half.is_above(one, two));
    assert!(half.is_below(two, three) && half.is_above(one, three));
    assert!(half.is_below(U256::MAX, one) && !half.is_below(one, U256::MAX));
}

#[test]
fn a_token_id_has_one_form() {
    let token = |text: &str| Token::try_from(text.to_owned());
    let most = U256::MAX.to_string();
    for good in ["0", "12", &most] {
        assert_eq!(token(good).unwrap().to_string(), good);
    }
    for bad in ["", "012", "0x12", "-1", "1.0", &format!("{most}0")] {
        assert!(token(bad).is_err(), "{bad}");
    }
}
