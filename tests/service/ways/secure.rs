//! A service that speaks TLS, and the certificates and issuers around it.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Caller, Database, Deployment, Postgres, Server, desk};

/// An authority, in memory.
pub(super) struct Pki {
    pub(super) pem: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate for a service on this machine, and its key.
    pub(super) fn service(&self) -> (String, String) {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A certificate for a client with these URIs, fit for SPIFFE in all else.
pub(super) fn client(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let uris = uris
        .iter()
        .map(|it| SanType::URI((*it).try_into().unwrap()));
    params.subject_alt_names = uris.collect();
    params
}

/// A service with desk `d`.
pub(super) struct Secure {
    pub(super) server: Server,
    pub(super) deployment: Deployment,
    _database: Database,
    pub(super) service: Pki,
    /// Of trust domain `prod.example`, whose file is `prod.pem`.
    pub(super) prod: Pki,
    /// Of trust domain `test.example`.
    pub(super) test: Pki,
    pub(super) token: String,
    pub(super) trader: String,
    _postgres: Arc<Postgres>,
}

impl Secure {
    /// With this in the section `[callers]`.
    pub(super) async fn start(callers: &str) -> Option<Self> {
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let (service, prod, test) = (Pki::new(), Pki::new(), Pki::new());
        let (certificate, key) = service.service();
        let at = |name: &str| deployment.file(name).display().to_string();
        for (name, text) in [
            ("tls.pem", &certificate),
            ("ca.pem", &service.pem),
            ("prod.pem", &prod.pem),
            ("test.pem", &test.pem),
        ] {
            deployment.dir.write(name, text);
        }
        write_secret(&deployment.file("tls.key"), &key);
        deployment.configure(&format!(
            "[http]
            listen = \"127.0.0.1:0\"
            [http.tls]
            certificate = \"{}\"
            key = \"{}\"
            client_certificates = true
            [callers]
            trust_domains = {{ \"prod.example\" = \"{}\", \"test.example\" = \"{}\" }}
            {}",
            at("tls.pem"),
            at("tls.key"),
            at("prod.pem"),
            at("test.pem"),
            callers.replace("DIR", &deployment.dir.path().display().to_string()),
        ));
        let token = deployment.bootstrap();
        let mut server = deployment.serve(&[]).await;
        server.base = server.base.replace("http://", "https://");
        let mut secure = Self {
            server,
            deployment,
            _database: database,
            service,
            prod,
            test,
            token,
            trader: String::new(),
            _postgres: postgres,
        };
        secure.trader = desk(&secure.operator(), "d", "soft").await;
        Some(secure)
    }

    pub(super) fn operator(&self) -> Caller {
        self.caller(&self.token, None)
    }

    /// Somebody with this token, where it is not empty, and this certificate with its key.
    pub(super) fn caller(&self, token: &str, certificate: Option<&(String, String)>) -> Caller {
        let authority = reqwest::Certificate::from_pem(self.service.pem.as_bytes()).unwrap();
        let mut http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .tls_info(true);
        if let Some((certificate, key)) = certificate {
            let pem = format!("{certificate}{key}");
            http = http.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Caller {
            base: self.server.base.clone(),
            token: token.to_owned(),
            http: http.build().unwrap(),
        }
    }

    /// Gives a caller a credential; its id.
    pub(super) async fn give(&self, to: &str, new: Value) -> Value {
        let path = format!("/v1/callers/{to}/credentials");
        let added = self.operator().post(&path, &new).await;
        assert_eq!(added.status, 201, "{}", added.text);
        added.json["credential"].clone()
    }

    pub(super) async fn give_spiffe(&self, to: &str, id: &str) -> Value {
        let new = json!({ "kind": "spiffe", "spiffe_id": id, "days": 1 });
        self.give(to, new).await
    }

    /// SHA-256 of what the service shows to who connects now.
    pub(super) async fn certificate_of_service(&self) -> Vec<u8> {
        self.shown_to(&self.caller("", None)).await
    }

    /// The same to this one, whose connection may be there already.
    pub(super) async fn shown_to(&self, caller: &Caller) -> Vec<u8> {
        let answer = caller.http.get(format!("{}/healthz", self.server.base));
        let answer = answer.send().await.unwrap();
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        Sha256::digest(info.peer_certificate().unwrap()).to_vec()
    }

    /// A connection, and nothing on it.
    pub(super) async fn connect(&self) -> tokio::net::TcpStream {
        let address = self.server.base.trim_start_matches("https://");
        tokio::net::TcpStream::connect(address).await.unwrap()
    }

    pub(super) async fn clear_text_is_refused(&self) -> bool {
        let url = self.server.base.replace("https://", "http://");
        reqwest::get(format!("{url}/healthz")).await.is_err()
    }

    /// Runs a command that speaks to the service, which is told of its authority or not.
    pub(super) fn command(&self, args: &[&str], knows: bool) -> Result<String, String> {
        let file = self.deployment.file("operator.token");
        if !file.exists() {
            write_secret(&file, &self.token);
        }
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chancery"));
        command.args(args).args(["--url", &self.server.base]);
        command.arg("--token-file").arg(file);
        if knows {
            command.env("CHANCERY_CA_FILE", self.deployment.file("ca.pem"));
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        self.deployment.dir.write(name, text);
    }

    pub(super) fn write_secret(&self, name: &str, text: &str) {
        write_secret(&self.deployment.file(name), text);
    }

    pub(super) fn service_pem(&self) -> String {
        std::fs::read_to_string(self.deployment.file("tls.pem")).unwrap()
    }

    pub(super) fn another_certificate(&self) -> (String, String) {
        self.service.service()
    }

    pub(super) async fn heard(&self, what: &str) {
        self.server.heard(what).await;
    }

    /// Has it read its files again.
    pub(super) fn hang_up(&self) {
        let pid = i32::try_from(self.server.pid()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
