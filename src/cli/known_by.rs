//! By what a caller is known who has no token: what others vouch for.

use clap::Args;

use crate::callers::credential::NewCredential;

/// By what a caller is known, and for how long.
#[derive(Debug, Args)]
pub(super) struct KnownBy {
    #[command(flatten)]
    what: Vouched,
    /// `sub` of the JWT, exactly.
    #[arg(long, requires = "issuer")]
    subject: Option<String>,
    /// How many days it counts, 1 to 366.
    #[arg(long, default_value_t = 90)]
    days: u16,
}

/// What others vouch for. One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Vouched {
    /// A SPIFFE ID, such as `spiffe://prod.example/desk-1/bot`.
    #[arg(long)]
    spiffe_id: Option<String>,
    /// SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it.
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// `iss` of a JWT, exactly; with --subject.
    #[arg(long, requires = "subject")]
    issuer: Option<String>,
}

impl KnownBy {
    pub(super) fn credential(self) -> NewCredential {
        let Self {
            what,
            subject,
            days,
        } = self;
        match (what.spiffe_id, what.certificate) {
            (Some(spiffe_id), _) => NewCredential::Spiffe { spiffe_id, days },
            (None, Some(sha256)) => NewCredential::Certificate { sha256, days },
            (None, None) => NewCredential::Jwt {
                issuer: what.issuer.unwrap_or_default(),
                subject: subject.unwrap_or_default(),
                days,
            },
        }
    }
}
