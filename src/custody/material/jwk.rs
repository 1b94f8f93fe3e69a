//! A private key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8812).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1::{self, UintRef};
use rsa::pkcs8::der::Encode as _;
use zeroize::Zeroizing;

use super::{BadMaterial, Material, PublicKey};

/// Members point into the text, so that nothing is copied.
#[derive(serde::Deserialize)]
pub(super) struct Jwk<'a> {
    kty: &'a str,
    crv: Option<&'a str>,
    x: Option<&'a str>,
    y: Option<&'a str>,
    d: Option<&'a str>,
    n: Option<&'a str>,
    e: Option<&'a str>,
    p: Option<&'a str>,
    q: Option<&'a str>,
    dp: Option<&'a str>,
    dq: Option<&'a str>,
    qi: Option<&'a str>,
}

impl Jwk<'_> {
    pub(super) fn read(&self) -> Result<Material, BadMaterial> {
        if self.d.is_none() {
            return Err(BadMaterial::Public);
        }
        match self.kty {
            "EC" => self.read_ec(),
            "RSA" => self.read_rsa(),
            _ => Err(BadMaterial::Curve),
        }
    }

    fn read_ec(&self) -> Result<Material, BadMaterial> {
        if self.crv != Some("secp256k1") {
            return Err(BadMaterial::Curve);
        }
        let material = Material::from_scalar(&number(self.d)?)?;
        if self.x.is_some() || self.y.is_some() {
            let (x, y) = (number(self.x)?, number(self.y)?);
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            let point = PublicKey::from_ec_point(&point);
            if point.as_ref() != Ok(material.public_key()) {
                return Err(BadMaterial::Inconsistent);
            }
        }
        Ok(material)
    }

    fn read_rsa(&self) -> Result<Material, BadMaterial> {
        let members = [
            self.n, self.e, self.d, self.p, self.q, self.dp, self.dq, self.qi,
        ];
        if members.iter().any(Option::is_none) {
            return Err(BadMaterial::JwkFactors);
        }
        let numbers = members.map(number);
        let of = |at: usize| {
            let bytes = numbers[at].as_ref().map_err(|error| *error)?;
            UintRef::new(bytes).map_err(|_| BadMaterial::NotAKey)
        };
        let key = pkcs1::RsaPrivateKey {
            modulus: of(0)?,
            public_exponent: of(1)?,
            private_exponent: of(2)?,
            prime1: of(3)?,
            prime2: of(4)?,
            exponent1: of(5)?,
            exponent2: of(6)?,
            coefficient: of(7)?,
            other_prime_infos: None,
        };
        let der = key.to_der().map_err(|_| BadMaterial::NotAKey)?;
        Material::from_pkcs1(&Zeroizing::new(der))
    }
}

/// Big endian, in base64url.
fn number(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, BadMaterial> {
    let text = member.ok_or(BadMaterial::NotAKey)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.map(Zeroizing::new).map_err(|_| BadMaterial::NotAKey)
}
