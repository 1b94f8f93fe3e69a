//! Whom a request is for, and which site sends it.
//!
//! A browser on the service's own machine reaches loopback, whatever page it shows. So a request has to be
//! for a name of this service (a page whose own name was made to point here says that name: DNS
//! rebinding), and what changes something has to come from a page of this service, or from no page.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header, request::Parts};

use super::problem::{self, Problem};

/// The names of this service. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Names {
    configured: Arc<[Name]>,
    /// The address where it listens, which others may share: by it a request is meant for this service,
    /// and a page is not this service's yet.
    own: Option<IpAddr>,
}

/// A name that was configured, with its port where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    host: String,
    port: Option<u16>,
}

impl Names {
    pub(super) fn new(settings: &super::Settings) -> Self {
        let listen = settings.listen.ip();
        let configured = settings.hosts.iter().map(|it| it.0.clone());
        Self {
            configured: configured.collect(),
            own: (!listen.is_unspecified()).then_some(listen),
        }
    }

    /// Refuses what is meant for somebody else, or comes from somebody else's page.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Problem> {
        let host = self.host(&parts.headers, &parts.uri)?;
        if parts.method.is_safe() || parts.method == Method::OPTIONS {
            return Ok(());
        }
        self.sender(&parts.headers, &host)
    }

    fn host(&self, headers: &HeaderMap, uri: &Uri) -> Result<Name, Problem> {
        let refused = |what: &str| Problem::new(&problem::HOST_NOT_KNOWN, what);
        let mut values = headers.get_all(header::HOST).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refused("a request has one header Host"));
        };
        let host = value.to_str().ok().and_then(|it| it.parse().ok());
        let host = host.ok_or_else(|| refused("Host is no name with a port"))?;
        // What a proxy would go by, where it is there.
        let target = uri.authority().map(named);
        for name in [Some(&host), target.as_ref()].into_iter().flatten() {
            if !self.knows(name) {
                let detail = format!("the service is not {}", name.host);
                return Err(refused(&detail));
            }
        }
        Ok(host)
    }

    fn knows(&self, name: &Name) -> bool {
        let address: Option<IpAddr> = name.host.parse().ok();
        name.is_loopback()
            || (address.is_some() && address == self.own)
            || self.configured.iter().any(|it| it.host == name.host)
    }

    fn sender(&self, headers: &HeaderMap, host: &Name) -> Result<(), Problem> {
        let refused = |what| Err(Problem::new(&problem::FOREIGN_SITE, what));
        for value in headers.get_all("sec-fetch-site") {
            if !matches!(value.as_bytes(), b"same-origin" | b"none") {
                return refused("Sec-Fetch-Site: the request comes from a page of another site");
            }
        }
        for value in headers.get_all(header::ORIGIN) {
            let origin = value.to_str().ok().and_then(Origin::parse);
            if !origin.is_some_and(|it| self.is_ours(&it, host)) {
                return refused("Origin: the request comes from a page of another site");
            }
        }
        Ok(())
    }

    /// Whether a page is the service's own: of the name that is asked for, or, where a proxy asks for
    /// another one, of a name that was configured.
    fn is_ours(&self, origin: &Origin, host: &Name) -> bool {
        let default = if origin.is_encrypted { 443 } else { 80 };
        let is = |name: &Name| {
            let port = |it: &Name| it.port.unwrap_or(default);
            name.host == origin.name.host && port(name) == port(&origin.name)
        };
        is(host) || (origin.is_encrypted && self.configured.iter().any(is))
    }
}

/// What `Origin` says.
struct Origin {
    is_encrypted: bool,
    name: Name,
}

impl Origin {
    /// `null`, which is nobody's name, is none.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let name = rest.parse().ok()?;
        Some(Self { is_encrypted, name })
    }
}

impl Name {
    fn is_loopback(&self) -> bool {
        let ip = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

/// The host in lower case, without the brackets of an address or the dot at the end of a name.
fn named(authority: &Authority) -> Name {
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    Name {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16(),
    }
}

impl std::str::FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const NONE: &str = "is no host name or address, with or without a port";
        let authority: Authority = text.parse().map_err(|_| NONE)?;
        let has_user = text.contains('@');
        let name = named(&authority);
        if has_user || name.host.is_empty() || name.host.contains('*') {
            return Err(NONE);
        }
        Ok(name)
    }
}

/// A name of this service, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Host(Name);

impl TryFrom<String> for Host {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests;
