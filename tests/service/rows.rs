//! Rows that decide say what is stated, or nothing follows from them: whatever a superuser of the database changes,
//! adds, takes away or brings back is refused where it would be used, and found where it is not.

use std::time::Duration;

use serde_json::json;

use crate::approvals::Four;
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, Database, Deployment, Postgres, desk, order};

/// All tables whose rows are stated, the ones that others refer to first.
const TABLES: [&str; 8] = [
    "people",
    "approver_keys",
    "proposals",
    "callers",
    "caller_tokens",
    "keys",
    "wallets",
    "clients",
];

/// As only a superuser can: no trigger and no foreign key looks.
async fn forge(database: &Database, sql: &str) {
    let sql = format!(
        "set session_replication_role = replica; {sql}; set session_replication_role = default"
    );
    database.run(&sql).await;
}

async fn keep(database: &Database) {
    let kept = TABLES.map(|it| format!("create table kept_{it} as table {it}"));
    database.run(&kept.join("; ")).await;
}

async fn put_right(database: &Database) {
    let back =
        TABLES.map(|it| format!("delete from {it}; insert into {it} select * from kept_{it}"));
    forge(database, &back.join("; ")).await;
}

/// What uses a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    /// The trader of desk d signs an order with wallet `d-w`.
    Order,
    /// The same with a wallet of a funder of its own.
    Funded,
    /// With a wallet whose key is suspended.
    Suspended,
    /// With a wallet that nobody has made.
    NewWallet,
    /// An assertion of client `d-c`.
    Assertion,
    /// Of a client that nobody has made.
    NewClient,
    /// Whoever was revoked comes again.
    Revoked,
    /// The operator looks at a key that nobody has made.
    NewKey,
    /// The trader, whom the rows do not know any more.
    Gone,
}

