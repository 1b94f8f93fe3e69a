//! What is asked for, again and again.

use uuid::Uuid;

use super::device::Kind;
use super::wire::{Keys, Request};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Operation {
    /// A limit order, signed anew each time
    Order,
    /// A client assertion, RS256
    Assertion,
    /// The headers of level 2 of a request to the CLOB, by an API key of the wallet
    L2,
    /// An access token from the cache; the first one is exchanged
    Token,
    /// An order's answer once more, under its idempotency key
    Replay,
    /// What was signed, by its id
    Lookup,
}

impl Operation {
    pub(super) const ALL: [Self; 6] = [
        Self::Order,
        Self::Assertion,
        Self::L2,
        Self::Token,
        Self::Replay,
        Self::Lookup,
    ];

    /// As rows call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Assertion => "assertion",
            Self::L2 => "l2",
            Self::Token => "token",
            Self::Replay => "replay",
            Self::Lookup => "lookup",
        }
    }

    /// Whether the device signs for each.
    pub(super) fn asks_the_device(self) -> bool {
        matches!(self, Self::Order | Self::Assertion)
    }
}

/// Whose wallet and client are asked for.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    /// Where its keys are, if that is known.
    pub(super) device: Option<Kind>,
    pub(super) wallet: Option<String>,
    pub(super) client: Option<String>,
    /// The client that has tokens, and the scope.
    pub(super) tokens: Option<(String, String)>,
    /// The wallet that has an API key at the CLOB.
    pub(super) login: Option<String>,
    /// The id of something that was signed.
    pub(super) signed: Option<String>,
}

/// What is asked for, again and again.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// `None`: a request that costs HTTP and nothing else.
    pub(super) operation: Option<Operation>,
    pub(super) device: Option<Kind>,
    /// How many orders a request of several asks for.
    pub(super) batch: Option<usize>,
    path: String,
    body: Option<String>,
    keys: Option<Keys>,
    id: Uuid,
}

impl Plan {
    pub(super) fn nothing() -> Self {
        Self {
            operation: None,
            device: None,
            batch: None,
            path: "/healthz".to_owned(),
            body: None,
            keys: None,
            id: Uuid::new_v4(),
        }
    }

    /// So many orders a request.
    pub(super) fn batch(desk: &Desk, size: usize) -> Result<Self, &'static str> {
        let wallet = desk.wallet.as_ref().ok_or("there is no wallet")?;
        let orders = vec![ORDER; size].join(",");
        Ok(Self {
            operation: Some(Operation::Order),
            device: desk.device,
            batch: Some(size),
            path: format!("/v1/wallets/{wallet}/orders/batch"),
            body: Some(format!(r#"{{"orders":[{orders}]}}"#)),
            keys: Some(Keys::Fresh),
            id: Uuid::new_v4(),
        })
    }

    /// One thing a request; or why there is none.
    pub(super) fn new(desk: &Desk, operation: Operation) -> Result<Self, &'static str> {
        let wallet = || desk.wallet.as_ref().ok_or("there is no wallet");
        let order = || Ok::<_, &'static str>(format!("/v1/wallets/{}/orders", wallet()?));
        let (path, body, keys) = match operation {
            Operation::Order => (order()?, Some(ORDER.to_owned()), Some(Keys::Fresh)),
            Operation::Replay => (order()?, Some(ORDER.to_owned()), Some(Keys::Kept)),
            Operation::Assertion => {
                let client = desk.client.as_ref().ok_or("there is no client")?;
                let path = format!("/v1/clients/{client}/assertions");
                (path, Some("{}".to_owned()), None)
            }
            Operation::L2 => {
                let login = desk.login.as_ref().ok_or("there is no API key of a CLOB")?;
                let path = format!("/v1/wallets/{login}/l2-headers");
                let body = r#"{"method":"GET","path":"/data/orders"}"#;
                (path, Some(body.to_owned()), None)
            }
            Operation::Token => {
                let (client, scope) = desk.tokens.as_ref().ok_or("there is no token endpoint")?;
                let body = serde_json::json!({ "scope": scope }).to_string();
                (format!("/v1/clients/{client}/tokens"), Some(body), None)
            }
            Operation::Lookup => {
                let id = desk.signed.as_ref().ok_or("nothing was signed")?;
                (format!("/v1/signatures/{id}"), None, None)
            }
        };
        Ok(Self {
            operation: Some(operation),
            device: desk.device,
            batch: None,
            path,
            body,
            keys,
            id: Uuid::new_v4(),
        })
    }

    /// What it is called, without its connections.
    pub(super) fn name(&self) -> String {
        let what = match (self.operation, self.batch) {
            (None, _) => return "GET /healthz".to_owned(),
            (Some(_), Some(size)) => format!("batch of {size}"),
            (Some(operation), None) => operation.name().to_owned(),
        };
        match self.device {
            Some(device) => format!("{what}, {}", device.name()),
            None => what,
        }
    }

    /// The name of its row with so many connections.
    pub(super) fn row(&self, connections: usize) -> String {
        format!("{}, {connections} connections", self.name())
    }

    /// How many of its thing a request asks for.
    pub(super) fn things(&self) -> usize {
        self.batch.unwrap_or(1)
    }

    /// What is sent with this token.
    pub(super) fn request(&self, token: &str) -> Request {
        let token = self.operation.map(|_| token);
        match &self.body {
            None => Request::get(&self.path, token),
            Some(body) => Request::post(&self.path, token, self.keys, body),
        }
    }

    /// What the idempotency keys of a run begin with: for what is repeated the same in every run.
    pub(super) fn run(&self) -> String {
        let id = if self.keys == Some(Keys::Kept) {
            self.id
        } else {
            Uuid::new_v4()
        };
        id.simple().to_string()[..12].to_owned()
    }
}

/// A limit order that can be signed.
pub(super) const ORDER: &str = r#"{"tokenID":"71321045679252212594626385532706912750332728571942532289631379312455583992563","side":"BUY","price":"0.56","size":"21.04","tickSize":"0.01","negRisk":false}"#;
