use super::*;

#[test]
fn places_are_what_was_packed_however_many_they_are() {
    let size = u16::try_from(SIZE).unwrap();
    for step in [1, 2, 3, 7, 16, 17, 100, 8_000] {
        let places: Vec<u16> = (0..size).step_by(step).collect();
        assert_eq!(unpack(&pack(&places)), Some(places), "{step}");
    }
    let few: Vec<u16> = (0..513).collect();
    for count in [0, 1, 511, 512, 513] {
        assert_eq!(
            unpack(&pack(&few[..count])).as_deref(),
            Some(&few[..count]),
            "{count}"
        );
    }
    assert_eq!((unpack(&[1]), unpack(&[0xff, 0xff])), (None, None));
}

#[test]
fn what_has_all_terms_is_found_the_last_first() {
    let (a, b) = (Term::action("a"), Term::action("b"));
    let (both, one) = ([a, b], [a]);
    let leaves = (0..100_u16).map(|place| {
        let terms: &[Term] = if place % 10 == 0 { &both } else { &one };
        (place, i64::from(place) + 5, terms)
    });
    let stretch = Stretch::of(leaves);
    assert_eq!(
        (stretch.from_ms, stretch.to_ms, stretch.terms.len()),
        (5, 104, 2)
    );
    let found = shared(stretch.places.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(found, [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]);
    assert_eq!(shared([&[0xff, 0xff][..]]), None);
}
