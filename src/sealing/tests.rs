use super::*;

fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}

#[test]
fn what_was_sealed_opens() {
    for plaintext in [b"".as_slice(), b"x", &[0xa5; 5000]] {
        let sealed = key().seal(b"about", plaintext);
        assert_eq!(sealed.len(), plaintext.len() + 28);
        assert_eq!(*key().open(b"about", &sealed).unwrap(), plaintext);
    }
    let twice = [key().seal(b"", b"x"), key().seal(b"", b"x")];
    assert_ne!(twice[0], twice[1], "nonces differ");
}

#[test]
fn what_was_altered_moved_or_cut_does_not_open() {
    let sealed = key().seal(b"about", b"secret");
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(key().open(b"about", &altered), Err(DoesNotOpen));
        assert_eq!(key().open(b"about", &sealed[..at]), Err(DoesNotOpen));
    }
    assert_eq!(key().open(b"another", &sealed), Err(DoesNotOpen));
    let stranger = SealingKey::from_bytes(&[8; 32]);
    assert_eq!(stranger.open(b"about", &sealed), Err(DoesNotOpen));
}

#[test]
fn a_key_file_is_made_once_for_its_owner_only() {
    let path = std::env::temp_dir().join(format!("chancery-{}", uuid::Uuid::now_v7()));
    let made = SealingKey::create_file(&path).unwrap();
    let written = std::fs::metadata(&path).unwrap().permissions();
    assert_eq!(written.mode() & 0o777, 0o600);
    let read = SealingKey::from_file(&path).unwrap();
    assert_eq!(*read.open(b"", &made.seal(b"", b"x")).unwrap(), b"x");
    assert!(matches!(
        SealingKey::create_file(&path),
        Err(BadKeyFile::Io(_))
    ));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        SealingKey::from_file(&path),
        Err(BadKeyFile::WorldReadable)
    ));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_key_is_32_bytes_or_64_digits() {
    let digits = hex::encode([7; 32]);
    for content in [
        vec![7; 32],
        digits.clone().into(),
        format!("{digits}\n").into(),
    ] {
        let read = SealingKey::from_content(&content).unwrap();
        assert_eq!(*read.open(b"", &key().seal(b"", b"x")).unwrap(), b"x");
    }
    for content in [b"".as_slice(), b"short", &[7; 31], &[7; 33], &[b'z'; 64]] {
        assert!(matches!(
            SealingKey::from_content(content),
            Err(BadKeyFile::Malformed)
        ));
    }
}

#[test]
fn debug_tells_nothing() {
    assert_eq!(format!("{:?}", key()), "SealingKey([redacted])");
}
