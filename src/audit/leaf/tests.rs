use super::*;

fn example() -> Leaf {
    let end = End {
        intent: Uuid::from_u128(7),
        attempt: 2,
        reason: "late".into(),
        tries: None,
        device_request: None,
    };
    let mut leaf = Leaf::new(1_700_000_000_000, Event::Abandoned(end));
    leaf.software = "chancery 0.1.0".into();
    leaf
}

#[test]
fn the_encoding_of_a_leaf_never_changes() {
    let expected = "8401\
                    1b0000018bcfe56800\
                    6e6368616e6365727920302e312e30\
                    820381\
                    83\
                    5000000000000000000000000000000007\
                    02\
                    646c617465";
    assert_eq!(hex::encode(example().to_bytes()), expected);
    let hash = hex::encode(leaf_hash(&example().to_bytes()));
    let mut prefixed = vec![0];
    prefixed.extend(example().to_bytes());
    assert_eq!(hash, hex::encode(Sha256::digest(prefixed)));
}

#[test]
fn a_count_of_tries_is_added_at_the_end_and_only_where_there_is_one() {
    let mut leaf = example();
    let Event::Abandoned(end) = &mut leaf.event else {
        unreachable!("the example was abandoned")
    };
    end.tries = Some(3);
    let (bytes, once) = (leaf.to_bytes(), example().to_bytes());
    assert_eq!(Leaf::from_bytes(&bytes), Some(leaf));
    assert_eq!(bytes.len(), once.len() + 1);
    assert_eq!(bytes.last(), Some(&3));
}

#[test]
fn bytes_written_otherwise_are_no_leaf() {
    let bytes = example().to_bytes();
    assert_eq!(Leaf::from_bytes(&bytes), Some(example()));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Leaf::from_bytes(&longer), None);
    let mut other_version = bytes;
    other_version[1] = 2;
    assert_eq!(Leaf::from_bytes(&other_version), None);
}
