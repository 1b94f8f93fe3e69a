//! An authority of the tests' own, and the certificates that Postgres and its clients show.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Certificates and their keys, as files.
pub(crate) struct Pki(PathBuf);

impl Pki {
    /// Makes all of them in `dir`: a server at this address, and a client that is this role.
    pub(crate) fn make(dir: &Path, address: &str, role: &str) -> Self {
        let pki = Self(dir.to_owned());
        std::fs::create_dir(dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "the tests");
        let certificate = authority.self_signed(&key).unwrap();
        std::fs::write(pki.authority(), certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, key);

        let server = CertificateParams::new([address.to_owned()]).unwrap();
        pki.issue(
            "server",
            server,
            ExtendedKeyUsagePurpose::ServerAuth,
            &issuer,
        );
        let mut client = CertificateParams::default();
        client.distinguished_name.push(DnType::CommonName, role);
        pki.issue(
            "client",
            client,
            ExtendedKeyUsagePurpose::ClientAuth,
            &issuer,
        );
        pki
    }

    /// Those that were made there.
    pub(crate) fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join("authority.pem")
    }

    pub(crate) fn certificate(&self, of: &str) -> PathBuf {
        self.0.join(format!("{of}.pem"))
    }

    pub(crate) fn key(&self, of: &str) -> PathBuf {
        self.0.join(format!("{of}.key"))
    }

    fn issue(
        &self,
        to: &str,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        issuer: &Issuer<'_, KeyPair>,
    ) {
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        std::fs::write(self.certificate(to), certificate.pem()).unwrap();
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600);
        let mut file = file.open(self.key(to)).unwrap();
        std::io::Write::write_all(&mut file, key.serialize_pem().as_bytes()).unwrap();
    }
}
