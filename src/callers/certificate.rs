//! Callers by certificate: a SPIFFE ID that an authority of its trust domain vouches for (X.509-SVID,
//! section 5), or one certificate that was registered.
//!
//! TLS has shown that whoever is on the connection holds the certificate's key, and nothing else. A
//! certificate with a URI as its name comes the first way and never the second; one without, the other way
//! round. The authority is chosen by the trust domain in the ID, so that one domain's never gives a name in
//! another: certificates have no constraint for URIs that anybody enforces.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use super::credential::{Identity, Vouched};
use super::spiffe::{NotASpiffeId, SpiffeId, is_trust_domain};
use crate::guarded_file;

/// How long it is remembered, in seconds, that a certificate is good: authorities go, too.
const GOOD_FOR: i64 = 60;

/// The same where it is not.
const BAD_FOR: i64 = 1;

/// Certificates above the one that was shown.
const LONGEST_CHAIN: usize = 8;

/// Why nobody is known by a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotByCertificate {
    /// Not what X.509 is.
    #[error("it cannot be read")]
    Unreadable,
    /// Its time is to come.
    #[error("it is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Which of them would it be?
    #[error("it has {0} URIs as names, and a SPIFFE ID stands alone")]
    Uris(usize),
    /// Its URI is another one.
    #[error("its URI is no SPIFFE ID: {0}")]
    NotASpiffeId(NotASpiffeId),
    /// An authority gives names, and has none here.
    #[error("it is an authority's (CA), which is nobody who calls")]
    Authority,
    /// Its key is for something else.
    #[error("its key usage is not digitalSignature, or is an authority's too")]
    KeyUsage,
    /// Nobody of that domain is known.
    #[error("its trust domain {0} is none of those in the configuration")]
    TrustDomain(String),
    /// Nobody who may says so.
    #[error("no authority of its trust domain vouches for it: {0}")]
    Chain(String),
}

/// Certificates that were shown on a connection, the client's own first.
pub struct Presented {
    chain: Vec<CertificateDer<'static>>,
    judged: Mutex<Option<Judged>>,
}

#[derive(Clone)]
struct Judged {
    said: Result<Vouched, NotByCertificate>,
    /// When, in seconds since 1970, and by which authorities.
    at: i64,
    generation: u64,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({} certificates)", self.chain.len())
    }
}

impl Presented {
    /// What TLS says that it was shown.
    pub fn new(chain: &[CertificateDer<'_>]) -> Self {
        let chain = chain.iter().map(|it| it.clone().into_owned());
        Self {
            chain: chain.collect(),
            judged: Mutex::default(),
        }
    }

    /// Who that is.
    pub(super) fn identity(
        &self,
        domains: &TrustDomains,
        now: i64,
    ) -> Result<Vouched, NotByCertificate> {
        let trusted = domains.current.load();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Judged {
            said,
            at,
            generation,
        }) = &*judged
        {
            let good_for = said.as_ref().map_or(BAD_FOR, |(_, until)| {
                GOOD_FOR.min(until.saturating_sub(*at))
            });
            if *generation == trusted.generation && (*at..at + good_for).contains(&now) {
                return said.clone();
            }
        }
        let said = judge(&self.chain, &trusted, now);
        *judged = Some(Judged {
            said: said.clone(),
            at: now,
            generation: trusted.generation,
        });
        said
    }
}

