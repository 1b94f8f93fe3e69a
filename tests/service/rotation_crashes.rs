//! The process is killed around every durable line of every step of a rotation: no step is lost or
//! taken twice, nothing is stuck, and there is one new key.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::oauth_server::OAuthServer;
use crate::rotations::{configuration, make_client, order, taking};
use crate::stand::Stand;
use crate::support::{Caller, Server};

/// A service that dies at a point whenever that is passed.
struct Mortal {
    stand: Stand,
    authorization: OAuthServer,
    point: &'static str,
    armed: Option<Server>,
    deaths: usize,
}

impl Mortal {
    fn caller(&self, server: &Server) -> Caller {
        server.caller(&self.stand.operator.token)
    }

    /// Asks a server that may die of it, and then one that does not, under the same key.
    async fn ask(&mut self, path: &str, body: &Value) -> Value {
        if self.armed.is_none() {
            let armed = format!("{}:1", self.point);
            let environment = [("CHANCERY_FAIL_POINT", armed.as_str())];
            self.armed = Some(self.stand.deployment.serve(&environment).await);
        }
        let mut server = self.armed.take().unwrap();
        let key = uuid::Uuid::new_v4().to_string();
        if let Ok(answer) = self.caller(&server).post_as(&key, path, body).await {
            assert_eq!(answer.status, 201, "{path}: {}", answer.text);
            self.armed = Some(server); // it was not passed
            return answer.json;
        }
        assert!(server.wait_killed(), "{}", server.log());
        self.deaths += 1;
        let again = self.stand.operator.post_as(&key, path, body).await.unwrap();
        assert_eq!(
            again.status, 201,
            "{path} after {}: {}",
            self.point, again.text
        );
        again.json
    }

    async fn admin(&self, method: reqwest::Method, path: &str, body: &Value) {
        self.authorization.admin(method, path, body).await;
    }
}

async fn kill_at(point: &'static str) {
    let Some(authorization) = OAuthServer::start() else {
        return;
    };
    let Some(stand) = Stand::new(&configuration(&authorization)).await else {
        return;
    };
    make_client(&stand.operator, &authorization).await;
    let mut mortal = Mortal {
        stand,
        authorization,
        point,
        armed: None,
        deaths: 0,
    };
    let opened = mortal.ask("/v1/rotations", &order("k2")).await;
    let id = opened["id"].as_str().unwrap().to_owned();
    let steps = format!("/v1/rotations/{id}/steps");
    let sent = json!({ "channel": "x", "reference": "y" });
    let because = json!({ "reason": "test" });
    let (new, old) = (json!({ "key": "new" }), json!({ "key": "old" }));

    mortal.ask(&steps, &taking("generate", &json!({}))).await;
    let key = mortal.stand.operator.get("/v1/keys/k2").await.json;
    let k1 = mortal.stand.operator.get("/v1/keys/k1").await.json;
    mortal.ask(&steps, &taking("submit", &sent)).await;
    let confirm = json!({ "fingerprint": key["fingerprint"], "reference": "y" });
    mortal.ask(&steps, &taking("confirm", &confirm)).await;
    let pem = json!({ "pem": key["pem"] });
    mortal
        .admin(reqwest::Method::POST, "clients/cid/keys", &pem)
        .await;
    let probed = mortal.ask(&steps, &taking("probe", &new)).await;
    assert_eq!(probed["probe"]["outcome"], "succeeded");
    mortal.ask(&steps, &taking("switch", &because)).await;
    let age = "update intents set created_at = created_at - interval '1 hour'";
    mortal.stand.database.falsify("intents", age).await;
    mortal.ask(&steps, &taking("ask-removal", &sent)).await;
    let path = format!("clients/cid/keys/{}", k1["jwk"]["kid"].as_str().unwrap());
    mortal
        .admin(reqwest::Method::DELETE, &path, &json!({}))
        .await;
    mortal.ask(&steps, &taking("probe", &old)).await;
    mortal.ask(&steps, &taking("probe", &new)).await;
    mortal
        .ask(&steps, &taking("prove-removal", &json!({})))
        .await;
    let closed = mortal.ask(&steps, &taking("close", &because)).await;
    assert_eq!(closed["state"], "closed");

    let shown = mortal
        .stand
        .operator
        .get(steps.trim_end_matches("/steps"))
        .await
        .json;
    let steps = shown["steps"].as_array().unwrap();
    let names: Vec<_> = steps
        .iter()
        .map(|it| it["step"].as_str().unwrap())
        .collect();
    let all = [
        "open",
        "generate",
        "submit",
        "confirm",
        "probe",
        "switch",
        "ask-removal",
        "prove-removal",
        "close",
    ];
    assert_eq!(names, all, "none lost, none twice");
    let database = &mortal.stand.database;
    for (sql, count) in [
        ("select count(*) from keys where name = 'k2'", 1),
        (
            "select count(*) from sealed_keys s join keys k on k.id = s.key_id where k.environment = 'local'",
            2,
        ),
        ("select count(*) from rotations", 1),
        ("select count(*) - count(distinct jti) from jtis", 0),
        (
            "select count(*) from leaves where position('rotation-switch'::bytea in leaf) > 0",
            1,
        ),
        (
            "select count(*) from leaves where position('switch-client-key'::bytea in leaf) > 0",
            1,
        ),
        (
            "select count(*) from clients c join keys k on k.id = c.key_id where c.name = 'c' and k.name = 'k2' and k.state = 'active'",
            1,
        ),
    ] {
        assert_eq!(database.count(sql).await, count, "{sql}");
    }
    println!("{point}: killed {} times", mortal.deaths);
    assert!(mortal.deaths > 0);
}

macro_rules! points {
    ($($test:ident $point:literal)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                kill_at($point).await;
            }
        )*

        #[test]
        fn every_point_has_its_test() {
            let tested: BTreeSet<_> = [$($point),*].into();
            assert_eq!(tested, chancery::fail::ROTATION_POINTS.into());
        }
    };
}

points! {
    after_the_key_was_planned "rotation-key-planned"
    after_the_key_was_made "rotation-key-made"
    after_a_probe_was_begun "rotation-probe-begun"
    after_a_probe_was_answered "rotation-probe-answered"
    before_a_step_is_committed "write-before-commit"
    after_a_step_was_committed "write-after-commit"
}
