//! The demonstration: a deposit wallet, which is what the venue takes from new users, a client, a trader who may use
//! them, a treasurer who sets the wallet up, and two requests to try.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::client::Client;
use super::super::print_json;
use super::beside::{Beside, Running};
use super::{is_recognised, replace_secret, say};
use crate::app::App;
use crate::callers::MAX_TOKEN_DAYS;
use crate::clob::{Derived, Order, OrderRequest, SignatureType, Terms};
use crate::custody::PublicKey;
use crate::ethereum::Address;
use crate::oauth::scopes::Table;

const WALLET: &str = "demo-wallet";
const CLIENT: &str = "demo-client";
const TRADER: &str = "demo-trader";
const TREASURER: &str = "demo-treasurer";

/// Who the relayer for demonstration takes the service for: key, secret and passphrase.
const BUILDER: [&str; 3] = [
    "demo-builder",
    "Zm9yIGRlbW9uc3RyYXRpb24gb25seQ==",
    "demonstration",
];

/// What the demonstration stands on.
pub(super) struct Demo {
    base: String,
    trader: Client,
    operator_token: PathBuf,
    trader_token: PathBuf,
    treasurer_token: PathBuf,
    wallet: Value,
    client: Value,
    device: &'static str,
}

impl Demo {
    /// Makes what is missing, through the API.
    pub(super) async fn set_up(
        base: &str,
        dir: &Path,
        in_token: bool,
        app: &App,
    ) -> anyhow::Result<Self> {
        let operator = Client::new(base, &dir.join("operator.token"))?;
        let key = make_key(&operator, "demo-wallet-key", "wallet").await?;
        make_key(&operator, "demo-client-key", "client").await?;
        let owner: Address = key["address"].as_str().unwrap_or_default().parse()?;
        let wallet = json!({
            "name": WALLET, "key": "demo-wallet-key", "owner": "dev", "chainId": 137,
            "signatureType": 3, "funder": Derived::of(owner).deposit_wallet,
        });
        let wallet = find_or_make(&operator, "/v1/wallets", WALLET, &wallet).await?;
        let client = json!({
            "name": CLIENT, "key": "demo-client-key", "owner": "dev", "client_id": "demo-client-id",
        });
        let client = find_or_make(&operator, "/v1/clients", CLIENT, &client).await?;

        let caller = async |name: &str, role: &str| {
            let file = dir.join(format!("{role}.token"));
            if !is_recognised(app, &file).await {
                replace_secret(&issue_token(&operator, name, role).await?, &file)?;
            }
            anyhow::Ok(file)
        };
        let trader_token = caller(TRADER, "trader").await?;
        let treasurer_token = caller(TREASURER, "treasurer").await?;
        Ok(Self {
            base: base.to_owned(),
            trader: Client::new(base, &trader_token)?,
            operator_token: dir.join("operator.token"),
            trader_token,
            treasurer_token,
            wallet,
            client,
            device: if in_token {
                "a SoftHSM2 token"
            } else {
                "the sealed software keystore"
            },
        })
    }

    /// Has the servers for demonstration know the client and the service, unless they do.
    pub(super) async fn register(&self, beside: &Beside) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        if let Some(relayer) = &beside.relayer {
            let [key, secret, passphrase] = BUILDER;
            let known = json!({ "key": key, "secret": secret, "passphrase": passphrase });
            let at = format!("{}/__admin/builders", relayer.url());
            let taken = http.post(&at).json(&known).send().await?;
            taken.error_for_status()?;
            let given = json!({ "apiKey": key, "secret": secret, "passphrase": passphrase });
            let path = format!("/v1/wallets/{WALLET}/builder-credentials");
            Client::new(&self.base, &self.operator_token)?
                .post(&path, &given)
                .await?;
        }
        let Some(server) = beside.authorization.as_ref().filter(|_| self.is_local()) else {
            return Ok(());
        };
        let client_id = self.client["client_id"].as_str().unwrap_or_default();
        let at = format!("{}_admin/clients/{client_id}", server.url());
        if http.get(&at).send().await?.status().is_success() {
            return Ok(());
        }
        let scopes: Vec<_> = Table::exchange()
            .scopes
            .iter()
            .map(|it| &it.scope)
            .collect();
        let body = json!({ "scopes": scopes, "keys": [{ "pem": self.client["pem"] }] });
        http.put(&at).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Whether the client is one of the authorization server for demonstration.
    fn is_local(&self) -> bool {
        self.client["environment"] == "local"
    }