/// What is done to which row, and what would use it.
const FALSIFICATIONS: [(&str, Use); 55] = [
    ("update callers set roles = '{trader,operator}' where name = 'd-trader'", Use::Order),
    ("update callers set owner = 'e' where name = 'd-trader'", Use::Order),
    ("update callers set name = 'x' where name = 'd-trader'", Use::Order),
    ("update callers set person_id = gen_random_uuid() where name = 'd-trader'", Use::Order),
    ("update callers set id = gen_random_uuid() where name = 'd-trader'", Use::Gone),
    ("update callers set revoked_at = now() where name = 'd-trader'", Use::Gone),
    ("delete from callers where name = 'd-trader'", Use::Gone),
    ("update callers set revoked_at = null where name = 'gone';
      update caller_tokens set revoked_at = null where caller_id = (select id from callers where name = 'gone')", Use::Revoked),
    ("delete from caller_tokens where caller_id = (select id from callers where name = 'gone'); delete from callers where name = 'gone';
      insert into callers (id, name, owner, roles) select id, name, owner, roles from kept_callers where name = 'gone';
      insert into caller_tokens (id, caller_id, token_hash, expires_at) select t.id, t.caller_id, t.token_hash, t.expires_at
        from kept_caller_tokens t join callers c on c.id = t.caller_id where c.name = 'gone'", Use::Revoked),
    ("insert into caller_tokens (id, caller_id, token_hash, expires_at)
      select gen_random_uuid(), (select id from callers where name = 'd-trader'), t.token_hash, now() + interval '1 day'
      from caller_tokens t join callers c on c.id = t.caller_id where c.name = 'gone'", Use::Revoked),
    ("insert into callers (id, name, owner, roles) values (gen_random_uuid(), 'intruder', 'd', '{trader}');
      insert into caller_tokens (id, caller_id, token_hash, expires_at)
      select gen_random_uuid(), (select id from callers where name = 'intruder'), t.token_hash, now() + interval '1 day'
      from caller_tokens t join callers c on c.id = t.caller_id where c.name = 'gone'", Use::Revoked),
    ("update caller_tokens set token_hash = (select t.token_hash from caller_tokens t join callers c on c.id = t.caller_id
      where c.name = 'gone') where caller_id = (select id from callers where name = 'd-trader')", Use::Revoked),
    ("update caller_tokens set revoked_at = null, caller_id = (select id from callers where name = 'd-trader')
      where caller_id = (select id from callers where name = 'gone')", Use::Revoked),
    ("update caller_tokens set expires_at = expires_at + interval '1 day' where caller_id = (select id from callers where name = 'd-trader')", Use::Order),
    ("update caller_tokens set caller_id = (select id from callers where name = 'e-trader') where caller_id = (select id from callers where name = 'd-trader')", Use::Order),
    ("update caller_tokens set id = gen_random_uuid() where caller_id = (select id from callers where name = 'd-trader')", Use::Order),
    ("update caller_tokens set kind = 'jwt', identity = 'x' where caller_id = (select id from callers where name = 'd-trader')", Use::Gone),
    ("update caller_tokens set revoked_at = now() where caller_id = (select id from callers where name = 'd-trader')", Use::Gone),
    ("delete from caller_tokens where caller_id = (select id from callers where name = 'd-trader')", Use::Gone),
    ("update keys set name = 'x' where name = 'd-wk'", Use::Order),
    ("update keys set owner = 'e' where name = 'd-wk'", Use::Order),
    ("update keys set environment = 'prod' where name = 'd-wk'", Use::Order),
    ("update keys set backend = 'x' where name = 'd-wk'", Use::Order),
    ("update keys set device_ref = 'x' where name = 'd-wk'", Use::Order),
    ("update keys set origin = 'imported' where name = 'd-wk'", Use::Order),
    ("update keys set purpose = 'checkpoint' where name = 'd-ck'", Use::Assertion),
    ("update keys set algorithm = 'rsa4096' where name = 'd-ck'", Use::Assertion),
    ("update keys set epoch = epoch + 1 where name = 'd-wk'", Use::Order),
    ("update keys set state = 'active' where name = 's-wk'", Use::Suspended),
    ("update keys set state = 'active', epoch = epoch - 1 where name = 's-wk'", Use::Suspended),
    ("with gone as (delete from keys where name = 'e-wk' returning public_key)
      update keys set public_key = (select public_key from gone) where name = 'd-wk'", Use::Order),
    ("update keys set attributes = '{\"extractable\": true}' where name = 'd-wk'", Use::Order),
    ("update keys set created_at = created_at + interval '1 day' where name = 'd-wk'", Use::Order),
    ("update keys set cryptoperiod_ends_at = cryptoperiod_ends_at + interval '1 day' where name = 'd-wk'", Use::Order),
    ("update keys set cryptoperiod_ends_at = cryptoperiod_ends_at - interval '1 day' where name = 'd-ck'", Use::Assertion),
    ("update keys set id = gen_random_uuid() where name = 'd-wk';
      update wallets set key_id = (select id from keys where name = 'd-wk') where name = 'd-w'", Use::Order),
    ("insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin, cryptoperiod_ends_at)
      values (gen_random_uuid(), 'intruder', 'wallet', 'secp256k1', 'soft', 'dev01', 'd', 'created', now() + interval '1 day')", Use::NewKey),
    ("update wallets set key_id = (select id from keys where name = 'e-wk') where name = 'd-w'", Use::Order),
    ("update wallets set owner = 'e' where name = 'd-w'", Use::Order),
    ("update wallets set name = 'x' where name = 'd-w'; update wallets set name = 'd-w' where name = 'e-w'", Use::Order),
    ("update wallets set chain_id = 80002 where name = 'd-w'", Use::Order),
    ("update wallets set signature_type = 1 where name = 'd-f'", Use::Funded),
    ("update wallets set funder = decode(repeat('ab', 20), 'hex') where name = 'd-f'", Use::Funded),
    ("update wallets set signature_type = 3, session_key = true where name = 'd-f'", Use::Funded),
    ("update wallets set funder_unverified = true where name = 'd-w'", Use::Order),
    ("update wallets set allow_replace = true where name = 'd-w'", Use::Order),
    ("update wallets set successor_id = (select id from wallets where name = 'e-w') where name = 'd-w'", Use::Order),
    ("update wallets set closed_at = now() where name = 'd-w'", Use::Order),
    ("insert into wallets (id, name, key_id, owner, chain_id, signature_type)
      select gen_random_uuid(), 'intruder', id, 'd', 137, 0 from keys where name = 'd-wk'", Use::NewWallet),
    ("update clients set key_id = (select id from keys where name = 'e-ck') where name = 'd-c'", Use::Assertion),
    ("update clients set owner = 'e' where name = 'd-c'", Use::Assertion),
    ("update clients set environment = 'prod' where name = 'd-c'", Use::Assertion),
    ("update clients set client_id = 'x' where name = 'd-c'", Use::Assertion),
    ("update clients set name = 'x' where name = 'd-c'; update clients set name = 'd-c' where name = 'e-c'", Use::Assertion),
    ("insert into clients (id, name, key_id, owner, environment, client_id)
      select gen_random_uuid(), 'intruder', id, 'd', environment, 'intruder' from keys where name = 'd-ck'", Use::NewClient),
];

/// Who uses rows.
struct Users {
    trader: Caller,
    suspended: Caller,
    gone: Caller,
    operator: Caller,
}

impl Users {
    async fn new(stand: &Stand) -> Self {
        desk(&stand.operator, "e", "soft").await;
        let suspended = desk(&stand.operator, "s", "soft").await;
        let step = json!({ "to": "suspended", "reason": "test" });
        done(&stand.operator, "/v1/keys/s-wk/steps", &step).await;
        let wallet = json!({ "name": "d-f", "key": "d-wk", "owner": "d", "chainId": 137, "signatureType": 2 });
        done(&stand.operator, "/v1/wallets", &wallet).await;
        let gone = stand.another("gone", "d", "trader").await;
        done(&stand.operator, "/v1/callers/gone/revoke", &json!({})).await;
        Self {
            trader: stand.trader.clone(),
            suspended: stand.server.caller(&suspended),
            gone,
            operator: stand.operator.clone(),
        }
    }

    fn at(&self, server: &crate::support::Server) -> Self {
        let there = |caller: &Caller| server.caller(&caller.token);
        Self {
            trader: there(&self.trader),
            suspended: there(&self.suspended),
            gone: there(&self.gone),
            operator: there(&self.operator),
        }
    }

    async fn ask(&self, what: Use) -> Answer {
        let orders = |name: &str| format!("/v1/wallets/{name}/orders");
        let assertions = |name: &str| format!("/v1/clients/{name}/assertions");
        match what {
            Use::Order | Use::Gone => self.trader.post(&orders("d-w"), &order()).await,
            Use::Funded => self.trader.post(&orders("d-f"), &order()).await,
            Use::NewWallet => self.trader.post(&orders("intruder"), &order()).await,
            Use::Suspended => self.suspended.post(&orders("s-w"), &order()).await,
            Use::Revoked => self.gone.post(&orders("d-w"), &order()).await,
            Use::Assertion => self.trader.post(&assertions("d-c"), &json!({})).await,
            Use::NewClient => self.trader.post(&assertions("intruder"), &json!({})).await,
            Use::NewKey => self.operator.get("/v1/keys/intruder").await,
        }
    }

    /// What was read a moment ago holds, as it was; then nothing does.
    async fn are_refused(&self, what: Use, sql: &str) {
        for _ in 0..50 {
            let answer = self.ask(what).await;
            if answer.problem() == "falsified" {
                return refused(sql, &answer, 500, "falsified", "wrote");
            }
            // The gate may have noticed before: that is a no, too.
            let could_before =
                matches!(what, Use::Order | Use::Funded | Use::Assertion | Use::Gone);
            let is_no = [401, 403, 409].contains(&answer.status);
            assert!(
                is_no || could_before && answer.status == 200,
                "{sql}: {}",
                answer.text
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{sql}: not refused");
    }
}

async fn done(by: &Caller, path: &str, body: &serde_json::Value) {
    let answer = by.post(path, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn whatever_row_is_changed_added_or_brought_back_is_refused_where_it_is_used() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let users = Users::new(&stand).await;
    keep(&stand.database).await;
    for (sql, what) in FALSIFICATIONS {
        stand.still_signs().await;
        let assertion = users.ask(Use::Assertion).await;
        assert_eq!(assertion.status, 200, "before {sql}: {}", assertion.text);
        forge(&stand.database, sql).await;
        users.are_refused(what, sql).await;
        put_right(&stand.database).await;
    }
    stand.still_signs().await;
    stand.server.heard("\"alarm\":\"falsified\"").await;
}

#[tokio::test]
async fn the_same_is_refused_by_a_service_that_was_started_since() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let users = Users::new(&stand).await;
    keep(&stand.database).await;
    for (sql, what) in FALSIFICATIONS {
        forge(&stand.database, sql).await;
        let since = stand.deployment.serve(&[]).await;
        let answer = users.at(&since).ask(what).await;
        if what == Use::Gone {
            refused(sql, &answer, 401, "not-authenticated", "token");
            since.heard("a row is not what is stated").await; // it looks at all of them by itself
        } else {
            refused(sql, &answer, 500, "falsified", "wrote");
        }
        put_right(&stand.database).await;
    }
    stand.still_signs().await;
}

/// What is done to those who approve.
const OF_PEOPLE: [&str; 14] = [
    "update proposals set expires_at = expires_at + interval '1 day'",
    "update proposals set outcome = 'rejected', ended_at = now(), ended_by = caller_id",
    "update proposals set person_id = (select id from people where name = 'cid')",
    "update proposals set operation = 'GET /x'",
    "update proposals set hash = sha256('x')",
    "update people set roles = '{security-officer,x}' where name = 'bob'",
    "update people set name = 'x' where name = 'bob'",
    "update people set ended_at = now() where name = 'bob'",
    "update people set ended_at = now() where name = 'ann'",
    "update approver_keys set name = 'x' where person_id = (select id from people where name = 'bob')",
    "update approver_keys set person_id = (select id from people where name = 'cid')
     where person_id = (select id from people where name = 'bob')",
    "update approver_keys set revoked_at = now() where person_id = (select id from people where name = 'bob')",
    "with gone as (delete from approver_keys where person_id = (select id from people where name = 'cid') returning public_key)
     update approver_keys set public_key = (select public_key from gone) where person_id = (select id from people where name = 'bob')",
    "update approver_keys set kind = 'passkey', credential_id = 'x', public_key = decode('3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5', 'hex')
     where person_id = (select id from people where name = 'bob')",
];

#[tokio::test]
async fn nobody_approves_by_a_row_that_was_changed_or_brought_back() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (proposal, key) = four.ask("bot").await;
    let approved = four.approve(&four.bob, "bob", &proposal).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    keep(&four.database).await;
    for sql in OF_PEOPLE {
        forge(&four.database, sql).await;
        let mut answer = four.ask_as(&four.ann, &key, "bot").await;
        for _ in 0..50 {
            if answer.problem() == "falsified" {
                break;
            }
            assert_ne!(answer.status, 201, "{sql}: {}", answer.text);
            tokio::time::sleep(Duration::from_millis(100)).await;
            answer = four.ask_as(&four.ann, &key, "bot").await;
        }
        refused(sql, &answer, 500, "falsified", "wrote");
        put_right(&four.database).await;
    }
    // A program that is made somebody's, who then could approve with it.
    let whose = "update callers set person_id = (select id from people where name = 'bob') where name = 'program'";
    forge(&four.database, whose).await;
    let answer = four.approve(&four.program, "bob", &proposal).await;
    refused(whose, &answer, 500, "falsified", "wrote");
    put_right(&four.database).await;
    // A key that was revoked, brought back.
    let person = four.ann.get("/v1/people/bob").await.json;
    let bobs = person["keys"][0]["id"].as_str().unwrap();
    let path = format!("/v1/people/bob/keys/{bobs}/revoke");
    done(&four.ann, &path, &json!({})).await;
    put_right(&four.database).await;
    let answer = four.ask_as(&four.ann, &key, "bot").await;
    refused("revoked", &answer, 500, "falsified", "wrote");
    assert_eq!(four.count("bot").await, 0);
}

#[tokio::test]
async fn a_ledger_from_before_is_stated_once_and_one_that_was_emptied_is_refused() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    deployment.run(&["migrate"]).unwrap();
    database
        .run(
            "insert into callers (id, name, owner, roles) values (gen_random_uuid(), 'old', 'd', '{trader}');
             insert into caller_tokens (id, caller_id, token_hash, expires_at)
                 select gen_random_uuid(), id, sha256('x'), now() + interval '1 day' from callers",
        )
        .await;
    let (one, other) = tokio::join!(deployment.serve(&[]), deployment.serve(&[]));
    let stated = "select count(*) from authority where kind <> 'policy'";
    assert_eq!(
        database.count(stated).await,
        3,
        "a caller, a credential, the mark"
    );
    let noted = "select count(*) from leaves where subject_id = (select id from authority where kind = 'adoption')";
    assert_eq!(database.count(noted).await, 1);
    drop((one, other));
    let third = deployment.serve(&[]).await;
    assert_eq!(database.count(stated).await, 3);
    drop(third);
    forge(
        &database,
        "delete from authority; update authority_head set version = 0, tightened = 0, link = null, seal = null",
    )
    .await;
    let refused = deployment.run(&["callers", "bootstrap"]).unwrap_err();
    assert!(refused.contains("emptied"), "{refused}");
}
