use super::*;

fn key(of: u8) -> SealingKey {
    SealingKey::from_bytes(&[of; 32])
}

#[test]
fn a_former_key_opens_and_the_current_one_seals() {
    let before = Keyring::from(key(1));
    let sealed = before.seal(b"about", b"secret");
    assert_eq!(named_in(&sealed), Some(key(1).id()));

    let after = Keyring::new(key(2), vec![key(1)]);
    assert_eq!(*after.open(b"about", &sealed).unwrap(), b"secret");
    let sealed = after.seal(b"about", b"secret");
    assert_eq!(named_in(&sealed), Some(key(2).id()));
    assert!(sealed.starts_with(&after.head()));
    let missing = before.open(b"about", &sealed).unwrap_err();
    assert_eq!(missing, Unopened::KeyMissing(key(2).id()));
    let moved = after.open(b"another", &sealed).unwrap_err();
    assert_eq!(moved, Unopened::DoesNotOpen);
}

#[test]
fn the_head_is_bound_and_what_has_none_still_opens() {
    let ring = Keyring::new(key(2), vec![key(1)]);
    let sealed = ring.seal(b"about", b"secret");
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(ring.open(b"about", &altered).is_err(), "byte {at}");
    }
    let headless = key(1).seal(b"about", b"secret");
    assert_eq!(*ring.open(b"about", &headless).unwrap(), b"secret");
    let stranger = Keyring::from(key(3)).open_unnamed(b"about", &headless);
    assert_eq!(stranger.unwrap_err(), Unopened::DoesNotOpen);
}

#[test]
fn an_id_tells_keys_apart_and_nothing_of_the_key() {
    assert_eq!(key(1).id(), key(1).id());
    assert_ne!(key(1).id(), key(2).id());
    let text = key(1).id().to_string();
    assert_eq!(text.len(), 16);
    assert_ne!(text, "01".repeat(8));
}