    /// Says what there is, and what to paste.
    pub(super) fn explain(&self, beside: &Beside, now: OffsetDateTime) {
        let clob = beside.clob.as_ref().map(Running::url);
        let member = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let (base, token) = (&self.base, self.trader_token.display());
        say(&format!(
            "
chancery is at {base}; keys are in {device}.
  wallet  {WALLET}   {maker} (Polygon, type {kind}, of the key {address})
  client  {CLIENT}   {client_id} in {environment}, fingerprint in GET /v1/keys/demo-client-key
  trader  {TRADER}   token in {token}
  API     {base}/openapi.json

A signed order:

curl -s {base}/v1/wallets/{WALLET}/orders \\
  -H \"authorization: Bearer $(cat '{token}')\" \\
  -H \"content-type: application/json\" -H \"idempotency-key: $(date +%s%N)\" \\
  -d '{order}'

A client assertion:

curl -s {base}/v1/clients/{CLIENT}/assertions \\
  -H \"authorization: Bearer $(cat '{token}')\" \\
  -H \"content-type: application/json\" -d '{{}}'

The command line, as the operator:

export CHANCERY_URL={base} CHANCERY_TOKEN_FILE='{operator}'
{program} keys list",
            operator = self.operator_token.display(),
            program = program(),
            device = self.device,
            maker = member(&self.wallet, "maker"),
            kind = self.wallet["signatureType"],
            address = member(&self.wallet, "address"),
            client_id = member(&self.client, "client_id"),
            environment = member(&self.client, "environment"),
            order = order_request(clob.is_some()),
        ));
        if let Some(clob) = clob {
            say(&format!(
                "
A CLOB for demonstration is at {clob} (not the venue; its markets are made up). An API key of the
demo wallet there, and headers that a request of it needs:

{program} credentials create --wallet {WALLET}

curl -s {base}/v1/wallets/{WALLET}/l2-headers \\
  -H \"authorization: Bearer $(cat '{token}')\" -H \"content-type: application/json\" \\
  -d '{{\"method\":\"GET\",\"path\":\"/data/orders\"}}'

A market order, priced by its book:

curl -s {base}/v1/wallets/{WALLET}/market-orders \\
  -H \"authorization: Bearer $(cat '{token}')\" \\
  -H \"content-type: application/json\" -H \"idempotency-key: $(date +%s%N)\" \\
  -d '{{\"tokenID\":\"1001\",\"side\":\"BUY\",\"amount\":\"10\"}}'",
                program = program(),
            ));
        }
        if let Some(relayer) = &beside.relayer {
            say(&format!(
                "
A relayer for demonstration is at {relayer} (no chain is behind it). What the wallet lacks before it can trade;
then, as the treasurer, its deployment and its approvals (ID: what `set-up` answers):

{program} wallets ready {WALLET}
export CHANCERY_TOKEN_FILE='{treasurer}'
{program} relayer deploy {WALLET}
{program} operations set-up {WALLET} --nonce 0
{program} relayer submit {WALLET} ID",
                relayer = relayer.url(),
                treasurer = self.treasurer_token.display(),
                program = program(),
            ));
        }
        let authorization = beside.authorization.as_ref().filter(|_| self.is_local());
        say(&match authorization {
            Some(server) => self.tokens(server.url(), now),
            None => "
Access tokens and rotations want an authorization server: [oauth.environments] in config.toml."
                .to_owned(),
        });
    }

    /// What there is to try with an authorization server.
    fn tokens(&self, server: &str, now: OffsetDateTime) -> String {
        let client_id = self.client["client_id"].as_str().unwrap_or_default();
        format!(
            "
An authorization server for demonstration is at {server} (not the Exchange's). An access token:

curl -s {base}/v1/clients/{CLIENT}/tokens \\
  -H \"authorization: Bearer $(cat '{token}')\" \\
  -H \"content-type: application/json\" -d '{{\"scope\":\"read:orders\"}}'

The rotation of the client's key, which says at each step what is next:

{program} rotations open --client {CLIENT} --new-key demo-client-key-2 --target {target} --reason demonstration

The counterparty's side of it, before \"confirm\" and after \"ask-removal\" (KID: jwk.kid of `keys show`):

{program} keys bundle demo-client-key-2 --pem | curl -s {server}_admin/clients/{client_id}/keys \\
  -H \"content-type: application/x-pem-file\" --data-binary @-
curl -s -X DELETE -H \"content-type: application/json\" {server}_admin/clients/{client_id}/keys/KID",
            base = self.base,
            token = self.trader_token.display(),
            program = program(),
            target = (now + time::Duration::days(14)).date(),
        )
    }

    /// Makes both requests, checks what comes back, and prints it.
    pub(super) async fn once(&self, app: &App) -> anyhow::Result<()> {
        let order = self
            .trader
            .post(
                &format!("/v1/wallets/{WALLET}/orders"),
                &order_request(false),
            )
            .await
            .context("the order")?;
        let wallet = app.wallets.show(&WALLET.parse()?).await?;
        check_order(&order, &wallet.profile)?;
        let assertion = self
            .trader
            .post(&format!("/v1/clients/{CLIENT}/assertions"), &json!({}))
            .await
            .context("the assertion")?;
        check_assertion(&assertion, self.client["pem"].as_str().unwrap_or_default())?;
        // With what it takes to check both elsewhere.
        print_json(&json!({
            "order": order, "assertion": assertion,
            "wallet": {
                "address": self.wallet["address"], "maker": self.wallet["maker"],
                "signatureType": self.wallet["signatureType"], "chainId": self.wallet["chainId"],
            },
            "client": { "client_id": self.client["client_id"], "pem": self.client["pem"] },
        }))?;
        say(&format!(
            "checked: the order recovers to {}, the assertion verifies under the client's public key",
            wallet.profile.key_address(),
        ));
        Ok(())
    }
}

/// This program, as it is called from a shell.
fn program() -> String {
    let found = std::env::current_exe();
    found.map_or_else(
        |_| "chancery".to_owned(),
        |it| format!("'{}'", it.display()),
    )
}

/// An order that anybody can ask for.
fn order_request(has_clob: bool) -> Value {
    // A market of the CLOB for demonstration, which looks tick and kind up; else a real one.
    if has_clob {
        return json!({ "tokenID": "1001", "side": "BUY", "price": "0.56", "size": "21.04" });
    }
    json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992563",
        "side": "BUY", "price": "0.56", "size": "21.04", "tickSize": "0.01", "negRisk": false,
    })
}

