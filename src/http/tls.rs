//! TLS of the service itself.
//!
//! Each connection is begun with what is in the files at that moment, or was when they were last whole:
//! a certificate that is renewed takes effect without a connection being dropped, and one that is half
//! written takes none. Nothing is resumed: whoever comes shows their certificate anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

use crate::guarded_file;
use crate::within::Within;

/// `[http.tls]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file with the service's certificate and those above it, in PEM.
    pub certificate: PathBuf,
    /// The file with its private key, in PEM.
    pub key: PathBuf,
    /// Whether clients are asked for a certificate.
    #[serde(default)]
    pub client_certificates: bool,
    /// After so many seconds a connection ends with its next answer.
    #[serde(default = "an_hour")]
    pub connection_age_s: Within<10, 86_400>,
}

fn an_hour() -> Within<10, 86_400> {
    Within::of(3_600)
}

/// Why there is no TLS, or none with what is in the files now.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or others could have written or read it.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A file is not PEM.
    #[error("{0}: {1}")]
    Pem(PathBuf, pem::Error),
    /// A file holds nothing that is wanted.
    #[error("{0}: there is no {1} in it")]
    Empty(PathBuf, &'static str),
    /// Certificate and key do not belong together, or one is of no use.
    #[error("certificate and key: {0}")]
    Wrong(#[from] rustls::Error),
}

/// What connections are begun with.
pub(super) struct Tls {
    settings: Settings,
    current: ArcSwap<ServerConfig>,
    /// SHA-256 of the files, as they were last tried.
    tried: Mutex<[u8; 32]>,
}

struct Files {
    certificate: String,
    key: zeroize::Zeroizing<String>,
}

impl Tls {
    /// Reads the files. They have to be whole.
    pub(super) fn open(settings: &Settings) -> Result<Self, TlsError> {
        let files = Files::read(settings)?;
        Ok(Self {
            current: ArcSwap::from_pointee(config(settings, &files)?),
            tried: Mutex::new(files.digest()),
            settings: settings.clone(),
        })
    }

    /// What the next connection is begun with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.load_full().into()
    }

    /// After how long a connection ends.
    pub(super) fn connection_age(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.settings.connection_age_s.get())
    }

    /// Takes what is in the files now, if it is new and whole. If not, all stays as it is, and is said once.
    pub(super) fn reload(&self) {
        let read = Files::read(&self.settings);
        let digest = read.as_ref().map_or([0; 32], Files::digest);
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *tried, digest) == digest {
            return;
        }
        match read.and_then(|files| config(&self.settings, &files)) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                tracing::info!("new connections have the certificate that is in the file now");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is not taken; the one before goes on");
            }
        }
    }
}

impl Files {
    fn read(settings: &Settings) -> Result<Self, TlsError> {
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |error| TlsError::File(file, error)
        };
        let certificate = guarded_file::read_secret(&settings.certificate)
            .map_err(failed(&settings.certificate))?;
        Ok(Self {
            certificate: certificate.to_string(),
            key: guarded_file::read_private(&settings.key).map_err(failed(&settings.key))?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::new_with_prefix(self.certificate.as_bytes())
            .chain_update([0])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into()
    }
}

fn config(settings: &Settings, files: &Files) -> Result<ServerConfig, TlsError> {
    let wrong = |file: &Path| {
        let file = file.to_owned();
        move |error| TlsError::Pem(file, error)
    };
    let chain = CertificateDer::pem_slice_iter(files.certificate.as_bytes());
    let chain: Vec<_> = chain
        .collect::<Result<_, _>>()
        .map_err(wrong(&settings.certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(settings.certificate.clone(), "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes());
    let key = key.map_err(wrong(&settings.key))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = if settings.client_certificates {
        builder.with_client_cert_verifier(Arc::new(Shown(provider)))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Has clients prove that they hold the key of the certificate that they show. Whether anybody is known by
/// it, [`callers`](crate::callers) says, for each request: a refusal is a problem document then, and a
/// certificate that is over, or whose authority is not trusted any more, ends with it.
#[derive(Debug)]
struct Shown(Arc<CryptoProvider>);

impl ClientCertVerifier for Shown {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
