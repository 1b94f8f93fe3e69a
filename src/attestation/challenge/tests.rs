use super::*;
use crate::attestation::compare::tests::key;

#[test]
fn a_challenge_is_nothing_that_others_take() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let text = text(KeyId::new(), AttestationId::new(), now, [1; 32]);
    assert_eq!(text.as_bytes()[0], 0x19);
    assert!(![0x00, 0x01, b'E'].contains(&text.as_bytes()[1]));
    let of_jws = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(!text.bytes().all(of_jws));
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_key_proves_itself_for_one_attestation() {
    let (key, _) = key();
    let attestation = AttestationId::new();
    let draft = ChallengeDraft::new(key.clone(), attestation, OffsetDateTime::UNIX_EPOCH);
    let prepared = draft.prepare(0);
    let sign = |secret: u8| {
        let signer = k256::ecdsa::SigningKey::from_slice(&[secret; 32]).unwrap();
        let (signature, _) = signer.sign_prehash_recoverable(&prepared.digest).unwrap();
        let raw: [u8; 64] = signature.to_bytes().into();
        let public = k256::PublicKey::from(signer.verifying_key());
        let signature = ethereum::Signature::check(&raw, &prepared.digest, &public).unwrap();
        let answer = draft.answer(IntentId::new(), &prepared, &Checked::Ethereum(signature));
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let public = key.public_key.unwrap();
    let (id, of) = (key.id.to_string(), attestation.to_string());
    let possession = sign(7);
    assert!(proves(&possession, &of, &id, &public));
    assert!(!proves(&sign(8), &of, &id, &public));
    let other = AttestationId::new().to_string();
    assert!(!proves(&possession, &other, &id, &public));
    assert!(!proves(&possession, &of, &other, &public));
    let mut changed = possession.clone();
    changed["challenge"] = possession["challenge"]
        .as_str()
        .unwrap()
        .replace("at: 1970", "at: 2970")
        .into();
    assert!(!proves(&changed, &of, &id, &public));
    assert!(!proves(&Value::Null, &of, &id, &public));
}
