//! A service with people in it: two desks, an operator, an auditor.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Database, Deployment, Postgres, Server, desk, order};

/// A running service, and who may call it.
pub(crate) struct Stand {
    pub(crate) server: Server,
    pub(crate) deployment: Deployment,
    pub(crate) database: Database,
    /// Makes everything, signs nothing.
    pub(crate) operator: Caller,
    /// Desk `d`: wallet `d-w`, client `d-c`.
    pub(crate) trader: Caller,
    _postgres: Arc<Postgres>,
}

impl Stand {
    /// With `more` configuration. `None`: Postgres is not installed, and that was said.
    pub(crate) async fn new(more: &str) -> Option<Self> {
        Some(Self::on(Postgres::shared()?, more).await)
    }

    /// The same on a cluster with which `doctor` is content: it keeps what it says is written.
    pub(crate) async fn durable(more: &str) -> Option<Self> {
        Some(Self::on(Arc::new(Postgres::start()?), more).await)
    }

    async fn on(postgres: Arc<Postgres>, more: &str) -> Self {
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        deployment.configure(more);
        let token = deployment.bootstrap();
        let server = deployment.serve(&[]).await;
        let operator = server.caller(&token);
        let trader = server.caller(&desk(&operator, "d", "soft").await);
        Self {
            server,
            deployment,
            database,
            operator,
            trader,
            _postgres: postgres,
        }
    }

    /// Somebody else.
    pub(crate) async fn another(&self, name: &str, owner: &str, role: &str) -> Caller {
        self.another_at(&self.server, name, owner, role).await
    }

    /// The same where another process serves.
    pub(crate) async fn another_at(
        &self,
        server: &Server,
        name: &str,
        owner: &str,
        role: &str,
    ) -> Caller {
        let new = json!({ "name": name, "owner": owner, "roles": [role] });
        let operator = server.caller(&self.operator.token);
        let made = operator.post("/v1/callers", &new).await;
        assert_eq!(made.status, 201, "{}", made.text);
        server.caller(made.json["token"].as_str().unwrap())
    }

    /// Rows of intents and of releases.
    pub(crate) async fn signed(&self) -> (i64, i64) {
        (
            self.database.count("select count(*) from intents").await,
            self.database
                .count("select count(*) from ends where outcome = 'released'")
                .await,
        )
    }

    /// The service is alive, and signs one order.
    pub(crate) async fn still_signs(&mut self) {
        assert!(self.server.is_alive());
        let (intents, releases) = self.signed().await;
        let good = self.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(good.status, 200, "{}", good.text);
        assert_eq!(self.signed().await, (intents + 1, releases + 1));
    }
}

/// An order with one member changed, added, or taken away with `null`.
pub(crate) fn with(member: &str, value: Value) -> Value {
    let mut order = order();
    let members = order.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member);
    } else {
        members.insert(member.to_owned(), value);
    }
    order
}

/// The answer is this problem, whole, and its detail says `detail`.
#[track_caller]
pub(crate) fn refused(what: &str, answer: &Answer, status: u16, problem: &str, detail: &str) {
    let is = (answer.status, answer.problem());
    assert_eq!(is, (status, problem), "{what}: {}", answer.text);
    let kind = &answer.headers["content-type"];
    assert_eq!(kind, "application/problem+json", "{what}");
    assert!(answer.headers.contains_key("x-request-id"), "{what}");
    for member in ["title", "detail", "action"] {
        let text = answer.json[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{what}: no {member}");
    }
    assert_eq!(answer.json["status"], status, "{what}");
    let said = answer.json["detail"].as_str().unwrap();
    assert!(said.contains(detail), "{what}: {detail:?} not in {said:?}");
}