fn judge(
    chain: &[CertificateDer<'_>],
    trusted: &Trusted,
    now: i64,
) -> Result<Vouched, NotByCertificate> {
    use NotByCertificate as Not;
    let unreadable = |_| Not::Unreadable;
    let (leaf, above) = chain.split_first().ok_or(Not::Unreadable)?;
    if above.len() > LONGEST_CHAIN {
        return Err(Not::Chain("there are too many above it".to_owned()));
    }
    let read = Certificate::from_der(leaf)
        .map_err(unreadable)?
        .tbs_certificate;
    let seconds = |it: x509_cert::time::Time| {
        i64::try_from(it.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
    };
    let until = seconds(read.validity.not_after);
    if now < seconds(read.validity.not_before) {
        return Err(Not::NotYet);
    }
    if now > until {
        return Err(Not::Expired);
    }
    let names = read.get::<SubjectAltName>().map_err(unreadable)?;
    let names = names.map_or_else(Vec::new, |(_, names)| names.0);
    let uris: Vec<_> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    let id: SpiffeId = match uris.as_slice() {
        [] => {
            let fingerprint = Sha256::digest(leaf).into();
            return Ok((Identity::Certificate(fingerprint), until));
        }
        [uri] => uri.parse().map_err(Not::NotASpiffeId)?,
        more => return Err(Not::Uris(more.len())),
    };
    let constraints = read.get::<BasicConstraints>().map_err(unreadable)?;
    if constraints.is_some_and(|(_, it)| it.ca) {
        return Err(Not::Authority);
    }
    let usage = read.get::<KeyUsage>().map_err(unreadable)?;
    let is_fit = |it: &KeyUsage| it.digital_signature() && !it.key_cert_sign() && !it.crl_sign();
    if !usage.is_some_and(|(_, it)| is_fit(&it)) {
        return Err(Not::KeyUsage);
    }
    let domain = id.trust_domain();
    let authorities = trusted.of.get(domain);
    let authorities = authorities.ok_or_else(|| Not::TrustDomain(domain.to_owned()))?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
    authorities
        .verify_client_cert(leaf, above, at)
        .map_err(|error| Not::Chain(error.to_string()))?;
    Ok((Identity::Spiffe(id), until))
}

/// A trust domain, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TrustDomain(String);

impl TryFrom<String> for TrustDomain {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if is_trust_domain(&text) {
            Ok(Self(text))
        } else {
            Err("a trust domain is lower-case letters, digits, dots, dashes and underscores")
        }
    }
}

/// Whose word counts for which names. A file that is not whole takes nothing away and adds nothing.
pub(super) struct TrustDomains {
    files: BTreeMap<TrustDomain, PathBuf>,
    current: ArcSwap<Trusted>,
    /// What each file was when it was last tried, by SHA-256.
    tried: Mutex<HashMap<TrustDomain, [u8; 32]>>,
}

#[derive(Clone, Default)]
struct Trusted {
    generation: u64,
    of: HashMap<String, Arc<dyn ClientCertVerifier>>,
}

/// Why a file holds no authorities.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub struct BadBundle(PathBuf, String);

impl TrustDomains {
    /// Reads the files, each of which has to be whole.
    pub(super) fn open(files: &BTreeMap<TrustDomain, PathBuf>) -> Result<Self, BadBundle> {
        let mut trusted = Trusted::default();
        let mut tried = HashMap::new();
        for (domain, file) in files {
            let bad = |why| BadBundle(file.clone(), why);
            let text = guarded_file::read_rules(file).map_err(|error| bad(error.to_string()))?;
            let authorities = authorities(&text).map_err(bad)?;
            trusted.of.insert(domain.0.clone(), authorities);
            tried.insert(domain.clone(), Sha256::digest(&text).into());
        }
        Ok(Self {
            files: files.clone(),
            current: ArcSwap::from_pointee(trusted),
            tried: Mutex::new(tried),
        })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Takes what is in the files now, where it is new and whole.
    pub(super) fn reload(&self) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        for (domain, file) in &self.files {
            let read = guarded_file::read_rules(file).map_err(|error| error.to_string());
            let digest = read
                .as_ref()
                .map_or([0; 32], |it| Sha256::digest(it).into());
            if tried.insert(domain.clone(), digest) == Some(digest) {
                continue;
            }
            let file = file.display();
            match read.and_then(|text| authorities(&text)) {
                Ok(authorities) => {
                    let mut trusted = Trusted::clone(&self.current.load());
                    trusted.generation += 1;
                    trusted.of.insert(domain.0.clone(), authorities);
                    self.current.store(Arc::new(trusted));
                    tracing::info!(%file, "the trust domain's authorities are those in the file now");
                }
                Err(error) => {
                    tracing::error!(%file, error, "the new authorities are not taken; those before go on");
                }
            }
        }
    }
}

fn authorities(text: &str) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Where there is none, it says so.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())
}
