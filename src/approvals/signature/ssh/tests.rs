//! What `OpenSSH` 9.2 has signed: `printf '%s\n' 0707… | ssh-keygen -Y sign -n chancery-approval -f KEY`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

use super::*;
use crate::approvals::signature::message;

const ED25519_PUB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpFBfdw1LVz4FwjfmpbvJ9D7JMvjnUnj2w1WCCy8u4h test";
const ED25519_SIG: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgikUF93DUtXPgXCN+alu8n0Psky
+OdSePbDVYILLy7iEAAAARY2hhbmNlcnktYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA
AAALc3NoLWVkMjU1MTkAAABA5YHuQUVh+4u7N4Lt6QLVaPDyhZ1Bh8ohZbVqPVZoM/GRaa
Hg4Y1ot5DX96wGmzNK0oPue8msFo7pYd/5CEiRBA==
-----END SSH SIGNATURE-----
";
const ECDSA_PUB: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPyQdSQNCkcSNbuC4VLPQrmqVenJhOnMr0l55/20L+FxfOISBQ9ckdgHI/vvIwG0pA81+0G/u9n8xAIHSK1JoKA= test";
const ECDSA_SIG: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE
EE/JB1JA0KRxI1u4LhUs9CuapV6cmE6cyvSXnn/bQv4XF84hIFD1yR2Acj++8jAbSkDzX7
Qb+72fzEAgdIrUmgoAAAABFjaGFuY2VyeS1hcHByb3ZhbAAAAAAAAAAGc2hhNTEyAAAAYw
AAABNlY2RzYS1zaGEyLW5pc3RwMjU2AAAASAAAACBuQrQFS4unQhjXaLhzTQ8D5R6bhhvi
op2CEbmgA0xu5wAAACBe4XivrWGP859WIvWV4p3u6RCtlNjFRL7NLCU+Dq65XA==
-----END SSH SIGNATURE-----
";
const RSA_PUB: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCw0Yz6g/cCh3399RkdQBbUxNV4+hb6zygmTR7q/TwRA34cbPSCmG/FT6xRnGlHq2C70dOl8iedViSYVVkt";
/// By the first key, with `-n file`.
const OTHER_SIG: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgikUF93DUtXPgXCN+alu8n0Psky
+OdSePbDVYILLy7iEAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAEBqyxuCM4CsVFRi7GZUmFXxtCDcLikiy28hqYTSZFOWgQXNZ1Krv40sQWJkwtEtlv
rDorYzqKeQA9MjS9zq3c4F
-----END SSH SIGNATURE-----
";

fn signed() -> String {
    message(&[7; 32])
}

#[test]
fn what_openssh_signs_is_taken() {
    for (public, signature) in [(ED25519_PUB, ED25519_SIG), (ECDSA_PUB, ECDSA_SIG)] {
        let key = SshKey::from_line(public).unwrap();
        assert_eq!(key.verify(signature, signed().as_bytes()), Ok(()));
        assert_eq!(key_of(signature), Ok(key));
    }
}

#[test]
fn what_is_not_exactly_that_is_refused() {
    let key = SshKey::from_line(ED25519_PUB).unwrap();
    let other = SshKey::from_line(ECDSA_PUB).unwrap();
    let verify = |armored: &str| key.verify(armored, signed().as_bytes());
    assert_eq!(verify(OTHER_SIG), Err(BadSsh::Namespace));
    assert_eq!(verify(ECDSA_SIG), Err(BadSsh::OtherKey));
    let of_other = other.verify(ED25519_SIG, signed().as_bytes());
    assert_eq!(of_other, Err(BadSsh::OtherKey));
    let elsewhere = key.verify(ED25519_SIG, message(&[8; 32]).as_bytes());
    assert_eq!(elsewhere, Err(BadSsh::Wrong));
    let blob = unarmored(ED25519_SIG).unwrap();
    let armored = |blob: &[u8]| format!("{BEGIN}\n{}\n{END}", STANDARD.encode(blob));
    // No byte is without a meaning, none can be missing, none can be added.
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert!(verify(&armored(&changed)).is_err(), "byte {at}");
        assert!(verify(&armored(&blob[..at])).is_err(), "cut at {at}");
    }
    assert!(verify(&armored(&[blob.as_slice(), &[0]].concat())).is_err());
    assert_eq!(verify("nothing"), Err(BadSsh::Form));
    assert_eq!(SshKey::from_line(RSA_PUB), Err(BadSsh::Key));
    assert_eq!(SshKey::from_line("ssh-ed25519"), Err(BadSsh::Key));
    let named_otherwise = ED25519_PUB.replace("ssh-ed25519 ", "ssh-rsa ");
    assert_eq!(SshKey::from_line(&named_otherwise), Err(BadSsh::Key));
}

/// A signature as a security key makes it.
fn by_token(name: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>, key: &SshKey, flags: u8) -> String {
    let hash = Sha512::digest(signed().as_bytes());
    let mut about = MAGIC.to_vec();
    for part in [NAMESPACE.as_bytes(), b"", b"sha512", &hash] {
        put(part, &mut about);
    }
    let behind = [flags, 0, 0, 0, 4];
    let on_token = [
        &Sha256::digest("ssh:")[..],
        &behind,
        &Sha256::digest(&about)[..],
    ]
    .concat();
    let mut signature = Vec::new();
    put(name, &mut signature);
    put(&sign(&on_token), &mut signature);
    signature.extend(behind);
    let mut blob = MAGIC.to_vec();
    blob.extend(1_u32.to_be_bytes());
    for part in [key.blob(), NAMESPACE.as_bytes(), b"", b"sha512", &signature] {
        put(part, &mut blob);
    }
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(blob))
}

#[test]
fn a_security_key_counts_if_somebody_touched_it() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let name = b"sk-ssh-ed25519@openssh.com".as_slice();
    let mut blob = Vec::new();
    for part in [name, pair.public_key().as_ref(), b"ssh:"] {
        put(part, &mut blob);
    }
    let key = SshKey::from_blob(blob).unwrap();
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    let check = |flags| key.verify(&by_token(name, sign, &key, flags), signed().as_bytes());
    assert_eq!(check(0x01), Ok(()));
    assert_eq!(check(0x05), Ok(()));
    assert_eq!(check(0x04), Err(BadSsh::NotPresent));

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let name = b"sk-ecdsa-sha2-nistp256@openssh.com".as_slice();
    let mut blob = Vec::new();
    for part in [name, b"nistp256", pair.public_key().as_ref(), b"ssh:"] {
        put(part, &mut blob);
    }
    let key = SshKey::from_blob(blob).unwrap();
    let sign = |message: &[u8]| {
        let raw = pair.sign(&SystemRandom::new(), message).unwrap();
        let mut numbers = Vec::new();
        for number in raw.as_ref().chunks(32) {
            let short = &number[number.iter().take_while(|it| **it == 0).count()..];
            let sign: &[u8] = if short[0] & 0x80 == 0 { &[] } else { &[0] };
            put(&[sign, short].concat(), &mut numbers);
        }
        numbers
    };
    let check = |flags| key.verify(&by_token(name, sign, &key, flags), signed().as_bytes());
    assert_eq!(check(0x01), Ok(()));
    assert_eq!(check(0x00), Err(BadSsh::NotPresent));
}