async fn make_key(operator: &Client, name: &str, purpose: &str) -> anyhow::Result<Value> {
    let body = json!({
        "name": name, "purpose": purpose, "backend": "dev", "environment": "local", "owner": "dev",
    });
    let key = find_or_make(operator, "/v1/keys", name, &body).await?;
    if key["state"] == "pre-activation" {
        let step = json!({ "to": "active", "reason": "demonstration" });
        operator
            .post(&format!("/v1/keys/{name}/steps"), &step)
            .await?;
    }
    Ok(key)
}

/// A token of a caller with this role, who is made where there is none.
async fn issue_token(operator: &Client, name: &str, role: &str) -> anyhow::Result<String> {
    let path = format!("/v1/callers/{name}");
    let made = if operator.find(&path).await?.is_some() {
        let new = json!({ "token_days": MAX_TOKEN_DAYS });
        operator.post(&format!("{path}/tokens"), &new).await?
    } else {
        let new = json!({
            "name": name, "owner": "dev", "roles": [role], "token_days": MAX_TOKEN_DAYS,
        });
        operator.post("/v1/callers", &new).await?
    };
    let token = made["token"].as_str();
    token
        .map(str::to_owned)
        .context("the answer holds no token")
}

async fn find_or_make(
    operator: &Client,
    path: &str,
    name: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    match operator.find(&format!("{path}/{name}")).await? {
        Some(found) => Ok(found),
        None => operator
            .post(path, body)
            .await
            .with_context(|| format!("making {name}")),
    }
}

/// Builds the order again from the request and what the answer says was drawn, and recovers who
/// signed it, in another way than the service does.
fn check_order(answer: &Value, profile: &crate::clob::Profile) -> anyhow::Result<()> {
    let request: OrderRequest = serde_json::from_value(order_request(false))?;
    let salt = answer["order"]["salt"]
        .as_u64()
        .context("the order has no salt")?;
    let timestamp = answer["order"]["timestamp"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    let terms = Terms::given(&request.given_terms())?;
    let rebuilt = Order::build(&request, &terms, profile, salt, timestamp, 0)?;
    let digest = format!("0x{}", hex::encode(rebuilt.digest()));
    ensure!(
        answer["digest"] == digest.as_str(),
        "the digest is not that of this order"
    );

    let text = answer["order"]["signature"].as_str().unwrap_or_default();
    let bytes = hex::decode(text.trim_start_matches("0x"))?;
    // That of a deposit wallet says besides what was signed under whose name.
    let separator = bytes.get(65..97).unwrap_or_default();
    let is_nested = profile.signature_type() == SignatureType::Poly1271;
    ensure!(
        bytes.len() == 65 && !is_nested || is_nested && separator == rebuilt.domain_separator(),
        "the signature is not of the form of its type"
    );
    let recovery = bytes[64].checked_sub(27).and_then(RecoveryId::from_byte);
    let key = VerifyingKey::recover_from_prehash(
        rebuilt.digest(),
        &Signature::from_slice(&bytes[..64])?,
        recovery.context("v is neither 27 nor 28")?,
    )?;
    let signer = Address::of(&k256::PublicKey::from(key));
    ensure!(
        signer == profile.key_address(),
        "the signature recovers to {signer}"
    );
    Ok(())
}

fn check_assertion(answer: &Value, pem: &str) -> anyhow::Result<()> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rsa::pkcs8::DecodePublicKey;

    let assertion = answer["client_assertion"].as_str().unwrap_or_default();
    let (input, signature) = assertion
        .rsplit_once('.')
        .context("the assertion is no JWS")?;
    let key = PublicKey::Rsa(rsa::RsaPublicKey::from_public_key_pem(pem)?);
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    ensure!(
        key.verify_rs256(input.as_bytes(), &signature),
        "the assertion does not verify"
    );
    Ok(())
}
