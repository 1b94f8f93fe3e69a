//! The relayer of `tests/relayer-server`, run with Node.js beside the tests.

use serde_json::{Value, json};

use super::venue::NodeServer;

/// A running relayer with a state of its own. It ends with the test.
pub(crate) struct RelayerServer(NodeServer);

/// Whom the relayer knows, as they give it to the service.
pub(crate) fn builder() -> Value {
    json!({ "apiKey": "b-1", "secret": "c2VjcmV0LW9mLXRoZS1idWlsZGVy", "passphrase": "b-pass" })
}

impl RelayerServer {
    /// Starts one on a free port that knows [`builder()`]. `None`: there is no Node.js, and that was said.
    pub(crate) async fn start(flags: &[&str]) -> Option<Self> {
        let it = Self(NodeServer::start("relayer-server", flags)?);
        let known = builder();
        let known = json!({ "key": known["apiKey"], "secret": known["secret"], "passphrase": known["passphrase"] });
        it.0.post("builders", &known).await;
        Some(it)
    }

    /// A section of the configuration that names it as the relayer of chain 137; more settings may follow.
    pub(crate) fn section(&self) -> String {
        format!(
            "[relayer.polygon]\nurl = \"{}\"\ntimeout_ms = 1500\n",
            self.0.url
        )
    }

    /// Makes a wallet what it is on the chain: `owner`, `type`, `address`, `nonce`, `deployed`.
    pub(crate) async fn wallet(&self, wallet: Value) {
        self.0.post("wallets", &wallet).await;
    }

    /// Lets one thing go wrong, as the README there says.
    pub(crate) async fn fault(&self, fault: Value) {
        self.0.post("faults", &fault).await;
    }

    /// Changes settings.
    pub(crate) async fn configure(&self, settings: Value) {
        self.0.post("config", &settings).await;
    }

    /// Its wallets, transactions, and the calls that took effect.
    pub(crate) async fn state(&self) -> Value {
        self.0.get("state").await
    }

    /// The bodies that came to a path.
    pub(crate) async fn bodies(&self, path: &str) -> Vec<String> {
        let all = self.0.get("requests").await;
        let all = all.as_array().unwrap().iter();
        let of = all.filter(|it| it["path"] == path);
        of.map(|it| it["body"].as_str().unwrap().to_owned())
            .collect()
    }
}
