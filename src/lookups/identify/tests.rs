use super::*;

#[test]
fn what_is_typed_in_is_known_by_its_shape() {
    let id = Uuid::from_u128(7);
    let hash = "ab".repeat(32);
    assert_eq!(Shape::of(&format!(" {id} ")), Shape::Id(id));
    for text in [hash.clone(), format!("0x{hash}")] {
        assert_eq!(Shape::of(&text), Shape::Hash([0xab; 32]));
    }
    assert_eq!(
        Shape::of(&format!("0x{}1b", "ab".repeat(64))),
        Shape::Signature([0xab; 32])
    );
    let address = "0x4bFb41d5B3570DeFd03C39a9A4D8dE6Bd8B8982E";
    assert!(matches!(Shape::of(address), Shape::Address(_)));
    assert_eq!(Shape::of("007"), Shape::Number("7".into()));
    assert_eq!(Shape::of("000"), Shape::Number("0".into()));
    for text in ["desk-1", "0xzz", "", "-1", "1.5"] {
        assert!(matches!(Shape::of(text), Shape::Text(_)), "{text}");
    }
}
